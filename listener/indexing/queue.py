"""Pending work: a bounded set of changed keys and ids, and the jobs that they are part of.

No I/O and no locks: the ledger calls it under its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from listener.changes import Key, Route


class Job:
    """Counts the parts of something that is finished when all of them are in Elasticsearch.

    A sealed job gets no more parts; when its last part is done it is done in its parents.
    """

    __slots__ = ("_open", "_over", "_parents", "_sealed", "dropped", "epoch")

    def __init__(self, parents: Iterable[tuple[Job, int]] = (), *, epoch: bool = False) -> None:
        self.epoch = epoch
        """Whether it stands for what notifications asked for between two marks."""
        self.dropped = False
        """Whether parts of it were not done, but forgotten: their kind was closed, or is held."""
        self._open = 0
        self._over = self._sealed = False
        self._parents = tuple(parents)

    @property
    def finished(self) -> bool:
        """Whether it is sealed and nothing of it is open; or it was dropped as a whole."""
        return self._over or (self._sealed and self._open == 0)

    @property
    def open(self) -> int:
        """How many parts are open."""
        return self._open

    def add(self, parts: int = 1) -> None:
        """More parts."""
        self._open += parts

    def done(self, parts: int = 1) -> None:
        """Parts that are in Elasticsearch, or parked."""
        self._open -= parts
        self._settle()

    def drop(self, parts: int = 1) -> None:
        """Parts that nothing is done for any more."""
        self.dropped = True
        self.done(parts)

    def drop_all(self) -> None:
        """Nothing is done for what is left of it; nor is any part of it waited for that is under
        way."""
        self.dropped = self._over = True
        self._settle()

    def seal(self) -> None:
        """No more parts will come."""
        if not self._sealed:
            self._sealed = True
            self._settle()

    def _settle(self) -> None:
        if self.finished:
            for parent, parts in self._parents:
                parent.done(parts)
            self._parents = ()


Jobs = tuple[Job, ...]


def joined(seen: Jobs, jobs: Jobs) -> Jobs:
    """All jobs that an id is a part of; a job that it is a part of already is not counted twice."""
    if not seen:
        return jobs
    new = []
    for job in jobs:
        if job in seen:
            job.done()
        else:
            new.append(job)
    return (*seen, *new)


def _noted(jobs: Jobs) -> bool:
    return any(job.epoch for job in jobs)


class Ids:
    """What waits of one document kind: ids, and keys that its mapping files turn into ids."""

    def __init__(self) -> None:
        self.waiting: dict[Key, Jobs] = {}
        """By id, the jobs it is a part of."""
        self.mapped: dict[str, dict[Key, Job]] = {}
        """By watch, the keys that are to be looked up, each with its epoch."""
        self._noted = 0
        """How many of the ids notifications asked for."""
        self.held = False
        """Whether nothing waits for what is here: it is only there to be tried."""

    def __len__(self) -> int:
        return len(self.waiting) + self._keys

    @property
    def _keys(self) -> int:
        return sum(map(len, self.mapped.values()))

    @property
    def noted(self) -> int:
        """How many ids and keys are there because notifications asked for them; none while it is
        held: they are bounded apart."""
        return 0 if self.held else self._noted + self._keys

    def note(self, keys: Iterable[Key], epoch: Job, most: int) -> None:
        """Notifications name these ids. While it is held they have their try, too, up to `most` of
        all that is here; but nothing waits for them."""
        if self.held:
            for key in keys:
                if len(self) < most:
                    self.waiting.setdefault(key, ())
            return
        jobs = (epoch,)  # one for all: they may be many
        for key in keys:
            # a mark waits for all epochs before it: an id that has an older one needs no second
            if not _noted(self.waiting.get(key, ())):
                self.add(key, jobs)
                epoch.add()

    def note_mapped(self, watch: str, keys: Iterable[Key], epoch: Job, most: int) -> None:
        """Notifications name these keys of a mapped watch; `most`: as of `note`."""
        waiting = self.mapped.setdefault(watch, {})
        for key in keys:
            if key in waiting:
                continue
            if not self.held:
                waiting[key] = epoch
                epoch.add()
            elif len(self) < most:
                waiting[key] = Job()

    def add(self, key: Key, jobs: Jobs) -> None:
        """Add an id; jobs it is already a part of are not counted twice."""
        seen = self.waiting.get(key, ())
        self.waiting[key] = now = joined(seen, jobs)
        self._noted += _noted(now) - _noted(seen)

    def pop(self, key: Key) -> Jobs:
        """Take one id out; the jobs that wait for it, none where it is not there."""
        jobs = self.waiting.pop(key, ())
        self._noted -= _noted(jobs)
        return jobs

    def take(self, most: int, flying: set[Key]) -> dict[Key, Jobs]:
        """Take up to `most` ids that are in no unanswered request, oldest first."""
        chosen: list[Key] = []
        for key in self.waiting:
            if len(chosen) >= most:
                break
            if key not in flying:
                chosen.append(key)
        return {key: self.pop(key) for key in chosen}

    def take_mapped(self, watch: str, most: int) -> dict[Key, Job]:
        """Take up to `most` keys of a mapped watch, oldest first."""
        waiting = self.mapped[watch]
        return {key: waiting.pop(key) for key in list(waiting)[:most]}

    def release(self) -> None:
        """What waits here stays; but nothing waits for it any more, until `held` is taken back."""
        self.held = True
        for key in list(self.waiting):
            for job in self.pop(key):
                job.drop()
            self.waiting[key] = ()
        for waiting in self.mapped.values():
            for key, epoch in waiting.items():
                epoch.done()
                waiting[key] = Job()

    def drop_noted(self) -> None:
        """Forget what only notifications asked for. What a sweep or a load waits for stays, and
        what is tried again."""
        if self.held:
            return
        kept: dict[Key, Jobs] = {}
        for key, jobs in self.waiting.items():
            others = tuple(job for job in jobs if not job.epoch)
            for job in jobs:
                if job.epoch:
                    job.done()
            if others:
                kept[key] = others
        self.waiting = kept
        self._noted = 0
        self.forget_mapped()

    def forget_mapped(self) -> None:
        """Forget the keys that are to be looked up."""
        for waiting in self.mapped.values():
            for epoch in waiting.values():
                epoch.done()
            waiting.clear()


_TIDY: Final = 1000
"""Epochs from which on those that are done are looked for."""


class Pending:
    """All that waits to be read. Document kinds go by their numbers."""

    def __init__(self, kinds: int, limit: int) -> None:
        """`kinds`: how many document kinds there are. `limit` bounds what notifications may add."""
        self.ids = [Ids() for _ in range(kinds)]
        self._limit = limit
        self._epochs: deque[tuple[int, Job]] = deque([(0, Job(epoch=True))])
        """What was added between two marks, by number, the oldest first."""
        self._tidy_at = _TIDY
        self.overflows = 0

    def __len__(self) -> int:
        return sum(map(len, self.ids))

    def add(self, watch: str, keys: Iterable[Key], routes: Iterable[Route]) -> bool:
        """Add changed keys. False where the limit was passed: all of it was dropped, sweep."""
        epoch = self._epochs[-1][1]
        keys = tuple(keys)
        for route in routes:
            if route.mapped:
                self.ids[route.kind].note_mapped(watch, keys, epoch, self._limit)
            else:
                self.ids[route.kind].note(keys, epoch, self._limit)
        if sum(one.noted for one in self.ids) <= self._limit:
            return True
        for one in self.ids:
            one.drop_noted()
        self.overflows += 1
        return False

    def mark(self) -> int:
        """A number for all that has been added so far; ask `settled` about it.

        A heartbeat marks, for days while Elasticsearch is away. So there is no new epoch where
        nothing of the last one is open, and those that are done go: what is left has something
        open each, of which there is no more than the limit and what is under way.
        """
        number, last = self._epochs[-1]
        if last.open == 0:
            return number - 1
        if len(self._epochs) >= self._tidy_at:
            self._epochs = deque(one for one in self._epochs if one[1].open)
            self._tidy_at = max(_TIDY, 2 * len(self._epochs))
        self._epochs.append((number + 1, Job(epoch=True)))
        return number

    def settled(self, mark: int) -> bool:
        """Whether all that was added before `mark()` gave this number is in Elasticsearch.

        Parked counts; so does what an overflow dropped: compare `overflows` before and after.
        """
        while len(self._epochs) > 1 and self._epochs[0][1].open == 0:
            self._epochs.popleft()
        return self._epochs[0][0] > mark
