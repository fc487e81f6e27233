"""The pipeline: pending changes -> ids -> documents -> bulk -> verdicts. Read this first.

One worker thread reads, a few sender threads wait for Elasticsearch, and one lock guards what
they share. The order of each batch is fixed: take the ids, mark them as flying, draw the version,
read, flush, send. An id is in at most one unanswered request; a change of it that arrives
meanwhile waits. Bytes are never sent twice: whatever was not answered goes back to the pending set
and is read again under a newer version.

While one bulk is in flight the next batch gathers, so batching needs no timer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import psycopg

from listener import postgres, search
from listener.changes import Key, Route, sendable
from listener.documents.source import DocumentSource, Faulty
from listener.indexing.batcher import Gatherer, Lane
from listener.indexing.id_sources import KeysTask, MappedTask
from listener.indexing.ledger import Batch, Limits, Shared, Targets
from listener.indexing.outage import Outage
from listener.indexing.parked_sync import Aside
from listener.indexing.parked_table import ParkedTable
from listener.indexing.parking import TOO_MANY, ToPark
from listener.indexing.queue import Job
from listener.indexing.senders import IN_FLIGHT, Senders
from listener.observations import events
from listener.observations.events import Observe
from listener.observations.surprises import Surprise, reading
from listener.runtime.backoff import Backoff
from listener.runtime.throttle import Tally
from listener.search.bulk import Document
from listener.search.sink import Versions
from listener.sql import files

_NO_LANE: Final = Lane(-1, load_only=False)
"""Nothing to read, but something to write down."""
_FENCE: Final = Lane(-2, load_only=False)
"""Nothing may be written before the next generation."""


class Pipeline:
    """Brings changed documents to Elasticsearch. Starts paused; see `resume`."""

    def __init__(
        self,
        *,
        sources: Sequence[DocumentSource],
        routes: Mapping[str, Sequence[Route]],
        limits: Limits,
        client: search.Client,
        versions: Versions,
        connect: Callable[[], postgres.Connection],
        parked: ParkedTable,
        backoff: Callable[[], Backoff],
        observe: Observe,
        on_fenced: Callable[[], None],
        renew_fence: Callable[[], str | None],
        on_unmapped: Callable[[int, str, str], None],
        fatal: Callable[[BaseException], None],
    ) -> None:
        """`on_fenced` is told, by a sender's thread, that our writes are refused. `renew_fence`
        raises the generation, after a request had no answer; why not, where a new session must.
        `on_unmapped`: as of Gatherer. `fatal` is told of defects.
        """
        self._sources = sources
        self._routes = routes
        self._connect = connect
        self._observe = observe
        self._renew_fence = renew_fence
        self._shared = Shared(len(sources), limits)
        self._lock = self._shared.lock
        self._aside = Aside(self._shared, sources, parked, observe)
        self._unproven: list[Job] = []
        self._gatherer = Gatherer(self._shared, sources, versions, on_unmapped)
        self._sink_outage = Outage("Elasticsearch", backoff(), observe)
        self._base_outage = Outage("PostgreSQL", backoff(), observe)
        self._senders = Senders(
            shared=self._shared,
            sources=sources,
            client=client,
            versions=versions,
            outage=self._sink_outage,
            observe=observe,
            on_fenced=on_fenced,
            fatal=fatal,
        )
        self._fatal = fatal
        self._overflowed = Tally()
        self._braked: str | None = None
        self._held: Lane | None = None
        self._thread = threading.Thread(target=self._run, name="pipeline", daemon=True)
        self._connection: postgres.Connection | None = None
        self._outdated: postgres.Connection | None = None

    # -- for other threads -----------------------------------------------------------------------

    def start(self) -> None:
        """Start the worker thread."""
        self._thread.start()

    def stop(self) -> None:
        """Finish what is in flight, then end the threads. Safe to call twice, or before start."""
        with self._lock:
            self._shared.stopping = True
            self._lock.notify_all()
        if self._thread.is_alive():
            self._thread.join()
        self._senders.stop()

    def add(self, watch: str, keys: Sequence[Key]) -> bool:
        """Changed keys of a known watch. False where memory was full and a sweep must follow."""
        with self._lock:
            kept = self._shared.pending.add(watch, keys, self._routes[watch])
            self._lock.notify_all()
        if not kept:
            self._overflowed.add()
            if self._overflowed.due():
                limit = self._shared.limits.pending
                self._observe(events.Overflowed(limit, self._overflowed.count))
        return kept

    def submit(self, watch: str, keys: Sequence[Key]) -> list[Job]:
        """A page of a sweep: goes around the pending set. Bound it by waiting for the jobs."""
        jobs = []
        with self._lock:
            for route in self._routes[watch]:
                job = Job()
                if route.mapped:
                    source = self._sources[route.document]
                    self._shared.tasks.append(
                        MappedTask(route.document, source, watch, tuple(keys), job=job)
                    )
                else:
                    job.add(len(keys))
                    job.seal()
                    self._shared.tasks.append(KeysTask(route.document, keys, job))
                jobs.append(job)
            self._lock.notify_all()
        return jobs

    def submit_ids(self, document: int, keys: Sequence[Key], *, load_only: bool) -> Job:
        """A page of document ids; `load_only` writes to the index that is being loaded."""
        job = Job()
        with self._lock:
            job.add(len(keys))
            job.seal()
            self._shared.tasks.append(KeysTask(document, keys, job, load_only=load_only))
            self._lock.notify_all()
        return job

    def wait(self, job: Job, seconds: float | None = None) -> bool:
        """Wait until the job is finished; False at timeout, or when the pipeline stops first."""
        with self._lock:
            self._lock.wait_for(lambda: job.finished or self._shared.over, seconds)
            return job.finished

    def mark(self) -> int:
        """A number for all that `add` has brought so far; see `wait_settled`."""
        with self._lock:
            return self._shared.pending.mark()

    def wait_settled(self, mark: int, seconds: float | None = None) -> bool:
        """Wait until all before the mark is in Elasticsearch; False at stop or timeout."""
        pending = self._shared.pending
        with self._lock:
            self._lock.wait_for(lambda: pending.settled(mark) or self._shared.over, seconds)
            return pending.settled(mark)

    def know_parked(self, connection: postgres.Connection) -> None:
        """Read which documents are parked: also where nothing is to be indexed they count."""
        with self.quiet():
            self._aside.read(connection)

    def parked_keys(self, document: int) -> list[Key]:
        """The keys of what is parked of one document."""
        return self._aside.keys(document)

    def retry(self, index: str, ids: Sequence[str]) -> list[Job]:
        """Try parked documents of this index again; none where no document here has it."""
        number = self._aside.document(index)
        if number is None or not ids:
            return []
        return [self.submit_ids(number, self._aside.keys_of(number, ids), load_only=False)]

    def retry_unproven(self) -> list[Job]:
        """Try those again that were put aside without a proof, but for those that still wait."""
        if all(one.finished for one in self._unproven):
            self._unproven = [
                self.submit_ids(number, keys, load_only=False)
                for number, keys in self._aside.unproven().items()
            ]
        return self._unproven

    def wait_noted(self, seconds: float | None = None) -> bool:
        """Wait until our table says who is parked, and who is not any more; False at timeout."""
        shared = self._shared
        with self._lock:
            self._lock.wait_for(lambda: shared.parking.noted or shared.over, seconds)
            return shared.parking.noted

    @property
    def targets(self) -> list[Targets]:
        """Write aliases by document. Change them only while the pipeline is quiet."""
        return self._shared.targets

    @property
    def overflows(self) -> int:
        """How often the pending set was dropped."""
        return self._shared.pending.overflows

    @property
    def parked(self) -> int:
        """How many documents are parked."""
        return len(self._shared.parking.known)

    @property
    def crashed(self) -> str | None:
        """The defect that ended a thread, if any."""
        return self._shared.crashed

    @property
    def over(self) -> bool:
        """Whether nothing more will be done."""
        return self._shared.over

    @property
    def trouble(self) -> tuple[str, float, str] | None:
        """Server, seconds since, and reason, where one does not do what it should."""
        for one in (self._base_outage, self._sink_outage):
            lasts = one.lasts
            if lasts is not None:
                return one.server, lasts, one.reason
        return None

    @property
    def held(self) -> str | None:
        """The last reason, where a server is not to be waited for but a person must mend it."""
        for one in (self._base_outage, self._sink_outage):
            if one.held:
                return one.reason
        return None

    @property
    def braked(self) -> str | None:
        """The last reason, where so many documents are refused that a person must look."""
        for one in (self._base_outage, self._sink_outage):
            if one.braked:
                return one.reason
        return None

    @property
    def above(self) -> int:
        """The highest generation that was seen in a document: ours must be above it."""
        return self._shared.above

    def raised(self) -> None:
        """A new generation is in force: late requests of the one before are refused. Call it while
        the pipeline is quiet.
        """
        with self._lock:
            self._shared.lost = False
            self._lock.notify_all()

    def renew(self) -> None:
        """A new session: read on a new connection, for the old one may be to another server, which
        was the primary before. Call it before the generation is raised.
        """
        with self.quiet():
            self._outdated = self._connection

    def refresh_soon(self) -> None:
        """Make what was indexed searchable as soon as the pace allows."""
        with self._lock:
            self._senders.pace.dirty = True
            self._lock.notify_all()

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Nothing is read or in flight inside: for a new generation or a swap of aliases."""
        with self._lock:
            self._shared.paused += 1
            self._lock.notify_all()
            self._lock.wait_for(lambda: self._shared.idle or self._shared.over)
        try:
            yield
        finally:
            self.resume()

    def pause(self) -> None:
        """Take no new batches until `resume`."""
        with self._lock:
            self._shared.paused += 1

    def resume(self) -> None:
        """Undo one pause; the pipeline starts with one."""
        with self._lock:
            self._shared.paused -= 1
            self._lock.notify_all()

    # -- the worker ------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while self._step():
                pass
        except BaseException as error:
            self._shared.crashed = f"{type(error).__name__}: {error}"
            self._fatal(error)
        finally:
            with self._lock:
                self._lock.notify_all()
            if self._connection is not None:
                self._connection.close()

    def _step(self) -> bool:
        """Wait for one piece of work and do it. False when stopping and nothing is in flight."""
        lane = self._next()
        if lane is None:
            return False
        if lane is _FENCE:
            self._shut_out_late_requests()
            return True
        batch: Batch | None = None
        try:
            if self._connection is None or self._connection is self._outdated:
                self._connection = self._open()
            self._aside.write(self._connection)
            if lane is not _NO_LANE:
                with reading():
                    batch = self._gatherer.gather(self._connection, lane)
            if batch is not None:
                self._read(self._connection, batch)
        except (psycopg.Error, OSError, Surprise) as error:
            self._failed(lane, batch, error)
        else:
            if self._braked is None:
                # what another document is read for says nothing of the one that holds
                if self._held in (None, lane):
                    self._held = None
                    self._base_outage.works()
            else:
                self._base_outage.failed(self._braked, held=True, braked=True)
        finally:
            self._braked = None
            with self._lock:
                self._shared.reading = False
                self._lock.notify_all()
        return True

    def _next(self) -> Lane | None:
        """Wait until a batch can be made, or parked documents written down; None: stop."""
        shared = self._shared
        with self._lock:
            while not (shared.stopping and shared.idle):
                wait: float | None = None
                if self._may_read():
                    wait = max(self._sink_outage.wait, self._base_outage.wait)
                    if wait <= 0 and shared.lost:
                        if not shared.requests:
                            return _FENCE
                        wait = None
                    elif wait <= 0:
                        lane = self._gatherer.choose()
                        if lane or not shared.parking.noted:
                            shared.reading = True
                            return lane or _NO_LANE
                        wait = self._senders.refresh_when_idle()
                self._lock.wait(wait)
        return None

    def _shut_out_late_requests(self) -> None:
        """A request had no answer. It may arrive when the tombstone of a later delete is forgotten:
        under the next generation its alias is gone.
        """
        try:
            reason = self._renew_fence()
            if reason is not None:
                self._sink_outage.failed(reason, held=False)  # a new session mends it
        except search.Error as error:
            held = not search.is_passing(error)
            self._sink_outage.failed(search.describe(error), held=held)

    def _may_read(self) -> bool:
        shared = self._shared
        if shared.stopping or shared.paused or shared.requests > IN_FLIGHT:
            return False
        # while as many as may be are in flight, the next one is read where it will be a large one;
        # small ones gather instead
        if shared.requests == IN_FLIGHT and not shared.plenty:
            return False
        # one request at a time finds out whether a server is back
        return self._sink_outage.lasts is None or not shared.requests

    def _open(self) -> postgres.Connection:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        connection = self._connect()
        connection.execute(files.load("documents/one_snapshot"))
        self._aside.read(connection)
        return connection

    def _read(self, connection: postgres.Connection, batch: Batch) -> None:
        """Read the documents, make sure that what was read is durable, hand them to a sender."""
        source = self._sources[batch.document]
        batch.read_at = time.monotonic()
        with reading():
            read, unflushed = source.read_through(connection, list(batch.items))
        if unflushed is not None:
            row = connection.execute(
                files.load("documents/flushed"), {"lsn": unflushed.lsn}
            ).fetchone()
            if not (row and row[0]):
                connection.execute(files.load("documents/flush"))
        good: list[Document] = []
        parking = self._shared.parking
        documents = [one for one in read if isinstance(one, Document) and sendable(one.id)]
        with self._lock:
            if documents and len(documents) == len(read):
                parking.readable()
                good, read = documents, []
            for one in read:
                if isinstance(one, Faulty):
                    self._put_aside(batch, one)
                    continue
                parking.readable()
                if sendable(one.id):
                    good.append(one)
                elif one.body is None:  # no index can have it, and the database has it no longer
                    parking.accepted(batch.document, one.id, everywhere=True)
                    self._shared.finish(batch.document, one.key, batch.items[one.key])
                else:
                    size = len(one.id.encode())
                    reason = f"an id of {size} bytes: 1 to 512 fit"
                    self._put_aside(batch, Faulty(one.key, reason))
            self._hand_over(batch, good)
            self._lock.notify_all()

    def _put_aside(self, batch: Batch, one: Faulty) -> None:
        jobs = batch.items[one.key]
        doc_id = self._sources[batch.document].id_of(one.key)
        aside = ToPark(batch.document, one.key, doc_id, jobs, one.reason)
        if not self._shared.parking.refused(aside, unread=True):
            self._shared.give_back(batch.document, one.key, jobs)
            self._braked = f"{TOO_MANY}: {one.reason}"

    def _hand_over(self, batch: Batch, documents: list[Document]) -> None:
        """Cut what was read into requests of bounded size."""
        if not documents:
            return
        if batch.trial is not None:  # the witness goes with them, whatever their size
            self._dispatch(batch, documents)
            return
        sizes = [len(one.body) + 100 if one.body else 100 for one in documents]
        self._gatherer.measured(batch.document, sum(sizes) / len(sizes))
        part: list[Document] = []
        room = self._shared.room
        if sum(sizes) <= room:
            self._dispatch(batch, documents)
            return
        for one, size in zip(documents, sizes, strict=True):
            if part and size > room:
                self._dispatch(batch, part)
                part, room = [], self._shared.room
            part.append(one)
            room -= size
        self._dispatch(batch, part)

    def _dispatch(self, batch: Batch, documents: list[Document]) -> None:
        items = batch.items
        if len(documents) < len(items):
            items = {one.key: items[one.key] for one in documents}
        self._senders.dispatch(
            Batch(
                batch.document,
                items,
                batch.targets,
                batch.version,
                batch.live,
                batch.read_at,
                documents,
                trial=batch.trial,
            )
        )

    def _failed(self, lane: Lane, batch: Batch | None, error: Exception) -> None:
        """Reading failed and it is nobody's own fault: everything goes back, and we wait."""
        connection = self._connection
        passing = isinstance(error, OSError) or postgres.is_passing(error)
        reason = postgres.describe(error)
        if connection is not None:
            if passing:
                self._observe(events.ConnectionLost("documents", reason))
            # also after other errors: a prepared statement may be of a table as it was before
            connection.close()
            self._connection = None
        with self._lock:
            if batch is not None:
                for key, jobs in batch.items.items():
                    self._shared.give_back(batch.document, key, jobs)
        self._held = None if passing else lane
        self._base_outage.failed(reason, held=not passing)
