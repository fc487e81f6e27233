"""The lock of a pipeline, and when the session that holds it is taken for dead."""

from __future__ import annotations

import pytest

from listener.capture import lock
from listener.capture.lock import Silence, lock_holder, lock_key, take
from tests.kit.listening import OTHER, SCHEMA, Database, later


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Database:
    """Another daemon holds its lock."""
    database = Database(monkeypatch)
    database.holder = OTHER
    return database


def silent(database: Database) -> Silence:
    """A look at it from a new session."""
    return Silence(database.session(), SCHEMA)


def test_each_schema_has_a_lock() -> None:
    """The same in each process and release, and a number that PostgreSQL takes."""
    assert lock_key("listener") == 0x546754BD13D1824F
    assert lock_key("listener") != lock_key("listener2")
    assert all(0 <= lock_key(f"schema_{number}") < 1 << 63 for number in range(100))


def test_one_session_has_it(database: Database) -> None:
    """The others are told who."""
    session = database.session()
    assert not take(session, SCHEMA)
    assert lock_holder(session, SCHEMA) == OTHER
    database.holder = None
    assert lock_holder(session, SCHEMA) is None
    assert take(session, SCHEMA)
    assert not take(database.session(), SCHEMA)
    assert lock_holder(session, SCHEMA) == session.info.backend_pid


def test_silence_is_counted_from_the_first_look(database: Database) -> None:
    """The sign may be hours old by the server's clock: that may have been set. The own clock tells
    for how long it has been the last one."""
    database.sign = later(-7200)
    silence = silent(database)
    assert silence.end() is None
    database.now += lock.SILENT_AFTER
    assert silence.end() is None
    assert f"{OTHER} ended" not in database.steps
    database.now += 0.25
    assert silence.end() == (OTHER, lock.SILENT_AFTER + 0.25)
    assert database.holder is None


@pytest.mark.parametrize("news", ["sign", "holder", "clock set back"])
def test_a_sign_of_life(database: Database, news: str) -> None:
    """It counts anew: where another sign is seen, whether later or not, or another session."""
    silence = silent(database)
    silence.end()
    database.now += lock.SILENT_AFTER - 1
    if news == "holder":
        database.holder = OTHER + 1
    else:
        database.sign = later(1 if news == "sign" else -3600)
    silence.end()
    database.now += lock.SILENT_AFTER
    assert silence.end() is None
    database.now += 1
    assert silence.end() is not None


def test_a_sign_at_the_last_moment(database: Database) -> None:
    """The server looks once more when it ends a session. One that has given a sign lives on."""
    silence = silent(database)
    silence.end()
    database.now += lock.SILENT_AFTER + 1
    database.lives = True
    assert silence.end() is None
    assert database.holder == OTHER


@pytest.mark.parametrize("hidden", [True, False])
def test_nothing_that_could_be_ended(database: Database, hidden: bool) -> None:
    """The sign of another role's session is not shown, so it is never silent; and where the lock is
    free there is no session."""
    database.sign = None
    if not hidden:
        database.holder = None
    silence = silent(database)
    for _ in range(3):
        assert silence.end() is None
        database.now += lock.SILENT_AFTER
    assert set(database.steps) == {"sign looked at"}
