"""The coordinator without servers: its real classes above fakes that note each step.

A `Floor` wires `listener.coordinator` as the daemon does. What stands below it is faked: pipeline,
loads, fence, planner, auditor, sweep and the connection. Each call that matters is one entry of
`steps`, and any of them can be told to fail, or to be the moment at which something else happens.
Time is a number that grows where something waits, so no test sleeps.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest
from psycopg import sql

from listener.capture.notify_queue import NotifyQueue
from listener.capture.sweep import SweptPage
from listener.changes import Change, Key, Route, Watch, decode_payload
from listener.coordinator.audits import Audits
from listener.coordinator.barrier import Barrier
from listener.coordinator.doorbell import Doorbell
from listener.coordinator.mailbox import Mailbox
from listener.coordinator.once import Once
from listener.coordinator.opening import Opening
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
from listener.indexing.outage import Trouble
from listener.indexing.queue import Job
from listener.observations.events import Observation
from listener.resync.under_way import Wanted
from listener.runtime.backoff import Backoff
from listener.runtime.lifecycle import Stop
from listener.search.aliases import Astray
from listener.search.versions import Versions
from listener.sql import files
from listener.state.store import Keeper
from tests.kit.indexing import FailingLife
from tests.kit.session import NOW, WATERMARK, film_kind, saved_state

FILM = Watch("public", "film", ("id",))
"""Leads to films by its ids."""
PERSON = Watch("public", "person", ("id",), updated_at="updated_at", notify="doorbell")
"""Leads to films and to actors through mapping files."""
OVERLAP: Final = timedelta(seconds=2)
START: Final = WATERMARK - OVERLAP
"""Where a sweep begins, if the watermark is as it was left and nothing is loaded."""
_BEGINNING: Final = 1000.0
_STATEMENTS: Final = {
    files.load(f"watermark/{name}").partition("\n")[0]: (name, step)
    for name, step in {
        "draw": "clock read",
        "burn": "xid burnt",
        "passed": "proof asked",
        "tick": "proof asked",
        "notify": "barrier sent",
        "holder": "holder asked",
        "lease": "bell kept",
        "lease_end": "bell let go",
    }.items()
}
"""By the first line of its file, the name of a statement and of its step."""
_MOST_PAUSES: Final = 1000
"""More than a test needs. Without a limit a thread that never ends would spin: it never sleeps."""
_CLOCKS: Final = (
    "audits",
    "doorbell",
    "polls",
    "progress",
    "retry",
    "rounds",
    "session",
    "takeover",
)
"""Modules that ask for the time."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a sweep was asked for, as of Sweep.pages."""

    since: datetime
    silent: bool = False
    recent: timedelta | None = None
    ahead: bool = False


class Floor:
    """One daemon's coordinator, and all that it meets."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        *,
        all_rows: bool = True,
        give_up_after: float | None = None,
    ) -> None:
        self.steps: list[str] = []
        self.fails: dict[str, BaseException] = {}
        """By step, what it raises instead."""
        self.then: dict[str, Callable[[], object]] = {}
        """By step, what happens right after it, once."""
        self.meanwhile: list[Callable[[], object]] = []
        """What happens in the next waits, one for each."""
        self.told: list[Observation] = []
        self.shown: list[tuple[str, str | None]] = []
        """Signs of life: state and reason."""
        self.now = _BEGINNING
        """The monotonic clock."""
        self._pauses = 0
        self.waits: list[float] = []
        """Waits that only a stop cuts short."""
        self.step_of_clock = timedelta(0)
        """How far the server's clock was set."""
        self.proven = True
        self.unheard = False
        self.comes_back = True
        """Whether a barrier does."""
        self.xids = 100
        self.lease: list[tuple[int, int]] = [(1, 1)]
        self.pages: list[SweptPage] = []
        """What the next sweep finds."""
        self.news_ahead: list[SweptPage] = []
        """What the next look ahead finds."""
        self.asked: list[Asked] = []
        self.generation_is_ours = True

        self._patch(monkeypatch)
        self.life = FailingLife()
        self.stop = self.life.stop = TimedStop(self)
        self.config: Any = SimpleNamespace(
            fetch_delay=1.0,
            overlap=OVERLAP.total_seconds(),
            audit_every=60.0,
            documents=(None, None),  # only their number counts
            triggers=SimpleNamespace(retention=3600.0),
            postgres=SimpleNamespace(db_schema="listener"),
            state_file_name=Path(os.devnull, "state.yaml"),  # where nothing can be written
        )
        self.keeper = NotedKeeper(self)
        self.mailbox = TimedMailbox(self)
        self.pipeline = FakePipeline(self)
        self.jobs = FakeJobs(self)
        self.fence = FakeFence(self)
        self.auditor = FakeAuditor(self)
        self.plans: list[Any] = []
        self._wire(all_rows=all_rows, give_up_after=give_up_after)

    def _patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = SimpleNamespace(monotonic=lambda: self.now)
        for name in _CLOCKS:
            monkeypatch.setattr(f"listener.coordinator.{name}.time", clock)
        monkeypatch.setattr("listener.capture.doorbell_lease.time", clock)
        monkeypatch.setattr("listener.state.heartbeat.beat", self._beat)
        monkeypatch.setattr("listener.coordinator.polls.Sweep", lambda *_: FakeSweep(self))

    def _wire(self, *, all_rows: bool, give_up_after: float | None) -> None:
        pipeline, jobs, fence, auditor = map(
            _any, (self.pipeline, self.jobs, self.fence, self.auditor)
        )
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
        self.signs = Signs(self.config, pipeline, jobs, keeper)
        self.guard = Guard(Backoff(0.1, 2, 3), give_up_after, observe, self.stop, self.signs)
        self.audits = Audits(
            config=self.config,
            auditor=auditor,
            fence=fence,
            pipeline=pipeline,
            jobs=jobs,
            observe=observe,
        )
        listening: Any = SimpleNamespace(cut=lambda: self.step("connection cut"))
        self.barrier = Barrier("listener", mailbox, listening, self.signs)
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
            connections=_any(SimpleNamespace(first=self._connect)),
            triggers=_any(SimpleNamespace(ensure=lambda _: self.step("triggers ensured"))),
            planner=_any(SimpleNamespace(begin=self._plan)),
            auditor=auditor,
            takeover=self.takeover,
            jobs=jobs,
            polls=self.polls,
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

    # -- for tests -------------------------------------------------------------------------------

    def step(self, name: str) -> None:
        """Note it, or fail; then let happen what is to happen at it."""
        if name in self.fails:
            raise self.fails[name]
        self.steps.append(name)
        self.then.pop(name, lambda: None)()

    def did(self, name: str) -> bool:
        """Whether this step was made."""
        return name in self.steps

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
            pipeline=_any(self.pipeline),
            audits=self.audits,
            guard=self.guard,
            signs=self.signs,
            stop=self.stop,
        )

    def connection(self) -> Any:
        """One that answers."""
        return FakeConnection(self)

    def pause(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """What is to happen meanwhile happens; then time passes, if the wait is not over by it."""
        self._pauses += 1
        if self._pauses > _MOST_PAUSES:
            self.stop.request()
            pytest.fail("it waits again and again")
        if self.meanwhile:
            self.meanwhile.pop(0)()
        if not until():
            self.now += seconds

    def server_time(self) -> datetime:
        """What the server's clock shows now."""
        return NOW + timedelta(seconds=self.now - _BEGINNING) + self.step_of_clock

    # -- what is faked here ----------------------------------------------------------------------

    def _beat(self, _path: Path, *, state: str, reason: str | None = None, **_: object) -> None:
        self.shown.append((state, reason))

    def _connect(self, _name: str) -> FakeConnection:
        self.step("connected")
        return FakeConnection(self)

    def _plan(self, _connection: object) -> Any:
        self.step("planned")
        if not self.keeper.begun:
            self.keeper.begin(saved_state())
        return SimpleNamespace(current=[None, None], needs=self.plans)


def _any(value: object) -> Any:
    return value


class TimedStop(Stop):
    """Its waits take no time, but on the floor's clock."""

    def __init__(self, floor: Floor) -> None:
        super().__init__()
        self._floor = floor

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for a stop."""
        assert seconds is not None
        self._floor.waits.append(seconds)
        self._floor.pause(seconds, lambda: self.requested)
        return self.requested


class TimedMailbox(Mailbox):
    """Its waits take no time, but on the floor's clock; it notes what is forgotten."""

    def __init__(self, floor: Floor) -> None:
        super().__init__(["films", "actors"], floor.keeper, floor.told.append, floor.stop)
        self._floor = floor

    def wait(self, until: Callable[[], bool], seconds: float) -> bool:
        """Wait until something is true."""
        if not until():
            self._floor.pause(seconds, until)
        return until()

    def unfence(self) -> None:
        """Forget the refusals."""
        self._floor.step("fence forgotten")
        super().unfence()

    def take_sweep(self) -> bool:
        """Take the request for a sweep."""
        self._floor.step("request taken")
        return super().take_sweep()

    def ticked(self) -> None:
        """A tick is complete."""
        self._floor.step("ticked")
        super().ticked()


class NotedKeeper(Keeper):
    """A real one, which writes nothing: it notes that it would."""

    def __init__(self, floor: Floor) -> None:
        super().__init__(Path("state.yaml"), _any(None), Versions(), floor.told.append)
        self._floor = floor

    def advance(self, at: datetime) -> None:
        """Move the watermark."""
        self._floor.step("advanced")
        super().advance(at)

    def step_back(self, by: timedelta) -> None:
        """Move it back."""
        self._floor.step("stepped back")
        super().step_back(by)

    def seen(self, lsn: str) -> None:
        """Remember the WAL."""
        self._floor.step("wal noted")
        super().seen(lsn)

    def want_reconcile(self, index: str, *, unguarded: bool, outlives_load: bool = False) -> None:
        """A comparison is due."""
        self._floor.step(f"comparison of {index} written down")
        super().want_reconcile(index, unguarded=unguarded, outlives_load=outlives_load)

    def save(self, *, now: bool = False) -> None:
        """Write state.yaml."""
        self._floor.step("state saved at once" if now else "state saved")

    def control_soon(self) -> None:
        """Write the control document soon."""
        self._floor.step("control wanted")

    def save_control(self, *, now: bool = False) -> bool:
        """Write the control document."""
        self._floor.step("control saved at once" if now else "control saved")
        return self._floor.generation_is_ours


class FakeConnection:
    """The connection of a session: it knows the statements of the watermark by their files."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor

    def close(self) -> None:
        """End it."""
        self._floor.step("connection closed")

    def execute(self, statement: Any, values: Mapping[str, Any] | None = None) -> Any:
        """Answer a statement of the watermark, or that which prunes the journal."""
        text = statement.as_string() if isinstance(statement, sql.Composable) else statement
        if text.startswith("WITH gone AS (DELETE"):
            self._floor.step("journal pruned")
            return None
        name, step = _STATEMENTS[text.partition("\n")[0]]
        self._floor.step(step)
        rows = getattr(self, f"_{name}")(values)
        return SimpleNamespace(fetchone=lambda: rows[0] if rows else None, fetchall=lambda: rows)

    def _draw(self, _: object) -> list[Any]:
        return [(self._floor.server_time(), "0/30")]

    def _burn(self, _: object) -> list[Any]:
        self._floor.xids += 1
        return [(str(self._floor.xids),)]

    def _passed(self, _: object) -> list[Any]:
        return [(self._floor.proven,)]

    def _tick(self, _: object) -> list[Any]:
        return [(self._floor.proven, self._floor.unheard, 0.0)]

    def _holder(self, _: object) -> list[Any]:
        return [("transaction", 7, "app", None)]

    def _notify(self, values: Mapping[str, str]) -> list[Any]:
        value: Any = decode_payload(values["payload"])
        if self._floor.comes_back:
            self._floor.receiver.on_barrier(value.nonce)
        return []

    def _lease(self, _: object) -> list[Any]:
        return self._floor.lease

    def _lease_end(self, _: object) -> list[Any]:
        return []


class FakeSweep:
    """Finds what the floor has for it."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self.forgotten: datetime | None = None

    def pages(
        self,
        _connection: object,
        since: datetime,
        *,
        silent: bool,
        recent: timedelta | None,
        margin: timedelta,
        ahead: bool,
    ) -> Generator[SweptPage]:
        """A sweep; `margin` is that of the configuration."""
        assert margin == OVERLAP
        self._floor.asked.append(Asked(since, silent, recent, ahead))
        self._floor.step("swept silently" if silent else "swept")
        pages, self._floor.pages = self._floor.pages, []
        yield from pages

    def ahead_again(
        self, _connection: object, since: datetime | None, *, silent: bool = False
    ) -> Generator[SweptPage]:
        """A look ahead."""
        before = "" if since is None else f" from {since:%H:%M:%S}"
        self._floor.step(f"looked ahead{before}{' silently' if silent else ''}")
        pages, self._floor.news_ahead = self._floor.news_ahead, []
        yield from pages

    def forget_before(self, since: datetime) -> None:
        """Nothing is read before this."""
        self._floor.step("memory forgotten")
        self.forgotten = since


class FakePipeline:
    """Says of itself what a test has set, and notes what it is given."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self.overflows = 0
        self.trouble: Trouble | None = None
        self.crashed: str | None = None
        self.held: str | None = None
        self.braked: str | None = None
        self.full = False
        """Whether memory is full: what is added is dropped."""
        self.marks = 0
        self.slow: dict[str, int] = {}
        """By step, how many waits for it run out before it is made."""

    def _wait(self, step: str, seconds: float | None) -> bool:
        left = self.slow.get(step, 0)
        if left:
            self.slow[step] = left - 1
            assert seconds is not None
            self._floor.pause(seconds)
            return False
        self._floor.step(step)
        return True

    def add(self, watch: str, keys: Sequence[Key]) -> bool:
        """Changed keys."""
        if self.full:
            self.overflows += 1
            return False
        self._floor.step(f"added {watch} {keys}")
        return True

    def mark(self) -> int:
        """Of all that was added."""
        self.marks += 1
        return self.marks

    def submit(self, watch: str, _keys: Sequence[Key]) -> list[Job]:
        """A page of a sweep."""
        self._floor.step(f"submitted {watch}")
        return [Job()]

    def retry(self, index: str, ids: Sequence[str]) -> list[Job]:
        """Parked documents."""
        self._floor.step(f"retried {index} {ids}")
        return [Job()]

    def retry_unproven(self) -> list[Job]:
        """Those without a proof."""
        self._floor.step("unproven retried")
        return [Job()]

    def wait(self, _job: Job, seconds: float | None = None) -> bool:
        """For one job."""
        return self._wait("indexed", seconds)

    def wait_settled(self, mark: int, seconds: float | None = None) -> bool:
        """For all before a mark."""
        assert mark <= self.marks
        return self._wait("settled", seconds)

    def wait_noted(self, seconds: float | None = None) -> bool:
        """For the table of parked documents."""
        return self._wait("parked noted", seconds)

    def know_parked(self, _connection: object) -> None:
        """Read which are parked."""
        self._floor.step("parked read")

    def renew(self) -> None:
        """Read on a new connection."""
        self._floor.step("reader renewed")

    def pause(self) -> None:
        """Take no more."""
        self._floor.step("paused")

    def resume(self) -> None:
        """Take more."""
        self._floor.step("resumed")


class FakeJobs:
    """Loads and comparisons."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self.running = False
        self.guarded: list[str] = []
        self.held: str | None = None
        self.began: list[datetime] = []
        """When those began that are under way."""
        self.loading: set[int] = set()
        self.covered: dict[int, datetime] = {}
        """By kind, when the last comparison began."""
        self.covers_deletes = False
        """Whether that could delete any number of documents."""
        self.based = True
        """Whether the start of each was proven."""
        self.compared: list[dict[int, Wanted]] = []

    @property
    def starts(self) -> list[datetime]:
        """Where sweeps must start."""
        return list(self.began)

    def loads(self, kind: int) -> bool:
        """Whether a kind is loaded."""
        return kind in self.loading

    def covers(self, kind: int, at: datetime, *, unguarded: bool) -> bool:
        """Whether a comparison began later."""
        covered = kind in self.covered and self.covered[kind] > at
        return covered and (self.covers_deletes or not unguarded)

    def forget(self) -> None:
        """A new session."""
        self._floor.step("loads forgotten")

    def end(self) -> None:
        """End those that run."""
        self._floor.step("loads ended")

    def begin(self, _connection: object, plans: Sequence[Any]) -> None:
        """Begin these."""
        self._floor.step("loads begun")
        self.began += [one.started_at for one in plans]

    def again(self, _connection: object, wanted: Mapping[int, Wanted]) -> None:
        """Compare these."""
        self._floor.step("compared")
        self.compared.append(dict(wanted))

    def here(self, _connection: object, _check: object) -> bool:
        """Load in this thread."""
        self._floor.step("loaded here")
        return self.based

    def finish_here(self, _check: object) -> None:
        """Swap the aliases."""
        self._floor.step("aliases swapped")


class FakeFence:
    """The generation and its aliases."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self.resumed: Collection[str] = ()
        self.loads: dict[int, str] = {}
        self.found: tuple[int, Astray] | None = None

    def begin(self, _current: object, resumed: Collection[str]) -> None:
        """Raise the generation."""
        self._floor.step("generation raised")
        self.resumed = resumed

    def confirm(self) -> None:
        """Look whether it is in force."""
        self._floor.step("generation looked at")

    def loading(self, kind: int) -> str | None:
        """The index that is loaded."""
        return self.loads.get(kind)

    def astray(self) -> tuple[int, Astray] | None:
        """What leads writes elsewhere."""
        self._floor.step("aliases looked at")
        return self.found


class FakeAuditor:
    """Finds what a test has set."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self.altered: str | None = None
        self.loading: Collection[int] = ()
        self.distrusted: list[int] = []

    def audit(self, _connection: object, loading: Collection[int]) -> str | None:
        """Look at all."""
        self._floor.step("audited")
        self.loading = loading
        return self.altered

    def audit_database(self, _connection: object) -> str | None:
        """Look at the database alone."""
        self._floor.step("database audited")
        return self.altered

    def renew(self, _connection: object) -> None:
        """Leave a new nonce."""
        self._floor.step("nonce renewed")

    def distrust(self) -> None:
        """The triggers were altered."""
        self._floor.step("triggers distrusted")

    def distrust_index(self, number: int) -> None:
        """An index cannot be mended."""
        self._floor.step("index distrusted")
        self.distrusted.append(number)


def page(*changes: tuple[Watch, Sequence[Key]], **other: Any) -> SweptPage:
    """A page of a sweep: keys by watch, or whatever else a journal says."""
    named = tuple(Change(watch.id, "keys", tuple(keys)) for watch, keys in changes)
    return SweptPage(FILM.id, named, sum(len(one.keys) for one in named), 0.1, **other)
