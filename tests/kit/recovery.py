"""How far a daemon is after an outage: what its watermark has passed, and how long that took."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from playground.daemon import ListenerProcess
from tests.kit.scene import Scene


class Recovery:
    """How long it takes from now, when the server is back, until all is well: printed.

    Once the daemon works again (a named moment of its log, read here at once), and once index =
    query after the writers have stopped; that includes how long the test let them write.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._back = time.monotonic()

    def works_again(self) -> None:
        """The daemon has said that it does."""
        print(f"{self._what}: works again after {time.monotonic() - self._back:.2f} s")

    def converged(self, scene: Scene, deadline: float = 30) -> None:
        """Wait until index = query."""
        scene.wait_converged(deadline)
        print(f"{self._what}: index = query after {time.monotonic() - self._back:.2f} s")


class Back:
    """The moment in which a server is back, or in which something was taken away that no server
    brings back; for the figures."""

    def __init__(self, scene: Scene) -> None:
        [(self._committed,)] = scene.sql("SELECT clock_timestamp()")
        self._began = time.monotonic()

    def converged(self, daemon: ListenerProcess, what: str, deadline: float = 60) -> None:
        """Wait until all that was committed up to that moment is in the index, which the watermark
        says; print how long that took."""
        daemon.wait_for(
            "watermark_moved", deadline=deadline, last_processed=not_before(self._committed)
        )
        print(f"recovery: {what}: {time.monotonic() - self._began:.2f} s until converged")


def not_before(moment: datetime) -> Callable[[Any], bool]:
    """A watermark, as the log has it, that has passed this moment."""
    return lambda text: datetime.fromisoformat(str(text)) >= moment


def assert_nothing_moved(scene: Scene, daemon: ListenerProcess, stamp: datetime) -> None:
    """The watermark stands before what was not taken, in the log and in what is saved."""
    assert not daemon.found("watermark_moved", last_processed=not_before(stamp)), daemon.log
    assert scene.state["last_processed"] <= stamp


def phases(seed: int, count: int, most: int) -> list[int]:
    """Numbers of transactions to wait for, the same in every run."""
    choice = random.Random(seed)
    return [choice.randrange(8, most) for _ in range(count)]


def told(name: str, seconds: list[float]) -> str:
    """Median and worst of some seconds, to print."""
    return (
        f"{name}: median {statistics.median(seconds):.2f} s, worst {max(seconds):.2f} s "
        f"of {len(seconds)}"
    )
