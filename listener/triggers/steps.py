"""Steps of a plan, and their text as a script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from psycopg import sql

from listener.triggers.catalog import Member
from listener.triggers.names import one_line

LOCK_TIMEOUT: Final = "2s"
"""CREATE TRIGGER waits for open writers, and all new writers queue behind it."""


@dataclass(frozen=True, slots=True)
class Step:
    """Statements that belong together: one transaction, or (CONCURRENTLY) each by itself.

    `reasons`: what is not as it should be, one sentence each. `tables`: the OIDs of those that
    are locked. `optional`: for speed alone. `undo`: what takes back a step that was cut short.
    """

    title: str
    statements: tuple[str, ...]
    reasons: tuple[str, ...]
    transaction: bool = True
    tables: tuple[int, ...] = ()
    optional: bool = False
    undo: str | None = None


def name_of(member: Member) -> sql.Identifier:
    """The qualified name of a table."""
    return sql.Identifier(member.schema, member.name)


def text(template: str, *parts: sql.Composable) -> str:
    """A statement as text: the template with quoted parts for its `{}`."""
    return sql.SQL(template).format(*parts).as_string(None)


def script(steps: Sequence[Step]) -> str:
    """The plan as one SQL script for psql or any other client.

    It is written for the state that the database is in now: print it again before it is run a
    second time.
    """
    lines: list[str] = [] if steps else ["-- nothing to do", ""]
    for step in steps:
        lines.append(f"-- {one_line(step.title)}")
        lines.extend(f"--   because {one_line(reason)}" for reason in step.reasons)
        if step.transaction:
            lines.append("BEGIN;")
            lines.append(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}';")
        lines.extend(f"{statement};" for statement in step.statements)
        if step.transaction:
            lines.append("COMMIT;")
        lines.append("")
    return "\n".join(lines)
