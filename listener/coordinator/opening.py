"""How a session begins: everything that a new connection needs, up to the first sweep."""

from __future__ import annotations

from functools import partial
from typing import Final

from listener.coordinator.polls import Polls
from listener.coordinator.session import Session
from listener.coordinator.signs import Signs
from listener.coordinator.takeover import Takeover
from listener.documents.connections import Connections
from listener.documents.upkeep import TriggersWrong, TriggerUpkeep
from listener.observations.events import ServerName
from listener.postgres import Connection
from listener.resync.audit import Auditor
from listener.resync.jobs import Jobs
from listener.resync.plan import Planner
from listener.state.heartbeat import waiting_for
from listener.triggers import Busy

_WAITING: Final = waiting_for(ServerName.POSTGRES)


class Opening:
    """For the coordinator's thread alone. In another order of its steps rows would be lost: LISTEN,
    which the notifications thread has done; then triggers, plan, generation, loads; then the sweep.
    """

    def __init__(
        self,
        *,
        connections: Connections,
        triggers: TriggerUpkeep,
        planner: Planner,
        auditor: Auditor,
        takeover: Takeover,
        jobs: Jobs,
        polls: Polls,
        signs: Signs,
    ) -> None:
        self._connections = connections
        self._triggers = triggers
        self._planner = planner
        self._auditor = auditor
        self._takeover = takeover
        self._jobs = jobs
        self._polls = polls
        self._signs = signs

    def connect(self) -> Connection:
        """The connection of the next session. Refusals to the one before are told first."""
        self._takeover.heed_refusals()
        return self._connections.first("listener: watermark")

    def begin(self, session: Session) -> None:
        """Begin it, and catch up. Errors of both clients pass through, and what a person must mend:
        TriggersWrong, QueriesWrong, IndexError_; also Busy, FencedOut and Reassemble."""
        connection = session.connection
        self._jobs.end()
        self._ensure_triggers(connection)
        findings = self._planner.begin(connection)
        self._jobs.forget()
        self._takeover.begin(connection, findings)
        self._auditor.renew(connection)
        self._jobs.begin(connection, findings.needs)
        self._polls.begin(session)
        self._polls.catch_up()

    def _ensure_triggers(self, connection: Connection) -> None:
        try:
            self._triggers.ensure(connection, partial(self._signs.tell, _WAITING))
        except (TriggersWrong, Busy):
            self._auditor.distrust()
            raise
