"""The runner: a load or comparison claims only what was proven before its first page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from listener import search
from listener.documents.kinds import Kind
from listener.indexing.gate import FencedOut
from listener.indexing.pipeline import Interrupted
from listener.observations.events import AuditFailed, ReconcileStarted, WatermarkHeld
from listener.resync import proofs as module
from listener.resync.cancellation import Check
from listener.resync.compare import Misplaced
from listener.resync.comparison_run import ComparisonRun
from listener.resync.kind_state import Comparing, KindState, Wanted
from listener.resync.load_run import LoadRun
from listener.resync.proofs import Proofs
from listener.resync.runner import Runner
from listener.resync.swap_guard import Weighed
from listener.runtime.lifecycle import Stopped
from listener.state.model import Load
from tests.kit.failures import held
from tests.kit.resync import STARTED, Cancelled, FakePipeline, FakeReconciler, Resync, new_load
from tests.kit.session import NOW, WATERMARK, saved_state


class FakeLoader:
    """A load of three pages."""

    def __init__(self, room: Resync) -> None:
        self._room = room

    def pages(
        self,
        _connection: object,
        _kind: Kind,
        load: Load,
        check: Check,
    ) -> Iterator[Load]:
        """What is left of it."""
        for documents in range(load.documents + 1, 4):
            self._room.step(f"page {documents}")
            load = load.model_copy(
                update={"documents": documents, "after": (str(documents),), "done": documents == 3}
            )
            yield load
            check.check()

    def counted(self, _kind: Kind, load: Load) -> Load:
        """The same."""
        return load

    def swap(self, kind: Kind, load: Load, check: Check, *, proven: bool, weighed: Weighed) -> None:
        """Let people search it."""
        assert weighed.written == load.documents
        self._room.step("swap" if proven else "swap, not proven")
        check.check()
        self._room.current[kind.number] = load.physical
        self._room.keeper.load_complete(kind.index, "uuid-2", load.started_at if proven else None)
        self._room.step("refresh asked for")

    def interruptions(self, _kind: Kind) -> int:
        """How often what feeds its index was held or released."""
        return self._room.interruptions

    def give_up(self, kind: Kind) -> None:
        """It is not to be made."""
        self._room.step("given up")
        self._room.keeper.drop_load(kind.index)


class FakeGuard:
    """Weighs loads. `reason`: why the next ones are not swapped in."""

    def __init__(self, room: Resync) -> None:
        self._room = room
        self.reason: str | None = None
        self.empty = False

    def weigh(self, _connection: object, kind: Kind, load: Load, check: Check) -> Weighed:
        """What it has brought."""
        self._room.step("weighed")
        check.check()
        return Weighed(kind.index, load.physical, load.documents, load.documents)

    def holds(self, state: KindState, load: Load, _weighed: Weighed) -> bool:
        """Whether it waits for a person."""
        if self.reason is None or state.accepted:
            return False
        self._room.under_way.load_waits(state.kind.number, load, held(self.reason))
        return True

    def is_empty(self, _connection: object, _kind: Kind, _weighed: Weighed) -> bool:
        """Whether nothing was written."""
        return self.empty


class Running:
    """A runner of two document kinds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room = room = Resync(monkeypatch, ["films", "persons"])
        self.reconciler = FakeReconciler(room)
        self.guard = FakeGuard(room)
        self.all_rows = False
        self.ticks = True
        self.check: Any = Cancelled(room)

    @property
    def runner(self) -> Runner:
        """As it is now."""
        loader: Any = FakeLoader(self.room)
        pipeline = FakePipeline(self.room)
        guard: Any = self.guard
        proofs = Proofs(all_rows=self.all_rows, observe=self.room.told.append)
        loads = LoadRun(
            under_way=self.room.under_way,
            loader=loader,
            reconciler=self.reconciler,
            fence=self.room.fence,
            keeper=self.room.keeper,
            ticks=self,
            proofs=proofs,
            guard=guard,
        )
        comparisons = ComparisonRun(
            under_way=self.room.under_way,
            reconciler=self.reconciler,
            pipeline=pipeline,
            fence=self.room.fence,
            keeper=self.room.keeper,
            lookout=self.room.lookout,
            proofs=proofs,
            observe=self.room.told.append,
        )
        return Runner(self.room.under_way, loads, comparisons)

    def wait_for_tick(self, check: Check) -> None:
        """A tick."""
        self.room.step("tick")
        check.check()
        if not self.ticks:
            raise Stopped("no tick comes")

    def load(self, **other: Any) -> None:
        """A load is under way, as the coordinator begins it."""
        self.room.under_way.anew(0)
        self.room.keeper.freeze("films")
        self.room.state.load = new_load(**other)
        del self.room.steps[:]

    def compare(self, kind: int = 0, *, blind: bool = False, unguarded: bool = False) -> None:
        """A comparison is."""
        self.room.under_way.anew(kind)
        wanted = Wanted("TRUNCATE", unguarded)
        self.room.under_way.begin_comparing(kind, STARTED, wanted, blind=blind)
        del self.room.steps[:]

    def turn(self) -> None:
        """One turn."""
        self.runner.turn(self.room.connection, self.check)

    def here(self) -> bool:
        """The way of --once."""
        return self.runner.here(self.room.connection, self.check)


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Running:
    """One with nothing under way."""
    return Running(monkeypatch)


# -- a load ----------------------------------------------------------------------------------------


def test_the_order_of_a_load(running: Running) -> None:
    """Its start is proven before its first page; all that was heard of before the last tick is in
    the new index before people search it; and a standby knows of it."""
    running.load()
    running.turn()
    room = running.room
    assert room.steps == [
        *("draw", "proof of 1", "written down: 0"),
        *("page 1", "written down: 1", "page 2", "written down: 2", "page 3"),
        *("written down: 3, done", "tick", "weighed", "swap", "load complete"),
        *("load of films dropped", "refresh asked for", "control saved"),
    ]
    assert not room.under_way.running
    assert room.disk.loaded == {"films": room.drawn_at()}
    assert room.state.covered == room.drawn_at()


def test_a_load_begins_at_its_proof(running: Running) -> None:
    """A moment before is not proven, one after would leave changes out."""
    running.load()
    moments: list[object] = []
    running.room.meanwhile["page 1"] = lambda: moments.append(running.room.under_way.starts)
    running.turn()
    assert moments == [[running.room.drawn_at()]]


def test_a_proof_is_waited_for(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long: the holder is named once."""
    monkeypatch.setattr(module, "NAME_HOLDER_AFTER", -1.0)
    running.load()
    running.room.proofs.extend([False, False, False])
    running.turn()
    assert running.room.steps[:5] == ["draw", *["proof of 1"] * 4]
    held = [one for one in running.room.told if isinstance(one, WatermarkHeld)]
    assert [one.holder for one in held] == ["a long transaction"]


@pytest.mark.parametrize("end", ["stop", "cancel"])
def test_the_wait_for_a_proof_can_be_ended(running: Running, end: str) -> None:
    """No page is read then, and nothing is written down."""
    running.load()
    running.room.proofs.append(False)
    if end == "stop":
        running.room.stop.request()
    else:
        running.check.over = True
    with pytest.raises(Stopped):
        running.turn()
    assert running.room.steps == ["draw", "proof of 1"]


def test_progress_is_kept_only_of_a_proven_load(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Late committers are heard of while it runs; after a restart nobody would tell of them."""
    monkeypatch.setattr(module, "NAME_HOLDER_AFTER", -1.0)
    running.all_rows = True
    running.load()
    running.room.proofs.append(False)
    running.turn()
    room = running.room
    assert room.steps == [
        *("draw", "proof of 1", "page 1", "page 2", "page 3", "tick", "weighed"),
        *("swap, not proven", "load complete, not proven", "load of films dropped"),
        *("refresh asked for", "control saved"),
    ]
    assert room.disk.loaded == {}
    assert room.state.covered is None


def test_an_unproven_load_for_blind_changes_is_followed_by_a_comparison(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody tells of what was written blindly and is committed later. It is owed by the disk
    before the swap, and begins when those transactions have ended."""
    monkeypatch.setattr(module, "NAME_HOLDER_AFTER", -1.0)
    running.all_rows = True
    running.load()
    room = running.room
    room.state.blind = True
    room.proofs.append(False)
    owed: list[object] = []
    room.meanwhile["swap"] = lambda: owed.append(room.disk.reconcile)
    room.meanwhile["refresh"] = lambda: room.proofs.append(False)  # they have not ended yet
    running.turn()
    assert owed == [{"films": False}]
    assert room.state.comparing == Comparing(room.drawn_at(), unguarded=False)
    assert not room.state.owed
    assert room.disk.reconcile == {"films": False}
    assert "films-1 compared" not in room.steps
    assert "films-2 compared" not in room.steps
    del room.steps[:]
    running.turn()
    assert room.steps[:4] == ["proof of 1", "draw", "proof of 2", "films-2 compared"]
    assert room.disk.reconcile == {}
    assert room.disk.loaded == {"films": room.drawn_at(2)}


def test_a_load_that_is_written_down_goes_on(running: Running) -> None:
    """Its start was proven: it keeps it, and no page is read twice."""
    running.room.keeper.put_load(new_load(started_at=WATERMARK, after=("2",), documents=2))
    running.load(started_at=WATERMARK, after=("2",), documents=2)
    running.turn()
    assert running.room.steps[:4] == ["written down: 2", "page 3", "written down: 3, done", "tick"]
    assert running.room.disk.loaded == {"films": WATERMARK}


def test_a_load_goes_on_after_a_failure(running: Running) -> None:
    """From the page that failed; what is complete is not made again."""
    running.load()
    running.room.fails["page 2"] = OSError("gone")
    with pytest.raises(OSError, match="gone"):
        running.turn()
    del running.room.steps[:]
    running.room.fails["swap"] = search.Away("gone")
    with pytest.raises(search.Away):
        running.turn()
    assert running.room.steps[:2] == ["written down: 1", "page 2"]
    assert running.room.state.load is not None
    del running.room.steps[:]
    running.turn()
    assert running.room.steps[:4] == ["written down: 3, done", "tick", "weighed", "swap"]
    assert running.room.draws == 1
    assert not running.room.under_way.running


def test_an_unproven_load_does_not_become_proven(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first pages were read before: a later proof says nothing of them."""
    monkeypatch.setattr(module, "NAME_HOLDER_AFTER", -1.0)
    running.all_rows = True
    running.load()
    running.room.proofs.append(False)
    running.room.fails["page 2"] = OSError("gone")
    with pytest.raises(OSError, match="gone"):
        running.turn()
    running.turn()
    assert running.room.draws == 1
    assert "swap, not proven" in running.room.steps
    assert running.room.disk.loaded == {}


def test_no_swap_without_a_tick(running: Running) -> None:
    """What was found before it is not yet in the new index. Without an index in use nobody
    searches, and no tick is waited for."""
    running.load()
    running.ticks = False
    with pytest.raises(Stopped):
        running.turn()
    assert running.room.steps[-1] == "tick"
    assert running.room.loads_on_disk() == [3]
    running.room.current[0] = None
    running.turn()
    assert running.room.steps.count("tick") == 1
    assert not running.room.under_way.running


def test_a_cancelled_load_is_not_swapped(running: Running) -> None:
    """It goes on with the next session."""
    running.load()
    running.room.meanwhile["page 2"] = lambda: setattr(running.check, "over", True)
    with pytest.raises(Stopped):
        running.turn()
    assert running.room.steps[-1] == "written down: 2"
    assert running.room.loads_on_disk() == [2]


# -- a load in the place of a comparison that is due -----------------------------------------------


def guarded(running: Running) -> None:
    """A load in the place of a comparison that may not delete any number."""
    running.room.keeper.want_reconcile("films", unguarded=False)
    running.load()
    running.reconciler.refuses_loads = True


def test_a_guarded_load_is_given_up(running: Running) -> None:
    """Before its first page: the index in use keeps what the new one would lose."""
    guarded(running)
    running.turn()
    room = running.room
    assert room.steps == [
        *("draw", "proof of 1", "films-1 guarded", "given up", "load of films dropped"),
    ]
    assert room.state.held
    assert room.under_way.guarded == ["films"]
    assert room.disk.reconcile == {"films": False}
    assert room.state.covered == room.drawn_at()
    assert not room.under_way.running


@pytest.mark.parametrize("why", ["nothing is due", "any number", "no index", "begun"])
def test_a_load_that_nothing_guards(running: Running, why: str) -> None:
    """No comparison is due, or a person allowed it, or there is nothing to lose, or it was asked
    before."""
    guarded(running)
    if why == "nothing is due":
        running.room.keeper.reconciled("films", None)
    elif why == "any number":
        running.room.keeper.want_reconcile("films", unguarded=True)
    elif why == "no index":
        running.room.current[0] = None
    else:
        running.load(after=("1",), documents=1)
    running.turn()
    assert "given up" not in running.room.steps
    assert "load complete" in " ".join(running.room.steps)


def test_a_load_that_cannot_be_given_up(running: Running) -> None:
    """It is not held either: a new session looks anew."""
    guarded(running)
    running.room.fails["given up"] = FencedOut("gone")
    with pytest.raises(FencedOut):
        running.turn()
    assert not running.room.state.held
    assert running.room.state.load is not None


# -- a comparison ----------------------------------------------------------------------------------


def test_the_order_of_a_comparison(running: Running) -> None:
    """Proven before its first page; what the index is now is noted before it counts as mended."""
    running.compare()
    running.turn()
    room = running.room
    assert room.steps == [
        *("draw", "proof of 1", "films-1 compared", "films-1 settled", "refresh asked for"),
        *("comparison of films done", "control saved"),
    ]
    assert room.disk.reconcile == {}
    assert room.disk.loaded == {"films": room.drawn_at()}
    assert not room.under_way.running


@pytest.mark.parametrize("step", ["draw", "proof", "films-1 compared", "films-1 settled"])
def test_a_comparison_that_failed_is_due_still(running: Running, step: str) -> None:
    """It is made once more, from its beginning."""
    running.compare()
    running.room.fails[step] = OSError("gone")
    with pytest.raises(OSError, match="gone"):
        running.turn()
    assert running.room.disk.reconcile == {"films": False}
    assert running.room.under_way.running
    running.turn()
    assert running.room.disk.reconcile == {}


def test_an_unproven_comparison_mends_and_proves_nothing(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all tables notify."""
    monkeypatch.setattr(module, "NAME_HOLDER_AFTER", -1.0)
    running.all_rows = True
    running.compare()
    running.room.proofs.append(False)
    running.turn()
    assert running.room.steps[-2:] == ["comparison of films done, not proven", "control saved"]
    assert running.room.disk.loaded == {}
    assert running.room.state.covered is None


def test_blind_changes_are_compared_once_more(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the transactions have ended that were open: not before."""
    monkeypatch.setattr(module, "NAME_HOLDER_AFTER", -1.0)
    running.all_rows = True
    running.compare(blind=True)
    room = running.room
    room.proofs.append(False)
    running.turn()
    assert room.steps[2:] == [
        *("films-1 compared", "films-1 settled, not proven", "refresh asked for"),
        "comparison of films due",
    ]
    assert room.disk.reconcile == {"films": False}
    assert len([one for one in room.told if isinstance(one, ReconcileStarted)]) == 2
    del room.steps[:]
    room.proofs.append(False)
    running.turn()
    assert room.steps == ["proof of 1"]
    running.turn()
    assert room.steps[1:5] == ["proof of 1", "draw", "proof of 2", "films-1 compared"]
    assert room.disk.reconcile == {}
    assert not room.under_way.running


def test_what_may_not_be_deleted_stays_due(running: Running) -> None:
    """A person must allow it: the state of the control document does not say that it is done."""
    running.compare()
    running.reconciler.guarded = True
    running.turn()
    assert running.room.under_way.guarded == ["films"]
    assert running.room.disk.reconcile == {"films": False}
    running.room.keeper.advance(NOW)
    assert running.room.keeper.last_processed == WATERMARK


def test_a_person_may_allow_any_number(running: Running) -> None:
    """Only then."""
    running.compare(unguarded=True)
    running.turn()
    assert "films-1 compared, unguarded" in running.room.steps


def test_an_index_that_cannot_be_mended(running: Running) -> None:
    """It is trusted no more, by the disk too; and a new session loads it."""
    running.compare()
    running.room.fails["films-1 compared"] = Misplaced("documents stand on other shards")
    with pytest.raises(FencedOut, match="other shards"):
        running.turn()
    assert running.room.disk.identity is not None
    assert running.room.disk.identity.indexes == {}
    assert isinstance(running.room.told[-1], AuditFailed)
    assert running.room.disk.reconcile == {"films": False}


def test_an_index_that_went_back_meanwhile(running: Running) -> None:
    """What was mended may be lost: the comparison is due still."""
    running.compare()
    running.room.lookout.lost = "films-1: went back"
    with pytest.raises(FencedOut, match="went back"):
        running.turn()
    assert running.room.disk.reconcile == {"films": False}
    assert running.room.under_way.running


# -- the way of --once -----------------------------------------------------------------------------


@pytest.mark.parametrize("proven", [True, False])
def test_once_waits_for_no_transaction(running: Running, proven: bool) -> None:
    """It says whether all that it made is proven. The swap is for later."""
    running.load()
    running.room.proofs.append(proven)
    assert running.here() is proven
    assert running.room.steps.count("proof of 1") == 1
    assert "tick" not in running.room.steps
    assert running.room.loads_on_disk() == ([3] if proven else [])
    assert running.room.under_way.running
    running.runner.finish_here(running.room.connection, running.check)
    assert not running.room.under_way.running
    assert running.room.disk.loaded == ({"films": running.room.drawn_at()} if proven else {})


@pytest.mark.parametrize("unproven", [1, 2, None])
def test_once_is_proven_only_where_all_is(running: Running, unproven: int | None) -> None:
    """The watermark speaks of all document kinds."""
    running.load()
    running.room.under_way.begin_comparing(1, STARTED, Wanted("TRUNCATE", False), blind=False)
    running.room.proofs.extend([unproven != 1, unproven != 2])
    assert running.here() is (unproven is None)


@pytest.mark.parametrize("blind", [True, False])
def test_an_unproven_comparison_of_once(running: Running, blind: bool) -> None:
    """What is for blind changes is due at the next start again."""
    running.compare(blind=blind)
    running.room.proofs.append(False)
    assert running.here() is False
    assert running.room.disk.reconcile == ({"films": False} if blind else {})


def test_an_unproven_load_of_once_for_blind_changes(running: Running) -> None:
    """A comparison is owed; the load's end does not clear it."""
    running.load()
    running.room.state.blind = True
    running.room.proofs.append(False)
    assert running.here() is False
    running.runner.finish_here(running.room.connection, running.check)
    assert running.room.disk.reconcile == {"films": False}


def test_once_guards_loads(running: Running) -> None:
    """As a daemon does."""
    guarded(running)
    running.here()
    running.runner.finish_here(running.room.connection, running.check)
    assert "page 1" not in running.room.steps
    assert running.room.current[0] == "films-1"


def test_a_load_that_waits_for_a_person(running: Running) -> None:
    """It is not swapped, and not tried again. It is fed like the index in use, so that the
    watermark moves on. A person's word swaps it."""
    running.guard.reason = "too many are gone"
    running.load()
    running.turn()
    room = running.room
    assert room.current[0] == "films-1"
    assert room.under_way.running
    assert not room.under_way.at_work
    assert room.under_way.starts == []
    room.keeper.advance(NOW + timedelta(days=1))
    assert room.keeper.last_processed == NOW + timedelta(days=1)
    running.runner.finish_here(room.connection, running.check)
    running.turn()
    assert room.steps.count("weighed") == 1
    room.state.refusal, room.state.accepted = None, True
    running.turn()
    assert room.current[0] == "films-2"
    assert not room.under_way.running


@pytest.mark.parametrize("way", ["turn", "here"])
def test_what_is_due_is_done_where_a_load_waits(running: Running, way: str) -> None:
    """A comparison of the index in use, for which the load would have stood. It was made by other
    files: what they would lose says nothing of that comparison, and is not asked before."""
    room = running.room
    room.made_by_others()
    running.guard.reason = "too many are gone"
    room.keeper.want_reconcile("films", unguarded=False)
    running.load()
    if way == "turn":
        running.turn()
    else:
        running.here()
        running.runner.finish_here(room.connection, running.check)
    assert "films-1 guarded" not in room.steps
    assert room.since("weighed").count("films-1 compared") == 1
    assert room.disk.reconcile == {}
    assert [one.reason for one in room.under_way.refusals] == ["too many are gone"]
    room.keeper.advance(NOW + timedelta(days=1))
    assert room.keeper.last_processed == NOW + timedelta(days=1)


@pytest.mark.parametrize("way", ["turn", "here"])
@pytest.mark.parametrize("why", ["no saved state", "another index"])
def test_what_is_not_known_is_compared_where_a_load_waits(
    running: Running, way: str, why: str
) -> None:
    """The load began with nothing that says what the index in use has: `listener load` without a
    daemon forgets what was saved. What was committed since then is only in the new index, which
    does not take its place."""
    room = running.room
    room.made_by_others()
    running.guard.reason = "too many are gone"
    if why == "no saved state":
        room.keeper.begin(saved_state(last_processed=None))
    else:
        room.keeper.doubt_in_use("films")
    running.load()
    if way == "turn":
        running.turn()
    else:
        running.here()
        running.runner.finish_here(room.connection, running.check)
    assert room.since("weighed").count("films-1 compared") == 1
    assert [one.reason for one in room.under_way.refusals] == ["too many are gone"]
    room.keeper.advance(NOW + timedelta(days=1))
    assert room.keeper.last_processed == NOW + timedelta(days=1)


def test_once_makes_a_load_that_was_begun_meanwhile(running: Running) -> None:
    """The journal has asked for it after the others were made: it is not swapped without pages."""
    running.load()
    running.runner.finish_here(running.room.connection, running.check)
    assert running.room.steps.index("page 3") < running.room.steps.index("swap")


@pytest.mark.parametrize("left", [{"untaken": 3}, {"missed": True}])
def test_what_a_load_left_out_is_compared(running: Running, left: dict[str, Any]) -> None:
    """A person has accepted it: neither the documents that its index refused are forgotten, nor
    what it may have missed while it waited."""
    running.load()
    running.room.state.load = new_load(**left)
    running.turn()
    steps = running.room.steps
    assert "comparison of films due, after the load" in steps
    assert steps.index("swap") < steps.index("films-2 compared")


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_load_whose_kind_is_held(running: Running, when: str) -> None:
    """Changes are left out of its index: it is not swapped in before a tick has brought them."""
    running.load()
    room = running.room

    def held() -> None:
        room.interruptions += 1

    room.meanwhile["page 3" if when == "before" else "tick"] = held
    with pytest.raises(Interrupted):
        running.turn()
    assert "swap" not in room.steps
    room.interruptions = 2
    running.turn()
    assert "swap" in room.steps
    assert room.steps.count("page 3") == 1


def test_one_that_fails_does_not_keep_others_from_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its error is raised when all have had it."""
    running = Running(monkeypatch)
    running.load()
    running.compare(1)
    running.room.fails["page 1"] = Interrupted("held")
    with pytest.raises(Interrupted):
        running.turn()
    assert "persons-1 compared" in running.room.steps
    assert running.room.under_way.states[1].idle
    running.turn()
    assert "swap" in running.room.steps
