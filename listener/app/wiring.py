"""All stages of one run: built, connected, started and stopped in order."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial

from listener import postgres, search
from listener.capture.notifications import Notifications
from listener.capture.sweep import Sweep
from listener.config import Config
from listener.coordinator.mailbox import Inbox
from listener.coordinator.polls import Polls
from listener.coordinator.sessions import Coordinator
from listener.documents.kinds import Kind
from listener.documents.topology import Assembly, TriggerStatus, TriggersWrong, ensure_triggers
from listener.indexing.batch import Limits
from listener.indexing.fence import Fence, FencedOut
from listener.indexing.parked_table import ParkedTable
from listener.indexing.pipeline import Pipeline
from listener.observations import events
from listener.observations.events import Observe
from listener.postgres.watchdog import Watchdog
from listener.resync.audit import Auditor
from listener.resync.compare import Comparison
from listener.resync.full_load import Loader
from listener.resync.jobs import Loads
from listener.resync.lookout import Lookout
from listener.resync.meanings import Judge, Meanings
from listener.resync.needs import Asked
from listener.resync.plan import Planner
from listener.resync.reconcile import Reconciler
from listener.resync.scope import Scope
from listener.runtime.backoff import Backoff
from listener.runtime.lifecycle import Stop
from listener.search.indexes import Indexes
from listener.search.versions import Versions
from listener.state.control import ControlDocument
from listener.state.store import Keeper


class Stages:
    """All stages of one run."""

    def __init__(
        self,
        *,
        config: Config,
        parts: Assembly,
        client: search.Client,
        once: bool,
        force: bool,
        repair: bool | None,
        judge: Judge,
        observe: Observe,
        stop: Stop,
        fatal: Callable[[BaseException], None],
    ) -> None:
        """`once`, `force`, `repair`: as of Daemon. `fatal` is told, by any thread, what the process
        cannot go on with.
        """
        versions = Versions()
        control = ControlDocument(client, config.elasticsearch.control_index, config.pipeline)
        indexes = Indexes(client, config.pipeline)

        def waits() -> Backoff:
            return Backoff(config.backoff.start, config.backoff.factor, config.backoff.limit)

        self.keeper = Keeper(config.state_file_name, control, versions, observe)
        parked = ParkedTable(config.postgres.db_schema)
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
            connect=lambda: self._connect(config),
            parked=parked,
            backoff=waits,
            observe=observe,
            on_fenced=self._on_fenced,
            renew_fence=self._renew_fence,
            on_unmapped=self._on_unmapped,
            fatal=fatal,
        )
        self._names = [kind.index for kind in parts.kinds]
        self._observe = observe
        self._fence = fence = Fence(
            control=control,
            indexes=indexes,
            versions=versions,
            pipeline=self.pipeline,
            names=self._names,
            observe=observe,
        )
        lookout = Lookout(indexes, self.keeper)
        loader = Loader(
            kinds=parts.kinds,
            pipeline=self.pipeline,
            fence=fence,
            indexes=indexes,
            keeper=self.keeper,
            lookout=lookout,
            page_size=config.page_size,
            take=force,
            observe=observe,
            stop=stop,
        )
        scope = Scope(
            config.pipeline,
            config.postgres.db_schema,
            parts.watches,
            parts.kinds,
            timedelta(seconds=config.overlap),
        )
        meanings = Meanings(scope, self.keeper, judge)
        auditor = Auditor(
            scope,
            keeper=self.keeper,
            indexes=indexes,
            lookout=lookout,
            meanings=meanings,
            status=TriggerStatus(config, parts),
        )
        self._planner = planner = Planner(
            scope,
            Asked(force, repair),
            control=control,
            indexes=indexes,
            keeper=self.keeper,
            lookout=lookout,
            meanings=meanings,
            auditor=auditor,
            observe=observe,
        )
        doorbells = {watch.id for watch in parts.watches if watch.notify == "doorbell"}
        self._inbox = Inbox(parts.types, doorbells, self.pipeline)

        def compare(connection: postgres.Connection, kind: Kind, index: str) -> Comparison:
            return Comparison(kind.source, client, index, parked.ids(connection, kind.index))

        def ensure(connection: postgres.Connection) -> None:
            try:
                ensure_triggers(config, connection, parts, observe, stop)
            except TriggersWrong:
                auditor.distrust()
                raise

        all_rows = all(watch.notify == "rows" for watch in parts.watches)
        self.loads = Loads(
            config=config,
            loader=loader,
            fence=fence,
            keeper=self.keeper,
            lookout=lookout,
            all_rows=all_rows,
            observe=observe,
            stop=stop,
            fatal=fatal,
            on_fenced=self._inbox.on_fenced,
            catch_up=self._catch_up,
            refresh_soon=self.pipeline.refresh_soon,
            reconciler=Reconciler(self.pipeline, observe),
            compare=compare,
            settle=planner.settings.settle,
        )
        polls = Polls(
            config=config,
            documents_of=parts.documents_of,
            new_sweep=partial(
                Sweep, parts.watches, parts.types, parts.zoneless, config.postgres.db_schema
            ),
            inbox=self._inbox,
            pipeline=self.pipeline,
            loads=self.loads,
            keeper=self.keeper,
            observe=observe,
        )
        self.coordinator = Coordinator(
            config=config,
            all_rows=all_rows,
            polls=polls,
            ensure_triggers=ensure,
            inbox=self._inbox,
            pipeline=self.pipeline,
            fence=fence,
            loads=self.loads,
            keeper=self.keeper,
            planner=planner,
            auditor=auditor,
            backoff=waits(),
            observe=observe,
            stop=stop,
            fatal=fatal,
            cut=self._cut,
            give_up_after=config.backoff.give_up_after if once else None,
        )
        self.notifications = Notifications(
            config.postgres,
            self._inbox,
            backoff=waits(),
            observe=observe,
            stop=stop,
            standby=not once,
            fatal=fatal,
        )
        self._watchdog = Watchdog(config.postgres, observe, stop)
        self._once = once

    def _connect(self, config: Config) -> postgres.Connection:
        connection = postgres.connect(config.postgres, "listener: documents", timed=True)
        try:
            self._planner.settings.settle(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _on_fenced(self) -> None:
        self._inbox.on_fenced()

    def _on_unmapped(self, document: int, watch: str, reason: str) -> None:
        index = self._names[document]
        if self._inbox.on_unmapped(document, f"{watch}: its mapping_file failed: {reason}"):
            # the watermark must not pass them
            self.keeper.want_reconcile(index, unguarded=False, outlives_load=True)
            self._observe(events.MappingFailed(index, watch, reason))

    def _renew_fence(self) -> str | None:
        try:
            self._fence.renew()
        except FencedOut as error:
            reason = str(error)
        except search.NotFound as error:
            # an index that is gone takes no alias: a new session finds out, and loads it
            reason = search.describe(error)
        else:
            return None
        self._inbox.on_fenced()
        return reason

    def _catch_up(self, cancelled: Callable[[], bool]) -> bool:
        return self.coordinator.catch_up(cancelled)

    def _cut(self) -> None:
        self.notifications.cut()

    def start(self) -> None:
        """Start the threads; in once mode the caller's own thread does the coordinator's work."""
        self._watchdog.start()
        self.pipeline.start()
        self.notifications.start()
        if not self._once:
            self.coordinator.start()

    def stop(self) -> None:
        """Finish what is in flight, end all threads, save the state."""
        self.pipeline.stop()
        self.coordinator.join()
        self.notifications.join()
        self._watchdog.join()
        self.keeper.save(now=True)
        self.keeper.save_control(now=True)
        self.keeper.save(now=True)  # what the control document is now
