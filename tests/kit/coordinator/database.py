"""The database of a session: its connections, and what stands for triggers and LISTEN."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, Final, cast

from psycopg import sql
from typing_extensions import override

from listener.capture.notifications import Notifications
from listener.changes import BarrierPayload, decode_payload
from listener.documents.connections import Connections
from listener.documents.upkeep import TriggerUpkeep
from listener.postgres import Connection
from listener.sql import files
from tests.kit.coordinator.world import World

_STATEMENTS: Final = {
    files.load(f"watermark/{name}").partition("\n")[0]: (name, step)
    for name, step in {
        "draw": "clock read",
        "burn": "xid burnt",
        "passed": "proof asked",
        "tick": "proof asked",
        "notify": "barrier sent",
        "holder": "holder asked",
        "lease": "bell kept",
        "lease_end": "bell let go",
    }.items()
}
"""By the first line of its file, the name of a statement and of its step."""


def connection(world: World) -> Connection:
    """One that answers."""
    return cast(Connection, _Connection(world))


class _Connection:
    """It knows the statements of the watermark by their files."""

    def __init__(self, world: World) -> None:
        self._world = world

    def close(self) -> None:
        """End it."""
        self._world.step("connection closed")

    def execute(self, statement: Any, values: Mapping[str, Any] | None = None) -> Any:
        """Answer a statement of the watermark, or that which prunes the journal."""
        text = statement.as_string() if isinstance(statement, sql.Composable) else statement
        if text.startswith("WITH gone AS (DELETE"):
            self._world.step("journal pruned")
            return None
        name, step = _STATEMENTS[text.partition("\n")[0]]
        self._world.step(step)
        rows = getattr(self, f"_{name}")(values)
        return SimpleNamespace(fetchone=lambda: rows[0] if rows else None, fetchall=lambda: rows)

    def _draw(self, _: object) -> list[Any]:
        return [(self._world.server_time(), "0/30")]

    def _burn(self, _: object) -> list[Any]:
        self._world.xids += 1
        return [(str(self._world.xids),)]

    def _passed(self, _: object) -> list[Any]:
        return [(self._world.proven,)]

    def _tick(self, _: object) -> list[Any]:
        return [(self._world.proven, self._world.unheard, 0.0)]

    def _holder(self, _: object) -> list[Any]:
        return [("transaction", 7, "app", None)]

    def _notify(self, values: Mapping[str, str]) -> list[Any]:
        barrier = decode_payload(values["payload"])
        assert isinstance(barrier, BarrierPayload)
        if self._world.comes_back:
            self._world.receiver.on_barrier(barrier.nonce)
        return []

    def _lease(self, _: object) -> list[Any]:
        return self._world.lease

    def _lease_end(self, _: object) -> list[Any]:
        return []


class FakeConnections(Connections):
    """Connections of the world."""

    def __init__(self, world: World) -> None:
        self._world = world

    @override
    def first(self, name: str) -> Connection:
        """That of a new session."""
        assert name == "listener: watermark"
        self._world.step("connected")
        return connection(self._world)


class FakeTriggers(TriggerUpkeep):
    """Triggers that are as they should be."""

    def __init__(self, world: World) -> None:
        self._world = world

    @override
    def ensure(self, connection: Connection, waiting: Callable[[str], object]) -> None:
        """Look at them."""
        self._world.step("triggers ensured")


class FakeNotifications(Notifications):
    """A LISTEN thread that has none."""

    def __init__(self, world: World) -> None:
        self._world = world

    @override
    def cut(self) -> None:
        """Give its connection up as dead."""
        self._world.step("connection cut")
