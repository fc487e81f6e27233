"""The ledger: no change is lost, none is done too early, and no id is in two requests at once."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

import pytest

from listener.changes import Key, Route
from listener.indexing.batch import Batch, Limits
from listener.indexing.id_sources import KeysTask, MappedTask
from listener.indexing.ledger import Lane, Wait
from listener.indexing.parking import ToPark
from listener.indexing.queue import Job, Jobs
from listener.search.bulk import Document
from listener.search.verdicts import Outcome, Verdict
from listener.search.write_aliases import Target
from tests.kit.indexing import DONE, LANE, Choosing, OneKind, sent
from tests.kit.threads import MOMENT, Beside, happens

DIRECT = (Route(0, mapped=False),)
MAPPED = (Route(0, mapped=True),)
NO_ROOM = Verdict(Outcome.RETRY, "429")
A, B = ("a",), ("b",)


class Setting(OneKind):
    """A ledger at work, of one document kind with an index in use."""

    def __init__(self, *, pending: int = 100, parked: int = 10) -> None:
        super().__init__(Limits(documents=4, bytes=10_000_000, pending=pending, parked=parked))
        self.ledger.resume()

    def note(self, *names: str) -> int:
        """Notifications name these; the mark after them."""
        assert self.ledger.add("w", [(name,) for name in names], DIRECT)
        return self.ledger.mark()

    def take(self, most: int = 4) -> dict[Key, Jobs]:
        """The next ids; they are in flight."""
        items: dict[Key, Jobs] = {}
        self.ledger.take(0, items, most)
        return items

    def send(self, items: dict[Key, Jobs]) -> Batch:
        """A request with these is in flight."""
        self.ledger.sent(0)
        documents = [Document(key, key[0], b"{}") for key in items]
        return Batch(0, items, Target("a.w1"), self.gate.draw(), documents=documents)

    def answer(self, batch: Batch, verdict: Verdict = DONE, *, lost: bool = False) -> None:
        """All of it has this verdict."""
        self.ledger.answered(batch, sent(*[verdict] * len(batch.documents), lost=lost))

    def settled(self, mark: int) -> bool:
        """Whether all before the mark is done."""
        return self.ledger.wait_settled(mark, 0)

    def turn(self) -> Lane | None:
        """A turn, where there is always something to read."""
        return self.ledger.wait_for_turn(Choosing())


# -- what waits is done when its answer says so --------------------------------------------------


def test_a_change_is_done_when_it_is_answered() -> None:
    """Not when it is taken, nor when it is sent."""
    setting = Setting()
    mark = setting.note("a", "b")
    items = setting.take()
    assert not setting.settled(mark)
    batch = setting.send(items)
    assert not setting.settled(mark)
    setting.answer(batch)
    assert setting.settled(mark)
    assert not setting.work.flying
    assert not setting.ledger.busy


@pytest.mark.parametrize("lost", [False, True])
def test_what_was_not_taken_waits_again(lost: bool) -> None:
    """It counts for whoever waits for it until a later answer says that it is done."""
    setting = Setting()
    mark = setting.note("a")
    setting.answer(setting.send(setting.take()), NO_ROOM, lost=lost)
    assert setting.waiting == {A}
    assert not setting.settled(mark)
    assert setting.gate.lost == lost
    setting.answer(setting.send(setting.take()))
    assert setting.settled(mark)


def test_what_was_not_sent_waits_again() -> None:
    """Reading failed: the same ids can be taken, and their jobs are open."""
    setting = Setting()
    mark = setting.note("a", "b")
    items = setting.take()
    setting.ledger.give_back(0, items)
    assert not setting.work.flying
    assert not setting.settled(mark)
    assert setting.take() == items


def test_a_change_of_what_flies_waits_for_the_next_request() -> None:
    """It was read before that change: its answer says nothing of it."""
    setting = Setting()
    first = setting.note("a")
    batch = setting.send(setting.take())
    second = setting.note("a")
    assert setting.take() == {}
    assert not setting.ledger.ready(LANE)
    setting.answer(batch)
    assert setting.settled(first)
    assert not setting.settled(second)
    setting.answer(setting.send(setting.take()))
    assert setting.settled(second)


def test_a_change_before_the_read_is_served_by_it() -> None:
    """It joins the batch that has its id; so does nothing else."""
    setting = Setting()
    setting.note("a")
    items = setting.take()
    mark = setting.note("a", "b")
    setting.ledger.join(0, items)
    assert setting.waiting == {B}
    setting.answer(setting.send(items))
    assert not setting.settled(mark)
    setting.answer(setting.send(setting.take()))
    assert setting.settled(mark)


def test_a_page_with_an_id_in_flight() -> None:
    """The page is done when a later request has brought that id, too."""
    setting = Setting()
    setting.note("a")
    flying = setting.send(setting.take())
    job = Job()
    job.add(2)
    job.seal()
    page = KeysTask(0, [A, B], job)
    setting.ledger.put(page)
    items: dict[Key, Jobs] = {}
    setting.ledger.add_page(page, [A, B], items, more=False)
    assert list(items) == [B]
    assert not setting.tasks
    setting.answer(setting.send(items))
    setting.answer(flying)
    assert not setting.ledger.wait(job, 0)
    setting.answer(setting.send(setting.take()))
    assert setting.ledger.wait(job, 0)


def test_a_mapped_key_is_done_with_all_ids_behind_it() -> None:
    """Those of the last page, too; keys that come meanwhile wait for a look-up of their own."""
    setting = Setting()
    setting.ledger.add("m", [("genre",)], MAPPED)
    assert setting.ledger.ready(LANE)
    mark = setting.ledger.mark()
    setting.ledger.begin_mappings(0, setting.sources[0])
    setting.ledger.add("m", [("other",)], MAPPED)
    setting.ledger.begin_mappings(0, setting.sources[0])
    [task] = setting.tasks
    first: dict[Key, Jobs] = {}
    setting.ledger.add_page(task, [A], first, more=True)
    setting.answer(setting.send(first))
    assert not setting.settled(mark)
    second: dict[Key, Jobs] = {}
    setting.ledger.add_page(task, [B], second, more=False)
    assert not setting.settled(mark)
    setting.answer(setting.send(second))
    assert setting.settled(mark)
    setting.ledger.begin_mappings(0, setting.sources[0])
    [following] = setting.tasks
    assert isinstance(following, MappedTask)
    assert following is not task


def test_what_an_overflow_dropped_is_told() -> None:
    """A sweep must follow: the mark alone does not show it."""
    setting = Setting(pending=2)
    assert not setting.ledger.add("w", [A, B, ("c",)], DIRECT)
    assert setting.ledger.overflows == 1
    assert not setting.ledger.busy
    setting.ledger.dropped()  # keys that a mapping failed on
    assert setting.ledger.overflows == 2


def test_nothing_is_read_before_there_is_an_index() -> None:
    """It would be sent nowhere, and count as done."""
    setting = Setting()
    setting.note("a")
    assert setting.ledger.ready(LANE)
    setting.gate.targets[0] = None
    assert not setting.ledger.ready(LANE)


# -- documents that cannot be read ---------------------------------------------------------------


def test_a_parked_document_is_done_when_the_table_has_it() -> None:
    """Until then its id stays in flight: no other request has it."""
    setting = Setting()
    mark = setting.note("a")
    items = setting.take()
    aside = ToPark(0, A, "a", items[A], "no")
    assert setting.ledger.unreadable(aside)
    assert not setting.ledger.noted
    assert not setting.settled(mark)
    assert setting.work.flying == {A}
    setting.ledger.parking_written([aside], ())
    assert setting.ledger.wait_noted(0)
    assert setting.settled(mark)
    assert not setting.work.flying


def test_too_many_that_cannot_be_read() -> None:
    """The one beyond the limit is not parked: it waits."""
    setting = Setting(parked=1)
    mark = setting.note("a", "b")
    items = setting.take()
    assert setting.ledger.unreadable(ToPark(0, A, "a", items[A], "no"))
    assert not setting.ledger.unreadable(ToPark(0, B, "b", items[B], "no"))
    assert setting.waiting == {B}
    assert not setting.settled(mark)


# -- turns, pauses, and the end ------------------------------------------------------------------


def test_the_ledger_starts_paused() -> None:
    """There is no generation yet, and no alias to write through."""
    setting = Setting()
    setting.ledger.pause()
    turn = Beside(setting.turn)
    assert turn.waits
    setting.ledger.resume()
    assert turn.result() == LANE


def test_each_pause_is_undone_by_one_resume() -> None:
    """A new session pauses while an alias is swapped."""
    setting = Setting()
    setting.ledger.pause()
    with setting.ledger.quiet():
        pass
    turn = Beside(setting.turn)
    assert turn.waits
    setting.ledger.resume()
    assert turn.result() == LANE


class Quiet:
    """Makes the ledger quiet, in a thread of its own."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._entered = threading.Event()
        self._thread = Beside(self._run)

    @property
    def waits(self) -> bool:
        """Whether something is read or in flight."""
        return not self._entered.wait(MOMENT)

    def gives_no_turn(self) -> bool:
        """Whether no turn was given inside, though one was after it."""
        return self._thread.result()

    def _run(self) -> bool:
        with self._setting.ledger.quiet():
            self._entered.set()
            turn = Beside(self._setting.turn)
            inside = turn.waits
        assert turn.result() == LANE
        return inside


def test_quiet_waits_for_what_is_being_read() -> None:
    """It would be sent afterwards, under the version of before."""
    setting = Setting()
    assert setting.turn() == LANE
    quiet = Quiet(setting)
    assert quiet.waits
    setting.ledger.end_turn()
    assert quiet.gives_no_turn()


def test_quiet_waits_for_each_request() -> None:
    """And nothing is read inside."""
    setting = Setting()
    setting.note("a", "b")
    first, second = setting.send(setting.take(1)), setting.send(setting.take(1))
    quiet = Quiet(setting)
    assert quiet.waits
    setting.answer(first, NO_ROOM)
    assert quiet.waits
    setting.answer(second)
    assert quiet.gives_no_turn()


def test_quiet_ends_with_an_error_inside() -> None:
    """The next generation could not be taken: what is written next is not for quiet to decide."""
    setting = Setting()
    with pytest.raises(OSError, match="gone"), setting.ledger.quiet():
        raise OSError("gone")
    assert Beside(setting.turn).result() == LANE


def test_a_turn_is_given_again_and_again() -> None:
    """`look` says how long to wait, and what comes meanwhile has it look again."""
    setting = Setting()
    looked = threading.Event()

    def look() -> Lane | Wait:
        looked.set()
        return LANE if setting.ledger.ready(LANE) else Wait(None)

    turn = Beside(lambda: setting.ledger.wait_for_turn(Choosing(look)))
    happens(looked)
    assert turn.waits
    setting.note("a")
    assert turn.result() == LANE
    later = Lane(0, trial=True)
    looks: list[Lane | Wait] = [later, Wait(0.001), Wait(0.001)]
    assert setting.ledger.wait_for_turn(Choosing(looks.pop)) == later


def test_no_turn_sees_the_ids_of_a_lost_request_before_its_loss() -> None:
    """They would be sent under the generation whose request may yet arrive."""
    setting = Setting()
    setting.note("a")
    batch = setting.send(setting.take())
    looks: list[tuple[bool, bool]] = []
    looked = threading.Event()

    def look() -> Lane | Wait:
        looks.append((setting.ledger.ready(LANE), setting.gate.lost))
        looked.set()
        return LANE if setting.ledger.ready(LANE) else Wait(0.0001)

    turn = Beside(lambda: setting.ledger.wait_for_turn(Choosing(look)))
    happens(looked)
    setting.answer(batch, NO_ROOM, lost=True)
    assert turn.result() == LANE
    assert looks[-1] == (True, True)
    assert (True, False) not in looks


def test_stopping_settles_what_is_in_flight() -> None:
    """No turn is given any more; the last one is None when the last answer has come."""
    setting = Setting()
    mark = setting.note("a")
    batch = setting.send(setting.take())
    setting.ledger.stop()
    turn = Beside(setting.turn)
    assert turn.waits
    setting.answer(batch)
    assert turn.result() is None
    assert setting.settled(mark)


@pytest.mark.parametrize("crashed", [False, True])
def test_whoever_waits_is_told_of_the_end(crashed: bool) -> None:
    """What they wait for will not be done: that is no success."""
    setting = Setting()
    mark = setting.note("a")
    setting.ledger.unreadable(ToPark(0, B, "b", (), "no"))
    job = Job()
    job.add()
    waiting = [
        Beside(lambda: setting.ledger.wait(job)),
        Beside(lambda: setting.ledger.wait_settled(mark)),
        Beside(setting.ledger.wait_noted),
    ]
    assert all(one.waits for one in waiting)
    if crashed:
        setting.ledger.crash(OSError("gone"))
    else:
        setting.ledger.stop()
    assert setting.ledger.over
    assert [one.result() for one in waiting] == [False, False, False]


def test_a_request_that_ended_by_a_defect() -> None:
    """Its ids stay in flight: nothing is known of them. Quiet does not wait for it."""
    setting = Setting()
    mark = setting.note("a")
    setting.send(setting.take())
    setting.ledger.lost(0, ValueError("odd"))
    assert setting.ledger.crashed == "ValueError: odd"
    assert setting.ledger.requests == 0
    assert setting.work.flying == {A}
    assert not setting.settled(mark)


def test_the_last_answer_is_known() -> None:
    """Nothing waits and nothing else is in flight."""
    setting = Setting()
    setting.note("a", "b")
    first, second = setting.send(setting.take(1)), setting.send(setting.take(1))
    assert not setting.ledger.answered(first, sent(DONE)).last
    assert setting.ledger.answered(second, sent(DONE)).last
    assert setting.ledger.resting


def test_each_method_waits_for_the_others() -> None:
    """All that the threads share changes under one lock."""
    setting = Setting()
    setting.note("a")
    batch = setting.send(setting.take())
    task, aside = KeysTask(0, [B], Job()), ToPark(0, B, "b", (), "no")
    ledger, [source] = setting.ledger, setting.sources
    calls: list[Callable[[], object]] = [
        *(lambda: ledger.add("w", [B], DIRECT), lambda: ledger.put(task), ledger.mark),
        *(lambda: ledger.wait(Job(), 0), lambda: ledger.wait_settled(0, 0), ledger.end_turn),
        *(lambda: ledger.wait_noted(0), lambda: ledger.busy, ledger.pause, ledger.resume),
        *(lambda: ledger.ready(LANE), lambda: ledger.begin_mappings(0, source), ledger.dropped),
        *(lambda: ledger.has_tasks(LANE), lambda: ledger.take(0, {}, 1)),
        *(lambda: ledger.readable(0), lambda: ledger.aim({}), ledger.parking_in_place),
        *(lambda: ledger.hold(0), lambda: ledger.release(0), lambda: ledger.wait_whole(0)),
        ledger.release_those_with_nothing_to_try,
        *(lambda: ledger.join(0, {}), lambda: ledger.next_task(LANE), lambda: ledger.sent(0)),
        *(lambda: ledger.give_back(0, {}), lambda: ledger.unreadable(aside), ledger.wake),
        *(lambda: ledger.add_page(task, [B], {}, more=True), lambda: ledger.resting),
        *(lambda: ledger.nothing_to_write(batch, A, "a"), lambda: ledger.know_parked({})),
        *(lambda: ledger.answered(batch, sent(DONE)), lambda: ledger.parked_ids(0)),
        *(lambda: ledger.parking_written([], ()), ledger.parking_to_write, ledger.unproven_ids),
        *(lambda: ledger.is_unproven(0, "b"), lambda: ledger.candidates(0, [B])),
        *(lambda: ledger.take_suspects(0, {}), lambda: ledger.take_witness(0, {})),
        *(lambda: ledger.may_find_witness(0, [B]), lambda: ledger.is_good(0, B)),
        *(lambda: ledger.all_were_tried(0), ledger.stop),
        *(lambda: ledger.crash(OSError("gone")), lambda: ledger.lost(0, OSError("gone"))),
    ]
    with ledger._lock:
        threads = [Beside(one) for one in calls]
        assert threads[-1].waits
        assert [number for number, one in enumerate(threads) if one.ended] == []


def test_threads_that_race() -> None:
    """Changes, answers and refusals at the same time: nothing is lost, and no id is in two
    requests."""
    setting = Setting(pending=100_000)
    random.seed(14)
    ids = [str(number) for number in range(8)]
    flying: list[Key] = []
    twice: list[Key] = []
    lock = threading.Lock()
    left = 40

    def changes() -> int:
        for _ in range(300):
            setting.note(*random.sample(ids, 3))
        return setting.ledger.mark()

    def work() -> None:
        def look() -> Lane | Wait:
            return LANE if setting.ledger.ready(LANE) else Wait(None)

        while setting.ledger.wait_for_turn(Choosing(look)):
            items = setting.take()
            with lock:
                twice.extend(key for key in items if key in flying)
                flying.extend(items)
            threading.Thread(target=answer, args=(setting.send(items),), daemon=True).start()
            setting.ledger.end_turn()

    def answer(batch: Batch) -> None:
        nonlocal left
        with lock:
            for key in batch.items:
                flying.remove(key)
            left -= 1
        refused = left > 0 and random.random() < 0.5
        setting.answer(batch, NO_ROOM if refused else DONE)

    worker = Beside(work)
    for mark in [one.result() for one in [Beside(changes) for _ in range(3)]]:
        assert setting.ledger.wait_settled(mark, 20)
    setting.ledger.stop()
    worker.result()
    assert twice == []
    assert flying == []
    assert not setting.work.flying
    assert not setting.ledger.busy


# -- a kind that is held ---------------------------------------------------------------------------


def test_what_is_held_is_there_to_be_tried(setting_held: Setting) -> None:
    """Also where an overflow drops all else. When nothing is left to try it is held no more: a
    sweep brings what was left out."""
    setting = setting_held
    ledger = setting.ledger
    assert setting.waiting == {A}
    setting.pending.ids[0].drop_noted()
    assert setting.waiting == {A}
    assert not ledger.busy
    ledger.release_those_with_nothing_to_try()
    assert not ledger.whole
    assert setting.take() == {A: ()}
    setting.work.finish(A, ())  # it is parked, say: no request tells of the index
    ledger.release_those_with_nothing_to_try()
    assert ledger.whole


def test_what_comes_while_it_is_held(setting_held: Setting) -> None:
    """What notifications bring has its try: it may be a good document beside those that are
    refused. Nothing waits for it. Pages are left out; all counts as dropped when the kind is
    released."""
    setting = setting_held
    ledger, before = setting.ledger, setting.ledger.overflows
    mark = setting.note("b")
    assert setting.settled(mark)
    job = Job()
    job.add()
    ledger.put(KeysTask(0, [B], job))
    assert job.dropped
    assert setting.waiting == {A, B}
    assert setting.take() == {A: (), B: ()}
    ledger.release(0)
    ledger.release(0)
    assert ledger.overflows == before + 1
    assert ledger.interruptions == 2


@pytest.fixture
def setting_held() -> Setting:
    """An id waits, for which nothing waits."""
    setting = Setting()
    mark = setting.note("a")
    assert not setting.settled(mark)
    setting.ledger.hold(0)
    assert setting.settled(mark)
    return setting
