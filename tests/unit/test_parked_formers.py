"""Parked documents of two indexes of one alias: each goes along with its index."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest
from typing_extensions import override

from listener.indexing.batch import Limits
from listener.indexing.batch_size import BatchSize
from listener.indexing.gate import Gate
from listener.indexing.ledger import Ledger
from listener.indexing.parked_sync import ParkedSync
from listener.indexing.parked_table import ParkedDocument, ParkedTable
from listener.postgres import Connection
from listener.resync.asked_load import parked_of
from listener.search.versions import Versions
from listener.search.write_aliases import Role, Target
from tests.kit.session import NOW

NOWHERE = cast("Connection", None)
OLD: Final = "films-11111111-20260131t100000000000z"
NEW: Final = "films-22222222-20260131t110000000000z"
SWAPPED: Final = {0: Target("films.w1", NEW), 1: Target("films.f1", OLD, Role.KEPT)}
BACK: Final = {0: Target("films.f2", NEW, Role.KEPT), 1: Target("films.w2", OLD)}


class Rows(ParkedTable):
    """The table, in memory: ids by index. One document of each index is parked."""

    def __init__(self) -> None:
        super().__init__("listener")
        self.rows: dict[str, set[str]] = {"films": {"new"}, OLD: {"old"}}

    @override
    def read(self, connection: Connection) -> list[ParkedDocument]:
        """All of it."""
        return [
            ParkedDocument(index, one, "no", NOW, NOW, 1)
            for index, ids in self.rows.items()
            for one in ids
        ]

    @override
    def drop(self, connection: Connection, index: str) -> None:
        """None of this index is aside."""
        self.rows.pop(index, None)

    @override
    def rename(self, connection: Connection, index: str, alias: str) -> None:
        """Those of the index are those of the alias, instead of what was."""
        self.drop(connection, alias)
        if index in self.rows:
            self.rows[alias] = self.rows.pop(index)


class Process:
    """A daemon in which one of two kinds is in use, and the other one kept."""

    def __init__(self, rows: Rows, targets: dict[int, Target]) -> None:
        limits = Limits(100, 1000, 100, 10)
        source = SimpleNamespace(name="films", types=("text",))
        sources: Any = [source, source]
        gate = Gate(2, Versions())
        self.ledger = Ledger(sources, gate, BatchSize(2, limits), limits)
        self.sync = ParkedSync(self.ledger, gate, sources, rows, lambda _: None)
        self.ledger.aim(targets)
        self.sync.begin(NOWHERE, ())
        self.sync.write(NOWHERE)


@pytest.fixture
def rows() -> Rows:
    """As a swap has left them."""
    return Rows()


def test_back_and_forth(rows: Rows) -> None:
    """Neither is lost where the one takes the other's name."""
    process = Process(rows, SWAPPED)
    assert rows.rows == {"films": {"new"}, OLD: {"old"}}
    process.ledger.aim(BACK)
    process.sync.write(NOWHERE)
    assert rows.rows == {"films": {"old"}, NEW: {"new"}}
    process.ledger.aim(SWAPPED)
    process.sync.write(NOWHERE)
    assert rows.rows == {"films": {"new"}, OLD: {"old"}}


def test_killed_before_it_was_written_down(rows: Rows) -> None:
    """The next session finds other roles, and puts the table right."""
    Process(rows, BACK)
    assert rows.rows == {"films": {"old"}, NEW: {"new"}}


def test_what_counts(rows: Rows) -> None:
    """Nobody searches the former index: what is parked of it waits for no person."""
    process = Process(rows, SWAPPED)
    assert process.ledger.parked == 1
    assert process.ledger.parked_ids(1) == ["old"]
    process.ledger.aim({0: SWAPPED[0]})
    assert process.ledger.parked == 1


def test_given_up(rows: Rows) -> None:
    """What was parked of it is of no concern."""
    process = Process(rows, SWAPPED)
    process.ledger.aim({0: SWAPPED[0]})
    process.sync.write(NOWHERE)
    assert rows.rows == {"films": {"new"}}


def test_what_a_load_parks_is_counted_from_nothing(rows: Rows) -> None:
    """Whatever is parked of the index in use, and of the former one, whose kind fills the new
    index: it is none of the load's, also before the table is written."""
    process = Process(rows, SWAPPED)
    assert [process.ledger.load_counts(kind).parked for kind in (0, 1)] == [1, 1]
    third = "films-33333333-20260131t120000000000z"
    process.ledger.aim({0: SWAPPED[0], 1: Target("films.l3", third, Role.LOADING)})
    process.ledger.begin_load(1)
    assert process.ledger.load_counts(1).parked == 0
    process.sync.write(NOWHERE)
    assert process.ledger.load_counts(1).parked == 0


def test_what_is_parked_of_an_index_that_was_swapped_in() -> None:
    """The table learns of a swap a moment later: until then those of the alias are of the index
    before."""

    def parked(index: str, minutes: int) -> ParkedDocument:
        at = datetime(2026, 1, 31, 11, minutes, tzinfo=UTC)
        return ParkedDocument(index, str(minutes), "no", at, at, 1)

    before = [parked("films", 0), parked(OLD, 0), parked("persons", 30)]
    late, now = parked(NEW, 30), parked("films", 30)
    new = NEW.replace("t1100", "t1110")
    assert parked_of(before, "films", new) == 0
    assert parked_of([*before, replace(late, index=new)], "films", new) == 1
    assert parked_of([*before[1:], now], "films", new) == 1
