"""The doorbell: when a poll is due because it rang, and when the daemon keeps it itself.

A doorbell's NOTIFY says that something changed, not what. A transaction that finds it ringing does
not ring, and may commit later. So polls follow, at growing intervals, until one began when every
transaction that was open at the ring had ended.

Where it rings very often the daemon polls without a pause, and keeps the bell meanwhile: writers
then need not ring (`capture.doorbell_lease`).
"""

from __future__ import annotations

import time
from typing import Final

from listener.capture import watermark
from listener.capture.doorbell_lease import Lease
from listener.capture.watermark import Draw
from listener.coordinator.mailbox import Mailbox
from listener.postgres import Connection

_SECOND_POLL: Final = 0.005
"""Seconds between a ring's first poll and its second; each further wait is twice as long."""
_RINGS_APART: Final = 0.02
"""Seconds between polls that rings ask for: they may come by the thousand."""
_OFTEN: Final = 5
"""From so many rings within that time on, or rows that a poll brings, the bell is kept: 250 a
second. Below that NOTIFY costs little, and comes sooner than the next poll."""
_SELDOM: Final = 10
"""Polls in a row that bring less, after which the bell is let go. On a busy machine writers pause
for a moment; let go at once, it would be rung by thousands of transactions until it is kept again.
"""


class Doorbell:
    """Call `begin` for each session. For the coordinator's thread alone.

    Errors of psycopg pass through.
    """

    def __init__(self, mailbox: Mailbox, schema: str, longest_wait: float) -> None:
        """`schema`: listener's own. `longest_wait`: seconds between polls after a ring."""
        self._mailbox = mailbox
        self._schema = schema
        self._longest_wait = longest_wait
        self._connection: Connection | None = None
        self._ring: Draw | None = None
        self._lease: Lease | None = None
        self._seldom = 0
        self._wait = _SECOND_POLL
        self._polled = 0.0

    def begin(self, connection: Connection) -> None:
        """A new session."""
        self._connection = connection
        self._ring = None
        self._lease = Lease(connection, self._schema)
        self._seldom = 0

    def polled(self) -> None:
        """A poll begins now, for whatever reason."""
        self._polled = time.monotonic()

    def keep(self) -> None:
        """A poll takes its time: where the bell is kept, go on keeping it."""
        if self._lease is not None and self._lease.held:
            self._lease.keep()

    def due(self) -> float | None:
        """Seconds until a poll is due because the doorbell rang; None: it did not."""
        if self._mailbox.rung or (self._lease is not None and self._lease.held):
            return max(0.0, self._polled + _RINGS_APART - time.monotonic())
        if self._ring is None:
            return None
        return max(0.0, self._polled + self._wait - time.monotonic())

    def before_poll(self) -> None:
        """A poll is to answer the doorbell: decide whether others follow."""
        assert self._connection is not None
        assert self._lease is not None
        rings = self._mailbox.take_rings()
        if rings >= _OFTEN or self._lease.held:
            self._lease.keep()
        elif rings:
            self._begin_ring(self._connection)
        elif self._ring is not None:
            self._wait = min(self._wait * 2, self._longest_wait)
        if self._ring is not None and watermark.passed(self._connection, self._ring):
            self._ring = None  # this poll is the last one

    def after_poll(self, rows: int) -> None:
        """It brought so many rows: keep the bell, or let it go."""
        assert self._connection is not None
        assert self._lease is not None
        self._seldom = self._seldom + 1 if rows < _OFTEN else 0
        if self._lease.held and self._seldom >= _SELDOM:
            # a transaction that skipped NOTIFY has its id already, a lower one than is drawn now
            self._lease.end()
            self._begin_ring(self._connection)

    def _begin_ring(self, connection: Connection) -> None:
        self._ring = watermark.draw(connection)
        self._wait = _SECOND_POLL
