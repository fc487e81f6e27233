"""What a comparison tells, and how many documents it may delete by itself."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import cast

import pytest

from listener.changes import Key
from listener.documents.kinds import Kind
from listener.indexing.pipeline import Pipeline
from listener.indexing.queue import Job
from listener.observations import events
from listener.observations.events import Observation
from listener.postgres import Connection
from listener.resync import reconcile
from listener.resync.compare import Comparisons, Mismatch, Page
from listener.resync.reconcile import Reconciler
from listener.resync.report import ComparisonProgress, Report, deletes_allowed
from listener.runtime.lifecycle import Stopped


def test_progress_every_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at each page; the total is an estimate, and never below what is done already."""
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    told: list[Observation] = []
    progress = ComparisonProgress("films", 5000, told.append)
    for _ in range(12):
        now += 1
        progress.add(Page(1000, ()))
    assert told == [
        events.CompareProgress("films", 5000, 5000, 5.0),
        events.CompareProgress("films", 10_000, 10_000, 10.0),
    ]
    assert progress.seconds == 12


@pytest.mark.parametrize(
    ("documents", "allowed"),
    [(0, 1000), (1500, 1000), (20_000, 1000), (20_020, 1001), (1_000_000, 50_000)],
)
def test_the_guard(documents: int, allowed: int) -> None:
    """A thousand, or five in a hundred where that is more."""
    assert deletes_allowed(documents) == allowed
    report = Report("films", indexed=documents)
    report.counts["orphaned"] = allowed
    assert not report.needs_word
    report.counts["orphaned"] += 1
    assert report.needs_word


def test_report_holds_a_few_ids_of_many() -> None:
    """Counts are whole, examples are few: a wrong index of millions is no matter of memory."""
    report = Report("films")
    for number in range(1000):
        report.add(Mismatch((str(number),), str(number), "stale"))
    report.add(Mismatch(("p",), "p", "parked"))
    assert (report.wrong, report.parked) == (1000, 1)
    assert report.lines() == [
        "films: 0 documents compared, 1000 wrong",
        "  stale: 1000 (0, 1, 2, 3, 4, …)",
        "  parked: 1 (p)",
    ]


FILMS = cast(
    Kind, SimpleNamespace(number=0, index="films", source=SimpleNamespace(estimate=lambda _: 0))
)


class Both:
    """A comparison of an index with orphans, and the pipeline that deletes them."""

    over = False

    def __init__(self, ids: list[int], *, later: int = 0) -> None:
        """`later`: so many more orphans from the second look on."""
        self.checks: list[Exception] = []
        """What the next checks raise."""
        self.ids = ids
        self.later = later
        self.looks = 0
        self.largest = 0

    def database(self, _connection: object) -> Iterator[Page]:
        """Of what is in the table the query returns nothing, and the index has it."""
        for number in self.ids[:7]:
            yield Page(1, (Mismatch((str(number),), str(number), "orphaned"),))

    def index(self, _connection: object) -> Iterator[Page]:
        """Ten ids a page, of a snapshot."""
        self.looks += 1
        if self.looks == 2:
            self.ids += range(100_000, 100_000 + self.later)
        there = list(self.ids)
        for start in range(0, len(there), 10):
            part = there[start : start + 10]
            yield Page(10, tuple(Mismatch((str(one),), str(one), "orphaned") for one in part))

    def submit_ids(self, _document: int, keys: Sequence[Key]) -> Job:
        """They are gone at once."""
        self.largest = max(self.largest, len(keys))
        gone = {key[0] for key in keys}
        self.ids = [one for one in self.ids if str(one) not in gone]
        job = Job()
        job.seal()
        return job

    def parked_keys(self, _document: int) -> list[Key]:
        """None is parked."""
        return []

    def wait(self, _job: Job, _seconds: float) -> bool:
        """Done."""
        return True

    def run(self, *, unguarded: bool = False) -> Report:
        """Reconcile."""
        return Reconciler(cast(Pipeline, self), cast(Comparisons, self), lambda _: None).run(
            cast(Connection, None),
            FILMS,
            "films-1",
            self,
            unguarded=unguarded,
        )

    def check(self) -> None:
        """Whether it is worth it still."""
        if self.checks:
            raise self.checks.pop()

    def guards(self) -> bool:
        """Whether a load would lose too many."""
        return Reconciler(cast(Pipeline, self), cast(Comparisons, self), lambda _: None).guards(
            cast(Connection, None), FILMS, "films-1", self
        )

    def of(self, _connection: object, kind: Kind, index: str) -> Both:
        """The comparison."""
        assert (kind, index) == (FILMS, "films-1")
        return self


def test_orphans_are_counted_first_and_deleted_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is counted once, though both sides bring it; few are held; all of them go."""
    monkeypatch.setattr(reconcile, "KEPT", 30)
    both = Both(list(range(1000)))
    report = both.run()
    assert (report.counts["orphaned"], report.guarded) == (1000, False)
    assert both.ids == []
    assert both.largest <= 40


def test_too_many_orphans_are_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    """None is deleted before it is known how many there are; with a person's word all are."""
    monkeypatch.setattr(reconcile, "KEPT", 30)
    both = Both(list(range(1001)))
    report = both.run()
    assert (report.counts["orphaned"], report.guarded, len(both.ids)) == (1001, True, 1001)
    report = both.run(unguarded=True)
    assert (report.guarded, both.ids) == (False, [])
    assert both.largest <= 40


def test_orphans_that_come_while_others_are_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard counts them, too."""
    monkeypatch.setattr(reconcile, "KEPT", 30)
    both = Both(list(range(900)), later=500)
    report = both.run()
    assert report.guarded
    assert len(both.ids) >= 400


@pytest.mark.parametrize("way", ["run", "guards"])
@pytest.mark.parametrize("end", ["check", "pipeline"])
def test_what_is_not_worth_it_any_more(way: str, end: str) -> None:
    """Its session is over, or the pipeline is: nothing is deleted, and nothing counts as mended."""
    both = Both(list(range(20)))
    if end == "check":
        both.checks = [Stopped("over")]
    else:
        both.over = True
    with pytest.raises(Stopped):
        both.run() if way == "run" else both.guards()
    assert len(both.ids) == 20
