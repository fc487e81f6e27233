"""The queue of NOTIFY: how full it is, who keeps it full, and what was not sent for it.

A session that LISTENs and stays in a transaction, anybody's, keeps the queue of the whole cluster
from being emptied; when it is full, every COMMIT with a NOTIFY fails. From half full on our
triggers send none: they write the keys into the journal, marked, and polls find them there.
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import Final

from psycopg import sql

from listener import observations, sqlfiles
from listener.observations import Observe
from listener.postgres import Connection

TOLD_FROM: Final = 0.25
"""How full the queue must be to be told: half of where the triggers stop sending."""
_LOOK_EVERY: Final = 1.0
_TELL_EVERY: Final = 60.0


class NotifyQueue:
    """Looks at the queue, once a second at most, and tells when it fills and when it is over."""

    def __init__(self, schema: str, observe: Observe) -> None:
        self._unheard = sql.SQL(sqlfiles.load("watermark/unheard")).format(
            journal=sql.Identifier(schema, "journal")
        )
        self._observe = observe
        self._looked_at = self._told_at = float("-inf")
        self._told: float | None = None

    def unheard(self, connection: Connection, since: datetime) -> bool:
        """Whether changes since then were not notified: only a sweep of everything finds them.

        Ask after the proof of a tick, and before its barrier. Raises psycopg.Error.
        """
        row = connection.execute(self._unheard, {"since": since}).fetchone()
        return bool(row and row[0])

    def look(self, connection: Connection) -> None:
        """Tell how full the queue is, where that is worth telling. Raises psycopg.Error."""
        now = time.monotonic()
        if now - self._looked_at < _LOOK_EVERY:
            return
        self._looked_at = now
        row = connection.execute(sqlfiles.load("watermark/queue")).fetchone()
        full = float(row[0]) if row else 0.0
        if full < TOLD_FROM:
            if self._told is not None:
                self._told = None
                self._observe(observations.NotifyQueueDrained(100 * full))
        elif self._told is None or full >= 2 * self._told or now - self._told_at > _TELL_EVERY:
            self._told, self._told_at = full, now
            self._observe(observations.NotifyQueueFills(100 * full, *_holder(connection)))


def _holder(connection: Connection) -> tuple[str, str]:
    """Who is likely to hold it, and the command that ends that."""
    row = connection.execute(sqlfiles.load("watermark/queue_holder")).fetchone()
    if row is None:
        return (
            "a session that this role may not see (grant pg_read_all_stats)",
            "end the session that is longest in a transaction",
        )
    pid, who, since = row
    return (
        f"{who}, process {pid}, since {since:%H:%M:%S} UTC",
        f"SELECT pg_terminate_backend({pid})",
    )
