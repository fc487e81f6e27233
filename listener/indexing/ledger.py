"""What the pipeline's worker and its senders share: batches, targets, and the ledger's lock."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from listener.changes import Key
from listener.indexing.id_sources import Task
from listener.indexing.parking import Parking
from listener.indexing.queue import Job, Pending
from listener.search.bulk import Document
from listener.search.sink import Target

Jobs = tuple[Job, ...]

_LEAST_ROOM: Final = 1000
_PLENTY: Final = 500
_WITNESSES: Final = 8


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the pipeline, from the configuration."""

    documents: int
    bytes: int
    pending: int
    parked: int


@dataclass(slots=True)
class Targets:
    """Write aliases of one document: the index in use, and the one that is being loaded."""

    current: Target | None = None
    loading: Target | None = None

    def all(self) -> tuple[Target, ...]:
        """Both, where there are two."""
        return tuple(one for one in (self.current, self.loading) if one is not None)


@dataclass(frozen=True, slots=True)
class Trial:
    """What makes a batch a trial: is it the suspects' own fault that they were refused?

    `witness`: another document that is known to be good. None: there is none, and `sole` says
    whether that is for want of any other document that could be one.
    """

    witness: Key | None
    sole: bool = False


@dataclass(slots=True)
class Batch:
    """Ids on their way; `items` maps each to the jobs that wait for it.

    `live`: it goes to the index in use, so that somebody may be searching for it.
    """

    document: int
    items: dict[Key, Jobs]
    targets: tuple[Target, ...]
    version: int
    live: bool
    read_at: float = field(default_factory=time.monotonic)
    documents: Sequence[Document] = ()
    refresh: bool = False
    trial: Trial | None = None


class Shared:
    """All under `lock`, which is also what the pipeline's threads wait on."""

    def __init__(self, documents: int, limits: Limits) -> None:
        self.lock = threading.Condition()
        self.limits = limits
        self.targets = [Targets() for _ in range(documents)]
        self.pending = Pending(documents, limits.pending)
        self.flying: list[set[Key]] = [set() for _ in range(documents)]
        self.tasks: deque[Task] = deque()
        self.mapping: set[tuple[int, str]] = set()
        self.parking = Parking(limits.parked)
        self.suspects: list[dict[Key, None]] = [{} for _ in range(documents)]
        """Ids that were refused and wait for their trial; they stand in `pending`, too."""
        self.good: list[dict[Key, None]] = [{} for _ in range(documents)]
        """The last few ids that were taken as documents: witnesses."""
        self.no_witness: list[set[Key]] = [set() for _ in range(documents)]
        """Ids that were tried as witnesses and were of no use, since the last that was."""
        self.requests = 0
        self.reading = False
        self.paused = 1
        self.stopping = False
        self.room = limits.bytes
        """Bytes of the next bulk: less than the limit after a server had no room, or no answer."""
        self.lost = False
        """Whether a request of the generation in force had no answer: nothing may be written until
        the next one is raised, or it might arrive after all, when what replaced it is forgotten."""
        self.above = 0
        """The highest generation that was seen in the version of a document."""
        self.crashed: str | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing is being read or in flight."""
        return self.requests == 0 and not self.reading

    @property
    def plenty(self) -> bool:
        """Whether enough waits for a bulk that is worth to be read ahead of its turn."""
        return bool(self.tasks) or len(self.pending) >= _PLENTY

    @property
    def over(self) -> bool:
        """Whether nothing more will be done."""
        return self.stopping or self.crashed is not None

    def narrow(self, size: int) -> None:
        """A bulk of this size found no room or no answer: the next ones are half as large.

        A server may have less room for one request than we send: without this it would refuse the
        same bulk for ever.
        """
        if size:
            self.room = max(min(self.room, size // 2), _LEAST_ROOM)

    def widen(self) -> None:
        """A bulk was taken: the next ones may be larger again."""
        self.room = min(self.room * 2, self.limits.bytes)

    def finish(self, document: int, key: Key, jobs: Jobs) -> None:
        """A document is in Elasticsearch, or parked."""
        self.flying[document].discard(key)
        self.suspects[document].pop(key, None)
        for job in jobs:
            job.done()

    def finish_all(self, document: int, items: Mapping[Key, Jobs]) -> None:
        """All of these are."""
        self.flying[document].difference_update(items)
        if self.suspects[document]:
            for key in items:
                self.suspects[document].pop(key, None)
        for jobs, parts in Counter(items.values()).items():
            for job in jobs:
                job.done(parts)

    def is_good(self, document: int, key: Key) -> None:
        """It was taken just now: the next one that is refused may be tried beside it."""
        good = self.good[document]
        good.pop(key, None)
        good[key] = None
        if len(good) > _WITNESSES:
            del good[next(iter(good))]

    def give_back(self, document: int, key: Key, jobs: Jobs) -> None:
        """It is not: it will be read again, under a newer version."""
        self.flying[document].discard(key)
        self.pending.ids[document].add(key, jobs)
