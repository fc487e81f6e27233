"""The doorbell's lease: who polls anyway keeps the bell, so that no writer needs to ring it.

A trigger that cannot take the lock of the 50 ms in which its transaction began finds the bell
ringing and does not ring. A transaction always asks for the same lock, so it need not remember
that it rang: it takes once more a lock that it has, and PostgreSQL sends equal notifications once.
It has its id when it asks: so the polls that follow the ring wait for who found the bell ringing.
One that began before the lease finds its slot free, and rings.

That saves NOTIFY, and the lock of the whole cluster that it takes, only while another transaction
that rang is open; thousands of short ones a second would all ring. So under such a load the daemon
itself holds the locks of the next slots, for as long as it polls without a pause.

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
        """Whether writers are kept from ringing."""
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
        """Let writers ring again. Who was kept from it has its transaction's id by now: draw L
        after this, and poll until all ids below it are finished. Raises psycopg.Error.
        """
        self._taken = 0.0
        self._next = 0
        self._let_go(list(self._held))

    def _let_go(self, slots: list[int]) -> None:
        if slots:
            given = {"bell": self._bell, "slots": slots}
            self._connection.execute(files.load("watermark/lease_end"), given)
            self._held = [slot for slot in self._held if slot not in slots]
