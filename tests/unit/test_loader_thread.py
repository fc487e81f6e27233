"""The loader's thread: how long it waits between failures, and what is left of one that passed."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import psycopg
import pytest
from typing_extensions import override

from listener.observations.events import Held, Observation, Waiting
from listener.postgres import Connection
from listener.resync.cancellation import Cancellation
from listener.resync.kind_state import Wanted
from listener.resync.loader_thread import LoaderThread
from listener.resync.runner import Runner
from listener.runtime.backoff import Backoff
from listener.state.model import Load
from tests.kit.indexing import Noted
from tests.kit.resync import STARTED, FakeConnections, Resync
from tests.kit.threads import Beside

GONE = psycopg.OperationalError("gone")
MISSING = psycopg.errors.UndefinedTable("missing")


class Turns(Runner):
    """A runner whose turns a test gives: what each raises; None: it was made. After the last one
    nothing is left to do."""

    def __init__(self, setting: Setting, turns: list[Exception | None]) -> None:
        self._setting = setting
        self.turns = turns
        self.held: list[str | None] = []
        """What was held at the begin of each turn."""

    @override
    def turn(self, connection: Connection, cancellation: Cancellation) -> None:
        """One turn."""
        setting = self._setting
        held = setting.thread.held
        self.held.append(held.reason if held else None)
        if len(self.turns) == 1:
            setting.complete()
        if error := self.turns.pop(0):
            raise error


class Setting:
    """A thread with a comparison under way; its waits are noted, and take no time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room = Resync(monkeypatch)
        self.waits: list[float] = []
        self.supervisor = Noted()
        jitter = SimpleNamespace(uniform=lambda _least, most: most)
        monkeypatch.setattr("listener.runtime.backoff.random", jitter)
        monkeypatch.setattr(Cancellation, "wait", lambda _, seconds: self.waits.append(seconds))
        self.thread = self.new([])

    def new(self, turns: list[Exception | None]) -> LoaderThread:
        """One that has not started."""
        self.runner = Turns(self, turns)
        self.thread = LoaderThread(
            under_way=self.room.under_way,
            runner=self.runner,
            connections=FakeConnections(self.room),
            waits=Backoff(1, 10, 10_000),
            supervisor=self.supervisor,
            observe=self.room.told.append,
            life=self.room.life,
        )
        return self.thread

    def start(self) -> None:
        """With a comparison to make."""
        self.room.under_way.begin_comparing(0, STARTED, Wanted("TRUNCATE", False), blind=False)
        self.thread.start()

    def complete(self) -> None:
        """Nothing is under way any more."""
        self.room.under_way.comparison_complete(0, STARTED, proven=True, guarded=False, keep=False)

    def rest(self) -> None:
        """Until it has ended by itself."""
        assert self.thread._thread is not None
        Beside(self.thread._thread.join).result()

    def run(self, *turns: Exception | None) -> None:
        """From the start to the end."""
        self.new(list(turns))
        self.start()
        self.rest()

    @property
    def told(self) -> list[Observation]:
        """Of failures."""
        return [one for one in self.room.told if isinstance(one, Waiting | Held)]


@pytest.fixture
def setting(monkeypatch: pytest.MonkeyPatch) -> Setting:
    """Nothing has failed yet."""
    return Setting(monkeypatch)


def test_waits_grow(setting: Setting) -> None:
    """From one failure to the next, as they are told."""
    setting.run(GONE, GONE, GONE, None)
    assert setting.waits == [1, 10, 100]
    assert [_attempt(one) for one in setting.told] == [1, 2, 3]


def test_a_turn_that_was_made_resets_the_waits(setting: Setting) -> None:
    """The next failure is the first one again: a load of hours must not wait for minutes because
    the server was away this morning."""
    setting.run(GONE, GONE, None, GONE, None)
    assert setting.waits == [1, 10, 1]
    assert [_attempt(one) for one in setting.told] == [1, 2, 1]


def test_a_connection_alone_resets_nothing(setting: Setting) -> None:
    """A server may take connections and refuse the work."""
    setting.room.fails["connected"] = GONE
    setting.run(GONE, None)
    assert setting.waits == [1, 10]


def test_a_new_start_resets_the_waits(setting: Setting) -> None:
    """A new session has connections of its own, however the last one ended."""
    setting.run(GONE, GONE)
    setting.waits.clear()
    setting.runner.turns = [GONE, None]
    setting.start()
    setting.rest()
    assert setting.waits == [1]


def test_what_is_held_is_so_until_a_turn_was_made(setting: Setting) -> None:
    """Not until the next try: `health` would say that all is well, and a moment later that not."""
    setting.run(MISSING, MISSING, None, None)
    assert setting.runner.held == [None, *["full load: missing"] * 2, None]
    assert setting.thread.held is None


def test_what_passes_is_not_held(setting: Setting) -> None:
    """Also where something was held before."""
    setting.run(MISSING, GONE, None)
    assert setting.runner.held == [None, "full load: missing", None]
    assert [type(one) for one in setting.told] == [Held, Waiting]


def test_each_failure_ends_the_connection(setting: Setting) -> None:
    """It may be what failed. Without a failure all turns have one."""
    setting.run(None, None, GONE, None)
    steps = [one for one in setting.room.steps if one in ("connected", "closed")]
    assert steps == ["connected", "closed"] * 2


def test_the_end_before_the_start(setting: Setting) -> None:
    """And twice."""
    setting.thread.end()
    setting.thread.end()
    assert setting.room.steps == []


def test_a_load_is_written_down_at_once(setting: Setting) -> None:
    """At each page, however soon after the last one: what a killed process had brought is not
    brought again, and no page is taken for done that was not."""
    for documents in range(1, 4):
        page = Load(
            index="films",
            physical="films-2",
            started_at=STARTED + timedelta(seconds=1),
            after=(str(documents),),
            documents=documents,
        )
        setting.room.keeper.put_load(page)
        assert setting.room.disk.loads == (page,)


def _attempt(told: Observation) -> int:
    assert isinstance(told, Waiting)
    return told.attempt
