"""The inventory of indexes: whose they are, and what each is. What is left over may be deleted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from listener import search
from listener.search.inventory import StoredIndex, inventory
from listener.search.owners import Owner
from tests.kit.session import OWN

OLD = "films-aaaaaaaa-20260101t000000000000z"
NEW = "films-bbbbbbbb-20260102t000000000000z"
MADE = datetime(2026, 1, 2, tzinfo=UTC)
GENERATION = 7


def refused(kind: type[search.Refused], status: int, name: str) -> search.Refused:
    """An answer that is none."""
    meta: Any = SimpleNamespace(status=status)
    return kind(name, meta, {"error": {"type": name, "reason": name}})


class Server:
    """Indexes by their names, as a server tells them."""

    def __init__(self) -> None:
        self.indexes: dict[str, dict[str, Any]] = {}
        self.blocked = False
        """Whether it refuses to tell of all indexes."""
        self.without_count: set[str] = set()
        self.without_stats = False
        self.asked: list[str] = []
        self.indices = SimpleNamespace(get=self._get, stats=self._stats)

    def add(
        self, name: str, *aliases: str, pipeline: str | None = "movies", system: str = OWN.system
    ) -> None:
        """One more index."""
        own: Any = {"pipeline": pipeline, "hash": f"hash of {name}"}
        own["database"] = {"system": system, "oid": OWN.oid, "schema": OWN.schema, "name": "x"}
        self.indexes[name] = {
            "aliases": {one: {} for one in aliases},
            "mappings": {"_meta": {"listener": own}} if pipeline is not None else {},
            "settings": {"index": {"creation_date": "1767312000000"}},
        }

    def stored(
        self, *configured: str, now: datetime = MADE + timedelta(hours=1)
    ) -> dict[str, StoredIndex]:
        """The inventory, by name."""
        client: Any = self
        found = inventory(client, Owner("movies", OWN), configured, generation=GENERATION, now=now)
        return {one.name: one for one in found}

    def roles(self, *configured: str, **given: Any) -> dict[str, str]:
        """What each is."""
        return {name: one.role for name, one in self.stored(*configured, **given).items()}

    def _get(self, *, index: str, expand_wildcards: str) -> Any:
        assert expand_wildcards == "all"  # closed ones, too
        self.asked.append(index)
        if self.blocked and index.startswith("*"):
            raise refused(search.Forbidden, 403, "cluster_block_exception")
        if "*" in index:
            begin = index.partition("*")[0]
            found = {name: one for name, one in self.indexes.items() if name.startswith(begin)}
            found = {name: one for name, one in found.items() if name.count("-") >= 2}
        else:
            found = {n: one for n, one in self.indexes.items() if index in (n, *one["aliases"])}
            if not found:
                raise refused(search.NotFound, 404, "index_not_found_exception")
        return SimpleNamespace(body=found)

    def _stats(self, *, index: Sequence[str], metric: str) -> Any:
        assert metric == "store"
        if self.without_stats:
            raise search.Unreadable("away")
        sizes = {name: {"total": {"store": {"size_in_bytes": len(name)}}} for name in index}
        return SimpleNamespace(body={"indices": sizes})

    def count(self, *, index: str, **_: object) -> Any:
        """How many documents it has."""
        if index in self.without_count:
            raise refused(search.BadRequest, 400, "index_closed_exception")
        return SimpleNamespace(body={"count": 3, "_shards": {"failed": 0}})


@pytest.fixture
def server() -> Server:
    """Without any index."""
    return Server()


def test_there_is_none(server: Server) -> None:
    """Nothing more is asked."""
    assert server.stored("films") == {}
    assert server.asked == ["*-*-*z", "films"]


def test_what_is_told_of_each(server: Server) -> None:
    """The one in use comes first, then the younger; those of no document last."""
    server.add("actors-cccccccc-20260101t000000000000z", "actors")
    server.add(OLD)
    server.add(NEW)
    server.add("films-dddddddd-20251201t000000000000z", "films", "films.w7", "search")
    found = server.stored("films")
    assert list(found) == [
        "films-dddddddd-20251201t000000000000z",
        NEW,
        OLD,
        "actors-cccccccc-20260101t000000000000z",
    ]
    first = next(iter(found.values()))
    assert first == StoredIndex(
        first.name,
        "films",
        "in use",
        f"hash of {first.name}",
        ("films", "search"),
        3,
        len(first.name),
        MADE,
    )


def test_whose_it_is(server: Server) -> None:
    """Neither one of another pipeline, nor of another database, nor of nobody is told."""
    server.add(NEW, "films")
    server.add("films-cccccccc-20260101t000000000000z", pipeline="others")
    server.add("films-dddddddd-20260101t000000000000z", system="8")
    server.add("films-eeeeeeee-20260101t000000000000z", pipeline=None)
    server.add("films-ffffffff-20260101t000000000000z")
    server.indexes["films-ffffffff-20260101t000000000000z"]["mappings"]["_meta"] = {"listener": 7}
    assert server.roles("films") == {NEW: "in use"}


@pytest.mark.parametrize(
    ("aliases", "role"),
    [
        (["films"], "in use"),
        (["films", "films.l7"], "in use"),
        (["films.l7"], "loading"),
        (["films.l8"], "loading"),
        (["films.l6"], "left over"),
        (["films.l6x"], "left over"),
        (["films.f7"], "former"),
        (["films.f3"], "former"),
        (["films.w7"], "left over"),
        (["search"], "left over"),
        ([], "left over"),
    ],
)
def test_what_it_is(server: Server, aliases: list[str], role: str) -> None:
    """A load of a generation that has ended does not go on; a former index is taken over."""
    server.add(OLD, *aliases)
    assert server.roles("films") == {OLD: role}


def test_a_document_that_was_taken_out(server: Server) -> None:
    """Its index is not fed any more, and nobody goes back to another. What people search by an
    alias is kept all the same."""
    server.add(NEW, "films", "films.w7")
    server.add(OLD, "films.f7")
    found = server.stored("persons")
    assert {name: one.role for name, one in found.items()} == {NEW: "left over", OLD: "left over"}
    assert found[NEW].why_kept == (
        "the alias films leads to it. If nobody needs that one, remove it first"
    )
    assert found[OLD].why_kept is None


@pytest.mark.parametrize(
    ("seconds", "role"), [(59, "loading"), (60, "left over")], ids=["begins", "has not gone on"]
)
def test_a_load_that_begins(server: Server, seconds: int, role: str) -> None:
    """Its index is there before its alias is: it is not left over for that."""
    server.add(OLD, "films")
    server.add(NEW)
    found = server.roles("films", now=MADE + timedelta(seconds=seconds))
    assert found == {OLD: "in use", NEW: role}


def test_one_that_was_just_replaced_does_not_begin(server: Server) -> None:
    """It is older than the one in use."""
    server.add(OLD)
    server.add(NEW, "films")
    made = MADE - timedelta(days=1)
    assert server.roles("films", now=made + timedelta(seconds=5))[OLD] == "left over"


def test_one_that_was_restored_under_another_name(server: Server) -> None:
    """It is known by its alias."""
    server.add("restored", "films", "films.w7")
    assert server.roles("films") == {"restored": "in use"}
    assert server.stored("films")["restored"].alias == "films"


def test_an_index_of_others_that_is_blocked(server: Server) -> None:
    """The server tells nothing of all then. Those of the documents are asked for one by one."""
    server.add(NEW, "films")
    server.add("persons-cccccccc-20260101t000000000000z")
    server.blocked = True
    assert server.roles("films", "persons") == {
        NEW: "in use",
        "persons-cccccccc-20260101t000000000000z": "left over",
    }
    assert server.asked == ["*-*-*z", "films-*-*z", "persons-*-*z", "films", "persons"]


def test_one_that_cannot_be_read(server: Server) -> None:
    """It is closed, say. It is told, and how large it is not."""
    server.add(NEW, "films")
    server.without_count.add(NEW)
    server.without_stats = True
    server.indexes[NEW]["settings"] = {}
    one = server.stored("films")[NEW]
    assert (one.role, one.documents, one.bytes, one.made) == ("in use", None, None, None)


@pytest.mark.parametrize(
    ("role", "aliases", "why"),
    [
        ("in use", ("films",), "people search it by the alias films"),
        ("loading", (), "it is being loaded, or waits for a person's word"),
        ("former", (), "`listener rollback films` goes back to it"),
        ("left over", ("search", "web"), "the alias search, web leads to it"),
        ("left over", (), None),
    ],
)
def test_why_it_is_kept(role: Any, aliases: tuple[str, ...], why: str | None) -> None:
    """Only what nobody uses is dropped."""
    one = StoredIndex(OLD, "films", role, None, aliases, None, None, None)
    told = one.why_kept
    assert told is None if why is None else told is not None and told.startswith(why)
