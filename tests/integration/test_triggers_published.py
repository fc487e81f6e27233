"""Watched tables that are published: no subscriber stops because of what we add here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from time import monotonic

import pytest

from listener import triggers
from listener.changes import Watch
from listener.checks import check_tables
from listener.config import TriggersConfig
from playground.postgres import PostgresServer
from tests.kit.triggers import SCHEMA, Bench, open_bench

TABLES = """
CREATE TABLE a (id integer PRIMARY KEY, n integer);
CREATE TABLE b (id integer PRIMARY KEY, n integer);
CREATE TABLE p (id integer PRIMARY KEY, n integer) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20);
"""
STAMPED = Watch("public", "a", ("id",), "updatedAt")
JOURNALED = Watch("public", "b", ("id",))
PARTS = Watch("public", "p", ("id",), "updated_at")
PROMISED = TriggersConfig(published=True)


@pytest.fixture
def source(logical_server: PostgresServer) -> Iterator[Bench]:
    """The publishing database."""
    logical_server.create_database("source")
    for bench in open_bench(logical_server, "source"):
        bench.run(TABLES)
        yield bench
    logical_server.drop_database("source")


@pytest.fixture
def target(logical_server: PostgresServer, source: Bench) -> Iterator[Bench]:
    """A database without triggers, for `subscribe`."""
    logical_server.create_database("target")
    for bench in open_bench(logical_server, "target"):
        bench.run(TABLES)
        yield bench
        bench.run("ALTER SUBSCRIPTION sub DISABLE; ALTER SUBSCRIPTION sub SET (slot_name = NONE)")
        bench.run("DROP SUBSCRIPTION sub")
        source.run(
            "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots "
            "WHERE slot_name = 'sub' AND active_pid IS NOT NULL"
        )
        deadline = monotonic() + 30
        while source.value("SELECT active FROM pg_replication_slots WHERE slot_name = 'sub'"):
            assert monotonic() < deadline
        source.run("SELECT pg_drop_replication_slot('sub')")
    logical_server.drop_database("target")


def subscribe(source: Bench, target: Bench) -> None:
    """To the publication `pub`, through a slot that is made by hand: it is all one server."""
    source.run("SELECT pg_create_logical_replication_slot('sub', 'pgoutput')")
    target.run(
        f"CREATE SUBSCRIPTION sub CONNECTION '{target.server.socket_dsn('source')}' "
        "PUBLICATION pub WITH (create_slot = false, slot_name = 'sub', copy_data = false)"
    )


def arrives(source: Bench, target: Bench) -> bool:
    """Whether all that the source did comes to the target. A worker that fails begins again."""
    end = source.value("SELECT pg_current_wal_insert_lsn()")
    deadline = monotonic() + 5
    while monotonic() < deadline:
        if source.value(
            f"SELECT confirmed_flush_lsn >= '{end}' FROM pg_replication_slots "
            "WHERE slot_name = 'sub'"
        ):
            return True
    return False


def refusals(bench: Bench, *watches: Watch) -> tuple[str, ...]:
    """Why it cannot be installed; fails where it can be."""
    with pytest.raises(triggers.TriggerError) as caught:
        bench.install(*watches)
    return caught.value.problems


def test_a_subscriber_without_the_column(source: Bench, target: Bench) -> None:
    """Refused; with the column at the subscriber, and then here, all goes on."""
    source.run("CREATE PUBLICATION pub FOR TABLE a, b")
    subscribe(source, target)
    source.run("INSERT INTO a VALUES (1, 1)")
    assert arrives(source, target)
    [problem] = refusals(source, STAMPED)
    assert "public.a: the publication pub carries public.a" in problem
    [add] = re.findall("here: (ALTER TABLE .*?);", problem)
    assert "leave `updated_at` out" in problem
    source.install(JOURNALED)  # nothing is added to it
    source.run("INSERT INTO a VALUES (2, 2); INSERT INTO b VALUES (2, 2)")
    assert arrives(source, target)
    for bench in (target, source):
        bench.run(add)
    source.install(STAMPED, JOURNALED)
    source.run("UPDATE a SET n = 3")
    assert arrives(source, target)
    assert source.admin.execute("SELECT * FROM a ORDER BY id").fetchall() == (
        target.admin.execute("SELECT * FROM a ORDER BY id").fetchall()
    )


def test_publications_that_carry_a_new_column(source: Bench) -> None:
    """By name, by schema, as a part, through the root; not those that list their columns."""
    wanted = {
        "FOR TABLE a": STAMPED,
        "FOR TABLE p": PARTS,
        "FOR TABLE p2": PARTS,
        "FOR TABLE p WITH (publish_via_partition_root = true)": PARTS,
        "FOR ALL TABLES": STAMPED,
    }
    if source.version >= 15:
        wanted |= {"FOR TABLES IN SCHEMA public": STAMPED, "FOR TABLE a WHERE (id > 5)": STAMPED}
    for what, watch in wanted.items():
        source.run(f"CREATE PUBLICATION pub {what}")
        assert any("the publication pub carries" in one for one in refusals(source, watch)), what
        source.run("DROP PUBLICATION pub")
    harmless = ["FOR TABLE b", "", "FOR TABLE p1"]
    if source.version >= 15:
        harmless += ["FOR TABLE a (id, n)"]
    for what in harmless:
        source.run(f"CREATE PUBLICATION pub {what}")
        assert triggers.resolve(source.admin, [STAMPED], SCHEMA, source.config), what
        source.run("DROP PUBLICATION pub")


def test_a_list_of_columns(source: Bench, target: Bench) -> None:
    """It keeps the new one back (PostgreSQL 15)."""
    if source.version < 15:
        source.run("CREATE PUBLICATION pub FOR TABLE b")
    else:
        source.run("CREATE PUBLICATION pub FOR TABLE a (id, n), b")
    subscribe(source, target)
    source.install(STAMPED)
    source.run("INSERT INTO a VALUES (1, 1)")
    assert arrives(source, target)


def test_a_publication_of_all_tables(source: Bench, target: Bench) -> None:
    """Our own tables would stop a subscriber: refused until the subscribers have them."""
    source.run("CREATE PUBLICATION pub FOR ALL TABLES")
    subscribe(source, target)
    [problem] = refusals(source, JOURNALED)
    assert "the publication pub is FOR ALL TABLES" in problem
    assert "`published: true` under `triggers`" in problem
    assert source.value("SELECT to_regnamespace('listener') IS NULL")
    source.config = PROMISED
    [own] = [step for step in source_plan(source) if step.title.startswith("our own schema")]
    for statement in own.statements:
        target.run(statement)
    source.install()
    source.run("INSERT INTO b VALUES (1, 1); UPDATE b SET n = 2; DELETE FROM b")
    assert (
        source.value(
            "WITH gone AS (DELETE FROM listener.journal RETURNING 1) SELECT count(*) FROM gone"
        )
        == 3
    )
    source.run("UPDATE listener.meta SET nonce = gen_random_uuid()")
    source.run("INSERT INTO b VALUES (2, 2)")
    assert arrives(source, target)
    assert target.value("SELECT count(*) FROM listener.journal") == 0


def source_plan(bench: Bench) -> tuple[triggers.Step, ...]:
    """For the watch that is refused without the promise."""
    return triggers.plan(bench.admin, bench.wanted([JOURNALED]))


@pytest.mark.parametrize("version", [1, 2])
def test_an_upgrade_below_a_publication_of_all_tables(source: Bench, version: int) -> None:
    """A new column of `meta` is as much as a new table."""
    source.install(JOURNALED)
    source.run("CREATE PUBLICATION pub FOR ALL TABLES")
    assert source.status() == ()
    source.run("ALTER TABLE listener.meta DROP COLUMN line, DROP COLUMN renewals, DROP COLUMN file")
    if version == 1:
        source.run("ALTER TABLE listener.meta DROP COLUMN pipeline")
    source.run(f"UPDATE listener.meta SET schema_version = {version}")
    assert "FOR ALL TABLES" in refusals(source, JOURNALED)[0]


def test_what_check_says(source: Bench) -> None:
    """While our tables are carried along and nobody promised anything."""
    source.install(JOURNALED)
    assert check_tables(source.admin, [JOURNALED], SCHEMA, source.config) == []
    source.run("CREATE PUBLICATION pub FOR ALL TABLES")
    [found] = check_tables(source.admin, [JOURNALED], SCHEMA, source.config)
    assert found.severity == "warning"
    assert "carries the tables of the schema listener, too" in found.what
    assert "published: true" in found.mend
    assert check_tables(source.admin, [JOURNALED], SCHEMA, PROMISED) == []
