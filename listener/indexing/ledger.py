"""The ledger: which ids wait, which are in flight, and who waits for them.

All threads of indexing share it. Each method takes the lock itself, and nothing outside of this
module names it; the threads wait on it, too. Properties that give one number or flag do without:
the value may be older by a moment, but for `look` of a Chooser, which runs with the lock
held. Ids go from a batch to Elasticsearch and come back here: done, to be read again, or parked.

It is longer than other modules for that one lock: what is decided under it without waiting stands
in `queue`, `work`, `parking` and `settlement`, which know of no lock.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from listener.changes import Key, Route
from listener.documents.source import DocumentSource
from listener.indexing.batch import Batch, Limits, Settled
from listener.indexing.batch_size import BatchSize
from listener.indexing.gate import Gate
from listener.indexing.id_sources import MappedTask, Task
from listener.indexing.parking import Parking, ToPark
from listener.indexing.queue import Job, Jobs, Pending
from listener.indexing.settlement import Settlement
from listener.indexing.work import Candidates, Work
from listener.search.sink import Sent
from listener.search.verdicts import Outcome
from listener.search.write_aliases import Role, Target

_PLENTY: Final = 500
"""So many waiting ids make a bulk that is worth reading ahead of its turn."""


class Lane(NamedTuple):
    """What one batch is for: one document kind. `trial`: its ids that were refused, which take
    turns with the others.
    """

    kind: int
    trial: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can be done now: look again after so many seconds, or when something changes."""

    seconds: float | None


@dataclass(frozen=True, slots=True)
class LoadCounts:
    """What a load has done since `begin_load`: documents that its pages wrote, and documents that
    its index does not take, beyond those that are parked. `parked`: of the kind, now.
    """

    written: int
    untaken: int
    parked: int


class Chooser(Protocol):
    """Decides what is read next."""

    def look(self) -> Lane | Wait:
        """The lane that is to be read now, or how long to wait. The ledger is locked meanwhile."""


class Ledger:
    """Thread-safe. Starts paused. Only the pipeline's worker may call what makes a batch."""

    def __init__(
        self, sources: Sequence[DocumentSource], gate: Gate, size: BatchSize, limits: Limits
    ) -> None:
        """`sources`: one for each document kind, in the order of `gate.targets`."""
        self.limits = limits
        self._gate = gate
        self._size = size
        self._lock = threading.Condition()
        self._pending = Pending(len(sources), limits.pending)
        self._tasks: deque[Task] = deque()
        self._after_news = [False] * len(sources)
        """By kind, whether the last task that had its turn was news."""
        self._parking = Parking(limits.parked)
        parts = zip(sources, self._pending.ids, strict=True)
        self._works = [
            Work(kind, source.types, ids, self._parking) for kind, (source, ids) in enumerate(parts)
        ]
        self._settlement = Settlement(self._works, self._parking, gate)
        self._requests = [0] * len(sources)
        """In flight, by kind."""
        self._interruptions = [0] * len(sources)
        """By kind, how often it was held or released."""
        self._reading = False
        self._paused = 1
        self._stopping = False
        self._crashed: str | None = None

    # -- what is asked for -----------------------------------------------------------------------

    def add(self, watch: str, keys: Sequence[Key], routes: Iterable[Route]) -> bool:
        """Changed keys; what leads to a kind that is closed is left out. What leads to one that is
        held is tried in its turn: where documents are refused, the others still get through. False
        where the limit was passed: all that waits was dropped, sweep."""
        with self._lock:
            opened = [route for route in routes if self._gate.targets[route.kind] is not None]
            kept = self._pending.add(watch, keys, opened)
            self._lock.notify_all()
        return kept

    def put(self, task: Task) -> None:
        """A page of ids, or of keys that lead to ids: goes around what notifications bring. Its job
        is dropped at once where the kind is closed or held."""
        with self._lock:
            if self._gate.targets[task.kind] is None or self._works[task.kind].held:
                task.job.drop_all()
            else:
                self._tasks.append(task)
            self._lock.notify_all()

    def mark(self) -> int:
        """A number for all that `add` has brought so far; see `wait_settled`."""
        with self._lock:
            return self._pending.mark()

    def wait(self, job: Job, seconds: float | None = None) -> bool:
        """Wait until the job is finished; False at timeout, or when nothing more will be done."""
        with self._lock:
            self._lock.wait_for(lambda: job.finished or self.over, seconds)
            return job.finished

    def wait_settled(self, mark: int, seconds: float | None = None) -> bool:
        """Wait until all before the mark is in Elasticsearch; False as of `wait`."""
        with self._lock:
            self._lock.wait_for(lambda: self._pending.settled(mark) or self.over, seconds)
            return self._pending.settled(mark)

    def wait_noted(self, seconds: float | None = None) -> bool:
        """Wait until the table of parked documents is up to date; False as of `wait`."""
        with self._lock:
            self._lock.wait_for(lambda: self._parking.noted or self.over, seconds)
            return self._parking.noted

    @property
    def overflows(self) -> int:
        """How often what waits was dropped."""
        return self._pending.overflows

    @property
    def busy(self) -> bool:
        """Whether anything waits to be read, but for what is held."""
        with self._lock:
            if self.whole:
                return bool(self._tasks or len(self._pending))
            return any(self._waits(kind) for kind, work in enumerate(self._works) if not work.held)

    def _waits(self, kind: int) -> bool:
        return bool(self._works[kind].ids) or any(task.kind == kind for task in self._tasks)

    # -- pause, stop -----------------------------------------------------------------------------

    @property
    def over(self) -> bool:
        """Whether nothing more will be done."""
        return self._stopping or self._crashed is not None

    @property
    def crashed(self) -> str | None:
        """The defect that ended a thread, if any."""
        return self._crashed

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Nothing is read or in flight inside: for a new generation or a swap of aliases."""
        with self._lock:
            self._paused += 1
            self._lock.notify_all()
            self._lock.wait_for(lambda: self._idle or self.over)
        try:
            yield
        finally:
            self.resume()

    def pause(self) -> None:
        """Take no new batches until `resume`."""
        with self._lock:
            self._paused += 1

    def resume(self) -> None:
        """Undo one pause; the ledger starts with one."""
        with self._lock:
            self._paused -= 1
            self._lock.notify_all()

    def stop(self) -> None:
        """Take no new batches any more; what is in flight is settled."""
        with self._lock:
            self._stopping = True
            self._lock.notify_all()

    def crash(self, error: BaseException) -> None:
        """A thread has ended by a defect."""
        with self._lock:
            self._crashed = f"{type(error).__name__}: {error}"
            self._lock.notify_all()

    def wake(self) -> None:
        """Let the threads that wait look again."""
        with self._lock:
            self._lock.notify_all()

    @property
    def _idle(self) -> bool:
        return not (any(self._requests) or self._reading)

    # -- which kinds are open ----------------------------------------------------------------------

    def aim(self, targets: Mapping[int, Target]) -> list[int]:
        """The kinds of these numbers write there from now on; the others are closed. Of a kind that
        is closed, or has another index than before, all that waits is dropped: a sweep or a load
        begins after this. Returns which these are. Call it while the ledger is quiet."""
        closed: list[int] = []
        with self._lock:
            for kind, before in enumerate(self._gate.targets):
                now = targets.get(kind)
                if before is not None and (now is None or now.index != before.index):
                    self._close(kind)
                    closed.append(kind)
                moved = before is None or now is None or now.role is not before.role
                self._parking.moved |= now is not before and moved
                self._gate.targets[kind] = now
            self._lock.notify_all()
        return closed

    def _close(self, kind: int) -> None:
        mine = [task for task in self._tasks if task.kind == kind]
        self._tasks = deque(task for task in self._tasks if task.kind != kind)
        if self._works[kind].held:
            self._interruptions[kind] += 1
        self._works[kind].forget()
        self._parking.forget(kind)
        for task in mine:
            task.job.drop_all()

    def hold(self, kind: int) -> None:
        """The query of this kind fails, or its index does not take what is sent, and no other kind
        is concerned. So nothing may wait for it until `release`: what waits is released, pages are
        left out, and what notifications bring is only tried. The watermark does not move."""
        with self._lock:
            work = self._works[kind]
            if work.held or self._gate.targets[kind] is None:
                return
            self._interruptions[kind] += 1
            work.ids.release()
            mine = [task for task in self._tasks if task.kind == kind]
            for task in mine:
                task.job.drop_all()
                if isinstance(task, MappedTask):  # it may be what fails: it is tried again
                    task.job = Job()
                else:
                    self._tasks.remove(task)
            self._lock.notify_all()

    def release(self, kind: int) -> None:
        """It works again. What was left out counts as dropped: a sweep brings it."""
        with self._lock:
            work = self._works[kind]
            if work.held:
                work.ids.held = False
                self._interruptions[kind] += 1
                self._pending.overflows += 1
                self._lock.notify_all()

    def release_those_with_nothing_to_try(self) -> None:
        """What was there to be tried again has come to its end otherwise: a sweep brings more."""
        with self._lock:
            for kind, work in enumerate(self._works):
                if work.held and not (self._requests[kind] or self._waits(kind)):
                    self.release(kind)

    @property
    def whole(self) -> bool:
        """Whether no kind is held."""
        return not any(work.held for work in self._works)

    @property
    def interruptions(self) -> int:
        """Changes with each kind that is held or released."""
        return sum(self._interruptions)

    def interruptions_of(self, kind: int) -> int:
        """The same of one kind; odd while it is held."""
        return self._interruptions[kind]

    def wait_whole(self, seconds: float | None = None) -> bool:
        """Wait until no kind is held; False as of `wait`."""
        with self._lock:
            self._lock.wait_for(lambda: self.whole or self.over, seconds)
            return self.whole

    # -- the worker's turns ----------------------------------------------------------------------

    def wait_for_turn(self, chooser: Chooser) -> Lane | None:
        """Wait until a lane is to be read, and count it as being read until `end_turn`.

        None: the ledger is stopped, and nothing is in flight.
        """
        with self._lock:
            while not (self._stopping and self._idle):
                seconds = None
                if not (self._stopping or self._paused):
                    found = chooser.look()
                    if not isinstance(found, Wait):
                        self._reading = True
                        return found
                    seconds = found.seconds
                self._lock.wait(seconds)
        return None

    def end_turn(self) -> None:
        """What was read is on its way, or given back."""
        with self._lock:
            self._reading = False
            self._lock.notify_all()

    @property
    def requests(self) -> int:
        """How many requests are in flight."""
        return sum(self._requests)

    def requests_of(self, kind: int) -> int:
        """How many requests of this kind are in flight."""
        return self._requests[kind]

    @property
    def plenty(self) -> bool:
        """Whether enough waits for a bulk that is worth reading ahead of its turn. It counts what
        waits, so only `resting` and `look` of a Chooser ask, with the lock held."""
        return bool(self._tasks) or len(self._pending) >= _PLENTY

    @property
    def noted(self) -> bool:
        """Whether the table of parked documents is up to date."""
        return self._parking.noted

    def ready(self, lane: Lane) -> bool:
        """Whether there is something to read for this lane, or a suspect to try."""
        with self._lock:
            work = self._works[lane.kind]
            if self._gate.targets[lane.kind] is None:
                return False  # its index is not there yet
            if lane.trial:
                return work.suspect_ready
            return self.has_tasks(lane) or work.some_ready

    # -- a batch: ids, in the order in which they are taken ---------------------------------------

    def begin_mappings(self, kind: int, source: DocumentSource) -> None:
        """Changed keys of mapped watches become tasks, one a watch at a time. `source`: of this
        document kind."""
        with self._lock:
            for watch, taken in self._works[kind].begin_mappings():
                job = Job([(epoch, 1) for epoch in taken.values()])
                task = MappedTask(kind, source, watch, tuple(taken), job=job, live=True)
                self._tasks.appendleft(task)  # news: before pages, but for their turn

    def has_tasks(self, lane: Lane) -> bool:
        """Whether pages wait for this lane."""
        with self._lock:
            return any(self._belongs(task, lane) for task in self._tasks)

    def take(self, kind: int, items: dict[Key, Jobs], most: int) -> None:
        """Add ids that wait to a batch, up to so many in all; they are in flight from here on."""
        with self._lock:
            items.update(self._works[kind].take(most - len(items)))

    def join(self, kind: int, items: dict[Key, Jobs]) -> None:
        """All jobs that wait for these ids are served by this batch: its read comes later."""
        with self._lock:
            self._works[kind].join(items)

    def next_task(self, lane: Lane) -> Task | None:
        """The next task of this lane. Those that may be long take turns, and move to the end; a
        page is brought to its end first: the pages are waited for in their order. After news it is
        the turn of a page: changes that never pause would keep sweeps and loads from their end.
        """
        with self._lock:
            mine = [task for task in self._tasks if self._belongs(task, lane)]
            pages = [task for task in mine if not task.live]
            if not mine:
                return None
            task = pages[0] if pages and self._after_news[lane.kind] else mine[0]
            self._after_news[lane.kind] = task.live
            if isinstance(task, MappedTask):
                self._tasks.remove(task)
                self._tasks.append(task)
            return task

    def add_page(
        self, task: Task, page: Sequence[Key], items: dict[Key, Jobs], *, more: bool
    ) -> None:
        """Add a task's page to a batch; ids in flight wait for the next one. `more`: as of Task."""
        with self._lock:
            work = self._works[task.kind]
            if isinstance(task, MappedTask):
                task.job.add(len(page))
            work.add_page(page, task.job, items)
            if not more:
                self._tasks.remove(task)
                task.job.seal()
                if isinstance(task, MappedTask) and task.live:
                    work.mapping.discard(task.watch)
                self._lock.notify_all()

    def dropped(self) -> None:
        """Keys that notifications brought lead nowhere: they count as dropped."""
        with self._lock:
            self._pending.overflows += 1

    def give_back(self, kind: int, items: Mapping[Key, Jobs]) -> None:
        """These were not sent: they will be read again, under a newer version."""
        with self._lock:
            for key, jobs in items.items():
                self._works[kind].give_back(key, jobs)
            self._lock.notify_all()

    def _belongs(self, task: Task, lane: Lane) -> bool:
        return task.kind == lane.kind and not lane.trial

    # -- a trial: suspects and a witness ----------------------------------------------------------

    def take_suspects(self, kind: int, items: dict[Key, Jobs]) -> None:
        """One suspect; or many that are parked already, each of which was proven alone before."""
        with self._lock:
            self._works[kind].take_suspects(items)

    def take_witness(
        self, kind: int, items: dict[Key, Jobs], *, parked: bool = False
    ) -> Key | None:
        """Add the last document that was good. `parked`: also one that was parked before that."""
        with self._lock:
            work = self._works[kind]
            key = work.witness(parked=parked)
            if key is not None:
                items[key] = work.take_one(key)
        return key

    def may_find_witness(self, kind: int, awaited: Collection[Key]) -> bool:
        """Whether to look for a witness again may find one. `awaited`: all that might be one when
        none was found. While it is in flight, there is nothing else to find."""
        with self._lock:
            work = self._works[kind]
            return not (awaited and work.flying.issuperset(awaited)) or work.witness() is not None

    def candidates(self, kind: int, keys: Sequence[Key]) -> Candidates:
        """Which of these ids, that the database has, may be witnesses."""
        with self._lock:
            return self._works[kind].candidates(keys)

    def is_good(self, kind: int, key: Key) -> None:
        """This document may be a witness."""
        with self._lock:
            self._works[kind].is_good(key)

    def all_were_tried(self, kind: int) -> None:
        """Every possible witness was tried in vain: they may be tried anew, the next time."""
        with self._lock:
            self._works[kind].useless.clear()

    # -- requests ----------------------------------------------------------------------------------

    def readable(self, kind: int) -> None:
        """The query made a document: as of Parking."""
        with self._lock:
            self._parking.readable(kind)

    def unreadable(self, one: ToPark) -> bool:
        """The query could not make a document: it is parked. False where so many fail that it
        cannot be their fault; then it will be read again."""
        with self._lock:
            if self._parking.braked(one, unread=True):
                self._works[one.kind].give_back(one.key, one.jobs)
                return False
            self._parking.put_aside(one)
            return True

    def nothing_to_write(self, batch: Batch, key: Key, doc_id: str) -> None:
        """No index can have this id, and the database has it no longer: it is done."""
        with self._lock:
            self._parking.accepted(batch.kind, doc_id)
            self._works[batch.kind].finish(key, batch.items[key])

    def sent(self, kind: int) -> None:
        """One more request of this kind is in flight."""
        with self._lock:
            self._requests[kind] += 1

    def answered(self, batch: Batch, sent: Sent) -> Settled:
        """Settle each document of a request, and count it as in flight no more."""
        with self._lock:
            if sent.taken:
                settled = self._settlement.all_done(batch)
            else:
                settled = self._settlement.each(batch, sent.verdicts)
            if settled.worst is None:
                self._size.taken()
            elif settled.worst.outcome is Outcome.RETRY:
                self._size.refused(sent.bytes)
            settled.whole = sent.whole
            if sent.lost:
                self._gate.lose()
            self._requests[batch.kind] -= 1
            settled.last = not (self._requests[batch.kind] or self._waits(batch.kind))
            self._lock.notify_all()
        return settled

    def lost(self, kind: int, error: BaseException) -> None:
        """A request of this kind ended by a defect of ours, and so does the pipeline."""
        with self._lock:
            self._requests[kind] -= 1
            self.crash(error)

    @property
    def resting(self) -> bool:
        """Whether a storm is over: nothing is in flight, and not much waits."""
        with self._lock:
            return self._idle and not self.plenty

    def begin_load(self, kind: int) -> None:
        """A load of this kind begins, or goes on: count anew."""
        with self._lock:
            self._works[kind].loaded = 0
            self._parking.untaken.pop(kind, None)

    def load_counts(self, kind: int) -> LoadCounts:
        """What the load of this kind has done."""
        with self._lock:
            parking = self._parking
            parked = {one for number, one in parking.known - parking.to_clear if number == kind}
            parked.update(one.id for one in parking.to_park if one.kind == kind)
            return LoadCounts(self._works[kind].loaded, parking.untaken[kind].count, len(parked))

    # -- parked documents, as (kind, id) -----------------------------------------------------------

    @property
    def parked(self) -> int:
        """How many documents are parked, but for those of former indexes, which nobody searches."""
        with self._lock:
            former = {
                kind
                for kind, target in enumerate(self._gate.targets)
                if target is not None and target.role is Role.KEPT
            }
            return sum(kind not in former for kind, _ in self._parking.known)

    def parked_ids(self, kind: int) -> list[str]:
        """The ids that are parked of one kind."""
        with self._lock:
            return [one for number, one in self._parking.known if number == kind]

    def unproven_ids(self) -> dict[int, list[str]]:
        """By kind, the ids that were parked without a proof."""
        found: dict[int, list[str]] = {}
        with self._lock:
            for number, doc_id in self._parking.unproven:
                found.setdefault(number, []).append(doc_id)
        return found

    def know_parked(self, reasons: Mapping[tuple[int, str], str]) -> None:
        """What the table of parked documents has, with the reasons."""
        with self._lock:
            self._parking.learn(reasons)

    def parking_to_write(self) -> tuple[list[ToPark], set[tuple[int, str]]]:
        """What the table does not know yet: to be parked, and to be parked no longer."""
        with self._lock:
            return self._parking.to_park[:], self._parking.to_clear.copy()

    def parking_moved(self) -> bool:
        """Whether indexes have changed their roles since `parking_in_place`."""
        return self._parking.moved

    def parking_in_place(self) -> None:
        """The table knows the roles of all indexes now."""
        with self._lock:
            self._parking.moved = False
            self._lock.notify_all()

    def is_unproven(self, kind: int, doc_id: str) -> bool:
        """Whether this document was parked without a proof."""
        with self._lock:
            return (kind, doc_id) in self._parking.unproven

    def parking_written(
        self, parked: Sequence[ToPark], cleared: Collection[tuple[int, str]]
    ) -> None:
        """The table has it now: the documents that were to be parked are done."""
        with self._lock:
            for one in parked:
                self._parking.written(one)
                self._works[one.kind].finish(one.key, one.jobs)
            self._parking.cleared(cleared)
            self._lock.notify_all()
