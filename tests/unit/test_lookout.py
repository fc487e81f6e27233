"""The lookout: what is noted of an index when a load begins, and when it is complete."""

from __future__ import annotations

import pytest

from listener.search.shards import Shard
from listener.state.model import Mark
from tests.kit.session import NOW, SHARD, WATERMARK, Process, World, unfinished


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """As all was left."""
    return World(monkeypatch)


@pytest.fixture
def process(world: World) -> Process:
    """A daemon whose session has begun."""
    process = Process(world)
    process.planner.begin(world.connection)
    return process


def test_a_new_index_holds_nothing(process: Process) -> None:
    """Its shards and its mapping are noted, and nothing is settled in it."""
    process.lookout.begin("films-2", "mapping-2")
    noted = process.keeper.identity.marks["films-2"]
    assert noted == Mark(shards={"0": SHARD.note()}, mapping="mapping-2")


def test_a_complete_load_is_settled(process: Process) -> None:
    """Up to its proven start; how far it came is noted with it."""
    process.lookout.begin("films-2", "mapping-2")
    assert process.lookout.settle("films-2", WATERMARK, unfinished()) is None
    noted = process.keeper.identity.marks["films-2"]
    assert (noted.settled, noted.mapping) == (WATERMARK, "mapping-2")
    assert (noted.after, noted.documents) == (("5",), 5)


@pytest.mark.parametrize(
    ("shard", "told"),
    [
        (Shard("another", "process", 10, 10), "films-1: "),
        (Shard("history", "another", 10, 10), "Elasticsearch was started anew"),
        (None, "not all shards of films-1 are at work"),
    ],
)
def test_an_index_that_may_lack_what_it_was_sent(
    world: World, process: Process, shard: Shard | None, told: str
) -> None:
    """It is told, and nothing is noted: the next look must see it, too."""
    before = process.keeper.identity.marks
    world.shards = {} if shard is None else {"films-1": shard}
    found = process.lookout.settle("films-1", NOW)
    assert found is not None
    assert found.startswith(told)
    assert process.keeper.identity.marks == before
