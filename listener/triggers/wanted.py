"""The functions and triggers that should exist, as plain values: no I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from listener.triggers import bodies, keys, names
from listener.triggers.bodies import Function
from listener.triggers.catalog import Member, Watched
from listener.triggers.keys import Event

ROW: Final = 1
BEFORE: Final = 2
"""Bits of pg_trigger.tgtype; each event has one, too."""

_EVENTS: Final[dict[Event, int]] = {"insert": 4, "delete": 8, "update": 16, "truncate": 32}


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger on one table.

    `kind` is pg_trigger.tgtype. `old` and `new`: whether it has these transition tables. `column`:
    the column that its WHEN clause names. `clone`: PostgreSQL makes it, from the parent's.
    """

    name: str
    member: Member
    function: str
    events: tuple[Event, ...]
    kind: int
    old: bool
    new: bool
    column: str | None
    clone: bool


@dataclass(frozen=True, slots=True)
class Goal:
    """All that belongs to one table and its parts; a parent's trigger before its clones."""

    functions: tuple[Function, ...]
    triggers: tuple[Trigger, ...]


def wanted(group: Sequence[Watched], schema: str) -> Goal:
    """What belongs to one table: `group` holds all watches of it."""
    functions: list[Function] = []
    triggers: list[Trigger] = []
    if group[0].stamp is not None:
        stamp = bodies.stamp(group, schema)
        functions.append(stamp)
        triggers.extend(_stamp_triggers(group[0], stamp, schema))
    ringing: Watched | None = None  # one watch rings for all of the table
    for one in group:
        only = keys.stamped_only(one)
        if only and one.watch.rings and ringing is None:
            ringing = one
        for event in _EVENTS:
            if event in ("insert", "update") and only:
                if ringing is not one:
                    continue
                function = bodies.ringing(one, event, schema)
                triggers.extend(_change_triggers(one, event, function, reads=False))
            elif event == "insert" and one.stamp is not None and not one.watch.notifies:
                continue  # polling sees the stamp
            else:
                function = bodies.change(one, event, schema)
                triggers.extend(_change_triggers(one, event, function))
            functions.append(function)
    return Goal(tuple(functions), tuple(triggers))


def _stamp_triggers(one: Watched, function: Function, schema: str) -> Iterator[Trigger]:
    for member in one.members:
        yield Trigger(
            name=names.stamp_trigger(schema, one.watch),
            member=member,
            function=function.name,
            events=("insert", "update"),
            kind=ROW | BEFORE | _EVENTS["insert"] | _EVENTS["update"],
            old=False,
            new=False,
            # a clone depends on its parent's trigger, and only through that on the column
            column=None if member.partition else one.watch.updated_at,
            clone=member.partition,
        )


def _change_triggers(
    one: Watched, event: Event, function: Function, *, reads: bool = True
) -> Iterator[Trigger]:
    """`reads`: whether it is given the changed rows."""
    row = one.row_level and event != "truncate"
    for member in one.members:
        yield Trigger(
            name=function.name,
            member=member,
            function=function.name,
            events=(event,),
            kind=_EVENTS[event] | (ROW if row else 0),
            old=reads and not row and event in ("update", "delete"),
            new=reads and not row and event in ("update", "insert"),
            column=None,
            clone=row and member.partition,
        )
