"""The report of a comparison: what differs, how far it is, and what a person must allow."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from listener.observations import events
from listener.observations.events import Observe
from listener.observations.printable import shown
from listener.resync.compare import DIFFERENCES, Difference, Mismatch, Page

DELETES: Final = 1000
DELETES_SHARE: Final = 0.05
EXAMPLES: Final = 5
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
