"""What happens, in which order, and what the servers say. All fakes of one floor share it.

Each call that matters is one entry of `steps`, and any of them can be told to fail, or to be the
moment at which something else happens. Time is a number that grows where something waits, so no
test sleeps.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import pytest

from listener.capture.sweep import SweptPage
from listener.coordinator.receiver import Receiver
from listener.observations.events import Observation
from listener.resync.needs import Need
from listener.runtime.lifecycle import Stop
from tests.kit.coordinator.watched import Asked
from tests.kit.session import NOW

_BEGINNING: Final = 1000.0
_MOST_PAUSES: Final = 1000
"""More than a test needs. Without a limit a thread that never ends would spin: it never sleeps."""


class World:
    """One clock, one list of steps, and both servers."""

    receiver: Receiver
    """Where barriers come back."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.fails: dict[str, BaseException] = {}
        """By step, what it raises instead."""
        self.then: dict[str, Callable[[], object]] = {}
        """By step, what happens right after it, once."""
        self.meanwhile: list[Callable[[], object]] = []
        """What happens in the next waits, one for each."""
        self.told: list[Observation] = []
        self.stop: Stop = TimedStop(self)
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
        self.plans: list[Need] = []
        """What the next session begins with."""
        self.generation_is_ours = True

    def step(self, name: str) -> None:
        """Note it, or fail; then let happen what is to happen at it."""
        if name in self.fails:
            raise self.fails[name]
        self.steps.append(name)
        self.then.pop(name, lambda: None)()

    def did(self, name: str) -> bool:
        """Whether this step was made."""
        return name in self.steps

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


class TimedStop(Stop):
    """Its waits take no time, but on the world's clock."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for a stop."""
        assert seconds is not None
        self._world.waits.append(seconds)
        self._world.pause(seconds, lambda: self.requested)
        return self.requested
