"""The daemon: builds the stages, starts and stops them, and turns what ends it into a status."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import IntEnum
from functools import partial

import psycopg

from listener import __version__, assembly, elastic, observations, postgres, state, triggers
from listener.assembly import Assembly
from listener.backoff import Backoff, backoff
from listener.batches import Limits
from listener.config import Config
from listener.control import ControlDocument
from listener.coordinator import Coordinator, GaveUp
from listener.documents import QueryFileError
from listener.fence import Fence
from listener.history import ForeignState, History
from listener.inbox import Inbox
from listener.indexes import IndexError_, Indexes
from listener.keeper import Keeper
from listener.lifecycle import Stop, Stopped
from listener.loader import AliasTaken, Loader
from listener.loads import Loads
from listener.notifications import AlreadyActive, Notifications, Pooled
from listener.observations import Observe
from listener.parked import ParkedTable
from listener.pipeline import Pipeline
from listener.settings import ConfigError
from listener.sink import Versions
from listener.state import State, StateError
from listener.sweep import Sweep
from listener.watchdog import Watchdog


class Status(IntEnum):
    """Exit statuses of run, --once and load."""

    OK = 0
    PARKED = 1
    USAGE = 2
    GAVE_UP = 3
    ACTIVE = 4
    DEFECT = 70


class Refused(Exception):
    """The configuration and the servers do not fit; the message says what to mend."""


REFUSALS = (
    AliasTaken,
    ConfigError,
    ForeignState,
    IndexError_,
    Pooled,
    QueryFileError,
    Refused,
    StateError,
    triggers.TriggerError,
)


SERVER_ERRORS: tuple[type[Exception], ...] = (GaveUp, psycopg.Error, *elastic.Error)


class Daemon:
    """One run of a pipeline: for ever, once, or a full load."""

    def __init__(
        self,
        config: Config,
        *,
        observe: Observe,
        stop: Stop,
        once: bool = False,
        force: bool = False,
    ) -> None:
        """`once`: catch up and return. `force`: load everything anew, whatever was saved."""
        self._config = config
        self._observe = observe
        self._stop = stop
        self._once = once
        self._force = force
        self._ended = threading.Lock()
        self._reason: BaseException | None = None

    def run(self) -> Status:
        """Work until done or stopped. Returns when everything has stopped."""
        mode = "full load" if self._force else "once" if self._once else "daemon"
        self._observe(observations.Started(__version__, self._config.pipeline, mode))
        try:
            status = self._work()
        except Stopped:
            status = Status.OK
        except SERVER_ERRORS as error:
            self._observe(observations.Ended(self._describe(error)))
            status = Status.GAVE_UP
        except AlreadyActive as error:
            self._observe(observations.Ended(f"already active: {error}"))
            status = self._beside_active() if self._once and not self._force else Status.ACTIVE
        except REFUSALS as error:
            self._observe(observations.Ended(self._describe(error)))
            status = Status.USAGE
        self._observe(observations.StoppedAll(int(status)))
        return status

    @staticmethod
    def _describe(error: BaseException) -> str:
        if isinstance(error, psycopg.Error):
            return f"PostgreSQL: {postgres.describe(error)}"
        if isinstance(error, elastic.Error):
            return f"Elasticsearch: {elastic.describe(error)}"
        return str(error)

    # -- before the threads ----------------------------------------------------------------------

    def _prepare(self) -> Assembly:
        """Triggers and checks, with patience for servers that are not up yet."""

        def look() -> Assembly:
            with postgres.connect(self._config.postgres, "listener: start") as connection:
                self._ensure_triggers(connection)
                try:
                    return assembly.assemble(self._config, connection)
                except ValueError as error:
                    if isinstance(error, REFUSALS):
                        raise
                    raise Refused(str(error)) from error

        waits = self._config.backoff
        decorate = backoff(
            start=waits.start,
            factor=waits.factor,
            limit=waits.limit,
            exceptions=(psycopg.OperationalError,),
            stop=self._stop,
            on_wait=lambda attempt, seconds, error: self._observe(
                observations.Waiting("PostgreSQL", attempt, seconds, error)
            ),
            give_up_after=waits.give_up_after if self._once else None,
        )
        return decorate(look)()

    def _ensure_triggers(self, connection: postgres.Connection) -> None:
        config = self._config
        watches = assembly.watches_of(config)
        schema = config.postgres.db_schema
        role = config.postgres.user
        if config.triggers.install == "auto":
            triggers.install(
                connection,
                watches,
                schema,
                config.triggers,
                role,
                observe=self._observe,
                stop=self._stop,
            )
            return
        missing = triggers.status(connection, watches, schema, config.triggers, role)
        if missing:
            raise Refused(
                "the triggers are not as they should be: "
                + "; ".join(missing[:5])
                + (f"; and {len(missing) - 5} more" if len(missing) > 5 else "")
                + ". Run `listener triggers install` (or `listener triggers print` for the SQL), "
                "or set triggers.install to auto"
            )

    # -- the stages ------------------------------------------------------------------------------

    def _work(self) -> Status:
        config = self._config
        saved = None if self._force else state.read(config.state_file_name)
        parts = self._prepare()
        client = elastic.connect(config.elasticsearch)
        built = _Built(self, config, parts, client, saved)
        try:
            built.start()
            if self._once:
                built.coordinator.run_once()
            else:
                self._stop.wait()
        finally:
            stopped = self._stop.requested
            self._stop.request()
            built.stop()
        if self._reason is not None:
            raise self._reason
        if built.pipeline.crashed:
            return Status.DEFECT
        if self._once and stopped:
            return Status.GAVE_UP
        return Status.PARKED if self._once and built.pipeline.parked else Status.OK

    def fatal(self, error: BaseException) -> None:
        """A thread cannot go on: stop everything. The first error counts."""
        with self._ended:
            if self._reason is None:
                self._reason = error
        if not isinstance(error, (*REFUSALS, AlreadyActive, GaveUp, Stopped)):
            name = threading.current_thread().name
            self._observe(observations.Crashed(name, f"{type(error).__name__}: {error}"))
        self._stop.request()

    def _beside_active(self) -> Status:
        """--once beside an active daemon writes nothing: it waits for that one's watermark."""
        config = self._config
        with postgres.connect(config.postgres, "listener: once") as connection:
            row = connection.execute("SELECT pg_catalog.clock_timestamp()").fetchone()
        assert row is not None
        wanted: datetime = row[0]
        control = ControlDocument(
            elastic.connect(config.elasticsearch),
            config.elasticsearch.control_index,
            config.pipeline,
        )
        waiting = Stop()
        deadline = time.monotonic() + max(config.backoff.give_up_after, 15)
        while time.monotonic() < deadline:
            try:
                found = control.read().state
            except elastic.Error:
                found = None
            if found is not None and found.last_processed and found.last_processed >= wanted:
                return Status.OK
            waiting.wait(0.25)
        return Status.ACTIVE


class _Built:
    """All stages of one run."""

    def __init__(
        self,
        daemon: Daemon,
        config: Config,
        parts: Assembly,
        client: elastic.Client,
        saved: State | None,
    ) -> None:
        observe, stop = daemon._observe, daemon._stop
        versions = Versions()
        control = ControlDocument(client, config.elasticsearch.control_index, config.pipeline)
        indexes = Indexes(client, config.pipeline)

        def waits() -> Backoff:
            return Backoff(config.backoff.start, config.backoff.factor, config.backoff.limit)

        self.keeper = Keeper(config.state_file_name, control, lambda: versions.generation, observe)
        self.pipeline = Pipeline(
            sources=[kind.source for kind in parts.kinds],
            routes=parts.routes,
            limits=Limits(
                config.batch_documents,
                config.batch_bytes,
                config.pending_limit,
                config.max_parked,
            ),
            client=client,
            versions=versions,
            connect=partial(postgres.connect, config.postgres, "listener: documents"),
            parked=ParkedTable(config.postgres.db_schema),
            backoff=waits,
            observe=observe,
            on_fenced=self._on_fenced,
        )
        fence = Fence(
            control=control,
            indexes=indexes,
            versions=versions,
            pipeline=self.pipeline,
            names=[kind.index for kind in parts.kinds],
            observe=observe,
        )
        loader = Loader(
            kinds=parts.kinds,
            pipeline=self.pipeline,
            fence=fence,
            indexes=indexes,
            keeper=self.keeper,
            page_size=config.page_size,
            observe=observe,
            stop=stop,
        )
        history = History(
            pipeline=config.pipeline,
            watches=parts.watches,
            schema=config.postgres.db_schema,
            kinds=parts.kinds,
            saved=saved,
            force=daemon._force,
            overlap=timedelta(seconds=config.overlap),
            control=control,
            indexes=indexes,
            keeper=self.keeper,
            observe=observe,
        )
        self._inbox = Inbox(parts.types, self.pipeline)
        all_rows = all(watch.notify == "rows" for watch in parts.watches)
        loads = Loads(
            config=config,
            loader=loader,
            fence=fence,
            keeper=self.keeper,
            all_rows=all_rows,
            observe=observe,
            stop=stop,
            fatal=daemon.fatal,
            on_fenced=self._inbox.on_fenced,
            catch_up=self._catch_up,
            refresh_soon=self.pipeline.refresh_soon,
        )
        self.coordinator = Coordinator(
            config=config,
            documents_of=parts.documents_of,
            all_rows=all_rows,
            new_sweep=partial(
                Sweep, parts.watches, parts.types, parts.zoneless, config.postgres.db_schema
            ),
            inbox=self._inbox,
            pipeline=self.pipeline,
            fence=fence,
            loads=loads,
            keeper=self.keeper,
            history=history,
            backoff=waits(),
            observe=observe,
            stop=stop,
            fatal=daemon.fatal,
            cut=self._cut,
            give_up_after=config.backoff.give_up_after if daemon._once else None,
        )
        self.notifications = Notifications(
            config.postgres,
            self._inbox,
            backoff=waits(),
            observe=observe,
            stop=stop,
            fatal=daemon.fatal,
        )
        self._watchdog = Watchdog(config.postgres, observe, stop)
        self._daemon = daemon

    def _on_fenced(self) -> None:
        self._inbox.on_fenced()

    def _catch_up(self, cancelled: Callable[[], bool]) -> bool:
        return self.coordinator.catch_up(cancelled)

    def _cut(self) -> None:
        self.notifications.cut()

    def start(self) -> None:
        """Start the threads; in once mode the caller's own thread does the coordinator's work."""
        self._watchdog.start()
        self.pipeline.start()
        self.notifications.start()
        if not self._daemon._once:
            self.coordinator.start()

    def stop(self) -> None:
        """Finish what is in flight, end all threads, save the state."""
        self.pipeline.stop()
        self.coordinator.join()
        self.notifications.join()
        self._watchdog.join()
        self.keeper.save(now=True)
        self.keeper.save_control(now=True)
