"""Installing and removing: rounds of a plan until nothing is left to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from psycopg import sql

from listener.observations.events import CheckWarning, Observe, TriggersInstalled
from listener.postgres import Connection
from listener.runtime.lifecycle import Stop
from listener.triggers import indexes
from listener.triggers.catalog import TriggerError, rows
from listener.triggers.drops import drop_triggers
from listener.triggers.execution import Execution
from listener.triggers.plan import Installation, plan
from listener.triggers.present import Present, PresentTrigger, look
from listener.triggers.steps import Step, text
from listener.triggers.strangers import LOST, made, refuse_name, refuse_strangers

LOCK_PATIENCE: Final = 60.0
"""Seconds of waiting for locks before installing is given up."""

_ROUNDS: Final = 3
"""Partitions may be added during the installation: look again."""


def install(
    conn: Connection,
    wanted: Installation,
    *,
    observe: Observe,
    stop: Stop,
    patience: float = LOCK_PATIENCE,
    hurry: bool = False,
    waiting: Callable[[str], object] = lambda _: None,
) -> int:
    """Bring the database to the wanted state; the number of statements that it took.

    Raises TriggerError (what is wrong), its Busy (who held a lock for longer than `patience`
    seconds), and Stopped. Steps that were carried out stay: the next call goes on from there.
    `hurry`: an index, which is for speed alone, is left out and told of where another transaction
    is in its way; Busy is raised soon where another installer is at work. `waiting` is called with
    the reason before each wait, which lasts for a second at most.
    """
    execution = Execution(conn, observe, stop, patience, hurry=hurry, waiting=waiting)
    postponed: list[str] = []
    with execution.alone(wanted.schema):
        for _ in range(_ROUNDS):
            if not _carry_out(execution, plan(conn, wanted), postponed):
                break
        else:
            lacking = [step for step in plan(conn, wanted) if not (step.optional and postponed)]
            if lacking:
                raise TriggerError(*(reason for step in lacking for reason in step.reasons))
    if execution.statements:
        observe(TriggersInstalled(execution.statements))
    if postponed and not hurry:
        raise TriggerError(*postponed)
    for one in postponed:
        observe(CheckWarning(one, "polls are slow without it: `listener triggers install`"))
    return execution.statements


def _carry_out(execution: Execution, steps: Sequence[Step], postponed: list[str]) -> bool:
    """Whether there was anything to do. An optional step that fails ends all optional ones."""
    found = False
    for step in steps:
        if step.optional and postponed:
            continue
        found = True
        try:
            execution.run(step)
        except TriggerError as error:
            if not step.optional:
                raise
            postponed.extend(error.problems)
    return found


def remove(
    conn: Connection, schema: str, *, observe: Observe, stop: Stop, patience: float = LOCK_PATIENCE
) -> tuple[str, ...]:
    """Drop all that listener made: triggers, functions, indexes, the schema.

    Returns what was left and why. Raises TriggerError, where something stands in the way before
    anything is dropped, and Stopped.
    """
    if problems := list(refuse_name(schema)):
        raise TriggerError(*problems)
    execution = Execution(conn, observe, stop, patience)
    with execution.alone(schema):
        present = look(conn, schema)
        refuse_strangers(conn, present, schema)
        _refuse_others(conn, present)
        left = [*_left(conn, present, schema), *_schema_left(present, schema)]
        by_table: dict[int, list[PresentTrigger]] = {}
        for one in present.triggers.values():
            if not one.clone:
                by_table.setdefault(one.table, []).append(one)
        for step in drop_triggers(by_table, present):
            execution.run(step)
        for index in present.indexes:
            execution.run(indexes.drop(index))
        if dropped := _drop_schema(schema, present):
            execution.run(dropped)
    return tuple(left)


def _refuse_others(conn: Connection, present: Present) -> None:
    """Raises TriggerError where PostgreSQL would refuse it when part of it is done."""
    oids = {one.table for one in present.triggers.values() if not one.clone}
    if not present.owned:
        oids.update(made(present).values())
    if found := rows(conn, "not_owned", oids=list(oids)):
        raise TriggerError(
            *(
                f"{what} belongs to {owner}: `listener triggers remove --dsn`, as the owner of all "
                "tables or as a superuser"
                for what, owner in found
            )
        )


def _left(conn: Connection, present: Present, schema: str) -> tuple[str, ...]:
    """The columns that were stamped, and whether another pipeline goes on with that."""
    stamped = {
        (one.table, one.column): f"column {one.column} of {one.schema}.{one.relation} is left, "
        for one in present.triggers.values()
        if one.column is not None and not one.clone
    }
    others: dict[tuple[int, str], str] = {}
    oids = [table for table, _ in stamped]
    for table, column, other in rows(conn, "other_stamps", oids=oids, schema=schema):
        others.setdefault((table, column), other)
    return tuple(
        what
        + (
            f"and the pipeline with schema {others[key]} stamps it still"
            if key in others
            else "and nothing stamps it any more"
        )
        for key, what in stamped.items()
    )


def _schema_left(present: Present, schema: str) -> Iterator[str]:
    """Whether the schema stays, and why."""
    if present.relations is None:
        return
    if not made(present) and not present.functions:
        yield f"the schema {schema} is left: it is empty, and nothing tells that listener made it"
    elif not present.owned:
        yield f"the schema {schema} is left, empty: another role owns it"


def _drop_schema(schema: str, present: Present) -> Step | None:
    """Drop what is listener's in the schema, and the schema that nothing else is in."""
    ours = made(present)
    statements = [
        text("DROP FUNCTION {}()", sql.Identifier(schema, name)) for name in present.functions
    ]
    tables: list[tuple[int, str]] = []
    for name, oid in ours.items():
        place = text("{}", sql.Identifier(schema, name))
        if name == LOST:  # first: a table that was made its owner would take it along
            statements.insert(0, f"DROP SEQUENCE {place}")
        else:
            tables.append((oid, place))
            statements.append(f"DROP TABLE {place}")
    if not statements:
        return None
    if present.owned:
        statements.append(text("DROP SCHEMA {}", sql.Identifier(schema)))
    return Step(f"our own schema, {schema}", tuple(statements), (), tables=tuple(tables))
