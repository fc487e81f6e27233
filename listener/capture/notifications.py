"""The LISTEN thread: notification -> change or barrier. It owns reconnecting and the lock.

It does nothing but read: a listener that stops reading pins the server's queue until writers
fail. The session holds an advisory lock, so one daemon of a pipeline is active at a time.

A frozen process, or one behind a network that went silent, keeps its session and with it the lock
for as long as TCP believes in it, which may be for ever. So the session gives a sign of life each
second, and who stands by ends one that gave none for ten. That the other one lives after all does
no harm: its generation is over.
"""

from __future__ import annotations

import hashlib
import json
import time
from datetime import datetime
from typing import Final, Protocol

import psycopg
from psycopg import sql

from listener import postgres
from listener.changes import PAYLOAD_VERSION, Barrier, Change, PayloadError, decode_payload
from listener.config import PostgresConfig
from listener.observations import events
from listener.observations.events import Observe
from listener.observations.surprises import SURPRISES, told
from listener.runtime.backoff import Backoff
from listener.runtime.lifecycle import Life, ServiceThread
from listener.runtime.throttle import Tally
from listener.sql import files

_TURN: Final = 0.5
"""Seconds between two looks at the stop flag."""
_LOCK_TURN: Final = 0.25
"""Seconds between two tries to take the lock: the most that a takeover waits for."""
_GRACE: Final = 2.0
"""Seconds in which the server may notice that a daemon which was killed is gone."""
_SIGN_EVERY: Final = 1.0
"""Seconds between two signs of life of the session that holds the lock."""
_SILENT_AFTER: Final = 10.0
"""Seconds without one after which a session is ended: as many as a barrier has to come back."""
_UNREAD_FOR: Final = "30s"
"""The server itself gives up a session that reads nothing for so long: none may stand by."""


_FAILURES: Final[tuple[type[Exception], ...]] = (psycopg.Error, OSError, *SURPRISES)


class AlreadyActive(Exception):
    """Another daemon of this pipeline holds the lock."""


class Receiver(Protocol):
    """Who is told what arrives. Called from the LISTEN thread; must return quickly."""

    def on_session(self, session: int) -> None:
        """LISTEN is in force and the lock is ours."""

    def on_standby(self) -> None:
        """Another daemon holds the lock: nothing arrives until it is gone."""

    def on_lost(self) -> None:
        """The connection, and with it the lock, is gone."""

    def on_refused(self, reason: str | None) -> None:
        """There will be none before a person has mended this; None: it may pass by itself."""

    def on_change(self, change: Change) -> None:
        """A payload of ours. May raise PayloadError where it names what we do not watch."""

    def on_barrier(self, nonce: str) -> None:
        """Our own notification came back."""


def lock_key(schema: str) -> int:
    """Key of the advisory lock: one a schema of ours, so two pipelines cannot share one."""
    digest = hashlib.sha256(f"listener:{schema}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def lock_holder(connection: postgres.Connection, schema: str) -> int | None:
    """The PostgreSQL process that holds the lock; None: no daemon is active."""
    row = connection.execute(
        files.load("watermark/lock_holder"), {"key": lock_key(schema)}
    ).fetchone()
    return int(row[0]) if row else None


def ring(connection: postgres.Connection, schema: str, watch: str) -> None:
    """Ask the active daemon to look now. `watch`: any table of its pipeline."""
    payload = json.dumps({"v": PAYLOAD_VERSION, "w": watch, "sweep": True})
    connection.execute(files.load("watermark/notify"), {"channel": schema, "payload": payload})


class _Silence:
    """For how long the last sign of a session has been the last one, by our own clock: the
    server's may be set."""

    def __init__(self) -> None:
        self._last: tuple[int, datetime] | None = None
        self._since = 0.0

    def lasts(self, pid: int, sign: datetime) -> float:
        """Seconds since this sign was first seen."""
        if self._last != (pid, sign):
            self._last = pid, sign
            self._since = time.monotonic()
        return time.monotonic() - self._since


def _reason(error: Exception) -> str:
    return told(error) if isinstance(error, SURPRISES) else postgres.describe(error)


def _passes(error: Exception) -> bool:
    return not isinstance(error, SURPRISES) and postgres.is_passing(error)


class Notifications:
    """Keeps one LISTEN connection alive until it is stopped."""

    def __init__(
        self,
        config: PostgresConfig,
        receiver: Receiver,
        *,
        backoff: Backoff,
        observe: Observe,
        standby: bool,
        life: Life,
    ) -> None:
        """`standby`: where another daemon holds the lock, wait until it is gone. Without it, and
        before the first session, AlreadyActive ends the run.
        """
        self._config = config
        self._receiver = receiver
        self._backoff = backoff
        self._observe = observe
        self._stop = life.stop
        self._standby = standby
        self._session = 0
        self._previous_pid: int | None = None
        self._ignored = Tally()
        self._reason = ""
        self._listening: postgres.Session | None = None
        self._thread = ServiceThread("notifications", self._run, life)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self) -> None:
        """Wait until the thread has ended; stop must have been requested."""
        self._thread.join()

    def cut(self) -> None:
        """Give the connection up as dead, though it does not say so: frees the blocked thread."""
        dead = self._listening
        if dead is not None:
            dead.cut()

    def _run(self) -> None:
        try:
            while not self._stop.requested:
                try:
                    self._serve()
                except _FAILURES as error:
                    reason = _reason(error)
                    if self._listening is not None:
                        self._observe(events.ConnectionLost("listening", reason))
                    self._forget()
                    seconds = self._backoff.next_wait()
                    passes = _passes(error)
                    self._receiver.on_refused(None if passes else reason)
                    self._observe(
                        events.Waiting("PostgreSQL", self._backoff.attempt, seconds, reason)
                        if passes
                        else events.Held(reason, seconds)
                    )
                    self._stop.wait(seconds)
        finally:
            self._forget()

    def _forget(self) -> None:
        if self._listening is not None:
            self._listening = None
            self._receiver.on_lost()

    def _serve(self) -> None:
        with postgres.connect(self._config, "listener: notifications") as connection:
            self._lock(connection)
            if self._stop.requested:
                return
            connection.execute(
                "SELECT pg_catalog.set_config('tcp_user_timeout', %s, false)", (_UNREAD_FOR,)
            )
            connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._config.db_schema)))
            self._listening = connection
            self._previous_pid = connection.info.backend_pid
            self._backoff.reset()
            self._session += 1
            server = connection.info.parameter_status("server_version") or "?"
            self._observe(
                events.Listening(self._config.db_schema, f"PostgreSQL {server}", self._session)
            )
            self._receiver.on_session(self._session)
            next_sign = 0.0
            while not self._stop.requested:
                # a list: breaking out of the generator would lose the rest of the packet
                for notify in list(connection.notifies(timeout=_TURN, stop_after=1)):
                    self._receive(notify.payload)
                if self._ignored.due():
                    self._observe(events.BadPayload(self._reason, self._ignored.count))
                if time.monotonic() > next_sign:
                    # what arrives meanwhile is kept for the next turn by psycopg
                    connection.execute(files.load("watermark/sign"))
                    next_sign = time.monotonic() + _SIGN_EVERY

    def _receive(self, payload: str) -> None:
        try:
            value = decode_payload(payload)
            if isinstance(value, Barrier):
                self._receiver.on_barrier(value.nonce)
            else:
                self._receiver.on_change(value)
        except PayloadError as error:
            self._ignored.add()
            self._reason = str(error)

    def _lock(self, connection: postgres.Connection) -> None:
        key = {"key": lock_key(self._config.db_schema)}
        told = False
        silence = _Silence()
        deadline = time.monotonic() + _GRACE
        while not self._stop.requested:
            row = connection.execute(files.load("watermark/lock"), key).fetchone()
            if row and row[0]:
                return
            pid = lock_holder(connection, self._config.db_schema)
            if pid is not None and pid == self._previous_pid:
                # our own session of before the outage, which the server still believes in
                connection.execute("SELECT pg_catalog.pg_terminate_backend(%s)", (pid,))
            elif not self._standby and self._session == 0 and time.monotonic() > deadline:
                if pid is None:
                    continue  # it ended between the two looks
                raise AlreadyActive(f"PostgreSQL process {pid} holds the lock of this pipeline")
            if not told and pid is not None:
                told = True
                self._observe(events.StandingBy(pid))
                self._receiver.on_standby()
            if told:
                self._end_silent(connection, silence)
            self._stop.wait(_LOCK_TURN)

    def _end_silent(self, connection: postgres.Connection, silence: _Silence) -> None:
        """End the session that holds the lock where it gives no sign of life any more."""
        key = {"key": lock_key(self._config.db_schema)}
        row = connection.execute(files.load("watermark/holder_sign"), key).fetchone()
        if row is None or row[1] is None:
            return
        pid, sign = row
        seconds = silence.lasts(pid, sign)
        if seconds > _SILENT_AFTER:
            ended = {"pid": pid, "sign": sign}
            if connection.execute(files.load("watermark/end_silent"), ended).fetchone():
                self._observe(events.SilentHolderEnded(pid, seconds))
