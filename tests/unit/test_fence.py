"""The fence: the order of its steps, and what is refused. Ledger and gate are the real ones."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from fnmatch import fnmatch
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest

from listener import search
from listener.changes import Route
from listener.documents.kinds import Kind
from listener.documents.topology import Reassemble
from listener.failures import Failure
from listener.indexing.batch import Limits
from listener.indexing.batch_size import BatchSize
from listener.indexing.feeds import Current
from listener.indexing.fence import Fence
from listener.indexing.gate import FencedOut, Gate
from listener.indexing.id_sources import KeysTask
from listener.indexing.ledger import Lane, Ledger
from listener.indexing.queue import Job
from listener.observations.events import (
    Fenced,
    GenerationRaised,
    Observation,
    OldIndexKept,
    ServerName,
)
from listener.search.aliases import Astray
from listener.search.versions import Versions
from listener.search.write_aliases import Role, Target, owned
from listener.state.control import Control
from tests.kit.definitions import film_definition
from tests.kit.indexing import LANE, Choosing, quick_outages
from tests.kit.threads import Beside

FILMS, PEOPLE, SPARE = 0, 1, 2
BEGUN: Final = {
    "films": {"films-1"},
    "people": {"people-1"},
    "films.w1": {"films-1"},
    "people.w1": {"people-1"},
}
"""Aliases after the first generation."""
RAISE: Final = ["generation taken"]
CLEAR: Final = [
    f"{what} dropped of {alias}"
    for alias in ("films", "people")
    for what in ("loads", "strays", "unborn")
]
POINT: Final = ["aliases changed", "generation read"]


def refused(kind: type[search.Refused], status: int) -> search.Refused:
    """An answer of the server."""
    return kind("no", cast(Any, SimpleNamespace(status=status)), {})


class Server:
    """Control document, indexes and aliases, as the fence's collaborators show them.

    A change of aliases is made as a whole or not at all. What removes an alias that is not there
    is refused only where it must exist.
    """

    def __init__(self) -> None:
        self.generation = 0
        self.indexes = {"films-1", "people-1"}
        self.places: dict[str, set[str]] = {"films": {"films-1"}, "people": {"people-1"}}
        """Aliases and their indexes."""
        self.kept: set[str] = set()
        """Indexes that it refuses to delete."""
        self.steps: list[str] = []
        self.fails: dict[str, Exception] = {}
        """What a step raises, once."""
        self.meanwhile: dict[str, Callable[[], object]] = {}
        """What happens just before a step."""
        self.calls: list[list[dict[str, Any]]] = []
        """Changes of aliases that were asked for."""

    def step(self, name: str) -> None:
        """Note it; then it may fail."""
        self.steps.append(name)
        if name in self.meanwhile:
            self.meanwhile[name]()
        if name in self.fails:
            raise self.fails.pop(name)

    def lead(self, alias: str, *indexes: str) -> None:
        """Another process points this alias to these indexes."""
        self.indexes.update(indexes)
        self.places[alias] = set(indexes)

    # -- the control document

    def read(self) -> Control:
        """As it is."""
        self.step("generation read")
        return Control(self.generation, {}, 1, 1)

    def raise_generation(self, above: int) -> Control:
        """Whatever is in force."""
        self.step("generation taken")
        self.generation = max(self.generation, above) + 1
        return Control(self.generation, {}, 1, 1)

    def succeed(self, generation: int) -> Control | None:
        """Only where this one is in force, and no other process writes there meanwhile."""
        try:
            self.step("generation taken")
        except search.Conflict:
            return None
        if self.generation != generation:
            return None
        self.generation += 1
        return Control(self.generation, {}, 1, 1)

    # -- indexes

    def get(self, name: str) -> object | None:
        """An index."""
        return SimpleNamespace(name=name) if name in self.indexes else None

    def aliases(self, *names: str) -> dict[str, list[str]]:
        """Those that lead somewhere."""
        return {
            alias: sorted(places)
            for alias, places in self.places.items()
            if places and any(fnmatch(alias, one) for one in names)
        }

    def astray(self, alias: str, wanted: Mapping[str, str | None]) -> Astray | None:
        """What leads to other indexes, too."""
        self.step("astray looked for")
        for name, place in wanted.items():
            assert name.startswith(f"{alias}.")
            if self.places.get(name, set()) - {place}:
                return Astray(f"{name} is astray")
        return None

    def update_aliases(self, actions: list[dict[str, Any]]) -> None:
        """One change."""
        self.step("aliases changed")
        self.calls.append(actions)
        self.change(actions)

    def change(self, actions: list[dict[str, Any]]) -> None:
        """Make it, also where it comes late."""
        places = {alias: set(indexes) for alias, indexes in self.places.items()}
        for action in actions:
            [(what, of)] = action.items()
            found = places.setdefault(of["alias"], set())
            if of["index"] not in self.indexes or (
                what == "remove" and of.get("must_exist") and of["index"] not in found
            ):
                raise refused(search.NotFound, 404)
            if what == "add":
                found.add(of["index"])
            else:
                found.discard(of["index"])
        self.places = {alias: indexes for alias, indexes in places.items() if indexes}

    # -- leftovers

    def drop_loads(self, alias: str, *, below: int, spare: Collection[str]) -> list[str]:
        """Those that aliases of loads tell, and that users have no alias for."""
        self.step(f"loads dropped of {alias}")
        found = {
            index
            for name, indexes in self.aliases(f"{alias}.l*").items()
            if (match := owned(alias).match(name)) and int(match.group(1)) < below
            for index in indexes
            if index not in spare
            and all(owned(alias).match(one) for one, at in self.places.items() if index in at)
        }
        self.delete(*(found - self.kept))
        return sorted(found & self.kept)

    def drop_strays(self, alias: str, *, below: int) -> None:
        """Noted."""
        assert below > 0
        self.step(f"strays dropped of {alias}")

    def drop_unborn(self, alias: str) -> None:
        """Noted."""
        self.step(f"unborn dropped of {alias}")

    def delete(self, *names: str) -> None:
        """Indexes, and their aliases with them."""
        self.indexes -= set(names)
        self.places = {
            alias: left for alias, found in self.places.items() if (left := found - set(names))
        }


class Setting:
    """A fence of two document kinds, and what it works with."""

    def __init__(self, other: str = "new") -> None:
        """`other`: the definition of the second kind of films."""
        limits = Limits(4, 10_000_000, 100, 10)
        sources: Any = [
            SimpleNamespace(name=one, types=()) for one in ("films", "people", "films", "people")
        ]
        digests = ("new", "new", other, "new")
        kinds = [
            Kind(number, source, cast(Any, None), film_definition(digest, source.name), number % 2)
            for number, (source, digest) in enumerate(zip(sources, digests, strict=True))
        ]
        self.server = Server()
        self.seen: list[Observation] = []
        self.gate = Gate(4, Versions())
        self.ledger = Ledger(sources, self.gate, BatchSize(4, limits), limits)
        server: Any = self.server
        self.fence = Fence(
            control=server,
            indexes=server,
            gate=self.gate,
            ledger=self.ledger,
            outages=quick_outages(self.seen.append, 4),
            kinds=kinds,
            observe=self.seen.append,
        )

    def begin(self, *resumed: str) -> None:
        """A session: each kind has an index, and these loads go on."""
        self.fence.begin([Current("films-1", "new"), Current("people-1", "new")], resumed)

    def forget(self) -> None:
        """What was noted so far."""
        self.server.steps.clear()
        self.server.calls.clear()
        self.seen.clear()

    @property
    def targets(self) -> list[tuple[str, ...]]:
        """Write aliases of each entry of `documents`, as the gate has them."""
        return [
            tuple(one.alias for one in found if one)
            for found in zip(self.gate.targets[:2], self.gate.targets[2:], strict=True)
        ]

    @property
    def open(self) -> dict[int, str | None]:
        """By the number of the kind, the index that it feeds."""
        return {number: one.index for number, one in enumerate(self.gate.targets) if one}


@pytest.fixture
def new() -> Setting:
    """Before its first session."""
    return Setting()


@pytest.fixture
def begun(new: Setting) -> Setting:
    """In its first generation."""
    new.begin()
    new.forget()
    return new


# -- a session -------------------------------------------------------------------------------------


def test_the_first_generation(new: Setting) -> None:
    """What is left over goes first: only the aliases of before tell it."""
    new.begin()
    assert new.server.steps == RAISE + CLEAR + POINT
    assert new.server.places == BEGUN
    assert new.targets == [("films.w1",), ("people.w1",)]
    assert new.seen == [GenerationRaised(1)]


def test_a_later_generation(begun: Setting) -> None:
    """All aliases of the former one are removed by the call that makes the new ones."""
    begun.begin()
    assert len(begun.server.calls) == 1
    assert begun.server.places == {
        name.replace("w1", "w2"): places for name, places in BEGUN.items()
    }


def test_an_alias_that_is_moved_amid_the_beginning(begun: Setting) -> None:
    """A rollback had no answer, and comes late: what the session believes in use is the former one
    by then. Nothing would feed what people search once its time is over."""
    begun.server.meanwhile["generation taken"] = lambda: begun.server.lead("films", "films-0")
    with pytest.raises(FencedOut, match="leads to films-0 now"):
        begun.begin()


def test_a_kind_without_an_index(new: Setting) -> None:
    """Nothing is written to it."""
    new.fence.begin([None, Current("people-1", "new")], ())
    assert new.gate.targets == [None, Target("people.w1", "people-1"), None, None]
    assert (new.fence.current(FILMS), new.fence.current(PEOPLE)) == (None, "people-1")


def test_each_kind_must_be_told(new: Setting) -> None:
    """Else one would go without an index, and unnoticed."""
    with pytest.raises(ValueError, match="shorter"):
        new.fence.begin([Current("films-1", "new")], ())
    assert new.server.steps == []


@pytest.mark.parametrize("highest", ["control", "gate", "films.w8", "people.l8", "documents"])
def test_raised_above_all_that_was_seen(new: Setting, highest: str) -> None:
    """Each may be lost, or be brought back from a backup."""
    server, found = new.server, dict.fromkeys(["control", "gate", "alias", "documents"], 3)
    found[highest if highest in found else "alias"] = 8
    server.generation = found["control"]
    new.gate.begin(found["gate"])
    new.gate.saw(found["documents"])
    server.lead(highest if "." in highest else "people.w3", "people-1")
    new.begin()
    assert server.generation == new.gate.generation == 9
    assert set(server.places) == {"films", "people", "films.w9", "people.w9"}


def test_aliases_of_users_are_left_alone(new: Setting) -> None:
    """They are no write aliases: they say nothing of generations, and stay."""
    for alias in ("films.w8x", "films.archive", "films.w08", "filmsXw8"):
        new.server.lead(alias, "films-1")
    new.begin()
    assert new.gate.generation == 1
    assert {"films.w8x", "films.archive", "films.w08", "filmsXw8"} < set(new.server.places)


def test_a_conflict(new: Setting) -> None:
    """The other one was faster: all is looked at anew, for its document may be lost again."""
    new.server.fails["generation taken"] = refused(search.Conflict, 409)
    new.server.meanwhile["generation taken"] = lambda: new.server.lead("films.w7", "films-1")
    new.begin()
    assert new.server.steps == RAISE * 2 + CLEAR + POINT
    assert new.gate.generation == 8
    assert new.seen == [GenerationRaised(8)]


def test_another_error_is_no_conflict(new: Setting) -> None:
    """It ends the session, before anything is changed."""
    new.server.fails["generation taken"] = search.Unreadable("went back")
    with pytest.raises(search.Unreadable):
        new.begin()
    assert new.server.steps == RAISE
    assert new.gate.generation == 0


# -- the gate --------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["begin", "renew"])
def test_the_gate_opens_last(begun: Setting, method: str) -> None:
    """Until the aliases stand, a late request finds the former one."""
    shut: list[bool] = []
    begun.gate.lose()
    for step in POINT:
        begun.server.meanwhile[step] = lambda: shut.append(begun.gate.lost)
    begun.begin() if method == "begin" else begun.fence.renew()
    assert shut == [True, True]
    assert not begun.gate.lost


@pytest.mark.parametrize("method", ["begin", "renew"])
@pytest.mark.parametrize("step", POINT)
def test_the_gate_stays_shut(begun: Setting, method: str, step: str) -> None:
    """Where the aliases may not stand, or another process may have taken them."""
    begun.gate.lose()
    begun.server.fails[step] = search.Away("no answer")
    with pytest.raises(search.Away):
        begun.begin() if method == "begin" else begun.fence.renew()
    assert begun.gate.lost
    assert begun.targets == [("films.w1",), ("people.w1",)]


# -- renew -----------------------------------------------------------------------------------------


def test_renewed(begun: Setting) -> None:
    """Astray aliases are looked for before they are removed. Loads of the session go on."""
    begun.server.indexes.add("films-2")
    begun.fence.load(FILMS, "films-2")
    begun.forget()
    begun.fence.renew()
    assert begun.server.steps == ["astray looked for"] * 2 + RAISE + POINT
    assert begun.targets == [("films.w2", "films.l2"), ("people.w2",)]
    assert set(begun.server.places) == {"films", "people", "films.w2", "films.l2", "people.w2"}
    assert begun.seen == [GenerationRaised(2)]


@pytest.mark.parametrize("alias", ["films.w1", "films.l1", "people.w1"])
@pytest.mark.parametrize("method", ["renew", "swap", "load"])
def test_astray_aliases_are_refused(begun: Setting, alias: str, method: str) -> None:
    """They say where writes have gone: a new session must find them as they are."""
    begun.server.lead(alias, "films-1", "people-1", "films-2")
    arguments = () if method == "renew" else (FILMS, "films-2")
    with pytest.raises(FencedOut, match=f"{alias} is astray"):
        getattr(begun.fence, method)(*arguments)
    assert begun.server.calls == []
    assert begun.server.generation == begun.gate.generation == 1
    assert begun.fence.current(FILMS) == "films-1"


def test_which_kind_is_astray(begun: Setting) -> None:
    """None, where all are as they were made."""
    assert begun.fence.astray() is None
    begun.server.lead("people.w1", "people-2")
    assert begun.fence.astray() == (PEOPLE, Astray("people.w1 is astray"))


def test_not_renewed_above_others(begun: Setting) -> None:
    """To raise above them is a new session's, with the lock."""
    begun.server.generation = 5
    begun.gate.lose()
    with pytest.raises(FencedOut):
        begun.fence.renew()
    assert begun.seen == [Fenced(1, 5)]
    assert begun.server.calls == []
    assert begun.server.generation == 5
    assert begun.gate.generation == 1
    assert begun.gate.lost


def test_not_renewed_though_in_force(begun: Setting) -> None:
    """The compare-and-set failed: what the document tells now may not last."""
    begun.server.fails["generation taken"] = refused(search.Conflict, 409)
    with pytest.raises(FencedOut, match="another process raised the generation"):
        begun.fence.renew()
    assert begun.server.calls == []
    assert begun.gate.generation == 1


# -- another process -------------------------------------------------------------------------------


def test_confirmed_after_the_call(begun: Setting) -> None:
    """Another process raised the generation when the call was under way: it may have come after
    that one's swap. What the gate has is not changed."""

    def other() -> None:
        begun.server.generation = 9

    begun.server.meanwhile["aliases changed"] = other
    begun.server.indexes.add("films-2")
    with pytest.raises(FencedOut, match="generation 9 is in force"):
        begun.fence.load(FILMS, "films-2")
    assert begun.server.steps == ["astray looked for"] * 2 + POINT
    assert begun.targets == [("films.w1",), ("people.w1",)]
    assert begun.seen == [Fenced(1, 9)]


def test_confirm(begun: Setting) -> None:
    """A higher generation is told, and a lower one: the document may be from a backup."""
    begun.fence.confirm()
    assert begun.seen == []
    for found in (2, 0):
        begun.server.generation = found
        with pytest.raises(FencedOut, match=f"generation {found} is in force"):
            begun.fence.confirm()
        assert begun.seen.pop() == Fenced(1, found)


@pytest.mark.parametrize("alias", ["films.w2", "people.l2"])
def test_a_higher_owner(begun: Setting, alias: str) -> None:
    """Its aliases are not touched, and none is made beside them."""
    begun.server.lead(alias, "people-1")
    before = dict(begun.server.places)
    begun.server.indexes.add("films-2")
    with pytest.raises(FencedOut, match=f"generation 2 owns the alias {alias}"):
        begun.fence.load(FILMS, "films-2")
    assert begun.server.places == before
    assert begun.targets == [("films.w1",), ("people.w1",)]


# -- one call --------------------------------------------------------------------------------------


def test_a_swap_is_one_call(begun: Setting) -> None:
    """What people search, and what is written, change at the same moment; under the next
    generation, so that no late call leads the former index's writes to the new one."""
    begun.server.indexes.add("films-2")
    begun.fence.load(FILMS, "films-2")
    begun.forget()
    assert begun.fence.swap(FILMS, "films-2") == ["films-1"]
    assert begun.server.steps == ["astray looked for"] * 2 + RAISE + POINT
    assert begun.server.places == {
        "films": {"films-2"},
        "people": {"people-1"},
        "films.w2": {"films-2"},
        "people.w2": {"people-1"},
    }
    assert begun.open == {PEOPLE: "people-1", SPARE: "films-2"}
    assert begun.gate.targets[SPARE] == Target("films.w2", "films-2")
    assert not begun.gate.lost
    assert (begun.fence.current(FILMS), begun.fence.loading(FILMS)) == ("films-2", None)


def test_a_swap_of_the_first_index(new: Setting) -> None:
    """Nothing was searched before."""
    del new.server.places["films"]
    new.fence.begin([None, Current("people-1", "new")], ())
    assert new.fence.swap(FILMS, "films-1") == []
    assert new.server.places == {name.replace("w1", "w2"): at for name, at in BEGUN.items()}


def test_a_swap_that_is_made_again(begun: Setting) -> None:
    """The alias stays, for people search through it all the time."""
    assert begun.fence.swap(FILMS, "films-1") == ["films-1"]
    removed = [one["remove"]["alias"] for one in begun.server.calls[0] if "remove" in one]
    assert "films" not in removed
    assert begun.server.places == {name.replace("w1", "w2"): at for name, at in BEGUN.items()}


@pytest.mark.parametrize("step", ["generation taken", *POINT])
def test_a_swap_that_fails(begun: Setting, step: str) -> None:
    """Nothing is sent before the next generation; the former index is in use still, as far as is
    known. Where the call was made nevertheless, only a new session can go on."""
    begun.server.indexes.add("films-2")
    begun.fence.load(FILMS, "films-2")
    begun.server.fails[step] = search.Away("no answer")
    with pytest.raises(search.Away):
        begun.fence.swap(FILMS, "films-2")
    assert begun.gate.lost
    assert (begun.fence.current(FILMS), begun.fence.loading(FILMS)) == ("films-1", "films-2")
    if step == "generation read":
        with pytest.raises(FencedOut):
            begun.fence.renew()
        return
    begun.fence.renew()
    assert not begun.gate.lost
    assert begun.fence.swap(FILMS, "films-2") == ["films-1"]
    for call in begun.server.calls[:-1]:  # it comes late
        if any("remove" in one for one in call):
            with pytest.raises(search.NotFound):
                begun.server.change(call)


def test_a_call_that_comes_late(begun: Setting) -> None:
    """It brings no alias back that was removed since: each removal must find its alias."""
    begun.server.indexes.update(("films-2", "films-3"))
    begun.begin()
    begun.fence.load(FILMS, "films-2")
    begun.fence.swap(FILMS, "films-2")
    removals = [one["remove"] for call in begun.server.calls for one in call if "remove" in one]
    assert [one["alias"] for one in removals] == [
        *("films.w1", "people.w1"),
        *("films", "films.w2", "films.l2", "people.w2"),
    ]
    assert all(one["must_exist"] is True for one in removals)
    begun.fence.renew()
    before = dict(begun.server.places)
    for call in begun.server.calls:
        if any("remove" in one for one in call):
            with pytest.raises(search.NotFound):
                begun.server.change(call)
    assert begun.server.places == before


class Moving:
    """Another process moves an alias just before the call, so many times."""

    def __init__(self, server: Server, alias: str, times: int) -> None:
        self.server, self.alias, self.left = server, alias, times
        server.indexes.update(("films-8", "films-9"))
        server.meanwhile["aliases changed"] = self.move

    def move(self) -> None:
        """To the other one of two."""
        if self.left:
            self.left -= 1
            there = self.server.places[self.alias] == {"films-8"}
            self.server.lead(self.alias, "films-9" if there else "films-8")


@pytest.mark.parametrize("times", [1, 4])
def test_aliases_that_changed_are_read_anew(begun: Setting, times: int) -> None:
    """Between the look and the call."""
    Moving(begun.server, "films.w1", times)
    begun.begin()
    assert len(begun.server.calls) == times + 1
    assert set(begun.server.places) == {"films", "people", "films.w2", "people.w2"}


@pytest.mark.parametrize("times", [1, 4])
def test_searched_aliases_that_changed_are_read_anew(begun: Setting, times: int) -> None:
    """They lead to the new index alone."""
    begun.server.indexes.add("films-2")
    Moving(begun.server, "films", times)
    begun.fence.swap(FILMS, "films-2")
    assert len(begun.server.calls) == times + 1
    assert begun.server.places["films"] == {"films-2"}


def test_aliases_that_change_all_the_time(begun: Setting) -> None:
    """Five tries. Nothing is taken for made."""
    begun.gate.lose()
    Moving(begun.server, "films.w1", 99)
    with pytest.raises(search.NotFound):
        begun.begin()
    assert len(begun.server.calls) == 5
    assert "generation read" not in begun.server.steps
    assert begun.gate.lost
    assert begun.targets == [("films.w1",), ("people.w1",)]


# -- loads -----------------------------------------------------------------------------------------


@pytest.fixture
def loading(begun: Setting) -> Setting:
    """Both kinds are being loaded."""
    begun.server.indexes.update(("films-2", "people-2"))
    begun.fence.load(FILMS, "films-2")
    begun.fence.load(PEOPLE, "people-2")
    begun.forget()
    return begun


def test_live_changes_go_to_a_load_too(loading: Setting) -> None:
    """Through an alias of its own."""
    assert loading.gate.targets[FILMS] == Target("films.w1", "films-1")
    assert loading.gate.targets[SPARE] == Target("films.l1", "films-2", Role.LOADING)
    assert loading.server.places["films.l1"] == {"films-2"}
    assert loading.fence.loading(FILMS) == "films-2"


def test_a_load_that_has_ended(loading: Setting) -> None:
    """Its alias follows with the next call. The other load goes on."""
    with loading.fence.changing():
        loading.fence.load(FILMS, None)
        assert loading.server.steps == []
        loading.fence.point()
    assert loading.server.steps == POINT
    assert loading.server.places == {**BEGUN, "people.l1": {"people-2"}}
    assert loading.targets == [("films.w1",), ("people.w1", "people.l1")]


def test_loads_that_are_not_resumed(loading: Setting) -> None:
    """Their indexes are deleted, and forgotten: no alias can be made for them."""
    loading.begin("people-2")
    assert loading.server.indexes == {"films-1", "people-1", "people-2"}
    assert loading.targets == [("films.w2",), ("people.w2", "people.l2")]
    assert loading.fence.loading(FILMS) is None
    loading.begin()
    assert loading.server.indexes == {"films-1", "people-1"}
    assert loading.targets == [("films.w3",), ("people.w3",)]


def test_loads_of_another_process(new: Setting) -> None:
    """Of one that was stopped: an index is spared where this session goes on with it, but only
    `load` writes to it."""
    new.server.generation = 3
    new.server.lead("films.l3", "films-2")
    new.server.lead("people.l3", "people-2")
    new.begin("films-2")
    assert new.server.indexes == {"films-1", "films-2", "people-1"}
    assert new.targets == [("films.w4",), ("people.w4",)]
    assert "films.l3" not in new.server.places


def test_loads_of_a_higher_generation(new: Setting) -> None:
    """It was raised in between, and its load is under way."""

    def other() -> None:
        new.server.lead("films.l9", "films-9")

    new.server.meanwhile["loads dropped of films"] = other
    with pytest.raises(FencedOut, match="generation 9"):
        new.begin()
    assert new.server.places["films.l9"] == {"films-9"}


def test_a_loading_index_that_is_gone(loading: Setting) -> None:
    """Its load begins anew. An alias for it would be refused, and with it the whole session."""
    loading.server.delete("films-2")
    loading.begin("films-2", "people-2")
    assert (loading.fence.loading(FILMS), loading.fence.loading(PEOPLE)) == (None, "people-2")
    assert loading.targets == [("films.w2",), ("people.w2", "people.l2")]


def test_indexes_that_the_server_keeps(new: Setting) -> None:
    """They are told, and whether `load --drop-old` will find them."""
    new.server.lead("films.l3", "films-2", "movies")
    new.server.kept = {"films-2", "movies"}
    new.begin()
    assert [one for one in new.seen if isinstance(one, OldIndexKept)] == [
        OldIndexKept("films", "films-2", ours=True),
        OldIndexKept("films", "movies", ours=False),
    ]
    assert new.targets == [("films.w4",), ("people.w4",)]


# -- definitions -----------------------------------------------------------------------------------


@pytest.fixture
def outdated() -> Setting:
    """The index of films was made by other files: its kind is the second one."""
    setting = Setting("old")
    setting.fence.begin([Current("films-1", "old"), Current("people-1", "new")], ())
    setting.forget()
    return setting


def test_each_index_has_the_kind_of_its_own_definition(outdated: Setting) -> None:
    """The one in use by the old one, the one that is loaded by the files as they are."""
    assert outdated.open == {PEOPLE: "people-1", SPARE: "films-1"}
    outdated.server.indexes.add("films-2")
    outdated.fence.load(FILMS, "films-2")
    assert outdated.open == {FILMS: "films-2", PEOPLE: "people-1", SPARE: "films-1"}
    outdated.fence.swap(FILMS, "films-2")
    assert outdated.open == {FILMS: "films-2", PEOPLE: "people-1"}
    kind = outdated.fence.kind(FILMS, Role.IN_USE)
    assert kind is not None
    assert (kind.number, kind.hash) == (FILMS, "new")


def test_no_kind_is_free(outdated: Setting) -> None:
    """All is built anew then, with as many kinds as are needed."""
    outdated.server.indexes.update(("films-2", "films-3"))
    outdated.fence.load(FILMS, "films-2")
    outdated.fence.swap(FILMS, "films-2")
    with pytest.raises(Reassemble):
        outdated.fence.load(FILMS, "films-3")


def test_an_index_of_an_unknown_definition_stands_still(new: Setting) -> None:
    """It is searched, and never fed by another query than its own."""
    new.fence.begin([Current("films-1", None), Current("people-1", "new")], ())
    assert new.open == {PEOPLE: "people-1"}
    assert new.fence.current(FILMS) == "films-1"
    assert new.fence.kind(FILMS, Role.IN_USE) is None
    assert "films.w1" not in new.server.places
    new.server.indexes.add("films-2")
    new.fence.load(FILMS, "films-2")
    assert new.fence.swap(FILMS, "films-2") == ["films-1"]
    assert new.open == {FILMS: "films-2", PEOPLE: "people-1"}


def test_another_process_has_swapped(outdated: Setting) -> None:
    """The next session finds another index in use, by the files as they are."""
    outdated.server.lead("films", "films-9")
    outdated.fence.begin([Current("films-9", "new"), Current("people-1", "new")], ())
    assert outdated.open == {FILMS: "films-9", PEOPLE: "people-1"}


def test_a_load_that_is_in_use(loading: Setting) -> None:
    """It was swapped in, and the answer was lost: the kind that has fed it goes on."""
    loading.server.lead("films", "films-2")
    loading.fence.begin([Current("films-2", "new"), Current("people-1", "new")], ())
    assert loading.open[SPARE] == "films-2"
    assert (loading.fence.current(FILMS), loading.fence.loading(FILMS)) == ("films-2", None)


def test_what_waits_of_a_closed_kind_is_dropped(outdated: Setting) -> None:
    """Whoever waits for it does so no longer; and what comes later is left out."""
    job = Job()
    job.add()
    job.seal()
    outdated.ledger.put(KeysTask(SPARE, [("1",)], job))
    outdated.ledger.add("w", [("2",)], [Route(SPARE, mapped=False), Route(FILMS, mapped=False)])
    mark = outdated.ledger.mark()
    outdated.server.lead("films", "films-9")
    outdated.fence.begin([Current("films-9", "new"), Current("people-1", "new")], ())
    assert job.finished
    assert job.dropped
    assert outdated.ledger.wait_settled(mark, 0)
    late = Job()
    late.add()
    outdated.ledger.put(KeysTask(SPARE, [("1",)], late))
    assert late.finished
    assert late.dropped


# -- nothing is in flight --------------------------------------------------------------------------

CHANGES: Final[list[tuple[str, Callable[[Setting], object]]]] = [
    ("begin", lambda one: one.begin("films-2")),
    ("renew", lambda one: one.fence.renew()),
    ("load", lambda one: one.fence.load(FILMS, "films-2")),
    ("swap", lambda one: one.fence.swap(FILMS, "films-2")),
]


@pytest.mark.parametrize("change", [one for _, one in CHANGES], ids=[name for name, _ in CHANGES])
def test_a_change_waits_for_what_is_in_flight(
    begun: Setting, change: Callable[[Setting], object]
) -> None:
    """Nothing is asked or changed before: a batch leads where the gate said when it was taken."""
    begun.server.indexes.add("films-2")
    begun.ledger.resume()
    assert begun.ledger.wait_for_turn(Choosing()) == LANE
    beside = Beside(lambda: change(begun))
    assert beside.waits
    assert begun.server.steps == []
    begun.ledger.end_turn()
    beside.result()
    assert begun.server.steps[-2:] == POINT


@pytest.mark.parametrize("change", [one for _, one in CHANGES], ids=[name for name, _ in CHANGES])
def test_nothing_is_taken_during_a_change(
    begun: Setting, change: Callable[[Setting], object]
) -> None:
    """Also not between its steps. Afterwards it is, also where the change has failed."""
    turns: list[Beside[Lane | None]] = []
    waited: list[bool] = []

    def take() -> None:
        turns.append(Beside(lambda: begun.ledger.wait_for_turn(Choosing())))
        waited.append(turns[0].waits)

    begun.server.indexes.add("films-2")
    begun.ledger.resume()
    begun.server.meanwhile = {
        "aliases changed": take,
        "generation read": lambda: waited.append(turns[0].waits),
    }
    begun.server.fails["generation read"] = search.Away("no answer")
    with pytest.raises(search.Away):
        change(begun)
    assert waited == [True, True]
    assert turns[0].result() == LANE


@pytest.mark.parametrize("change", [one for _, one in CHANGES], ids=[name for name, _ in CHANGES])
def test_one_thread_at_a_time(begun: Setting, change: Callable[[Setting], object]) -> None:
    """The other one looks at the aliases when this one has made them."""
    begun.server.indexes.add("films-2")
    with begun.fence.changing():
        beside = Beside(lambda: change(begun))
        assert beside.waits
        assert begun.server.steps == []
    beside.result()
    assert begun.server.steps[-2:] == POINT


# -- former indexes --------------------------------------------------------------------------------


@pytest.fixture
def swapped() -> Setting:
    """The index in use was kept when another one took its place."""
    setting = Setting("old")
    setting.fence.begin([Current("films-1", "old"), Current("people-1", "new")], ())
    setting.server.indexes.add("films-2")
    setting.fence.load(FILMS, "films-2")
    setting.fence.swap(FILMS, "films-2", keep=True)
    setting.forget()
    return setting


def test_kept_at_a_swap(swapped: Setting) -> None:
    """In the same call, by its own kind."""
    assert swapped.server.places == {
        "films": {"films-2"},
        "films.w2": {"films-2"},
        "films.f2": {"films-1"},
        "people": {"people-1"},
        "people.w2": {"people-1"},
    }
    assert swapped.open == {FILMS: "films-2", SPARE: "films-1", 1: "people-1"}
    assert swapped.fence.kept(FILMS) == "films-1"


def test_back_and_forth(swapped: Setting) -> None:
    """One call each; the kinds go along with their indexes."""
    assert swapped.fence.roll_back(FILMS, keep=True) == ["films-2"]
    assert len(swapped.server.calls) == 1
    assert swapped.server.places["films"] == swapped.server.places["films.w3"] == {"films-1"}
    assert swapped.server.places["films.f3"] == {"films-2"}
    assert swapped.open == {FILMS: "films-2", SPARE: "films-1", 1: "people-1"}
    assert swapped.fence.kind(FILMS, Role.IN_USE) == swapped.fence._feeds[FILMS].kinds[1]
    swapped.fence.roll_back(FILMS, keep=False)
    assert swapped.server.places["films.w4"] == {"films-2"}
    assert not [name for name in swapped.server.places if name.startswith("films.f")]
    assert swapped.open == {FILMS: "films-2", 1: "people-1"}


def test_a_rollback_that_fails(swapped: Setting) -> None:
    """The roles are as before, and nothing is written before the next generation."""
    swapped.server.fails["aliases changed"] = search.Unreadable("no answer")
    with pytest.raises(search.Unreadable):
        swapped.fence.roll_back(FILMS, keep=True)
    assert swapped.fence.current(FILMS) == "films-2"
    assert swapped.fence.kept(FILMS) == "films-1"
    assert swapped.gate.lost


def test_what_does_not_work_is_not_kept() -> None:
    """Its query fails, say: it would hold the watermark."""
    setting = Setting("old")
    setting.fence.begin([Current("films-1", "old"), Current("people-1", "new")], ())
    setting.server.indexes.add("films-2")
    setting.fence.load(FILMS, "films-2")
    own = setting.fence._outages.kinds[SPARE]
    own.postgres.failed(Failure(ServerName.POSTGRES, "no such column", passes=False))
    setting.fence.swap(FILMS, "films-2", keep=True)
    assert setting.fence.kept(FILMS) is None
    assert setting.open == {FILMS: "films-2", 1: "people-1"}


def test_it_is_closed(swapped: Setting) -> None:
    """Also where its alias leads elsewhere: whoever wrote there, wrote to a former one."""
    swapped.server.lead("films.f2", "films-1", "elsewhere")
    assert swapped.fence.astray() is None
    assert swapped.fence.former_astray() is not None
    with pytest.raises(FencedOut):
        swapped.fence.renew()
    swapped.fence.unkeep(FILMS)
    assert "films.f2" not in swapped.server.places
    assert swapped.open == {FILMS: "films-2", 1: "people-1"}


def test_a_session_goes_on_with_it(swapped: Setting) -> None:
    """Or does not, as it is told."""
    indexes = [Current("films-2", "new"), Current("people-1", "new")]
    swapped.fence.begin(indexes, (), [Current("films-1", "old"), None])
    assert swapped.server.places["films.f3"] == {"films-1"}
    assert swapped.open[SPARE] == "films-1"
    swapped.fence.begin(indexes, ())
    assert not [name for name in swapped.server.places if name.startswith("films.f")]
    assert SPARE not in swapped.open


def test_an_index_that_vanishes_amid_the_call(swapped: Setting) -> None:
    """The server refuses the whole call: a new session finds it gone."""
    swapped.server.fails["aliases changed"] = refused(search.NotFound, 404)
    swapped.server.meanwhile["aliases changed"] = lambda: swapped.server.delete("films-1")
    with pytest.raises(search.NotFound):
        swapped.fence.renew()
