"""Going back in the run of a command: to that index that was meant, and once."""

from __future__ import annotations

import pytest

from listener.observations.events import RollbackRefused
from listener.resync.rollbacks import Rollbacks, Terms
from listener.state.model import Kept
from tests.kit.resync import FakeIndexes, FakePipeline, Resync
from tests.kit.session import NOW, WATERMARK


def rollbacks(room: Resync, wanted: str, kept: str | None) -> Rollbacks:
    """A person wants to go back to this index, and that one is kept."""
    if kept is not None:
        room.keeper.keep("films", Kept(physical=kept, uuid="uuid-0", since=WATERMARK, until=NOW))
    return Rollbacks(
        room.kinds,
        fence=room.fence,
        indexes=FakeIndexes(room),
        keeper=room.keeper,
        pipeline=FakePipeline(room),
        terms=Terms(3600, 30, asked={"films": wanted}),
        observe=room.told.append,
    )


def test_it_was_done_already(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session of this run did it and failed then, or a daemon did that could not write it down.
    The index that is kept now was in use: it would go forth again."""
    room = Resync(monkeypatch)
    room.current[0] = "films-0"
    rollbacks(room, "films-0", "films-1").here(room.connection)
    assert room.steps == []
    assert room.told == []
    assert room.keeper.kept["films"].physical == "films-1"


@pytest.mark.parametrize("kept", [None, "films-9"])
def test_the_one_that_was_meant_is_kept_no_more(
    monkeypatch: pytest.MonkeyPatch, kept: str | None
) -> None:
    """Another one is not taken for it: a load may have swapped its index in meanwhile."""
    room = Resync(monkeypatch)
    rollbacks(room, "films-0", kept).here(room.connection)
    assert room.steps == []
    assert room.told == [RollbackRefused("films", "no former index is kept")]
