"""Steps of a plan, and their text as a script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from psycopg import sql

from listener.triggers import locks
from listener.triggers.catalog import Member
from listener.triggers.names import one_line

_STRONG: Final = ("DROP TRIGGER ", "ALTER TABLE ", "DROP TABLE ", "DROP INDEX ", "ALTER INDEX ")
_WEAK: Final = ("CREATE TRIGGER ", "LOCK TABLE ", "CREATE INDEX ")


@dataclass(frozen=True, slots=True)
class Step:
    """Statements that belong together: one transaction, or (CONCURRENTLY) each by itself.

    `reasons`: what is not as it should be, one sentence each. `tables`: which are locked, all at
    once and first: OID and quoted name of each. `optional`: for speed alone. `undo`: what
    takes back a step that was cut short. `mend`: which role can do it where this one may not; None:
    the owner of the tables. `watched`: the watched table that it is for, where it is for one.
    """

    title: str
    statements: tuple[str, ...]
    reasons: tuple[str, ...]
    transaction: bool = True
    tables: tuple[tuple[int, str], ...] = ()
    optional: bool = False
    undo: str | None = None
    mend: str | None = None
    watched: str | None = None

    @property
    def lock_mode(self) -> str | None:
        """As strongly as any of its statements needs the tables; None: no statement does."""
        if not self.transaction or not self.tables:
            return None
        if not any(one.startswith(_STRONG + _WEAK) for one in self.statements):
            return None
        strong = any(
            one.startswith(_STRONG) and " ENABLE ALWAYS TRIGGER " not in one
            for one in self.statements
        )
        return "ACCESS EXCLUSIVE" if strong else "SHARE ROW EXCLUSIVE"


def place_of(member: Member) -> tuple[int, str]:
    """A table for `Step.tables`."""
    return member.oid, name_of(member).as_string(None)


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
            mode = step.lock_mode
            names = [name for _, name in step.tables]
            first = locks.lock_script(names, mode) if mode else [locks.short_script()]
            lines.extend(f"{statement};" for statement in first)
        elif step.tables:  # not begun while others hold what it waits for: see locks.giving_way
            free = locks.lock_script([name for _, name in step.tables], locks.INDEX)
            lines.extend(("BEGIN;", *(f"{statement};" for statement in free), "COMMIT;"))
        lines.extend(f"{statement};" for statement in step.statements)
        if step.transaction:
            lines.append("COMMIT;")
        lines.append("")
    return "\n".join(lines)
