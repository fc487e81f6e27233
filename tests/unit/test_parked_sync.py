"""The table of parked documents and what is kept of it in memory: which of the two is first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Final, cast

import psycopg
import pytest

from listener.changes import Key, Route
from listener.indexing.batch import Limits
from listener.indexing.parked_sync import ParkedSync
from listener.indexing.parked_table import ParkedDocument, ParkedTable
from listener.indexing.parked_told import ParkedTold
from listener.indexing.parking import UNPROVEN, ToPark
from listener.indexing.queue import Jobs
from listener.observations.events import Observation, Parked, ParkedAlike
from listener.postgres import Connection
from listener.runtime import throttle
from listener.runtime.throttle import FIRST
from listener.search.write_aliases import Role, Target
from tests.kit.indexing import OneKind

NOWHERE = cast("Connection", None)
"""The table is in memory."""
GONE = psycopg.OperationalError("gone")


class Table(ParkedTable):
    """The table, in memory. `fails`: what the next write raises, before it has written."""

    def __init__(self) -> None:
        super().__init__("listener")
        self.rows: dict[str, str] = {}
        self.others: list[ParkedDocument] = []
        """Rows of other indexes."""
        self.fails: Exception | None = None
        self.written: list[str] = []

    def read(self, connection: Connection) -> list[ParkedDocument]:  # noqa: ARG002
        """All of it."""
        return [*self.others, *(row("films", one, why) for one, why in self.rows.items())]

    def park(self, connection: Connection, index: str, reasons: Mapping[str, str]) -> None:  # noqa: ARG002
        """These are aside."""
        self._write(f"{index}: parked {', '.join(sorted(reasons))}")
        self.rows |= reasons

    def clear(self, connection: Connection, index: str, ids: Iterable[str]) -> None:  # noqa: ARG002
        """These are not any more, if they were."""
        cleared = sorted(ids)
        self._write(f"{index}: cleared {', '.join(cleared)}")
        for one in cleared:
            self.rows.pop(one, None)

    def drop(self, connection: Connection, index: str) -> None:  # noqa: ARG002
        """None of this index is aside."""
        self._write(f"{index}: dropped")
        if index == "films":
            self.rows.clear()
        self.others = [one for one in self.others if one.index != index]

    def rename(self, connection: Connection, index: str, alias: str) -> None:  # noqa: ARG002
        """Those of the index are those of the alias."""
        self._write(f"{index}: renamed to {alias}")
        self.rows = {one.id: one.reason for one in self.others if one.index == index}
        self.others = [one for one in self.others if one.index != index]

    def _write(self, what: str) -> None:
        if self.fails is not None:
            error, self.fails = self.fails, None
            raise error
        self.written.append(what)


def row(index: str, doc_id: str, reason: str) -> ParkedDocument:
    """A row of the table."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return ParkedDocument(index, doc_id, reason, now, now, 1)


class Process:
    """A daemon's ledger of films, and its table, which outlives it."""

    def __init__(self, table: Table, *, limit: int = 100) -> None:
        self.table = table
        self.told: list[Observation] = []
        self.kind = OneKind(Limits(100, 1000, 100, limit))
        self.kind.source.name, self.kind.source.types = "films", ("bigint",)
        self.ledger = self.kind.ledger
        self.sync = ParkedSync(
            self.ledger, self.kind.gate, self.kind.sources, table, self.told.append
        )
        self.sync.read(NOWHERE)
        self.ledger.resume()

    def take(self, *names: str) -> tuple[int, dict[Key, Jobs]]:
        """Notifications name these documents, and they are read; the mark after them."""
        self.ledger.add("w", [(one,) for one in names], (Route(0, mapped=False),))
        items: dict[Key, Jobs] = {}
        self.ledger.take(0, items, 100)
        return self.ledger.mark(), items

    def park(self, *names: str, reason: str = "no") -> int:
        """These change, and their query fails; the mark after the changes."""
        mark, items = self.take(*names)
        for key, jobs in items.items():
            assert self.ledger.unreadable(ToPark(0, key, key[0], jobs, reason))
        return mark

    def accept(self, name: str) -> None:
        """Elasticsearch takes this one."""
        self.kind.parking.accepted(0, name)

    def write(self) -> None:
        """What the worker does before each batch."""
        self.sync.write(NOWHERE)

    def settled(self, mark: int) -> bool:
        """Whether the watermark may pass all before this mark."""
        return self.ledger.wait_settled(mark, 0)


@pytest.fixture
def table() -> Table:
    """Nothing is parked."""
    return Table()


@pytest.fixture
def process(table: Table) -> Process:
    """One that has begun."""
    return Process(table)


# -- the table is written before anything is done --------------------------------------------------


def test_the_watermark_waits_for_the_table(process: Process) -> None:
    """A document that is put aside is done when the table has it, and no earlier: else a crash in
    between would leave it neither in the index nor in the table, below the watermark."""
    mark = process.park("7")
    assert not process.settled(mark)
    assert not process.ledger.wait_noted(0)
    assert process.ledger.parked == 0, "the table does not have it yet"
    process.write()
    assert process.table.rows == {"7": "no"}
    assert process.settled(mark)
    assert process.ledger.wait_noted(0)
    assert process.ledger.parked == 1


def test_a_failed_write(process: Process) -> None:
    """Nothing of it counts as written, and nothing is told; it is written as a whole when the
    database is back, each document once."""
    mark = process.park("7", "8")
    process.table.fails = GONE
    with pytest.raises(psycopg.OperationalError):
        process.write()
    assert not process.settled(mark)
    assert not process.ledger.wait_noted(0)
    assert (process.told, process.ledger.parked) == ([], 0)
    process.write()
    process.write()
    assert process.table.written == ["films: parked 7, 8"]
    process.sync.told.tell(everything=True)
    assert process.told == [Parked("films", "7", "no"), Parked("films", "8", "no")]
    assert process.settled(mark)


def test_a_failed_clearing(process: Process) -> None:
    """The document counts as parked until the table says otherwise."""
    process.park("7")
    process.write()
    process.accept("7")
    assert not process.ledger.wait_noted(0)
    process.table.fails = GONE
    with pytest.raises(psycopg.OperationalError):
        process.write()
    assert process.ledger.parked == 1
    assert not process.ledger.wait_noted(0)
    process.write()
    process.write()
    assert process.table.written == ["films: parked 7", "films: cleared 7"]
    assert process.table.rows == {}
    assert process.ledger.parked == 0
    assert process.ledger.wait_noted(0)


def test_the_later_verdict_counts(process: Process) -> None:
    """Refused once more before it was cleared: the row stays."""
    process.park("7")
    process.write()
    process.accept("7")
    mark = process.park("7", reason="no again")
    process.write()
    assert process.table.rows == {"7": "no again"}
    assert "films: cleared 7" not in process.table.written
    assert process.settled(mark)


def test_what_is_decided_while_it_is_written(process: Process) -> None:
    """It waits for the next write: only what was written is done."""
    first = process.park("7")
    park, second = process.table.park, list[int]()

    def slow(connection: Connection, index: str, reasons: Mapping[str, str]) -> None:
        park(connection, index, reasons)
        second.append(process.park("8"))

    process.table.park = slow  # type: ignore[method-assign]
    process.write()
    assert process.settled(first)
    assert not process.settled(second[0])
    process.table.park = park  # type: ignore[method-assign]
    process.write()
    assert process.table.rows == {"7": "no", "8": "no"}
    assert process.settled(second[0])


def test_nothing_to_write(process: Process) -> None:
    """No statement."""
    process.table.fails = GONE
    process.write()
    assert process.ledger.wait_noted(0)


# -- what the table had before ---------------------------------------------------------------------


def test_a_restart(table: Table, process: Process) -> None:
    """What is parked is known, and cleared when it is taken."""
    process.park("7")
    process.write()
    process = Process(table)
    assert process.ledger.parked == 1
    assert process.sync.keys(0) == [("7",)]
    process.accept("7")
    process.write()
    assert table.rows == {}


def test_rows_of_other_indexes(table: Table) -> None:
    """The configuration does not have them: they neither count nor are written."""
    table.others = [row("persons", "7", "no")]
    process = Process(table)
    assert process.ledger.parked == 0
    assert (process.sync.kind("films"), process.sync.kind("persons")) == (0, None)
    process.accept("7")
    process.write()
    assert table.written == []


def test_back_after_an_outage(process: Process) -> None:
    """The table is read anew. What waits to be written is not in it yet, and does wait still."""
    process.park("6")
    process.write()
    mark = process.park("7")
    process.table.fails = GONE
    with pytest.raises(psycopg.OperationalError):
        process.write()
    process.sync.read(NOWHERE)
    assert not process.settled(mark)
    process.write()
    assert process.table.rows == {"6": "no", "7": "no"}
    assert process.settled(mark)
    assert process.ledger.parked == 2


def test_a_row_that_was_removed_elsewhere(process: Process) -> None:
    """By a restore, or by a person. It counts no more when the table is read again; and where its
    document is refused once more, it is parked and told anew."""
    process.park("7")
    process.write()
    del process.table.rows["7"]
    process.sync.read(NOWHERE)
    assert process.ledger.parked == 0
    assert process.sync.keys(0) == []
    process.accept("7")
    assert process.ledger.wait_noted(0), "there is nothing to clear"
    process.park("7")
    process.write()
    assert process.table.rows == {"7": "no"}
    process.sync.told.tell(everything=True)
    assert process.told == [Parked("films", "7", "no")] * 2


def test_a_row_that_was_removed_unseen(process: Process) -> None:
    """Nothing reads the table meanwhile: clearing it again does no harm."""
    process.park("7")
    process.write()
    del process.table.rows["7"]
    process.accept("7")
    process.write()
    assert process.ledger.parked == 0
    assert process.ledger.wait_noted(0)


def test_ids_that_no_row_can_have(process: Process) -> None:
    """A table's key may have been of another type when they were parked. They match nothing, and do
    not keep the others from being tried."""
    process.table.rows = {"x": "no", "7": "no"}
    process.sync.read(NOWHERE)
    assert sorted(process.sync.keys(0)) == [("7",), ("x",)]
    assert process.sync.keys_of(0, ["8", "8"]) == [("8",)]


# -- without a proof -------------------------------------------------------------------------------


def test_what_was_put_aside_without_a_proof(table: Table, process: Process) -> None:
    """It is tried again until there is one, over a restart too, and told once."""
    assert process.sync.unproven() == {}
    for _ in range(3):
        process.park("7", reason=f"{UNPROVEN}no")
        process.write()
        assert process.sync.unproven() == {0: [("7",)]}
    assert len(process.told) == 1
    process = Process(table)
    assert process.sync.unproven() == {0: [("7",)]}
    process.park("7", reason=f"{UNPROVEN}no")
    process.write()
    assert process.told == []
    process.park("7")  # beside another one that was taken
    process.write()
    assert process.sync.unproven() == {}
    assert len(process.told) == 1
    process.park("7", reason=f"{UNPROVEN}no")
    process.write()
    process.accept("7")
    process.write()
    assert process.sync.unproven() == {}
    assert table.rows == {}


def test_documents_alike_are_told_with_a_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one at once, the others in one line when it is time; another cause by itself."""
    now = [100.0]
    monkeypatch.setattr(throttle, "time", SimpleNamespace(monotonic=lambda: now[0]))
    told: list[Observation] = []
    one = ParkedTold(told.append)
    reason = "failed to parse field [n] in document with id '{}'. Preview of field's value: '{}'"
    for number in range(100):
        one.add("films", str(number), reason.format(number, f"a{number}"))
    one.add("films", "x", "division by zero")
    one.add("actors", "1", reason.format(1, "b"))
    assert told == [
        Parked("films", "0", reason.format(0, "a0")),
        Parked("films", "x", "division by zero"),
        Parked("actors", "1", reason.format(1, "b")),
    ]
    one.tell()
    assert len(told) == 3
    now[0] += FIRST
    one.tell()
    one.tell()
    assert told[3:] == [ParkedAlike("films", 99, "1, 2, 3", reason.format(1, "a1"))]
    one.add("films", "200", reason.format(200, ""))
    assert len(told) == 4
    one.tell(everything=True)
    assert told[4:] == [Parked("films", "200", reason.format(200, ""))]


def test_causes_that_are_told_apart_are_bounded() -> None:
    """Each is told at once; what stands in brackets may be text of users."""
    told: list[Observation] = []
    one = ParkedTold(told.append)
    for number in range(1000):
        one.add("films", "1", f"no field [{'abcdefghij'[number % 10] * (1 + number // 10)}]")
    assert len(told) == 1000
    assert len(one._alike) <= 200


# -- indexes that change their roles ---------------------------------------------------------------

LOADED: Final = "films-0a1b2c3d-20260131t100000000000z"
LOADING: Final = Target("films.l1", LOADED, Role.LOADING)
IN_USE: Final = Target("films.w1", "films-1")


@pytest.fixture
def loading(table: Table) -> Process:
    """The only kind fills an index."""
    process = Process(table)
    process.ledger.aim({})
    process.write()
    process.ledger.aim({0: LOADING})
    process.write()
    table.written.clear()
    return process


def test_an_index_that_is_loaded(loading: Process) -> None:
    """What is parked of it stands there by its own name, and is told so."""
    loading.park("7")
    loading.write()
    assert loading.table.written == [f"{LOADED}: parked 7"]
    assert loading.told == [Parked(LOADED, "7", "no")]
    assert (loading.sync.kind(LOADED), loading.sync.kind("films")) == (0, None)


def test_a_swap(loading: Process) -> None:
    """Its documents are those of the alias from then on, and what was parked of the former index is
    forgotten. The daemon is not at rest before the table knows it."""
    loading.table.rows = {"1": "of the former index"}
    loading.table.others = [row(LOADED, "7", "no")]
    loading.sync.read(NOWHERE)
    loading.ledger.aim({0: Target("films.w2", LOADED)})
    assert not loading.ledger.wait_noted(0)
    loading.table.fails = GONE
    with pytest.raises(psycopg.OperationalError):
        loading.write()
    assert not loading.ledger.wait_noted(0)
    loading.write()
    loading.write()
    assert loading.table.written == [f"{LOADED}: renamed to films"]
    assert loading.table.rows == {"7": "no"}
    assert loading.sync.keys(0) == [("7",)]
    assert loading.ledger.wait_noted(0)


def test_a_load_that_is_given_up(loading: Process) -> None:
    """Nothing is left of it."""
    mark = loading.park("7")
    loading.ledger.aim({})
    assert loading.settled(mark)
    loading.write()
    assert loading.table.written == [f"{LOADED}: dropped"]
    assert loading.ledger.parked == 0


@pytest.mark.parametrize("resumed", [True, False])
def test_a_process_that_ended_amid_a_swap(table: Table, resumed: bool) -> None:
    """The alias leads to the index, and the table says so by its own name still. What is left of a
    load that does not go on is removed."""
    other = LOADED.replace("0a1b", "ffff")
    table.rows = {"1": "of the former index"}
    table.others = [row(LOADED, "7", "no"), row(other, "8", "no"), row("films-x", "9", "no")]
    process = Process(table)
    process.ledger.aim({0: Target("films.w3", LOADED)})
    process.sync.begin(NOWHERE, {other} if resumed else set())
    assert table.rows == {"7": "no"}
    assert [one.index for one in table.others] == [*([other] if resumed else []), "films-x"]
    assert process.sync.keys(0) == [("7",)]
