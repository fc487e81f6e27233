"""The LISTEN thread: the order of its steps, and what a lost connection or lock leads to."""

from __future__ import annotations

import json

import psycopg
import pytest

from listener import postgres
from listener.capture import lock
from listener.capture.notifications import AlreadyActive, Notifications, ring
from listener.changes import PayloadError
from listener.config import PostgresConfig
from listener.observations.events import (
    BadPayload,
    ConnectionLost,
    Held,
    Listening,
    SilentHolderEnded,
    StandingBy,
    Waiting,
)
from listener.observations.surprises import Unfit
from listener.runtime.backoff import Backoff
from tests.kit.listening import OTHER, SCHEMA, Database, NotedReceiver, later
from tests.kit.threads import Failures

CONFIG = PostgresConfig(dbname="app", user="listener")
BARRIER = json.dumps({"v": 1, "barrier": "n"})
SWEEP = json.dumps({"v": 1, "w": "public.film(id)", "sweep": True})
LISTEN = f'LISTEN "{SCHEMA}"'
TAKEN = ["connected", "lock asked for"]
BEGIN = [*TAKEN, "time limit set", LISTEN]
GONE = psycopg.OperationalError("server closed the connection unexpectedly")
WAITED = "server closed the connection unexpectedly"


class Setting:
    """A LISTEN thread, and the database that it meets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.database = Database(monkeypatch)
        self.receiver = NotedReceiver(self.database)
        self.life = Failures()
        self.life.stop = self.database.stop
        self.notifications = self.new(standby=True)

    def new(self, *, standby: bool) -> Notifications:
        """One that has not started."""
        return Notifications(
            CONFIG,
            self.receiver,
            backoff=Backoff(1, 2, 60),
            observe=self.database.told.append,
            standby=standby,
            life=self.life,
        )

    def run(self, *, standby: bool = True) -> list[str]:
        """From the start to the end; the steps, but for looks at who holds the lock."""
        if not standby:
            self.notifications = self.new(standby=False)
        self.notifications.start()
        self.notifications.join()
        looks = {"holder looked at", "sign looked at", "sign given"}
        return [one for one in self.database.steps if one not in looks]

    def told(self, kind: type) -> list[object]:
        """What was observed of this kind."""
        return [one for one in self.database.told if isinstance(one, kind)]


@pytest.fixture
def setting(monkeypatch: pytest.MonkeyPatch) -> Setting:
    """Nobody holds the lock."""
    return Setting(monkeypatch)


# -- a session -------------------------------------------------------------------------------------


def test_the_order_of_a_session(setting: Setting) -> None:
    """The lock, then LISTEN, then the session: its first sweep must begin when notifications are
    kept already, or what is committed in between is heard of by neither."""
    setting.database.turns = [[BARRIER, SWEEP], []]
    assert setting.run() == [
        *(*BEGIN, "session 1", "barrier n", "sweep of public.film(id)"),
        *("closed", "lost"),
    ]
    assert setting.database.told == [Listening(SCHEMA, "PostgreSQL 16.4", 1)]
    assert setting.life.errors == []


def test_a_packet_is_received_as_a_whole(setting: Setting) -> None:
    """Whoever leaves psycopg's generator loses the rest of it."""
    setting.database.turns = [[json.dumps({"v": 1, "barrier": str(n)}) for n in range(5)]]
    assert setting.run()[5:10] == [f"barrier {n}" for n in range(5)]


def test_signs_of_life(setting: Setting) -> None:
    """At once, then each second; not at each turn."""
    setting.database.turns = [[]] * 7  # of half a second
    setting.run()
    assert setting.database.steps.count("sign given") == 3
    assert lock.SIGN_EVERY < lock.SILENT_AFTER / 2


def test_what_cannot_be_read(setting: Setting) -> None:
    """It is counted and told, with the last reason; what comes after it is received."""
    setting.receiver.refuses = PayloadError("a table that is not watched")
    setting.database.turns = [["{", SWEEP, BARRIER]]
    assert setting.run()[5:7] == ["sweep of public.film(id)", "barrier n"]
    assert setting.told(BadPayload) == [BadPayload("a table that is not watched", 2)]
    assert "lost" not in setting.database.steps[: setting.database.steps.index("barrier n")]


# -- a connection that is lost ---------------------------------------------------------------------


def test_a_lost_connection(setting: Setting) -> None:
    """It is told before a new one is made: what was notified in between is lost, and only a new
    session sweeps. The lock is taken anew, before LISTEN."""
    setting.database.turns = [[BARRIER], GONE, [BARRIER]]
    lost = ["closed", "lost", "refused: None"]
    assert setting.run() == [
        *(*BEGIN, "session 1", "barrier n", *lost),
        *(*BEGIN, "session 2", "barrier n", "closed", "lost"),
    ]
    assert setting.told(ConnectionLost) == [ConnectionLost("listening", WAITED)]
    [waiting] = setting.told(Waiting)
    assert isinstance(waiting, Waiting)
    assert (waiting.server, waiting.attempt, waiting.reason) == ("PostgreSQL", 1, WAITED)
    assert setting.database.waits == [waiting.seconds]


def test_a_connection_is_lost_once(setting: Setting) -> None:
    """Also where the next one fails: that is none that was lost."""
    database = setting.database
    database.turns = [GONE]
    database.then["lost"] = lambda: database.fails.update(connected=GONE)
    steps = setting.run()
    lost, again = ["closed", "lost", "refused: None"], ["connected", "refused: None"]
    assert steps == [*BEGIN, "session 1", *lost, *again, *BEGIN, "session 2", "closed", "lost"]
    assert len(setting.told(ConnectionLost)) == 1


@pytest.mark.parametrize("step", [LISTEN, "time limit set", "lock asked for", "connected"])
def test_a_session_that_does_not_begin(setting: Setting, step: str) -> None:
    """Nothing is told as lost that never was there, and the first session is the first one."""
    setting.database.fails[step] = GONE
    steps = setting.run()
    assert steps[steps.index("refused: None") + 1 :] == [*BEGIN, "session 1", "closed", "lost"]
    assert steps.count("lost") == 1
    assert setting.told(ConnectionLost) == []
    assert len(setting.told(Waiting)) == 1


def test_a_session_that_its_receiver_cannot_begin(setting: Setting) -> None:
    """LISTEN is in force already: it is told as lost."""
    setting.database.fails["session 1"] = Unfit("odd")
    steps = setting.run()
    assert steps[4:8] == ["session 1", "closed", "lost", "refused: odd"]
    assert steps[-3:] == ["session 2", "closed", "lost"]


def test_waits_grow_and_are_reset(setting: Setting) -> None:
    """From one failure to the next, until LISTEN is in force."""
    database = setting.database
    database.fails["connected"] = GONE
    database.meanwhile = [lambda: database.fails.update(connected=GONE), lambda: None]
    database.turns = [GONE]
    setting.run()
    attempts = [one.attempt for one in setting.told(Waiting) if isinstance(one, Waiting)]
    assert attempts == [1, 2, 1]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (postgres.Pooled("a pooler"), f"a pooler. Mend: {postgres.DIRECTLY}"),
        (Unfit("odd"), "odd"),
    ],
)
def test_what_a_person_must_mend(setting: Setting, error: Exception, reason: str) -> None:
    """It is told as held, to the receiver too; and tried again all the same."""
    setting.database.fails["connected"] = error
    steps = setting.run()
    assert steps[:2] == ["connected", f"refused: {reason}"]
    assert "session 1" in steps
    assert [one.reason for one in setting.told(Held) if isinstance(one, Held)] == [reason]
    assert setting.told(Waiting) == []


def test_a_defect_ends_the_run(setting: Setting) -> None:
    """It is no failure of a server's; the coordinator is told that nothing arrives any more."""
    setting.database.turns = [defect := AssertionError("odd")]
    assert setting.run()[-3:] == ["session 1", "closed", "lost"]
    assert setting.life.errors == [defect]


def test_a_connection_given_up_as_dead(setting: Setting) -> None:
    """Only while one listens: there is nothing else to free a thread from."""
    cut = setting.notifications.cut
    cut()
    setting.database.holder = OTHER
    setting.database.meanwhile = [cut, lambda: setattr(setting.database, "holder", None)]
    setting.database.turns = [cut, GONE]
    steps = setting.run()
    cut()
    assert [one for one in steps if one.endswith("cut")] == ["101 cut"]
    assert steps.index("101 cut") > steps.index("session 1")


# -- the lock --------------------------------------------------------------------------------------


def test_standing_by(setting: Setting) -> None:
    """It does not LISTEN without the lock, for a listener that does not read pins the queue. That
    it stands by is told once."""
    database = setting.database
    database.holder = OTHER
    database.meanwhile = [*[lambda: None] * 20, lambda: setattr(database, "holder", None)]
    steps = setting.run()
    assert steps == [
        *("connected", "lock asked for", "standing by", *["lock asked for"] * 21),
        *("time limit set", LISTEN, "session 1", "closed", "lost"),
    ]
    assert setting.told(StandingBy) == [StandingBy(OTHER)]
    assert max(database.waits) <= 0.25, "a takeover waits no longer"


def test_a_stop_while_it_stands_by(setting: Setting) -> None:
    """The session ends, and neither LISTENs nor begins."""
    setting.database.holder = OTHER
    setting.database.meanwhile = [setting.database.stop.request]
    assert setting.run() == ["connected", "lock asked for", "standing by", "closed"]
    assert setting.life.errors == []


def test_a_stop_before_the_start(setting: Setting) -> None:
    """No connection is made."""
    setting.database.stop.request()
    assert setting.run() == []


def test_a_stop_during_a_wait(setting: Setting) -> None:
    """No further try."""
    setting.database.fails["connected"] = GONE
    setting.database.meanwhile = [setting.database.stop.request]
    assert setting.run() == ["connected", "refused: None"]


def test_a_lost_lock_must_be_taken_anew(setting: Setting) -> None:
    """Another daemon has it by then: nothing begins before that one is gone, even where this one
    was not to stand by when it started."""
    database = setting.database
    database.turns = [GONE]
    database.meanwhile = [
        lambda: setattr(database, "holder", OTHER),
        *[lambda: None] * 20,
        lambda: setattr(database, "holder", None),
    ]
    steps = setting.run(standby=False)
    between = steps[steps.index("refused: None") + 1 : steps.index("session 2")]
    assert between[:3] == ["connected", "lock asked for", "standing by"]
    assert between.count(LISTEN) == 1
    assert set(between[3:-2]) == {"lock asked for"}
    assert setting.life.errors == []


def test_its_own_former_session(setting: Setting) -> None:
    """The server believes in it still: it is ended, and not waited for."""
    database = setting.database
    database.turns = [GONE]
    database.meanwhile = [lambda: setattr(database, "holder", 101)]
    steps = setting.run()
    assert steps[steps.index("refused: None") + 1 :][:4] == [
        *("connected", "lock asked for", "101 terminated", "standing by"),
    ]
    assert "session 2" in steps


def test_the_session_of_another_is_not_terminated(setting: Setting) -> None:
    """However long it holds the lock, as long as it gives signs."""
    database = setting.database
    database.holder = OTHER

    def sign() -> None:
        database.sign = later(database.now)

    database.meanwhile = [*[sign] * 100, database.stop.request]
    assert set(setting.run()) == {"connected", "lock asked for", "standing by", "closed"}


def test_a_silent_session_is_ended(setting: Setting) -> None:
    """And the lock taken from it."""
    database = setting.database
    database.holder = OTHER
    steps = setting.run()
    assert steps.count(f"{OTHER} ended") == 1
    assert steps.index("standing by") < steps.index(f"{OTHER} ended") < steps.index("session 1")
    [ended] = setting.told(SilentHolderEnded)
    assert isinstance(ended, SilentHolderEnded)
    assert ended.pid == OTHER
    assert ended.seconds > lock.SILENT_AFTER


def test_a_daemon_that_may_not_stand_by(setting: Setting) -> None:
    """It gives a killed one's session two seconds, then ends the run without LISTEN."""
    database = setting.database
    database.holder = OTHER
    steps = setting.run(standby=False)
    assert set(steps) == {"connected", "lock asked for", "standing by", "closed"}
    [error] = setting.life.errors
    assert isinstance(error, AlreadyActive)
    assert str(OTHER) in str(error)
    assert 2 < sum(database.waits) < 3


@pytest.mark.parametrize("moment", ["in time", "between two looks"])
def test_a_holder_that_ends(setting: Setting, moment: str) -> None:
    """Within these two seconds; or after them, when it holds the lock at the first of two looks and
    is gone at the second."""
    database = setting.database
    database.holder = OTHER

    def end() -> None:
        database.holder = None

    def almost() -> None:
        database.now += 5
        database.then["holder looked at"] = end

    database.meanwhile = [end if moment == "in time" else almost]
    assert "session 1" in setting.run(standby=False)
    assert setting.life.errors == []


def test_the_active_daemon_is_rung_for(setting: Setting) -> None:
    """By a sweep of any of its tables, on the channel of its schema."""
    ring(setting.database.session(), SCHEMA, "public.film(id)")
    assert setting.database.steps == [f"notified: {SCHEMA} {SWEEP}"]
