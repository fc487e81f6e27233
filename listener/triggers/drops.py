"""Triggers that are no longer wanted, and the tables that they and their clones go from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from psycopg import sql

from listener.triggers.present import Present, PresentTrigger
from listener.triggers.steps import Step, text


def drop_triggers(by_table: dict[int, list[PresentTrigger]], present: Present) -> Iterator[Step]:
    """One step a table. Row triggers take their clones along, so the clones' tables are locked
    too."""
    for group in by_table.values():
        label = f"{group[0].schema}.{group[0].relation}"
        yield Step(
            f"triggers of {label} that are no longer wanted",
            tuple(drop_trigger(one) for one in group),
            tuple(f"{label}: trigger {one.name} is no longer wanted" for one in group),
            tables=tuple(touched(group, present).items()),
            watched=label,
        )


def drop_trigger(one: PresentTrigger) -> str:
    """The statement that drops it."""
    place = sql.Identifier(one.schema, one.relation)
    return text("DROP TRIGGER {} ON {}", sql.Identifier(one.name), place)


def touched(group: Sequence[PresentTrigger], present: Present) -> dict[int, str]:
    """The tables that these triggers and their clones go from: OID and quoted name."""
    oids = {one.oid for one in group}
    clones = (one for one in present.triggers.values() if present.made(one).oid in oids)
    return {
        one.table: text("{}", sql.Identifier(one.schema, one.relation))
        for one in (*group, *clones)
        if not one.foreign
    }
