"""The work of one document kind: which ids wait, which are in flight, and which are suspects.

No I/O and no locks: the ledger calls it under its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from listener.changes import Key
from listener.indexing.queue import Ids, Jobs, joined

_WITNESSES: Final = 8
"""Good ids that are remembered: the last ones may be in flight or suspects by themselves."""


class Work:
    """An id is in at most one unanswered request: it waits while it is in `flying`."""

    def __init__(self, ids: Ids) -> None:
        """`ids`: those that wait."""
        self.ids = ids
        self.flying: set[Key] = set()
        self.suspects: dict[Key, None] = {}
        """Ids that were refused and wait for their trial; they stand in `ids`, too."""
        self.good: dict[Key, None] = {}
        """The last few ids that were taken as documents: witnesses."""
        self.useless: set[Key] = set()
        """Ids that were tried as witnesses and proved nothing, since the last that did."""
        self.mapping: set[str] = set()
        """Watches whose keys are being looked up: the next ones wait until that is over."""

    @property
    def some_ready(self) -> bool:
        """Whether an id waits that may be taken into an ordinary batch."""
        return any(key not in self.flying and key not in self.suspects for key in self.ids.waiting)

    @property
    def suspect_ready(self) -> bool:
        """Whether a suspect waits that is not in flight."""
        return any(key in self.ids.waiting and key not in self.flying for key in self.suspects)

    def take(self, most: int) -> dict[Key, Jobs]:
        """Take up to so many ids that may go into an ordinary batch, the oldest first."""
        apart = self.flying | self.suspects.keys() if self.suspects else self.flying
        taken = self.ids.take(most, apart)
        self.flying.update(taken)
        return taken

    def take_one(self, key: Key) -> Jobs:
        """Take this id, whether it waits or not."""
        self.flying.add(key)
        return self.ids.pop(key)

    def join(self, items: dict[Key, Jobs]) -> None:
        """All jobs that wait for the ids of a batch are served by it: its read comes later."""
        for key in self.ids.waiting.keys() & items.keys():
            items[key] = joined(items[key], self.ids.pop(key))

    def finish(self, key: Key, jobs: Jobs) -> None:
        """The document is in Elasticsearch, or parked."""
        self.flying.discard(key)
        self.suspects.pop(key, None)
        for job in jobs:
            job.done()

    def finish_all(self, items: Mapping[Key, Jobs]) -> None:
        """All of these are."""
        self.flying.difference_update(items)
        if self.suspects:
            for key in items:
                self.suspects.pop(key, None)
        for jobs, parts in Counter(items.values()).items():
            for job in jobs:
                job.done(parts)

    def give_back(self, key: Key, jobs: Jobs) -> None:
        """It is not: it will be read again, under a newer version."""
        self.flying.discard(key)
        self.ids.add(key, jobs)

    # -- suspects and witnesses ------------------------------------------------------------------

    def is_good(self, key: Key) -> None:
        """It was taken just now: the next one that is refused may be tried beside it."""
        self.good.pop(key, None)
        self.good[key] = None
        if len(self.good) > _WITNESSES:
            del self.good[next(iter(self.good))]

    def witnesses(self) -> Iterator[Key]:
        """Good ids that are neither in flight nor suspects, the last one first."""
        for key in reversed(self.good):
            if key not in self.flying and key not in self.suspects:
                yield key
