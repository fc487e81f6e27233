"""The pipeline: pending changes -> ids -> documents -> bulk -> verdicts. Read this first.

One worker thread reads, a few sender threads wait for Elasticsearch, and the ledger keeps what
they share. The order of each batch is fixed: take the ids, which are in flight from then on, draw
the version, read, flush, send. An id is in at most one unanswered request; a change of it that
arrives meanwhile waits. Bytes are never sent twice: whatever was not answered goes back to the
ledger and is read again under a newer version.

While one bulk is in flight the next batch gathers, so batching needs no timer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager

from listener import ListenerError, postgres
from listener.changes import Key, Route
from listener.documents.source import DocumentSource
from listener.failures import Failure
from listener.indexing.id_sources import KeysTask, MappedTask
from listener.indexing.ledger import Ledger, LoadCounts
from listener.indexing.outage import Outages, Trouble
from listener.indexing.parked_sync import ParkedSync
from listener.indexing.queue import Job
from listener.indexing.refresher import Refresher
from listener.indexing.worker import Worker
from listener.observations import events
from listener.observations.events import Observe
from listener.runtime.throttle import Tally


class Interrupted(ListenerError):
    """Documents that were waited for are not brought for now: their kind is held or closed."""


class Pipeline:
    """Brings changed documents to Elasticsearch. For all threads; starts paused, see `resume`."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        routes: Mapping[str, Sequence[Route]],
        sources: Sequence[DocumentSource],
        parked: ParkedSync,
        worker: Worker,
        refresher: Refresher,
        outages: Outages,
        observe: Observe,
    ) -> None:
        """`routes`: by watch id, where its keys lead. `sources`: one for each document kind."""
        self._ledger = ledger
        self._routes = routes
        self._sources = sources
        self._parked = parked
        self._worker = worker
        self._refresher = refresher
        self._outages = outages
        self._observe = observe
        self._unproven: list[Job] = []
        self._overflowed = Tally()

    # -- life --------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the threads."""
        self._worker.start()

    def stop(self) -> None:
        """Finish what is in flight, then end the threads. Safe to call twice, or before start."""
        self._ledger.stop()
        self._worker.join()
        self._parked.told.tell(everything=True)

    def pause(self) -> None:
        """Take no new batches until `resume`."""
        self._ledger.pause()

    def resume(self) -> None:
        """Undo one pause; the pipeline starts with one."""
        self._ledger.resume()

    def quiet(self) -> AbstractContextManager[None]:
        """Nothing is read or in flight inside: as of Ledger."""
        return self._ledger.quiet()

    def renew(self) -> None:
        """A new session: read on a new connection, for the old one may be to another server, which
        was the primary before. Call it before the generation is raised.
        """
        with self._ledger.quiet():
            self._worker.renew()

    # -- what is asked for -------------------------------------------------------------------------

    def add(self, watch: str, keys: Sequence[Key]) -> bool:
        """Changed keys of a known watch. False where memory was full and a sweep must follow."""
        kept = self._ledger.add(watch, keys, self._routes[watch])
        if not kept:
            self._overflowed.add()
            if self._overflowed.due():
                limit = self._ledger.limits.pending
                self._observe(events.Overflowed(limit, self._overflowed.count))
        return kept

    def submit(self, watch: str, keys: Sequence[Key]) -> list[Job]:
        """A page of a sweep: goes around the pending set. Bound it by waiting for the jobs. What
        leads to a closed kind is left out."""
        return [
            self._submit_mapped(route.kind, watch, keys)
            if route.mapped
            else self.submit_ids(route.kind, keys)
            for route in self._routes[watch]
        ]

    def submit_ids(self, kind: int, keys: Sequence[Key]) -> Job:
        """A page of document ids."""
        job = Job()
        job.add(len(keys))
        job.seal()
        self._ledger.put(KeysTask(kind, keys, job))
        return job

    def _submit_mapped(self, kind: int, watch: str, keys: Sequence[Key]) -> Job:
        job = Job()
        self._ledger.put(MappedTask(kind, self._sources[kind], watch, tuple(keys), job=job))
        return job

    def begin_load(self, kind: int) -> None:
        """As of Ledger."""
        self._ledger.begin_load(kind)

    def load_counts(self, kind: int) -> LoadCounts:
        """As of Ledger."""
        return self._ledger.load_counts(kind)

    def refresh_soon(self) -> None:
        """Make what was indexed searchable as soon as the pace allows."""
        self._refresher.soon()

    # -- what is waited for ------------------------------------------------------------------------

    def wait(self, job: Job, seconds: float | None = None) -> bool:
        """Wait until the job is finished; False at timeout, or when the pipeline stops first."""
        return self._ledger.wait(job, seconds)

    def mark(self) -> int:
        """A number for all that `add` has brought so far; see `wait_settled`."""
        return self._ledger.mark()

    def wait_settled(self, mark: int, seconds: float | None = None) -> bool:
        """Wait until all before the mark is in Elasticsearch; False at stop or timeout."""
        self._parked.told.tell()
        return self._ledger.wait_settled(mark, seconds)

    @property
    def whole(self) -> bool:
        """Whether no document kind is held: each follows the database."""
        return self._ledger.whole

    @property
    def interruptions(self) -> int:
        """Changes with each kind that is held or released: what was asked for meanwhile may have
        been left out."""
        return self._ledger.interruptions

    def interruptions_of(self, kind: int) -> int:
        """The same of one kind; odd while it is held."""
        return self._ledger.interruptions_of(kind)

    def wait_whole(self, seconds: float | None = None) -> bool:
        """Wait until no kind is held; False at stop or timeout."""
        return self._ledger.wait_whole(seconds)

    def wait_noted(self, seconds: float | None = None) -> bool:
        """Wait until the table of parked documents is up to date; False at stop or timeout."""
        return self._ledger.wait_noted(seconds)

    # -- parked documents --------------------------------------------------------------------------

    @property
    def parked(self) -> int:
        """As of Ledger."""
        return self._ledger.parked

    def know_parked(self, connection: postgres.Connection, resumed: Collection[str]) -> None:
        """Read which documents are parked: also where nothing is to be indexed they count. Call it
        when the roles of indexes are known. `resumed`: indexes of loads that go on."""
        with self._ledger.quiet():
            self._parked.begin(connection, resumed)

    def parked_keys(self, kind: int) -> list[Key]:
        """The keys of what is parked of one document kind."""
        return self._parked.keys(kind)

    def retry(self, index: str, ids: Sequence[str]) -> list[Job]:
        """Try parked documents of this index again; none where no document kind has it."""
        kind = self._parked.kind(index)
        if kind is None or not ids:
            return []
        return [self.submit_ids(kind, self._parked.keys_of(kind, ids))]

    def retry_unproven(self) -> list[Job]:
        """Try those again that were parked without a proof, but for those that still wait."""
        if all(one.finished for one in self._unproven):
            self._unproven = [
                self.submit_ids(kind, keys) for kind, keys in self._parked.unproven().items()
            ]
        return self._unproven

    # -- how it is ---------------------------------------------------------------------------------

    @property
    def overflows(self) -> int:
        """How often the pending set was dropped."""
        return self._ledger.overflows

    @property
    def crashed(self) -> str | None:
        """The defect that ended a thread, if any."""
        return self._ledger.crashed

    @property
    def over(self) -> bool:
        """Whether nothing more will be done."""
        return self._ledger.over

    @property
    def trouble(self) -> Trouble | None:
        """The server that does not do what it should; None: both do."""
        return self._outages.trouble

    def trouble_of(self, kind: int) -> Trouble | None:
        """The server that does not do what it should for this kind alone; None: both do."""
        return self._outages.trouble_of(kind)

    @property
    def held(self) -> Failure | None:
        """The last failure, where a server is not to be waited for but a person must mend it."""
        return self._outages.held

    @property
    def braked(self) -> Failure | None:
        """The last failure, where so many documents are refused that a person must look."""
        return self._outages.braked
