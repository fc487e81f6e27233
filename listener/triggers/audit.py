"""What is not as it should be, and a fingerprint that shows what was altered and altered back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from listener.changes import Watch
from listener.postgres import Connection
from listener.triggers import names
from listener.triggers.called import CALLED
from listener.triggers.catalog import Catalog, rows
from listener.triggers.plan import Installation, plan_for
from listener.triggers.steps import Step


@dataclass(frozen=True, slots=True)
class Cause:
    """Differences that one thing mends: `reasons`, one sentence each.

    `tables`: the watched tables that it concerns. `mend`: what mends it; None: installing does.
    """

    reasons: tuple[str, ...]
    tables: tuple[str, ...] = ()
    mend: str | None = None


@dataclass(frozen=True, slots=True)
class Differences:
    """How what is there differs from what should be there.

    `slow`: what is missing or left over that is for speed alone; `causes`: all else. `catalog`:
    what is known of the watched tables. `absent`: nothing of listener is there at all.
    """

    catalog: Catalog
    causes: tuple[Cause, ...]
    slow: tuple[str, ...]
    absent: bool

    @property
    def wrong(self) -> tuple[str, ...]:
        """All sentences of the causes."""
        return tuple(dict.fromkeys(one for cause in self.causes for one in cause.reasons))


def differences(conn: Connection, wanted: Installation) -> Differences:
    """Compare what is there with what should be there. Raises TriggerError with what no installing
    mends.
    """
    catalog = wanted.resolve(conn)
    steps = plan_for(conn, wanted, catalog)
    needed = [step for step in steps if not step.optional and step.reasons]
    ours = [step for step in needed if step.mend is None]
    causes = [Cause(_reasons(ours), _watched(ours))] if ours else []
    causes += [
        Cause(
            step.reasons, (), "\n".join([f"{step.mend}:", *(f"{one};" for one in step.statements)])
        )
        for step in needed
        if step.mend is not None
    ]
    for one in catalog.watched:
        if one.stamp is not None:
            causes += [
                Cause(
                    (f"{table}: trigger {name} fires after our stamp and may override it",),
                    (table,),
                    f"give the trigger {name} a name that sorts before `~`",
                )
                for table, name in rows(
                    conn,
                    "later",
                    oids=[member.oid for member in one.members],
                    name=names.stamp_trigger(wanted.schema, one.watch),
                )
            ]
    return Differences(
        catalog,
        tuple(dict.fromkeys(causes)),
        _reasons([step for step in steps if step.optional]),
        any(one.startswith("CREATE SCHEMA ") for step in ours for one in step.statements),
    )


def _reasons(steps: Sequence[Step]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(reason for step in steps for reason in step.reasons))


def _watched(steps: Sequence[Step]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(step.watched for step in steps if step.watched is not None))


def fingerprint(conn: Connection, watches: Sequence[Watch], schema: str) -> dict[str, str]:
    """What the audit compares from one time to the next: object -> its state.

    Row versions (xmin) are part of it: DISABLE and ENABLE between two audits leave another one.
    """
    tables = sorted({(watch.schema, watch.table) for watch in watches})
    found = rows(
        conn,
        "fingerprint",
        schemas=[place[0] for place in tables],
        tables=[place[1] for place in tables],
        schema=schema,
        functions=list(CALLED),
    )
    return {row[0]: row[1] for row in found}
