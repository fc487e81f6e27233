"""Wiring: all parts of one run, built in the order in which they know each other.

Capture, indexing and search know nothing of what stands above them; what they must tell upwards
they leave in the coordinator's mailbox. It is long because it is the only place that knows all
constructors, and holds nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from listener import search
from listener.capture.notifications import Notifications
from listener.capture.notify_queue import NotifyQueue
from listener.config import Config
from listener.coordinator.audits import Audits
from listener.coordinator.barrier import Barrier
from listener.coordinator.doorbell import Doorbell
from listener.coordinator.mailbox import Mailbox
from listener.coordinator.once import Once
from listener.coordinator.opening import Opening
from listener.coordinator.peer import Peer
from listener.coordinator.polls import Polls
from listener.coordinator.progress import Progress
from listener.coordinator.receiver import Receiver
from listener.coordinator.retry import Guard
from listener.coordinator.rounds import Coordinator
from listener.coordinator.sessions import Sessions
from listener.coordinator.signs import Signs
from listener.coordinator.takeover import Takeover
from listener.coordinator.ticks import Ticker
from listener.documents.connections import Connections
from listener.documents.topology import Assembly
from listener.documents.upkeep import TriggerUpkeep
from listener.indexing.answers import Answers
from listener.indexing.batch import Limits
from listener.indexing.batch_size import BatchSize
from listener.indexing.batcher import Batcher
from listener.indexing.fence import Fence
from listener.indexing.gate import Gate
from listener.indexing.ledger import Ledger
from listener.indexing.outage import KindOutages, Outage, Outages
from listener.indexing.parked_sync import ParkedSync
from listener.indexing.parked_table import ParkedTable
from listener.indexing.pipeline import Pipeline
from listener.indexing.reader import Reader
from listener.indexing.refresher import Refresher
from listener.indexing.senders import Senders
from listener.indexing.worker import Worker
from listener.observations.events import Observe, ServerName
from listener.postgres.watchdog import Watchdog
from listener.resync.audit import Auditor
from listener.resync.compare import Comparisons
from listener.resync.comparison_run import ComparisonRun
from listener.resync.full_load import Loader
from listener.resync.jobs import Jobs
from listener.resync.load_run import LoadRun
from listener.resync.loader_thread import LoaderThread
from listener.resync.lookout import Lookout
from listener.resync.meanings import Judge, Meanings
from listener.resync.needs import Needs
from listener.resync.plan import Planner
from listener.resync.proofs import Proofs
from listener.resync.reconcile import Reconciler
from listener.resync.rollbacks import Rollbacks, Terms
from listener.resync.runner import Runner
from listener.resync.scope import Scope
from listener.resync.survey import Asked, Surveyor
from listener.resync.swap_guard import SwapGuard
from listener.resync.under_way import UnderWay
from listener.resync.went_back import SearchPast
from listener.runtime.backoff import Backoff
from listener.runtime.lifecycle import Life
from listener.search.indexes import Indexes
from listener.search.versions import Versions
from listener.state.control import ControlDocument
from listener.state.pulse import Pulse
from listener.state.store import Keeper


@dataclass(frozen=True, slots=True)
class Run:
    """What all parts of one run share.

    `asked`: what a person asked of it. `once`: catch up and end. `judge` looks at the SQL files
    again where they mean something else by now.
    """

    config: Config
    parts: Assembly
    client: search.Client
    asked: Asked
    once: bool
    judge: Judge
    pulse: Pulse
    observe: Observe
    life: Life

    def outages(self) -> tuple[Outage, Outage]:
        """One of each server."""
        return (
            Outage(ServerName.POSTGRES, self.waits(), self.observe),
            Outage(ServerName.ELASTICSEARCH, self.waits(), self.observe),
        )

    def waits(self) -> Backoff:
        """Waits between tries, for one part."""
        limits = self.config.backoff
        return Backoff(limits.start, limits.factor, limits.limit)


class _Ground:
    """What stands below indexing; and the mailbox, in which it leaves what it must tell upwards."""

    def __init__(self, run: Run) -> None:
        config = run.config
        self.versions = Versions()
        self.control = ControlDocument(
            run.client, config.elasticsearch.control_index, config.pipeline
        )
        self.indexes = Indexes(run.client, config.pipeline)
        self.keeper = Keeper(config.state_file_name, self.control, self.versions, run.observe)
        self.connections = Connections(config.postgres)
        self.triggers = TriggerUpkeep(config, run.parts, run.observe, run.life.stop)
        self.parked = ParkedTable(config.postgres.db_schema)
        aliases = [kind.index for kind in run.parts.kinds]
        self.mailbox = Mailbox(aliases, self.keeper, run.observe, run.life.stop)


class _Indexing:
    """From changed keys to verdicts."""

    def __init__(self, run: Run, ground: _Ground) -> None:
        config, observe, life = run.config, run.observe, run.life
        sources = [kind.source for kind in run.parts.kinds]
        limits = Limits(
            config.batch_documents, config.batch_bytes, config.pending_limit, config.max_parked
        )
        size = BatchSize(len(sources), limits)
        gate = Gate(len(sources), ground.versions)
        ledger = Ledger(sources, gate, size, limits)
        outages = Outages(*run.outages(), [KindOutages(*run.outages()) for _ in sources])
        self.fence = Fence(
            control=ground.control,
            indexes=ground.indexes,
            gate=gate,
            ledger=ledger,
            outages=outages,
            kinds=run.parts.kinds,
            observe=observe,
        )
        refresher = Refresher(
            ledger=ledger, gate=gate, client=run.client, observe=observe, life=life
        )
        answers = Answers(gate, ledger, self.fence, outages, ground.mailbox)
        senders = Senders(
            ledger=ledger,
            refresher=refresher,
            sources=sources,
            client=run.client,
            answers=answers,
            observe=observe,
            life=life,
        )
        parked = ParkedSync(ledger, gate, sources, ground.parked, observe)
        reader = Reader(
            connections=ground.connections,
            sources=sources,
            ledger=ledger,
            size=size,
            parked=parked,
            senders=senders,
            observe=observe,
        )
        batcher = Batcher(
            ledger=ledger,
            gate=gate,
            size=size,
            sources=sources,
            outages=outages,
            supervisor=ground.mailbox,
        )
        worker = Worker(
            ledger=ledger,
            gate=gate,
            batcher=batcher,
            reader=reader,
            senders=senders,
            outages=outages,
            answers=answers,
            life=life,
        )
        self.pipeline = Pipeline(
            ledger=ledger,
            routes=run.parts.routes,
            sources=sources,
            parked=parked,
            worker=worker,
            refresher=refresher,
            outages=outages,
            observe=observe,
        )


class _Resync:
    """Full loads, comparisons, and what decides that one is needed."""

    def __init__(self, run: Run, ground: _Ground, indexing: _Indexing) -> None:
        config, observe = run.config, run.observe
        kinds, keeper, indexes = run.parts.files, ground.keeper, ground.indexes
        lookout = Lookout(indexes, keeper)
        rollbacks = Rollbacks(
            kinds,
            fence=indexing.fence,
            indexes=indexes,
            keeper=keeper,
            pipeline=indexing.pipeline,
            terms=Terms(
                config.keep_former,
                config.backoff.give_up_after,
                run.asked.force,
                run.asked.rollback,
            ),
            observe=observe,
        )
        loader = Loader(
            pipeline=indexing.pipeline,
            fence=indexing.fence,
            indexes=indexes,
            keeper=keeper,
            lookout=lookout,
            page_size=config.page_size,
            rollbacks=rollbacks,
            observe=observe,
        )
        under_way = UnderWay(kinds, fence=indexing.fence, keeper=keeper, observe=observe)
        reconciler = Reconciler(indexing.pipeline, Comparisons(run.client, ground.parked), observe)
        proofs = Proofs(all_rows=run.parts.all_rows, observe=observe)
        guard = SwapGuard(
            client=run.client,
            indexes=indexes,
            parked=ground.parked,
            pipeline=indexing.pipeline,
            under_way=under_way,
            keeper=keeper,
            observe=observe,
            patience=config.backoff.give_up_after / 2,
        )
        loads = LoadRun(
            under_way=under_way,
            loader=loader,
            reconciler=reconciler,
            fence=indexing.fence,
            keeper=keeper,
            ticks=ground.mailbox,
            proofs=proofs,
            guard=guard,
        )
        comparisons = ComparisonRun(
            under_way=under_way,
            reconciler=reconciler,
            pipeline=indexing.pipeline,
            fence=indexing.fence,
            keeper=keeper,
            lookout=lookout,
            proofs=proofs,
            observe=observe,
        )
        runner = Runner(under_way, loads, comparisons)
        thread = LoaderThread(
            under_way=under_way,
            runner=runner,
            connections=ground.connections,
            waits=run.waits(),
            supervisor=ground.mailbox,
            observe=observe,
            life=run.life,
        )
        self.jobs = Jobs(
            under_way=under_way,
            runner=runner,
            loader=loader,
            fence=indexing.fence,
            keeper=keeper,
            rollbacks=rollbacks,
            thread=None if run.once else thread,
            observe=observe,
        )
        scope = Scope(
            config.pipeline,
            config.postgres.db_schema,
            run.parts.watches,
            kinds,
            timedelta(seconds=config.overlap),
            [kind for kind in run.parts.kinds if kind not in kinds],
            run.parts.unfit,
            config.keep_former,
        )
        meanings = Meanings(scope, keeper, run.judge)
        self.auditor = Auditor(
            scope,
            keeper=keeper,
            indexes=indexes,
            lookout=lookout,
            meanings=meanings,
            status=ground.triggers,
        )
        surveyor = Surveyor(
            scope,
            run.asked,
            control=ground.control,
            indexes=indexes,
            keeper=keeper,
            past=SearchPast(indexes, lookout, observe),
            meanings=meanings,
            observe=observe,
        )
        self.planner = Planner(
            scope,
            surveyor=surveyor,
            needs=Needs(scope, indexes, keeper, observe),
            keeper=keeper,
            meanings=meanings,
            auditor=self.auditor,
            connections=ground.connections,
            observe=observe,
        )


class Stages:
    """All parts of one run: built, started and stopped in order."""

    def __init__(self, run: Run) -> None:
        config, observe, life = run.config, run.observe, run.life
        ground = _Ground(run)
        indexing = _Indexing(run, ground)
        resync = _Resync(run, ground, indexing)
        self._threaded = not run.once
        mailbox = ground.mailbox
        keeper = self._keeper = ground.keeper
        pipeline = self._pipeline = indexing.pipeline
        jobs = self._jobs = resync.jobs
        signs = Signs(
            run.pulse,
            pipeline=pipeline,
            jobs=jobs,
            keeper=keeper,
            mailbox=mailbox,
            peer=Peer(ground.control, config.pipeline, [kind.index for kind in run.parts.files]),
        )
        patience = config.backoff.give_up_after if run.once else None
        guard = Guard(run.waits(), patience, observe, life.stop, signs)
        audits = Audits(
            config=config,
            auditor=resync.auditor,
            fence=indexing.fence,
            pipeline=pipeline,
            jobs=jobs,
            signs=signs,
            observe=observe,
        )
        doorbells = {watch.id for watch in run.parts.watches if watch.rings}
        receiver = Receiver(run.parts.types, doorbells, pipeline, mailbox)
        self._notifications = Notifications(
            config.postgres,
            receiver,
            backoff=run.waits(),
            observe=observe,
            standby=not run.once,
            life=life,
        )
        barrier = Barrier(config.postgres.db_schema, mailbox, self._notifications, signs)
        doorbell = Doorbell(mailbox, config.postgres.db_schema, config.fetch_delay)
        polls = Polls(
            config=config,
            parts=run.parts,
            mailbox=mailbox,
            doorbell=doorbell,
            pipeline=pipeline,
            jobs=jobs,
            keeper=keeper,
            observe=observe,
        )
        progress = Progress(
            config=config, all_rows=run.parts.all_rows, jobs=jobs, keeper=keeper, observe=observe
        )
        ticker = Ticker(
            fetch_delay=config.fetch_delay,
            queue=NotifyQueue(config.postgres.db_schema, observe),
            mailbox=mailbox,
            barrier=barrier,
            polls=polls,
            pipeline=pipeline,
            progress=progress,
            audits=audits,
        )
        takeover = Takeover(
            fetch_delay=config.fetch_delay,
            mailbox=mailbox,
            pipeline=pipeline,
            fence=indexing.fence,
            jobs=jobs,
            guard=guard,
            signs=signs,
            stop=life.stop,
        )
        opening = Opening(
            connections=ground.connections,
            triggers=ground.triggers,
            planner=resync.planner,
            auditor=resync.auditor,
            takeover=takeover,
            jobs=jobs,
            polls=polls,
            signs=signs,
        )
        self._sessions = Sessions(
            mailbox=mailbox,
            takeover=takeover,
            opening=opening,
            pipeline=pipeline,
            audits=audits,
            guard=guard,
            signs=signs,
            life=life,
        )
        self._once = Once(
            fetch_delay=config.fetch_delay,
            sessions=self._sessions,
            barrier=barrier,
            polls=polls,
            pipeline=pipeline,
            jobs=jobs,
            progress=progress,
            stop=life.stop,
        )
        self._coordinator = Coordinator(
            fetch_delay=config.fetch_delay,
            sessions=self._sessions,
            ticker=ticker,
            polls=polls,
            doorbell=doorbell,
            mailbox=mailbox,
            life=life,
        )
        self._watchdog = Watchdog(config.postgres, observe, life)

    @property
    def guarded(self) -> bool:
        """Whether documents were not deleted, because they were too many, or an index was not
        swapped in because it lacks too many."""
        return bool(self._jobs.guarded or self._jobs.refusals)

    @property
    def without_documents(self) -> bool:
        """Whether the load of a table with rows gave no document."""
        return self._jobs.without_documents

    @property
    def parked(self) -> int:
        """How many documents are parked."""
        return self._pipeline.parked

    def start(self) -> None:
        """Start the threads. With --once the caller's own thread does the rest, in `catch_up`."""
        self._watchdog.start()
        self._pipeline.start()
        self._notifications.start()
        if self._threaded:
            self._coordinator.start()

    def catch_up(self) -> None:
        """The work of --once."""
        self._once.run()

    def stop(self) -> None:
        """Finish what is in flight, end all threads, save the state."""
        self._pipeline.stop()
        self._coordinator.join()
        self._jobs.end()
        self._sessions.close()
        self._notifications.join()
        self._watchdog.join()
        self._keeper.save(now=True)
        self._keeper.save_control(now=True)
        self._keeper.save(now=True)  # what the control document is now
