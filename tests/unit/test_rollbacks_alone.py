"""Going back to a former index in the run of a command."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import pytest
from typing_extensions import override

from listener import search
from listener.indexing.outage import Trouble
from listener.observations.events import RollbackRefused, RolledBack
from listener.resync.rollbacks import Rollbacks, Terms
from listener.search.existing import Existing
from listener.state.model import Kept
from tests.kit.resync import FakeFence, FakeIndexes, FakePipeline, Resync
from tests.kit.session import NOW, saved_state

OLD: Final = "films-0"
NEW: Final = "films-1"


class Indexes(FakeIndexes):
    """All of them are there, and of this pipeline."""

    @override
    def is_ours(self, found: Existing) -> bool:
        """Whether it is of this pipeline."""
        return True

    @override
    def refresh(self, name: str) -> None:
        """Make it searchable."""
        self._room.step(f"{name} refreshed")


class Fence(FakeFence):
    """The aliases change, and then the call may have no answer."""

    @override
    def roll_back(self, document: int, *, keep: bool) -> list[str]:
        """People search the former index again."""
        room = self._room
        before, room.current[document] = room.current[document], room.kept
        room.kept = before
        room.step(f"gone back to {room.current[document]}")
        return []


class Pipeline(FakePipeline):
    """Nothing fails."""

    @override
    def trouble_of(self, kind: int) -> Trouble | None:
        """What does not work."""
        return None


class Command:
    """`listener rollback films`, with no daemon: the index OLD was asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room = room = Resync(monkeypatch)
        monkeypatch.setattr("listener.capture.watermark.now", lambda _: (NOW, "0/30"))
        room.fence = Fence(room)
        self.rollbacks = Rollbacks(
            room.kinds,
            fence=room.fence,
            indexes=Indexes(room),
            keeper=room.keeper,
            pipeline=Pipeline(room),
            terms=Terms(3600, 30, asked={"films": OLD}),
            observe=room.told.append,
        )

    def session(self, used: str, kept: str) -> None:
        """It finds that people search this index, and that this one is kept."""
        self.room.current[0], self.room.kept = used, kept
        uuid, since = f"uuid of {kept}", NOW - timedelta(minutes=1)
        former = Kept(physical=kept, uuid=uuid, since=since, until=NOW + timedelta(hours=1))
        self.room.keeper.begin(saved_state(kept={"films": former}))

    def here(self) -> None:
        """Go back."""
        self.rollbacks.here(self.room.connection)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Command:
    """Before its first session."""
    return Command(monkeypatch)


def test_it_goes_back(command: Command) -> None:
    """The other index is the former one from then on, and is not gone to in the same run."""
    command.session(NEW, OLD)
    command.here()
    command.here()
    assert command.room.current[0] == OLD
    assert command.room.keeper.kept["films"].physical == NEW
    assert [type(one) for one in command.room.told].count(RolledBack) == 1


def test_a_call_without_an_answer(command: Command) -> None:
    """It was executed: the next session finds that, and nothing is left to do. To go to the former
    index of then would undo what was asked for."""
    command.session(NEW, OLD)
    command.room.fails["gone back"] = search.Away("no answer")
    with pytest.raises(search.Away):
        command.here()
    command.session(OLD, NEW)
    command.here()
    assert command.room.current[0] == OLD
    assert command.room.keeper.kept["films"].physical == NEW
    assert command.room.told == []


def test_another_one_is_kept_by_then(command: Command) -> None:
    """A daemon came in between, and swapped: that one was not asked for."""
    command.session("films-2", NEW)
    command.here()
    assert command.room.current[0] == "films-2"
    (told,) = command.room.told
    assert told == RollbackRefused("films", "no former index is kept")
