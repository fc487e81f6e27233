"""A mailbox that notes what is forgotten, and whose waits take no time."""

from __future__ import annotations

from collections.abc import Callable

from typing_extensions import override

from listener.coordinator.mailbox import Mailbox
from listener.state.store import Keeper
from tests.kit.coordinator.world import World


class TimedMailbox(Mailbox):
    """A real one, but for the world's clock."""

    def __init__(self, world: World, keeper: Keeper) -> None:
        super().__init__(["films", "actors"], keeper, world.told.append, world.stop)
        self._world = world

    @override
    def wait(self, until: Callable[[], bool], seconds: float) -> bool:
        """Wait until something is true."""
        if not until():
            self._world.pause(seconds, until)
        return until()

    @override
    def unfence(self) -> None:
        """Forget the refusals."""
        self._world.step("fence forgotten")
        super().unfence()

    @override
    def take_sweep(self) -> bool:
        """Take the request for a sweep."""
        self._world.step("request taken")
        return super().take_sweep()

    @override
    def ticked(self) -> None:
        """A tick is complete."""
        self._world.step("ticked")
        super().ticked()
