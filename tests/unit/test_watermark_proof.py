"""The proof of the watermark: the order in which it is drawn, and what its answers mean."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from psycopg import sql

from listener.capture import watermark
from listener.capture.notify_queue import TOLD_FROM, NotifyQueue
from listener.capture.watermark import Draw
from listener.observations.events import NotifyQueueDrained, NotifyQueueFills, Observation
from listener.sql import files
from tests.kit.session import NOW

DRAWN = Draw(NOW, 7, "0/30")
SINCE = NOW - timedelta(minutes=1)
NAMES = {
    files.load(f"watermark/{name}").partition("\n")[0]: name
    for name in ("draw", "burn", "passed", "holder", "tick", "queue_holder")
}


class Server:
    """Answers by the name of the statement. An exception is raised."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.values: Mapping[str, Any] | None = None
        self.answers: dict[str, Any] = {"draw": (NOW, "0/30"), "burn": ("7",)}

    def execute(
        self, statement: str | sql.Composed, values: Mapping[str, Any] | None = None
    ) -> Any:
        """Answer."""
        text = statement.as_string() if isinstance(statement, sql.Composed) else statement
        name = NAMES[text.partition("\n")[0]]
        self.asked.append(name)
        self.values = values
        answer = self.answers.get(name)
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(fetchone=lambda: answer)


@pytest.fixture
def server() -> Any:
    """Nothing is open."""
    return Server()


# -- draw and proof --------------------------------------------------------------------------------


def test_the_moment_is_drawn_before_the_id(server: Any) -> None:
    """The other way round a writer could take its id between the two and stamp below the moment."""
    assert watermark.draw(server) == DRAWN
    assert server.asked == ["draw", "burn"]


@pytest.mark.parametrize(("answer", "proven"), [((True,), True), ((False,), False), (None, False)])
def test_a_proof(server: Any, answer: object, proven: bool) -> None:
    """Of the id that was drawn. Without an answer there is none."""
    server.answers["passed"] = answer
    assert watermark.passed(server, DRAWN) is proven
    assert server.values == {"xid": "7"}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (("transaction", 5, "app", NOW), "transaction app, process 5, since 10:00:00 UTC"),
        (("prepared transaction", None, "x of app", NOW), "prepared transaction x of app, since"),
        (("transaction", 5, "", None), "transaction of another role, process 5"),
        (None, "grant pg_read_all_stats"),
        (psycopg.errors.InsufficientPrivilege("denied"), "this role may not see"),
    ],
)
def test_who_holds_it(server: Any, answer: object, said: str) -> None:
    """As far as the role may see."""
    server.answers["holder"] = answer
    assert said in watermark.holder(server)


# -- the queue of NOTIFY ---------------------------------------------------------------------------


class Queue:
    """Looks at a queue, with a clock."""

    def __init__(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        self.server: Any = server
        self.told: list[Observation] = []
        self.queue = NotifyQueue("listener", self.told.append)
        self.now = 1000.0
        clock = SimpleNamespace(monotonic=lambda: self.now)
        monkeypatch.setattr("listener.capture.notify_queue.time", clock)

    def look(
        self, full: float = 0.0, *, proven: bool = True, unheard: bool = False
    ) -> tuple[bool, bool]:
        """A tick's look."""
        self.server.answers["tick"] = (proven, unheard, full)
        return self.queue.passed(self.server, DRAWN, SINCE)

    def tells(self, full: float) -> list[float]:
        """What of this is told, in percent: positive where it fills, negative where it is over."""
        self.told.clear()
        self.look(full)
        return [
            one.percent if isinstance(one, NotifyQueueFills) else -one.percent
            for one in self.told
            if isinstance(one, NotifyQueueFills | NotifyQueueDrained)
        ]


@pytest.fixture
def queue(server: Server, monkeypatch: pytest.MonkeyPatch) -> Queue:
    """An empty one, and a session that would hold it."""
    server.answers["queue_holder"] = (5, "app", NOW)
    return Queue(server, monkeypatch)


@pytest.mark.parametrize("proven", [True, False])
@pytest.mark.parametrize("unheard", [True, False])
def test_a_look_at_the_queue(queue: Queue, proven: bool, unheard: bool) -> None:
    """The proof, and whether changes since then were not notified, of one snapshot. Nothing more is
    asked while the queue is empty."""
    assert queue.look(proven=proven, unheard=unheard) == (proven, unheard)
    assert queue.server.values == {"xid": "7", "since": SINCE}
    assert queue.server.asked == ["tick"]
    assert queue.told == []


def test_when_it_is_told(queue: Queue) -> None:
    """From a quarter full on; then where it is twice as full, or a minute later; and once when it
    is over."""
    assert queue.tells(TOLD_FROM - 0.01) == []
    assert queue.tells(0.25) == [25]
    assert queue.tells(0.4) == []
    assert queue.tells(0.5) == [50]
    queue.now += 60
    assert queue.tells(0.5) == []
    queue.now += 1
    assert queue.tells(0.5) == [50]
    assert queue.tells(0.125) == [-12.5]
    assert queue.tells(0.125) == []
    assert queue.tells(0.25) == [25], "it may fill again within the minute"


@pytest.mark.parametrize("answer", [None, psycopg.errors.InsufficientPrivilege("denied")])
def test_a_holder_that_is_not_shown(queue: Queue, answer: Exception | None) -> None:
    """It is told all the same, and the look has its answer."""
    queue.server.answers["queue_holder"] = answer
    assert queue.look(0.5) == (True, False)
    [told] = queue.told
    assert isinstance(told, NotifyQueueFills)
    assert "may not see" in told.holder
