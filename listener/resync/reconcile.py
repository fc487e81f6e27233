"""Reconcile: index against query, both ways; what differs is read again and written.

Needed where changes may not have been recorded: after another history, a TRUNCATE, altered
triggers; and on demand. By itself it deletes only so many documents. A database that is half
restored, or the wrong one, must not empty the index.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Final

from listener.changes import Key
from listener.documents.kinds import Kind
from listener.indexing.pipeline import Pipeline
from listener.indexing.queue import Job
from listener.observations import events
from listener.observations.events import Observe
from listener.observations.printable import shown
from listener.postgres import Connection
from listener.resync.cancellation import Check
from listener.resync.compare import (
    DIFFERENCES,
    Comparison,
    Comparisons,
    Difference,
    Mismatch,
    Misplaced,
    Page,
)
from listener.runtime.lifecycle import Stopped

DELETES: Final = 1000
DELETES_SHARE: Final = 0.05
EXAMPLES: Final = 5
KEPT: Final = 10_000
"""Orphans that are held until it is known how many there are. For more the index is read again."""
_OPEN_JOBS: Final = 4
_PROGRESS_EVERY: Final = 5.0


@dataclass(slots=True)
class Report:
    """What a comparison found in one index: by difference, the count and the first few ids.

    `index`: the alias. `documents`: how many the database has. `indexed`: how many the index has.
    """

    index: str
    documents: int = 0
    indexed: int = 0
    counts: Counter[Difference] = field(default_factory=Counter)
    examples: dict[Difference, list[str]] = field(default_factory=dict)
    guarded: bool = False
    """Whether deletes were left undone, because they were too many."""

    def add(self, mismatch: Mismatch) -> None:
        """Count this one."""
        self.counts[mismatch.difference] += 1
        examples = self.examples.setdefault(mismatch.difference, [])
        if len(examples) < EXAMPLES:
            examples.append(mismatch.id)

    @property
    def wrong(self) -> int:
        """How many documents are not what the query returns. Parked ones do not count."""
        return sum(self.counts[kind] for kind in DIFFERENCES if kind != "parked")

    @property
    def needs_word(self) -> bool:
        """Whether so many documents are orphans that only a person's word lets them be deleted."""
        return self.counts["orphaned"] > self.deletes_allowed

    @property
    def deletes_allowed(self) -> int:
        """How many documents of this index a comparison deletes by itself."""
        return deletes_allowed(self.indexed)

    @property
    def parked(self) -> int:
        """How many documents are parked, or make the query fail."""
        return self.counts["parked"]

    def lines(self) -> list[str]:
        """The report for people, line by line."""
        told = [f"{self.index}: {self.documents} documents compared, {self.wrong} wrong"]
        for kind in DIFFERENCES:
            if self.counts[kind]:
                ids = ", ".join(map(shown, self.examples[kind]))
                more = ", …" if self.counts[kind] > len(self.examples[kind]) else ""
                told.append(f"  {kind}: {self.counts[kind]} ({ids}{more})")
        return told


def deletes_allowed(documents: int) -> int:
    """How many documents a reconcile deletes by itself in an index of this size."""
    return max(DELETES, int(documents * DELETES_SHARE))


class ComparisonProgress:
    """Tells how far a comparison is, every few seconds."""

    def __init__(self, index: str, total: int, observe: Observe) -> None:
        self._index = index
        self._total = total
        self._observe = observe
        self._began = time.monotonic()
        self._told = self._began
        self._done = 0

    def add(self, page: Page) -> None:
        """A page was looked at."""
        self._done += page.looked_at
        now = time.monotonic()
        if now - self._told >= _PROGRESS_EVERY:
            self._told = now
            self._observe(
                events.CompareProgress(
                    self._index, self._done, max(self._total, self._done), now - self._began
                )
            )

    @property
    def seconds(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._began


class Reconciler:
    """Compares, and mends through the pipeline, so that live changes go on meanwhile."""

    def __init__(self, pipeline: Pipeline, comparisons: Comparisons, observe: Observe) -> None:
        self._pipeline = pipeline
        self._comparisons = comparisons
        self._observe = observe

    def run(
        self,
        connection: Connection,
        kind: Kind,
        index: str,
        check: Check,
        *,
        unguarded: bool,
    ) -> Report:
        """Bring one index in step, and report what was not.

        `index`: the one in use. `unguarded`: delete any number of documents.

        Raises Stopped, what the Check raises, and the errors of both clients. Raises Misplaced
        where only a new index helps, and would lose no more than the comparison may delete.
        """
        comparison = self._comparisons.of(connection, kind, index)
        report = Report(kind.index)
        progress = ComparisonProgress(kind.index, kind.source.estimate(connection), self._observe)
        mending = _Mending(self._pipeline, kind.number, check)
        orphans: list[Key] = []
        for page in comparison.database(connection):
            progress.add(page)
            report.documents += page.looked_at
            for mismatch in page.mismatches:
                if mismatch.difference != "orphaned":  # the pages of the index bring orphans, once
                    report.add(mismatch)
                    # a parked one is tried again: its fault may be mended elsewhere
                    mending.add(mismatch.key)
            mending.flush()
        # a parked document may be gone on both sides
        mending.take(self._pipeline.parked_keys(kind.number))
        lost = 0
        for page in comparison.index(connection):
            progress.add(page)
            report.indexed += page.looked_at
            lost += page.lost
            for mismatch in page.mismatches:
                report.add(mismatch)
                if mismatch.difference == "orphaned" and (len(orphans) < KEPT or unguarded):
                    orphans.append(mismatch.key)
            if unguarded:
                _refuse_misplaced(report)
                mending.take(orphans)
            mending.check()
        allowed = report.deletes_allowed
        report.guarded = not unguarded and lost > allowed
        if not report.guarded:  # a new index may lose no more than a comparison may delete
            _refuse_misplaced(report)
        if not report.guarded:
            taken = len(orphans)
            mending.take(orphans)
            mending.finish()
            if not unguarded and report.counts["orphaned"] > taken:
                report.guarded = not self._more(connection, comparison, mending, allowed - taken)
        mending.finish()
        self._observe(
            events.Reconciled(
                kind.index,
                report.documents,
                report.counts["missing"],
                report.counts["stale"],
                report.counts["orphaned"],
                progress.seconds,
            )
        )
        if report.guarded:
            self._observe(events.DeletesGuarded(kind.index, lost, allowed))
        return report

    def guards(self, connection: Connection, kind: Kind, index: str, check: Check) -> bool:
        """Whether a new index would lose more documents than a comparison may delete by itself.
        That is told. Raises as `run`, but for Misplaced.
        """
        lost = indexed = 0
        for page in self._comparisons.of(connection, kind, index).index(connection):
            indexed += page.looked_at
            lost += page.lost
            check.check()
            if self._pipeline.over:
                raise Stopped("the comparison was stopped")
        allowed = deletes_allowed(indexed)
        if lost > allowed:
            self._observe(events.DeletesGuarded(kind.index, lost, allowed))
        return lost > allowed

    def _more(
        self, connection: Connection, comparison: Comparison, mending: _Mending, allowed: int
    ) -> bool:
        """Delete the orphans that were only counted, a page at a time. `allowed`: how many. False
        where there are more by now.
        """
        for page in comparison.index(connection):
            allowed -= len(page.mismatches)
            if allowed < 0:
                return False
            mending.take([mismatch.key for mismatch in page.mismatches])
        return True


def _refuse_misplaced(report: Report) -> None:
    """Raises Misplaced where any document is misplaced."""
    if report.counts["misplaced"]:
        raise Misplaced(
            f"{report.index}: {shown(report.examples['misplaced'][0])} was written with a routing: "
            "no write by id finds it for certain, so that all is loaded into a new index"
        )


class _Mending:
    """Ids that differ, on their way through the pipeline, a few pages at a time."""

    def __init__(self, pipeline: Pipeline, kind: int, check: Check) -> None:
        self._pipeline = pipeline
        self._kind = kind
        self._check = check
        self._keys: dict[Key, None] = {}
        self._jobs: deque[Job] = deque()

    def add(self, key: Key) -> None:
        """One more id."""
        self._keys[key] = None

    def take(self, keys: list[Key]) -> None:
        """Send these ids, and what was added. Empties the list."""
        self._keys.update(dict.fromkeys(keys))
        keys.clear()
        self.flush()

    def flush(self) -> None:
        """Send what was added, and wait while too much is under way."""
        if self._keys:
            keys = list(self._keys)
            self._jobs.append(self._pipeline.submit_ids(self._kind, keys, load_only=False))
            self._keys.clear()
        while len(self._jobs) > _OPEN_JOBS:
            self._wait(self._jobs.popleft())
        self.check()

    def finish(self) -> None:
        """Send what was added, and wait until Elasticsearch has all."""
        self.flush()
        while self._jobs:
            self._wait(self._jobs.popleft())

    def _wait(self, job: Job) -> None:
        while not self._pipeline.wait(job, 1.0):
            self.check()

    def check(self) -> None:
        """Raises Stopped, and what the Check raises, where it should not go on."""
        self._check.check()
        if self._pipeline.over:
            raise Stopped("the comparison was stopped")
