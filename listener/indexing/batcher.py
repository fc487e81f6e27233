"""Gathering: which document is served next, and which of its ids make the next batch.

All that waits for a document goes into one batch, as far as there is room: ids that changed, ids
behind changed keys of mapped watches, pages of sweeps and of loads. So an id that changes without
a pause serves everybody who waits for it, and many small changes make few requests.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple

from listener.changes import Key
from listener.documents.source import DocumentSource
from listener.indexing.id_sources import MappedTask, Task
from listener.indexing.ledger import Batch, Jobs, Shared, Trial
from listener.indexing.queue import Job, joined
from listener.postgres import Connection
from listener.search.sink import Versions

MAPPED_KEYS: Final = 1000
"""Keys of a mapped watch that are looked up at once."""
_FIRST: Final = 500
"""Documents of the first batch after a rest; each further one may have twice as many: the first
large one would be read while Elasticsearch has nothing to do."""
_PATIENCE: Final = 0.01
"""Seconds in which a batch gathers further pages: the ids it has already should not wait long."""


_KNOWN_AT_ONCE: Final = 50
"""Suspects of one trial that are parked already: they were proven alone before."""
_SAMPLE: Final = 200
_SAMPLES: Final = 5
"""Pages of ids, and how many of them, among which a witness is looked for."""


class Lane(NamedTuple):
    """A document and an index to fill: where it has one in use, a load's pages go apart.

    `trial`: for ids that were refused; they take turns with the others.
    """

    document: int
    load_only: bool
    trial: bool = False


class Gatherer:
    """Makes batches for the pipeline's worker, which is the only thread that calls it."""

    def __init__(
        self,
        shared: Shared,
        sources: Sequence[DocumentSource],
        versions: Versions,
        on_unmapped: Callable[[int, str, str], None],
    ) -> None:
        """`on_unmapped` is told document, watch and reason where a mapping file failed on keys
        that a sweep has brought: which documents they lead to is not known.
        """
        self._shared = shared
        self._sources = sources
        self._versions = versions
        self._on_unmapped = on_unmapped
        self._lanes = [
            lane
            for number in range(len(sources))
            for lane in (Lane(number, False), Lane(number, True), Lane(number, False, True))
        ]
        self._turn = 0
        self._means = [2000.0 for _ in sources]
        self._awaited: list[set[Key]] = [set() for _ in sources]
        """Ids that were on their way when no other witness was found."""
        self._looked: dict[int, tuple[Key | None, bool]] = {}
        """By document, up to which id a witness was looked for, and whether there may be one."""
        self._step = _FIRST

    def measured(self, document: int, mean: float) -> None:
        """The mean size of documents just read, in bytes."""
        # rises at once, falls slowly: a page of large documents must not follow a large one
        old = self._means[document]
        self._means[document] = max(mean, 0.9 * old + 0.1 * mean)

    def choose(self) -> Lane | None:
        """Whose turn it is, with the lock held; None where nothing can be done now."""
        for step in range(1, len(self._lanes) + 1):
            turn = (self._turn + step) % len(self._lanes)
            if self._ready(self._lanes[turn]):
                self._turn = turn
                return self._lanes[turn]
        if not self._shared.requests:
            self._step = _FIRST
        return None

    def _ready(self, lane: Lane) -> bool:
        shared, document = self._shared, lane.document
        if not shared.targets[document].all():
            return False  # its index is not there yet
        flying, suspects = shared.flying[document], shared.suspects[document]
        waiting = shared.pending.ids[document].waiting
        if lane.trial:
            # while all that might be a witness flies, to look again finds nothing else
            awaited = self._awaited[document]
            return any(key in waiting and key not in flying for key in suspects) and (
                not awaited or not awaited <= flying or self._witness(document) is not None
            )
        if any(self._belongs(task, lane) for task in shared.tasks):
            return True
        if lane.load_only:
            return False
        return shared.pending.mapped_waits(document) or any(
            key not in flying and key not in suspects for key in waiting
        )

    def _belongs(self, task: Task, lane: Lane) -> bool:
        if lane.trial:
            return False
        apart = task.load_only and self._shared.targets[lane.document].current is not None
        return task.document == lane.document and apart == lane.load_only

    def _most(self, document: int) -> int:
        """How many documents fit a bulk, by their mean size so far."""
        room = int(self._shared.room / self._means[document])
        return max(1, min(self._shared.limits.documents, room, self._step))

    def gather(self, connection: Connection, lane: Lane) -> Batch | None:
        """Take ids and mark them as flying, then draw the version; None where all are flying.

        Runs mapping queries, without the lock. What they raise passes through: everything that was
        taken is given back first.
        """
        if lane.trial:
            return self._gather_trial(connection, lane)
        shared, document = self._shared, lane.document
        until = time.monotonic() + _PATIENCE
        items: dict[Key, Jobs] = {}
        try:
            with shared.lock:
                most = self._most(document)
                if not lane.load_only:
                    self._begin_mappings(document)
                    tasks = any(self._belongs(task, lane) for task in shared.tasks)
                    self._take(document, items, max(1, most // 2) if tasks else most)
            while len(items) < most:
                with shared.lock:
                    task = self._next_task(lane)
                if task is None:
                    break
                page, more = task.next_page(connection, most - len(items))
                self._look_at_failed(task)
                with shared.lock:
                    self._add_page(task, page, items, more=more)
                if time.monotonic() > until and items:
                    break
        except BaseException:
            with shared.lock:
                for key, jobs in items.items():
                    shared.give_back(document, key, jobs)
            raise
        with shared.lock:
            if not lane.load_only:
                self._take(document, items, most)
                self._take_again(document, items)
            if len(items) >= most:
                self._step = min(2 * self._step, self._shared.limits.documents)
            return self._begin(lane, items) if items else None

    def _gather_trial(self, connection: Connection, lane: Lane) -> Batch | None:
        """One suspect and a witness. A change of the suspect that came meanwhile is served, too."""
        shared, document = self._shared, lane.document
        items: dict[Key, Jobs] = {}
        self._awaited[document] = set()
        with shared.lock:
            self._take_suspects(document, items)
        if not items:
            return None
        try:
            witness = self._take_witness(document, items)
            others = "some"
            if witness is None:
                others = self._sample(connection, document)
                witness = self._take_witness(document, items)
            if witness is None and others == "some":
                # a load may be all that has taken it since: better than none
                witness = self._take_witness(document, items, parked=True)
        except BaseException:
            with shared.lock:
                for key, jobs in items.items():
                    shared.give_back(document, key, jobs)
            raise
        if witness is None and others == "on their way":
            with shared.lock:  # when they are answered they may be witnesses
                for key, jobs in items.items():
                    shared.give_back(document, key, jobs)
            return None
        if witness is not None:
            # written first: what ends while both are written must not look like the suspect's own
            items = {witness: items.pop(witness), **items}
        with shared.lock:
            batch = self._begin(lane, items)
        batch.trial = Trial(witness, sole=witness is None and others == "none")
        return batch

    def _take_suspects(self, document: int, items: dict[Key, Jobs]) -> None:
        shared = self._shared
        suspects, flying = shared.suspects[document], shared.flying[document]
        ids, id_of = shared.pending.ids[document], self._sources[document].id_of
        known = shared.parking.known
        for key in list(suspects):
            if key in flying:
                continue
            if key not in ids.waiting:  # dropped: a sweep will bring it
                del suspects[key]
                continue
            aside = (document, id_of(key)) in known
            if not items or aside:
                items[key] = ids.pop(key)
                flying.add(key)
            if not aside or len(items) >= _KNOWN_AT_ONCE:
                break

    def _take_witness(
        self, document: int, items: dict[Key, Jobs], *, parked: bool = False
    ) -> Key | None:
        shared = self._shared
        with shared.lock:
            key = self._witness(document, parked=parked)
            if key is not None:
                items[key] = shared.pending.ids[document].pop(key)
                shared.flying[document].add(key)
        return key

    def _witness(self, document: int, *, parked: bool = False) -> Key | None:
        """The last one that was good, if it is not on its way, suspected or (but for `parked`)
        parked itself. Call it with the lock held.
        """
        shared = self._shared
        flying, suspects = shared.flying[document], shared.suspects[document]
        for key in reversed(shared.good[document]):
            if key in flying or key in suspects:
                continue
            if parked or not self._is_parked(document, key):
                return key
        return None

    def _is_parked(self, document: int, key: Key) -> bool:
        """Whether it is, and was not taken since. Call it with the lock held."""
        parking, one = self._shared.parking, (document, self._sources[document].id_of(key))
        return one in parking.known and one not in parking.to_clear

    def _sample(
        self, connection: Connection, document: int
    ) -> Literal["some", "none", "on their way"]:
        """Look for a witness among the rows of the database: whether there is one, or might have
        been (suspects, parked ones, what was tried in vain or not looked at), or may be soon."""
        shared, source = self._shared, self._sources[document]
        after, others = self._looked.pop(document, (None, False))
        awaited: set[Key] = set()
        for _ in range(_SAMPLES):
            keys = source.id_page(connection, after, _SAMPLE)
            if not keys:
                break
            after = keys[-1]
            with shared.lock:
                suspects, useless = shared.suspects[document], shared.no_witness[document]
                flying = shared.flying[document]
                others = others or len(suspects) > 1 or bool(useless)
                awaited.update(key for key in keys if key in flying and key not in suspects)
                aside = {key for key in keys if self._is_parked(document, key)}
                others = others or not aside <= suspects.keys()
                apart = suspects.keys() | flying | useless | aside
            keys = [key for key in keys if key not in apart]
            found = source.existing(connection, keys) if keys else set()
            if found:
                with shared.lock:
                    shared.is_good(document, next(key for key in keys if key in found))
                return "some"
        else:
            self._looked[document] = after, others  # the next look goes on from here
            others = True
        self._awaited[document] = awaited
        if awaited:
            return "on their way"
        with shared.lock:
            shared.no_witness[document].clear()  # all were tried: anew, the next time
        return "some" if others else "none"

    def _take(self, document: int, items: dict[Key, Jobs], most: int) -> None:
        flying, suspects = self._shared.flying[document], self._shared.suspects[document]
        apart = flying | suspects.keys() if suspects else flying
        taken = self._shared.pending.ids[document].take(most - len(items), apart)
        items.update(taken)
        flying.update(taken)

    def _take_again(self, document: int, items: dict[Key, Jobs]) -> None:
        """Whoever waits for the same ids is served, too: the read comes later and sees it all."""
        ids = self._shared.pending.ids[document]
        for key in ids.waiting.keys() & items.keys():
            items[key] = joined(items[key], ids.pop(key))

    def _next_task(self, lane: Lane) -> Task | None:
        """The next task of this lane. Those that may be long take turns, and move to the end; a
        page is brought to its end first, for somebody waits for the pages in their order.
        """
        tasks = self._shared.tasks
        for task in tasks:
            if self._belongs(task, lane):
                if isinstance(task, MappedTask):
                    tasks.remove(task)
                    tasks.append(task)
                return task
        return None

    def _look_at_failed(self, task: Task) -> None:
        """Keys on which a mapping file failed were left out. Those that notifications brought,
        which anybody may send, are as good as dropped: a sweep brings the true ones. Those that a
        sweep brought are rows: only a comparison finds what they concern.
        """
        if not isinstance(task, MappedTask) or not task.failed:
            return
        reason = task.failed[0][1]
        task.failed.clear()
        if task.live:
            with self._shared.lock:
                self._shared.pending.overflows += 1
        else:
            self._on_unmapped(task.document, task.watch, reason)

    def _add_page(
        self, task: Task, page: Sequence[Key], items: dict[Key, Jobs], *, more: bool
    ) -> None:
        shared = self._shared
        ids, flying = shared.pending.ids[task.document], shared.flying[task.document]
        if isinstance(task, MappedTask):
            task.job.add(len(page))
        for key in page:
            if key in items:
                items[key] = joined(items[key], (task.job,))
            elif key in flying:  # it waits until its request is answered
                ids.add(key, (task.job,))
            else:
                items[key] = (task.job,)
                flying.add(key)
        if not more:
            shared.tasks.remove(task)
            task.job.seal()
            if isinstance(task, MappedTask) and task.live:
                shared.mapping.discard((task.document, task.watch))
            shared.lock.notify_all()

    def _begin_mappings(self, document: int) -> None:
        """Changed keys of mapped watches become tasks, one a watch at a time."""
        shared = self._shared
        for (number, watch), keys in shared.pending.mapped.items():
            if number == document and keys and (document, watch) not in shared.mapping:
                taken = shared.pending.take_mapped(document, watch, MAPPED_KEYS)
                shared.mapping.add((document, watch))
                job = Job([(epoch, 1) for epoch in taken.values()])
                source = self._sources[document]
                shared.tasks.appendleft(  # news: before the pages of sweeps and loads
                    MappedTask(document, source, watch, tuple(taken), job=job, live=True)
                )

    def _begin(self, lane: Lane, items: dict[Key, Jobs]) -> Batch:
        targets = self._shared.targets[lane.document]
        chosen = targets.all()
        if lane.load_only and targets.loading is not None:
            chosen = (targets.loading,)
        live = targets.current is not None and targets.current in chosen
        return Batch(lane.document, items, chosen, self._versions.draw(), live)
