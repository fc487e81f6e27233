"""Former indexes: when one is kept, when it is given up, and how people go back to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typing_extensions import override

from listener.capture import watermark
from listener.capture.journal import RollbackAsked
from listener.documents.kinds import Kind
from listener.indexing.outage import Trouble
from listener.observations.events import (
    FilesNotInForce,
    FormerExpired,
    FormerGivenUp,
    FormerKept,
    FormerNotKept,
    RollbackRefused,
    RolledBack,
    ServerName,
)
from listener.resync.rollbacks import Rollbacks, Terms
from listener.search.index_settings import Fault
from listener.search.owners import ForeignIndex
from listener.search.versions import Versions
from listener.search.write_aliases import Role
from listener.state.model import Kept, Mark
from listener.state.store import Keeper
from tests.kit.session import (
    NOW,
    FakeControl,
    FakeIndexes,
    World,
    film_index,
    film_kind,
    saved_state,
    unfinished,
)

HOUR = 3600
SINCE = NOW - timedelta(hours=2)
LOADED = NOW - timedelta(hours=1)
UNTIL = NOW + timedelta(hours=1)
KEPT = Kept(physical="films-0", uuid="uuid-0", since=SINCE, until=UNTIL)
ASKED = RollbackAsked("films", "films-0", NOW)
NOT_SOUND = "it may have missed changes when it was in use last"
NOT_FED = "its definition is not known, or its query or index failed when it was replaced"


class Indexes(FakeIndexes):
    """Those of the world, and who uses the alias."""

    foreign: Exception | None = None

    @override
    def refuse_foreign(self, alias: str, *, take: bool = False) -> None:
        """Raise what the test has."""
        self._world.step(f"{alias} asked for" + (", taken" if take else ""))
        if self.foreign is not None:
            raise self.foreign

    @override
    def refresh(self, name: str) -> None:
        """Searches find all."""
        self._world.step(f"{name} refreshed")


class FakeFence:
    """Which index has which role. `fed`: the kind that feeds the former one."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.places: dict[Role, str] = {Role.IN_USE: "films-1"}
        self.works = True
        """Whether the kind works that feeds the index in use."""
        self.fed: Kind | None = film_kind(digest="hash0", number=1, document=0)
        self.meanwhile: Callable[[], object] = list
        """What happens beside a swap."""

    def current(self, document: int) -> str | None:
        """The index in use."""
        assert document == 0
        return self.places.get(Role.IN_USE)

    def kept(self, document: int) -> str | None:
        """The former one."""
        assert document == 0
        return self.places.get(Role.KEPT)

    def kind(self, document: int, role: Role) -> Kind | None:
        """What feeds the former one."""
        assert (document, role) == (0, Role.KEPT)
        return self.fed

    def swap(self, document: int, index: str, *, keep: bool) -> list[str]:
        """People search this index."""
        self._world.step(f"swapped, {'keeping' if keep else 'not keeping'}")
        return self._exchange(document, index, keep=keep)

    def roll_back(self, document: int, *, keep: bool) -> list[str]:
        """People search the former index."""
        self._world.step(f"went back, {'keeping' if keep else 'not keeping'}")
        return self._exchange(document, self.places[Role.KEPT], keep=keep)

    def _exchange(self, document: int, index: str, *, keep: bool) -> list[str]:
        assert document == 0
        self.meanwhile()
        before = self.places.pop(Role.IN_USE, None)
        self.places = {Role.IN_USE: index}
        if before is not None and keep and self.works:
            self.places[Role.KEPT] = before
        return [before] if before is not None else []

    def unkeep(self, document: int) -> None:
        """The former index is fed no more."""
        assert document == 0
        self._world.step("feeding ended")
        self.places.pop(Role.KEPT, None)


class Formers:
    """Rollbacks of the films: real state, and a fence that only notes its steps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kept: Kept | None = None) -> None:
        self.world = world = World(monkeypatch)
        versions = Versions()
        versions.begin(3)
        self.keeper = Keeper(Path("state.yaml"), FakeControl(world), versions, world.told.append)
        self.keeper.begin(saved_state(kept={} if kept is None else {"films": kept}))
        self.fence = FakeFence(world)
        if kept is not None:
            self.fence.places[Role.KEPT] = kept.physical
        world.others = {
            "films-0": film_index("films-0", "uuid-0"),
            "films-1": film_index(),
            "films-2": film_index("films-2", "uuid-2"),
        }
        self.indexes = Indexes(world)
        self.trouble: Trouble | None = None
        self.now = NOW
        monkeypatch.setattr(watermark, "now", lambda _: (self.now, "0/20"))
        self.rollbacks = self.of(Terms(HOUR, 60))

    def of(self, terms: Terms) -> Rollbacks:
        """The same on other terms."""
        fence: Any = self.fence
        pipeline: Any = SimpleNamespace(
            trouble_of=self._trouble_of, refresh_soon=lambda: self.world.step("refresh wanted")
        )
        return Rollbacks(
            [film_kind()],
            fence=fence,
            indexes=self.indexes,
            keeper=self.keeper,
            pipeline=pipeline,
            terms=terms,
            observe=self.world.told.append,
        )

    def swap(self, terms: Terms | None = None) -> list[str]:
        """A load into films-2 swaps its index in."""
        rollbacks = self.rollbacks if terms is None else self.of(terms)
        return rollbacks.swap(film_kind(), unfinished(started_at=LOADED))

    def go_back(self) -> Sequence[int]:
        """A person asks, and a tick has passed."""
        self.rollbacks.ask(ASKED)
        return self.rollbacks.roll_back(self.world.connection, self.rollbacks.due())

    def look(self) -> None:
        """Look whether one is to be given up."""
        self.rollbacks.look(self.world.connection)

    @property
    def kept(self) -> Kept | None:
        """What the state says."""
        return self.keeper.kept.get("films")

    @property
    def unkept(self) -> str | None:
        """Why the state says that none is kept."""
        return self.keeper.state.unkept.get("films")

    def _trouble_of(self, kind: int) -> Trouble | None:
        assert kind == 1
        return self.trouble


@pytest.fixture
def first(monkeypatch: pytest.MonkeyPatch) -> Formers:
    """films-1 is in use; there is no former index."""
    return Formers(monkeypatch)


@pytest.fixture
def formers(monkeypatch: pytest.MonkeyPatch) -> Formers:
    """films-1 is in use; films-0 is the former index."""
    return Formers(monkeypatch, KEPT)


# -- the swap of a load ----------------------------------------------------------------------------


def test_the_index_before_is_kept(first: Formers) -> None:
    """For as long as is wanted from now on, with what may lie between the two clocks. A request to
    go back counts if it is younger than the load."""
    first.keeper.identify(ahead=30.0)
    before = datetime.now(UTC)
    assert first.swap() == []
    assert first.world.steps == ["films asked for", "films-1 read", "swapped, keeping"]
    kept = first.kept
    assert kept is not None
    assert (kept.physical, kept.uuid, kept.since) == ("films-1", "uuid-1", LOADED)
    wanted = timedelta(seconds=HOUR + 30)
    assert before + wanted <= kept.until <= datetime.now(UTC) + wanted
    assert first.world.told == [FormerKept("films", "films-1", kept.until)]


def test_none_is_wanted(first: Formers) -> None:
    """The index before is nobody's, and nothing is told of it. A rollback is told why."""
    assert first.swap(Terms(0, 60)) == ["films-1"]
    assert first.world.steps == ["films asked for", "swapped, not keeping"]
    assert (first.kept, first.unkept, first.world.told) == (None, "keep_former is 0", [])


def test_one_that_may_lack_changes_is_not_kept(first: Formers) -> None:
    """Nobody may go back to it. Why is written down, and told when it can still be heeded."""
    first.keeper.doubt_in_use("films")
    assert first.swap() == ["films-1"]
    assert "swapped, not keeping" in first.world.steps
    assert (first.kept, first.unkept) == (None, NOT_SOUND)
    assert first.world.told == [FormerNotKept("films", "films-1", NOT_SOUND)]


def test_one_that_is_gone_is_not_kept(first: Formers) -> None:
    """Somebody has deleted it."""
    del first.world.others["films-1"]
    first.swap()
    assert "swapped, not keeping" in first.world.steps
    assert (first.kept, first.unkept) == (None, NOT_SOUND)


def test_one_that_cannot_be_fed_is_not_kept(first: Formers) -> None:
    """Its own query fails, say: the fence does not take it over."""
    first.fence.works = False
    assert first.swap() == ["films-1"]
    assert (first.kept, first.unkept) == (None, NOT_FED)


def test_the_first_index_has_none_before_it(first: Formers) -> None:
    """There is nothing to be kept, and no reason to be told."""
    first.fence.places.clear()
    assert first.swap() == []
    assert "swapped, not keeping" in first.world.steps
    assert (first.kept, first.unkept) == (None, None)


def test_another_owner_of_the_alias(formers: Formers) -> None:
    """Nothing is swapped, and the former index stays."""
    formers.indexes.foreign = ForeignIndex("films is another pipeline's")
    with pytest.raises(ForeignIndex):
        formers.swap()
    assert formers.world.steps == ["films asked for"]
    assert formers.kept == KEPT
    formers.indexes.foreign = None
    formers.swap(Terms(HOUR, 60, take=True))
    assert "films asked for, taken" in formers.world.steps


def test_the_former_index_is_replaced(formers: Formers) -> None:
    """One at a time is kept. A request that meant the one before this one must not count as one for
    the new one."""
    late = KEPT.model_copy(update={"since": LOADED + timedelta(minutes=5)})
    formers.keeper.keep("films", late)
    formers.swap()
    assert isinstance(formers.world.told[0], FormerExpired)
    assert formers.world.told[0].physical == "films-0"
    assert formers.kept is not None
    assert (formers.kept.physical, formers.kept.since) == ("films-1", late.since)


# -- its end ---------------------------------------------------------------------------------------


def test_there_is_none(first: Formers) -> None:
    """Nothing is looked at."""
    first.look()
    assert first.world.steps == []


def test_it_is_fed_until_its_time_is_over(formers: Formers) -> None:
    """By the database's clock. It is written down before feeding ends: a daemon that is killed in
    between does not go on with it."""
    formers.now = UNTIL - timedelta(seconds=1)
    formers.look()
    assert (formers.kept, formers.world.steps) == (KEPT, [])
    formers.now = UNTIL
    formers.look()
    assert formers.kept is None
    assert formers.world.steps == ["state.yaml written", "feeding ended"]
    assert formers.world.told == [FormerExpired("films", "films-0", "its time is over")]


@pytest.mark.parametrize(
    ("trouble", "given_up"),
    [
        (Trouble(ServerName.ELASTICSEARCH, 60, "no room"), False),
        (Trouble(ServerName.ELASTICSEARCH, 61, "no room"), True),
        (Trouble(ServerName.POSTGRES, 0, "no column x", held=True), True),
    ],
    ids=["in patience", "for too long", "held"],
)
def test_it_never_holds_anything(formers: Formers, trouble: Trouble, given_up: bool) -> None:
    """Where its own query or index fails it is given up, and told why."""
    formers.trouble = trouble
    formers.look()
    assert (formers.kept is None) == given_up
    assert ("feeding ended" in formers.world.steps) == given_up
    told = [FormerGivenUp("films", "films-0", trouble.reason)]
    assert formers.world.told == (told if given_up else [])


def test_its_kind_stands_still(formers: Formers) -> None:
    """What nobody feeds lacks changes."""
    formers.fence.fed = None
    formers.look()
    assert (formers.kept, formers.unkept) == (None, NOT_FED)
    assert "feeding ended" in formers.world.steps


def test_one_that_the_state_does_not_know(formers: Formers) -> None:
    """It was given up elsewhere: feeding ends, and that was told already."""
    formers.keeper.doubt("films", "the documents are compared with the database")
    formers.world.told.clear()
    formers.look()
    assert formers.world.steps[-1] == "feeding ended"
    assert formers.world.told == []


def test_during_a_swap(formers: Formers) -> None:
    """Roles have changed, and the state does not know yet: nothing is given up, and nobody goes
    back. The request stays."""
    formers.now = UNTIL
    formers.rollbacks.ask(ASKED)
    due = formers.rollbacks.due()
    found: list[Sequence[int]] = []

    def beside() -> None:
        formers.look()
        found.append(formers.rollbacks.roll_back(formers.world.connection, due))

    formers.fence.meanwhile = beside
    formers.swap()
    assert found == [[]]
    assert formers.rollbacks.due() == {0: ASKED}
    assert "feeding ended" not in formers.world.steps
    assert not [one for one in formers.world.steps if one.startswith("went back")]


# -- going back ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "asked",
    [
        RollbackAsked("persons", "films-0", NOW),
        RollbackAsked("films", "films-7", NOW),
        RollbackAsked("films", "films-1", NOW),
        RollbackAsked("films", "films-0", SINCE),
    ],
    ids=["of another alias", "of another index", "in use already", "older than the swap"],
)
def test_a_request_that_means_nothing_now(formers: Formers, asked: RollbackAsked) -> None:
    """It was read once more, or the former index has changed since."""
    formers.rollbacks.ask(asked)
    assert formers.rollbacks.due() == {}


def test_people_go_back(formers: Formers) -> None:
    """Searches find all first. Then the state knows, and the index that was in use is kept in its
    turn: a request of before this moment does not mean it."""
    assert formers.go_back() == [0]
    assert formers.world.steps == [
        "films-0 read",
        "films-1 read",
        "films-0 refreshed",
        "films asked for",
        "went back, keeping",
        "state.yaml written",
        "control saved",
        "refresh wanted",
    ]
    assert formers.kept is not None
    assert (formers.kept.physical, formers.kept.since) == ("films-1", NOW)
    assert formers.keeper.identity.indexes["films"] == "uuid-0"
    assert formers.keeper.rolled_back["films"].hash == "hash1"
    kept, back, files = formers.world.told
    assert isinstance(kept, FormerKept)
    assert back == RolledBack("films", "films-0", "films-1")
    assert files == FilesNotInForce("films", NOW)
    assert formers.rollbacks.due() == {}


def test_to_an_index_of_the_same_files(formers: Formers) -> None:
    """They are in force, so nothing is said of them."""
    formers.fence.fed = film_kind(number=1, document=0)
    assert formers.go_back() == [0]
    assert formers.keeper.rolled_back == {}
    assert not [one for one in formers.world.told if isinstance(one, FilesNotInForce)]


def test_from_an_index_that_may_lack_changes(formers: Formers) -> None:
    """It is not kept."""
    formers.keeper.doubt_in_use("films")
    assert formers.go_back() == [0]
    assert "went back, not keeping" in formers.world.steps
    assert (formers.kept, formers.unkept) == (None, NOT_SOUND)


def test_one_that_was_given_up_meanwhile(formers: Formers) -> None:
    """The request has no meaning any more, and is not kept for another index."""
    formers.rollbacks.ask(ASKED)
    due = formers.rollbacks.due()
    formers.keeper.doubt("films", "compared")
    assert formers.rollbacks.roll_back(formers.world.connection, due) == []
    assert formers.rollbacks.due() == {}
    assert not [one for one in formers.world.steps if one.startswith("went back")]


def _gone(formers: Formers) -> str:
    del formers.world.others["films-0"]
    return "the index is gone, or another one has its name"


def _another(formers: Formers) -> str:
    formers.world.others["films-0"] = film_index("films-0", "uuid-9")
    return "the index is gone, or another one has its name"


def _not_ours(formers: Formers) -> str:
    formers.world.foreign.add("films-0")
    return "it is not marked as this pipeline's any more"


def _altered(formers: Formers) -> str:
    formers.keeper.mark("films-0", Mark(mapping="mapping-9"))
    return "mapping or settings of films-0 were altered"


def _at_fault(formers: Formers) -> str:
    fault = Fault("it has a default pipeline", "")
    formers.world.others["films-0"] = film_index("films-0", "uuid-0", fault=fault)
    return "films-0: it has a default pipeline"


def _fails(formers: Formers) -> str:
    formers.trouble = Trouble(ServerName.ELASTICSEARCH, 0, "blocked", held=True)
    return "blocked"


def _not_fed(formers: Formers) -> str:
    formers.fence.fed = None
    return NOT_FED


@pytest.mark.parametrize(
    "arrange", [_gone, _another, _not_ours, _altered, _at_fault, _fails, _not_fed]
)
def test_one_that_is_not_as_it_was_left(formers: Formers, arrange: Any) -> None:
    """Nobody goes back to it: searches would find what is wrong. It is told, and given up."""
    reason = arrange(formers)
    assert formers.go_back() == []
    assert formers.fence.current(0) == "films-1"
    assert not [one for one in formers.world.steps if one.startswith("went back")]
    assert (formers.kept, formers.unkept) == (None, reason)
    assert formers.world.told == [
        FormerGivenUp("films", "films-0", reason),
        RollbackRefused("films", reason),
    ]


def test_an_alias_that_another_owner_took(formers: Formers) -> None:
    """The roles stay as they are."""
    formers.indexes.foreign = ForeignIndex("films is another pipeline's")
    with pytest.raises(ForeignIndex):
        formers.go_back()
    assert formers.fence.current(0) == "films-1"
    assert formers.kept == KEPT


# -- once ------------------------------------------------------------------------------------------


def test_once(formers: Formers) -> None:
    """A person asked for it in this run."""
    formers.of(Terms(HOUR, 60)).here(formers.world.connection)
    assert formers.world.steps == []
    formers.of(Terms(HOUR, 60, asked={"films": "films-0"})).here(formers.world.connection)
    assert formers.fence.current(0) == "films-0"


@pytest.mark.parametrize("reason", ["it was given up", None])
def test_once_without_a_former_index(first: Formers, reason: str | None) -> None:
    """Why there is none is told, where that is known."""
    if reason is not None:
        first.keeper.not_kept("films", reason)
    first.of(Terms(HOUR, 60, asked={"films": "films-0"})).here(first.world.connection)
    assert first.world.told == [RollbackRefused("films", reason or "no former index is kept")]
    assert first.world.steps == []
