"""What is under way: nothing is left to a thread that has ended, and nothing due is forgotten."""

from __future__ import annotations

import threading

import pytest

from listener.observations.events import ReconcileStarted
from listener.resync.kind_state import Comparing, Wanted
from listener.resync.under_way import UnderWay
from tests.kit.resync import STARTED, Resync, new_load
from tests.kit.session import NOW, WATERMARK
from tests.kit.threads import Beside, happens

WANTED = Wanted("TRUNCATE", unguarded=False)
ANY_NUMBER = Wanted("asked for", unguarded=True, asked=True)


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Resync:
    """Two document kinds with indexes in use; a thread is at work."""
    room = Resync(monkeypatch, ["films", "persons"])
    room.under_way.started()
    return room


def compare(room: Resync, kind: int = 0, wanted: Wanted = WANTED) -> bool:
    """Ask the thread for a comparison; whether it will make it."""
    return room.under_way.add(room.connection, {kind: wanted})


def complete(room: Resync, kind: int = 0, *, guarded: bool = False, keep: bool = False) -> bool:
    """The comparison under way is complete; whether no other one follows."""
    return room.under_way.comparison_complete(
        kind, STARTED, proven=True, guarded=guarded, keep=keep
    )


# -- the thread and whoever asks it ----------------------------------------------------------------


def test_a_comparison_is_left_to_the_thread(room: Resync) -> None:
    """It is due, by the disk, before it is under way: a crash does not forget it."""
    room.meanwhile["comparison"] = lambda: steps.append(room.state.comparing)
    steps: list[Comparing | None] = []
    assert compare(room)
    assert steps == [None]
    assert room.disk.reconcile == {"films": False}
    assert room.state.comparing == Comparing(room.drawn_at(), unguarded=False)
    assert room.told == [ReconcileStarted("films", "TRUNCATE")]
    assert not room.under_way.ended()


@pytest.mark.parametrize("end", ["ended", "cancelled", "never started"])
def test_nothing_is_left_to_a_thread_that_has_ended(room: Resync, end: str) -> None:
    """It would never be made."""
    if end == "ended":
        assert room.under_way.ended()
    elif end == "cancelled":
        room.under_way.cancelled()
    else:
        room.under_way = UnderWay(
            room.kinds, fence=room.fence, keeper=room.keeper, observe=room.told.append
        )
    assert not compare(room)
    assert not room.under_way.running
    assert room.disk.reconcile == {}


def test_a_comparison_is_asked_for_while_the_thread_looks_whether_to_end(
    room: Resync, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has found nothing, and has not ended yet: it will not look again."""
    asking: list[Beside[bool]] = []

    def slow(under_way: UnderWay) -> bool:
        found = not all(one.idle for one in under_way.states)
        asking.append(Beside(lambda: compare(room)))
        assert asking[0].waits
        return found

    monkeypatch.setattr(UnderWay, "at_work", property(slow))
    assert room.under_way.ended()
    assert asking[0].result() is False
    assert room.state.idle


def test_the_thread_looks_whether_to_end_while_a_comparison_is_asked_for(room: Resync) -> None:
    """It has been taken, and is not under way yet."""
    looking: list[Beside[bool]] = []

    def look() -> None:
        looking.append(Beside(room.under_way.ended))
        assert looking[0].waits

    room.meanwhile["draw"] = look
    assert compare(room)
    assert looking[0].result() is False


def test_one_that_is_asked_for_while_another_ends(room: Resync) -> None:
    """It follows: what it is for may have come after the other one's look."""
    assert compare(room)
    assert compare(room, wanted=ANY_NUMBER)
    del room.steps[:]
    assert not complete(room)
    assert room.steps == ["comparison of films due"]
    assert room.state.comparing == Comparing(STARTED, unguarded=True)
    assert room.disk.reconcile == {"films": True}
    assert complete(room)
    assert room.state.idle
    assert room.disk.reconcile == {}
    assert room.disk.loaded == {"films": STARTED}


def test_threads_that_race(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was left to the thread is made; whatever was not can be begun elsewhere."""
    for _ in range(100):
        room = Resync(monkeypatch)
        room.under_way.started()
        assert compare(room)
        go = threading.Event()

        def work(room: Resync = room, go: threading.Event = go) -> None:
            happens(go)
            while not room.under_way.ended():
                complete(room)

        def ask(room: Resync = room, go: threading.Event = go) -> bool:
            happens(go)
            return compare(room)

        thread, asked = Beside(work), Beside(ask)
        go.set()
        thread.result()
        left = asked.result()
        assert room.state.idle
        assert room.state.later is None
        assert len(room.told) == 1 + left
        assert room.disk.reconcile == {}


def test_several_that_follow_are_one(room: Resync) -> None:
    """If any of them may delete any number, it may."""
    assert compare(room)
    room.under_way.ask_again(0, ANY_NUMBER)
    room.under_way.ask_again(0, WANTED)
    assert room.state.later == Wanted("TRUNCATE", unguarded=True)
    assert not complete(room)
    assert complete(room)


@pytest.mark.parametrize("why", ["a load", "held for a person", "no index"])
def test_what_the_thread_cannot_take(room: Resync, why: str) -> None:
    """All of it is refused then: half of it would be made twice."""
    other = room.under_way.states[1]
    if why == "a load":
        other.load = new_load()
    elif why == "no index":
        room.current[1] = None
    else:
        other.held = True
    assert not room.under_way.add(room.connection, {0: WANTED, 1: WANTED})
    assert room.state.idle
    assert room.disk.reconcile == {}
    assert room.draws == 0


# -- what is proven --------------------------------------------------------------------------------


def test_what_covers_a_moment(room: Resync) -> None:
    """A load or comparison that provenly began after it; one that holds back no deletes, where any
    number is to be deleted."""
    under_way = room.under_way

    def covers(unguarded: bool = False) -> bool:
        return under_way.covers(0, NOW, Wanted("asked for", unguarded))

    assert not covers()
    room.state.covered = NOW
    assert not covers()
    room.state.covered = room.drawn_at()
    assert covers()
    assert covers(unguarded=True)
    room.state.guarded = True
    assert covers()
    assert not covers(unguarded=True)
    room.state.guarded = False
    room.state.comparing = Comparing(NOW, unguarded=False)
    assert not covers(unguarded=True)


@pytest.mark.parametrize("way", ["anew", "add"])
def test_another_one_covers_nothing_yet(room: Resync, way: str) -> None:
    """Until its own start is proven; and what was guarded before is not any more."""
    room.state.covered, room.state.guarded = NOW, True
    if way == "add":
        assert compare(room)
    else:
        room.under_way.anew(0)
    assert room.state.covered is None
    assert room.under_way.guarded == []


def test_where_sweeps_must_start(room: Resync) -> None:
    """At what is under way; and, before the first watermark, at what has ended since."""
    room.disk = room.disk.model_copy(update={"last_processed": None})
    room.keeper.begin(room.disk)
    assert room.under_way.starts == []
    room.state.load = new_load(started_at=WATERMARK)
    assert compare(room, 1)
    assert room.under_way.starts == [WATERMARK, room.drawn_at()]
    assert complete(room, 1)
    room.under_way.load_complete(0, room.state.load)
    assert room.under_way.starts == [STARTED]
    room.keeper.advance(NOW)
    assert room.under_way.starts == []


# -- endings ---------------------------------------------------------------------------------------


def test_a_comparison_that_may_not_delete_stays_due(room: Resync) -> None:
    """A person must allow it; the watermark stands."""
    assert compare(room)
    assert complete(room, guarded=True)
    assert room.under_way.guarded == ["films"]
    assert not room.under_way.running
    assert room.disk.reconcile == {"films": False}
    room.keeper.advance(NOW)
    assert room.keeper.last_processed == WATERMARK


def test_an_unproven_comparison_of_once_stays_due(room: Resync) -> None:
    """The next start makes it again."""
    assert compare(room)
    assert complete(room, keep=True)
    assert not room.under_way.running
    assert room.disk.reconcile == {"films": False}


@pytest.mark.parametrize("proven", [False, True])
def test_a_load_that_is_not_made(room: Resync, proven: bool) -> None:
    """A person must allow it. What it was for is covered only if its start was proven."""
    state = room.state
    state.load, state.blind, state.owed = new_load(), True, True
    room.under_way.load_refused(0, state.load, proven=proven)
    assert state.idle
    assert state.held
    assert room.under_way.guarded == ["films"]
    assert not state.owed
    assert state.covered == (STARTED if proven else None)
    assert state.blind is not proven


def test_a_comparison_that_follows_a_load(room: Resync) -> None:
    """It begins where the load did, so that sweeps do."""
    room.state.load = new_load()
    room.under_way.load_complete(0, room.state.load)
    room.under_way.compare_after_load(0, STARTED, WANTED)
    assert room.under_way.starts == [STARTED]
    assert room.disk.reconcile == {"films": False}
    assert not room.under_way.ended()


def test_an_interruption_forgets_nothing(room: Resync) -> None:
    """What was under way is returned, and stays due; what follows it, too."""
    assert compare(room)
    room.under_way.ask_again(0, ANY_NUMBER)
    room.under_way.states[1].load = load = new_load(index="persons")
    films, persons = room.under_way.interrupt()
    assert films.comparing is not None
    assert persons.load is load
    assert not room.under_way.running
    assert room.state.later == Wanted("asked for", unguarded=True)
    assert room.disk.reconcile == {"films": False}


def test_a_new_session_begins_with_nothing_under_way(room: Resync) -> None:
    """It takes up what is written down; what was proven of complete ones counts still."""
    assert compare(room)
    assert complete(room)
    room.state.guarded = room.state.held = True
    room.under_way.states[1].load = new_load(index="persons")
    room.under_way.forget()
    assert not room.under_way.running
    assert room.under_way.guarded == []
    assert room.state.covered == STARTED
    assert room.under_way.states[1].covered is None
    assert room.under_way.starts == []
