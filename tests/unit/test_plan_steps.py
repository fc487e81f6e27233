"""How a session begins: the order of its steps, and what is not done after one has failed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from listener.observations import events
from listener.resync.ownership import ForeignState
from listener.resync.survey import Asked
from listener.search.owners import ForeignIndex
from listener.state.control import Control
from listener.state.model import State, from_json
from tests.kit.session import (
    MEANING,
    NOW,
    WATERMARK,
    Failed,
    Process,
    World,
    facts,
    film_index,
    film_kind,
    saved_state,
)

WRITES = ("state.yaml written", "films protected", "control saved", "control accepted")
OTHER = {"function app.title()": "xyz"}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """As all was left."""
    return World(monkeypatch)


def begin(process: Process) -> tuple[str, ...]:
    """Begin a session; the reasons of what it plans."""
    return tuple(one.reason for one in process.planner.begin(process.world.connection).needs)


def test_the_steps_of_the_first_session(world: World) -> None:
    """Whose state it is comes before any name is taken; what the control document told is written
    down before that may be written over."""
    assert begin(Process(world)) == ()
    assert world.steps == [
        "control prepared",
        "facts read",
        "settings read",
        "meanings read",
        "control read",
        "state.yaml read",
        "films protected",
        "films looked behind",
        "films write aliases read",
        "shards read",
        "pruned_below read",
        "films-1 adopted",
        "state.yaml written",
        "control accepted",
    ]
    assert world.told == []


def test_a_later_session_goes_on_from_its_own_state(world: World) -> None:
    """state.yaml may be older than what the process knows."""
    process = Process(world)
    begin(process)
    process.keeper.advance(NOW)
    world.disk, world.steps = saved_state(), []
    begin(process)
    assert "state.yaml read" not in world.steps
    assert process.keeper.last_processed == NOW


@pytest.mark.parametrize(
    ("where", "identity"),
    [
        ("state.yaml", {"system_identifier": "another"}),
        ("state.yaml", {"database_oid": 5}),
        ("state.yaml", {"db_schema": "another"}),
        ("state.yaml", {"pipeline": "another"}),
        ("the control document", {"database_oid": 5}),
        ("the control document", {"pipeline": "another"}),
    ],
)
def test_nothing_is_written_where_the_state_is_foreign(
    world: World, where: str, identity: dict[str, Any]
) -> None:
    """Neither down, nor over what the other one has, nor into its indexes."""
    if where == "state.yaml":
        world.disk = saved_state(identity)
    else:
        world.remote = Control(3, {}, 7, 1, saved_state(identity))
    process = Process(world)
    with pytest.raises(ForeignState, match=rf"\A{where}: "):
        begin(process)
    assert not set(WRITES) & set(world.steps)
    assert not process.keeper.begun
    assert process.indexes.owner.database is None


def test_what_a_person_forces_asks_no_state(world: World) -> None:
    """The foreign state is what is to be replaced; the next session asks for nothing."""
    world.disk = saved_state({"system_identifier": "another"})
    process = Process(world, Asked(force=True))
    assert begin(process) == ("asked for",)
    assert "state.yaml read" not in world.steps
    assert "films protected, taken" in world.steps
    world.remote = Control(3, {}, 7, 1, world.disk)
    assert begin(process) == ("no saved state speaks of this index",)


def test_a_name_that_another_database_took(world: World) -> None:
    """A daemon at work sees it in the control document, and takes nothing back."""
    process = Process(world)
    begin(process)
    world.remote = Control(4, {}, 9, 1, saved_state({"system_identifier": "another"}))
    world.steps = []
    with pytest.raises(ForeignIndex, match="belongs to another database now"):
        begin(process)
    assert not set(WRITES) & set(world.steps)


def test_the_database_before_this_one_took_nothing(world: World) -> None:
    """Another database answers: what the document still says of the former one is no theft."""
    process = Process(world)
    begin(process)
    world.facts = facts(database_oid=5)
    begin(process)
    world.remote = Control(3, {}, 7, 1, saved_state())
    begin(process)


def test_doubt_is_written_down_before_anything_can_fail(world: World) -> None:
    """The meaning may be put back before the next session looks."""
    process = Process(world)
    begin(process)
    world.meaning, world.fails, world.steps = OTHER, "control read", []
    with pytest.raises(Failed):
        begin(process)
    assert world.steps[-1] == "state.yaml written"
    assert world.disks[-1].identity.meanings["films"] not in (
        OTHER,
        saved_state().identity.meanings,
    )
    world.meaning, world.fails = MEANING, None
    assert begin(Process(world)) == ("altered: function app.title()",)


def test_another_meaning_is_judged_after_it_is_written_down(world: World) -> None:
    """Not accepted: no index is touched, the comparison is due, and a daemon that starts elsewhere
    reads of it, too."""
    world.meaning, world.refusal = OTHER, Failed("a table is not watched")
    process = Process(world)
    with pytest.raises(Failed):
        begin(process)
    assert world.place("state.yaml written") < world.place("queries judged")
    assert world.place("queries judged") < world.place("control saved")
    assert not {"films-1 adopted", "control accepted"} & set(world.steps)
    for written in (world.disks[-1], from_json(world.remotes[-1])):
        assert written.reconcile == {"films": False}
        assert written.identity.meanings["films"] not in (OTHER, MEANING)


@pytest.mark.parametrize("put_back", [True, False])
def test_a_refused_meaning_is_judged_again(world: World, put_back: bool) -> None:
    """Whatever the next session finds: keys were written by another meaning in between."""
    world.meaning, world.refusal = OTHER, Failed("a table is not watched")
    process = Process(world)
    with pytest.raises(Failed):
        begin(process)
    world.refusal, world.steps = None, []
    world.meaning = MEANING if put_back else OTHER
    assert begin(process) == ("altered: function app.title()",)
    assert "queries judged again" in world.steps
    assert process.keeper.identity.meanings == {"films": world.meaning}


def test_a_new_identity_is_never_saved_without_its_comparison(world: World) -> None:
    """The identity would not tell any more that the history was another one."""
    world.facts = facts(timeline=2)
    assert begin(Process(world)) == ("another history",)
    for one in world.disks:
        assert one.identity.timeline == 2
        assert one.reconcile == {"films": False}
    assert [one for one in world.told if isinstance(one, events.HistoryChanged)]


@pytest.mark.parametrize("step", ["films-1 adopted", "state.yaml written"])
def test_what_is_due_outlives_a_session_that_fails(world: World, step: str) -> None:
    """The next one of the process compares, though it finds the same history."""
    world.facts, world.fails = facts(timeline=2), step
    process = Process(world)
    if step == "state.yaml written":
        begin(process)
        assert world.disks == []
    else:
        with pytest.raises(Failed):
            begin(process)
        assert "control accepted" not in world.steps
    world.fails = None
    assert begin(process) == ("it was interrupted",)


@pytest.mark.parametrize(
    "step",
    [
        "facts",
        "settings",
        "meanings",
        "control read",
        "films pro",
        "films look",
        "shards",
        "pruned",
    ],
)
def test_what_fails_before_the_state_begins_leaves_it_as_it_was(world: World, step: str) -> None:
    """Nothing is saved, nothing accepted, and the next try is a first session."""
    world.fails = step
    process = Process(world)
    with pytest.raises(Failed):
        begin(process)
    assert not {"state.yaml written", "control saved", "control accepted"} & set(world.steps)
    assert not process.keeper.begun
    world.fails = None
    assert begin(process) == ()


def test_a_repair_is_asked_for_once(world: World) -> None:
    """A session after it does not compare again."""
    process = Process(world, Asked(repair=True))
    [plan] = process.planner.begin(world.connection).needs
    assert (plan.reason, plan.compare, plan.unguarded) == ("asked for", True, True)
    process.keeper.reconciled("films", NOW)
    assert begin(process) == ()


def test_documents_are_read_with_the_settings_of_the_session(world: World) -> None:
    """What its queries mean was looked at with them. A session that does not begin changes none."""
    process = Process(world)
    begin(process)
    assert process.connections._settings == {"search_path": "app"}
    process = Process(world)
    world.meaning, world.refusal = OTHER, Failed("they do not fit")
    with pytest.raises(Failed):
        begin(process)
    assert process.connections._settings == {}


def test_what_the_control_document_was_is_saved(world: World) -> None:
    """By it the next session knows an older one."""
    world.disk, world.remote = saved_state(), Control(3, {}, 8, 1, saved_state())
    begin(Process(world))
    assert world.disk.identity.control == 8


def test_an_index_that_went_back_was_not_loaded(world: World) -> None:
    """What its last load proved covers nothing any more."""
    world.disk = saved_state(loaded={"films": WATERMARK})
    process = Process(world)
    begin(process)
    assert process.keeper.loaded == {"films": WATERMARK}
    process = Process(world)
    world.remote = Control(3, {}, None, None)
    begin(process)
    assert process.keeper.loaded == {}


@pytest.mark.parametrize(
    ("mine", "its", "begins"),
    [
        ((0, "nonce-1"), (-60, "nonce-1"), -60),
        ((-60, "nonce-1"), (0, "nonce-1"), -60),
        ((0, "nonce-1"), (-60, "older"), 0),
        ((0, "older"), (-60, "nonce-1"), -60),
        ((-60, "older"), (0, "nonce-1"), 0),
        ((0, "older"), (-60, "older"), None),
    ],
    ids=str,
)
def test_state_and_control_document_differ(
    world: World, mine: tuple[int, str], its: tuple[int, str], begins: int | None
) -> None:
    """The one counts whose nonce stands in the database; of two, the smaller watermark. Where
    neither is known there, it is another history: all is compared, from no watermark."""

    def state(seconds: int, nonce: str) -> State:
        at = WATERMARK + timedelta(seconds=seconds)
        return saved_state({"nonce": nonce}, last_processed=at)

    world.disk = state(*mine)
    world.remote = Control(3, {}, 7, 1, state(*its))
    process = Process(world)
    begin(process)
    expected = None if begins is None else WATERMARK + timedelta(seconds=begins)
    assert process.keeper.last_processed == expected


def test_a_standby_takes_the_watermark_from_the_control_document(world: World) -> None:
    """It has no state.yaml, and says where it begins."""
    world.disk = None
    process = Process(world)
    assert begin(process) == ()
    assert process.keeper.last_processed == WATERMARK
    assert world.told == [events.StateFromControl(WATERMARK, "there is no state.yaml")]


def test_kinds_that_were_not_fed_are_forgotten(world: World) -> None:
    """What an index has missed while it was out of the configuration is known to nobody."""
    again = begin(Process(world))
    world.behind = film_index("actors-1", "uuid-5", hash="hash2")
    without = begin(Process(world, None, film_kind("actors", "hash2")))
    assert world.disks[-1].identity.indexes == {}
    world.behind = film_index()
    returned = begin(Process(world))
    unknown = ("no saved state speaks of this index",)
    assert (again, without, returned) == ((), unknown, unknown)


def test_a_damaged_control_document_is_told(world: World) -> None:
    """And the state is taken from state.yaml."""
    world.remote = Control(3, {}, 7, 1, None, "it has no valid generation")
    process = Process(world)
    assert begin(process) == ()
    assert world.told == [events.ControlDamaged("it has no valid generation")]
    world.told.clear()
    assert begin(process) == ()
    assert world.told == [events.ControlDamaged("it has no valid generation")]
