"""What is to be done on one watched table: its stamp column, its functions and its triggers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from psycopg import sql

from listener.triggers.bodies import Function, authentic, same_but_types
from listener.triggers.catalog import Member, Watched
from listener.triggers.drops import drop_trigger, touched
from listener.triggers.own import pruned
from listener.triggers.present import Present, PresentFunction, PresentTrigger
from listener.triggers.steps import Step, name_of, place_of, text
from listener.triggers.wanted import BEFORE, ROW, Goal, Trigger

_AT_ONCE: Final = 20
"""Parts of a table whose triggers are made in one transaction: writers wait for its end. Row
triggers of a partitioned table are made by PostgreSQL on all partitions at once."""


@dataclass(slots=True)
class _Part:
    """What is to be done on one part of a table."""

    member: Member
    statements: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


def table_steps(
    group: Sequence[Watched], goal: Goal, present: Present, schema: str
) -> Iterator[Step]:
    """What brings the triggers of one table and its parts to the goal; nothing: they are there."""
    statements: list[str] = []
    reasons: list[str] = []
    root = group[0].members[0]
    _add_stamp(group[0], root, statements, reasons)
    forged = replaced = False
    for function in goal.functions:
        here = present.functions.get(function.name)
        if here is not None and (here.is_as(function) or _is_mild(here, function)):
            continue
        replaced = replaced or here is not None
        forged = forged or (here is not None and _altered(here, function))
        state = "is missing" if here is None else "is not as this version makes it"
        reasons.append(f"{root.label}: function {schema}.{function.name} {state}")
        statements.extend(_create_function(function, schema))
    away = in_the_way(goal, present)
    _make_way(away, root, statements, reasons)
    whole = bool(statements)
    lost: dict[int, Member] = {}
    parts: dict[int, _Part] = {}
    apart = len(group[0].members) > _AT_ONCE
    for trigger, here_too, broken in _pairs(goal, present, away):
        reason, todo = _trigger(trigger, here_too, broken, schema)
        if reason is None:
            continue
        reason = f"{trigger.member.label}: trigger {trigger.name} {reason}"
        lost[trigger.member.oid] = trigger.member
        if apart and not trigger.kind & ROW and trigger.member.oid != root.oid:
            part = parts.setdefault(trigger.member.oid, _Part(trigger.member))
            part.statements.extend(todo)
            part.reasons.append(reason)
        else:
            whole = whole or trigger.member.oid != root.oid
            reasons.append(reason)
            statements.extend(todo)
    if replaced:
        # A statement runs its row trigger first and its statement trigger later: both must be of
        # one version. And statements with the former body must end before `pruned_below` is drawn.
        lock = text("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", name_of(root))
        statements.insert(0, lock)
    if forged:
        lost[root.oid] = root
    compare = _reconcile(lost, root, present, schema) if lost else None
    if statements:
        if compare is not None:
            statements.append(compare)
        tables = group[0].members if whole else (root,)
        yield Step(
            f"triggers of {root.label}",
            tuple(statements),
            tuple(reasons),
            tables=tuple(
                (dict(place_of(member) for member in tables) | touched(away, present)).items()
            ),
            watched=root.label,
        )
    if compare is not None:
        yield from _in_pieces(root, list(parts.values()), compare)


def _add_stamp(one: Watched, root: Member, statements: list[str], reasons: list[str]) -> None:
    """The stamp column, where the table lacks it."""
    if one.stamp is not None and not one.stamp_exists:
        stamp = one.watch.updated_at
        assert stamp is not None
        add = "ALTER TABLE {} ADD COLUMN {} timestamptz DEFAULT pg_catalog.now()"
        statements.append(text(add, name_of(root), sql.Identifier(stamp)))
        reasons.append(f"{root.label} has no column {stamp}")


def _is_mild(here: PresentFunction, want: Function) -> bool:
    """Whether nothing is missed while it is as it is: see `Function.mild`."""
    like = replace(want, body=here.body)
    return want.mild and here.is_as(like) and same_but_types(here.body, want.body)


def compiled_anew(
    group: Sequence[Watched], goal: Goal, present: Present, schema: str
) -> Iterator[Step]:
    """Steps that create functions once more whose columns were retyped. For speed alone: sessions
    that were open then compile them anew."""
    label = group[0].label
    for one in goal.functions:
        here = present.functions.get(one.name)
        if here is not None and not here.is_as(one) and _is_mild(here, one):
            yield Step(
                f"function of {label}, for the types of its columns",
                tuple(_create_function(one, schema)),
                (f"{label}: function {schema}.{one.name} was made for other types of columns",),
                optional=True,
                watched=label,
            )


def _in_pieces(root: Member, parts: Sequence[_Part], compare: str) -> Iterator[Step]:
    for start in range(0, len(parts), _AT_ONCE):
        some = parts[start : start + _AT_ONCE]
        first, last = some[0].member.label, some[-1].member.label
        yield Step(
            f"triggers of {root.label}: its parts {first} to {last}",
            (*(statement for part in some for statement in part.statements), compare),
            tuple(reason for part in some for reason in part.reasons),
            tables=tuple(place_of(part.member) for part in some),
            watched=root.label,
        )


def _altered(here: PresentFunction, want: Function) -> bool:
    """Whether it was changed by hand, or changes may have passed it by.

    The body of another version is trusted, unless it noted by set_config that a key moved: for a
    writer that may not call set_config it noted nothing.
    """
    if not authentic(here.body) or here.body == want.body:
        return True
    return "set_config" in here.body


def _create_function(function: Function, schema: str) -> Iterator[str]:
    name = sql.Identifier(schema, function.name)
    tag = "$listener$"
    while tag in function.body:
        tag = f"{tag[:-1]}_$"
    settings = "".join(f"SET {one.replace('=', ' = ', 1)} " for one in function.settings)
    head = text("CREATE OR REPLACE FUNCTION {}() RETURNS trigger", name)
    yield f"{head}\nLANGUAGE plpgsql SECURITY DEFINER {settings}AS {tag}{function.body}{tag}"
    yield text("REVOKE ALL ON FUNCTION {}() FROM PUBLIC", name)


def in_the_way(goal: Goal, present: Present) -> tuple[PresentTrigger, ...]:
    """What must be dropped first: else PostgreSQL refuses to make a trigger, or to drop it.

    A table with triggers of its own became a part of a tree: beside its trigger no clone of the
    same name can be made. Or the reverse, a part bears the name of its tree now: its clone goes
    only with the tree's trigger, whatever the name of that trigger.
    """
    found: dict[int, PresentTrigger] = {}
    for one in goal.triggers:
        here = present.triggers.get((one.member.oid, one.name))
        if here is not None and here.clone != one.clone:
            made = present.made(here)
            if not made.clone:
                found[made.oid] = made
    return tuple(found.values())


def _make_way(
    away: Sequence[PresentTrigger], root: Member, statements: list[str], reasons: list[str]
) -> None:
    """Drop them in the transaction that makes the others: no row is written in between."""
    statements.extend(drop_trigger(one) for one in away)
    reasons.extend(
        f"{one.schema}.{one.relation}: trigger {one.name} is in the way of that of {root.label}"
        for one in away
    )


def _pairs(
    goal: Goal, present: Present, away: Sequence[PresentTrigger]
) -> Iterator[tuple[Trigger, PresentTrigger | None, bool]]:
    """Each wanted trigger with the present one, and whether it must be made anew.

    A clone cannot be made by itself: where one is not as it should be, its parent is made anew.
    `away`: what is dropped before, with its clones.
    """
    gone = {one.oid for one in away}
    here: dict[Trigger, PresentTrigger | None] = {}
    for one in goal.triggers:
        there = present.triggers.get((one.member.oid, one.name))
        here[one] = None if there is not None and present.made(there).oid in gone else there
    cloned = {one.name for one in here if one.clone}
    anew = {one.name for one, there in here.items() if one.name in cloned and not _same(one, there)}
    for one, there in here.items():
        if one.clone and one.name in anew:
            continue
        yield one, there, one.name in anew or not _same(one, there)


def _same(want: Trigger, here: PresentTrigger | None) -> bool:
    return here is not None and (
        (here.kind, here.function, here.old, here.new, here.column, here.clone)
        == (want.kind, want.function, want.old, want.new, want.column, want.clone)
    )


def _trigger(
    want: Trigger, here: PresentTrigger | None, broken: bool, schema: str
) -> tuple[str | None, list[str]]:
    """Why something is to be done about a trigger, and what."""
    if here is not None and not broken:
        states = {"D": "is disabled", "O": "is not ENABLE ALWAYS", "R": "fires on replicas only"}
        state = states.get(here.enabled)
        return state, [] if state is None else [_always(want)]
    table, name = name_of(want.member), sql.Identifier(want.name)
    drop = [] if here is None else [text("DROP TRIGGER {} ON {}", name, table)]
    when: sql.Composable = sql.SQL("")
    if want.column is not None:
        # always true; it names the column, so that PostgreSQL refuses to drop or to retype it. Each
        # statement parses it anew: so it is short
        when = sql.SQL("\nWHEN ((NEW.{} IS NULL) IS NOT NULL)").format(sql.Identifier(want.column))
    tables = ["OLD TABLE AS old_rows"] * want.old + ["NEW TABLE AS new_rows"] * want.new
    create = text(
        f"CREATE TRIGGER {{}} {'BEFORE' if want.kind & BEFORE else 'AFTER'} "
        f"{' OR '.join(event.upper() for event in want.events)} ON {{}}"
        + (f"\nREFERENCING {' '.join(tables)}" if tables else "")
        + f"\nFOR EACH {'ROW' if want.kind & ROW else 'STATEMENT'}{{}}\nEXECUTE FUNCTION {{}}()",
        name,
        table,
        when,
        sql.Identifier(schema, want.function),
    )
    reason = "is missing" if here is None else "is not as this version makes it"
    return reason, [*drop, create, _always(want)]


def _always(want: Trigger) -> str:
    """Row triggers reach their clones; a statement trigger is of one table alone."""
    only = "" if want.kind & ROW else "ONLY "
    return text(
        f"ALTER TABLE {only}{{}} ENABLE ALWAYS TRIGGER {{}}",
        name_of(want.member),
        sql.Identifier(want.name),
    )


def _reconcile(lost: dict[int, Member], root: Member, present: Present, schema: str) -> str:
    """While a trigger was missing, changes were not recorded: an older watermark must reconcile.

    A new partition that is still empty has nothing that could have been lost.
    """
    known = {here.table for here in present.triggers.values() if not here.clone}
    new = [one for one in lost.values() if one.oid != root.oid and one.oid not in known]
    update = pruned(sql.Identifier(schema))
    if len(new) < len(lost):
        return update
    filled = " OR ".join(text("EXISTS (SELECT FROM {})", name_of(one)) for one in new)
    return f"{update}\nWHERE {filled}"
