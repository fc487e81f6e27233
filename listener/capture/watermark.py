"""The watermark: the moment before which every change is in the index, and its proof.

Rows become visible in the order of commits, not of stamps, so "greater than the last stamp seen"
loses rows. The proof: draw t from the server's clock, then burn an own transaction id L. A stamp
before t means that its writer's id was assigned before L, so once the oldest running transaction
is above L every such writer is finished. L is never kept beyond the process: ids go back after a
crash.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg import errors

from listener.postgres import Connection
from listener.sql import files


@dataclass(frozen=True, slots=True)
class Draw:
    """t (`at`, the server's clock), L (`xid`), and where the WAL stood."""

    at: datetime
    xid: int
    lsn: str


def draw(connection: Connection) -> Draw:
    """Draw t, then burn L: two statements, in this order, each committed by itself."""
    return burn(connection, *now(connection))


def now(connection: Connection) -> tuple[datetime, str]:
    """t, and how far the WAL is on disk."""
    row = connection.execute(files.load("watermark/draw")).fetchone()
    assert row is not None
    return row[0], row[1]


def burn(connection: Connection, at: datetime, lsn: str) -> Draw:
    """Burn L for a t that was drawn before."""
    row = connection.execute(files.load("watermark/burn")).fetchone()
    assert row is not None
    return Draw(at, int(row[0]), lsn)


def passed(connection: Connection, drawn: Draw) -> bool:
    """Whether every writer that stamped before t is finished. Ask before rows are read."""
    row = connection.execute(files.load("watermark/passed"), {"xid": str(drawn.xid)}).fetchone()
    return bool(row and row[0])


def holder(connection: Connection) -> str:
    """What keeps the watermark back, as far as this role may see (`pg_read_all_stats`: all)."""
    try:
        row = connection.execute(files.load("watermark/holder")).fetchone()
    except errors.InsufficientPrivilege as error:  # a name is all that is missing
        return f"an open transaction that this role may not see ({error.diag.message_primary})"
    if row is None:
        return "an open transaction that this role may not see (grant pg_read_all_stats)"
    kind, pid, who, since = row
    process = f", process {pid}" if pid is not None else ""
    start = f", since {since:%H:%M:%S} UTC" if since is not None else ""
    return f"{kind} {who or 'of another role'}{process}{start}"
