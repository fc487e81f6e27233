"""The LISTEN thread on a real PostgreSQL: signs of life, and sessions that give none."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import psycopg
import pytest

from listener.capture import lock
from listener.capture.lock import lock_key
from listener.capture.notifications import Notifications
from listener.changes import Change
from listener.config import PostgresConfig
from listener.failures import Failure
from listener.observations import events
from listener.observations.events import Observation
from listener.runtime.backoff import Backoff
from listener.sql import files
from playground.postgres import PostgresServer
from tests.kit.indexing import FailingLife


@pytest.fixture
def config(postgres_server: PostgresServer, database: str) -> PostgresConfig:
    """How listener reaches the test's database."""
    info = psycopg.conninfo.conninfo_to_dict(postgres_server.dsn(database))
    return PostgresConfig.model_validate(
        {key: info[key] for key in ("host", "port", "dbname", "user", "password") if key in info}
    )


@pytest.fixture
def dsn(postgres_server: PostgresServer, database: str) -> str:
    """The address for everybody else."""
    return postgres_server.dsn(database)


@pytest.fixture
def holder(dsn: str) -> Iterator[psycopg.Connection]:
    """Another daemon's session, which holds the lock."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        key = lock_key("listener")
        row = connection.execute(files.load("watermark/lock"), {"key": key}).fetchone()
        assert row == (True,)
        yield connection


class Ear:
    """A receiver, and what was observed, to wait on."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.sessions = 0
        self.standing_by = False
        self.barriers: list[str] = []
        self.told: list[Observation] = []

    def on_session(self, session: int) -> None:
        """LISTEN is in force."""
        self.sessions = session
        with self._changed:
            self._changed.notify_all()

    def on_standby(self) -> None:
        """Another one holds the lock."""
        self.standing_by = True
        with self._changed:
            self._changed.notify_all()

    def on_lost(self) -> None:
        """The connection is gone."""

    def on_refused(self, failure: Failure, *, passes: bool) -> None:
        """Nothing is refused here."""

    def on_change(self, change: Change) -> None:
        """Not sent here."""

    def on_barrier(self, nonce: str) -> None:
        """One notification arrived."""
        self.barriers.append(nonce)
        with self._changed:
            self._changed.notify_all()

    def __call__(self, observation: Observation, /) -> None:
        """One observation."""
        self.told.append(observation)
        with self._changed:
            self._changed.notify_all()

    def wait(self, what: str, seconds: float = 20) -> None:
        """Wait until this attribute is as large as `what` says."""
        name, _, least = what.partition(" >= ")
        with self._changed:

            def there() -> bool:
                value = getattr(self, name)
                return (len(value) if isinstance(value, list) else value) >= int(least)

            assert self._changed.wait_for(there, seconds), f"{what}: {getattr(self, name)}"


@pytest.fixture
def ear(config: PostgresConfig) -> Iterator[Ear]:
    """A LISTEN thread that runs, standing by where it must."""
    ear, life = Ear(), FailingLife()
    thread = Notifications(
        config,
        ear,
        backoff=Backoff(0.05, 2, 0.5),
        observe=ear,
        standby=True,
        life=life,
    )
    thread.start()
    yield ear
    life.stop.request()
    thread.join()


@pytest.fixture
def always_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sign of life in each turn."""
    monkeypatch.setattr(lock, "SIGN_EVERY", 0.0)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session is silent after one second."""
    monkeypatch.setattr(lock, "SILENT_AFTER", 1.0)


def test_signs_of_life_lose_no_notification(always_signs: None, ear: Ear, dsn: str) -> None:
    """What arrives while the statement runs is received in the next turn, each once."""
    ear.wait("sessions >= 1")
    count, writers = 1000, 3

    def notify(writer: int) -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            for number in range(count):
                payload = json.dumps({"v": 1, "barrier": f"{writer:04x}{number:028x}"})
                connection.execute("SELECT pg_notify('listener', %s)", (payload,))

    threads = [threading.Thread(target=notify, args=(one,)) for one in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ear.wait(f"barriers >= {count * writers}")
    assert len(set(ear.barriers)) == len(ear.barriers) == count * writers


def test_silent_session_is_ended(impatient: None, holder: psycopg.Connection, ear: Ear) -> None:
    """It says nothing for as long as is allowed: the lock is taken from it, and that is told."""
    ear.wait("standing_by >= 1")
    ear.wait("sessions >= 1")
    [ended] = [one for one in ear.told if isinstance(one, events.SilentHolderEnded)]
    assert ended.pid == holder.info.backend_pid
    with pytest.raises(psycopg.OperationalError):
        holder.execute("SELECT 1")


def test_session_with_signs_of_life_is_left_alone(
    impatient: None, holder: psycopg.Connection, ear: Ear
) -> None:
    """Over three times the silence that is allowed, in small steps."""
    ear.wait("standing_by >= 1")
    pace = threading.Event()
    for _ in range(30):
        holder.execute(files.load("watermark/sign"))
        pace.wait(0.1)
    assert not ear.sessions
    assert not [one for one in ear.told if isinstance(one, events.SilentHolderEnded)]
    holder.close()
    ear.wait("sessions >= 1")


def test_session_of_another_role_is_not_ours_to_end(dsn: str, holder: psycopg.Connection) -> None:
    """The sign of a superuser's session is not shown to a plain role, so it is never silent."""
    key = {"key": lock_key("listener")}
    with psycopg.connect(dsn, autocommit=True) as connection:
        found = connection.execute(files.load("watermark/holder_sign"), key).fetchone()
        assert found is not None
        assert found[0] == holder.info.backend_pid
        assert found[1] is not None
        connection.execute("SET ROLE pg_monitor")
        found = connection.execute(files.load("watermark/holder_sign"), key).fetchone()
        assert found == (holder.info.backend_pid, None)
