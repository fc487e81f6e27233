"""The coordinator: sessions, loads, sweeps and the watermark's ticks, in one thread.

On every connection, the first included: LISTEN (which the notifications thread has done), then
raise the generation, then catch up from the watermark, then serve. A tick draws t and L, waits for
the proof, sends a barrier through LISTEN/NOTIFY, polls what does not notify, and advances the
watermark when all that came before is in Elasticsearch.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import psycopg

from listener import elastic, history, observations, postgres, watermark
from listener.backoff import Backoff
from listener.changes import Change, KeyType, PayloadError, Watch, canonical_key
from listener.config import Config
from listener.fence import Fence, FencedOut
from listener.history import History, Plan
from listener.indexes import IndexError_
from listener.keeper import Keeper
from listener.lifecycle import Stop, Stopped
from listener.loader import Kind, Loader
from listener.observations import Observe
from listener.pending import Job
from listener.pipeline import Pipeline
from listener.state import Heartbeat, Load, StateError, write_heartbeat
from listener.sweep import Sweep
from listener.watermark import Draw

_BARRIER_DEADLINE: Final = 10.0
"""Seconds in which a barrier must come back; later the connection counts as dead."""
_NAME_HOLDER_AFTER: Final = 2.0
_NAME_HOLDER_EVERY: Final = 60.0
_PRUNE_EVERY: Final = 60.0
_SWEEP_APART: Final = 0.05


class SessionLost(Exception):
    """The LISTEN connection is gone: begin again when there is a new one."""


class GaveUp(Exception):
    """A server was away for longer than `give_up_after`."""


class Coordinator:
    """Also the receiver of notifications; those methods run in the LISTEN thread."""

    def __init__(
        self,
        *,
        config: Config,
        watches: Sequence[Watch],
        types: Mapping[str, Sequence[KeyType]],
        documents_of: Mapping[str, Sequence[int]],
        new_sweep: Callable[[], Sweep],
        pipeline: Pipeline,
        fence: Fence,
        loader: Loader,
        keeper: Keeper,
        history: History,
        backoff: Backoff,
        observe: Observe,
        stop: Stop,
        fatal: Callable[[BaseException], None],
        cut: Callable[[], None],
        give_up_after: float | None = None,
    ) -> None:
        """`give_up_after`: seconds of an outage after which GaveUp is raised; None: never."""
        self._config = config
        self._types = types
        self._documents_of = documents_of
        self._new_sweep = new_sweep
        self._pipeline = pipeline
        self._fence = fence
        self._loader = loader
        self._keeper = keeper
        self._history = history
        self._backoff = backoff
        self._observe = observe
        self._stop = stop
        self._fatal = fatal
        self._cut = cut
        self._give_up_after = give_up_after
        self._failing_since: float | None = None
        self._all_rows = all(watch.notify == "rows" for watch in watches)
        self._wake = threading.Condition()
        self._session = 0
        self._served = 0
        self._nonce = ""
        self._mark: int | None = None
        self._sweep_wanted = False
        self._fenced = False
        self._swept_overflows = 0
        self._connection: postgres.Connection | None = None
        self._sweep = new_sweep()
        self._draw: Draw | None = None
        self._drawn_at = 0.0
        self._named_at = 0.0
        self._last_clock: datetime | None = None
        self._turns = 0
        self._pruned_at = 0.0
        self._running: dict[int, Load] = {}
        self._covered: dict[int, datetime] = {}
        """By document, the proven start of its load: no journal row before it matters."""
        self._cancel = threading.Event()
        self._load_thread: threading.Thread | None = None
        self._resumed = False
        self._floor: datetime | None = None
        """Where sweeps start between the first load's end and the first watermark."""
        self._thread = threading.Thread(target=self._run, name="coordinator", daemon=True)

    # -- the receiver: called by the LISTEN thread -----------------------------------------------

    def on_session(self, session: int) -> None:
        """LISTEN is in force."""
        with self._wake:
            self._session = session
            self._wake.notify_all()

    def on_lost(self) -> None:
        """The LISTEN connection is gone."""
        with self._wake:
            self._session = 0
            self._wake.notify_all()

    def on_change(self, change: Change) -> None:
        """Hand changed keys to the pipeline; anything larger asks for a sweep."""
        kinds = self._types.get(change.watch)
        if kinds is None:
            raise PayloadError("a table that this pipeline does not watch")
        if change.kind == "keys":
            keys = [canonical_key(key, kinds) for key in change.keys]
            if self._pipeline.add(change.watch, keys):
                return
        # `reconcile` too: a payload may be forged, but the journal row that goes with it is not
        self.want_sweep()

    def on_barrier(self, nonce: str) -> None:
        """Everything that was queued before this barrier has been handed to the pipeline."""
        with self._wake:
            if nonce == self._nonce:
                self._mark = self._pipeline.mark()
                self._wake.notify_all()

    def want_sweep(self) -> None:
        """Poll soon."""
        with self._wake:
            self._sweep_wanted = True
            self._wake.notify_all()

    def on_fenced(self) -> None:
        """The pipeline's writes are refused. Called by a sender thread."""
        with self._wake:
            self._fenced = True
            self._wake.notify_all()

    # -- the thread ------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread of the daemon."""
        self._thread.start()

    def wake(self) -> None:
        """Look at the stop flag."""
        with self._wake:
            self._wake.notify_all()

    def join(self) -> None:
        """Wait for the threads; stop must have been requested and the pipeline stopped."""
        self.wake()
        if self._thread.is_alive():
            self._thread.join()
        self._end_load()
        if self._connection is not None:
            self._connection.close()

    def _run(self) -> None:
        try:
            while not self._stop.requested:
                self._guarded(self._round)
        except BaseException as error:
            self._fatal(error)

    def run_once(self) -> None:
        """Catch up with all that is visible now, save the proven watermark, return."""
        done = False
        while not done and not self._stop.requested:
            done = self._guarded(self._catch_up_once)

    def _guarded(self, work: Callable[[], None]) -> bool:
        """Run one round of work; outages lead to a wait and a new session."""
        try:
            work()
        except (SessionLost, Stopped):
            return False
        except FencedOut as error:
            self._pause("Elasticsearch", str(error))
        except psycopg.Error as error:
            if not postgres.is_passing(error):
                self._hold(postgres.describe(error))
            else:
                self._pause("PostgreSQL", postgres.describe(error))
        except elastic.Error as error:
            if not elastic.is_passing(error):
                self._hold(elastic.describe(error))
            else:
                self._pause("Elasticsearch", elastic.describe(error))
        except IndexError_ as error:
            self._hold(str(error))
        else:
            self._backoff.reset()
            self._failing_since = None
            return True
        self._served = 0  # whatever it was: begin as on a new connection
        return False

    def _patience(self, reason: str, since: float) -> None:
        if self._give_up_after is not None and time.monotonic() - since > self._give_up_after:
            raise GaveUp(f"gave up after {self._give_up_after:g} s: {reason}")

    def _pause(self, server: str, reason: str) -> None:
        self._failing_since = self._failing_since or time.monotonic()
        self._patience(f"{server}: {reason}", self._failing_since)
        seconds = self._backoff.next_wait()
        self._observe(observations.Waiting(server, self._backoff.attempt, seconds, reason))
        self._beat(f"waiting for {server}", reason)
        self._stop.wait(seconds)

    def _hold(self, reason: str) -> None:
        self._failing_since = self._failing_since or time.monotonic()
        self._patience(reason, self._failing_since)
        seconds = self._backoff.next_wait()
        self._observe(observations.Held(reason, seconds))
        self._beat("held", reason)
        self._stop.wait(seconds)

    def _round(self) -> None:
        session = self._wait_for_session()
        if session != self._served or self._fenced:
            self._begin(session)
        self._turn()
        self._rest()

    def _wait_for_session(self) -> int:
        began = time.monotonic()
        with self._wake:
            while not self._session:
                if self._stop.requested:
                    raise Stopped("stop was requested")
                self._patience("PostgreSQL is not to be reached", began)
                self._beat("waiting for PostgreSQL", "no LISTEN connection")
                self._wake.wait(min(self._config.fetch_delay, 1.0))
            return self._session

    def _rest(self) -> None:
        """Until the next tick is due, or something asks for a sweep."""
        delay = self._config.fetch_delay
        if self._sweep.crowded:
            delay = max(delay, 60.0)
        with self._wake:
            self._wake.wait_for(
                lambda: (
                    self._stop.requested
                    or self._sweep_wanted
                    or self._fenced
                    or self._session != self._served
                ),
                delay,
            )

    def _current(self, session: int) -> None:
        if self._stop.requested or self._pipeline.crashed:
            raise Stopped("stop was requested")
        if self._session != session:
            raise SessionLost
        trouble = self._pipeline.trouble
        if trouble is not None:
            server, seconds, reason = trouble
            self._patience(f"{server}: {reason}", time.monotonic() - seconds)

    # -- a session -------------------------------------------------------------------------------

    def _begin(self, session: int) -> None:
        """Everything that a new connection needs, up to the first sweep."""
        started = time.monotonic()
        self._fenced = False
        if self._connection is not None:
            self._connection.close()
        self._connection = postgres.connect(self._config.postgres, "listener: watermark")
        self._sweep = self._new_sweep()
        self._draw = None
        self._last_clock = None
        self._end_load()
        self._running.clear()
        self._covered.clear()
        self._floor = None
        plan = self._history.begin(self._connection)
        with self._fence.lock:
            for number, current in enumerate(plan.current):
                self._fence.current[number] = current.name if current else None
                self._fence.lenient[number] = current.lenient if current else False
            self._fence.raise_generation()
        if not self._resumed:
            self._resumed = True
            self._pipeline.resume()
        for kind in self._loader.kinds:
            if kind.index in self._keeper.loaded:
                self._covered[kind.number] = self._keeper.loaded[kind.index]
        self._begin_loads(plan.loads)
        since = self._since()
        rows = 0
        if since is not None:
            with self._wake:
                self._sweep_wanted = False
            rows = self._scan(session, since)
            self._observe(
                observations.CaughtUp(rows, time.monotonic() - started, self._keeper.last_processed)
            )
        self._served = session

    def _since(self) -> datetime | None:
        """Where a sweep starts: the watermark, or the start of a load, minus the overlap."""
        moments = [load.started_at for load in list(self._running.values())]
        if self._keeper.last_processed is not None:
            moments.append(self._keeper.last_processed)
        elif self._floor is not None:
            moments.append(self._floor)
        if not moments:
            return None
        return min(moments) - timedelta(seconds=self._config.overlap)

    # -- sweeps ----------------------------------------------------------------------------------

    def _scan(self, session: int, since: datetime) -> int:
        """Hand on all visible rows from `since`, and wait until they are in Elasticsearch."""
        assert self._connection is not None
        overflows = self._pipeline.overflows
        open_jobs: list[Job] = []
        counts: dict[str, tuple[int, float]] = {}
        lost: dict[str, datetime] = {}
        for page in self._sweep.pages(self._connection, since):
            rows, seconds = counts.get(page.table, (0, 0.0))
            counts[page.table] = (rows + page.rows, seconds + page.seconds)
            for watch, at in page.reconcile:
                lost[watch] = at
            for change in page.changes:
                open_jobs += self._pipeline.submit(change.watch, change.keys)
            while len(open_jobs) > 4:
                self._wait_job(session, open_jobs.pop(0))
        for job in open_jobs:
            self._wait_job(session, job)
        for table, (rows, seconds) in counts.items():
            self._observe(observations.Swept(table, rows, seconds))
        self._swept_overflows = overflows
        self._reconcile(lost)
        return sum(rows for rows, _ in counts.values())

    def _wait_job(self, session: int, job: Job) -> None:
        while not self._pipeline.wait(job, self._config.fetch_delay):
            self._current(session)
            self._beat("serving")

    def _reconcile(self, lost: Mapping[str, datetime]) -> None:
        """Changes of these watches may be lost: load their documents anew (until verify exists)."""
        wanted: dict[int, str] = {}
        for watch, at in lost.items():
            for number in self._documents_of[watch]:
                covered = self._covered.get(number)
                if covered is None or covered <= at:
                    wanted[number] = f"changes of {watch} were not recorded one by one"
        if wanted:
            self._end_load()
            again = {**dict.fromkeys(self._running, "it was interrupted"), **wanted}
            self._running.clear()
            self._begin_loads(
                [Plan(self._loader.kinds[number], reason) for number, reason in again.items()]
            )

    # -- ticks -----------------------------------------------------------------------------------

    def _turn(self) -> None:
        """One tick: proof, barrier, polls, and the watermark if all of it holds."""
        session = self._served
        assert self._connection is not None
        if self._draw is None:
            self._draw = watermark.draw(self._connection)
            self._drawn_at = time.monotonic()
            self._check_clock(self._draw.at)
        drawn = self._draw
        proven = watermark.passed(self._connection, drawn)  # before any rows are read
        mark = self._barrier(session)
        overflows = self._pipeline.overflows
        with self._wake:
            wanted, self._sweep_wanted = self._sweep_wanted, False
        if wanted or not self._all_rows or overflows != self._swept_overflows:
            since = self._since()
            if since is not None:
                try:
                    self._scan(session, since)
                except BaseException:
                    self._sweep_wanted = True
                    raise
                self._stop.wait(_SWEEP_APART)
        while not self._pipeline.wait_settled(mark, self._config.fetch_delay):
            self._current(session)
            self._barrier(session)  # the heartbeat goes on while Elasticsearch is away
        self._turns += 1
        if not proven:
            self._name_holder()
        elif self._pipeline.overflows == overflows:
            self._advance(drawn)
        self._save(session, drawn)

    def _advance(self, drawn: Draw) -> None:
        self._draw = None
        self._keeper.advance(drawn.at)
        way = "barrier" if self._all_rows else "scan"
        self._observe(observations.WatermarkMoved(drawn.at, way))
        since = self._since()
        if since is not None:
            self._sweep.forget_before(since)

    def _check_clock(self, now: datetime) -> None:
        last, self._last_clock = self._last_clock, now
        if last is not None and now < last:
            back = (last - now).total_seconds()
            self._observe(observations.ClockSteppedBack(back))
            self._keeper.step_back(timedelta(seconds=back + self._config.overlap))
            self.want_sweep()

    def _barrier(self, session: int) -> int:
        """Send a notification to ourselves; all that was queued before it is then received."""
        assert self._connection is not None
        nonce = secrets.token_hex(16)
        with self._wake:
            self._nonce, self._mark = nonce, None
        self._connection.execute(
            "SELECT pg_catalog.pg_notify(%s, %s)",
            (self._config.postgres.db_schema, json.dumps({"v": 1, "barrier": nonce})),
        )
        with self._wake:
            self._wake.wait_for(
                lambda: self._mark is not None or self._session != session or self._stop.requested,
                _BARRIER_DEADLINE,
            )
            mark = self._mark
        self._current(session)
        if mark is None:
            self._cut()
            raise SessionLost
        self._beat("loading" if self._running else "serving")
        return mark

    def _name_holder(self) -> None:
        assert self._connection is not None
        now = time.monotonic()
        waited = now - self._drawn_at
        if waited > _NAME_HOLDER_AFTER and now - self._named_at > _NAME_HOLDER_EVERY:
            self._named_at = now
            self._observe(observations.WatermarkHeld(watermark.holder(self._connection), waited))

    def _save(self, session: int, drawn: Draw) -> None:
        assert self._connection is not None
        self._history.seen(drawn.lsn)
        self._keeper.save()
        if not self._keeper.save_control():
            self._fenced = True
        now = time.monotonic()
        if now - self._pruned_at > _PRUNE_EVERY and self._keeper.last_processed is not None:
            self._pruned_at = now
            retention = timedelta(seconds=self._config.triggers.retention)
            history.prune(
                self._connection,
                self._config.postgres.db_schema,
                self._keeper.last_processed - retention,
            )
        self._current(session)

    def _beat(self, state: str, reason: str | None = None) -> None:
        trouble = self._pipeline.trouble
        if trouble is not None and reason is None:
            state, reason = f"waiting for {trouble[0]}", trouble[2]
        try:
            write_heartbeat(
                self._config.state_file_name,
                Heartbeat(
                    at=time.time(),
                    fetch_delay=self._config.fetch_delay,
                    state=state,
                    last_processed=self._keeper.last_processed,
                    reason=reason,
                ),
            )
        except StateError:
            return  # the keeper tells of a disk that cannot be written to

    # -- loads -----------------------------------------------------------------------------------

    def _begin_loads(self, plans: Sequence[Plan]) -> None:
        """Begin these loads; in the daemon a thread of their own brings them to their end."""
        self._cancel = threading.Event()
        if not plans:
            return
        assert self._connection is not None
        for plan in plans:
            self._covered.pop(plan.kind.number, None)
            self._keeper.freeze(plan.kind.index)
            now = watermark.draw(self._connection).at
            self._running[plan.kind.number] = self._loader.begin(
                plan.kind, plan.reason, plan.resume, now
            )
        if self._thread.is_alive():
            self._load_thread = threading.Thread(
                target=self._load_all, args=(self._cancel,), name="loader", daemon=True
            )
            self._load_thread.start()

    def _end_load(self) -> None:
        self._cancel.set()
        if self._load_thread is not None and self._load_thread.is_alive():
            self._load_thread.join()
        self._load_thread = None

    def _load_all(self, cancel: threading.Event) -> None:
        waits = Backoff(
            self._config.backoff.start, self._config.backoff.factor, self._config.backoff.limit
        )
        try:
            while self._running and not cancel.is_set():
                try:
                    with postgres.connect(self._config.postgres, "listener: load") as connection:
                        for number in list(self._running):
                            self._load_one(connection, self._loader.kinds[number], cancel)
                            waits.reset()
                except psycopg.Error as error:
                    passing, reason = postgres.is_passing(error), postgres.describe(error)
                    self._wait_to_load(waits, "PostgreSQL", reason, passing=passing)
                except elastic.Error as error:
                    passing, reason = elastic.is_passing(error), elastic.describe(error)
                    self._wait_to_load(waits, "Elasticsearch", reason, passing=passing)
        except Stopped:
            return
        except FencedOut:
            self.on_fenced()
        except BaseException as error:
            self._fatal(error)

    def _wait_to_load(self, waits: Backoff, server: str, reason: str, *, passing: bool) -> None:
        seconds = waits.next_wait()
        self._observe(
            observations.Waiting(server, waits.attempt, seconds, f"full load: {reason}")
            if passing
            else observations.Held(f"full load: {reason}", seconds)
        )
        self._stop.wait(seconds)

    def _load_one(
        self, connection: postgres.Connection, kind: Kind, cancel: threading.Event
    ) -> None:
        load = self._running[kind.number]
        replaces = self._fence.current[kind.number] is not None
        proven = self._resumable(load)
        if not proven:
            drawn = watermark.draw(connection)
            proven = self._wait_proof(connection, drawn, cancel)
            load = load.model_copy(update={"started_at": drawn.at, "after": None, "documents": 0})
            self._running[kind.number] = load
        load = self._pages(connection, kind, load, proven=proven, cancel=cancel)
        if replaces:
            self._wait_turn(cancel)
        self._finish_load(kind, load)

    def _pages(
        self,
        connection: postgres.Connection,
        kind: Kind,
        load: Load,
        *,
        proven: bool,
        cancel: threading.Event,
    ) -> Load:
        def save() -> bool:
            return proven

        if proven:
            self._covered[kind.number] = load.started_at
            self._keeper.put_load(load)
        return self._loader.pages(connection, kind, load, save=save, cancelled=cancel.is_set)

    def _finish_load(self, kind: Kind, load: Load) -> None:
        self._loader.swap(kind, load, proven=kind.number in self._covered)
        self._floor = min(self._floor or load.started_at, load.started_at)
        del self._running[kind.number]
        self._pipeline.refresh_soon()

    def _resumable(self, load: Load) -> bool:
        return any(one.physical == load.physical for one in self._keeper.loads)

    def _wait_proof(
        self, connection: postgres.Connection, drawn: Draw, cancel: threading.Event
    ) -> bool:
        """Wait for the proof of a load's start.

        Where every table notifies, a late committer is heard anyway: the load then begins after a
        short wait, but is not resumable. Else it waits on, and names who holds it.
        """
        began = time.monotonic()
        named = False
        while not watermark.passed(connection, drawn):
            waited = time.monotonic() - began
            if waited > _NAME_HOLDER_AFTER:
                if not named:
                    named = True
                    self._observe(observations.WatermarkHeld(watermark.holder(connection), waited))
                if self._all_rows:
                    return False
            if self._stop.wait(0.05) or cancel.is_set():
                raise Stopped("the load was stopped")
        return True

    def _wait_turn(self, cancel: threading.Event) -> None:
        """Wait until a tick that began after now is complete: the new index has caught up."""
        turns = self._turns + 2  # the one that runs may have begun before
        self.want_sweep()
        while self._turns < turns:
            self.want_sweep()
            if self._stop.wait(0.02) or cancel.is_set():
                raise Stopped("the load was stopped")

    # -- once ------------------------------------------------------------------------------------

    def _catch_up_once(self) -> None:
        """All that is visible now; waits for nobody's transaction."""
        session = self._wait_for_session()
        self._begin(session)
        assert self._connection is not None
        based = not self._running or self._all_rows
        for number in list(self._running):
            kind = self._loader.kinds[number]
            load = self._running[number]
            known = self._resumable(load)
            if not known:
                drawn = watermark.draw(self._connection)
                known = watermark.passed(self._connection, drawn)
                load = load.model_copy(update={"started_at": drawn.at})
                self._running[number] = load
            based = based or known
            self._running[number] = self._pages(
                self._connection, kind, load, proven=known, cancel=self._cancel
            )
        drawn = watermark.draw(self._connection)
        proven = watermark.passed(self._connection, drawn)
        mark = self._barrier(session)
        since = self._since()
        if since is not None:
            self._scan(session, since)
        while not self._pipeline.wait_settled(mark, self._config.fetch_delay):
            self._current(session)
        for number in list(self._running):
            self._finish_load(self._loader.kinds[number], self._running[number])
        if proven and based and self._pipeline.overflows == self._swept_overflows:
            self._keeper.advance(drawn.at)
        elif not proven:
            waited = time.monotonic() - self._drawn_at if self._draw else 0.0
            self._observe(observations.WatermarkHeld(watermark.holder(self._connection), waited))
        self._history.seen(drawn.lsn)
