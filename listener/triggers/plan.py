"""From what is there to what should be there: a list of steps, each one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from psycopg import sql

from listener import sqlfiles
from listener.changes import Watch
from listener.config import TriggersConfig
from listener.postgres import Connection
from listener.triggers import indexes
from listener.triggers.bodies import CALLED, Function, authentic
from listener.triggers.catalog import Catalog, Member, TriggerError, Watched, rows
from listener.triggers.present import Present, PresentFunction, PresentTrigger, look
from listener.triggers.resolve import resolve
from listener.triggers.steps import Step, name_of, text
from listener.triggers.wanted import BEFORE, ROW, Trigger, Wanted, wanted

SCHEMA_VERSION: Final = 1
_TABLES: Final = {
    "meta": "singleton boolean, schema_version integer, nonce uuid, "
    "pruned_below timestamp with time zone",
    "journal": "id bigint, updated_at timestamp with time zone, watch text, kind text, keys text, "
    "reason text",
    "parked": "document text, id text, reason text, first_at timestamp with time zone, "
    "last_at timestamp with time zone, count bigint",
}
_JOURNAL_INDEX: Final = "journal_updated_at_id"
_LOST: Final = "lost"


def plan(
    conn: Connection,
    watches: Sequence[Watch],
    schema: str,
    config: TriggersConfig,
    role: str | None = None,
) -> tuple[Step, ...]:
    """What is to be done so that all of ours is as it should be; nothing: it is.

    `role`: the daemon's, where it is not the one that installs. Raises TriggerError.
    """
    return plan_for(conn, resolve(conn, watches, schema, config), schema, role)


def plan_for(
    conn: Connection, catalog: Catalog, schema: str, role: str | None = None
) -> tuple[Step, ...]:
    """The plan for watches that are resolved already."""
    present = look(conn, schema)
    goals = {place: wanted(group, schema) for place, group in catalog.tables().items()}
    steps = list(_own_schema(conn, present, schema, role))
    steps.extend(_owners(conn, schema))
    for place, group in catalog.tables().items():
        steps.extend(_table(group, goals[place], present, schema))
    steps.extend(_stale(list(goals.values()), present, schema))
    for group in catalog.tables().values():
        steps.extend(indexes.steps(conn, group[0], schema))
    steps.extend(indexes.stale(catalog, present, schema))
    return tuple(steps)


# -- our own schema --------------------------------------------------------------------------------


def _own_schema(
    conn: Connection, present: Present, schema: str, role: str | None
) -> Iterator[Step]:
    own = sql.Identifier(schema)
    statements: list[str] = []
    reasons: list[str] = []
    relations = present.relations or {}
    if present.relations is None:
        statements.append(text("CREATE SCHEMA {}", own))
        reasons.append(f"there is no schema {schema}")
    elif relations and "meta" not in relations:
        raise TriggerError(
            f"the schema {schema} holds {', '.join(sorted(relations))} and is not listener's: "
            "name another one (postgres.schema)"
        )
    for name, columns in _TABLES.items():
        if name in relations and relations[name] != ("p", columns):
            raise TriggerError(
                f"{schema}.{name} is not as this version made it ({relations[name][1]}): "
                "`listener triggers remove`, then install"
            )
    if present.version is not None and present.version != SCHEMA_VERSION:
        raise TriggerError(
            f"the schema {schema} is of version {present.version}, this program's is "
            f"{SCHEMA_VERSION}: use the listener of that version, or `listener triggers remove` "
            "and install"
        )
    if lacks := _lacking(present):
        statements.extend(_tables(own, lacks, relations))
        if present.relations is not None:
            reasons.append(f"the schema {schema} lacks {', '.join(lacks)}")
    if role is not None:
        allowed = rows(conn, "role", schema=schema, role=role)
        if not allowed:
            raise TriggerError(f"there is no role {role}: CREATE ROLE {role} LOGIN")
        if not allowed[0][0]:
            statements.extend(_grants(own, sql.Identifier(role)))
            reasons.append(f"role {role} lacks privileges in the schema {schema}")
    if statements:
        yield Step(f"our own schema, {schema}", tuple(statements), tuple(reasons))


def _lacking(present: Present) -> list[str]:
    relations = present.relations or {}
    lacks = [name for name in (*_TABLES, _JOURNAL_INDEX, _LOST) if name not in relations]
    return lacks if lacks or present.version is not None else ["a row of meta"]


def _tables(
    own: sql.Identifier, lacks: Sequence[str], relations: Mapping[str, object]
) -> Iterator[str]:
    template = sql.SQL(sqlfiles.load("schema/tables"))
    parts = template.format(schema=own, version=sql.Literal(SCHEMA_VERSION)).as_string(None)
    yield parts.rstrip().removesuffix(";")
    if not relations:
        return
    if "journal" in lacks:
        yield _pruned(own)
    elif _JOURNAL_INDEX in lacks:
        # the primary key where we make the table; in its place any index does for the polls
        yield text(
            "CREATE INDEX {} ON {}.journal (updated_at, id)", sql.Identifier(_JOURNAL_INDEX), own
        )


def _pruned(own: sql.Identifier) -> str:
    return text("UPDATE {}.meta SET pruned_below = pg_catalog.clock_timestamp()", own)


def _grants(own: sql.Identifier, role: sql.Identifier) -> Iterator[str]:
    yield text("GRANT USAGE ON SCHEMA {} TO {}", own, role)
    yield text("GRANT SELECT, UPDATE ON {}.meta TO {}", own, role)
    yield text("GRANT SELECT ON SEQUENCE {}.lost TO {}", own, role)
    yield text("GRANT SELECT, INSERT, DELETE ON {}.journal TO {}", own, role)
    yield text("GRANT SELECT, INSERT, UPDATE, DELETE ON {}.parked TO {}", own, role)


def _owners(conn: Connection, schema: str) -> Iterator[Step]:
    """What the owners of our functions lack: without it, changes would not be recorded."""
    lacking = rows(conn, "rights", schema=schema, functions=list(CALLED))
    if lacking:
        yield Step(
            "rights of the owners of our functions",
            tuple(grant for _, _, grant in lacking),
            tuple(
                f"role {role}, which owns functions of {schema}, lacks {what}: {grant}"
                for role, what, grant in lacking
            ),
        )


# -- one watched table -----------------------------------------------------------------------------


def _table(group: Sequence[Watched], goal: Wanted, present: Present, schema: str) -> Iterator[Step]:
    statements: list[str] = []
    reasons: list[str] = []
    root = group[0].members[0]
    if group[0].stamp is not None and not group[0].stamp_exists:
        stamp = group[0].watch.updated_at
        assert stamp is not None
        add = "ALTER TABLE {} ADD COLUMN {} timestamptz DEFAULT pg_catalog.now()"
        statements.append(text(add, name_of(root), sql.Identifier(stamp)))
        reasons.append(f"{root.label} has no column {stamp}")
    forged = replaced = False
    for function in goal.functions:
        here = present.functions.get(function.name)
        if here is not None and here.is_as(function):
            continue
        replaced = replaced or here is not None
        forged = forged or (here is not None and _altered(here, function))
        state = "is missing" if here is None else "is not as this version makes it"
        reasons.append(f"{root.label}: function {schema}.{function.name} {state}")
        statements.extend(_create_function(function, schema))
    lost: dict[int, Member] = {}
    for trigger, here_too, broken in _pairs(goal, present):
        reason, todo = _trigger(trigger, here_too, broken, schema)
        if reason is not None:
            reasons.append(f"{trigger.member.label}: trigger {trigger.name} {reason}")
            lost[trigger.member.oid] = trigger.member
            statements.extend(todo)
    if replaced:
        # A statement runs its row trigger first, then its other one: both of one version. And those
        # that still run another body must end before `pruned_below` is drawn.
        lock = text("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", name_of(root))
        statements.insert(0, lock)
    if forged:
        lost[root.oid] = root
    if lost:
        statements.append(_reconcile(lost, root, present, schema))
    if statements:
        tables = tuple(member.oid for member in group[0].members)
        title = f"triggers of {root.label}"
        yield Step(title, tuple(statements), tuple(reasons), tables=tables)


def _altered(here: PresentFunction, want: Function) -> bool:
    """Whether somebody changed it by hand, or changes may have passed it by.

    Another version's is trusted, but for those that noted with set_config that a key moved: where
    the writer may not call that, they noted nothing.
    """
    if not authentic(here.body) or here.body == want.body:
        return True
    return "set_config" in here.body


def _create_function(function: Function, schema: str) -> Iterator[str]:
    name = sql.Identifier(schema, function.name)
    tag = "$listener$"
    while tag in function.body:
        tag = f"{tag[:-1]}_$"
    rights = "SECURITY DEFINER " if function.definer else ""
    settings = "".join(f"SET {one.replace('=', ' = ', 1)} " for one in function.settings)
    head = text("CREATE OR REPLACE FUNCTION {}() RETURNS trigger", name)
    yield f"{head}\nLANGUAGE plpgsql {rights}{settings}AS {tag}{function.body}{tag}"
    yield text("REVOKE ALL ON FUNCTION {}() FROM PUBLIC", name)


def _pairs(goal: Wanted, present: Present) -> Iterator[tuple[Trigger, PresentTrigger | None, bool]]:
    """Each trigger with the one that is there, and whether it must be made anew.

    A clone cannot be made by itself: where one is not as it should be, its parent is made anew.
    """
    here = {one: present.triggers.get((one.member.oid, one.name)) for one in goal.triggers}
    wrong = {one.name for one, there in here.items() if one.clone and not _same(one, there)}
    anew = {one.name for one in here if not one.clone and one.name in wrong}
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
    update = _pruned(sql.Identifier(schema))
    if len(new) < len(lost):
        return update
    filled = " OR ".join(text("EXISTS (SELECT FROM {})", name_of(one)) for one in new)
    return f"{update}\nWHERE {filled}"


# -- what is no longer wanted ----------------------------------------------------------------------


def _stale(goals: Sequence[Wanted], present: Present, schema: str) -> Iterator[Step]:
    triggers = {(one.member.oid, one.name) for goal in goals for one in goal.triggers}
    functions = {one.name for goal in goals for one in goal.functions}
    by_table: dict[int, list[PresentTrigger]] = {}
    for key, here in present.triggers.items():
        if key not in triggers and not here.clone:
            by_table.setdefault(here.table, []).append(here)
    yield from drop_triggers(by_table)
    old = [name for name in present.functions if name not in functions]
    if old:
        yield Step(
            "functions that are no longer wanted",
            tuple(text("DROP FUNCTION {}()", sql.Identifier(schema, name)) for name in old),
            tuple(f"function {schema}.{name} is no longer wanted" for name in old),
        )


def drop_triggers(by_table: dict[int, list[PresentTrigger]]) -> Iterator[Step]:
    """One step a table."""
    for group in by_table.values():
        label = f"{group[0].schema}.{group[0].relation}"
        yield Step(
            f"triggers of {label} that are no longer wanted",
            tuple(
                text(
                    "DROP TRIGGER {} ON {}",
                    sql.Identifier(one.name),
                    sql.Identifier(one.schema, one.relation),
                )
                for one in group
            ),
            tuple(f"{label}: trigger {one.name} is no longer wanted" for one in group),
            tables=(group[0].table,),
        )
