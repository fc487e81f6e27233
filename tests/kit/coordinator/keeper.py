"""A keeper that writes nothing."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

from typing_extensions import override

from listener.search.versions import Versions
from listener.state.control import ControlDocument
from listener.state.store import Keeper
from tests.kit.coordinator.world import World


class NotedKeeper(Keeper):
    """A real one, but that it notes what it would write."""

    def __init__(self, world: World) -> None:
        control = cast(ControlDocument, None)  # nothing is written there
        super().__init__(Path("state.yaml"), control, Versions(), world.told.append)
        self._world = world

    @override
    def advance(self, at: datetime) -> None:
        """Move the watermark."""
        self._world.step("advanced")
        super().advance(at)

    @override
    def step_back(self, by: timedelta) -> None:
        """Move it back."""
        self._world.step("stepped back")
        super().step_back(by)

    @override
    def seen(self, lsn: str) -> None:
        """Remember the WAL."""
        self._world.step("wal noted")
        super().seen(lsn)

    @override
    def want_reconcile(self, index: str, *, unguarded: bool, outlives_load: bool = False) -> None:
        """A comparison is due."""
        self._world.step(f"comparison of {index} written down")
        super().want_reconcile(index, unguarded=unguarded, outlives_load=outlives_load)

    @override
    def save(self, *, now: bool = False) -> None:
        """Write state.yaml."""
        self._world.step("state saved at once" if now else "state saved")

    @override
    def control_soon(self) -> None:
        """Write the control document soon."""
        self._world.step("control wanted")

    @override
    def save_control(self, *, now: bool = False) -> bool:
        """Write the control document."""
        self._world.step("control saved at once" if now else "control saved")
        return self._world.generation_is_ours
