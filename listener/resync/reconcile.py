"""Reconcile: index against query, both ways; what differs is read again and written.

Needed where changes may not have been recorded: after another history, a TRUNCATE, altered
triggers; and on demand. By itself it deletes only so many documents. A database that is half
restored, or the wrong one, must not empty the index.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from listener.changes import Key
from listener.documents.kinds import Kind
from listener.indexing.pipeline import Interrupted, Pipeline
from listener.indexing.queue import Job
from listener.observations import events
from listener.observations.events import Observe
from listener.observations.printable import shown
from listener.postgres import Connection
from listener.resync.cancellation import Check
from listener.resync.compare import Comparison, Comparisons, Misplaced
from listener.resync.report import ComparisonProgress, Report, deletes_allowed
from listener.runtime.lifecycle import Stopped

KEPT: Final = 10_000
"""Orphans that are held until it is known how many there are. For more the index is read again."""
_OPEN_JOBS: Final = 4


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

        `kind`: the one that feeds it. `index`: the one in use. `unguarded`: delete any number of
        documents.

        Raises Stopped, what the Check raises, Interrupted where its kind is held, and the errors of
        both clients. Raises Misplaced
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
            self._jobs.append(self._pipeline.submit_ids(self._kind, keys))
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
        if job.dropped:
            raise Interrupted("documents that differ are not brought for now")

    def check(self) -> None:
        """Raises Stopped, and what the Check raises, where it should not go on."""
        self._check.check()
        if self._pipeline.over:
            raise Stopped("the comparison was stopped")
