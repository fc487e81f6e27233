"""The watchdog: frees threads whose connection is open but dead.

Behind a stalled proxy a statement waits for ever: the bytes are acknowledged, so neither TCP's
timeout nor keepalives end it. A statement may rightly take long, too. So a session that waits for
more than a few seconds is looked up on a fresh connection. Where the server does not work on it,
the old connection is cut, its thread gets an error, and everything is tried again.
"""

from __future__ import annotations

import time
from typing import Final

import psycopg
from psycopg import errors

from listener.config import PostgresConfig
from listener.observations import events
from listener.observations.events import Observe
from listener.observations.surprises import SURPRISES
from listener.postgres.session import Session, connect, sessions
from listener.runtime.lifecycle import Life, ServiceThread
from listener.sql import files

SUSPICIOUS_AFTER: Final = 10.0
"""Seconds of one statement after which the server is asked about it."""
_BLIND_LOOKS: Final = 3
"""So many looks in a row that do not even reach the server cut what waits for it."""
_EVERY: Final = 1.0
_FAILURES: Final[tuple[type[Exception], ...]] = (psycopg.Error, OSError, *SURPRISES)


class Watchdog:
    """A thread that looks at the sessions of this process."""

    def __init__(self, config: PostgresConfig, observe: Observe, life: Life) -> None:
        self._config = config
        self._observe = observe
        self._stop = life.stop
        self._blind = 0
        self._thread = ServiceThread("watchdog", self._run, life)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self) -> None:
        """Wait until the thread has ended; stop must have been requested."""
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_EVERY):
            now = time.monotonic()
            waiting = {
                session: since
                for session in sessions()
                if (since := session.busy_since) is not None and now - since > SUSPICIOUS_AFTER
            }
            if waiting:
                self._look(waiting)
            else:
                self._blind = 0

    def _look(self, waiting: dict[Session, float]) -> None:
        try:
            with connect(self._config, "listener: watchdog") as connection:
                rows = connection.execute(
                    files.load("watchdog/working"),
                    {"pids": [session.info.backend_pid for session in waiting]},
                ).fetchall()
        except errors.InsufficientPrivilege:
            self._blind = 0
            return  # the server answers, and may well be at work on them
        except _FAILURES:
            self._blind += 1
            if self._blind < _BLIND_LOOKS:
                return
            rows = []
        self._blind = 0
        working = {row[0] for row in rows}
        locked_out = {row[0] for row in rows if row[1]}
        for session in waiting:
            session.waits_for_lock = session.info.backend_pid in locked_out
        dead = {
            session: since
            for session, since in waiting.items()
            if session.info.backend_pid not in working and session.busy_since == since
        }
        for session, since in dead.items():
            self._observe(events.ConnectionDead(session.name, time.monotonic() - since))
        if dead:
            # what went silent took its neighbours along, idle ones too: do not wait for each
            silent_since = max(dead.values())
            for session in sessions():
                if session.opened_at < silent_since:
                    session.cut()
