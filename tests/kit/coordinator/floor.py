"""A floor: one daemon's coordinator, wired as the daemon does, above fakes of all that it meets."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Final

import pytest
from typing_extensions import override

from listener.capture.notify_queue import NotifyQueue
from listener.changes import Route
from listener.config import Config
from listener.coordinator.audits import Audits
from listener.coordinator.barrier import Barrier
from listener.coordinator.doorbell import Doorbell
from listener.coordinator.once import Once
from listener.coordinator.opening import Opening
from listener.coordinator.peer import Peer
from listener.coordinator.polls import Polls
from listener.coordinator.progress import Progress
from listener.coordinator.receiver import Receiver
from listener.coordinator.retry import Guard
from listener.coordinator.rounds import Coordinator
from listener.coordinator.session import Session
from listener.coordinator.sessions import Sessions
from listener.coordinator.signs import Signs
from listener.coordinator.takeover import Takeover
from listener.coordinator.ticks import Ticker
from listener.documents.topology import Assembly
from listener.postgres import Connection
from listener.runtime.backoff import Backoff
from listener.state.heartbeat import DaemonState, Matter
from listener.state.pulse import Pulse
from tests.kit.coordinator import database
from tests.kit.coordinator.database import FakeConnections, FakeNotifications, FakeTriggers
from tests.kit.coordinator.fence import FakeFence
from tests.kit.coordinator.keeper import NotedKeeper
from tests.kit.coordinator.mailbox import TimedMailbox
from tests.kit.coordinator.pipeline import FakePipeline
from tests.kit.coordinator.resync import FakeAuditor, FakeJobs, FakePlanner
from tests.kit.coordinator.sweep import FakeSweep
from tests.kit.coordinator.watched import FILM, OVERLAP, PERSON
from tests.kit.coordinator.world import World
from tests.kit.indexing import FailingLife
from tests.kit.session import WATERMARK, film_kind, saved_state

_CLOCKS: Final = (
    "audits",
    "doorbell",
    "polls",
    "progress",
    "retry",
    "signs",
    "session",
    "rounds",
    "takeover",
)
"""Modules that ask for the time."""
_DOCUMENT: Final = {
    "table": "film",
    "key": "id",
    "index_config_file": "index.json",
    "query_file": "film.sql",
    "watch": ({"table": "film", "key": "id"},),
}


class FakePulse(Pulse):
    """Shows what is told, and writes nothing."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor

    @override
    def tell(
        self,
        state: DaemonState,
        reason: str | None = None,
        mend: str = "",
        *,
        matters: tuple[Matter, ...] = (),
        last_processed: datetime | None = None,
    ) -> None:
        """How the daemon is now."""
        self._floor.shown.append((state, reason))
        self._floor.mends.append(mend)
        self._floor.matters = matters


class FakePeer(Peer):
    """An active daemon that is as the test says."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor

    @override
    def differs(self) -> Matter | None:
        """What must be put right."""
        return self._floor.peer_differs


class Floor(World):
    """`all_rows`: whether every watched table sends its keys by NOTIFY."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        *,
        all_rows: bool = True,
        give_up_after: float | None = None,
    ) -> None:
        super().__init__()
        self.shown: list[tuple[str, str | None]] = []
        """Signs of life: state and reason."""
        self.mends: list[str] = []
        """What mends each of these."""
        self.matters: tuple[Matter, ...] = ()
        """What waits for a person, as of the last sign."""
        self.peer_differs: Matter | None = None
        """What a standby finds wrong with the active daemon."""
        self._patch(monkeypatch)
        self.life = FailingLife()
        self.life.stop = self.stop
        self.config = Config.model_validate(
            {
                "pipeline": "movies",
                "postgres": {"dbname": "app", "user": "listener"},
                "documents": [{**_DOCUMENT, "index": name} for name in ("films", "actors")],
                "overlap": OVERLAP.total_seconds(),
                "triggers": {"retention": 3600},
                "state_file_name": Path(os.devnull, "state.yaml"),  # nothing can be written there
            }
        )
        self.keeper = NotedKeeper(self)
        self.mailbox = TimedMailbox(self, self.keeper)
        self.pipeline = FakePipeline(self)
        self.jobs = FakeJobs(self)
        self.fence = FakeFence(self)
        self.auditor = FakeAuditor(self)
        self._wire(all_rows=all_rows, give_up_after=give_up_after)

    # -- for tests -------------------------------------------------------------------------------

    def session(self, number: int = 1, *, watermark: datetime | None = WATERMARK) -> Session:
        """A session that has begun and caught up; steps are counted from here on."""
        self.keeper.begin(saved_state(last_processed=watermark))
        self.mailbox.listening(number)
        session = self.new_session(number)
        self.signs.active = True
        self.polls.begin(session)
        self.steps.clear()
        return session

    def new_session(self, number: int = 1) -> Session:
        """A session on the LISTEN connection of this number, which has not begun."""
        return Session(
            number,
            self.connection(),
            mailbox=self.mailbox,
            pipeline=self.pipeline,
            audits=self.audits,
            guard=self.guard,
            signs=self.signs,
            stop=self.stop,
        )

    def connection(self) -> Connection:
        """One that answers."""
        return database.connection(self)

    # -- how it is made --------------------------------------------------------------------------

    def _patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = SimpleNamespace(monotonic=lambda: self.now)
        for name in _CLOCKS:
            monkeypatch.setattr(f"listener.coordinator.{name}.time", clock)
        monkeypatch.setattr("listener.capture.doorbell_lease.time", clock)
        monkeypatch.setattr("listener.coordinator.polls.Sweep", lambda *_: FakeSweep(self))

    def _wire(self, *, all_rows: bool, give_up_after: float | None) -> None:
        pipeline, jobs, fence, auditor = self.pipeline, self.jobs, self.fence, self.auditor
        observe, mailbox, keeper = self.told.append, self.mailbox, self.keeper
        parts = Assembly(
            (FILM, replace(PERSON, notify="rows") if all_rows else PERSON),
            {FILM.id: ("bigint",), PERSON.id: ("bigint",)},
            {FILM.id: False, PERSON.id: False},
            {
                FILM.id: (Route(0, mapped=False),),
                PERSON.id: (Route(0, mapped=True), Route(1, mapped=True)),
            },
            (film_kind(), film_kind("actors", number=1)),
        )
        self.receiver = Receiver(parts.types, {PERSON.id}, pipeline, mailbox)
        self.signs = Signs(
            FakePulse(self),
            pipeline=pipeline,
            jobs=jobs,
            keeper=keeper,
            mailbox=mailbox,
            peer=FakePeer(self),
        )
        self.guard = Guard(Backoff(0.1, 2, 3), give_up_after, observe, self.stop, self.signs)
        self.audits = Audits(
            config=self.config,
            auditor=auditor,
            fence=fence,
            pipeline=pipeline,
            jobs=jobs,
            signs=self.signs,
            observe=observe,
        )
        self.barrier = Barrier("listener", mailbox, FakeNotifications(self), self.signs)
        self.doorbell = Doorbell(mailbox, "listener", longest_wait=1.0)
        self.polls = Polls(
            config=self.config,
            parts=parts,
            mailbox=mailbox,
            doorbell=self.doorbell,
            pipeline=pipeline,
            jobs=jobs,
            keeper=keeper,
            observe=observe,
        )
        progress = Progress(
            config=self.config, all_rows=all_rows, jobs=jobs, keeper=keeper, observe=observe
        )
        self.ticker = Ticker(
            fetch_delay=self.config.fetch_delay,
            queue=NotifyQueue("listener", observe),
            mailbox=mailbox,
            barrier=self.barrier,
            polls=self.polls,
            pipeline=pipeline,
            progress=progress,
            audits=self.audits,
        )
        self.takeover = Takeover(
            fetch_delay=self.config.fetch_delay,
            mailbox=mailbox,
            pipeline=pipeline,
            fence=fence,
            jobs=jobs,
            guard=self.guard,
            signs=self.signs,
            stop=self.stop,
        )
        self.opening = Opening(
            connections=FakeConnections(self),
            triggers=FakeTriggers(self),
            planner=FakePlanner(self, keeper),
            auditor=auditor,
            takeover=self.takeover,
            jobs=jobs,
            polls=self.polls,
            signs=self.signs,
        )
        self.sessions = Sessions(
            mailbox=mailbox,
            takeover=self.takeover,
            opening=self.opening,
            pipeline=pipeline,
            audits=self.audits,
            guard=self.guard,
            signs=self.signs,
            life=self.life,
        )
        self.once = Once(
            fetch_delay=self.config.fetch_delay,
            sessions=self.sessions,
            barrier=self.barrier,
            polls=self.polls,
            pipeline=pipeline,
            jobs=jobs,
            progress=progress,
            stop=self.stop,
        )
        self.coordinator = Coordinator(
            fetch_delay=self.config.fetch_delay,
            sessions=self.sessions,
            ticker=self.ticker,
            polls=self.polls,
            doorbell=self.doorbell,
            mailbox=mailbox,
            life=self.life,
        )
