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


@dataclass(frozen=True, slots=True)
class Differences:
    """How what is there differs from what should be there, one sentence each.

    `slow`: what is missing or left over that is for speed alone; `wrong`: all else. `catalog`: what
    is known of the watched tables.
    """

    catalog: Catalog
    wrong: tuple[str, ...]
    slow: tuple[str, ...]


def differences(conn: Connection, wanted: Installation) -> Differences:
    """Compare what is there with what should be there. Raises TriggerError with what no installing
    mends.
    """
    catalog = wanted.resolve(conn)
    steps = plan_for(conn, wanted, catalog)
    wrong = [reason for step in steps if not step.optional for reason in step.reasons]
    for one in catalog.watched:
        if one.stamp is not None:
            wrong.extend(
                f"{table}: trigger {name} fires after our stamp and may override it: give it a "
                "name that sorts before `~`"
                for table, name in rows(
                    conn,
                    "later",
                    oids=[member.oid for member in one.members],
                    name=names.stamp_trigger(wanted.schema, one.watch),
                )
            )
    slow = tuple(reason for step in steps if step.optional for reason in step.reasons)
    return Differences(catalog, tuple(dict.fromkeys(wrong)), slow)


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
