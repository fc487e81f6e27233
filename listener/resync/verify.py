"""`verify`: compare by plain reads, beside a daemon or without one, and tell wrong from late.

What differs at the first look is looked at again when the active daemon's watermark has passed that
look. What differs then, too, is not mended by the daemon's own work; but where the index has got
another copy meanwhile, the daemon is at work on it, and it is looked at again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from listener import search
from listener.changes import Key
from listener.documents.kinds import Kind
from listener.indexing.parked_table import ParkedTable
from listener.observations import events
from listener.observations.events import Observe
from listener.postgres import Connection
from listener.resync.active import ActiveDaemon
from listener.resync.compare import Comparison, Mismatch, Page
from listener.resync.report import ComparisonProgress, Report
from listener.runtime.lifecycle import Stop, Stopped
from listener.search.aliases import aliases_of
from listener.state.control import ControlDocument
from listener.state.identity import position

REMEMBERED: Final = 100_000
"""How many documents that differ are looked at again. The others are only counted."""
LOOKS: Final = 3
"""How many further looks must find the same wrong copy beside a daemon: what is changed between two
looks is late at both."""
MOST_LOOKS: Final = 12
"""How many further looks there are: what differs at all of them is wrong, with whatever copies."""
WATERMARK_PATIENCE: Final = 15.0
"""Seconds of waiting for the daemon's watermark."""


@dataclass(frozen=True, slots=True)
class Verified:
    """The report on one kind of document, and the ids that are wrong (the first REMEMBERED)."""

    kind: Kind
    report: Report
    wrong: tuple[Key, ...]

    @property
    def to_repair(self) -> bool:
        """Whether a repair has anything to do. Parked documents are not wrong, but a repair is how
        a person has them tried again."""
        return self.report.wrong > 0 or self.report.parked > 0


class Verification:
    """Compares all documents of a pipeline; writes nothing."""

    def __init__(
        self,
        *,
        connection: Connection,
        client: search.Client,
        control: ControlDocument,
        parked: ParkedTable,
        daemon: ActiveDaemon,
        observe: Observe,
        stop: Stop,
    ) -> None:
        self._connection = connection
        self._client = client
        self._control = control
        self._parked = parked
        self._daemon = daemon
        self._observe = observe
        self._stop = stop

    def run(self, kind: Kind) -> Verified:
        """Compare one document kind. Raises Stopped; errors of both clients pass through."""
        aside = self._parked.ids(self._connection, kind.index)
        comparison = self._comparison(kind, aside)
        report = Report(kind.index)
        progress = ComparisonProgress(
            kind.index, kind.source.estimate(self._connection), self._observe
        )
        mismatches: dict[Key, Mismatch] = {}
        for page in self._pages(comparison, report):
            progress.add(page)
            for mismatch in page.mismatches:
                if mismatch.difference == "misplaced":  # a look by its id may find another copy
                    report.add(mismatch)
                elif len(mismatches) < REMEMBERED:
                    mismatches[mismatch.key] = mismatch
                else:
                    report.add(mismatch)
        wrong = self._look_again(kind, aside, mismatches)
        for mismatch in wrong:
            report.add(mismatch)
        told = [mismatch.key for mismatch in wrong if mismatch.difference != "parked"]
        return Verified(kind, report, tuple(told))

    def _comparison(self, kind: Kind, aside: frozenset[str]) -> Comparison:
        """The comparison with the index that the alias leads to now. The alias itself may have a
        filter or a routing, and a load may swap it.
        """
        found = aliases_of(self._client, kind.index)
        names = [name for name, aliases in found.items() if kind.index in aliases]
        index = names[0] if len(names) == 1 else kind.index
        return Comparison(kind.source, self._client, index, aside)

    def _pages(self, comparison: Comparison, report: Report) -> Iterator[Page]:
        for page in comparison.database(self._connection):
            report.documents += page.looked_at
            self._check()
            yield page
        for page in comparison.index(self._connection):
            report.indexed += page.looked_at
            self._check()
            yield page

    def _check(self) -> None:
        if self._stop.requested:
            raise Stopped("stop was requested")

    def _look_again(
        self, kind: Kind, aside: frozenset[str], mismatches: dict[Key, Mismatch]
    ) -> list[Mismatch]:
        """Which of these documents still differ. `aside`: ids of parked documents."""
        found = list(mismatches.values())
        stood: dict[Key, int] = {}
        for _ in range(MOST_LOOKS if self._daemon.at_work() else 1):
            if all(one.difference == "parked" or stood.get(one.key, 0) >= LOOKS for one in found):
                break
            waited = not self._daemon.at_work() or self.wait_for_daemon()
            versions = {one.key: one.version for one in found}
            found = self._comparison(kind, aside).look(self._connection, list(versions))
            stood = {
                one.key: stood.get(one.key, 0) + 1 if one.version == versions[one.key] else 0
                for one in found
            }
            if not waited:
                break  # the watermark stands, and would stand at the next look
        return found

    def wait_for_repair(self, took: float) -> None:
        """Wait until the daemon has compared, and mended, what it was asked to. `took`: seconds of
        the comparison here. The daemon's takes about as long, or twice that if one was under way.
        Raises as `wait_for_daemon`.
        """
        self.wait_for_daemon(mended=True, patience=WATERMARK_PATIENCE + 3 * took)

    def wait_for_daemon(
        self, *, mended: bool = False, patience: float = WATERMARK_PATIENCE
    ) -> bool:
        """Wait until the daemon's watermark has passed the moment of this call. It stands in the
        control document.

        While a comparison is due, perhaps for a person's word, the watermark stands still. Then a
        tick that began after the call is enough. `mended`: it is not, the comparison is waited for.
        Returns False after `patience` seconds. Raises Stopped; errors of both clients pass through.
        """
        row = self._connection.execute(
            "SELECT pg_catalog.clock_timestamp(), pg_catalog.pg_current_wal_lsn()::text"
        ).fetchone()
        assert row is not None
        wanted: datetime = row[0]
        written = position(row[1])
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            self._daemon.ring()
            state = self._control.read().state
            if state is not None:
                if state.last_processed and state.last_processed >= wanted:
                    return True
                if state.reconcile and not mended and position(state.identity.wal_lsn) > written:
                    return True
            if self._stop.wait(0.5):
                raise Stopped("stop was requested")
        self._observe(events.VerifyImpatient(patience))
        return False
