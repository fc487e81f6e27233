"""The pulse: writes the heartbeat where something is told, and every two seconds meanwhile.

A statement of PostgreSQL may rightly take an hour, and while it does the coordinator says nothing.
That is no reason to be restarted, for the next start would run the same statement. So a thread of
its own gives the signs of life, and says for how long the work has given none.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from datetime import datetime
from typing import Final

from listener.config import Config
from listener.postgres import Session, sessions
from listener.runtime.lifecycle import Stop
from listener.state.file import StateError
from listener.state.heartbeat import (
    WAITING,
    DaemonState,
    Heartbeat,
    Matter,
    heartbeat_path,
    read_heartbeat,
    write_heartbeat,
)

PATIENCE: Final = 300.0
"""Seconds after which a server that is waited for is a person's matter, too; and after which work
that gives no sign is stuck."""
_EVERY: Final = 2.0
"""Seconds between two looks whether a sign is due; a tick gives one, too."""
_A_STATEMENT: Final = 10.0
"""Seconds after which a statement is why there was no sign: the watchdog looks after it then."""


class Pulse:
    """Writes the signs of life of this process. Thread-safe. A disk that cannot be written to
    is told where state.yaml is written, not here.
    """

    def __init__(self, config: Config, *, daemon: bool = True) -> None:
        """`daemon`: whether this process is one. Another may be beside a daemon, whose file it is:
        it writes nothing.
        """
        self._daemon = daemon
        self._path = config.state_file_name
        self._fetch_delay = config.fetch_delay
        # it rests for as long between two ticks, or between two tries
        self._stuck_after = max(PATIENCE, 3 * config.fetch_delay, 2 * config.backoff.limit)
        self._lock = threading.Lock()
        self._last = self._beat(DaemonState.STARTING)
        self._moved = time.monotonic()
        self._written = 0.0
        self._waits_since: float | None = None
        self._stop = Stop()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def start(self) -> None:
        """A daemon starts. What ended the one before is told until this one knows better."""
        if not self._daemon:
            return
        before = read_heartbeat(self._path)
        ended = before is not None and before.state == DaemonState.ENDED
        self.tell(DaemonState.STARTING, matters=before.matters if before and ended else ())
        self._thread.start()

    def end(self, matters: tuple[Matter, ...]) -> None:
        """The daemon has ended. `matters`: why, where a person must mend something."""
        self._stop.request()
        if self._thread.is_alive():
            self._thread.join()
        self.tell(DaemonState.ENDED, matters=matters)

    def tell(
        self,
        state: DaemonState,
        reason: str | None = None,
        mend: str = "",
        *,
        matters: tuple[Matter, ...] = (),
        last_processed: datetime | None = None,
    ) -> None:
        """How it is now: a sign of its work, too. `reason`: why it is not serving, and what mends
        that."""
        with self._lock:
            self._moved = now = time.monotonic()
            if state not in WAITING:
                self._waits_since = None
            elif self._waits_since is None:
                self._waits_since = now
            self._last = self._beat(
                state,
                told_at=time.time(),
                reason=reason,
                mend=mend,
                matters=matters,
                last_processed=last_processed,
            )
            self._write(now)

    def _beat(self, state: DaemonState, **told: object) -> Heartbeat:
        values = {"at": 0.0, "fetch_delay": self._fetch_delay, "state": state, **told}
        return Heartbeat.model_validate(values)

    def _run(self) -> None:
        while not self._stop.wait(_EVERY):
            with self._lock:
                now = time.monotonic()
                if now - self._written >= _EVERY:
                    self._write(now)

    def _write(self, now: float) -> None:
        """The lock is held."""
        if not self._daemon:
            return
        self._written = now
        matters = list(self._last.matters)
        for one in sessions():
            since = one.busy_since
            if since is not None and now - since > _A_STATEMENT:
                self._moved = now
                if one.waits_for_lock and now - since > PATIENCE:
                    matters.append(_locked_out(one, now - since))
        silent = now - self._moved
        parts: dict[str, object] = {
            "at": time.time(),
            "host": socket.gethostname(),
            "stuck_for": silent if silent > self._stuck_after else None,
        }
        waits = now - self._waits_since if self._waits_since is not None else 0.0
        if waits > PATIENCE:
            matters.append(_waited_for(self._last, waits))
        beat = self._last.model_copy(update={**parts, "matters": tuple(matters)})
        try:
            write_heartbeat(self._path, beat)
        except StateError:
            # a full disk: the file's time is a sign of life, too, and needs no room
            with contextlib.suppress(OSError):
                os.utime(heartbeat_path(self._path))


def _waited_for(last: Heartbeat, seconds: float) -> Matter:
    why = f": {last.reason}" if last.reason else ""
    return Matter.of(f"{last.state} for {seconds / 60:.0f} min{why}", last.mend)


def _locked_out(session: Session, seconds: float) -> Matter:
    pid = session.info.backend_pid
    return Matter(
        reason=f"{session.name} (PostgreSQL process {pid}) has waited for a lock for "
        f"{seconds / 60:.0f} min",
        mend=f"end what SELECT pg_blocking_pids({pid}) names",
    )
