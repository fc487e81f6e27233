"""Installing, printing and removing: twice, at once, beside writers, for another role."""

from __future__ import annotations

import subprocess
import threading
import time
from datetime import datetime

import psycopg
import pytest

from listener import triggers
from listener.changes import Watch
from listener.observations.events import (
    CheckWarning,
    MakingIndex,
    Observation,
    TriggersInstalled,
    Waiting,
)
from listener.runtime.lifecycle import Stop, Stopped
from listener.triggers import names
from tests.kit.triggers import SCHEMA, Bench

FILM = Watch("public", "film", ("id",), "updated_at")
LINK = Watch("public", "link", ("film",))
PART = Watch("public", "part", ("id",), "changed")
EVERYTHING = (FILM, LINK, PART)

_TABLES = """
CREATE TABLE film (id integer PRIMARY KEY, updated_at timestamptz);
CREATE TABLE link (film integer);
CREATE TABLE part (id integer) PARTITION BY RANGE (id);
CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (0) TO (10);
CREATE TABLE part2 PARTITION OF part FOR VALUES FROM (10) TO (99) PARTITION BY RANGE (id);
CREATE TABLE part21 PARTITION OF part2 FOR VALUES FROM (10) TO (20);
"""

_OBJECTS = """
SELECT 'trigger ' || tgrelid::regclass || ' ' || pg_get_triggerdef(oid) || tgenabled::text
FROM pg_trigger WHERE tgname LIKE '%listener%'
UNION ALL SELECT 'function ' || pg_get_functiondef(oid) || coalesce(proacl::text, '')
FROM pg_proc WHERE pronamespace = to_regnamespace('listener')
UNION ALL SELECT 'index ' || pg_get_indexdef(i.indexrelid) || indisvalid
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE c.relname ~ '^(film|link|part)'
UNION ALL SELECT 'column ' || attrelid::regclass || attname || format_type(atttypid, atttypmod)
FROM pg_attribute WHERE attrelid::regclass::text ~ '(film|link|part|listener)'
AND attnum > 0 AND NOT attisdropped
UNION ALL SELECT 'schema ' || nspname || coalesce(nspacl::text, '') FROM pg_namespace
UNION ALL SELECT 'table ' || oid::regclass || coalesce(relacl::text, '')
FROM pg_class WHERE relnamespace = to_regnamespace('listener')
ORDER BY 1
"""


@pytest.fixture
def tables(bench: Bench) -> Bench:
    """Three tables, nothing installed."""
    bench.run(_TABLES)
    bench.watches = EVERYTHING
    return bench


def objects(bench: Bench) -> list[str]:
    """Everything that an installation makes, without OIDs."""
    return [row[0] for row in bench.admin.execute(_OBJECTS.encode()).fetchall()]


def test_install_reaches_the_wanted_state(tables: Bench) -> None:
    """Afterwards there is nothing to do, and the second call does nothing."""
    assert tables.status()
    assert tables.install() > 20
    assert (tables.plan(), tables.status()) == ((), ())
    assert [one for one in tables.seen if isinstance(one, TriggersInstalled)]
    before = tables.fingerprint()
    assert tables.install() == 0
    assert tables.fingerprint() == before


def test_remove_leaves_nothing(tables: Bench) -> None:
    """But the stamp columns, which it names."""
    before = set(objects(tables))
    tables.install()
    assert set(objects(tables)) > before
    left = tables.remove()
    after = set(objects(tables))
    assert {one for one in after - before if "changed" not in one} == set()
    assert len(left) == 2
    assert "column changed of public.part is left" in left[1]
    assert tables.remove() == ()
    tables.install()
    assert tables.status() == ()


def test_the_printed_plan_does_the_same(tables: Bench) -> None:
    """psql runs it as it is, on another database: the objects are the same to the letter."""
    role = tables.new_role()
    tables.role = role
    script = triggers.script(tables.plan())
    tables.install()
    expected = objects(tables)
    tables.remove()
    tables.run("ALTER TABLE part DROP COLUMN changed")
    ran = subprocess.run(
        [
            str(tables.server.psql),
            tables.server.socket_dsn(tables.name),
            "-X",
            "-v",
            "ON_ERROR_STOP=1",
        ],
        input=script,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert objects(tables) == expected
    assert tables.status() == ()
    assert "\\" not in script, "no commands of psql's own"


def test_a_plan_repairs_what_was_altered(tables: Bench) -> None:
    """Dropped, disabled, replaced: each is told and mended."""
    tables.install()
    name = tables.value(
        "SELECT tgname FROM pg_trigger WHERE tgrelid = 'film'::regclass AND tgname LIKE '%_delete'"
    )
    body = f"CREATE OR REPLACE FUNCTION listener.{name}() RETURNS trigger LANGUAGE plpgsql"
    for damage, sign in {
        f"DROP TRIGGER {name} ON film": "is missing",
        f"ALTER TABLE film DISABLE TRIGGER {name}": "is disabled",
        "ALTER TABLE film ENABLE TRIGGER USER": "is not ENABLE ALWAYS",
        f"ALTER TABLE film ENABLE REPLICA TRIGGER {name}": "fires on replicas only",
        "ALTER TABLE part1 DISABLE TRIGGER USER": "part1: trigger ~listener_stamp",
        f"{body} AS 'BEGIN RETURN NULL; END'": f"function listener.{name} is not as this version",
        f"ALTER FUNCTION listener.{name}() SECURITY INVOKER": "is not as this version",
        f"ALTER FUNCTION listener.{name}() RESET search_path": "is not as this version",
        f"ALTER FUNCTION listener.{name}() STABLE": "is not as this version",
        f"DROP FUNCTION listener.{name}() CASCADE": f"function listener.{name} is missing",
        f"DROP TRIGGER {name} ON film; CREATE TRIGGER {name} AFTER INSERT ON film "
        f"EXECUTE FUNCTION listener.{name}()": f"trigger {name} is not as this version",
        "ALTER TABLE listener.journal DROP CONSTRAINT journal_updated_at_id": "lacks journal_upd",
        "DROP TABLE listener.parked": "lacks parked",
        "DELETE FROM listener.meta": "lacks a row of meta",
        "DROP SCHEMA listener CASCADE": "there is no schema listener",
    }.items():
        before = tables.fingerprint()
        tables.run(damage)
        assert any(sign in line for line in tables.status()), (damage, tables.status())
        tables.install()
        assert tables.status() == (), damage
        if "meta" not in damage and "CONSTRAINT" not in damage:
            assert tables.fingerprint() != before, f"{damage}: mended, but not unseen"


def pruned_below(bench: Bench) -> datetime:
    """Below it, the journal is not complete."""
    found = bench.value("SELECT pruned_below FROM listener.meta")
    assert isinstance(found, datetime)
    return found


def test_what_was_missing_makes_older_watermarks_reconcile(tables: Bench) -> None:
    """While a trigger was missing nothing was recorded; an older body of ours recorded all."""
    tables.install()
    name = tables.value(
        "SELECT tgname FROM pg_trigger WHERE tgrelid = 'film'::regclass AND tgname LIKE '%_delete'"
    )
    former = pruned_below(tables)
    tables.install()
    tables.run(f"ALTER FUNCTION listener.{name}() COST 7")
    tables.install(FILM, LINK)
    assert pruned_below(tables) == former, "nothing was missing"
    tables.run(f"ALTER TABLE film DISABLE TRIGGER {name}")
    tables.install()
    assert pruned_below(tables) > former
    former = pruned_below(tables)
    body = tables.value(f"SELECT prosrc FROM pg_proc WHERE proname = '{name}'")
    edited = body.replace("INSERT INTO", "INSERT  INTO")
    tables.run(
        f"CREATE OR REPLACE FUNCTION listener.{name}() RETURNS trigger LANGUAGE plpgsql "
        f"AS $x${edited}$x$"
    )
    tables.install()
    assert pruned_below(tables) > former, "somebody else's body"
    former = pruned_below(tables)
    tables.run(f"ALTER FUNCTION listener.{name}() SECURITY INVOKER")
    tables.install()
    assert pruned_below(tables) > former, "our body, but not its rights"


def test_a_lost_journal_makes_older_watermarks_reconcile(tables: Bench) -> None:
    """Its rows are gone; those of `parked` are not missed by anybody."""
    tables.install()
    former = pruned_below(tables)
    tables.run("DROP TABLE listener.parked")
    tables.install()
    assert pruned_below(tables) == former
    tables.run("DROP TABLE listener.journal")
    tables.install()
    assert pruned_below(tables) > former


FORMER = """
    CREATE SCHEMA IF NOT EXISTS listener;
    CREATE TABLE listener.journal (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        updated_at timestamptz NOT NULL,
        watch text NOT NULL,
        kind text NOT NULL CHECK (kind IN ('keys', 'reconcile')),
        keys text,
        reason text
    ) WITH (toast_tuple_target = 8160);
    CREATE INDEX journal_updated_at_id ON listener.journal (updated_at, id);
"""


def test_an_earlier_journal_goes_on_as_it_is(tables: Bench) -> None:
    """Nothing is wrong with it, its index lost or not; and nobody is made to wait for a new one."""
    tables.install()
    tables.run("DROP TABLE listener.journal")
    tables.run(FORMER)
    former = pruned_below(tables)
    change = "INSERT INTO film VALUES (1); DELETE FROM film"
    tables.run(change)
    kept = "SELECT array_agg(id ORDER BY id) FROM listener.journal"
    rows = tables.value(kept)
    assert rows
    assert tables.plan() == ()
    tables.run("DROP INDEX listener.journal_updated_at_id")
    assert any("lacks journal_updated_at_id" in line for line in tables.status())
    tables.install()
    assert tables.plan() == ()
    assert pruned_below(tables) == former, "no reason to compare"
    tables.run(change)
    assert tables.value(kept)[: len(rows)] == rows
    assert len(tables.value(kept)) > len(rows)


def test_functions_that_noted_moved_keys_in_a_setting(bench: Bench) -> None:
    """Where a writer might not set it they noted nothing: they are replaced, their trigger goes,
    and an older watermark compares."""
    bench.run("CREATE TABLE t (id integer PRIMARY KEY, updated_at timestamptz)")
    bench.install(Watch("public", "t", ("id",), "updated_at", None, "off"))
    stamp = bench.value("SELECT proname FROM pg_proc WHERE proname LIKE 'listener%_stamp'")
    update = bench.value("SELECT proname FROM pg_proc WHERE proname LIKE 'listener%_delete'")
    update = update.replace("_delete", "_update")
    for name, text in (
        (stamp, "BEGIN PERFORM pg_catalog.set_config('listener.moved_x', 'yes', true);"
         " RETURN NEW; END"),
        (update, "BEGIN RETURN NULL; END"),
    ):  # fmt: skip
        body = f"-- Written by listener, do not edit ({names.digest(text)})\n{text}"
        bench.run(
            f"CREATE OR REPLACE FUNCTION listener.{name}() RETURNS trigger LANGUAGE plpgsql "
            f"AS $x${body}$x$"
        )
    bench.run(
        f"CREATE TRIGGER {update} AFTER UPDATE ON t REFERENCING OLD TABLE AS old_rows "
        f"NEW TABLE AS new_rows EXECUTE FUNCTION listener.{update}();"
        f"ALTER TABLE t ENABLE ALWAYS TRIGGER {update}"
    )
    former = pruned_below(bench)
    bench.install()
    assert pruned_below(bench) > former
    assert bench.plan() == ()
    assert bench.value(f"SELECT count(*) FROM pg_trigger WHERE tgname = '{update}'") == 0
    bench.told("INSERT INTO t VALUES (1)")
    assert bench.told("UPDATE t SET id = 2").journaled() == {("1",)}


def test_statements_of_another_version_must_end_first(tables: Bench) -> None:
    """A statement whose rows one version has stamped must not end in a trigger of the next one."""
    tables.install(FILM)
    name = tables.value("SELECT proname FROM pg_proc WHERE proname LIKE 'listener%_stamp'")
    body = tables.value(f"SELECT prosrc FROM pg_proc WHERE proname = '{name}'")
    text = body.partition("\n")[2] + "-- of another version\n"
    other = f"-- Written by listener, do not edit ({names.digest(text)})\n{text}"
    tables.run(
        f"CREATE OR REPLACE FUNCTION listener.{name}() RETURNS trigger LANGUAGE plpgsql "
        f"AS $x${other}$x$"
    )
    former = pruned_below(tables)
    writer = tables.connect()
    writer.execute("BEGIN; UPDATE film SET id = 2")
    with pytest.raises(triggers.Busy, match="end what is in the way"):
        tables.install(FILM, patience=0)
    writer.execute("COMMIT")
    tables.install(FILM)
    assert tables.status() == ()
    assert pruned_below(tables) == former, "the other version has recorded all"


def test_writers_that_ran_an_altered_function_must_end_first(tables: Bench) -> None:
    """Else they would commit, unrecorded, after `pruned_below`."""
    tables.install()
    tables.run("INSERT INTO film VALUES (1)")
    name = tables.value("SELECT min(proname) FROM pg_proc WHERE proname LIKE 'listener%delete'")
    tables.run(
        f"CREATE OR REPLACE FUNCTION listener.{name}() RETURNS trigger LANGUAGE plpgsql "
        "AS 'BEGIN RETURN NULL; END'"
    )
    writer = tables.connect()
    table = tables.value(
        f"SELECT min(tgrelid::regclass::text) FROM pg_trigger WHERE tgname = '{name}'"
    )
    writer.execute(f"BEGIN; DELETE FROM {table}".encode())
    with pytest.raises(triggers.Busy, match="end what is in the way"):
        tables.install(patience=0)
    writer.execute("COMMIT")
    tables.install()
    assert tables.status() == ()


def test_an_upgrade_of_bodies_is_no_reason_to_reconcile(
    tables: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another version's function carries its own seal: it has recorded everything."""
    monkeypatch.setattr("listener.triggers.keys.MOST", 9_999)
    tables.install()
    former = pruned_below(tables)
    monkeypatch.undo()
    assert any("is not as this version makes it" in line for line in tables.status())
    assert tables.install() > 0
    assert pruned_below(tables) == former


def test_a_new_partition_reconciles_only_if_it_came_with_rows(tables: Bench) -> None:
    """Partitions that are made ahead of time, every night, must not load everything anew."""
    tables.install()
    former = pruned_below(tables)
    tables.run("CREATE TABLE part3 PARTITION OF part FOR VALUES FROM (100) TO (200)")
    tables.install()
    assert pruned_below(tables) == former
    tables.run(
        "CREATE TABLE part4 (id integer, changed timestamptz); INSERT INTO part4 VALUES (201);"
        "ALTER TABLE part ATTACH PARTITION part4 FOR VALUES FROM (200) TO (300)"
    )
    tables.install()
    assert pruned_below(tables) > former
    former = pruned_below(tables)
    tables.run("ALTER TABLE part DETACH PARTITION part4")
    tables.install()
    assert tables.status() == ()
    assert tables.value("SELECT count(*) FROM pg_trigger WHERE tgrelid = 'part4'::regclass") == 0
    tables.run("ALTER TABLE part ATTACH PARTITION part4 FOR VALUES FROM (200) TO (300)")
    tables.install()
    assert tables.status() == ()


def test_a_detached_partition_can_be_attached_again(tables: Bench) -> None:
    """Our triggers on it are in nobody's way."""
    if tables.version < 15:
        pytest.skip("13.16 takes each transition table for one of a row trigger; see the docs")
    tables.install()
    tables.run(
        "ALTER TABLE part DETACH PARTITION part1;"
        "ALTER TABLE part ATTACH PARTITION part1 FOR VALUES FROM (0) TO (10)"
    )
    assert tables.status() == ()


def test_watches_that_are_gone_are_dropped(tables: Bench) -> None:
    """With their functions and the index on what is no longer stamped."""
    tables.install()
    tables.install(LINK)
    assert (tables.plan(), tables.status()) == ((), ())
    assert {
        row for row in objects(tables) if row.startswith("trigger") and "link" not in row
    } == set()
    assert not [row for row in objects(tables) if "listener_at_" in row]
    tables.install(Watch("public", "film", ("id",), None), LINK)
    assert not [row for row in objects(tables) if "~listener_stamp" in row]


def test_partitioned_indexes_are_made_in_pieces(tables: Bench) -> None:
    """A shell on each partitioned table, each leaf concurrently, then joined: new ones follow."""
    tables.install()
    tables.run("CREATE TABLE part3 PARTITION OF part FOR VALUES FROM (100) TO (200)")
    found = tables.admin.execute(
        "SELECT indrelid::regclass::text, indisvalid FROM pg_index "
        "WHERE indrelid::regclass::text LIKE 'part%' ORDER BY 1"
    ).fetchall()
    names = ("part", "part1", "part2", "part21", "part3")
    assert found == [(name, True) for name in names]


def test_an_unfinished_index_is_made_again(tables: Bench) -> None:
    """CREATE INDEX CONCURRENTLY leaves an invalid one where it was cut short."""
    tables.install()
    name = tables.value(
        "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'part1'::regclass"
    )
    tables.run(
        "UPDATE pg_index SET indisvalid = false WHERE indrelid = 'film'::regclass "
        "AND NOT indisprimary"
    )
    root = tables.value(
        f"SELECT inhparent::regclass FROM pg_inherits WHERE inhrelid = '{name}'::regclass"
    )
    tables.run(
        f"DROP INDEX {root}; CREATE INDEX {name} ON part1 (changed);"
        f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{name}'::regclass"
    )
    assert len([line for line in tables.slow() if "an unfinished index" in line]) == 2
    assert tables.status() == ()
    tables.install()
    assert tables.status() == ()
    assert tables.value(
        "SELECT bool_and(indisvalid) AND count(*) = 6 FROM pg_index "
        "WHERE indrelid::regclass::text ~ '^(film|part)'"
    )


def test_an_index_that_leads_with_the_column_will_do(tables: Bench) -> None:
    """Whoever made it; a partial one will not."""
    tables.run("CREATE INDEX mine ON film (updated_at, id)")
    tables.install(FILM)
    assert not [row for row in objects(tables) if "listener_at_" in row]
    tables.run("DROP INDEX mine; CREATE INDEX mine ON film (updated_at) WHERE id > 0")
    assert any("no index that leads with updated_at" in line for line in tables.slow())
    assert tables.status() == (), "nothing is missed without it"


@pytest.mark.parametrize("hurry", [True, False], ids=["daemon", "command"])
def test_an_index_waits_for_nobody_without_end(tables: Bench, hurry: bool) -> None:
    """CREATE INDEX CONCURRENTLY waits for each older transaction, of any table. The daemon goes on
    without the index and says so; the command fails; either names whose transaction it is, after
    all triggers are there, and leaves no half of an index behind."""
    older = tables.connect()
    older.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    older.execute("SELECT count(*) FROM link")
    tables.watches = (FILM, LINK)
    if hurry:
        tables.install(hurry=True)
        [said] = [one.what for one in tables.seen if isinstance(one, CheckWarning)]
    else:
        with pytest.raises(triggers.TriggerError) as error:
            tables.install(patience=0.5)
        [said] = error.value.problems
    assert "index on public.film" in said
    assert f"process {older.info.backend_pid}, postgres, since" in said
    assert any(isinstance(one, MakingIndex) for one in tables.seen)
    assert tables.status() == ()
    assert tables.slow() == ("public.film has no index that leads with updated_at",)
    assert tables.value("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0
    older.execute("COMMIT")
    assert tables.install() == 1
    assert tables.slow() == ()
    # writers and settings are as they were
    assert tables.value("SHOW lock_timeout") == "0"


# -- locks ---------------------------------------------------------------------------------------


def test_an_open_writer_is_waited_for_in_short_tries(tables: Bench) -> None:
    """Other writers get through between the tries; who is in the way is named."""
    writer = tables.connect()
    writer.execute("BEGIN")
    writer.execute("INSERT INTO film VALUES (1)")
    told = threading.Event()

    def observe(one: Observation) -> None:
        tables.seen.append(one)
        if isinstance(one, Waiting):
            told.set()

    result: list[int | BaseException] = []

    def install() -> None:
        try:
            result.append(tables.install(FILM, conn=tables.connect(), observe=observe))
        except BaseException as error:
            result.append(error)

    thread = threading.Thread(target=install)
    thread.start()
    assert told.wait(30)
    tables.run("INSERT INTO film VALUES (2)", tables.connect())
    writer.execute("COMMIT")
    thread.join(30)
    assert not thread.is_alive()
    assert isinstance(result[0], int)
    wait = next(one for one in tables.seen if isinstance(one, Waiting))
    assert "triggers of public.film" in wait.reason
    assert f"process {writer.info.backend_pid}, postgres, idle in transaction" in wait.reason
    assert tables.status() == ()


def test_a_writer_of_two_partitions_is_never_the_victim(tables: Bench) -> None:
    """We hold one part and wait for another, which a writer holds who now wants ours: it is us who
    give way, before its `deadlock_timeout` ends its transaction."""
    tables.run("INSERT INTO part VALUES (1), (11)")
    tables.install()
    for part in ("part1", "part21"):
        name = tables.value(
            "SELECT tgname FROM pg_trigger WHERE tgname LIKE 'listener%delete' "
            f"AND tgrelid = '{part}'::regclass"
        )
        tables.run(f"DROP TRIGGER {name} ON {part}")
    writer = tables.connect(options="-c deadlock_timeout=800ms")
    writer.autocommit = False
    writer.execute("UPDATE part21 SET id = 12")
    # the order of the locks is that of the members: part, part1, part2, part21
    tables.run("SET deadlock_timeout = '30s'")
    waiting = threading.Event()

    def observe(what: Observation) -> None:
        if isinstance(what, Waiting):
            waiting.set()

    installing = threading.Thread(target=lambda: tables.install(observe=observe))
    installing.start()
    try:
        held = (
            "SELECT count(*) FROM pg_locks WHERE relation = 'part1'::regclass AND granted "
            "AND mode = 'ShareRowExclusiveLock'"  # a look at the catalog takes a weak one
        )
        looker = tables.connect()
        deadline = time.monotonic() + 30
        while looker.execute(held).fetchone() == (0,):
            assert time.monotonic() < deadline, "part1 was not locked"
        writer.execute("UPDATE part1 SET id = 2")
        writer.commit()
    finally:
        writer.rollback()
        installing.join()
    assert waiting.is_set()
    assert tables.status() == ()


def test_waiting_ends(tables: Bench) -> None:
    """With patience's end, and at once when stop is requested; the session is as it was."""
    writer = tables.connect()
    writer.execute("BEGIN")
    writer.execute("LOCK TABLE film IN ROW EXCLUSIVE MODE")
    conn = tables.connect()
    conn.execute("SET statement_timeout = '55s'")
    with pytest.raises(triggers.TriggerError, match=r"process \d+, postgres.* try again"):
        tables.install(FILM, conn=conn, patience=0.5)
    stop = Stop()

    def observe(one: Observation) -> None:
        stop.request()

    with pytest.raises(Stopped):
        tables.install(FILM, conn=conn, observe=observe, stop=stop)
    row = conn.execute(
        "SELECT current_setting('statement_timeout'), current_setting('lock_timeout'), "
        "(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')"
    ).fetchone()
    assert row == ("55s", "0", 0)
    writer.execute("ROLLBACK")
    tables.install(FILM, conn=conn)
    assert tables.status() == ()


def test_one_installer_at_a_time(tables: Bench) -> None:
    """Two at once: one waits, both end well."""
    barrier = threading.Barrier(3)
    results: list[int] = []

    def install() -> None:
        conn = tables.connect()
        barrier.wait()
        results.append(tables.install(conn=conn))

    threads = [threading.Thread(target=install) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(results)[:2] == [0, 0]
    assert tables.status() == ()


def test_the_lock_is_waited_for_with_patience(tables: Bench) -> None:
    """An installer that hangs is named, by its process."""
    other = tables.connect()

    class Enough(Exception):
        pass

    def observe(one: Observation) -> None:
        raise Enough

    writer = tables.connect()
    writer.execute("BEGIN; LOCK TABLE film IN ROW EXCLUSIVE MODE")

    def nested(one: Observation) -> None:
        installer = tables.admin.info.backend_pid
        named = rf"another process installs or removes triggers \(process {installer}, since "
        with pytest.raises(triggers.Busy, match=named):
            tables.install(FILM, conn=other, patience=0.1)
        raise Enough

    with pytest.raises(Enough):
        tables.install(FILM, observe=nested)
    writer.execute("ROLLBACK")
    assert tables.install(FILM, conn=other) > 0, "the lock is given back whatever happened"


# -- roles ---------------------------------------------------------------------------------------


def test_the_daemons_role_gets_what_it_needs(tables: Bench) -> None:
    """And no more; a lost right is told and granted again."""
    role = tables.new_role()
    tables.role = role
    tables.install()
    daemon = tables.connect(role)
    for statement in (
        "SELECT schema_version, nonce, pruned_below FROM listener.meta",
        "UPDATE listener.meta SET nonce = gen_random_uuid(), pruned_below = clock_timestamp()",
        "INSERT INTO listener.journal (updated_at, watch, kind) VALUES (now(), 'w', 'reconcile')",
        "DELETE FROM listener.journal WHERE updated_at < now()",
        "INSERT INTO listener.parked VALUES ('d', 'i', 'r', now(), now(), 1)",
        "UPDATE listener.parked SET count = 2",
        "DELETE FROM listener.parked",
    ):
        daemon.execute(statement)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        daemon.execute("CREATE TABLE listener.more (id integer)")
    assert tables.status_of(daemon) == ()
    tables.run(f"REVOKE DELETE ON listener.journal FROM {role}")
    assert tables.status() == (f"role {role} lacks privileges in the schema listener",)
    tables.install()
    assert tables.status() == ()
    tables.run(f"REVOKE ALL ON listener.meta FROM {role}")
    found = tables.status_of(daemon)
    assert "may not read listener.meta" in found[0]


def test_a_role_that_does_not_own_the_table(tables: Bench) -> None:
    """Named, with the two ways out; what was done before stays and is used."""
    role = tables.new_role()
    tables.run(f"GRANT CREATE ON DATABASE {tables.name} TO {role}")
    conn = tables.connect(role)
    with pytest.raises(triggers.TriggerError, match=r"permission denied.*--dsn.*triggers print"):
        tables.install(LINK, conn=conn)
    tables.role = "nobody_at_all"
    with pytest.raises(triggers.TriggerError, match='CREATE ROLE "nobody_at_all"'):
        tables.install(LINK)


def test_an_owner_without_superuser_rights(tables: Bench) -> None:
    """Owner of the tables with CREATE on the database: that is all it takes."""
    owner = tables.new_role()
    tables.run(f"GRANT CREATE ON DATABASE {tables.name} TO {owner}")
    tables.run(f"GRANT CREATE ON SCHEMA public TO {owner}")
    for table in ("film", "link", "part", "part1", "part2", "part21"):
        tables.run(f"ALTER TABLE {table} OWNER TO {owner}")
    conn = tables.connect(owner)
    conn.execute("SET search_path = ''")
    tables.install(conn=conn)
    assert tables.status() == ()
    triggers.remove(conn, SCHEMA, observe=tables.seen.append, stop=Stop())
    assert tables.value("SELECT to_regnamespace('listener')") is None


# -- a schema that is not ours, or of another version --------------------------------------------


def test_another_version_is_refused(tables: Bench) -> None:
    """With the way out; nothing is touched."""
    tables.install()
    tables.run("UPDATE listener.meta SET schema_version = 3")
    assert "is of version 3, this program's is 2" in tables.status()[0]
    with pytest.raises(triggers.TriggerError, match="listener triggers remove"):
        tables.install()
    tables.remove()
    tables.install()
    assert tables.status() == ()


def test_a_schema_of_somebody_else_is_left_alone(tables: Bench) -> None:
    """An empty one will do; what is put into ours keeps it from being dropped."""
    tables.run("CREATE SCHEMA listener; CREATE TABLE listener.theirs (id integer)")
    with pytest.raises(triggers.TriggerError, match=r"holds table listener\.theirs and is not"):
        tables.install()
    tables.run("DROP TABLE listener.theirs")
    tables.install()
    tables.run("CREATE TABLE listener.theirs (id integer)")
    before = objects(tables)
    assert tables.status() == ()
    with pytest.raises(
        triggers.TriggerError, match=r"not listener's: table listener\.theirs: move"
    ):
        tables.remove()
    assert objects(tables) == before, "refused before anything is dropped"
    tables.run("DROP TABLE listener.theirs")
    tables.remove()
    tables.run("CREATE SCHEMA listener; CREATE TABLE listener.meta (id integer)")
    with pytest.raises(triggers.TriggerError, match=r"holds table listener\.meta and is not"):
        tables.install()


_TOUCH = (
    "CREATE FUNCTION listener.listener_touch() RETURNS trigger LANGUAGE plpgsql AS "
    "'BEGIN RETURN NEW; END'; CREATE TRIGGER touch BEFORE UPDATE ON link FOR EACH ROW "
    "EXECUTE FUNCTION listener.listener_touch()"
)


@pytest.mark.parametrize(
    ("theirs", "named"),
    [
        ("CREATE TABLE listener.journal (id bigint, amount numeric)", "table listener.journal"),
        ("CREATE TABLE listener.meta (singleton boolean, schema_version integer)", "table"),
        ("CREATE VIEW listener.journal AS SELECT * FROM film", "view listener.journal"),
        ("CREATE SEQUENCE listener.lost", "sequence listener.lost"),
        ("CREATE TYPE listener.mood AS ENUM ('good')", "type listener.mood"),
        ("CREATE DOMAIN listener.parked AS text", "type listener.parked"),
        ("CREATE EXTENSION pg_trgm SCHEMA listener", "extension pg_trgm"),
        (_TOUCH, "function listener.listener_touch()"),
    ],
    ids=["journal", "meta", "view", "sequence", "type", "domain", "extension", "trigger"],
)
def test_a_schema_of_another_program(tables: Bench, theirs: str, named: str) -> None:
    """Neither taken for ours nor dropped, whatever the names of what is in it."""
    tables.run(f"CREATE SCHEMA listener; {theirs}")
    before = objects(tables)
    for do in (tables.install, tables.remove):
        with pytest.raises(
            triggers.TriggerError, match="and is not listener's: name another"
        ) as found:
            do()
        assert named in str(found.value)
    assert objects(tables) == before


def test_remove_leaves_a_schema_that_nothing_of_ours_is_in(tables: Bench) -> None:
    """It may have grants, and a purpose. `public` is never listener's."""
    tables.run("CREATE SCHEMA listener")
    [left] = tables.remove()
    assert "the schema listener is left: it is empty" in left
    assert tables.value("SELECT to_regnamespace('listener')") == "listener"
    tables.run("DROP TABLE film, link, part")
    with pytest.raises(triggers.TriggerError, match="public is not a schema for listener alone"):
        triggers.remove(tables.admin, "public", observe=tables.seen.append, stop=Stop())
    assert tables.value("SELECT to_regnamespace('public')") == "public"


@pytest.mark.parametrize(
    ("theirs", "named", "undo"),
    [
        ("CREATE VIEW listener.v AS SELECT 1", "view listener.v", "VIEW listener.v"),
        ("CREATE VIEW v AS SELECT id FROM listener.journal", "view public.v", "VIEW v"),
        ("CREATE TABLE c () INHERITS (listener.journal)", "table public.c", "TABLE c"),
        (
            "CREATE TABLE c (d text, i text, FOREIGN KEY (d, i) REFERENCES listener.parked)",
            "table constraint c_d_i_fkey on public.c",
            "TABLE c",
        ),
        ("CREATE TABLE c (one listener.meta)", "table column public.c.one", "TABLE c"),
        (
            "CREATE TABLE c (n bigint DEFAULT nextval('listener.lost'))",
            "default value for public.c.n",
            "TABLE c",
        ),
        (_TOUCH, "function listener.listener_touch()", "FUNCTION listener.listener_touch CASCADE"),
    ],
    ids=["inside", "outside", "child", "reference", "type", "default", "trigger"],
)
def test_remove_names_what_is_in_its_way(tables: Bench, theirs: str, named: str, undo: str) -> None:
    """Before anything is dropped, so that nothing is missed meanwhile."""
    tables.install()
    tables.run(theirs)
    before = objects(tables)
    assert (tables.install(), objects(tables)) == (0, before)
    with pytest.raises(triggers.TriggerError) as found:
        tables.remove()
    assert named in str(found.value)
    assert objects(tables) == before
    tables.run(f"DROP {undo}")
    tables.remove()
    assert tables.value("SELECT to_regnamespace('listener')") is None


def test_what_is_left_of_listener_goes(tables: Bench) -> None:
    """Whatever was altered or dropped by hand meanwhile, or cut short."""
    before = set(objects(tables))
    for done in (
        "DROP TABLE listener.meta",
        "DROP TABLE listener.meta, listener.journal, listener.parked",
        "DROP TABLE listener.meta, listener.journal, listener.parked; DROP SEQUENCE listener.lost",
        "ALTER TABLE listener.journal DROP COLUMN keys, ADD COLUMN more text",
        "ALTER SEQUENCE listener.lost OWNED BY listener.journal.id",
        "ALTER TABLE listener.meta RENAME COLUMN nonce TO once; ALTER TABLE listener.parked "
        "SET UNLOGGED",
        "CREATE INDEX more ON listener.journal (kind); CREATE RULE more AS ON INSERT TO "
        "listener.parked DO ALSO NOTHING; ALTER DEFAULT PRIVILEGES IN SCHEMA listener "
        "GRANT SELECT ON TABLES TO PUBLIC",
    ):
        tables.install()
        tables.run(done)
        tables.remove()
        assert {one for one in set(objects(tables)) - before if "changed" not in one} == set(), done
        assert tables.value("SELECT to_regnamespace('listener')") is None


def test_an_index_of_another_program(tables: Bench) -> None:
    """It begins like ours, or has the whole name and is no index of ours."""
    tables.install()
    ours = tables.value("SELECT relname FROM pg_class WHERE relname LIKE 'listener_at_%' LIMIT 1")
    tables.run(f"CREATE INDEX {ours}_mine ON link (film)")
    tables.run(f"CREATE UNIQUE INDEX {ours[:-1]}{'0' if ours[-1] != '0' else '1'} ON film (id)")
    assert (tables.install(), tables.slow()) == (0, ())
    tables.remove()
    tables.run(f"CREATE INDEX {ours}_more ON film (id)")
    tables.install()
    tables.remove()
    assert tables.value("SELECT count(*) FROM pg_class WHERE relname LIKE 'listener_at_%'") == 3


def test_a_schema_that_another_role_owns(tables: Bench) -> None:
    """Made for listener by an administrator: it is emptied, and stays."""
    owner = tables.new_role()
    tables.run(f"CREATE SCHEMA listener; GRANT CREATE, USAGE ON SCHEMA listener, public TO {owner}")
    for table in ("film", "link", "part", "part1", "part2", "part21"):
        tables.run(f"ALTER TABLE {table} OWNER TO {owner}")
    conn = tables.connect(owner)
    tables.install(conn=conn)
    left = triggers.remove(conn, SCHEMA, observe=tables.seen.append, stop=Stop())
    assert left[-1] == "the schema listener is left, empty: another role owns it"
    assert (
        tables.value("SELECT count(*) FROM pg_class WHERE relnamespace = 'listener'::regnamespace")
        == 0
    )
    assert tables.value("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal") == 0


def test_remove_by_a_role_that_owns_only_some(tables: Bench) -> None:
    """Refused before the triggers of those are gone."""
    tables.install()
    role = tables.new_role()
    tables.run(f"ALTER TABLE film OWNER TO {role}; GRANT USAGE ON SCHEMA listener TO {role}")
    tables.run(f"GRANT SELECT ON ALL TABLES IN SCHEMA listener TO {role}")
    before = objects(tables)
    conn = tables.connect(role)
    with pytest.raises(triggers.TriggerError, match=r"public\.link belongs to postgres") as found:
        triggers.remove(conn, SCHEMA, observe=tables.seen.append, stop=Stop())
    assert "public.film" not in str(found.value)
    assert objects(tables) == before


def test_two_pipelines_beside_each_other(tables: Bench) -> None:
    """Each has its own schema, channel, triggers and functions on the same tables."""
    tables.install()
    observe, stop = tables.seen.append, Stop()
    second = tables.wanted(EVERYTHING, "second")
    triggers.install(tables.admin, second, observe=observe, stop=stop)
    assert tables.status() == ()
    assert triggers.differences(tables.admin, second).wrong == ()
    ear = tables.connect()
    ear.execute("LISTEN second")
    tables.run("INSERT INTO film VALUES (1)")
    assert [n.channel for n in ear.notifies(timeout=20, stop_after=1)] == ["second"]
    triggers.remove(tables.admin, "second", observe=observe, stop=stop)
    assert tables.status() == ()


@pytest.mark.parametrize("part", ["part", "part1", "part21"])
def test_a_column_that_another_pipeline_stamps(tables: Bench, part: str) -> None:
    """What is left says who goes on: with a table of its own, a tree, or a clone on a part."""
    observe, stop = tables.seen.append, Stop()
    tables.install()
    watches = (FILM, Watch("public", part, ("id",), "changed", None, "off"))
    second = tables.wanted(watches, "second")
    triggers.install(tables.admin, second, observe=observe, stop=stop)
    if part != "part":
        left = triggers.remove(tables.admin, "second", observe=observe, stop=stop)
        assert left[1] == (
            f"column changed of public.{part} is left, and the pipeline with schema listener "
            "stamps it still"
        )
    else:
        left = tables.remove()
        still = "is left, and the pipeline with schema second stamps it still"
        assert left == (
            f"column updated_at of public.film {still}",
            f"column changed of public.part {still}",
        )
        left = triggers.remove(tables.admin, "second", observe=observe, stop=stop)
        assert all("nothing stamps it any more" in line for line in left)
