"""What becomes of a former index when a session begins: fed on, or given up, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from listener.documents.topology import Reassemble
from listener.indexing.feeds import Current
from listener.observations import events
from listener.resync.plan import Findings
from listener.resync.survey import Asked
from listener.search.shards import Shard
from listener.state.model import Kept, Load, Mark, RolledBackFiles, State
from tests.kit.definitions import film_definition
from tests.kit.session import (
    MEANING,
    NOW,
    SETTLED,
    SHARD,
    WATERMARK,
    Process,
    World,
    facts,
    film_index,
    film_kind,
    saved_state,
    unfinished,
)

HOUR = timedelta(hours=1)
KEPT = Kept(
    physical="films-0",
    uuid="uuid-0",
    since=WATERMARK - timedelta(minutes=5),
    until=NOW + timedelta(minutes=30),
)
META = {"listener": {"definition": film_definition("hash0").to_json()}}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A former index was fed, by the files of before."""
    world = World(monkeypatch)
    world.former = film_index("films-0", "uuid-0", hash="hash0", meta=META)
    world.shards["films-0"] = SHARD
    save(world)
    return world


def save(world: World, identity: dict[str, Any] | None = None, **other: Any) -> None:
    """The last session left this, in both places."""
    mark = Mark(shards={"0": SHARD.note()}, mapping="mapping-1", settled=SETTLED)
    known = {
        "config_hash": "hash1-hash0",
        "meanings": {"films": MEANING, "films.hash0": MEANING},
        "marks": {"films-1": mark, "films-0": mark},
    }
    said = {"kept": {"films": KEPT}, **other}
    state: State = saved_state({**known, **(identity or {})}, **said)
    world.disk, world.remote = state, replace(world.remote, state=state)


def process(world: World, keep_former: float = 3600, **other: Any) -> Process:
    """A start, with a kind for the former index."""
    others = [film_kind(digest="hash0", number=1, document=0)]
    return Process(world, None, film_kind(), **{"others": others, **other}, keep_former=keep_former)


def begin(one: Process) -> Findings:
    """Its first session."""
    return one.planner.begin(one.world.connection)


def test_it_is_fed_on(world: World) -> None:
    """And nothing is done for it."""
    one = process(world)
    found = begin(one)
    assert found.kept == (Current("films-0", "hash0"),)
    assert found.current == (Current("films-1", "hash1"),)
    assert found.needs == ()
    assert one.keeper.kept == {"films": KEPT}
    assert one.keeper.identity.marks.keys() == {"films-1", "films-0"}


def _gone(world: World) -> None:
    world.former = None


def _another(world: World) -> None:
    world.former = film_index("films-0", "uuid-9", hash="hash0", meta=META)


def _foreign(world: World) -> None:
    world.former = film_index("films-0", "uuid-0", hash="hash0", pipeline="another")


def _altered(world: World) -> None:
    world.former = film_index("films-0", "uuid-0", hash="hash0", mapping="mapping-2")


def _older(world: World) -> None:
    world.shards["films-0"] = Shard("another", "process", 10, 10)


def _unsettled(world: World) -> None:
    world.shards["films-0"] = Shard("history", "another", 10, 10)
    mark = Mark(shards={"0": SHARD.note()}, mapping="mapping-1")
    save(world, {"marks": {"films-1": mark, "films-0": mark}})


def _compared(world: World) -> None:
    save(world, reconcile={"films": False})


def _triggers(world: World) -> None:
    world.facts = facts(fingerprint={"trigger on film": "2"})


def _no_watermark(world: World) -> None:
    save(world, last_processed=None)


def _older_release(world: World) -> None:
    save(world, {"config_hash": "hash1"})


@pytest.mark.parametrize(
    ("arrange", "reason"),
    [
        (_gone, "is gone or is another one"),
        (_another, "is gone or is another one"),
        (_foreign, "not marked as this pipeline's"),
        (_altered, "mapping or settings of films-0 were altered"),
        (_older, "restored or made anew"),
        (_unsettled, "started anew"),
        (_compared, "compared with the database"),
        (_triggers, "the history of the database"),
        (_no_watermark, "the history of the database"),
        (_older_release, "another release"),
    ],
)
def test_any_doubt_gives_it_up(world: World, arrange: Callable[[World], None], reason: str) -> None:
    """Told with the reason, which is kept for `rollback`. Nothing is loaded or compared for it."""
    arrange(world)
    one = process(world)
    found = begin(one)
    assert found.kept == (None,)
    [told] = [seen for seen in world.told if isinstance(seen, events.FormerGivenUp)]
    assert reason in told.reason
    assert one.keeper.kept == {}
    assert one.keeper.state.unkept == {"films": told.reason}
    assert one.keeper.identity.marks.keys() == {"films-1"}
    assert not any(not need.compare for need in found.needs)


@pytest.mark.parametrize("over", ["time", "option"])
def test_its_time_is_over(world: World, over: str) -> None:
    """That is no doubt."""
    if over == "time":
        world.facts = facts(now=KEPT.until)
    one = process(world, 3600 if over == "time" else 0)
    assert begin(one).kept == (None,)
    assert [seen for seen in world.told if isinstance(seen, events.FormerExpired)]
    assert one.keeper.kept == {}


def test_a_definition_that_does_not_fit(world: World) -> None:
    """A column of it was dropped: it is given up, and holds nothing."""
    one = process(world, others=[], unfit={"hash0": "public.gone is missing"})
    assert begin(one).kept == (None,)
    assert one.keeper.state.unkept == {"films": "public.gone is missing"}


def test_a_definition_that_no_kind_has(world: World) -> None:
    """Another daemon has kept it: all is built anew."""
    with pytest.raises(Reassemble, match="films-0"):
        begin(process(world, others=[]))


def test_a_restart_of_elasticsearch(world: World) -> None:
    """Up to the last look it is certain: the sweep begins there."""
    world.shards["films-0"] = Shard("history", "another", 10, 10)
    one = process(world)
    assert begin(one).kept == (Current("films-0", "hash0"),)
    assert one.keeper.last_processed == SETTLED


# -- roles that were not written down --------------------------------------------------------------


def test_a_rollback_that_was_not_written_down(world: World) -> None:
    """The process ended just after the call that changed the aliases."""
    world.behind, world.former = world.former, film_index()
    one = process(world)
    found = begin(one)
    assert (found.current, found.kept) == (
        (Current("films-0", "hash0"),),
        (Current("films-1", "hash1"),),
    )
    assert found.needs == ()
    assert one.keeper.identity.indexes == {"films": "uuid-0"}
    assert one.keeper.rolled_back == {"films": RolledBackFiles(hash="hash1", since=NOW)}
    kept = one.keeper.kept["films"]
    assert (kept.physical, kept.since, kept.until) == ("films-1", NOW, NOW + HOUR)
    assert [seen for seen in world.told if isinstance(seen, events.FilesNotInForce)]


def test_a_swap_that_was_not_written_down(world: World) -> None:
    """The index of a load is in use, and the one before has its write alias."""
    load = Load(index="films", physical="films-2", started_at=WATERMARK, documents=5, done=True)
    save(world, kept={}, loads=(load,))
    world.behind, world.former = film_index("films-2", "uuid-2"), film_index(hash="hash0")
    one = process(world)
    assert begin(one).kept == (Current("films-1", "hash0"),)
    assert one.keeper.kept["films"].physical == "films-1"
    assert one.keeper.identity.indexes == {"films": "uuid-2"}


def test_another_index_by_hand(world: World) -> None:
    """That is no rollback: it is loaded anew, as ever."""
    world.behind = film_index("films-9", "uuid-9", hash="hash0", meta=META)
    [need] = begin(process(world)).needs
    assert not need.compare
    assert one_kept(world) == {}


def one_kept(world: World) -> object:
    """What was rolled back, as it was written last."""
    return world.disks[-1].rolled_back


# -- files that are not in force -------------------------------------------------------------------


def rolled_back(world: World, digest: str = "hash1", **other: Any) -> None:
    """A person went back: the index of the old files is in use."""
    world.behind = film_index("films-0", "uuid-0", hash="hash0", meta=META)
    world.former = film_index()
    kept = KEPT.model_copy(update={"physical": "films-1", "uuid": "uuid-1"})
    rolled = RolledBackFiles(hash=digest, since=WATERMARK)
    save(
        world,
        {"indexes": {"films": "uuid-0"}},
        kept={"films": kept},
        rolled_back={"films": rolled},
        **other,
    )


def test_files_are_not_loaded_again(world: World) -> None:
    """Told once a process."""
    rolled_back(world)
    one = process(world)
    assert begin(one).needs == ()
    assert begin(one).needs == ()
    assert [seen for seen in world.told if isinstance(seen, events.FilesNotInForce)] == [
        events.FilesNotInForce("films", WATERMARK)
    ]
    assert "films-0 adopted" not in world.steps


@pytest.mark.parametrize("before", [True, False])
def test_a_load_that_was_under_way(world: World, before: bool) -> None:
    """It is given up with its files, also where the process ended amid that; but for one that a
    person has asked for since."""
    began = WATERMARK + timedelta(seconds=-1 if before else 1)
    world.others["films-2"] = film_index("films-2", "uuid-2")
    rolled_back(world, loads=(unfinished(started_at=began),))
    one = process(world)
    assert [need.reason for need in begin(one).needs] == ([] if before else ["it was interrupted"])
    assert len(one.keeper.loads) == (0 if before else 1)


def test_an_index_that_stood_still_is_loaded(world: World) -> None:
    """The last session did not feed it: what it has missed is not known."""
    rolled_back(world)
    assert world.disk is not None
    identity = world.disk.identity.model_copy(update={"config_hash": "hash1"})
    state = world.disk.model_copy(update={"identity": identity})
    world.disk, world.remote = state, replace(world.remote, state=state)
    [need] = begin(process(world)).needs
    assert need.reason == "no saved state speaks of this index"


def test_files_that_changed_are_loaded(world: World) -> None:
    """Whatever was gone back from."""
    rolled_back(world, digest="hash9")
    [need] = begin(process(world)).needs
    assert need.reason == "mapping, query or watched tables have changed"


def test_files_that_were_put_right(world: World) -> None:
    """They are those of the index in use: in force again."""
    rolled_back(world)
    one = Process(
        world,
        None,
        film_kind(digest="hash0"),
        others=[film_kind(number=1, document=0)],
        keep_former=3600,
    )
    assert begin(one).needs == ()
    assert one.keeper.rolled_back == {}


def test_nothing_is_loaded_before_a_rollback(world: World) -> None:
    """Of the command without a daemon: the files were edited since."""
    world.behind = film_index(hash="hash2")
    kinds = [film_kind(digest="hash2", number=1, document=0)]
    save(world, {"config_hash": "hash1-hash2-hash0"})
    others = [*kinds, film_kind(digest="hash0", number=2, document=0)]
    asked = Asked(rollback={"films": "films-1"})
    one = Process(world, asked, film_kind(), others=others, keep_former=3600)
    found = begin(one)
    assert found.needs == ()
    assert found.kept == (Current("films-0", "hash0"),)
