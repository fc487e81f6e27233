"""The pending set and its ledger: nothing is counted as done before it is."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from listener.changes import Key, Route
from listener.indexing.queue import Job, Pending

DIRECT = (Route(0, mapped=False),)
MAPPED = (Route(0, mapped=True),)


def test_a_mark_is_settled_when_all_before_it_is_done() -> None:
    """What came after the mark does not hold it."""
    pending = Pending(1, 100)
    assert pending.add("w", [("1",), ("2",)], DIRECT)
    mark = pending.mark()
    pending.add("w", [("3",)], DIRECT)
    taken = pending.ids[0].take(2, set())
    assert list(taken) == [("1",), ("2",)]
    for jobs in taken.values():
        assert not pending.settled(mark)
        for job in jobs:
            job.done()
    assert pending.settled(mark)
    assert not pending.settled(pending.mark())


def test_an_id_in_flight_waits() -> None:
    """An id is in at most one unanswered request; it is not even looked at before."""
    pending = Pending(1, 100)
    pending.add("w", [("1",), ("2",)], DIRECT)
    assert list(pending.ids[0].take(5, {("1",)})) == [("2",)]
    assert list(pending.ids[0].take(5, {("1",)})) == []
    assert list(pending.ids[0].take(5, set())) == [("1",)]


def test_a_repeated_key_keeps_its_older_epoch() -> None:
    """A key that waits is not counted twice."""
    pending = Pending(1, 100)
    pending.add("w", [("1",)], DIRECT)
    first = pending.mark()
    pending.add("w", [("1",)], DIRECT)
    second = pending.mark()
    assert not pending.settled(first)
    (jobs,) = pending.ids[0].take(5, set()).values()
    assert len(jobs) == 1
    jobs[0].done()
    assert pending.settled(second)


def test_a_mapped_key_that_waits_is_not_counted_twice() -> None:
    """It is looked up once for all who named it."""
    pending = Pending(1, 100)
    pending.add("m", [("genre",)], MAPPED)
    first = pending.mark()
    pending.add("m", [("genre",)], MAPPED)
    second = pending.mark()
    [epoch] = pending.ids[0].take_mapped("m", 5).values()
    assert not pending.settled(first)
    epoch.done()
    assert pending.settled(second)


def test_a_change_of_an_id_that_a_load_waits_for_is_counted() -> None:
    """The id is in the set already, but for somebody else: the mark must wait for it too."""
    pending = Pending(1, 100)
    page = Job()
    page.add()
    pending.ids[0].add(("1",), (page,))
    pending.add("w", [("1",)], DIRECT)
    mark = pending.mark()
    assert not pending.settled(mark)
    (jobs,) = pending.ids[0].take(5, set()).values()
    for job in jobs:
        job.done()
    assert pending.settled(mark)
    assert page.open == 0


def test_a_job_is_counted_once_for_an_id() -> None:
    """It came back from a refused request while the same job named it anew: one part is done."""
    pending = Pending(1, 100)
    page = Job()
    page.add(2)
    page.seal()
    pending.ids[0].add(("1",), (page,))
    pending.ids[0].add(("1",), (page,))
    assert page.open == 1
    for job in pending.ids[0].pop(("1",)):
        job.done()
    assert page.finished


def test_the_limit_is_for_what_notifications_brought() -> None:
    """Ids that a sweep waits for are bounded by its pages: they drop nobody's changes."""
    pending = Pending(1, 3)
    page = Job()
    page.add(5)
    for number in range(5):
        pending.ids[0].add((str(number),), (page,))
    assert pending.add("w", [("1",), ("7",), ("8",)], DIRECT)
    assert not pending.add("w", [("9",)], DIRECT)
    assert len(pending) == 5
    assert page.open == 5
    for _ in range(2):  # what was taken leaves room
        assert pending.add("w", [("7",), ("8",), ("9",)], DIRECT)
        pending.ids[0].take(10, set())


def test_what_comes_to_a_held_kind_is_bounded_apart() -> None:
    """It takes no room from the others, and none beyond the limit is remembered: when the kind is
    released, a sweep brings it."""
    pending = Pending(2, 3)
    pending.ids[0].release()
    mark = pending.mark()
    assert pending.add("w", [(str(number),) for number in range(9)], DIRECT)
    assert pending.add("m", [("genre",)], MAPPED)
    assert (len(pending.ids[0]), pending.ids[0].noted) == (3, 0)
    assert pending.settled(mark)
    assert pending.add("w", [("1",), ("2",), ("3",)], (Route(1, mapped=False),))
    assert pending.overflows == 0
    held = Pending(1, 3).ids[0]
    held.release()
    held.note_mapped("m", [(str(number),) for number in range(9)], Job(epoch=True), 3)
    assert len(held) == 3


def test_overflow_drops_what_notifications_brought_and_says_so() -> None:
    """Memory is bounded; what sweeps and loads wait for stays."""
    pending = Pending(1, 10)
    page = Job()
    page.add()
    pending.ids[0].add(("kept",), (page,))
    mark = pending.mark()
    assert not pending.add("w", [(str(n),) for n in range(20)], DIRECT)
    assert not pending.add("m", [(str(n),) for n in range(20)], MAPPED)
    assert pending.overflows == 2
    assert list(pending.ids[0].waiting) == [("kept",)]
    assert len(pending) == 1
    assert pending.settled(mark)  # hence: compare `overflows`
    assert pending.settled(pending.mark())
    assert page.open == 1


def test_a_job_of_pages_ends_with_its_last_part() -> None:
    """A mapped key is done when it is sealed and every id behind it is done."""
    epoch = Job(epoch=True)
    epoch.add(2)
    job = Job([(epoch, 2)])
    job.add(3)
    job.done(3)
    assert not job.finished
    assert epoch.open == 2
    job.add(1)
    job.seal()
    assert epoch.open == 2
    job.done()
    assert job.finished
    assert epoch.open == 0


class Ledger(RuleBasedStateMachine):
    """Random changes, takes, answers and retries: a mark is settled exactly when it should be."""

    def __init__(self) -> None:
        super().__init__()
        self.pending = Pending(1, 10_000)
        self.flying: dict[Key, tuple[Job, ...]] = {}
        self.dirty: dict[Key, int] = {}  # key -> number of the last change not yet covered
        self.taken: dict[Key, int] = {}
        self.changes = 0
        self.marks: list[tuple[int, int]] = []

    @rule(keys=st.lists(st.integers(0, 8), min_size=1, max_size=4))
    def change(self, keys: list[int]) -> None:
        """Keys change."""
        self.changes += 1
        self.pending.add("w", [(str(key),) for key in keys], DIRECT)
        for key in keys:
            self.dirty.setdefault((str(key),), self.changes)

    @rule()
    def mark(self) -> None:
        """A barrier comes back."""
        self.marks.append((self.pending.mark(), self.changes))

    @rule(most=st.integers(1, 4))
    def take(self, most: int) -> None:
        """A batch is read."""
        for key, jobs in self.pending.ids[0].take(most, set(self.flying)).items():
            self.flying[key] = jobs
            self.taken[key] = self.dirty.pop(key)

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), retry=st.booleans())
    def answer(self, data: st.DataObject, retry: bool) -> None:
        """Elasticsearch answers for one id: done, or to be read again."""
        key = data.draw(st.sampled_from(sorted(self.flying)))
        jobs, since = self.flying.pop(key), self.taken.pop(key)
        if retry:
            self.pending.ids[0].add(key, jobs)
            self.dirty[key] = min(since, self.dirty.get(key, since))
        else:
            for job in jobs:
                job.done()

    @invariant()
    def a_settled_mark_has_nothing_open(self) -> None:
        """Never too early: this is what the watermark stands on."""
        open_changes = [*self.dirty.values(), *self.taken.values()]
        oldest = min(open_changes, default=self.changes + 1)
        for mark, changes in self.marks:
            if self.pending.settled(mark):
                assert oldest > changes
            elif not open_changes:
                raise AssertionError("nothing is open, yet the mark is not settled")


Ledger.TestCase.settings = settings(max_examples=200, deadline=None)
TestLedger = Ledger.TestCase
