"""A fence before no index."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from typing_extensions import override

from listener.indexing.feeds import Current
from listener.indexing.fence import Fence
from listener.search.aliases import Astray
from tests.kit.coordinator.world import World


class FakeFence(Fence):
    """The generation and its aliases."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.resumed: Collection[str] = ()
        self.loads: dict[int, str] = {}
        self.found: tuple[int, Astray] | None = None
        self.former_found: tuple[int, Astray] | None = None

    @override
    def begin(
        self,
        current: Sequence[Current | None],
        resumed: Collection[str],
        kept: Sequence[Current | None] = (),
    ) -> None:
        """Raise the generation."""
        self._world.step("generation raised")
        self.resumed = resumed

    @override
    def confirm(self) -> None:
        """Look whether it is in force."""
        self._world.step("generation looked at")

    @override
    def loading(self, document: int) -> str | None:
        """The index that is loaded."""
        return self.loads.get(document)

    @override
    def former_astray(self) -> tuple[int, Astray] | None:
        """What leads writes to former indexes elsewhere."""
        return self.former_found

    @override
    def astray(self) -> tuple[int, Astray] | None:
        """What leads writes elsewhere."""
        self._world.step("aliases looked at")
        return self.found
