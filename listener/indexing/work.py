"""The work of one document kind: which ids wait, are in flight, are suspects, or may be witnesses.

No I/O and no locks: the ledger calls it under its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from listener.changes import Key, KeyType, document_id
from listener.indexing.parking import Parking
from listener.indexing.queue import Ids, Job, Jobs, joined

_WITNESSES: Final = 8
"""Good ids that are remembered: the last ones may be in flight or suspects by themselves."""
_MAPPED_KEYS: Final = 1000
"""Keys of a mapped watch that are looked up at once."""
_KNOWN_AT_ONCE: Final = 50
"""Suspects of one trial that are parked already: they were proven alone before."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Which of the ids of one page may be witnesses.

    `awaited`: those that may be, once they are answered. `others`: whether some are left out that
    are documents nevertheless: suspects, parked ones, or such as were tried in vain.
    """

    keys: Sequence[Key]
    awaited: Collection[Key]
    others: bool


class Work:
    """An id is in at most one unanswered request: it waits while it is in `flying`."""

    def __init__(self, kind: int, types: Sequence[KeyType], ids: Ids, parking: Parking) -> None:
        """`kind`: its number. `types`: of its keys. `ids`: what waits. `parking`: of all kinds."""
        self._kind = kind
        self._types = types
        self._parking = parking
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
        self.loaded = 0
        """Documents that were written to the index of a load."""

    @property
    def held(self) -> bool:
        """Whether its query or its index fails: what waits here is only there to be tried again."""
        return self.ids.held

    @property
    def some_ready(self) -> bool:
        """Whether an id waits that may be taken into an ordinary batch, or keys lead to some."""
        return any(self.ids.mapped.values()) or any(
            key not in self.flying and key not in self.suspects for key in self.ids.waiting
        )

    @property
    def suspect_ready(self) -> bool:
        """Whether a suspect waits that is not in flight."""
        return any(key in self.ids.waiting and key not in self.flying for key in self.suspects)

    def begin_mappings(self) -> Iterator[tuple[str, dict[Key, Job]]]:
        """By watch, the changed keys that are looked up next. A watch whose keys are being looked
        up is left out.
        """
        for watch, keys in self.ids.mapped.items():
            if keys and watch not in self.mapping:
                self.mapping.add(watch)
                yield watch, self.ids.take_mapped(watch, _MAPPED_KEYS)

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

    def add_page(self, page: Sequence[Key], job: Job, items: dict[Key, Jobs]) -> None:
        """Add ids that `job` waits for to a batch; those in flight wait for their answer."""
        for key in page:
            if key in items:
                items[key] = joined(items[key], (job,))
            elif key in self.flying:
                self.ids.add(key, (job,))
            else:
                items[key] = (job,)
                self.flying.add(key)

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
        if self.ids.held:
            for job in jobs:
                job.drop()
            jobs = ()
        self.ids.add(key, jobs)

    def forget(self) -> None:
        """The kind is closed, and nothing of it is in flight: nothing is waited for."""
        for key in list(self.ids.waiting):
            for job in self.ids.pop(key):
                job.drop()
        self.ids.forget_mapped()
        for known in (self.suspects, self.good):
            known.clear()
        for others in (self.useless, self.mapping, self.flying):
            others.clear()
        self.ids.held = False

    # -- suspects and witnesses ------------------------------------------------------------------

    def is_good(self, key: Key) -> None:
        """It was taken just now: the next one that is refused may be tried beside it."""
        self.good.pop(key, None)
        self.good[key] = None
        if len(self.good) > _WITNESSES:
            del self.good[next(iter(self.good))]

    def witness(self, *, parked: bool = False) -> Key | None:
        """The last good id that is neither in flight nor a suspect. `parked`: also one that was
        parked before it was good."""
        for key in reversed(self.good):
            if key in self.flying or key in self.suspects:
                continue
            if parked or not self._is_parked(key):
                return key
        return None

    def candidates(self, keys: Sequence[Key]) -> Candidates:
        """Which of these ids, that the database has, may be witnesses."""
        suspects, useless, flying = self.suspects, self.useless, self.flying
        others = len(suspects) > 1 or bool(useless)
        awaited = {key for key in keys if key in flying and key not in suspects}
        aside = {key for key in keys if self._is_parked(key)}
        others = others or not aside <= suspects.keys()
        apart = suspects.keys() | flying | useless | aside
        return Candidates([key for key in keys if key not in apart], awaited, others)

    def take_suspects(self, items: dict[Key, Jobs]) -> None:
        """Add one suspect to a batch; or many that are parked already, each of which was proven
        alone before."""
        for key in list(self.suspects):
            if key in self.flying:
                continue
            if key not in self.ids.waiting:  # dropped: a sweep will bring it
                del self.suspects[key]
                continue
            aside = self._place(key) in self._parking.known
            if not items or aside:
                items[key] = self.take_one(key)
            if not aside or len(items) >= _KNOWN_AT_ONCE:
                break

    def _is_parked(self, key: Key) -> bool:
        """Whether it is, and was not taken since."""
        one = self._place(key)
        return one in self._parking.known and one not in self._parking.to_clear

    def _place(self, key: Key) -> tuple[int, str]:
        return self._kind, document_id(key, self._types)
