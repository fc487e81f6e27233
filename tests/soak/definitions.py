"""Faults of what the database means: documents left out for a while, views and functions replaced,
tables and keys that are others for a moment. They know the schemas of the soak by name."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from random import Random

import psycopg

from tests.kit.chaos.fault import fault
from tests.kit.chaos.restores import Marks, behind, bulk_alias, daemons_away
from tests.kit.chaos.world import NotInTime, World
from tests.kit.scene import OWNER
from tests.soak.stage import search_path

_BIG = 3_000_000_000
"""Above what an integer holds."""


# -- a document that is not there for a while ------------------------------------------------------


def document_left_out(world: World, choice: Random) -> None:
    """The daemons run for a while without one document; then it stands in the file again."""
    with world.locking():  # its triggers go, and come again
        _left_out(world, choice)


def _left_out(world: World, choice: Random) -> None:
    documents = world.scene.options["documents"]
    bulk = bulk_alias(world)
    place = choice.choice([number for number, one in enumerate(documents) if len(documents) > 1])
    if choice.random() < 0.4:  # the one whose rows the marks are
        place = next(n for n, one in enumerate(documents) if one["index"] == bulk)
    alias, told = documents[place]["index"], []
    marks = Marks.drawn(world, choice)
    marks.prepare()
    if choice.random() < 0.25:  # a load of it is under way when it goes
        for name in behind(world, alias):
            world.ask("DELETE", f"/{name}")
        world.rest(choice.uniform(0, 1.5))
        told.append("a load was under way")
    with daemons_away(world, choice.choice(["stopped", "killed"])):
        out = documents.pop(place)
    try:
        world.wait(lambda: any(_serves(world)), seconds=60, what="a daemon without the document")
        marks.change()
        _edit(world, choice)
        if choice.random() < 0.25:
            with world.alone(), world.connect(lock_timeout="5s") as session:
                session.execute(b"TRUNCATE stock.movement, cards.ticket")
            told.append("TRUNCATE")
        if choice.random() < 0.5:
            told.append(f"{_pruned(world)} rows pruned")
        world.rest(choice.uniform(0.5, 4))
    finally:
        with daemons_away(world, choice.choice(["stopped", "killed"])):
            documents.insert(place, out)
        world.wait(lambda: any(_serves(world)), seconds=30)
    world.tell(f"document_left_out: {alias} {', '.join(told)}")


def _serves(world: World) -> Iterator[bool]:
    for seat in world.seats:
        yield seat.leads and bool(seat.process.found("caught_up"))


def _edit(world: World, choice: Random) -> None:
    """One edit of each table that only one document reads."""
    _write(
        world,
        f"UPDATE cards.card SET label = 'While out {choice.random()}' WHERE id % 7 = 3; "
        "DELETE FROM cards.card WHERE id % 50 = 9; "
        f"UPDATE cards.ticket SET label = 'While out {choice.random()}' WHERE id % 5 = 1; "
        "DELETE FROM cards.ticket WHERE id % 40 = 3; "
        "DELETE FROM stock.movement WHERE id % 9 = 4",
    )


def _write(world: World, statements: str) -> None:
    """Write beside the writers, in one transaction: where their locks are in the way, once more."""

    def done() -> bool:
        try:
            with world.connect(lock_timeout="5s") as session:
                session.execute(statements.encode())
        except (psycopg.errors.DeadlockDetected, psycopg.errors.LockNotAvailable):
            return False
        return True

    world.wait(done, seconds=60, what="a write beside the writers")


def _pruned(world: World) -> int:
    """The journal loses all behind the watermark, as after `triggers.retention`."""
    place = f"/{world.scene.prefix}-control/_doc/{world.scene.prefix}"
    mark = world.answer("GET", place).get("_source", {}).get("last_processed")
    if mark is None:
        return 0
    with world.connect(lock_timeout="2s") as session:
        try:
            session.execute(
                b"UPDATE listener.meta SET pruned_below = "
                b"greatest(pruned_below, %(mark)s::timestamptz - interval '5 s')",
                {"mark": mark},
            )
            found = session.execute(
                b"DELETE FROM listener.journal "
                b"WHERE updated_at < (SELECT pruned_below FROM listener.meta)"
            )
        except psycopg.errors.UndefinedTable:  # the schema was dropped a moment ago
            return 0
        return found.rowcount


# -- what the query reads --------------------------------------------------------------------------


def _view(choice: Random) -> str:
    return (
        "CREATE OR REPLACE VIEW cards.plain AS SELECT id, label, worth, "
        f"'edition {choice.randrange(1000)}'::text AS edition FROM cards.card"
    )


def _filter(choice: Random) -> str:
    return (
        "CREATE OR REPLACE VIEW cards.shown AS SELECT id, label, worth, edition FROM cards.plain "
        f"WHERE worth >= {choice.choice([0, 1, 2])}"
    )


def _made_anew(choice: Random) -> str:
    return f"DROP VIEW cards.shown; {_filter(choice)}"


def _outer(choice: Random) -> str:
    return (
        "CREATE OR REPLACE FUNCTION cards.price(integer) RETURNS integer LANGUAGE plpgsql STABLE "
        f"AS 'BEGIN RETURN cards.rate($1) + {choice.randrange(100)}; END'"
    )


def _inner(choice: Random) -> str:
    return (
        "CREATE OR REPLACE FUNCTION cards.rate(integer) RETURNS integer LANGUAGE plpgsql STABLE "
        f"AS 'BEGIN RETURN $1 * {choice.randint(2, 100)}; END'"
    )


def view_replaced(world: World, choice: Random) -> None:
    """Views and functions that a query reads are replaced, together or one by one."""
    kinds = [_view, _filter, _made_anew, _outer, _inner]
    some = choice.sample(kinds, choice.randint(1, 3))
    way = choice.choice(["beside", "beside", "stopped", "killed"])
    with daemons_away(world, way):
        if choice.random() < 0.5:
            _define(world, "; ".join(make(choice) for make in some))
        else:
            for make in some:
                _define(world, make(choice))
                world.rest(choice.uniform(0, 1))
    world.tell(f"view_replaced: {', '.join(one.__name__ for one in some)}, daemons {way}")


def _define(world: World, statements: str) -> None:
    """As the owner, for what is made anew belongs to who makes it."""
    done = world.alter(f"BEGIN; SET LOCAL ROLE {OWNER}; {statements}; COMMIT")
    if not done:
        raise NotInTime(f"no lock for {statements}")


# -- tables that are others for a moment -----------------------------------------------------------


def _surely(world: World, undo: Callable[[], None]) -> None:
    """Undo it, whatever another fault does to the server meanwhile; `undo` may come twice."""

    def done() -> bool:
        try:
            undo()
        except (psycopg.OperationalError, NotInTime):
            return False
        return True

    world.wait(done, seconds=90, what="an undone fault")


def tables_swapped(world: World, choice: Random) -> None:
    """A table and its copy swap names, somebody writes, and they swap back."""
    name = choice.choice(["ticket", "ticket", "card"])
    here, there, aside = name, f"{name}_other", f"{name}_aside"
    swap = (
        f"ALTER TABLE cards.{here} RENAME TO {aside}; ALTER TABLE cards.{there} RENAME TO {here}; "
        f"ALTER TABLE cards.{aside} RENAME TO {there}"
    )
    [(table,)] = world.scene.admin(f"SELECT 'cards.{here}'::regclass::oid")

    def back() -> None:
        [(now,)] = world.scene.admin(f"SELECT 'cards.{here}'::regclass::oid")
        if now != table:
            _define(world, swap)
        _define(world, f"DROP TABLE IF EXISTS cards.{there}")

    world.all_up()
    with world.locking(), world.alone():
        _define(
            world,
            f"DROP TABLE IF EXISTS cards.{there}; "
            f"CREATE TABLE cards.{there} (LIKE cards.{here} INCLUDING ALL); "
            f"INSERT INTO cards.{there} SELECT * FROM cards.{here} WHERE id % 3 = 0; "
            f"UPDATE cards.{there} SET label = 'Other'",
        )
        try:
            _define(world, swap)
            _write(
                world,
                f"UPDATE cards.{there} SET label = 'Swapped {choice.random()}' WHERE id % 4 = 1",
            )
            if choice.random() < 0.5:
                _write(world, f"DELETE FROM cards.{there} WHERE id % 30 = 7")
            world.rest(choice.choice([0.1, 0.5, 1, 4]))
        finally:
            _surely(world, back)
    world.tell(f"tables_swapped: {name}")


def key_retyped(world: World, choice: Random) -> None:
    """A key becomes a bigint, and has ids that an integer has not; some seconds later it is an
    integer again."""
    world.all_up()
    with world.locking():
        try:
            if not world.alter("ALTER TABLE cards.ticket ALTER id TYPE bigint"):
                raise NotInTime("no lock for cards.ticket")
            _write(
                world,
                f"INSERT INTO cards.ticket SELECT {_BIG} + n, 'Big' "
                "FROM generate_series(1, 9) AS n",
            )
            world.rest(choice.uniform(0.5, 5))
            _write(world, f"UPDATE cards.ticket SET label = 'Bigger' WHERE id > {_BIG + 4}")
            world.rest(choice.uniform(0.5, 5))
        finally:
            _surely(world, lambda: _integer_again(world))
    world.tell("key_retyped: integer, bigint with ids over 2^31, integer")


def _integer_again(world: World) -> None:
    with world.connect(lock_timeout="5s") as session:
        session.execute(f"DELETE FROM cards.ticket WHERE id > {_BIG}".encode())
    if not world.alter("ALTER TABLE cards.ticket ALTER id TYPE integer", tries=60):
        raise NotInTime("no lock for cards.ticket")


def stamped_ahead(world: World, choice: Random) -> None:
    """Rows get stamps of the future, as a clock that was ahead leaves them."""
    ahead = choice.randint(2, 15)
    few = choice.randint(1, 11_000)
    with world.locking():  # what is enabled so is not as it was: the daemon puts it right
        done = world.alter(
            f"BEGIN; ALTER TABLE {world.bulk} DISABLE TRIGGER USER; "
            f"UPDATE {world.bulk} SET title = 'Bulk ahead {ahead}', "
            f"updated_at = clock_timestamp() + interval '{ahead} s' WHERE id IN "
            f"(SELECT md5('bulk ' || n)::uuid FROM generate_series({few}, {few + 400}) AS n); "
            f"ALTER TABLE {world.bulk} ENABLE TRIGGER USER; COMMIT"
        )
    world.rest(choice.uniform(0, 2))
    world.tell(f"stamped_ahead: {ahead} s: {done}")


# -- rights and paths ------------------------------------------------------------------------------


def rights_revoked(world: World, choice: Random) -> None:
    """What the triggers' owner, or the daemon, may do is revoked for a moment, under writes."""
    what = choice.choice(
        [
            ("INSERT", "TABLE listener.journal"),
            ("USAGE", "SCHEMA listener"),
            ("SELECT", "TABLE cards.card"),
            ("USAGE", "SCHEMA cards"),
        ]
    )
    if not world.scene.admin("SELECT 1 WHERE to_regclass('listener.journal') IS NOT NULL"):
        return
    right, place = what
    world.all_up()
    with world.locking():
        with _revoked(world, right, place):
            _write(
                world,
                f"UPDATE cards.card SET label = 'Revoked {choice.random()}' "
                "WHERE id % 11 = 5; DELETE FROM cards.card WHERE id % 70 = 9",
            )
            world.rest(choice.uniform(0.5, 3))
        world.rest(choice.uniform(0, 2))
    world.tell(f"rights_revoked: {right} on {place}")


@contextlib.contextmanager
def _revoked(world: World, right: str, place: str) -> Iterator[None]:
    with world.connect() as session:
        session.execute(f"REVOKE {right} ON {place} FROM {OWNER}".encode())
    try:
        yield
    finally:
        _surely(world, lambda: _grant(world, right, place))


def _grant(world: World, right: str, place: str) -> None:
    gone = psycopg.errors.InvalidSchemaName, psycopg.errors.UndefinedTable
    # what was dropped meanwhile is made anew with all rights
    with world.connect() as session, contextlib.suppress(*gone):
        session.execute(f"GRANT {right} ON {place} TO {OWNER}".encode())


def path_altered(world: World, choice: Random) -> None:
    """The search_path of the daemon's role is another one, for sessions that begin from now on."""
    way, number = choice.choice(["ended", "stopped", "killed"]), choice.randrange(2)
    with daemons_away(world, way):
        with world.connect() as session:
            session.execute(search_path(world.scene.database, number).encode())
            if way == "ended":
                session.execute(
                    b"SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    b"WHERE datname = current_database() AND application_name LIKE 'listener%'"
                )
        world.rest(choice.uniform(0, 1))
    world.tell(f"path_altered: to number {number}, sessions {way}")


FAULTS = (
    fault(document_left_out, "daemons", "index", "triggers", "search"),
    fault(view_replaced, "daemons", "cards"),
    fault(tables_swapped, "cards", "triggers", "rows", "daemons"),
    fault(key_retyped, "cards", "triggers", "daemons"),
    fault(stamped_ahead, "rows", "triggers"),
    fault(rights_revoked, "cards", "triggers", "daemons"),
    fault(path_altered, "cards", "daemons"),
)
