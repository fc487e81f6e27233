"""Sessions: when one is over, how the next one begins, and the thread that leads them."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from listener.coordinator.retry import GaveUp
from listener.coordinator.session import BeginAnew, SessionLost
from listener.indexing.outage import Trouble
from listener.observations import events
from listener.observations.events import ServerName
from listener.runtime.lifecycle import Stopped
from tests.kit.coordinator import Floor
from tests.kit.failures import held

LOST = psycopg.OperationalError("gone")
ELASTICSEARCH = Trouble(ServerName.ELASTICSEARCH, 5, "503")
POSTGRESQL = Trouble(ServerName.POSTGRES, 5, "refused")


@pytest.fixture
def floor(monkeypatch: pytest.MonkeyPatch) -> Floor:
    """A daemon whose LISTEN connection has the number 1."""
    floor = Floor(monkeypatch)
    floor.mailbox.listening(1)
    return floor


def begun(floor: Floor) -> int:
    """How many sessions have begun since the last look."""
    count = floor.steps.count("control saved at once")
    floor.steps.clear()
    return count


# -- when one is over ------------------------------------------------------------------------------


def _fenced(floor: Floor) -> None:
    floor.mailbox.fenced()


def _other_session(floor: Floor) -> None:
    floor.mailbox.listening(2)


def _stop(floor: Floor) -> None:
    floor.stop.request()


def _crash(floor: Floor) -> None:
    floor.pipeline.crashed = "a defect"


@pytest.mark.parametrize(
    ("happens", "error"),
    [
        (_fenced, SessionLost),
        (_other_session, SessionLost),
        (_stop, Stopped),
        (_crash, Stopped),
    ],
)
def test_a_session_is_over(
    floor: Floor, happens: Callable[[Floor], None], error: type[Exception]
) -> None:
    """Whatever is waited for would never come. No sign of life is given for it."""
    session = floor.session()
    session.check()
    happens(floor)
    with pytest.raises(error):
        session.wait_on()
    assert floor.shown == []


def test_a_stop_comes_before_all_else(floor: Floor) -> None:
    """A session that is over, too, must not begin anew."""
    session = floor.session()
    floor.mailbox.fenced()
    floor.stop.request()
    with pytest.raises(Stopped):
        session.check()


def test_postgresql_in_trouble(floor: Floor) -> None:
    """Documents cannot be read, perhaps because a table was altered: the audit looks meanwhile, as
    often as it does."""
    session = floor.session()
    floor.pipeline.trouble = POSTGRESQL
    session.check()
    session.check()
    assert floor.steps == ["database audited"]
    floor.auditor.altered = "a table was altered"
    session.check()
    floor.pause(61)
    with pytest.raises(BeginAnew):
        session.check()
    assert floor.told == [events.AuditFailed("a table was altered")]


def test_elasticsearch_in_trouble(floor: Floor) -> None:
    """It is not asked for an audit, but will be."""
    session = floor.session()
    assert not floor.audits.failed(session.connection)
    floor.steps.clear()
    floor.pipeline.trouble = ELASTICSEARCH
    session.wait_on()
    assert floor.steps == []
    assert floor.shown == [("waiting for Elasticsearch", "503")]
    floor.pipeline.trouble = None
    floor.audits.failed(session.connection)
    assert floor.did("audited")


def test_elasticsearch_holds_what_was_written(floor: Floor) -> None:
    """A setting of the index in use may be the reason, which only a new session mends."""
    session = floor.session()
    floor.pipeline.trouble, floor.pipeline.held = ELASTICSEARCH, held("a pipeline is missing")
    session.check()
    session.check()
    assert floor.steps == ["indexes audited"]
    floor.auditor.altered = "settings were altered"
    floor.pause(61)
    with pytest.raises(BeginAnew):
        session.check()
    assert floor.told == [events.AuditFailed("settings were altered")]


@pytest.mark.parametrize("trouble", [ELASTICSEARCH, POSTGRESQL])
def test_patience_ends(monkeypatch: pytest.MonkeyPatch, trouble: Trouble) -> None:
    """Counted from the beginning of the outage."""
    for seconds in (6, 4):
        floor = Floor(monkeypatch, give_up_after=seconds)
        session = floor.session()
        floor.pipeline.trouble = trouble
        if seconds == 6:
            session.check()
        else:
            with pytest.raises(GaveUp, match=f"{trouble.server}: {trouble.reason}"):
                session.check()


# -- the next one ----------------------------------------------------------------------------------


def test_a_session_stays_in_force(floor: Floor) -> None:
    """Round by round."""
    session = floor.sessions.get()
    assert begun(floor) == 1
    assert floor.sessions.get() is session
    assert begun(floor) == 0


@pytest.mark.parametrize(
    "happens", [_fenced, _other_session, lambda floor: floor.sessions.forget()]
)
def test_a_new_session(floor: Floor, happens: Callable[[Floor], None]) -> None:
    """The connection of the old one is closed first, for it may be to another server."""
    before = floor.sessions.get()
    floor.steps.clear()
    happens(floor)
    after = floor.sessions.get()
    assert after is not before
    assert after.number == floor.mailbox.session
    assert floor.steps.index("connection closed") < floor.steps.index("connected")
    assert begun(floor) == 1
    assert floor.sessions.get() is after


def test_next_begins_one_in_any_case(floor: Floor) -> None:
    """As a run of `--once` does."""
    assert floor.sessions.next() is not floor.sessions.next()
    assert begun(floor) == 2


def test_no_draw_survives(floor: Floor) -> None:
    """Not even one that was drawn before a session that could not begin."""
    floor.proven = False
    floor.ticker.tick(floor.sessions.get())
    floor.sessions.forget()
    floor.fails["planned"] = LOST
    with pytest.raises(psycopg.Error):
        floor.sessions.get()
    floor.fails.clear()
    session = floor.sessions.get()
    floor.steps.clear()
    floor.ticker.tick(session)
    assert floor.did("xid burnt")


@pytest.mark.parametrize("step", ["connected", "triggers ensured", "generation raised", "swept"])
def test_a_session_that_could_not_begin(floor: Floor, step: str) -> None:
    """It is never taken for one that has: the next call begins anew. Neither the first one nor one
    that follows a session in force."""
    for number in (1, 2):
        floor.mailbox.listening(number)
        floor.fails[step] = LOST
        with pytest.raises(psycopg.Error):
            floor.sessions.get()
        floor.fails.clear()
        begun(floor)
        floor.sessions.get()
        assert begun(floor) == 1


def test_a_connection_is_closed_once(floor: Floor) -> None:
    """At stop, after whatever there was."""
    floor.sessions.close()
    floor.sessions.get()
    floor.steps.clear()
    floor.sessions.close()
    floor.sessions.close()
    assert floor.steps == ["connection closed"]


# -- rounds ----------------------------------------------------------------------------------------


def _raise(error: Exception) -> Callable[[], None]:
    def work() -> None:
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "anew", "waits"),
    [(BeginAnew(), 1, 0), (LOST, 1, 1), (SessionLost(), 0, 0), (Stopped("stop"), 0, 0)],
    ids=repr,
)
def test_a_round_that_was_not_done(floor: Floor, error: Exception, anew: int, waits: int) -> None:
    """After what the database said the next session begins, also on the same LISTEN connection.
    Where the connection is over its number tells. Only an outage is waited for."""
    floor.sessions.get()
    begun(floor)
    assert not floor.sessions.guarded(_raise(error))
    assert len(floor.waits) == waits
    floor.sessions.get()
    assert begun(floor) == anew


def test_a_round_that_was_done(floor: Floor) -> None:
    """The session stays."""
    floor.sessions.get()
    begun(floor)
    assert floor.sessions.guarded(lambda: None)
    floor.sessions.get()
    assert begun(floor) == 0


# -- the thread ------------------------------------------------------------------------------------


def run(floor: Floor) -> None:
    """Run the coordinator's thread to its end, which a stop in one of its waits must bring."""
    floor.coordinator.start()
    floor.coordinator.join()
    floor.coordinator.join()


def ticks(floor: Floor) -> int:
    """How many were complete."""
    return floor.steps.count("ticked")


@pytest.mark.timeout(20)
def test_the_coordinator_ticks_until_it_is_stopped(floor: Floor) -> None:
    """Every `fetch_delay`, in one session."""
    floor.meanwhile = [lambda: None, lambda: None, floor.stop.request]
    before = floor.now
    run(floor)
    assert ticks(floor) == 3
    assert floor.steps.count("generation raised") == 1
    assert floor.now == before + 2 * floor.config.fetch_delay


def test_a_coordinator_that_never_started(floor: Floor) -> None:
    """It can be waited for."""
    floor.coordinator.join()


@pytest.mark.timeout(20)
def test_a_round_after_an_audit_that_failed(floor: Floor) -> None:
    """The next one begins a session at once: triggers are mended, then all is compared."""
    floor.auditor.altered = "a trigger is gone"

    def mend() -> None:
        floor.auditor.altered = None

    floor.then["audited"] = lambda: floor.then.update({"triggers ensured": mend})
    floor.meanwhile = [floor.stop.request]
    run(floor)
    assert floor.steps.count("generation raised") == 2
    assert ticks(floor) == 2


@pytest.mark.timeout(20)
def test_a_round_that_failed(floor: Floor) -> None:
    """It is waited for, and the next one begins a session."""
    floor.fails["proof asked"] = LOST
    floor.meanwhile = [floor.fails.clear, floor.stop.request]
    run(floor)
    assert floor.steps.count("generation raised") == 2
    assert ticks(floor) == 1


@pytest.mark.timeout(20)
def test_the_doorbell_is_answered_between_ticks(floor: Floor) -> None:
    """A ring ends the rest for a poll, and the next tick comes when it was due."""
    polled: list[float] = []
    floor.then["swept silently"] = lambda: polled.append(floor.now)
    floor.meanwhile = [floor.mailbox.ring, lambda: None, lambda: None, floor.stop.request]
    before = floor.now
    run(floor)
    assert polled == [pytest.approx(before + 0.02)]
    assert ticks(floor) == 2
    assert floor.now == pytest.approx(before + floor.config.fetch_delay)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("happens", [_fenced, _other_session])
def test_news_end_the_rest(floor: Floor, happens: Callable[[Floor], None]) -> None:
    """The next session begins before a tick is due."""
    floor.meanwhile = [lambda: happens(floor), floor.stop.request]
    before = floor.now
    run(floor)
    assert floor.now == before
    assert floor.steps.count("generation raised") == 2
