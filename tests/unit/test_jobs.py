"""Loads and comparisons of one process: begun, interrupted, begun anew, ended with a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from listener import search
from listener.capture.journal import LoadAsked, RollbackAsked
from listener.documents.files import QueryFileError
from listener.documents.kinds import Kind
from listener.indexing.gate import FencedOut
from listener.observations.events import Held, LoadGivenUp, Waiting
from listener.postgres import Connection
from listener.resync.cancellation import Cancellation, Check
from listener.resync.full_load import AliasTaken
from listener.resync.jobs import Jobs
from listener.resync.kind_state import Wanted
from listener.resync.loader_thread import LoaderThread
from listener.resync.needs import Need
from listener.runtime.backoff import Backoff
from listener.runtime.lifecycle import Stopped
from listener.search.index_config import IndexError_
from listener.state.model import Kept, Load, RolledBackFiles
from listener.triggers import TriggerError
from tests.kit.failures import held
from tests.kit.indexing import Noted
from tests.kit.resync import STARTED, FakeConnections, Resync, new_load
from tests.kit.session import NOW, WATERMARK
from tests.kit.threads import DEADLINE, Beside, happens

WANTED = Wanted("TRUNCATE", unguarded=False)
ANY_NUMBER = Wanted("asked for", unguarded=True, asked=True)


class FakeRunner:
    """Completes all comparisons at each turn, and all loads. `held_up`: it waits there first."""

    def __init__(self, room: Resync) -> None:
        self._room = room
        self.held_up: threading.Event | None = None
        self.turns: list[Exception] = []
        """What the next turns raise."""
        self.at_work = threading.Event()

    def turn(self, _connection: Connection, cancellation: Cancellation) -> None:
        """One turn."""
        self._room.step("turn")
        self.at_work.set()
        if self.held_up is not None:
            while not self.held_up.wait(0.001):
                cancellation.check()
        if self.turns:
            raise self.turns.pop(0)
        under_way = self._room.under_way
        for one in under_way.states:
            if one.load is not None and one.refusal is None:
                under_way.load_complete(one.kind.number, one.load)
            if one.comparing is not None:
                under_way.comparison_complete(
                    one.kind.number,
                    one.comparing.started_at,
                    proven=True,
                    guarded=False,
                    keep=False,
                )

    def here(self, _connection: Connection, check: Check) -> bool:
        """The way of --once."""
        check.check()
        self._room.step("here")
        return True

    def finish_here(self, _connection: Connection, check: Check) -> None:
        """Swap."""
        check.check()
        self._room.step("finished here")


class FakeLoader:
    """Begins loads."""

    def __init__(self, room: Resync) -> None:
        self._room = room

    def begin(self, kind: Kind, reason: str, resume: Load | None, now: datetime) -> Load:
        """Make the index, or take up the one of `resume`."""
        self._room.step(f"{kind.index} begun: {reason}" + (", resumed" if resume else ""))
        return resume or new_load(index=kind.index, started_at=now)

    def give_up(self, kind: Kind) -> None:
        """Remove the index."""
        self._room.step(f"load of {kind.index} given up")
        self._room.keeper.drop_load(kind.index)


class FakeRollbacks:
    """Goes back where it is asked to. `refuses`: the former index is not as it was left."""

    def __init__(self, room: Resync) -> None:
        self._room = room
        self.refuses = False

    def roll_back(self, _connection: Connection, due: Mapping[int, RollbackAsked]) -> list[int]:
        """Go back."""
        self._room.step("rolled back")
        return [] if self.refuses else list(due)


class Working:
    """Jobs of two document kinds, and a thread for them."""

    def __init__(self, room: Resync, *, threaded: bool = True) -> None:
        self.room = room
        self.runner = FakeRunner(room)
        self.supervisor = Noted()
        runner: Any = self.runner
        loader: Any = FakeLoader(room)
        connections: Any = FakeConnections(room)
        self.rollbacks = FakeRollbacks(room)
        rollbacks: Any = self.rollbacks
        self.thread = LoaderThread(
            under_way=room.under_way,
            runner=runner,
            connections=connections,
            waits=Backoff(0.001, 1, 0.001),
            supervisor=self.supervisor,
            observe=room.told.append,
            life=room.life,
        )
        self.jobs = Jobs(
            under_way=room.under_way,
            runner=runner,
            loader=loader,
            fence=room.fence,
            keeper=room.keeper,
            rollbacks=rollbacks,
            thread=self.thread if threaded else None,
            observe=room.told.append,
        )

    def need(self, kind: int = 0, **other: Any) -> Need:
        """What this kind needs: a comparison."""
        return Need(self.room.kinds[kind], "TRUNCATE", **{"compare": True, **other})

    def begin(self, *needs: Need) -> None:
        """Begin these."""
        self.jobs.begin(self.room.connection, needs)

    def again(self, wanted: Wanted = WANTED, kind: int = 0) -> None:
        """Compare documents of this kind."""
        self.jobs.again(self.room.connection, {kind: wanted})

    def hold_up(self) -> None:
        """The thread waits in its next turn until it is cancelled."""
        self.runner.held_up = threading.Event()

    def rest(self) -> None:
        """Wait until the thread has ended by itself."""
        thread = self.thread._thread
        assert thread is not None
        Beside(thread.join).result()


@pytest.fixture
def working(monkeypatch: pytest.MonkeyPatch) -> Iterator[Working]:
    """Nothing is under way."""
    working = Working(Resync(monkeypatch, ["films", "persons"]))
    yield working
    working.jobs.end()


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch) -> Working:
    """The same without a thread."""
    return Working(Resync(monkeypatch, ["films", "persons"]), threaded=False)


# -- beginning -------------------------------------------------------------------------------------


def test_a_load_begins(once: Working) -> None:
    """The watermark stands still before its index is made; the moment is drawn before, too."""
    once.begin(once.need(compare=False))
    assert once.room.steps == ["draw", "films frozen", "films begun: TRUNCATE"]
    assert once.jobs.loads(0)
    assert once.jobs.running
    assert once.jobs.starts == [once.room.drawn_at()]
    once.room.keeper.advance(NOW)
    assert once.room.keeper.last_processed == WATERMARK


def test_a_comparison_begins(once: Working) -> None:
    """It is due by the disk, and the watermark stands still."""
    once.begin(once.need(unguarded=True, blind=True))
    assert once.room.disk.reconcile == {"films": True}
    comparing = once.room.state.comparing
    assert comparing is not None
    assert (comparing.unguarded, comparing.blind) == (True, True)
    assert comparing.started_at == once.room.drawn_at()
    once.room.keeper.advance(NOW)
    assert once.room.keeper.last_processed == WATERMARK


def test_a_load_stands_for_a_comparison_that_is_due(once: Working) -> None:
    """What a person allowed that one holds for the load; and only what is due is."""
    once.room.keeper.want_reconcile("films", unguarded=False)
    once.begin(
        once.need(compare=False, unguarded=True, blind=True),
        once.need(1, compare=False, unguarded=True),
    )
    assert once.room.disk.reconcile == {"films": True}
    assert [one.blind for one in once.room.under_way.states] == [True, False]


def test_what_cannot_begin_has_no_thread(working: Working) -> None:
    """The error is the coordinator's; the next session looks anew."""
    working.room.fails["persons begun"] = search.Away("gone")
    with pytest.raises(search.Away):
        working.begin(working.need(), working.need(1, compare=False))
    assert "connected" not in working.room.steps
    assert not working.room.under_way.add(working.room.connection, {0: WANTED})


def test_no_needs_no_thread(working: Working) -> None:
    """And nothing is left to it."""
    working.begin()
    assert working.room.steps == []
    assert not working.room.under_way.add(working.room.connection, {0: WANTED})


def test_the_thread_ends_with_its_work(working: Working) -> None:
    """Its connection is closed."""
    working.begin(working.need(), working.need(1, compare=False))
    working.rest()
    assert working.room.steps[-1] == "closed"
    assert working.room.steps.count("turn") == 1
    assert not working.jobs.running
    assert working.room.disk.reconcile == {}
    assert working.room.life.errors == []


# -- ending ----------------------------------------------------------------------------------------


def test_the_end_stops_the_thread(working: Working) -> None:
    """And waits for it. Twice is once; nothing may be left to it from then on."""
    working.jobs.end()
    working.hold_up()
    working.begin(working.need())
    happens(working.runner.at_work)
    working.jobs.end()
    working.jobs.end()
    assert working.room.steps[-1] == "closed"
    assert working.room.disk.reconcile == {"films": False}
    assert not working.room.under_way.add(working.room.connection, {1: WANTED})
    assert working.room.life.errors == []
    assert working.supervisor.fences == 0


def test_a_new_session_forgets(working: Working) -> None:
    """The thread has ended before: else it would go on with what the session begins."""
    working.hold_up()
    working.begin(working.need(), working.need(1, compare=False))
    happens(working.runner.at_work)
    working.jobs.forget()
    assert working.room.steps[-1] == "closed"
    assert not working.jobs.running
    assert working.jobs.starts == []
    assert working.jobs.held is None
    working.runner.held_up = None
    working.begin(working.need())
    working.rest()
    assert not working.jobs.running


# -- a comparison that is asked for later ----------------------------------------------------------


def test_what_the_thread_can_take_interrupts_nothing(working: Working) -> None:
    """It follows in the same thread."""
    working.hold_up()
    working.begin(working.need())
    happens(working.runner.at_work)
    working.again(kind=1)
    working.again(ANY_NUMBER)
    assert working.room.steps.count("connected") == 1
    assert working.room.state.later == Wanted("asked for", unguarded=True)
    assert working.runner.held_up is not None
    working.runner.held_up.set()
    working.rest()
    assert working.room.steps.count("connected") == 1
    assert working.room.disk.reconcile == {}


def test_after_the_thread_has_ended_another_one_begins(working: Working) -> None:
    """Nothing is left to the one before."""
    working.begin(working.need())
    working.rest()
    working.again(kind=1)
    working.rest()
    assert working.room.steps.count("connected") == 2
    assert working.room.disk.reconcile == {}


def test_it_is_asked_for_while_the_thread_ends(working: Working) -> None:
    """At any moment of its end: it is made, by this thread or by the next."""
    for _ in range(50):
        working.begin(working.need())
        working.again(kind=1)
        working.rest()
        assert not working.jobs.running
        assert working.room.disk.reconcile == {}
        assert set(working.room.disk.loaded) == {"films", "persons"}
        working.room.keeper.begin(
            working.room.disk.model_copy(update={"loaded": {}, "reconcile": {}})
        )
        working.jobs.end()


def test_a_load_begins_anew(working: Working) -> None:
    """Its first pages were read before what the comparison is for."""
    working.hold_up()
    load = new_load(after=("5",), documents=5)
    working.room.keeper.put_load(load)
    working.begin(working.need(compare=False, resume=load))
    happens(working.runner.at_work)
    working.again()
    begun = [one for one in working.room.steps if " begun" in one]
    assert begun == ["films begun: TRUNCATE, resumed", "films begun: TRUNCATE"]
    assert working.room.steps.index("closed") < working.room.steps.index(begun[1])
    assert working.room.state.load is not None
    assert working.room.state.load.documents == 0


@pytest.mark.parametrize("written_down", [True, False])
def test_an_interrupted_load_goes_on_where_it_was_written_down(
    working: Working, written_down: bool
) -> None:
    """Only there: else its start is not proven, and a part of it may be missing."""
    working.hold_up()
    load = new_load(index="persons", physical="persons-2", after=("5",), documents=5)
    if written_down:
        working.room.keeper.put_load(load)
    working.begin(working.need(1, compare=False, resume=load, blind=True))
    happens(working.runner.at_work)
    working.room.under_way.states[0].held = True
    working.again(ANY_NUMBER)
    begun = [one for one in working.room.steps if " begun" in one]
    resumed = ", resumed" if written_down else ""
    assert begun[1:] == ["films begun: asked for", f"persons begun: it was interrupted{resumed}"]
    assert working.room.under_way.states[1].blind


def test_an_interrupted_comparison_begins_anew(working: Working) -> None:
    """With all that it may do, and what it is for."""
    working.hold_up()
    working.begin(working.need(1, unguarded=True, blind=True))
    happens(working.runner.at_work)
    working.room.current[0] = None  # it needs a load, which the thread cannot take
    working.again()
    comparing = working.room.under_way.states[1].comparing
    assert comparing is not None
    assert (comparing.unguarded, comparing.blind) == (True, True)
    assert working.jobs.loads(0)
    assert working.room.disk.reconcile == {"persons": True}


@pytest.mark.parametrize(
    ("wanted", "heard"),
    [(WANTED, False), (ANY_NUMBER, True), (Wanted("asked for", unguarded=False, asked=True), True)],
)
def test_what_is_held_for_a_person(working: Working, wanted: Wanted, heard: bool) -> None:
    """Only a person's word begins it again: it is a load."""
    working.room.state.held = working.room.state.guarded = True
    working.again(wanted)
    assert working.jobs.guarded == ([] if heard else ["films"])
    assert ("films begun: asked for" in working.room.steps) is heard


# -- what fails in the thread ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "server", "passing"),
    [
        (psycopg.OperationalError("gone"), "PostgreSQL", True),
        (psycopg.errors.UndefinedTable("gone"), "PostgreSQL", False),
        (search.Away("gone"), "Elasticsearch", True),
        (search.Unusable("gone"), "Elasticsearch", False),
        (QueryFileError("gone"), "PostgreSQL", False),
        (KeyError("gone"), "PostgreSQL", False),
    ],
)
def test_a_failure_is_waited_for(
    working: Working,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    server: str,
    passing: bool,
) -> None:
    """And told; the work goes on on another connection. What a person must mend is held until it
    is mended."""
    found: list[str | None] = []
    working.runner.turns = [error, error]
    turn = working.runner.turn

    def noted(connection: Connection, cancellation: Cancellation) -> None:
        now = working.jobs.held
        found.append(now.reason if now else None)
        turn(connection, cancellation)

    monkeypatch.setattr(working.runner, "turn", noted)
    working.begin(working.need())
    working.rest()
    steps = [one for one in working.room.steps if one in ("connected", "turn", "closed")]
    assert steps == ["connected", "turn", "closed"] * 3
    assert not working.jobs.running
    told = [one for one in working.room.told if isinstance(one, Waiting | Held)]
    assert [one.reason.startswith("full load: ") for one in told] == [True, True]
    assert [type(one) for one in told] == [Waiting if passing else Held] * 2
    if isinstance(told[0], Waiting):
        assert told[0].server == server
    assert found[0] is None
    assert found[1] == (None if passing else told[0].reason)
    assert working.jobs.held is None
    assert working.room.life.errors == []


def test_a_connection_that_cannot_be_made(working: Working) -> None:
    """It is waited for, too."""
    working.room.fails["connected"] = psycopg.OperationalError("gone")
    working.begin(working.need())
    working.rest()
    assert working.room.steps.count("connected") == 2
    assert not working.jobs.running


@pytest.mark.parametrize("error", [FencedOut("another"), IndexError_("changed")])
def test_only_a_new_session_can_go_on(working: Working, error: Exception) -> None:
    """It is asked for; the thread ends, and nothing is done that was not."""
    working.runner.turns = [error]
    working.begin(working.need())
    working.rest()
    assert working.supervisor.fences == 1
    assert working.room.life.errors == []
    assert working.room.steps.count("turn") == 1
    assert working.room.disk.reconcile == {"films": False}


@pytest.mark.parametrize("error", [FencedOut("another"), IndexError_("changed")])
def test_what_is_asked_for_between_two_sessions(working: Working, error: Exception) -> None:
    """The thread has ended and waits for the next session. Nothing is begun, for the index may be
    another daemon's. The disk says that it is due. What asked for it is swept again, for the
    watermark stands, and nothing covers it: so it may delete what it may."""
    working.runner.turns = [error]
    working.begin(working.need())
    working.rest()
    working.again(ANY_NUMBER)
    working.again(kind=1)
    assert working.room.steps.count("connected") == 1
    assert working.room.disk.reconcile == {"films": False, "persons": False}
    working.room.keeper.advance(NOW)
    working.room.keeper.save(now=True)
    assert working.room.disk.last_processed == WATERMARK
    working.jobs.forget()
    for kind in (0, 1):
        assert not working.jobs.covers(kind, WATERMARK, WANTED)
    working.begin(working.need(), working.need(1))  # what is due
    working.again(ANY_NUMBER)  # the sweep
    working.rest()
    assert not working.jobs.running
    assert working.room.disk.reconcile == {}


def test_a_load_is_asked_for_between_two_sessions(working: Working) -> None:
    """It cannot begin in the generation before: the watermark does not pass what asked for it."""
    working.runner.turns = [FencedOut("another")]
    working.begin(working.need(compare=False))
    working.rest()
    working.room.fails["films begun"] = FencedOut("another")
    with pytest.raises(FencedOut):
        working.again()
    working.room.keeper.advance(NOW)
    working.room.keeper.save(now=True)
    assert working.room.disk.last_processed == WATERMARK
    assert working.room.steps.count("connected") == 1


def test_what_is_stopped_ends_quietly(working: Working) -> None:
    """It is due still."""
    working.runner.turns = [Stopped("the load was stopped")]
    working.begin(working.need())
    working.rest()
    assert working.room.life.errors == []
    assert working.supervisor.fences == 0
    assert working.room.disk.reconcile == {"films": False}


@pytest.mark.parametrize(
    "error", [AssertionError("a defect"), AliasTaken("taken"), TriggerError("odd")]
)
def test_what_ends_the_run(working: Working, error: Exception) -> None:
    """A defect, and what a person must mend before a run can go on: it is not tried again."""
    working.runner.turns = [error]
    working.begin(working.need())
    working.rest()
    assert working.room.life.errors == [error]
    assert working.room.steps.count("turn") == 1


@pytest.mark.parametrize("way", ["a new session", "stop"])
def test_a_wait_can_be_ended(working: Working, way: str) -> None:
    """A new session does not wait for an old backoff, nor does the end of the run."""
    working.thread._waits = Backoff(10 * DEADLINE, 1, 10 * DEADLINE)
    told = threading.Event()
    observe = working.thread._observe

    def noted(observation: Any) -> None:
        observe(observation)
        told.set()

    working.thread._observe = noted
    working.runner.turns = [psycopg.errors.UndefinedTable("gone")] * 1000
    working.begin(working.need())
    happens(told)
    assert working.jobs.held is not None
    if way == "stop":
        working.room.life.stop.request()
        working.rest()
    else:
        Beside(working.jobs.end).result()
        assert working.jobs.held is None
    assert working.room.life.errors == []
    assert working.room.steps.count("turn") == 1  # it is not tried again and again meanwhile


# -- the way of --once -----------------------------------------------------------------------------


def test_once_has_no_thread(once: Working) -> None:
    """Its caller brings them to their end, and asks whether they are worth it still."""
    once.begin(once.need(compare=False))
    asked: list[None] = []
    check: Any = SimpleNamespace(check=lambda: asked.append(None))
    assert once.jobs.here(once.room.connection, check)
    once.jobs.finish_here(once.room.connection, check)
    assert once.room.steps[-2:] == ["here", "finished here"]
    assert len(asked) == 2


def test_once_begins_anew_in_its_own_thread(once: Working) -> None:
    """Also what is under way: no thread would follow it with another one."""
    once.begin(once.need(), once.need(1))
    once.again(ANY_NUMBER)
    first, second = once.room.under_way.states
    assert first.later is None
    assert first.comparing is not None
    assert first.comparing.unguarded
    assert first.comparing.started_at > STARTED
    assert second.comparing is not None
    assert "connected" not in once.room.steps


def test_what_calls_it_off(once: Working) -> None:
    """A check that raises: another daemon is active, or it took too long."""

    def over() -> None:
        raise TimeoutError("too long")

    check: Any = SimpleNamespace(check=over)
    with pytest.raises(TimeoutError):
        once.jobs.here(once.room.connection, check)


# -- what a person asks for ------------------------------------------------------------------------


def asked(**said: Any) -> LoadAsked:
    """A request to load films."""
    return LoadAsked(**{"index": "films", "hash": "hash1", "at": NOW, **said})


def made(seconds: float) -> str:
    """The name of an index of films that a load has made then."""
    return f"films-00000001-{NOW + timedelta(seconds=seconds):%Y%m%dt%H%M%S%f}z"


def test_a_load_that_is_asked_for(working: Working) -> None:
    """It is made once, however often its row is read; not for another definition."""
    jobs, room = working.jobs, working.room
    jobs.load(room.connection, [asked(hash="hash2"), asked(index="others")])
    assert room.steps == []
    working.hold_up()
    jobs.load(room.connection, [asked(accept=True)])
    assert "films begun: asked for by `listener load`" in room.steps
    assert not room.state.accepted  # the word was for nothing that is known
    jobs.load(room.connection, [asked(accept=True, waiting="films-9")])
    assert not room.state.accepted
    jobs.end()
    room.under_way.forget()
    room.current[0] = made(1)
    del room.steps[:]
    jobs.load(room.connection, [asked()])
    assert room.steps == []


def test_a_load_that_is_asked_for_twice(working: Working) -> None:
    """The second request joins the load under way. One that waits for a person is another matter:
    it is loaded anew."""
    jobs, room = working.jobs, working.room
    working.hold_up()
    jobs.load(room.connection, [asked()])
    jobs.load(room.connection, [asked(at=NOW + timedelta(seconds=5))])
    assert len([one for one in room.steps if " begun" in one]) == 1
    room.under_way.load_waits(0, new_load(done=True), held("too many are gone"))
    jobs.load(room.connection, [asked(at=NOW + timedelta(seconds=9))])
    assert len([one for one in room.steps if " begun" in one]) == 2
    jobs.end()


@pytest.mark.parametrize("way", ["kept", "files", "load"])
def test_a_request_from_before_a_rollback(working: Working, way: str) -> None:
    """Read once more after it, it does not load again what a person went back from, whether that
    index is kept, its files are not in force, or its load was given up and the same files made
    both indexes. One that came later does."""
    jobs, room = working.jobs, working.room
    room.current[0] = made(-10)
    then = NOW + timedelta(seconds=2)
    if way == "kept":
        room.kept = made(1)
    elif way == "files":
        room.keeper.roll_back("films", "uuid-0", RolledBackFiles(hash="hash1", since=then))
    else:
        room.kept = made(-5)
        room.keeper.keep("films", Kept(physical=room.kept, uuid="u", since=then, until=then))
    jobs.load(room.connection, [asked()])
    assert not [one for one in room.steps if " begun" in one]
    working.hold_up()
    jobs.load(room.connection, [asked(at=NOW + timedelta(seconds=3))])
    assert "films begun: asked for by `listener load`" in room.steps
    jobs.end()


@pytest.mark.parametrize("way", ["under way", "waits", "refused"])
def test_a_rollback_while_a_load_is_under_way(working: Working, way: str) -> None:
    """The load would take it back: it is given up, unless nobody goes back. Others go on."""
    room = working.room
    working.hold_up()
    working.begin(working.need(compare=False), working.need(1))
    happens(working.runner.at_work)
    load = room.state.load
    assert load is not None
    if way == "waits":
        room.under_way.load_waits(0, load, held("too many are gone"))
    working.rollbacks.refuses = way == "refused"
    del room.steps[:]
    working.jobs.roll_back(room.connection, {0: RollbackAsked("films", "films-0", NOW)})
    assert room.steps.index("closed") < room.steps.index("rolled back")
    given_up = [one for one in room.told if isinstance(one, LoadGivenUp)]
    assert given_up == ([] if way == "refused" else [LoadGivenUp("films", load.physical)])
    assert ("load of films given up" in room.steps) is (way != "refused")
    assert (room.state.load is None) is (way != "refused")
    assert room.under_way.refusals == []
    assert room.under_way.states[1].comparing is not None
    working.jobs.end()
    if way != "refused":
        room.keeper.reconciled("persons", None)
        room.keeper.advance(NOW)
        assert room.keeper.last_processed == NOW


def test_a_rollback_alone(working: Working) -> None:
    """What is under way of other indexes is not interrupted for it."""
    room = working.room
    working.hold_up()
    working.begin(working.need(1, compare=False))
    happens(working.runner.at_work)
    working.jobs.roll_back(room.connection, {0: RollbackAsked("films", "films-0", NOW)})
    assert "rolled back" in room.steps
    assert "closed" not in room.steps
    working.jobs.end()


def test_an_accepted_load(working: Working) -> None:
    """The index that waits is brought to its end, and no other one."""
    jobs, room = working.jobs, working.room
    load = new_load(physical="films-2", done=True)
    room.under_way.load_waits(0, load, held("too many are gone"))
    jobs.load(room.connection, [asked(accept=True, waiting="films-3")])
    assert room.steps == []
    assert room.under_way.refusals == [held("too many are gone")]
    working.hold_up()
    jobs.load(room.connection, [asked(accept=True, waiting="films-2")])
    assert "films begun: asked for by `listener load`, resumed" in room.steps
    assert room.state.accepted
    assert room.under_way.refusals == []
    jobs.end()


def test_a_load_that_waits_for_a_person_waits_on(working: Working) -> None:
    """While others begin; a TRUNCATE begins it anew."""
    room = working.room
    load = new_load(physical="films-2", done=True)
    room.under_way.load_waits(0, load, held("too many are gone"))
    working.begin(working.need(1))
    working.again(kind=1)
    working.rest()
    assert not [one for one in room.steps if one.startswith("films begun")]
    assert room.state.load == load
    assert room.under_way.refusals == [held("too many are gone")]
    working.again(replace(WANTED, emptied=True))
    assert "films begun: TRUNCATE" in room.steps
    assert room.under_way.refusals == []


def test_changes_are_missed_beside_a_load_that_waits(working: Working) -> None:
    """As often as they are: the index in use is compared, and the load is not made again. It is
    written down that a comparison follows its swap."""
    room, load = working.room, new_load(physical="films-2", done=True)
    room.keeper.put_load(load)
    room.under_way.load_waits(0, load, held("too many are gone"))
    for _ in range(2):
        working.again()
        working.rest()
    assert room.steps.count("comparison of films done") >= 2
    assert not [one for one in room.steps if one.startswith("films begun")]
    assert room.under_way.refusals == [held("too many are gone")]
    assert room.disk.loads == (load.model_copy(update={"missed": True}),)
    # accepted, it is not begun anew by what is read once more: that comparison is for it, too
    working.hold_up()
    working.jobs.load(room.connection, [asked(accept=True, waiting="films-2")])
    begun = [one for one in room.steps if " begun" in one]
    assert len(begun) == 1, room.steps
    working.again(ANY_NUMBER)  # read together with what was missed
    assert [one for one in room.steps if " begun" in one] == begun
    assert room.state.load is not None
    assert room.state.load.physical == "films-2"
    working.jobs.end()


def test_a_word_on_another_definition(working: Working) -> None:
    """`verify --repair --allow-deletes` is on the index in use, which other files have made: the
    load goes on, and is not accepted for it. Where it is not swapped in, that index is compared."""
    room, word = working.room, replace(ANY_NUMBER, missed=False)
    room.made_by_others()
    room.under_way.anew(0)
    room.state.load, room.state.covered = new_load(), NOW
    assert working.jobs.covers(0, NOW - timedelta(seconds=1), word)
    assert not room.state.accepted
    working.again(word)
    assert not [one for one in room.steps if " begun" in one]
    room.under_way.load_waits(0, new_load(done=True), held("too many are gone"))
    assert room.state.comparing is not None
    assert room.state.comparing.unguarded
    assert room.disk.reconcile == {"films": True}
    assert not room.state.accepted


def test_a_word_beside_a_load_that_waits(working: Working) -> None:
    """The index in use is compared; the other one waits on, for its own word."""
    room, load = working.room, new_load(physical="films-2", done=True)
    room.made_by_others()
    room.under_way.load_waits(0, load, held("too many are gone"))
    working.again(replace(ANY_NUMBER, missed=False))
    working.rest()
    assert not [one for one in room.steps if " begun" in one]
    assert "comparison of films done" in room.steps
    assert (room.state.load, room.state.refusal) == (load, held("too many are gone"))
    assert not room.state.accepted
    assert not working.jobs.covers(0, NOW + timedelta(days=1), ANY_NUMBER)


@pytest.mark.parametrize("waits", [True, False])
def test_a_truncate_is_accepted_for_any_definition(working: Working, waits: bool) -> None:
    """Also for an index that is loaded in the place of the one that was under way then."""
    room = working.room
    room.made_by_others()
    room.under_way.anew(0)
    room.state.load = new_load()
    if waits:
        room.under_way.load_waits(0, new_load(done=True), held("too many are gone"))
    working.hold_up()
    working.again(Wanted("TRUNCATE", unguarded=True, emptied=True))
    assert room.state.accepted
    working.again(Wanted("a trigger failed", unguarded=False))
    assert room.state.accepted
    assert [one for one in room.steps if " begun" in one] == [
        "films begun: TRUNCATE",
        "films begun: a trigger failed",
    ]


def test_a_word_is_for_one_index(working: Working) -> None:
    """Not for one that is loaded in its place."""
    room, load = working.room, new_load(physical="films-2", done=True)
    room.under_way.load_waits(0, load, held("too many are gone"))
    working.hold_up()
    working.jobs.load(room.connection, [asked(accept=True, waiting="films-2")])
    assert room.state.accepted
    working.again()
    assert "films begun: TRUNCATE" in room.steps
    assert not room.state.accepted


def test_what_was_allowed_for_a_comparison_is_over_with_it(working: Working) -> None:
    """A load that a person asks for later is weighed."""
    room = working.room
    working.begin(working.need())
    working.again(Wanted("TRUNCATE", unguarded=True, emptied=True))
    working.rest()
    working.hold_up()
    working.jobs.load(room.connection, [asked()])
    assert room.state.load is not None
    assert not room.state.accepted


def test_a_truncate_before_a_load_that_covers_it(working: Working) -> None:
    """The index may be empty: the load is not begun anew for that."""
    room = working.room
    room.under_way.anew(0)
    room.state.load, room.state.covered = new_load(), NOW
    assert working.jobs.covers(0, NOW - timedelta(seconds=1), ANY_NUMBER)
    assert room.state.accepted
    room.under_way.load_waits(0, new_load(done=True), held("too many are gone"))
    assert not working.jobs.covers(0, NOW - timedelta(seconds=1), ANY_NUMBER)
