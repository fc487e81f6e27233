"""One run from its start to its exit status: what is stopped, what is told, and to whom."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from listener import search
from listener.app import daemon as module
from listener.app.daemon import Daemon
from listener.app.startup import Startup
from listener.app.status import NotYet, Refused, Status
from listener.app.wiring import Run
from listener.capture.notifications import AlreadyActive
from listener.config import Config
from listener.coordinator.retry import GaveUp
from listener.documents.topology import Reassemble
from listener.observations.events import (
    BesideActive,
    Crashed,
    Ended,
    Observation,
    Reassembled,
    Started,
    StoppedAll,
    Stopping,
)
from listener.resync.survey import Asked
from listener.runtime.lifecycle import Life, Stopped
from listener.search.index_config import IndexError_
from listener.state.control import ControlDocument
from listener.state.heartbeat import DaemonState, Matter, read_heartbeat
from tests.kit.commands import TimedStop, config_of
from tests.kit.session import NOW, saved_state
from tests.kit.threads import Beside


class Parts:
    """The parts of a run, which do what the test says. `does`: at their start, or while they catch
    up."""

    def __init__(self, room: Running, run: Run) -> None:
        self._room = room
        self.life: Life = run.life
        self.parked = room.parked
        self.without_documents = room.without_documents
        self.guarded = room.guarded

    def start(self) -> None:
        """Begin."""
        self._room.step("started")
        if not self._room.once:
            self._room.do(self.life)

    def catch_up(self) -> None:
        """The work of --once."""
        self._room.step("caught up")
        self._room.do(self.life)

    def stop(self) -> None:
        """Returns when all have ended."""
        assert self.life.stop.requested
        self._room.step("parts stopped")


class Running:
    """One run. `does`: what happens in each of its parts' lives, one after the other."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.steps: list[str] = []
        self.told: list[Observation] = []
        self.clock = 100.0
        around: Any = self
        self.stop = TimedStop(around)
        self.meanwhile: dict[str, list[Callable[[], object]]] = {}
        self.config: Config = config_of(folder)
        self.once = True
        self.refusals: list[Exception] = []
        """What the next starts raise."""
        self.does: list[Callable[[Life], object]] = []
        self.parked: list[str] = []
        self.without_documents: list[str] = []
        self.guarded: list[str] = []
        self.watermarks: list[Any] = []
        """What the control document says, one look after the other; an error is raised."""
        connection = SimpleNamespace(
            execute=lambda _: SimpleNamespace(fetchone=lambda: (NOW,)),
        )
        monkeypatch.setattr(Startup, "prepare", lambda _, __, *, served: self._prepare(served))
        monkeypatch.setattr(module, "Stages", lambda run: Parts(self, run))
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.clock))
        monkeypatch.setattr("listener.search.connect", lambda _: None)
        monkeypatch.setattr("listener.postgres.connect", lambda *_: Opened(connection))
        monkeypatch.setattr(ControlDocument, "read", lambda _: self._control())

    def step(self, name: str) -> None:
        """Note it, and let happen what happens beside it."""
        self.steps.append(name)
        if self.meanwhile.get(name):
            self.meanwhile[name].pop(0)()

    def do(self, life: Life) -> None:
        """What happens in this life."""
        if self.does:
            self.does.pop(0)(life)

    def run(self, asked: Asked | None = None, *, once: bool = True) -> Status:
        """Its exit status."""
        self.once = once
        run = Daemon(
            self.config, observe=self.told.append, stop=self.stop, once=once, asked=asked
        ).run
        return Beside(run).result()

    def _prepare(self, served: bool) -> Any:
        self.step("prepared again" if served else "prepared")
        if self.refusals:
            raise self.refusals.pop(0)

    def _control(self) -> Any:
        self.step("control read")
        found = self.watermarks.pop(0) if len(self.watermarks) > 1 else self.watermarks[0]
        if isinstance(found, Exception):
            raise found
        return SimpleNamespace(state=found and saved_state(last_processed=found))

    def matters(self) -> tuple[Matter, ...]:
        """What the heartbeat says that waits for a person, at the end."""
        beat = read_heartbeat(self.config.state_file_name)
        assert beat is not None
        assert beat.state == DaemonState.ENDED
        return beat.matters

    def ended(self) -> str:
        """Why, as it is told."""
        [told] = [one.reason for one in self.told if isinstance(one, Ended)]
        return told


class Opened:
    """A connection in a `with`."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __enter__(self) -> Any:
        return self._connection

    def __exit__(self, *_: object) -> None:
        """Close it."""


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Running:
    """All goes well."""
    return Running(monkeypatch, tmp_path)


def fails(error: BaseException) -> Callable[[Life], None]:
    """A thread of the run cannot go on."""
    return lambda life: life.fail(error)


def raises(error: BaseException) -> Callable[[Life], None]:
    """The start, or the catching up, cannot go on."""

    def raised(_: Life) -> None:
        raise error

    return raised


# -- how it ends well ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "mode"),
    [
        (None, "once"),
        (Asked(load=frozenset({"films"})), "full load"),
        (Asked(force=True), "full load"),
        (Asked(rollback={"films": "films-1"}), "once"),
    ],
)
def test_once(running: Running, asked: Asked | None, mode: str) -> None:
    """All parts are stopped before it is told that they are. The heartbeat may be that of a daemon
    beside: nothing is written there."""
    assert running.run(asked) is Status.OK
    assert running.steps == ["prepared", "started", "caught up", "parts stopped"]
    [started, stopped] = running.told
    assert isinstance(started, Started)
    assert started.mode == mode
    assert stopped == StoppedAll(0)
    assert read_heartbeat(running.config.state_file_name) is None


@pytest.mark.parametrize(
    ("what", "status"),
    [("parked", Status.PARKED), ("without_documents", Status.PARKED), ("guarded", Status.USAGE)],
)
@pytest.mark.parametrize("once", [True, False])
def test_what_waits_for_a_person_at_the_end(
    running: Running, what: str, status: Status, once: bool
) -> None:
    """--once says so by its status; a daemon that is stopped has said it all along."""
    setattr(running, what, ["films"])
    running.does = [lambda _: running.stop.request()] if not once else []
    assert running.run(once=once) is (status if once else Status.OK)


@pytest.mark.parametrize(("once", "status"), [(True, Status.GAVE_UP), (False, Status.OK)])
def test_a_signal(running: Running, once: bool, status: Status) -> None:
    """It ends a daemon well. --once has not done its work then."""
    running.does = [lambda _: running.stop.request()]
    assert running.run(once=once) is status
    assert running.steps[-1] == "parts stopped"
    assert [type(one) for one in running.told] == [Started, Stopping, StoppedAll]
    if not once:
        assert running.matters() == ()


@pytest.mark.parametrize(("once", "status"), [(True, Status.GAVE_UP), (False, Status.OK)])
def test_a_signal_while_it_starts(running: Running, once: bool, status: Status) -> None:
    """No part was made."""
    running.refusals = [Stopped("stop was requested")]
    assert running.run(once=once) is status
    assert running.steps == ["prepared"]


# -- what ends it ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (Refused("2 things to mend"), Status.USAGE, "2 things to mend"),
        (IndexError_("index.json: no object"), Status.USAGE, "index.json: no object"),
        (GaveUp("PostgreSQL was away for 30 s"), Status.GAVE_UP, "PostgreSQL was away for 30 s"),
        (NotYet("it starts"), Status.GAVE_UP, "it starts"),
        (psycopg.OperationalError("refused"), Status.GAVE_UP, "PostgreSQL: refused"),
        (psycopg.errors.InvalidPassword("no"), Status.USAGE, "PostgreSQL: no"),
        (AlreadyActive("process 7"), Status.ACTIVE, "already active: process 7"),
    ],
)
@pytest.mark.parametrize("where", ["the start", "a thread", "its parts' start"])
def test_an_error_that_is_known(
    running: Running, error: Exception, status: Status, reason: str, where: str
) -> None:
    """The same, wherever it is met: told once, written into the heartbeat, no defect."""
    if where == "the start":
        running.refusals = [error]
    else:
        running.does = [fails(error) if where == "a thread" else raises(error)]
    assert running.run(once=False) is status
    assert running.ended().startswith(reason)
    assert running.told[-1] == StoppedAll(int(status))
    assert [one.reason.startswith(reason) for one in running.matters()] == [True]
    assert running.steps[-1] == ("prepared" if where == "the start" else "parts stopped")


def test_each_thing_to_mend(running: Running) -> None:
    """The heartbeat has them one by one."""
    matters = (Matter(reason="no table", mend="make it"), Matter(reason="no right", mend="grant"))
    running.refusals = [Refused("2 things to mend", matters)]
    assert running.run(once=False) is Status.USAGE
    assert running.matters() == matters


@pytest.mark.parametrize("where", ["a thread", "its parts' start"])
def test_a_defect(running: Running, where: str) -> None:
    """It is told once, by the thread that met it. Everything is stopped."""
    error = AssertionError("impossible")
    running.does = [fails(error) if where == "a thread" else raises(error)]
    assert running.run(once=False) is Status.DEFECT
    assert [one for one in running.told if isinstance(one, Crashed)] == [
        Crashed("beside", "AssertionError: impossible")
    ]
    assert running.steps[-1] == "parts stopped"
    [matter] = running.matters()
    assert matter.reason == "a defect of listener: AssertionError: impossible"
    assert "report what its log says" in matter.mend


def test_a_defect_of_a_thread_ends_the_wait(running: Running) -> None:
    """A daemon that serves waits for signals alone."""
    error = AssertionError("impossible")
    running.does = [lambda life: threading.Timer(0, life.fail, [error]).start()]
    assert running.run(once=False) is Status.DEFECT
    assert sum(isinstance(one, Crashed) for one in running.told) == 1


# -- begun anew ------------------------------------------------------------------------------------


def test_parts_for_other_tables(running: Running) -> None:
    """The former ones are stopped before the next are made, and a start that follows service is
    patient with persons."""
    running.does = [raises(Reassemble("film has other columns"))]
    assert running.run() is Status.OK
    assert running.steps == [
        *("prepared", "started", "caught up", "parts stopped"),
        *("prepared again", "started", "caught up", "parts stopped"),
    ]
    assert Reassembled("film has other columns") in running.told


def test_what_ended_the_former_parts_does_not_end_the_next(running: Running) -> None:
    """A thread of the former ones has asked for them."""
    running.does = [
        fails(Reassemble("film has other columns")),
        lambda _: running.stop.request(),
    ]
    assert running.run(once=False) is Status.OK
    assert running.steps.count("prepared again") == 1


# -- --once beside an active daemon ----------------------------------------------------------------

BEHIND, PASSED = NOW - timedelta(seconds=1), NOW


def test_the_active_daemon_catches_up(running: Running) -> None:
    """Nothing is written: that one's watermark is waited for, however often it cannot be read."""
    running.refusals = [AlreadyActive("process 7")]
    running.watermarks = [None, BEHIND, search.Away("no node"), PASSED]
    assert running.run() is Status.OK
    assert running.steps == ["prepared", *["control read", "waited"] * 3, "control read"]
    assert BesideActive("process 7") in running.told
    assert not any(isinstance(one, Ended) for one in running.told)


def test_the_active_daemon_is_late(running: Running) -> None:
    """The status says that one is active: it may still do it."""
    running.refusals = [AlreadyActive("process 7")]
    running.watermarks = [BEHIND]
    assert running.run() is Status.ACTIVE
    assert running.clock == pytest.approx(115, abs=0.3)
    assert running.told[-1] == StoppedAll(4)


def test_a_signal_beside_the_active_daemon(running: Running) -> None:
    """It is not waited for any longer."""
    running.refusals = [AlreadyActive("process 7")]
    running.watermarks = [BEHIND]
    running.meanwhile["waited"] = [running.stop.request]
    assert running.run() is Status.ACTIVE
    assert running.steps.count("control read") == 1


@pytest.mark.parametrize(
    "asked",
    [
        Asked(force=True),
        Asked(load=frozenset({"films"})),
        Asked(repair=False),
        Asked(rollback={"films": "films-1"}),
    ],
)
def test_what_catching_up_does_not_do(running: Running, asked: Asked) -> None:
    """That daemon's watermark says nothing of it: the command that asks must know at once."""
    running.refusals = [AlreadyActive("process 7")]
    assert running.run(asked) is Status.ACTIVE
    assert running.steps == ["prepared"]
    assert running.ended() == "already active: process 7"
