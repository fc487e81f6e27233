"""The queue of NOTIFY: how full it is, which session keeps it full, and what was not sent for it.

A session that LISTENs and stays in a transaction, in any database, keeps the queue of the whole
cluster from being emptied. When it is full, every COMMIT with a NOTIFY fails. From half full on
listener's triggers send none: they write the keys into the journal, marked, and polls find them.
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import Final

from psycopg import errors, sql

from listener.capture.watermark import Draw
from listener.observations import events
from listener.observations.events import Observe
from listener.postgres import Connection
from listener.sql import files

TOLD_FROM: Final = 0.25
"""How full the queue must be to be told: half of where the triggers stop sending."""
_TELL_EVERY: Final = 60.0


class NotifyQueue:
    """Looks at the queue at each tick, and tells when it fills and when it is over."""

    def __init__(self, schema: str, observe: Observe) -> None:
        self._tick = sql.SQL(files.load("watermark/tick")).format(
            journal=sql.Identifier(schema, "journal")
        )
        self._observe = observe
        self._told_at = float("-inf")
        self._told: float | None = None

    def passed(
        self, connection: Connection, drawn: Draw, since: datetime | None
    ) -> tuple[bool, bool]:
        """As `watermark.passed`; and whether changes since then were not notified: only a sweep of
        everything finds them. One statement for the two, for there is a tick each second.

        Ask before the barrier. Tells how full the queue is, where that is worth telling. Raises
        psycopg.Error.
        """
        row = connection.execute(self._tick, {"xid": str(drawn.xid), "since": since}).fetchone()
        assert row is not None
        passed, unheard, full = row
        self._look(connection, float(full))
        return bool(passed), bool(unheard)

    def _look(self, connection: Connection, full: float) -> None:
        now = time.monotonic()
        if full < TOLD_FROM:
            if self._told is not None:
                self._told = None
                self._observe(events.NotifyQueueDrained(100 * full))
        elif self._told is None or full >= 2 * self._told or now - self._told_at > _TELL_EVERY:
            self._told, self._told_at = full, now
            self._observe(events.NotifyQueueFills(100 * full, *_holder(connection)))


def _holder(connection: Connection) -> tuple[str, str]:
    """The session that is likely to hold it, and the command that ends that session."""
    why = "grant pg_read_all_stats"
    try:
        row = connection.execute(files.load("watermark/queue_holder")).fetchone()
    except errors.InsufficientPrivilege as error:
        row, why = None, str(error.diag.message_primary)
    if row is None:
        return (
            f"a session that this role may not see ({why})",
            "end the session that is longest in a transaction",
        )
    pid, who, since = row
    return (
        f"{who}, process {pid}, since {since:%H:%M:%S} UTC",
        f"SELECT pg_terminate_backend({pid})",
    )
