"""Tables with our triggers that become parts of a tree, or leave one: the next install mends it.

PostgreSQL clones row triggers onto partitions, and refuses to where one of that name is already.
It refuses to drop a clone alone, too.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import psycopg
import pytest

from listener import triggers
from listener.changes import Watch
from listener.config import Notify
from listener.runtime.lifecycle import Stop
from tests.kit.triggers import Bench, Told

PLAIN: Final = """
CREATE TABLE film (id integer PRIMARY KEY, title text, updated_at timestamptz);
INSERT INTO film SELECT generate_series(1, 4);
"""
TREE: Final = """
CREATE TABLE film (id integer PRIMARY KEY, title text, updated_at timestamptz)
    PARTITION BY RANGE (id);
CREATE TABLE film_1 PARTITION OF film FOR VALUES FROM (0) TO (3);
CREATE TABLE film_2 PARTITION OF film FOR VALUES FROM (3) TO (100) PARTITION BY RANGE (id);
CREATE TABLE film_21 PARTITION OF film_2 FOR VALUES FROM (3) TO (100);
INSERT INTO film SELECT generate_series(1, 4);
"""
CHILDREN: Final = """
CREATE TABLE film (id integer PRIMARY KEY, title text, updated_at timestamptz);
CREATE TABLE film_1 (PRIMARY KEY (id)) INHERITS (film);
CREATE TABLE film_2 (PRIMARY KEY (id)) INHERITS (film);
INSERT INTO film_1 VALUES (1), (2); INSERT INTO film_2 VALUES (3), (4);
"""


def root(name: str, old: str) -> str:
    """A new partitioned table."""
    return (
        f"CREATE TABLE {name} (LIKE {old}) PARTITION BY RANGE (id);"
        f"ALTER TABLE {name} ADD PRIMARY KEY (id);"
    )


@dataclass(frozen=True)
class Move:
    """What was there when triggers were installed, and what was done to it. `then`: the name that
    is watched afterwards; `above`: what it is a part of then."""

    before: str
    after: str
    then: str = "film"
    above: str | None = None


MOVES: Final = {
    "under a root of its name": Move(
        PLAIN,
        "ALTER TABLE film RENAME TO film_old;"
        + root("film", "film_old")
        + "ALTER TABLE film ATTACH PARTITION film_old DEFAULT",
    ),
    "under a root of another name": Move(
        PLAIN,
        root("films", "film") + "ALTER TABLE films ATTACH PARTITION film DEFAULT",
        "films",
    ),
    "watched as before, the root is not": Move(
        PLAIN,
        root("films", "film") + "ALTER TABLE films ATTACH PARTITION film DEFAULT",
        above="films",
    ),
    "two levels under a root of its name": Move(
        PLAIN,
        "ALTER TABLE film RENAME TO film_old;"
        + root("film_mid", "film_old")
        + root("film", "film_old")
        + "ALTER TABLE film_mid ATTACH PARTITION film_old DEFAULT;"
        "ALTER TABLE film ATTACH PARTITION film_mid DEFAULT",
    ),
    "a tree under a root of its name": Move(
        TREE,
        "ALTER TABLE film RENAME TO film_old;"
        + root("film", "film_old")
        + "ALTER TABLE film ATTACH PARTITION film_old DEFAULT",
    ),
    "moved to another schema, and under a root of its name": Move(
        PLAIN,
        "CREATE SCHEMA archive; ALTER TABLE film SET SCHEMA archive;"
        + root("film", "archive.film")
        + "ALTER TABLE film ATTACH PARTITION archive.film DEFAULT",
    ),
    "children become partitions": Move(
        CHILDREN,
        "ALTER TABLE film_1 NO INHERIT film; ALTER TABLE film_2 NO INHERIT film;"
        "ALTER TABLE film RENAME TO film_old;"
        + root("film", "film_old")
        + "ALTER TABLE film ATTACH PARTITION film_1 FOR VALUES FROM (0) TO (3);"
        "ALTER TABLE film ATTACH PARTITION film_2 FOR VALUES FROM (3) TO (100)",
    ),
    "a part takes the name of its root": Move(
        TREE,
        "ALTER TABLE film RENAME TO film_old; ALTER TABLE film_1 RENAME TO film",
        above="film_old",
    ),
    "a part with parts takes the name of its root": Move(
        TREE,
        "ALTER TABLE film RENAME TO film_old; ALTER TABLE film_2 RENAME TO film",
        above="film_old",
    ),
    "a part of a part takes the name of the root": Move(
        TREE,
        "ALTER TABLE film RENAME TO film_old; ALTER TABLE film_21 RENAME TO film",
        above="film_2",
    ),
    "a child takes the name of its parent": Move(
        CHILDREN,
        "ALTER TABLE film RENAME TO film_old; ALTER TABLE film_1 RENAME TO film",
        above="film_old",
    ),
    "a child has another parent": Move(
        CHILDREN,
        "CREATE TABLE other (LIKE film); ALTER TABLE film_1 INHERIT other",
        above="other",
    ),
    "root and part swap their names": Move(
        TREE,
        "ALTER TABLE film RENAME TO film_old; ALTER TABLE film_2 RENAME TO film;"
        "ALTER TABLE film_old RENAME TO film_2",
        "film_2",
    ),
    "a detached part takes the name of the root": Move(
        TREE,
        "ALTER TABLE film DETACH PARTITION film_2; ALTER TABLE film RENAME TO film_old;"
        "ALTER TABLE film_2 RENAME TO film",
    ),
    "a detached part becomes the root's root": Move(
        TREE,
        "ALTER TABLE film DETACH PARTITION film_2; ALTER TABLE film_2 DETACH PARTITION film_21;"
        "ALTER TABLE film RENAME TO film_old; ALTER TABLE film_2 RENAME TO film;"
        "ALTER TABLE film ATTACH PARTITION film_old FOR VALUES FROM (0) TO (3);"
        "ALTER TABLE film ATTACH PARTITION film_21 FOR VALUES FROM (3) TO (100)",
    ),
    "the only part is detached, and the root goes": Move(
        TREE,
        "ALTER TABLE film DETACH PARTITION film_1; DROP TABLE film;"
        "ALTER TABLE film_1 RENAME TO film",
    ),
}

SEAMLESS: Final = (
    "a detached part takes the name of the root",
    "a detached part becomes the root's root",
    "the only part is detached, and the root goes",
)
"""Each table had all the triggers that a table without stamps needs."""

KINDS: Final[dict[str, tuple[str | None, Notify]]] = {
    "stamped": ("updated_at", "rows"),
    "stamped alone": ("updated_at", "off"),
    "journal": (None, "rows"),
    "journal alone": (None, "off"),
}


def attached(bench: Bench, move: Move) -> None:
    """What the migration does, if PostgreSQL lets it."""
    try:
        bench.run(move.after)
    except psycopg.errors.FeatureNotSupported as error:
        if bench.version > 14:
            raise
        pytest.skip(f"PostgreSQL {bench.version} refuses that: {error}")


def value(bench: Bench, name: str) -> Any:
    return bench.value(f"SELECT {name}::text FROM listener.meta")


def leaves(bench: Bench, table: str) -> list[str]:
    """The tables with rows, below a root or the root itself."""
    return [
        row[0]
        for row in bench.admin.execute(
            "WITH RECURSIVE t (oid) AS (SELECT %s::regclass::oid UNION ALL "
            "SELECT inhrelid FROM t JOIN pg_inherits ON inhparent = t.oid) "
            "SELECT oid::regclass::text FROM t JOIN pg_class USING (oid) WHERE relkind = 'r' "
            "ORDER BY 1",
            (table,),
        )
    ]


def records(bench: Bench, table: str, stamped: bool) -> None:
    """Through the root and straight into each part: each row is stamped and told, once."""
    assert (bench.plan(), bench.status()) == ((), ())
    rows = bench.value(f"SELECT array_agg(id::text) FROM {table}") or []
    off = bench.watches[0].notify == "off"
    told = stamped_by(bench, table, f"UPDATE {table} SET title = 'through it'", stamped)
    assert off or told.sent() == set(keys(rows))
    assert stamped or told.journaled() == set(keys(rows))
    for leaf in leaves(bench, table):
        mine = bench.value(f"SELECT array_agg(id::text) FROM ONLY {leaf}") or []
        stamped_by(bench, f"ONLY {leaf}", f"UPDATE ONLY {leaf} SET title = 'straight'", stamped)
        assert bench.told(f"DELETE FROM ONLY {leaf}").journaled() == set(keys(mine))
        again = f"INSERT INTO {leaf} (id) SELECT unnest('{{{','.join(mine)}}}'::integer[])"
        stamped_by(bench, f"ONLY {leaf}", again, stamped)


def keys(rows: list[str]) -> Iterator[tuple[str]]:
    return ((one,) for one in rows)


def stamped_by(bench: Bench, table: str, statement: str, stamped: bool) -> Told:
    """What the statement told; it stamped each row, where rows are stamped."""
    moment = bench.value("SELECT clock_timestamp()::text")
    told = bench.told(statement)
    fresh = f"updated_at IS NOT NULL AND updated_at > '{moment}'"
    assert not stamped or bench.value(f"SELECT coalesce(bool_and({fresh}), true) FROM {table}")
    return told


def watch(kind: str, table: str) -> Watch:
    stamp, notify = KINDS[kind]
    return Watch("public", table, ("id",), stamp, None, notify)


TWO: Final = ("under a root of its name", "a part takes the name of its root")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MOVES)
def test_the_next_install_mends_it(bench: Bench, name: str, kind: str) -> None:
    """Everything is recorded afterwards; what was not meanwhile is compared; and nothing of ours is
    left where it is not wanted."""
    move = MOVES[name]
    bench.run(move.before)
    bench.install(watch(kind, "film"))
    before = value(bench, "pruned_below")
    attached(bench, move)
    bench.watches = (watch(kind, move.then),)
    if move.above is not None and KINDS[kind][1] != "off":
        assert f"part of public.{move.above}, and statements of" in bench.status()[0]
        return
    if bench.plan():
        bench.install()
    stamped = KINDS[kind][0] is not None
    if stamped or name not in SEAMLESS:
        assert value(bench, "pruned_below") > before
    records(bench, move.then, stamped)
    if move.above is not None:
        told = bench.told(f"DELETE FROM {move.above} WHERE id = 1 OR id = 3")
        assert len(told.journaled()) >= 1
    bench.remove()
    assert bench.value("SELECT count(*) FROM pg_trigger WHERE tgname LIKE '%listener%'") == 0


@pytest.mark.parametrize("name", TWO)
def test_the_printed_plan_does_the_same(bench: Bench, name: str) -> None:
    """psql runs it."""
    move = MOVES[name]
    bench.run(move.before)
    bench.install(watch("stamped alone", "film"))
    attached(bench, move)
    script = triggers.script(bench.plan())
    command = [str(bench.server.psql), bench.server.socket_dsn(bench.name), "-Xqv"]
    ran = subprocess.run(
        [*command, "ON_ERROR_STOP=1"], input=script, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert bench.status() == ()
    assert all(step.optional for step in bench.plan()), "an index that went with its parent's"
    bench.install()
    records(bench, "film", stamped=True)


@pytest.mark.parametrize("name", TWO)
def test_two_pipelines(bench: Bench, name: str) -> None:
    """Neither is in the way of the other, and each mends its own."""
    move = MOVES[name]
    bench.run(move.before)
    watches = (watch("stamped alone", "film"),)
    bench.install(*watches)
    observe, stop = bench.seen.append, Stop()
    second = (bench.admin, bench.wanted(watches, "second"))
    triggers.install(*second, observe=observe, stop=stop)
    attached(bench, move)
    bench.install()
    assert bench.status() == ()
    assert triggers.differences(*second).wrong
    triggers.install(*second, observe=observe, stop=stop)
    assert (bench.status(), triggers.differences(*second).wrong) == ((), ())
    triggers.remove(bench.admin, "second", observe=observe, stop=stop)
    records(bench, "film", stamped=True)


def test_a_part_of_the_former_release(bench: Bench) -> None:
    """Another body of the function, another definition of the trigger, and it is disabled."""
    bench.run(PLAIN)
    bench.install(watch("stamped", "film"))
    stamp = bench.value("SELECT tgname FROM pg_trigger WHERE tgname LIKE '~listener%'")
    function = bench.value("SELECT proname FROM pg_proc WHERE proname LIKE 'listener%_stamp'")
    bench.run(
        f"CREATE OR REPLACE FUNCTION listener.{function}() RETURNS trigger LANGUAGE plpgsql "
        "AS 'BEGIN NEW.updated_at := clock_timestamp(); RETURN NEW; END';"
        f'DROP TRIGGER "{stamp}" ON film;'
        f'CREATE TRIGGER "{stamp}" BEFORE INSERT ON film FOR EACH ROW '
        f"EXECUTE FUNCTION listener.{function}();"
        f'ALTER TABLE film DISABLE TRIGGER "{stamp}"'
    )
    attached(bench, MOVES["under a root of its name"])
    bench.install()
    records(bench, "film", stamped=True)


def test_many_parts(bench: Bench) -> None:
    """More than one transaction makes: what is in the way goes with the row trigger of the root."""
    parts = range(30)
    bench.run(
        "CREATE TABLE film (id integer PRIMARY KEY, title text, updated_at timestamptz);"
        + "".join(
            f"CREATE TABLE film_{n} (PRIMARY KEY (id)) INHERITS (film);"
            f"INSERT INTO film_{n} VALUES ({n});"
            for n in parts
        )
    )
    bench.install(watch("stamped", "film"))
    move = Move(
        "",
        "".join(f"ALTER TABLE film_{n} NO INHERIT film;" for n in parts)
        + "ALTER TABLE film RENAME TO film_old;"
        + root("film", "film_old")
        + "".join(
            f"ALTER TABLE film ATTACH PARTITION film_{n} FOR VALUES FROM ({n}) TO ({n + 1});"
            for n in parts
        ),
    )
    attached(bench, move)
    bench.install()
    records(bench, "film", stamped=True)


@pytest.mark.parametrize(
    "after",
    [
        "ALTER TABLE film RENAME TO film_old; CREATE TABLE film (LIKE film_old)",
        "ALTER TABLE film RENAME TO other; ALTER TABLE link RENAME TO film;"
        "ALTER TABLE other RENAME TO link",
        "CREATE SCHEMA archive; ALTER TABLE film SET SCHEMA archive; CREATE TABLE film "
        "(LIKE archive.film); ALTER TABLE archive.film RENAME TO link;"
        "ALTER TABLE link RENAME TO film_old; ALTER TABLE archive.link SET SCHEMA public",
    ],
    ids=["anew", "swapped", "moved"],
)
def test_an_index_goes_with_its_table(bench: Bench, after: str) -> None:
    """Not with the name of the table, which another one may bear that needs its own."""
    bench.run(PLAIN + "CREATE TABLE link (LIKE film)")
    bench.install(watch("stamped", "film"), watch("stamped", "link"))
    bench.run(after)
    assert bench.slow()
    bench.install()
    assert (bench.plan(), bench.status(), bench.slow()) == ((), (), ())
    indexes = (
        "SELECT array_agg(relname::text ORDER BY relname) FROM pg_index "
        "JOIN pg_class c ON c.oid = indrelid WHERE indexrelid::regclass::text LIKE 'listener_at_%'"
    )
    assert bench.value(indexes) == ["film", "link"]


def test_a_part_half_detached(bench: Bench) -> None:
    """DETACH CONCURRENTLY that was cut short: no statement of the root reaches the part."""
    if bench.version < 14:
        pytest.skip("no DETACH CONCURRENTLY")
    bench.run(TREE)
    bench.install(watch("stamped", "film"))
    reader = bench.connect()
    reader.execute("BEGIN; SELECT FROM film; DECLARE c CURSOR FOR SELECT FROM film")
    bench.run("SET lock_timeout = '100ms'")
    with pytest.raises(psycopg.errors.LockNotAvailable):
        bench.run("ALTER TABLE film DETACH PARTITION film_1 CONCURRENTLY")
    bench.run("RESET lock_timeout")
    reader.execute("COMMIT")
    assert bench.value("SELECT count(*) FROM pg_inherits WHERE inhdetachpending") == 1
    stamp = bench.value("SELECT min(tgname) FROM pg_trigger WHERE tgname LIKE '~listener%'")
    bench.run(f'DROP TRIGGER "{stamp}" ON film')
    bench.install()
    assert (bench.plan(), bench.status()) == ((), ())
    bench.run("ALTER TABLE film DETACH PARTITION film_1 FINALIZE")
    bench.install()
    records(bench, "film", stamped=True)


def test_attached_where_its_triggers_are_in_the_way(bench: Bench) -> None:
    """PostgreSQL refuses the ATTACH, and the next install makes way for it."""
    bench.run(PLAIN)
    bench.install(watch("stamped", "film"))
    stamp = bench.value("SELECT min(tgname) FROM pg_trigger WHERE tgname LIKE '~listener%'")
    function = bench.value("SELECT min(proname) FROM pg_proc WHERE proname LIKE 'listener%_stamp'")
    bench.run("ALTER TABLE film RENAME TO film_old;" + root("film", "film_old"))
    bench.run(
        f'CREATE TRIGGER "{stamp}" BEFORE INSERT ON film FOR EACH ROW '
        f"EXECUTE FUNCTION listener.{function}()"
    )
    attach = "ALTER TABLE film ATTACH PARTITION film_old DEFAULT"
    with pytest.raises(psycopg.errors.DuplicateObject):
        bench.run(attach)
    bench.install()
    bench.run(attach)
    bench.install()
    records(bench, "film", stamped=True)


@contextmanager
def subscribed(bench: Bench) -> Iterator[None]:
    """As if `film` were the target of a subscription: nothing is connected to."""
    bench.run(
        "CREATE SUBSCRIPTION mine CONNECTION 'dbname=nowhere' PUBLICATION p WITH (connect = false);"
    )
    bench.run(
        "SET allow_system_table_mods = on;"
        "INSERT INTO pg_subscription_rel SELECT oid, 'film'::regclass, 'r', NULL "
        "FROM pg_subscription WHERE subname = 'mine'"
    )
    try:
        yield
    finally:
        bench.run("ALTER SUBSCRIPTION mine SET (slot_name = NONE)")
        bench.run("DROP SUBSCRIPTION mine")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("stamp", ["updated_at", None], ids=["stamped", "journal"])
@pytest.mark.parametrize("name", TWO)
def test_row_triggers_of_a_subscribed_table(bench: Bench, name: str, stamp: str | None) -> None:
    """All of them are of the kind that PostgreSQL clones."""
    move = MOVES[name]
    bench.run(move.before)
    with subscribed(bench):
        if name == "a part takes the name of its root":
            bench.run("UPDATE pg_subscription_rel SET srrelid = 'film_1'::regclass")
        bench.install(Watch("public", "film", ("id",), stamp, None, "off"))
        assert bench.value("SELECT count(*) FROM pg_trigger WHERE tgname LIKE '%_delete_row'")
        bench.run(move.after)
        bench.install()
        records(bench, "film", stamp is not None)


@pytest.mark.parametrize("name", TWO)
def test_nothing_is_written_between(bench: Bench, name: str) -> None:
    """Under writers, straight into the part: each row that they write while the triggers are
    exchanged is stamped, each one that they delete is in the journal."""
    move = MOVES[name]
    bench.run(move.before)
    bench.install(watch("stamped alone", "film"))
    attached(bench, move)
    for step in bench.plan():
        drops = any('DROP TRIGGER "~listener_stamp' in one for one in step.statements)
        makes = any('CREATE TRIGGER "~listener_stamp' in one for one in step.statements)
        assert makes or not drops, "the gap is too short for the writers to meet it each time"
    part = "film_old" if name == "under a root of its name" else "film"
    bench.run(f"DELETE FROM {part}; DELETE FROM listener.journal")
    stop = threading.Event()
    writing = threading.Barrier(3)
    failed: list[str] = []
    deleted: list[int] = []

    def write(number: int) -> None:
        with psycopg.connect(
            bench.server.socket_dsn(bench.name), autocommit=True, options="-c lock_timeout=2s"
        ) as conn:
            first = True
            while not stop.is_set():
                try:
                    for key in (number, number + 1):
                        conn.execute(f"INSERT INTO {part} (id) VALUES ({key})".encode())
                        found = conn.execute(
                            f"DELETE FROM {part} WHERE id = {key} RETURNING updated_at".encode()
                        ).fetchone()
                        if found is None or found[0] is None:
                            failed.append("a row without a stamp")
                        deleted.append(key)
                except psycopg.Error as error:
                    failed.append(str(error))
                if first:
                    writing.wait()
                first = False

    threads = [threading.Thread(target=write, args=(number,)) for number in (-4, 1)]
    if part == "film":  # its bounds are 0 and 3
        threads = [threading.Thread(target=write, args=(1,))]
        writing = threading.Barrier(2)
    for thread in threads:
        thread.start()
    try:
        writing.wait()
        bench.install()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failed == []
    assert bench.status() == ()
    told = bench.value("SELECT count(*) FROM listener.journal WHERE kind = 'keys'")
    assert told >= len(deleted)
