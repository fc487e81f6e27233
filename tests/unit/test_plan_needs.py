"""What each document kind needs when a session begins: a load, a comparison, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from listener.documents.topology import Reassemble
from listener.indexing.feeds import Current
from listener.observations import events
from listener.resync.needs import Need
from listener.resync.survey import Asked
from listener.search.aliases import Astray
from listener.search.existing import Existing
from listener.search.index_settings import Fault
from listener.search.shards import Shard
from listener.state.control import Control
from listener.state.model import Mark, Refusal, State
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


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """As all was left."""
    return World(monkeypatch)


def plan(process: Process) -> Need | None:
    """What the only kind needs."""
    found = process.planner.begin(process.world.connection)
    assert len(found.needs) <= 1
    return found.needs[0] if found.needs else None


def save(world: World, state: State) -> None:
    """The last session left this, in both places."""
    world.disk, world.remote = state, replace(world.remote, state=state)


def _gone(world: World) -> None:
    world.behind = None


def _never_there(world: World) -> None:
    world.behind = None
    save(world, saved_state({"indexes": {}}))


def _two_indexes(world: World) -> None:
    world.behind = "films leads to two indexes"


def _of_another_pipeline(world: World) -> None:
    world.behind = film_index(pipeline="another")


def _older_query(world: World) -> None:
    world.behind = film_index(hash="hash0")


def _unknown(world: World) -> None:
    save(world, saved_state({"indexes": {}}))


def _with_a_fault(world: World) -> None:
    world.behind = film_index(fault=Fault("dynamic is true", "write strict"))


def _mapping_altered(world: World) -> None:
    world.behind = film_index(mapping="mapping-2")


def _replaced(world: World) -> None:
    world.behind = film_index(uuid="uuid-9", mapping="mapping-2")
    save(world, saved_state({"marks": {}}))


def _scattered(world: World) -> None:
    world.astray = Astray("films.w3 has a routing", scattered=True)


@pytest.mark.parametrize(
    ("arrange", "reason"),
    [
        (_gone, "the index or its alias is gone"),
        (_never_there, "there is no index yet"),
        (_two_indexes, "films leads to two indexes"),
        (_of_another_pipeline, "the alias leads to films-1, which is not of this pipeline"),
        (_older_query, "mapping, query or watched tables have changed"),
        (_unknown, "no saved state speaks of this index"),
        (_with_a_fault, "films-1: dynamic is true"),
        (_mapping_altered, "mapping or settings of films-1 were altered"),
        (_replaced, "films-1 is another index than before"),
        (_scattered, "no saved state speaks of this index"),
    ],
)
def test_a_load_is_needed(world: World, arrange: Callable[[World], None], reason: str) -> None:
    """Into a new index: nothing is adopted that cannot be trusted."""
    arrange(world)
    found = plan(Process(world))
    assert found is not None
    assert (found.reason, found.compare, found.resume) == (reason, False, None)
    assert "films-1 adopted" not in world.steps


@pytest.mark.parametrize(
    ("behind", "vanished"),
    [
        (None, True),
        (film_index("theirs", "uuid-7", hash=None, pipeline=None), True),
        (film_index("others-1", "uuid-7", pipeline="others", hash="hash7"), True),
        (film_index("films-0", "uuid-0", hash="hash0"), True),
        (film_index(uuid="uuid-7", mapping="mapping-7"), True),
        (film_index(), False),
        (film_index(hash="hash0"), False),
    ],
    ids=["gone", "foreign", "of others", "an old one", "of the same name", "in use", "not fed"],
)
def test_an_index_in_use_that_is_gone_is_told(
    world: World, behind: Existing | None, vanished: bool
) -> None:
    """Also where somebody has put another one in its place, and a load mends it."""
    world.behind = behind
    found = plan(Process(world))
    assert any(isinstance(one, events.IndexVanished) for one in world.told) is vanished
    if vanished:
        assert found is not None
        assert not found.compare


def _another_timeline(world: World) -> None:
    world.facts = facts(timeline=2)


def _pruned(world: World) -> None:
    world.pruned = WATERMARK + timedelta(seconds=1)


def _owed(world: World) -> None:
    save(world, saved_state(reconcile={"films": True}))


def _owed_of_another_past(world: World) -> None:
    _owed(world)
    world.facts = facts(nonce="another")


def _no_watermark(world: World) -> None:
    save(world, saved_state(last_processed=None))


def _astray(world: World) -> None:
    world.astray = Astray("films.w3 led to films-9")


def _control_gone(world: World) -> None:
    world.remote = Control(0, {}, None, None)


def _control_older(world: World) -> None:
    world.remote = replace(world.remote, seq_no=6)


def _index_older(world: World) -> None:
    world.shards["films-1"] = Shard("another", "process", 10, 10)


def _index_there_again(world: World) -> None:
    world.behind = film_index(uuid="uuid-9")


def _outdated(world: World) -> None:
    save(world, saved_state({"nonce": "older", "renewals": 4}))


def _outdated_and_pruned(world: World) -> None:
    _outdated(world)
    _pruned(world)


def _outdated_and_another_table(world: World) -> None:
    _outdated(world)
    world.facts = facts(tables={"public.film": 2})


def _outdated_and_promoted(world: World) -> None:
    _outdated(world)
    world.facts = facts(timeline=2)


def _outdated_and_dumped(world: World) -> None:
    _outdated(world)
    world.facts = facts(line=None)


def _outdated_in_another_line(world: World) -> None:
    save(world, saved_state({"nonce": "older", "renewals": 4, "line": "line-0"}))


def _database_older(world: World) -> None:
    save(world, saved_state({"nonce": "newer", "renewals": 6}))


def _database_between(world: World) -> None:
    _database_older(world)
    world.disk = saved_state({"nonce": "older", "renewals": 4})


def _not_counted(world: World) -> None:
    save(world, saved_state({"nonce": "older", "line": None, "renewals": None}))
    world.facts = facts(line=None, renewals=0)


def _restarted_unsettled(world: World) -> None:
    mark = Mark(shards={"0": SHARD.note()}, mapping="mapping-1", settled=None)
    save(world, saved_state({"marks": {"films-1": mark}}))
    world.shards["films-1"] = Shard("history", "another", 10, 10)


def _back_in_another_history(world: World) -> None:
    _index_older(world)
    _another_timeline(world)


@pytest.mark.parametrize(
    ("arrange", "reason", "unguarded"),
    [
        (_another_timeline, "another history", False),
        (_pruned, "another history", False),
        (_owed, "it was interrupted", True),
        (_owed_of_another_past, "another history", False),
        (_no_watermark, "there is no proven watermark", False),
        (_astray, "films.w3 led to films-9", False),
        (_control_gone, "the control document is gone, and Elasticsearch may have gone back", True),
        (_control_older, "the control document is an older one: Elasticsearch went back", True),
        (_outdated, "the control document is an older one: Elasticsearch went back", True),
        (_outdated_and_pruned, "the control document is an older one: Elasticsearch", True),
        (_outdated_and_another_table, "another history", False),
        (_outdated_and_promoted, "another history", False),
        (_outdated_and_dumped, "another history", False),
        (_outdated_in_another_line, "another history", False),
        (_database_older, "another history", False),
        (_database_between, "another history", False),
        (_not_counted, "another history", False),
        (_index_older, "films-1: ", True),
        (_index_there_again, "films-1 was deleted, and is there again", True),
        (_restarted_unsettled, "films-1: Elasticsearch was started anew", True),
        (_back_in_another_history, "another history", False),
    ],
)
def test_a_comparison_is_needed(
    world: World, arrange: Callable[[World], None], reason: str, unguarded: bool
) -> None:
    """Only where the database is certainly the one that was left may it delete any number."""
    arrange(world)
    found = plan(Process(world))
    assert found is not None
    assert found.reason.startswith(reason), found
    assert (found.compare, found.unguarded) == (True, unguarded)
    assert "films-1 adopted" in world.steps


def test_another_daemon_was_at_work_meanwhile(world: World) -> None:
    """It has left a later nonce, and the control document is its own: nothing went back."""
    process = Process(world)
    assert plan(process) is None
    world.facts = facts(nonce="later", renewals=6)
    save(world, saved_state({"nonce": "later", "renewals": 6}))
    found = plan(process)
    assert found is not None
    assert (found.reason, found.compare, found.unguarded) == ("another history", True, False)
    assert not [one for one in world.told if isinstance(one, events.IndexWentBack)]


def test_a_restart_sets_the_watermark_back(world: World) -> None:
    """To what was certain at the last look; nothing need be compared for it."""
    world.shards["films-1"] = Shard("history", "another", 10, 10)
    process = Process(world)
    assert plan(process) is None
    assert process.keeper.last_processed == SETTLED
    assert world.told == [events.SearchRestarted(SETTLED)]


def test_nothing_is_settled_that_the_watermark_does_not_speak_of(world: World) -> None:
    """An index that is loaded or compared lacks changes from before the watermark."""
    process = Process(world)
    assert plan(process) is None
    assert process.keeper.identity.marks["films-1"].settled == WATERMARK
    save(world, saved_state(loads=(unfinished(),), reconcile={"films": False}))
    process = Process(world)
    plan(process)
    assert {name: one.settled for name, one in process.keeper.identity.marks.items()} == {
        "films-1": None,
        "films-2": None,
    }


def test_a_load_goes_on(world: World) -> None:
    """From the last page that Elasticsearch acknowledged."""
    save(world, saved_state(loads=(unfinished(),)))
    found = plan(Process(world))
    assert found is not None
    assert (found.reason, found.resume) == ("it was interrupted", unfinished())


def test_a_load_after_a_restart_goes_on_from_the_last_look(world: World) -> None:
    """What was acknowledged since then may be lost."""
    mark = Mark(shards={"0": SHARD.note()}, mapping="mapping-1", after=("2",), documents=2)
    known = {"marks": {**saved_state().identity.marks, "films-2": mark}}
    save(world, saved_state(known, loads=(unfinished(done=True),)))
    world.shards["films-2"] = Shard("history", "another", 10, 10)
    found = plan(Process(world))
    assert found is not None
    assert found.resume == unfinished(after=("2",), documents=2)


@pytest.mark.parametrize("everything", [True, False])
def test_a_load_whose_index_went_back_is_given_up(world: World, everything: bool) -> None:
    """Told, and begun anew where it is needed; the control document speaks for all indexes."""
    known = {"marks": {**saved_state().identity.marks, "films-2": Mark(shards={"0": SHARD.note()})}}
    save(world, saved_state(known, loads=(unfinished(),)))
    if everything:
        world.remote = replace(world.remote, seq_no=6)
    else:
        world.shards["films-2"] = Shard("another", "process", 10, 10)
    process = Process(world)
    found = plan(process)
    assert process.keeper.loads == ()
    told = [one.reason for one in world.told if isinstance(one, events.IndexWentBack)]
    assert len(told) == (2 if everything else 1)
    assert (found is not None and found.compare) == everything


@pytest.mark.parametrize("made_anew", [False, True])
def test_a_swap_just_before_it_was_killed(world: World, made_anew: bool) -> None:
    """The daemon was killed just after it. The index is another one than the saved one, and no
    older one: nothing is compared, and the former index is sound. One that somebody made anew
    under that name has another history."""
    mark = Mark(shards={"0": SHARD.note()}, mapping="mapping-1")
    known = {"marks": {**saved_state().identity.marks, "films-2": mark}}
    save(world, saved_state(known, loads=(unfinished(done=True),)))
    world.behind = film_index("films-2", "uuid-2")
    if made_anew:
        world.shards["films-2"] = Shard("another", "process", 10, 10)
    process = Process(world)
    found = plan(process)
    told = [one for one in world.told if isinstance(one, events.IndexWentBack)]
    assert (found is not None, len(told)) == (made_anew, made_anew)
    assert process.keeper.identity.indexes["films"] == "uuid-2"


def test_a_swapped_load_after_a_restart(world: World) -> None:
    """Its index is the one in use, and may lack what it was sent last, whatever was settled."""
    mark = Mark(shards={"0": SHARD.note()}, settled=SETTLED)
    known = {"marks": {**saved_state().identity.marks, "films-2": mark}}
    save(world, saved_state(known, loads=(unfinished(done=True),)))
    world.behind = world.others["films-2"]
    world.shards["films-2"] = Shard("history", "another", 10, 10)
    found = plan(Process(world))
    assert found is not None
    assert (found.reason, found.compare) == ("films-2: Elasticsearch was started anew", True)


@pytest.mark.parametrize(("nonce", "back"), [("nonce-1", False), ("older", True)])
def test_a_control_document_of_a_former_release(world: World, nonce: str, back: bool) -> None:
    """It left no number, but the nonce that is in the database."""
    save(world, saved_state({"control": None}))
    world.remote = Control(3, {"identity": {"nonce": nonce}}, 7, 1, world.disk)
    found = plan(Process(world))
    assert (found is not None) == back
    if found is not None:
        assert found.reason == "the control document is an older one: Elasticsearch went back"


@pytest.mark.parametrize("altered", [True, False])
def test_what_an_edited_query_depends_on_anew(world: World, altered: bool) -> None:
    """It is the edit's own, and loaded for that; what both depend on may have been altered."""
    save(world, saved_state({"config_hash": "hash0"}))
    world.behind = film_index(hash="hash0")
    world.meaning = {"function app.title()": "xyz" if altered else "abc", "view app.new": "1"}
    process = Process(world)
    found = plan(process)
    assert found is not None
    assert found.reason == "mapping, query or watched tables have changed"
    assert process.keeper.reconcile == ({"films": False} if altered else {})


def _other_query(world: World) -> None:
    world.others["films-2"] = film_index("films-2", "uuid-2", hash="hash0")


def _not_there(world: World) -> None:
    world.others.clear()


def _not_ours(world: World) -> None:
    world.foreign.add("films-2")


def _faulty(world: World) -> None:
    world.others["films-2"] = film_index("films-2", "uuid-2", fault=Fault("dynamic is true", ""))


def _pruned_since(world: World) -> None:
    save(world, saved_state(loads=(unfinished(started_at=WATERMARK - timedelta(hours=1)),)))
    world.pruned = WATERMARK - timedelta(minutes=1)


def _begun_in_the_future(world: World) -> None:
    save(world, saved_state(loads=(unfinished(started_at=NOW + timedelta(hours=1)),)))


def _other_key(world: World) -> None:
    save(world, saved_state(loads=(unfinished(after=("x",)),)))


def _odd_name(world: World) -> None:
    save(world, saved_state(loads=(unfinished(physical="films-2.b"),)))


@pytest.mark.parametrize(
    "arrange",
    [
        _other_query,
        _not_there,
        _not_ours,
        _faulty,
        _pruned_since,
        _begun_in_the_future,
        _other_key,
        _odd_name,
    ],
)
def test_a_load_that_cannot_go_on_is_forgotten(
    world: World, arrange: Callable[[World], None]
) -> None:
    """The index in use is good: nothing is loaded."""
    save(world, saved_state(loads=(unfinished(),)))
    arrange(world)
    process = Process(world)
    assert plan(process) is None
    assert process.keeper.loads == ()


def test_pages_of_another_meaning_are_read_again(world: World) -> None:
    """The load would go on beside pages that are stale."""
    save(world, saved_state(loads=(unfinished(),)))
    world.meaning = {"function app.title()": "xyz"}
    found = plan(Process(world))
    assert found is not None
    assert (found.compare, found.resume) == (True, None)


@pytest.mark.parametrize("owed", [True, False])
def test_a_swap_that_was_not_written_down(world: World, owed: bool) -> None:
    """The index of a complete load stands behind its alias: it is the one in use, and the watermark
    is not beyond the load's start. A comparison that was due is due still."""
    began = WATERMARK - timedelta(minutes=5)
    load = unfinished(started_at=began, done=True)
    save(world, saved_state(loads=(load,), reconcile={"films": False} if owed else {}))
    world.behind = world.others["films-2"]
    process = Process(world)
    found = plan(process)
    assert process.keeper.identity.indexes == {"films": "uuid-2"}
    assert (process.keeper.loads, process.keeper.last_processed) == ((), began)
    assert (found is not None and found.compare) == owed
    assert process.keeper.reconcile == ({"films": False} if owed else {})


@pytest.mark.parametrize("accepted", [{}, {"films": "films-3"}, {"films": "films-2"}])
def test_a_word_is_for_the_index_that_is_held(world: World, accepted: dict[str, str]) -> None:
    """A person has seen what it lacks. Of another one, or one that is loaded anew, nobody has."""
    world.others["films-2"] = film_index("films-2", "uuid-2")
    held = {"films": Refusal(physical="films-2", reason="too many are gone")}
    save(world, saved_state(loads=(unfinished(done=True),), refused=held))
    process = Process(world, Asked(accept=accepted))
    found = plan(process)
    assert found is not None
    assert found.resume == unfinished(done=True)
    assert found.accepted is ("films-2" in accepted.values())
    assert process.keeper.state.refused == held
    del world.others["films-2"]
    found = plan(Process(world, Asked(load=frozenset({"films"}), accept=accepted)))
    assert found is not None
    assert (found.resume, found.accepted) == (None, False)


# -- definitions -----------------------------------------------------------------------------------


def _kept(digest: str) -> dict[str, Any]:
    """The `_meta` of an index that keeps its definition."""
    return {"listener": {"definition": film_definition(digest).to_json()}}


def outdated(world: World, **other: Any) -> Process:
    """The index in use was made by other files, which it keeps, and by which it was fed."""
    world.behind = film_index(hash="hash0", meta=_kept("hash0"))
    save(world, saved_state({"config_hash": "hash1-hash0"}, **other))
    before = film_kind(digest="hash0", number=1, document=0)
    return Process(world, None, film_kind(), others=[before])


def test_the_index_in_use_goes_on_by_its_own_definition(world: World) -> None:
    """Its load is by the files as they are."""
    process = outdated(world)
    found = process.planner.begin(world.connection)
    assert found.current == (Current("films-1", "hash0"),)
    [need] = found.needs
    assert (need.kind.hash, need.compare) == ("hash1", False)
    assert process.keeper.identity.fed == {"hash1", "hash0"}
    assert process.keeper.identity.indexes == {"films": "uuid-1"}


def test_a_load_goes_on_beside_an_index_of_other_files(world: World) -> None:
    """Both were fed, each by its own."""
    found = plan(outdated(world, loads=(unfinished(),)))
    assert found is not None
    assert found.resume == unfinished()


def test_other_kinds_are_needed(world: World) -> None:
    """Another daemon has swapped, or a person: all is built anew, with a kind for that index."""
    world.behind = film_index(hash="hash9", meta=_kept("hash9"))
    with pytest.raises(Reassemble, match="films-1"):
        plan(Process(world))


@pytest.mark.parametrize("unfit", [True, False])
def test_an_index_that_stands_still(world: World, unfit: bool) -> None:
    """A former release kept no definition; or the database cannot be read by it any more. It is
    never fed by another query than its own, which is told."""
    world.behind = film_index(hash="hash0", meta=_kept("hash0") if unfit else {})
    process = Process(world, unfit={"hash0": "public.gone is missing"} if unfit else {})
    found = process.planner.begin(world.connection)
    assert found.current == (Current("films-1", None),)
    assert found.needs[0].reason == "mapping, query or watched tables have changed"
    [told] = [one for one in world.told if isinstance(one, events.IndexStandsStill)]
    assert told.reason == ("public.gone is missing" if unfit else told.reason)
    assert process.keeper.identity.fed == {"hash1"}


def test_what_was_not_fed_is_forgotten(world: World) -> None:
    """The files are put back; but meanwhile the index has stood still, and missed changes."""
    save(world, saved_state({"config_hash": "hash9"}))
    found = plan(Process(world))
    assert found is not None
    assert found.reason == "no saved state speaks of this index"


def test_each_definition_has_its_own_meaning(world: World) -> None:
    """A function of the old query alone was altered: the pages of the new one are not stale."""
    process = outdated(world)
    save(
        world,
        saved_state(
            {
                "config_hash": "hash1-hash0",
                "meanings": {"films": MEANING, "films.hash0": {"function app.old()": "1"}},
            },
            loads=(unfinished(),),
        ),
    )
    world.meanings["films.hash0"] = {"function app.old()": "2"}
    found = plan(process)
    assert found is not None
    assert found.resume == unfinished()
    assert "queries judged" not in world.steps
    assert process.keeper.identity.meanings["films.hash0"] == {"function app.old()": "2"}


def test_a_meaning_goes_along_with_its_definition(world: World) -> None:
    """The files are edited: what their query depended on is that of the index in use."""
    process = outdated(world)
    save(world, saved_state({"config_hash": "hash0"}))
    found = plan(process)
    assert found is not None
    assert process.keeper.reconcile == {}
    world.meanings["films.hash0"] = {"function app.title()": "xyz"}
    process = outdated(world)
    save(world, saved_state({"config_hash": "hash0"}))
    plan(process)
    assert process.keeper.reconcile == {"films": False}
