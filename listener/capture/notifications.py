"""The LISTEN thread: notification -> change or barrier. It owns reconnecting and the lock.

It does nothing but read: a listener that stops reading pins the server's queue until writers
fail. Its session holds the lock of the pipeline (`lock`).
"""

from __future__ import annotations

import json
import time
from typing import Final, Protocol

from psycopg import sql

from listener import ListenerError, postgres
from listener.capture import lock
from listener.changes import PAYLOAD_VERSION, BarrierPayload, Change, PayloadError, decode_payload
from listener.config import PostgresConfig
from listener.failures import FAILURES, Failure, failure_of
from listener.observations import events
from listener.observations.events import Observe
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
_UNREAD_FOR: Final = "30s"
"""The server itself gives up a session that reads nothing for so long: none may stand by."""
_FAILURES: Final[tuple[type[Exception], ...]] = (*FAILURES, OSError)


class AlreadyActive(ListenerError):
    """Another daemon of this pipeline holds the lock."""


class Receiver(Protocol):
    """Takes what arrives. Called from the LISTEN thread; must return quickly."""

    def on_session(self, session: int) -> None:
        """LISTEN is in force and the lock is taken."""

    def on_standby(self) -> None:
        """Another daemon holds the lock: nothing arrives until it is gone."""

    def on_lost(self) -> None:
        """The connection, and with it the lock, is gone."""

    def on_refused(self, failure: Failure, *, passes: bool) -> None:
        """There is no connection for this. Not `passes`: before an operator has mended it."""

    def on_change(self, change: Change) -> None:
        """A change was notified. May raise PayloadError where it names what is not watched."""

    def on_barrier(self, nonce: str) -> None:
        """A notification that this daemon sent to itself came back."""


def ring(connection: postgres.Connection, schema: str, watch: str) -> None:
    """Ask the active daemon to look now. `watch`: any table of its pipeline."""
    payload = json.dumps({"v": PAYLOAD_VERSION, "w": watch, "sweep": True})
    connection.execute(files.load("watermark/notify"), {"channel": schema, "payload": payload})


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
                    failure = failure_of(error)
                    if self._listening is not None:
                        self._observe(events.ConnectionLost("listening", failure.reason))
                    self._forget()
                    passes = failure.passes and not postgres.is_refused_login(error)
                    self._receiver.on_refused(failure, passes=passes)
                    self._stop.wait(failure.next_wait(self._backoff, self._observe))
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
                    lock.give_sign(connection)
                    next_sign = time.monotonic() + lock.SIGN_EVERY

    def _receive(self, payload: str) -> None:
        try:
            value = decode_payload(payload)
            if isinstance(value, BarrierPayload):
                self._receiver.on_barrier(value.nonce)
            else:
                self._receiver.on_change(value)
        except PayloadError as error:
            self._ignored.add()
            self._reason = str(error)

    def _lock(self, connection: postgres.Connection) -> None:
        schema = self._config.db_schema
        told = False
        silence = lock.Silence(connection, schema)
        deadline = time.monotonic() + _GRACE
        while not self._stop.requested:
            if lock.take(connection, schema):
                return
            pid = lock.lock_holder(connection, schema)
            if pid is not None and pid == self._previous_pid:
                # this daemon's own session of before the outage, which the server believes in
                connection.execute("SELECT pg_catalog.pg_terminate_backend(%s)", (pid,))
            elif not self._standby and self._session == 0 and time.monotonic() > deadline:
                if pid is None:
                    continue  # it ended between the two looks
                raise AlreadyActive(f"PostgreSQL process {pid} holds the lock of this pipeline")
            if not told and pid is not None:
                told = True
                self._observe(events.StandingBy(pid))
                self._receiver.on_standby()
            if told and (ended := silence.end()) is not None:
                self._observe(events.SilentHolderEnded(*ended))
            self._stop.wait(_LOCK_TURN)
