"""A watched table that is a subscription's target: its worker fires row triggers only."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic

import pytest

from listener import triggers
from listener.changes import Watch
from playground.postgres import PostgresServer
from tests.kit.triggers import SCHEMA, Bench, Told, open_bench

_TABLES = """
CREATE TABLE s (id integer PRIMARY KEY, film integer, a text, b text, updated_at timestamptz);
CREATE TABLE j (id integer PRIMARY KEY, film integer, a text, b text);
CREATE TABLE p (id integer PRIMARY KEY, film integer) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20);
"""
STAMPED = Watch("public", "s", ("film",), "updated_at", ("a",), "off")
JOURNALED = Watch("public", "j", ("film",), None, ("a",), "off")
PARTS = Watch("public", "p", ("film",), None, None, "off")


@pytest.fixture
def source(logical_server: PostgresServer) -> Iterator[Bench]:
    """The publishing database."""
    logical_server.create_database("source")
    for bench in open_bench(logical_server, "source"):
        bench.run(_TABLES)
        bench.run("CREATE PUBLICATION p FOR TABLE s, j, p WITH (publish_via_partition_root = true)")
        yield bench
        bench.run("SELECT pg_drop_replication_slot('sub')")
    logical_server.drop_database("source")


def subscribe(bench: Bench) -> None:
    """The slot is made by hand: both databases are on one server."""
    bench.run(
        f"CREATE SUBSCRIPTION sub CONNECTION '{bench.server.socket_dsn('source')}' PUBLICATION p "
        "WITH (create_slot = false, slot_name = 'sub', copy_data = false)"
    )


def unsubscribe(bench: Bench) -> None:
    """The slot stays."""
    bench.run("ALTER SUBSCRIPTION sub DISABLE; ALTER SUBSCRIPTION sub SET (slot_name = NONE)")
    bench.run("DROP SUBSCRIPTION sub")


@pytest.fixture
def target(logical_server: PostgresServer, source: Bench) -> Iterator[Bench]:
    """The subscribing database, with triggers."""
    logical_server.create_database("target")
    for bench in open_bench(logical_server, "target"):
        bench.run(_TABLES)
        source.run("SELECT pg_create_logical_replication_slot('sub', 'pgoutput')")
        subscribe(bench)
        bench.install(STAMPED, JOURNALED, PARTS)
        yield bench
        unsubscribe(bench)
    logical_server.drop_database("target")


def replicate(source: Bench, target: Bench, statement: str) -> Told:
    """Run it at the source; what the triggers of the target told when it has arrived there."""

    def work() -> None:
        source.run(statement)
        end = source.value("SELECT pg_current_wal_insert_lsn()")
        deadline = monotonic() + 30
        arrived = False
        while not arrived:
            assert monotonic() < deadline, "the subscription does not follow"
            arrived = source.value(
                "SELECT coalesce(bool_or(confirmed_flush_lsn >= "
                f"'{end}'), false) FROM pg_replication_slots WHERE slot_name = 'sub'"
            )

    return target.told(work)


def test_the_worker_fires_row_triggers(source: Bench, target: Bench) -> None:
    """All that statement triggers would tell goes into the journal, row by row."""
    assert target.status() == ()
    told = replicate(source, target, "INSERT INTO s VALUES (1, 1), (2, 2)")
    assert told.journal == (), "stamped rows are polled"
    assert target.value("SELECT count(*) FROM s WHERE updated_at IS NOT NULL") == 2
    told = replicate(
        source, target, "INSERT INTO j VALUES (1, 1), (2, 2); INSERT INTO p VALUES (1, 1)"
    )
    assert [(one.watch, one.keys) for one in told.journal] == [
        (JOURNALED.id, (("1",),)),
        (JOURNALED.id, (("2",),)),
        (PARTS.id, (("1",),)),
    ]


def test_updates_and_deletes(source: Bench, target: Bench) -> None:
    """Old keys, listed columns, deleted rows, in partitions too."""
    replicate(
        source,
        target,
        "INSERT INTO s VALUES (1, 1), (2, 2); INSERT INTO j VALUES (1, 1), (2, 2);"
        "INSERT INTO p VALUES (1, 1), (11, 2)",
    )
    stamp = target.value("SELECT updated_at FROM s WHERE id = 1")
    told = replicate(source, target, "UPDATE s SET b = 'x'; UPDATE j SET b = 'x'")
    assert told.journal == ()
    assert target.value("SELECT updated_at FROM s WHERE id = 1") == stamp
    told = replicate(source, target, "UPDATE s SET a = 'x'")
    assert told.journal == ()
    assert target.value("SELECT updated_at FROM s WHERE id = 1") > stamp
    assert replicate(source, target, "UPDATE s SET film = 9 WHERE id = 1").journaled() == {("1",)}
    assert replicate(source, target, "UPDATE j SET a = 'x' WHERE id = 2").journaled() == {("2",)}
    told = replicate(source, target, "UPDATE j SET film = 9 WHERE id = 2")
    assert told.journaled() == {("2",), ("9",)}
    assert replicate(source, target, "DELETE FROM s WHERE id = 2").journaled() == {("2",)}
    assert replicate(source, target, "DELETE FROM j WHERE id = 1").journaled() == {("1",)}
    told = replicate(source, target, "UPDATE p SET film = 7 WHERE id = 11")
    assert told.journaled() == {("2",), ("7",)}
    assert replicate(source, target, "DELETE FROM p WHERE id = 1").journaled() == {("1",)}
    told = replicate(source, target, "TRUNCATE s")
    assert [(one.kind, one.reason) for one in told.journal] == [("reconcile", "TRUNCATE")]


def test_the_worker_survives_migrations(source: Bench, target: Bench) -> None:
    """An error in a trigger would stop the whole subscription."""
    target.run("ALTER TABLE j RENAME film TO movie")
    source.run("ALTER TABLE j RENAME film TO movie")
    told = replicate(source, target, "INSERT INTO j VALUES (5, 5)")
    assert [(one.kind, (one.reason or "")[:5]) for one in told.journal] == [("reconcile", "42703")]
    target.run("ALTER TABLE s RENAME updated_at TO changed")
    source.run("ALTER TABLE s DROP COLUMN updated_at")
    told = replicate(source, target, "INSERT INTO s VALUES (6, 6)")
    assert [one.kind for one in told.journal] == ["reconcile"], "a row without a stamp"
    told = replicate(source, target, "UPDATE s SET a = 'x'")
    assert {one.kind for one in told.journal} == {"reconcile"}
    assert target.value("SELECT a FROM s") == "x"


def test_local_writers_fire_the_same_triggers(target: Bench) -> None:
    """Each row once."""
    told = target.told("INSERT INTO j VALUES (7, 7), (8, 8)")
    assert told.journaled() == {("7",), ("8",)}
    target.run("INSERT INTO p VALUES (1, 1)")
    told = target.told("UPDATE p SET id = 12")
    assert {key for one in told.journal for key in one.keys} == {("1",)}


def test_notify_must_be_off(target: Bench) -> None:
    """Nothing would be notified of what the worker writes; the line to change is named."""
    watch = Watch("public", "j", ("film",))
    with pytest.raises(
        triggers.TriggerError, match="write `notify: off` instead of `notify: rows`"
    ):
        triggers.resolve(target.admin, [watch], SCHEMA, target.config)


def test_a_table_that_is_subscribed_later(source: Bench, target: Bench) -> None:
    """The audit sees that row triggers are needed now, and back."""
    before = target.fingerprint()
    unsubscribe(target)
    assert target.fingerprint() != before
    assert any("is no longer wanted" in line for line in target.status())
    target.install()
    assert target.status() == ()
    subscribe(target)
    assert target.status()
    target.install()
    assert replicate(source, target, "INSERT INTO j VALUES (1, 1)").journaled() == {("1",)}
