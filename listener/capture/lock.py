"""The lock of a pipeline: an advisory lock of PostgreSQL, so that one daemon is active at a time.

A frozen process, or one behind a network that went silent, keeps its session and with it the lock
for as long as TCP believes in it, which may be for ever. So the session that holds the lock gives a
sign of life each second, and a daemon that stands by ends one that gave none for ten. That the
other one lives after all does no harm: its generation is over.
"""

from __future__ import annotations

import hashlib
import time
from datetime import datetime
from typing import Final

from listener.postgres import Connection
from listener.sql import files

SIGN_EVERY: Final = 1.0
"""Seconds between two signs of life of the session that holds the lock."""
SILENT_AFTER: Final = 10.0
"""Seconds without one after which a session is ended: as many as a barrier has to come back."""


def lock_key(schema: str) -> int:
    """Key of the advisory lock. It is listener's schema's: two pipelines cannot share one."""
    digest = hashlib.sha256(f"listener:{schema}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def lock_holder(connection: Connection, schema: str) -> int | None:
    """The PostgreSQL process that holds the lock; None: no daemon is active.

    Raises psycopg.Error, here and below.
    """
    row = connection.execute(
        files.load("watermark/lock_holder"), {"key": lock_key(schema)}
    ).fetchone()
    return int(row[0]) if row else None


def take(connection: Connection, schema: str) -> bool:
    """Take the lock for this session; False: another session holds it. It does not wait."""
    row = connection.execute(files.load("watermark/lock"), {"key": lock_key(schema)}).fetchone()
    return bool(row and row[0])


def give_sign(connection: Connection) -> None:
    """A sign of life of the session that holds the lock."""
    connection.execute(files.load("watermark/sign"))


class Silence:
    """Ends the session that holds the lock where it gives no sign of life.

    For how long a sign has been the last one is told by the own clock: the server's may be set.
    """

    def __init__(self, connection: Connection, schema: str) -> None:
        self._connection = connection
        self._key = {"key": lock_key(schema)}
        self._last: tuple[int, datetime] | None = None
        self._since = 0.0

    def end(self) -> tuple[int, float] | None:
        """Look once. Returns the process that was ended, and for how many seconds it was silent."""
        row = self._connection.execute(files.load("watermark/holder_sign"), self._key).fetchone()
        if row is None or row[1] is None:
            return None
        pid, sign = row
        seconds = self._lasts(pid, sign)
        if seconds > SILENT_AFTER:
            ended = {"pid": pid, "sign": sign}
            if self._connection.execute(files.load("watermark/end_silent"), ended).fetchone():
                return pid, seconds
        return None

    def _lasts(self, pid: int, sign: datetime) -> float:
        """Seconds since this sign was first seen."""
        if self._last != (pid, sign):
            self._last = pid, sign
            self._since = time.monotonic()
        return time.monotonic() - self._since
