"""The audit: what is found, what is written down for it at once, and what is left alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from listener.resync.audit import ALTERED
from listener.search.index_settings import Fault
from listener.search.shards import Shard
from tests.kit.session import (
    FINGERPRINT,
    MEANING,
    SHARD,
    WATERMARK,
    Failed,
    Process,
    World,
    facts,
    film_index,
    unfinished,
)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """As all was left."""
    return World(monkeypatch)


@pytest.fixture
def process(world: World) -> Process:
    """A daemon whose session has begun."""
    process = Process(world)
    process.planner.begin(world.connection)
    world.steps.clear()
    world.disks.clear()
    return process


def audit(process: Process, *loading: int) -> str | None:
    """One audit."""
    return process.auditor.audit(process.world.connection, loading)


def test_all_is_well(world: World, process: Process) -> None:
    """The database first, then what costs requests; a new nonce at the end. State and control
    document know both nonces before the database has the new one, and only that one after."""
    assert audit(process) is None
    assert world.steps == [
        "triggers read",
        "meanings read",
        "triggers checked",
        "films looked behind",
        "shards read",
        "state.yaml written",
        "control saved",
        "nonce in the database",
        "state.yaml written",
        "control saved",
    ]
    new = world.facts.nonce
    before, after = (one.identity.nonce for one in world.disks)
    assert (before, after) == (f"nonce-1 {new}", new)
    assert [one["identity"]["nonce"] for one in world.remotes] == [before, after]
    assert [one.identity.renewals for one in world.disks] == [5, 6]
    assert process.keeper.identity.marks["films-1"].settled == WATERMARK


@pytest.mark.parametrize(
    ("found", "goes_on"),
    [
        ({}, True),
        ({"nonce": "later", "renewals": 6}, True),
        ({"nonce": "earlier", "renewals": 4}, False),
        ({"nonce": "dumped", "line": None}, False),
        ({"line": "line-0"}, False),
    ],
)
def test_a_line_of_nonces(world: World, found: dict[str, Any], goes_on: bool) -> None:
    """It goes on while the database is the one that was left, or went on since. Two copies of a
    database would count the same numbers."""
    world.facts = facts(**found)
    process = Process(world)
    process.planner.begin(world.connection)
    process.auditor.renew(world.connection)
    assert (process.keeper.identity.line == "line-1") == goes_on
    assert process.keeper.identity.line == world.facts.line
    assert process.keeper.identity.renewals == world.facts.renewals


def test_each_nonce_takes_the_place_of_the_last(world: World, process: Process) -> None:
    """A copy from before the last audit is of another history, too."""
    assert audit(process) is None
    first = world.facts.nonce
    world.disks.clear()
    assert audit(process) is None
    assert [one.identity.nonce for one in world.disks] == [
        f"{first} {world.facts.nonce}",
        world.facts.nonce,
    ]


def _altered(world: World) -> None:
    world.facts = facts(fingerprint={**FINGERPRINT, "trigger on film": "9"})


def _many_altered(world: World) -> None:
    world.facts = facts(fingerprint={**FINGERPRINT, **{f"trigger {n}": "9" for n in range(5)}})


def _wrong(world: World) -> None:
    world.wrong = ("a trigger is missing", "another one, too")


@pytest.mark.parametrize(
    ("arrange", "told"),
    [
        (_altered, "altered, and may have missed changes: trigger on film"),
        (
            _many_altered,
            "altered, and may have missed changes: trigger 0, trigger 1, trigger 2 and 2 more",
        ),
        (_wrong, "a trigger is missing"),
    ],
)
def test_what_records_changes_was_altered(
    world: World, process: Process, arrange: Callable[[World], None], told: str
) -> None:
    """Written down at once: the next session compares though all was put back before it began.
    Elasticsearch is not asked."""
    arrange(world)
    assert audit(process) == told
    assert [one.identity.triggers for one in world.disks] == [ALTERED]
    assert not {"films looked behind", "shards read", "nonce in the database"} & set(world.steps)
    world.facts, world.wrong = facts(), ()
    found = process.planner.begin(world.connection)
    assert [one.reason for one in found.needs] == ["another history"]


def test_a_child_that_came_and_went(world: World, process: Process) -> None:
    """That ANALYZE forgets it is no alarm, and is noted: the next one is told again."""
    child = facts(fingerprint={**FINGERPRINT, "former children of film": "7"})
    world.facts = child
    told = "altered, and may have missed changes: former children of film"
    assert audit(process) == told
    assert [one.reason for one in process.planner.begin(world.connection).needs] == [
        "another history"
    ]
    world.facts = child
    assert audit(process) is None
    world.facts = facts()
    assert audit(process) is None
    world.facts = child
    assert audit(process) == told


def test_a_query_means_something_else(world: World, process: Process) -> None:
    """Written down at once, as a meaning that no other is equal to."""
    world.meaning = {"function app.title()": "xyz"}
    assert audit(process) == "films: altered: function app.title()"
    [written] = world.disks
    assert written.identity.meanings["films"] not in (MEANING, world.meaning)
    assert written.identity.triggers != ALTERED
    assert "triggers checked" not in world.steps
    world.meaning = MEANING
    found = process.planner.begin(world.connection)
    assert [one.reason for one in found.needs] == ["altered: function app.title()"]


def _two(world: World) -> None:
    world.behind = "films leads to two indexes"


def _none(world: World) -> None:
    world.behind = None


def _another(world: World) -> None:
    world.behind = film_index(uuid="uuid-9")


def _not_ours(world: World) -> None:
    world.foreign.add("films-1")


def _faulty(world: World) -> None:
    world.behind = film_index(fault=Fault("dynamic is true", ""))


def _mapping(world: World) -> None:
    world.behind = film_index(mapping="mapping-2")


def _restored(world: World) -> None:
    world.shards["films-1"] = Shard("another", "process", 10, 10)


def _restarted(world: World) -> None:
    world.shards["films-1"] = Shard("history", "another", 10, 10)


@pytest.mark.parametrize(
    ("arrange", "told"),
    [
        (_two, "films leads to two indexes"),
        (_none, "films: the alias does not lead to the index that it led to"),
        (_another, "films: the alias does not lead to the index that it led to"),
        (_not_ours, "films: films-1 is not marked as this pipeline's any more"),
        (_faulty, "films: films-1: dynamic is true"),
        (_mapping, "films: mapping or settings of films-1 were altered"),
        (_restored, "films-1: "),
        (_restarted, "Elasticsearch was started anew, and may lack what films-1 was sent last"),
    ],
)
def test_an_index_is_not_what_it_was(
    world: World, process: Process, arrange: Callable[[World], None], told: str
) -> None:
    """It is told, and left for the session that follows: neither the new look is noted, by which
    that would see nothing, nor is the nonce renewed."""
    before = process.keeper.identity
    arrange(world)
    found = audit(process)
    assert found is not None
    assert found.startswith(told)
    assert process.keeper.identity == before
    assert not {"nonce in the database", "state.yaml written"} & set(world.steps)


def test_an_index_that_is_being_replaced_is_not_looked_at(world: World, process: Process) -> None:
    """Its load brings another one."""
    world.behind = None
    assert audit(process, 0) is None
    assert "films looked behind" not in world.steps


@pytest.mark.parametrize("why", ["loaded", "compared"])
def test_nothing_is_settled_that_the_watermark_does_not_speak_of(
    process: Process, why: str
) -> None:
    """An index that is loaded or compared lacks changes from before the watermark."""
    before = process.keeper.identity.marks["films-1"]
    assert before.settled == WATERMARK
    if why == "loaded":
        process.keeper.put_load(unfinished(physical="films-1"))
    else:
        process.keeper.want_reconcile("films", unguarded=False)
    assert audit(process) is None
    assert process.keeper.identity.marks["films-1"].settled is None


def test_a_shard_that_is_away_keeps_its_note(world: World, process: Process) -> None:
    """It may come back as an older one."""
    before = process.keeper.identity.marks
    world.shards.clear()
    assert audit(process) is None
    assert process.keeper.identity.marks == before


def test_a_nonce_where_another_daemon_is_in_force(world: World, process: Process) -> None:
    """The database keeps the one that it has: it is the other daemon's business."""
    world.generation_is_ours = False
    assert audit(process) is None
    assert "nonce in the database" not in world.steps


def test_a_nonce_that_could_not_be_written(world: World, process: Process) -> None:
    """Whether it arrived is not known: the state knows both, so no session takes it for another
    history."""
    world.fails = "nonce in the database"
    with pytest.raises(Failed):
        audit(process)
    world.fails = None
    for arrived in process.keeper.identity.nonce.split():
        world.facts = facts(nonce=arrived)
        world.disk = process.keeper.state
        assert Process(world).planner.begin(world.connection).needs == ()


def test_the_database_alone(world: World, process: Process) -> None:
    """While Elasticsearch is away it is not asked."""
    assert process.auditor.audit_database(world.connection) is None
    assert world.steps == ["triggers read", "meanings read", "triggers checked"]


def test_doubt_before_the_first_session(world: World) -> None:
    """There is no state yet to write it into, and nothing is written over."""
    process = Process(world)
    process.auditor.distrust()
    assert world.steps == []
    assert not process.keeper.begun


def test_an_index_that_only_a_load_mends(world: World, process: Process) -> None:
    """Written down in both places: the daemon may be killed before its next session."""
    process.auditor.distrust_index(0)
    assert world.steps == ["state.yaml written", "control saved"]
    assert world.disks[-1].identity.indexes == {}
    content: Any = world.remotes[-1]
    assert content["identity"]["indexes"] == {}
    found = process.planner.begin(world.connection)
    assert [(one.reason, one.compare) for one in found.needs] == [
        ("no saved state speaks of this index", False)
    ]


def test_the_shard_of_the_tests_is_certain() -> None:
    """Else no test here would see a mark."""
    assert SHARD.certain == SHARD.reached
