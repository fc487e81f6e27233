"""How a session begins: everything that a new connection needs, up to the first sweep."""

from __future__ import annotations

import time

from listener import search
from listener.coordinator.mailbox import Mailbox
from listener.coordinator.polls import Polls
from listener.coordinator.session import Session
from listener.coordinator.signs import Signs
from listener.documents.connections import Connections
from listener.documents.topology import TriggersWrong, TriggerUpkeep
from listener.indexing.fence import Fence, FencedOut
from listener.indexing.pipeline import Pipeline
from listener.observations import events
from listener.observations.events import Observe
from listener.postgres import Connection
from listener.resync.audit import Auditor
from listener.resync.jobs import Jobs
from listener.resync.plan import Planner
from listener.state.store import Keeper


class Opening:
    """Of the coordinator's thread. The order of its steps was bought with lost rows: LISTEN, which
    the notifications thread has done; then triggers, plan, generation, loads; then the sweep.
    """

    def __init__(
        self,
        *,
        connections: Connections,
        triggers: TriggerUpkeep,
        planner: Planner,
        auditor: Auditor,
        pipeline: Pipeline,
        fence: Fence,
        jobs: Jobs,
        polls: Polls,
        keeper: Keeper,
        mailbox: Mailbox,
        signs: Signs,
        observe: Observe,
    ) -> None:
        self._connections = connections
        self._triggers = triggers
        self._planner = planner
        self._auditor = auditor
        self._pipeline = pipeline
        self._fence = fence
        self._jobs = jobs
        self._polls = polls
        self._keeper = keeper
        self._mailbox = mailbox
        self._signs = signs
        self._observe = observe

    def connect(self) -> Connection:
        """The connection of the next session; what belongs to the one before ends first."""
        if self._mailbox.is_fenced:
            self._tell_fence()
            self._mailbox.unfence()
        return self._connections.first("listener: watermark")

    def begin(self, session: Session) -> None:
        """Begin it, and catch up. Errors of both clients pass through, and what a person must mend:
        TriggersWrong, QueriesWrong, IndexError_; also FencedOut and Reassemble."""
        started = time.monotonic()
        connection = session.connection
        self._jobs.end()
        self._ensure_triggers(connection)
        findings = self._planner.begin(connection)
        self._jobs.forget()
        self._pipeline.know_parked(connection)
        self._pipeline.renew()
        resumed = {one.resume.physical for one in findings.plans if one.resume}
        self._fence.begin(findings.current, resumed)
        self._mailbox.unfence()  # verdicts on the generation before
        if not self._signs.active:
            self._signs.active = True
            self._pipeline.resume()
        self._auditor.renew(connection)
        self._jobs.begin(connection, findings.plans)
        self._polls.begin(session)
        since = self._polls.since()
        if since is not None:
            self._mailbox.take_sweep()
            rows = self._polls.catch_up(since)
            self._observe(
                events.CaughtUp(rows, time.monotonic() - started, self._keeper.last_processed)
            )
        self._keeper.save_control(now=True)  # a standby must not catch up once more

    def step_down(self) -> None:
        """Another daemon is active: send nothing more until a session of ours begins."""
        if self._signs.active:
            self._signs.active = False
            self._pipeline.pause()
            self._jobs.end()
            self._tell_fence()

    def _ensure_triggers(self, connection: Connection) -> None:
        try:
            self._triggers.ensure(connection)
        except TriggersWrong:
            self._auditor.distrust()
            raise

    def _tell_fence(self) -> None:
        """Say so where the generation in force is not ours."""
        try:
            self._fence.confirm()
        except FencedOut:
            return  # which it has said
        except search.Error:
            return  # an outage: the generation in force is seen at the next write
