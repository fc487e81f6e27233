"""From what is there to what should be there: a list of steps, each one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from psycopg import sql

from listener.changes import Watch
from listener.config import TriggersConfig
from listener.postgres import Connection
from listener.triggers import indexes
from listener.triggers.called import CALLED, TELLING
from listener.triggers.catalog import Catalog, TriggerError, rows
from listener.triggers.drops import drop_triggers
from listener.triggers.own import Claim, own_schema
from listener.triggers.present import Present, PresentTrigger, look
from listener.triggers.resolve import resolve
from listener.triggers.steps import Step, text
from listener.triggers.tables import compiled_anew, in_the_way, table_steps
from listener.triggers.wanted import Goal, wanted


@dataclass(frozen=True, slots=True)
class Installation:
    """What one pipeline wants of the database.

    `role`: the daemon's, where another one installs. `claim`: the pipeline that the schema is for;
    None: it may be any pipeline's.
    """

    watches: Sequence[Watch]
    schema: str
    config: TriggersConfig
    role: str | None = None
    claim: Claim | None = None

    def resolve(self, conn: Connection) -> Catalog:
        """Look the watched tables up. Raises TriggerError with everything that is wrong at once."""
        return resolve(conn, self.watches, self.schema, self.config)


def plan(conn: Connection, installation: Installation) -> tuple[Step, ...]:
    """What is to be done so that all that listener needs is as it should be; nothing: it is.

    Raises TriggerError.
    """
    return plan_for(conn, installation, installation.resolve(conn))


def plan_for(conn: Connection, installation: Installation, catalog: Catalog) -> tuple[Step, ...]:
    """The plan for watches that are resolved already."""
    schema = installation.schema
    present = look(conn, schema)
    _refuse_hidden(present, schema)
    goals = {place: wanted(group, schema) for place, group in catalog.tables().items()}
    steps = list(own_schema(conn, present, schema, installation.role, installation.claim))
    steps.extend(_owners(conn, catalog, schema))
    for place, group in catalog.tables().items():
        steps.extend(compiled_anew(group, goals[place], present, schema))
        steps.extend(table_steps(group, goals[place], present, schema))
    steps.extend(_stale(list(goals.values()), present, schema))
    renames = indexes.renamed(conn, schema)
    steps.extend(indexes.rename(renames))
    for group in catalog.tables().values():
        steps.extend(indexes.steps(conn, group[0], schema, renames))
    steps.extend(indexes.stale(catalog, present, schema, renames))
    return tuple(steps)


def _refuse_hidden(present: Present, schema: str) -> None:
    """Policies on listener's own tables stand in the way of the writers and of the daemon."""
    if present.hidden:
        names = [text("{}", sql.Identifier(schema, name)) for name in present.hidden]
        mend = "; ".join(
            f"ALTER TABLE {name} DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY"
            for name in names
        )
        raise TriggerError(
            f"row-level security is on for {', '.join(present.hidden)} of the schema {schema} and "
            f"hides rows from this role: {mend}; if an event trigger turns it on for new tables, "
            f"exempt the schema {schema} from it"
        )


def _owners(conn: Connection, catalog: Catalog, schema: str) -> Iterator[Step]:
    """What the owners of the trigger functions lack: without it, changes would not be recorded."""
    quiet = not any(one.watch.notifies for one in catalog.watched)
    called = [one for one in CALLED if not (quiet and one in TELLING)]
    lacking = rows(conn, "rights", schema=schema, functions=called)
    if lacking:
        yield Step(
            "rights of the owners of our functions",
            tuple(grant for _, _, grant in lacking),
            tuple(
                f"role {role}, which owns functions of {schema}, lacks {what}: {grant}"
                for role, what, grant in lacking
            ),
            mend="let a superuser, or who may grant it, run that",
        )


def _stale(goals: Sequence[Goal], present: Present, schema: str) -> Iterator[Step]:
    """What is no longer wanted on any table."""
    triggers = {(one.member.oid, one.name) for goal in goals for one in goal.triggers}
    functions = {one.name for goal in goals for one in goal.functions}
    away = {one.oid for goal in goals for one in in_the_way(goal, present)}
    by_table: dict[int, list[PresentTrigger]] = {}
    for key, here in present.triggers.items():
        if key not in triggers and not here.clone and here.oid not in away:
            by_table.setdefault(here.table, []).append(here)
    yield from drop_triggers(by_table, present)
    old = [name for name in present.functions if name not in functions]
    if old:
        yield Step(
            "functions that are no longer wanted",
            tuple(text("DROP FUNCTION {}()", sql.Identifier(schema, name)) for name in old),
            tuple(f"function {schema}.{name} is no longer wanted" for name in old),
        )
