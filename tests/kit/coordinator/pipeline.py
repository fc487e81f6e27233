"""A pipeline that brings nothing to any index."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from typing_extensions import override

from listener.changes import Key
from listener.failures import Failure
from listener.indexing.outage import Trouble
from listener.indexing.pipeline import Pipeline
from listener.indexing.queue import Job
from listener.postgres import Connection
from tests.kit.coordinator.world import World


class FakePipeline(Pipeline):
    """Says of itself what a test has set, and notes what it is given."""

    # of the class: they stand for properties, which an instance cannot set
    overflows: int = 0
    trouble: Trouble | None = None
    crashed: str | None = None
    held: Failure | None = None
    braked: Failure | None = None
    parked: int = 0
    whole: bool = True
    interruptions: int = 0

    def __init__(self, world: World) -> None:
        self._world = world
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
            self._world.pause(seconds)
            return False
        self._world.step(step)
        return True

    @override
    def add(self, watch: str, keys: Sequence[Key]) -> bool:
        """Changed keys."""
        if self.full:
            self.overflows += 1
            return False
        self._world.step(f"added {watch} {keys}")
        return True

    @override
    def mark(self) -> int:
        """Of all that was added."""
        self.marks += 1
        return self.marks

    @override
    def submit(self, watch: str, keys: Sequence[Key]) -> list[Job]:
        """A page of a sweep."""
        self._world.step(f"submitted {watch}")
        return [Job()]

    @override
    def retry(self, index: str, ids: Sequence[str]) -> list[Job]:
        """Parked documents."""
        self._world.step(f"retried {index} {ids}")
        return [Job()]

    @override
    def retry_unproven(self) -> list[Job]:
        """Those without a proof."""
        self._world.step("unproven retried")
        return [Job()]

    @override
    def wait(self, job: Job, seconds: float | None = None) -> bool:
        """For one job."""
        return self._wait("indexed", seconds)

    @override
    def wait_settled(self, mark: int, seconds: float | None = None) -> bool:
        """For all before a mark."""
        assert mark <= self.marks
        return self._wait("settled", seconds)

    @override
    def wait_whole(self, seconds: float | None = None) -> bool:
        """For kinds that are held."""
        if self._wait("whole again", seconds):
            self.whole = True
        return self.whole

    @override
    def wait_noted(self, seconds: float | None = None) -> bool:
        """For the table of parked documents."""
        return self._wait("parked noted", seconds)

    @override
    def know_parked(self, connection: Connection, resumed: Collection[str]) -> None:
        """Read which are parked."""
        self._world.step("parked read")

    @override
    def renew(self) -> None:
        """Read on a new connection."""
        self._world.step("reader renewed")

    @override
    def pause(self) -> None:
        """Take no more."""
        self._world.step("paused")

    @override
    def resume(self) -> None:
        """Take more."""
        self._world.step("resumed")
