"""PostgreSQL as the LISTEN thread meets it, without a server: sessions, the lock, what is notified.

A `Database` notes each statement and each call of the receiver as one entry of `steps`. Time is a
number that grows where something waits, so no test sleeps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, Final

import pytest
from psycopg import sql

from listener.capture.lock import lock_key
from listener.capture.notifications import Receiver
from listener.changes import Change
from listener.config import PostgresConfig
from listener.failures import Failure
from listener.observations.events import Observation
from listener.runtime.lifecycle import Stop
from listener.sql import files
from tests.kit.session import NOW

SCHEMA: Final = "listener"
OTHER: Final = 900
"""The PostgreSQL process of another daemon's session."""
_MOST_WAITS: Final = 1000
"""More than a test needs. Without a limit a thread that never ends would spin: it never sleeps."""
_STATEMENTS: Final = {
    files.load(f"watermark/{name}"): name
    for name in ("lock", "lock_holder", "sign", "holder_sign", "end_silent", "notify")
}


@dataclass
class Notified:
    """A notification, as psycopg hands it over."""

    payload: str


class Database:
    """A server, its clock, and the one who holds the lock of the pipeline."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps: list[str] = []
        self.fails: dict[str, Exception] = {}
        """What a step raises, once."""
        self.then: dict[str, Callable[[], object]] = {}
        """By step, what happens right after it, once."""
        self.told: list[Observation] = []
        self.now = 1000.0
        """The monotonic clock."""
        self.waits: list[float] = []
        """How long each wait for the stop flag was to last, in seconds."""
        self.stop = TimedStop(self)
        self.holder: int | None = None
        """The process that holds the lock."""
        self.sign: datetime | None = NOW
        """The last sign of life of the holder; None: it is not ours to see."""
        self.lives = False
        """Whether it has given another sign, before it can be ended."""
        self.meanwhile: list[Callable[[], object]] = []
        """What happens in the next waits, one for each."""
        self.turns: list[Sequence[str] | Exception | Callable[[], object]] = []
        """What the next turns of reading bring: payloads, a failure, or what happens meanwhile.
        After the last one stop is requested."""
        self.sessions: list[FakeSession] = []
        clock = SimpleNamespace(monotonic=lambda: self.now)
        monkeypatch.setattr("listener.capture.lock.time", clock)
        monkeypatch.setattr("listener.capture.notifications.time", clock)
        monkeypatch.setattr("listener.postgres.connect", self._connect)

    def step(self, name: str) -> None:
        """Note it; then it may fail."""
        self.steps.append(name)
        if name in self.fails:
            raise self.fails.pop(name)
        self.then.pop(name, lambda: None)()

    def session(self) -> Any:
        """A session that is open."""
        self.sessions.append(FakeSession(self, 100 + len(self.sessions) + 1))
        return self.sessions[-1]

    def _connect(self, config: PostgresConfig, name: str) -> Any:
        assert (config.db_schema, name) == (SCHEMA, "listener: notifications")
        self.step("connected")
        return self.session()


class TimedStop(Stop):
    """Its waits take no time, but on the database's clock."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for a stop."""
        assert seconds is not None
        waits, meanwhile = self._database.waits, self._database.meanwhile
        waits.append(seconds)
        if len(waits) > _MOST_WAITS:
            self.request()
            pytest.fail("it waits again and again")
        self._database.now += seconds
        if meanwhile:
            meanwhile.pop(0)()
        return self.requested


class FakeSession:
    """One connection: it knows the statements of the lock by their files."""

    def __init__(self, database: Database, pid: int) -> None:
        self._database = database
        self.info = SimpleNamespace(backend_pid=pid, parameter_status=lambda _: "16.4")

    def __enter__(self) -> FakeSession:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.step("closed")
        if self._database.holder == self.info.backend_pid:
            self._database.holder = None

    def cut(self) -> None:
        """End it under the thread that waits on it."""
        self._database.step(f"{self.info.backend_pid} cut")

    def execute(self, statement: Any, values: Any = None) -> Any:
        """Answer a statement."""
        text = statement.as_string() if isinstance(statement, sql.Composable) else statement
        row = getattr(self, f"_{_STATEMENTS.get(text, 'other')}")(values, text)
        return SimpleNamespace(fetchone=lambda: row)

    def notifies(self, *, timeout: float, stop_after: int) -> Iterator[Notified]:
        """All of one packet, or nothing for `timeout` seconds. Whoever leaves it loses the rest."""
        assert stop_after == 1
        database = self._database
        if not database.turns:
            database.stop.request()
            return
        database.now += timeout
        turn = database.turns.pop(0)
        if isinstance(turn, Exception):
            raise turn
        if callable(turn):
            turn()
        else:
            yield from map(Notified, turn)

    def _lock(self, values: Mapping[str, int], _text: str) -> tuple[bool]:
        assert values == {"key": lock_key(SCHEMA)}
        database, pid = self._database, self.info.backend_pid
        database.step("lock asked for")
        if database.holder is None:
            database.holder = pid
        return (database.holder == pid,)

    def _lock_holder(self, values: Mapping[str, int], _text: str) -> tuple[int] | None:
        assert values == {"key": lock_key(SCHEMA)}
        self._database.step("holder looked at")
        return None if self._database.holder is None else (self._database.holder,)

    def _sign(self, _values: None, _text: str) -> None:
        self._database.step("sign given")

    def _holder_sign(
        self, values: Mapping[str, int], _text: str
    ) -> tuple[int, datetime | None] | None:
        assert values == {"key": lock_key(SCHEMA)}
        database = self._database
        database.step("sign looked at")
        return None if database.holder is None else (database.holder, database.sign)

    def _end_silent(self, values: Mapping[str, Any], _text: str) -> tuple[bool] | None:
        database = self._database
        database.step(f"{values['pid']} ended")
        if database.lives or values != {"pid": database.holder, "sign": database.sign}:
            return None
        database.holder = None
        return (True,)

    def _notify(self, values: Mapping[str, str], _text: str) -> None:
        self._database.step(f"notified: {values['channel']} {values['payload']}")

    def _other(self, values: Sequence[object] | None, text: str) -> None:
        if text == "SELECT pg_catalog.pg_terminate_backend(%s)":
            [pid] = values or ()
            self._database.step(f"{pid} terminated")
            if self._database.holder == pid:
                self._database.holder = None
        elif "tcp_user_timeout" in text:
            self._database.step("time limit set")
        else:
            self._database.step(text)


class NotedReceiver(Receiver):
    """A receiver that notes what it is told. `refuses`: what it raises for a change, once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.refuses: Exception | None = None

    def on_session(self, session: int) -> None:
        """LISTEN is in force."""
        self._database.step(f"session {session}")

    def on_standby(self) -> None:
        """Another daemon holds the lock."""
        self._database.step("standing by")

    def on_lost(self) -> None:
        """The connection is gone."""
        self._database.step("lost")

    def on_refused(self, failure: Failure, *, passes: bool) -> None:
        """No connection before an operator has mended this."""
        self._database.step(f"refused: {None if passes else failure.told}")

    def on_change(self, change: Change) -> None:
        """A change was notified."""
        self._database.step(f"{change.kind} of {change.watch}")
        if self.refuses is not None:
            refused, self.refuses = self.refuses, None
            raise refused

    def on_barrier(self, nonce: str) -> None:
        """A barrier came back."""
        self._database.step(f"barrier {nonce}")


def later(seconds: float) -> datetime:
    """A moment of the server's clock."""
    return NOW + timedelta(seconds=seconds)
