"""The pipeline: pending changes -> ids -> documents -> bulk -> verdicts. Read this first.

One worker thread reads, a few sender threads wait for Elasticsearch, and one lock guards what
they share. The order of each batch is fixed (checked in DESIGN's model): take the ids, mark them
as flying, draw the version, read, flush, send. An id is in at most one unanswered request; a
change of it that arrives meanwhile waits. Bytes are never sent twice: whatever was not answered
goes back to the pending set and is read again under a newer version.

While one bulk is in flight the next batch gathers, so batching needs no timer.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

import psycopg

from listener import elastic, observations, postgres, sqlfiles
from listener.backoff import Backoff
from listener.bulk import Document, Outcome, Verdict, generation_of
from listener.changes import Key, sendable
from listener.documents import DocumentSource, Faulty, QueryFileError
from listener.observations import Observe
from listener.parked import ParkedTable
from listener.pending import Job, Pending, Route
from listener.refresh import RefreshPace
from listener.sink import Sent, Target, Versions, send
from listener.tasks import KeysTask, MappedTask, Task

IN_FLIGHT: Final = 2
BATCH_AGE: Final = 15.0
"""Seconds between read and send after which a batch is read again: a quarter of Elasticsearch's
default gc_deletes, so that no write comes later than the tombstone that should stop it."""
SAME_REASON: Final = 100
"""So many documents in a row parked for one reason are not the documents' fault: hold."""
MAPPED_KEYS: Final = 1000


@dataclass(slots=True)
class Batch:
    """Ids on their way. `items` maps each to the jobs that wait for it."""

    document: int
    items: dict[Key, tuple[Job, ...]]
    targets: tuple[Target, ...]
    version: int
    read_at: float
    documents: Sequence[Document] = ()
    refresh: bool = False


@dataclass(slots=True)
class Trouble:
    """A server that does not do what it should, since when, and until when we wait."""

    server: str
    backoff: Backoff
    since: float | None = None
    until: float = 0.0
    reason: str = ""


@dataclass(slots=True)
class Targets:
    """Write aliases of one document: the index in use, and the one that is being loaded."""

    current: Target | None = None
    loading: Target | None = None

    def all(self) -> tuple[Target, ...]:
        """Both, where there are two."""
        return tuple(one for one in (self.current, self.loading) if one is not None)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the pipeline, from the configuration."""

    documents: int
    bytes: int
    pending: int
    parked: int


@dataclass(slots=True)
class _Shared:
    """What worker and senders share, all under `Pipeline._lock`."""

    pending: Pending
    flying: list[set[Key]]
    tasks: deque[Task] = field(default_factory=deque)
    mapping: set[tuple[int, str]] = field(default_factory=set)
    to_park: list[tuple[int, Key, tuple[Job, ...], str]] = field(default_factory=list)
    to_clear: list[tuple[int, str]] = field(default_factory=list)
    parked: set[tuple[str, str]] = field(default_factory=set)
    requests: int = 0
    reading: bool = False
    paused: int = 1
    stopping: bool = False
    live_last: bool = False
    in_a_row: tuple[str, int] = ("", 0)


class Pipeline:
    """Brings changed documents to Elasticsearch. Starts paused; see `resume`."""

    def __init__(
        self,
        *,
        sources: Sequence[DocumentSource],
        routes: Mapping[str, Sequence[Route]],
        limits: Limits,
        client: elastic.Client,
        versions: Versions,
        connect: Callable[[], postgres.Connection],
        parked: ParkedTable,
        backoff: Callable[[], Backoff],
        observe: Observe,
        on_fenced: Callable[[], None],
    ) -> None:
        self._sources = sources
        self._routes = routes
        self._limits = limits
        self._client = client
        self._versions = versions
        self._connect = connect
        self._parked_table = parked
        self._observe = observe
        self._on_fenced = on_fenced
        self.targets = [Targets() for _ in sources]
        self._lock = threading.Condition()
        self._shared = _Shared(Pending(len(sources), limits.pending), [set() for _ in sources])
        self._mean_bytes = [2000.0 for _ in sources]
        self._sink_trouble = Trouble("Elasticsearch", backoff())
        self._base_trouble = Trouble("PostgreSQL", backoff())
        self._refresh = RefreshPace()
        self._senders = ThreadPoolExecutor(IN_FLIGHT + 1, thread_name_prefix="sender")
        self._thread = threading.Thread(target=self._run, name="pipeline", daemon=True)
        self._connection: postgres.Connection | None = None
        self.crashed: str | None = None

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
        self._senders.shutdown()

    def add(self, watch: str, keys: Sequence[Key]) -> bool:
        """Changed keys of a known watch. False where memory was full and a sweep must follow."""
        with self._lock:
            kept = self._shared.pending.add(watch, keys, self._routes[watch])
            self._lock.notify_all()
        if not kept:
            self._observe(observations.Overflowed(self._limits.pending))
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
            self._lock.wait_for(lambda: job.finished or self._over, seconds)
            return job.finished

    def mark(self) -> int:
        """A number for all that `add` has brought so far; see `wait_settled`."""
        with self._lock:
            return self._shared.pending.mark()

    def wait_settled(self, mark: int, seconds: float | None = None) -> bool:
        """Wait until all before the mark is in Elasticsearch; False at stop or timeout."""
        pending = self._shared.pending
        with self._lock:
            self._lock.wait_for(lambda: pending.settled(mark) or self._over, seconds)
            return pending.settled(mark)

    @property
    def overflows(self) -> int:
        """How often the pending set was dropped."""
        return self._shared.pending.overflows

    @property
    def parked(self) -> int:
        """How many documents are parked."""
        return len(self._shared.parked)

    @property
    def trouble(self) -> tuple[str, float, str] | None:
        """Server, seconds since, and reason, where one does not do what it should."""
        for one in (self._base_trouble, self._sink_trouble):
            since = one.since
            if since is not None:
                return one.server, time.monotonic() - since, one.reason
        return None

    def refresh_soon(self) -> None:
        """Make what was indexed searchable as soon as the pace allows."""
        with self._lock:
            self._refresh.dirty = True
            self._lock.notify_all()

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Nothing is read or in flight inside: for a new generation or a swap of aliases."""
        with self._lock:
            self._shared.paused += 1
            self._lock.notify_all()
            self._lock.wait_for(lambda: self._idle or self._over)
        try:
            yield
        finally:
            self.resume()

    def pause(self) -> None:
        """Take no new batches."""
        with self._lock:
            self._shared.paused += 1

    def resume(self) -> None:
        """Undo one pause; the pipeline starts with one."""
        with self._lock:
            self._shared.paused -= 1
            self._lock.notify_all()

    @property
    def _idle(self) -> bool:
        return self._shared.requests == 0 and not self._shared.reading

    @property
    def _over(self) -> bool:
        return self._shared.stopping or self.crashed is not None

    # -- the worker ------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while self._step():
                pass
        except BaseException as error:
            self.crashed = f"{type(error).__name__}: {error}"
            self._observe(observations.Crashed("pipeline", self.crashed))
            raise
        finally:
            with self._lock:
                self._lock.notify_all()
            if self._connection is not None:
                self._connection.close()

    def _step(self) -> bool:
        """Wait for one piece of work and do it. False when stopping and nothing is in flight."""
        batch: Batch | None = None
        task: Task | None = None
        with self._lock:
            while True:
                if self._shared.stopping and self._idle:
                    return False
                wait = self._not_now()
                if wait is None:
                    batch, task = self._choose()
                    if batch or task or self._shared.to_park or self._shared.to_clear:
                        break
                    wait = self._refresh_when_idle()
                self._lock.wait(wait if wait else None)
            self._shared.reading = True
        try:
            if self._connection is None:
                self._connection = self._open()
            self._keep_parked(self._connection)
            if task is not None:
                batch = self._page(self._connection, task)
            if batch is not None:
                self._read(self._connection, batch)
        except (psycopg.Error, OSError, QueryFileError) as error:
            self._failed(batch, error)
        else:
            self._works(self._base_trouble)
        finally:
            with self._lock:
                self._shared.reading = False
                self._lock.notify_all()
        return True

    def _open(self) -> postgres.Connection:
        connection = self._connect()
        parked = self._parked_table.read(connection)
        with self._lock:
            self._shared.parked |= parked
        return connection

    def _not_now(self) -> float | None:
        """None: go on. 0: wait for a call. Else: seconds until a server is tried again."""
        shared = self._shared
        if shared.stopping or shared.paused or shared.requests >= IN_FLIGHT:
            return 0
        until = max(self._sink_trouble.until, self._base_trouble.until) - time.monotonic()
        if self._sink_trouble.since is not None and shared.requests:
            return 0  # one request at a time finds out whether a server is back
        return until if until > 0 else None

    def _choose(self) -> tuple[Batch | None, Task | None]:
        """Live ids and pages of tasks in turn, so that neither starves."""
        shared = self._shared
        for (document, watch), keys in shared.pending.mapped.items():
            if keys and (document, watch) not in shared.mapping:
                self._begin_mapping(document, watch)
        if not (shared.live_last and shared.tasks):
            for document, ids in enumerate(shared.pending.ids):
                if not self.targets[document].all():
                    continue  # its index is not there yet
                items = ids.take(self._most(document), shared.flying[document])
                if items:
                    shared.live_last = True
                    return self._begin(document, items, load_only=False), None
        shared.live_last = False
        for _ in range(len(shared.tasks)):
            task = shared.tasks.popleft()
            if self.targets[task.document].all():
                return None, task
            shared.tasks.append(task)
        return None, None

    def _begin_mapping(self, document: int, watch: str) -> None:
        shared = self._shared
        taken = shared.pending.take_mapped(document, watch, MAPPED_KEYS)
        job = Job([(epoch, 1) for epoch in taken.values()])
        place = (document, watch)
        shared.mapping.add(place)
        shared.tasks.appendleft(
            MappedTask(
                document,
                self._sources[document],
                watch,
                tuple(taken),
                job=job,
                on_end=lambda: shared.mapping.discard(place),
            )
        )

    def _most(self, document: int) -> int:
        """How many documents fit a bulk, by their mean size so far."""
        return max(
            1, min(self._limits.documents, int(self._limits.bytes / self._mean_bytes[document]))
        )

    def _begin(self, document: int, items: dict[Key, tuple[Job, ...]], *, load_only: bool) -> Batch:
        """Ids are taken: mark them as flying, then draw the version."""
        self._shared.flying[document].update(items)
        targets = self.targets[document]
        chosen = targets.all()
        if load_only and targets.loading is not None:
            chosen = (targets.loading,)
        return Batch(document, items, chosen, self._versions.draw(), time.monotonic())

    def _page(self, connection: postgres.Connection, task: Task) -> Batch | None:
        try:
            page = task.next_page(connection, self._most(task.document))
        except BaseException:
            with self._lock:
                self._shared.tasks.appendleft(task)
            raise
        with self._lock:
            if page is None:
                task.job.seal()
                self._lock.notify_all()
                return None
            if isinstance(task, MappedTask):
                task.job.add(len(page))
            self._shared.tasks.append(task)
            flying = self._shared.flying[task.document]
            items: dict[Key, tuple[Job, ...]] = {}
            for key in page:
                if key in flying:  # a change of it waits until its request is answered
                    self._shared.pending.ids[task.document].add(key, (task.job,))
                else:
                    items[key] = (task.job,)
            if not items:
                return None
            return self._begin(task.document, items, load_only=task.load_only)

    def _read(self, connection: postgres.Connection, batch: Batch) -> None:
        """Read the documents, make sure that what was read is durable, hand them to a sender."""
        source = self._sources[batch.document]
        batch.read_at = time.monotonic()
        good: list[Document] = []
        parked: list[tuple[Key, str]] = []
        for one in source.read(connection, list(batch.items)):
            if isinstance(one, Faulty):
                parked.append((one.key, one.reason))
            elif not sendable(one.id):
                parked.append((one.key, f"an id of {len(one.id.encode())} bytes: 1 to 512 fit"))
            else:
                good.append(one)
        row = connection.execute(sqlfiles.load("documents/flushed")).fetchone()
        if not (row and row[0]):
            connection.execute(sqlfiles.load("documents/flush"))
        with self._lock:
            for key, reason in parked:
                self._park(batch.document, key, batch.items[key], reason)
            self._hand_over(batch, good)
            self._lock.notify_all()

    def _hand_over(self, batch: Batch, documents: list[Document]) -> None:
        """Cut what was read into requests of bounded size."""
        sizes = [len(one.body) + 100 if one.body else 100 for one in documents]
        if sizes:
            mean = sum(sizes) / len(sizes)
            old = self._mean_bytes[batch.document]
            # rises at once, falls slowly: a page of large documents must not follow a large one
            self._mean_bytes[batch.document] = max(mean, 0.9 * old + 0.1 * mean)
        part: list[Document] = []
        room = self._limits.bytes
        for one, size in zip(documents, sizes, strict=True):
            if part and size > room:
                self._dispatch(batch, part)
                part, room = [], self._limits.bytes
            part.append(one)
            room -= size
        if part:
            self._dispatch(batch, part)

    def _dispatch(self, batch: Batch, documents: list[Document]) -> None:
        shared = self._shared
        items = {one.key: batch.items[one.key] for one in documents}
        live = any(target for target in batch.targets if not target.alias.count(".l"))
        idle = not shared.tasks and not any(ids.waiting for ids in shared.pending.ids)
        request = Batch(
            batch.document, items, batch.targets, batch.version, batch.read_at, documents
        )
        request.refresh = live and idle and self._refresh.may_now(time.monotonic())
        if live and not request.refresh:
            self._refresh.dirty = True
        shared.requests += 1
        self._senders.submit(self._send, request)

    def _failed(self, batch: Batch | None, error: Exception) -> None:
        """Reading failed and it is nobody's own fault: everything goes back, and we wait."""
        connection = self._connection
        if connection is not None and (connection.closed or postgres.is_passing(error)):
            connection.close()
            self._connection = None
            self._observe(observations.ConnectionLost("reading", postgres.describe(error)))
        with self._lock:
            if batch is not None:
                for key, jobs in batch.items.items():
                    if key in self._shared.flying[batch.document]:
                        self._give_back(batch.document, key, jobs)
        passing = isinstance(error, OSError) or postgres.is_passing(error)
        self._wait_for(self._base_trouble, postgres.describe(error), held=not passing)

    # -- the senders -----------------------------------------------------------------------------

    def _send(self, batch: Batch) -> None:
        try:
            if time.monotonic() - batch.read_at > BATCH_AGE:
                late = Verdict(Outcome.RETRY, "read too long ago")
                sent = Sent((late,) * len(batch.documents), 0.0, 0)
            else:
                sent = send(
                    self._client,
                    batch.documents,
                    batch.targets,
                    batch.version,
                    refresh=batch.refresh,
                )
            self._answered(batch, sent)
        except BaseException as error:
            self.crashed = f"{type(error).__name__}: {error}"
            self._observe(observations.Crashed("sender", self.crashed))
            with self._lock:
                self._shared.requests -= 1
                self._lock.notify_all()
            raise

    def _answered(self, batch: Batch, sent: Sent) -> None:
        source = self._sources[batch.document]
        counts = {"written": 0, "deleted": 0, "retried": 0}
        worst: Verdict | None = None
        fenced = False
        with self._lock:
            for one, verdict in zip(batch.documents, sent.verdicts, strict=True):
                jobs = batch.items[one.key]
                outcome = verdict.outcome
                if outcome is Outcome.PARK and self._brake(verdict.reason):
                    outcome = Outcome.HOLD
                if outcome is Outcome.DONE:
                    counts["written" if one.body is not None else "deleted"] += 1
                    self._finish(batch.document, one.key, jobs)
                    self._shared.in_a_row = ("", 0)
                    if (source.name, one.id) in self._shared.parked:
                        self._shared.to_clear.append((batch.document, one.id))
                elif outcome is Outcome.PARK:
                    self._park(batch.document, one.key, jobs, verdict.reason)
                else:
                    counts["retried"] += 1
                    self._give_back(batch.document, one.key, jobs)
                    fenced = fenced or outcome is Outcome.FENCED
                    if worst is None or outcome is Outcome.HOLD:
                        worst = Verdict(outcome, verdict.reason)
            self._shared.requests -= 1
            if batch.refresh:
                self._refresh.done(time.monotonic(), sent.seconds, ok=worst is None)
            self._lock.notify_all()
        self._observe(
            observations.Indexed(
                source.name,
                **counts,
                bytes=sent.bytes,
                seconds=sent.seconds,
                refreshed=batch.refresh,
            )
        )
        if worst is None:
            self._works(self._sink_trouble)
        elif fenced and generation_of(batch.version) < self._versions.generation:
            pass  # an earlier generation of our own: it is read again under the new one
        else:
            if fenced:
                self._on_fenced()
            self._wait_for(self._sink_trouble, worst.reason, held=worst.outcome is Outcome.HOLD)

    def _brake(self, reason: str) -> bool:
        """Whether so many documents are refused that it cannot be their own fault."""
        kind = reason.partition(":")[0]
        seen, count = self._shared.in_a_row
        count = count + 1 if seen == kind else 1
        self._shared.in_a_row = (kind, count)
        return count >= SAME_REASON or len(self._shared.parked) >= self._limits.parked

    def _finish(self, document: int, key: Key, jobs: tuple[Job, ...]) -> None:
        self._shared.flying[document].discard(key)
        for job in jobs:
            job.done()

    def _give_back(self, document: int, key: Key, jobs: tuple[Job, ...]) -> None:
        self._shared.flying[document].discard(key)
        self._shared.pending.ids[document].add(key, jobs)

    def _park(self, document: int, key: Key, jobs: tuple[Job, ...], reason: str) -> None:
        """Parked means done, but only once it stands in our table: the worker writes it."""
        self._shared.to_park.append((document, key, jobs, reason))

    def _keep_parked(self, connection: postgres.Connection) -> None:
        with self._lock:
            to_park = self._shared.to_park[:]
            to_clear = self._shared.to_clear[:]
        for document, key, jobs, reason in to_park:
            source = self._sources[document]
            doc_id = source.id_of(key)
            self._parked_table.park(connection, source.name, doc_id, reason)
            self._observe(observations.Parked(source.name, doc_id, reason))
            with self._lock:
                self._shared.parked.add((source.name, doc_id))
                self._shared.to_park.pop(0)
                self._finish(document, key, jobs)
                self._lock.notify_all()
        for document, rows in groupby(to_clear, key=lambda row: row[0]):
            name = self._sources[document].name
            ids = [row[1] for row in rows]
            self._parked_table.clear(connection, name, ids)
            with self._lock:
                self._shared.parked -= {(name, doc_id) for doc_id in ids}
                del self._shared.to_clear[: len(ids)]

    # -- refresh, waits --------------------------------------------------------------------------

    def _refresh_when_idle(self) -> float:
        """Called when there is nothing to do: refresh now, or say how long until one may."""
        if self._shared.requests or not self._refresh.dirty:
            return 0
        wait = self._refresh.wait(time.monotonic())
        if wait <= 0:
            self._refresh.dirty = False
            self._refresh.begun(time.monotonic())
            self._senders.submit(self._refresh_all)
            return 0
        return wait

    def _refresh_all(self) -> None:
        names = [one.current.alias for one in self.targets if one.current is not None]
        started = time.monotonic()
        try:
            if names:
                self._client.indices.refresh(index=names, ignore_unavailable=True)
        except elastic.Error:
            ok = False  # the index's own interval will do it
        else:
            ok = True
        seconds = time.monotonic() - started
        with self._lock:
            self._refresh.done(time.monotonic(), seconds, ok=True)
        if ok and names:
            self._observe(observations.Refreshed(seconds))

    def _wait_for(self, trouble: Trouble, reason: str, *, held: bool) -> None:
        with self._lock:
            now = time.monotonic()
            if trouble.until > now:  # the other request of the same outage
                return
            trouble.since = trouble.since if trouble.since is not None else now
            trouble.reason = reason
            seconds = trouble.backoff.next_wait()
            attempt = trouble.backoff.attempt
            trouble.until = now + seconds
            self._lock.notify_all()
        self._observe(
            observations.Held(reason, seconds)
            if held
            else observations.Waiting(trouble.server, attempt, seconds, reason)
        )

    def _works(self, trouble: Trouble) -> None:
        with self._lock:
            since, trouble.since = trouble.since, None
            trouble.until = 0.0
            trouble.backoff.reset()
            self._lock.notify_all()
        if since is not None:
            self._observe(observations.Recovered(trouble.server, time.monotonic() - since))
