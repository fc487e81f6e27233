"""Rare writes that an application or an operator is free to make."""

from __future__ import annotations

from random import Random

import psycopg

from tests.kit.chaos.fault import fault
from tests.kit.chaos.world import World

_TRIGGERS = """
    SELECT DISTINCT t.tgrelid::regclass::text FROM pg_trigger AS t
    JOIN pg_proc AS p ON p.oid = t.tgfoid
    WHERE NOT t.tgisinternal AND t.tgparentid = 0
      AND p.pronamespace = to_regnamespace('listener') ORDER BY 1"""


def long_transaction(world: World, choice: Random) -> None:
    """Writes a row, stays open for some seconds, and commits, rolls back, or is lost."""
    end = choice.choice(["COMMIT", "COMMIT", "ROLLBACK", ""])
    with world.connect(lock_timeout="1s") as session:
        session.execute(
            f"BEGIN; UPDATE {world.bulk} SET title = 'Bulk late' "
            f"WHERE id = md5('bulk {choice.randint(1, 1000)}')::uuid; SAVEPOINT kept; "
            f"UPDATE {world.bulk} SET title = 'Bulk undone' "
            f"WHERE id = md5('bulk {choice.randint(1, 1000)}')::uuid; "
            "ROLLBACK TO kept".encode()
        )
        world.rest(choice.uniform(2, 7))
        if end:
            session.execute(end.encode())


def big_statement(world: World, choice: Random) -> None:
    """One that changes more than 10,000 documents, and often a second one right behind it."""
    for _ in range(choice.randint(1, 2)):
        statement = choice.choice(world.big).format(text=choice.randrange(1_000_000))
        with world.connect(lock_timeout="5s") as session:
            session.execute(statement.encode())
        world.rest(choice.uniform(0, 1))


def prepared(world: World, choice: Random) -> None:
    """PREPARE TRANSACTION, which only `notify: off` lets pass, and its end seconds later."""
    name = f"chaos {choice.randrange(1_000_000)}"
    with world.connect(lock_timeout="1s") as session:
        try:
            session.execute(
                f"BEGIN; UPDATE {world.bulk} SET title = 'Bulk prepared' "
                f"WHERE id = md5('bulk {choice.randint(1, 1000)}')::uuid; "
                f"PREPARE TRANSACTION '{name}'".encode()
            )
        except psycopg.errors.FeatureNotSupported:
            world.rest(0.1)
            return
        world.rest(choice.uniform(1, 4))
        session.execute(f"{choice.choice(['COMMIT', 'ROLLBACK'])} PREPARED '{name}'".encode())


def replicated(world: World, choice: Random) -> None:
    """Writes as replication makes them: `session_replication_role = replica`."""
    with world.connect(session_replication_role="replica", lock_timeout="1s") as session:
        for _ in range(choice.randint(1, 4)):
            first = choice.randint(1, 10_000)
            few = (
                f"(SELECT md5('bulk ' || n)::uuid FROM generate_series({first}, {first + 20}) AS n)"
            )
            text = f"'Bulk replica {choice.randrange(1_000_000)}'"
            session.execute(
                choice.choice(
                    [
                        f"UPDATE {world.bulk} SET title = {text} WHERE id IN {few}",
                        f"DELETE FROM {world.bulk} WHERE id IN {few}",
                        f"INSERT INTO {world.bulk} (id, title, type) SELECT id, {text}, 'movie' "
                        f"FROM {few} AS new (id) ON CONFLICT (id) DO UPDATE SET title = {text}",
                    ]
                ).encode()
            )
            world.rest(choice.uniform(0, 0.5))


def many_deleted(world: World, choice: Random) -> None:
    """Some hundred rows go, and come back."""
    first = choice.randint(1, 10_000)
    few = f"FROM generate_series({first}, {first + choice.randint(50, 400)}) AS n"
    with world.connect(lock_timeout="2s") as session:
        session.execute(
            f"DELETE FROM {world.bulk} WHERE id IN (SELECT md5('bulk ' || n)::uuid {few})".encode()
        )
        world.rest(choice.uniform(0, 2))
        session.execute(
            f"INSERT INTO {world.bulk} (id, title, type) "
            f"SELECT md5('bulk ' || n)::uuid, 'Bulk again', 'movie' {few} "
            "ON CONFLICT DO NOTHING".encode()
        )


def triggers_disabled(world: World, choice: Random) -> None:
    """All triggers of a table, for a moment; they are enabled again, by halves at times."""
    with world.locking():
        with world.connect() as session:
            tables = [row[0] for row in session.execute(_TRIGGERS.encode())]
        if not tables:
            return
        table = choice.choice(tables)
        if not world.alter(f"ALTER TABLE {table} DISABLE TRIGGER USER"):
            return
        world.rest(choice.uniform(0, 1.5))
        # ENABLE is less than ENABLE ALWAYS: the audit mends that, too
        world.alter(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        world.rest(choice.uniform(0, 2))


def schema_dropped(world: World, choice: Random) -> None:
    """DROP SCHEMA listener CASCADE, the emergency exit; the daemon makes it again."""
    with world.locking():
        with world.alone():  # it locks all tables, in an order of its own
            world.alter("DROP SCHEMA IF EXISTS listener CASCADE")
        world.rest(choice.uniform(1, 3))


FAULTS = (
    fault(long_transaction, "rows"),
    fault(big_statement, "rows"),
    fault(many_deleted, "rows"),
    fault(prepared, "rows"),
    fault(replicated, "rows"),
    fault(triggers_disabled, "triggers"),
    fault(schema_dropped, "triggers", rare=True),
)
