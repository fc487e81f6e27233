"""What each try meets again does not flood the log."""

from __future__ import annotations

import io
from itertools import pairwise

import pytest

from listener.observations.events import Held, Level, Observation, Recovered, ServerName, Waiting
from listener.observations.log import Log


class Clock:
    """A log, and the time of its machine."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, level: Level = "INFO") -> None:
        self.now = 1000.0
        monkeypatch.setattr("listener.observations.repeats.time.monotonic", lambda: self.now)
        self.stream = io.StringIO()
        self.log = Log(level, "text", self.stream)

    def lines(self, *observations: Observation) -> int:
        """How many lines are written for these."""
        before = len(self.stream.getvalue().splitlines())
        for one in observations:
            self.log(one)
        return len(self.stream.getvalue().splitlines()) - before

    def tries(self, seconds: int, *observations: Observation) -> list[float]:
        """The same failures every three seconds: when a line was written."""
        told = []
        for _ in range(0, seconds, 3):
            told += [self.now] * self.lines(*observations)
            self.now += 3
        return told


@pytest.mark.parametrize(
    "failure",
    [Held("403 block", 2.5), Waiting(ServerName.POSTGRES, 7, 0.25, "connection refused")],
    ids=repr,
)
def test_it_is_told_once_a_minute_in_the_end(
    monkeypatch: pytest.MonkeyPatch, failure: Observation
) -> None:
    """A thousand tries in an hour make some seventy lines. The first is told at once."""
    clock = Clock(monkeypatch)
    told = clock.tries(3600, failure)
    assert told[0] == 1000.0
    assert 60 <= len(told) <= 70
    assert max(after - before for before, after in pairwise(told)) <= 63


def test_what_is_new_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another reason, another server, and the same one once more after all went well, or after a
    rest. Numbers alone make no news: they may count the tries."""
    clock = Clock(monkeypatch)
    assert clock.lines(Held("a", 1), Held("b", 1), Held("a", 2), Held("b", 2)) == 2
    away = [Waiting(one, 1, 1, "port 5432: refused, 0x7f01") for one in ServerName]
    assert clock.lines(*away) == 2
    again = [Waiting(one, 2, 1, "port 5432: refused, 0x7fab") for one in ServerName]
    assert clock.lines(*again) == 0
    assert clock.lines(Recovered(ServerName.POSTGRES, 1.0)) == 1
    assert clock.lines(Held("a", 1), Held("a", 1)) == 1
    clock.now += 11
    assert clock.lines(Held("a", 1), Held("a", 1)) == 1


def test_of_several_that_are_held_each_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take turns, and none is new for that."""
    clock = Clock(monkeypatch)
    assert len(clock.tries(600, Held("films", 1), Held("persons", 1))) < 40


@pytest.mark.parametrize(("level", "lines"), [("DEBUG", 5), ("ERROR", 1)])
def test_the_level(monkeypatch: pytest.MonkeyPatch, level: Level, lines: int) -> None:
    """DEBUG tells each try. A level above leaves out none of the rule."""
    clock = Clock(monkeypatch, level)
    assert clock.lines(*[Held("a", 1)] * 5) == lines
    if level == "ERROR":
        assert clock.lines(Recovered(ServerName.POSTGRES, 1.0), Held("a", 1)) == 1
