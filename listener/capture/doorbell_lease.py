"""The doorbell's lease: while it polls continuously, the daemon holds the doorbell's locks.

Time is cut into slots of 50 ms, and each slot has an advisory lock. A trigger asks for the lock of
the slot in which its transaction began. Where it cannot take the lock, the bell rings already, and
the trigger skips NOTIFY. A transaction always asks for the same lock, so it need not remember that
it rang: it takes once more a lock that it has, and PostgreSQL sends equal notifications once. A
transaction has its xid when it asks. So the polls that follow a ring wait for all that skipped it.

That saves NOTIFY, and the lock of the whole cluster that it takes, only while another transaction
that rang is open; thousands of short ones a second would all ring. So under such a load the daemon
itself holds the locks of the next slots, for as long as it polls without a pause. A transaction
that began before the lease finds its slot free, and rings.

Slots pass: a daemon that stands still loses its lease by itself, and so does a session that ends.
"""

from __future__ import annotations

import time
from typing import Final

from listener.postgres import Connection
from listener.sql import files
from listener.triggers import names

_SLOTS: Final = 40
"""Slots of 50 ms that are kept: two seconds, for polls that take long."""
_RENEWED_AFTER: Final = 0.5


class Lease:
    """The lease of one session; it ends with its connection at the latest."""

    def __init__(self, connection: Connection, schema: str) -> None:
        self._connection = connection
        self._bell = names.bell(schema)
        self._held: list[int] = []
        self._next = 0
        self._taken = 0.0

    @property
    def held(self) -> bool:
        """Whether writers skip NOTIFY because of this lease."""
        return self._taken > 0

    def keep(self) -> None:
        """Take it, or make it last longer. Raises psycopg.Error."""
        if time.monotonic() < self._taken + _RENEWED_AFTER:
            return
        given = {"bell": self._bell, "from": self._next, "slots": _SLOTS}
        rows = self._connection.execute(files.load("watermark/lease"), given).fetchall()
        self._taken = time.monotonic()
        if rows:
            now = rows[0][1]
            self._next = now + _SLOTS + 1
            self._let_go([slot for slot in self._held if slot < now])
            self._held += [slot for slot, _ in rows]

    def end(self) -> None:
        """Let writers ring again. Raises psycopg.Error.

        Writers that skipped NOTIFY already have an xid: draw an own one after this call, and poll
        until all older ones have ended.
        """
        self._taken = 0.0
        self._next = 0
        self._let_go(list(self._held))

    def _let_go(self, slots: list[int]) -> None:
        if slots:
            given = {"bell": self._bell, "slots": slots}
            self._connection.execute(files.load("watermark/lease_end"), given)
            self._held = [slot for slot in self._held if slot not in slots]
