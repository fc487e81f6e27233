"""Plans, audits, loads and comparisons that a test gives."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

from typing_extensions import override

from listener.capture.journal import RollbackAsked
from listener.failures import Failure
from listener.postgres import Connection
from listener.resync.audit import Auditor
from listener.resync.cancellation import Check
from listener.resync.jobs import Jobs
from listener.resync.kind_state import Wanted
from listener.resync.needs import Need
from listener.resync.plan import Findings, Planner
from listener.resync.rollbacks import Rollbacks
from listener.search.index_settings import Fault
from listener.state.store import Keeper
from tests.kit.coordinator.world import World
from tests.kit.session import saved_state

_NOBODY: Final[list[str]] = []
_NOTHING: Final[list[Failure]] = []


class FakePlanner(Planner):
    """Plans what the world has for a session, with no index in use."""

    def __init__(self, world: World, keeper: Keeper) -> None:
        self._world = world
        self._keeper = keeper

    @override
    def begin(self, connection: Connection) -> Findings:
        """Begin the state, too, where it has not begun."""
        self._world.step("planned")
        if not self._keeper.begun:
            self._keeper.begin(saved_state())
        return Findings((None, None), tuple(self._world.plans))


class FakeRollbacks(Rollbacks):
    """Former indexes: there are none, but those that a person asks for."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._due = {}

    @override
    def look(self, connection: Connection) -> None:
        """Give up those that fail."""

    @override
    def ask(self, asked: RollbackAsked) -> None:
        """A person wants to go back."""
        self._due[0] = asked

    @override
    def roll_back(self, connection: Connection, due: Mapping[int, RollbackAsked]) -> Sequence[int]:
        """Go back."""
        self._world.step("rolled back")
        self._due.clear()
        return list(due)

    @override
    def here(self, connection: Connection) -> None:
        """Go back where that was asked for."""


class FakeJobs(Jobs):
    """Loads and comparisons."""

    # of the class: they stand for properties, which an instance cannot set
    running: bool = False
    has_load: bool = False
    guarded: list[str] = _NOBODY
    refusals: list[Failure] = _NOTHING
    held: Failure | None = None

    def __init__(self, world: World) -> None:
        self._world = world
        self.rollbacks = FakeRollbacks(world)
        self.began: list[datetime] = []
        """When those began that are under way."""
        self.loading: set[int] = set()
        self.covered: dict[int, datetime] = {}
        """By kind, when the last comparison began."""
        self.covers_deletes = False
        """Whether that could delete any number of documents."""
        self.based = True
        """Whether the start of each was proven."""
        self.compared: list[dict[int, Wanted]] = []

    @property
    @override
    def starts(self) -> list[datetime]:
        """Where sweeps must start."""
        return list(self.began)

    @override
    def loads(self, kind: int) -> bool:
        """Whether a kind is loaded."""
        return kind in self.loading

    @override
    def covers(self, kind: int, at: datetime, wanted: Wanted) -> bool:
        """Whether a comparison began later."""
        covered = kind in self.covered and self.covered[kind] > at
        return covered and (self.covers_deletes or not wanted.unguarded)

    @override
    def roll_back(self, connection: Connection, due: Mapping[int, RollbackAsked]) -> None:
        """Go back."""
        self.rollbacks.roll_back(connection, due)

    @override
    def forget(self) -> None:
        """A new session."""
        self._world.step("loads forgotten")

    @override
    def end(self) -> None:
        """End those that run."""
        self._world.step("loads ended")

    @override
    def begin(self, connection: Connection, needs: Sequence[Need]) -> None:
        """Begin these: now, but for loads that go on."""
        self._world.step("loads begun")
        now = self._world.server_time()
        self.began += [one.resume.started_at if one.resume else now for one in needs]

    @override
    def again(self, connection: Connection, wanted: Mapping[int, Wanted]) -> None:
        """Compare these."""
        self._world.step("compared")
        self.compared.append(dict(wanted))

    @override
    def here(self, connection: Connection, check: Check) -> bool:
        """Load in this thread."""
        self._world.step("loaded here")
        return self.based

    @override
    def finish_here(self, connection: Connection, check: Check) -> None:
        """Swap the aliases."""
        self._world.step("aliases swapped")


class FakeAuditor(Auditor):
    """Finds what a test has set."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.altered: str | None = None
        self.hindering: list[Fault] = []
        self.loading: Collection[int] = ()
        self.distrusted: list[int] = []
        self.formers: list[tuple[int, str]] = []
        """Former indexes that are distrusted, and why."""
        self.unreadable: Exception | None = None
        """Why hindrances cannot be read."""

    @override
    def audit(self, connection: Connection, loading: Collection[int] = ()) -> str | None:
        """Look at all."""
        self._world.step("audited")
        self.loading = loading
        return self.altered

    @override
    def audit_database(self, connection: Connection) -> str | None:
        """Look at the database alone."""
        self._world.step("database audited")
        return self.altered

    @override
    def hindrances(self, control: str) -> list[Fault]:
        """What a person must hear of."""
        if self.unreadable is not None:
            raise self.unreadable
        return self.hindering

    @override
    def distrust_former(self, number: int, why: str) -> None:
        """A former index may lack changes."""
        self.formers.append((number, why))

    @override
    def audit_indexes(self, loading: Collection[int]) -> str | None:
        """Look at the indexes alone."""
        self._world.step("indexes audited")
        self.loading = loading
        return self.altered

    @override
    def renew(self, connection: Connection) -> None:
        """Leave a new nonce."""
        self._world.step("nonce renewed")

    @override
    def distrust(self) -> None:
        """The triggers were altered."""
        self._world.step("triggers distrusted")

    @override
    def distrust_index(self, number: int) -> None:
        """An index cannot be mended."""
        self._world.step("index distrusted")
        self.distrusted.append(number)
