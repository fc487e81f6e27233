"""What is kept of parked documents in memory, beside the table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import cast

from listener.documents.source import DocumentSource
from listener.indexing.batch import Limits
from listener.indexing.ledger import Shared
from listener.indexing.parked_sync import Aside
from listener.indexing.parked_table import ParkedDocument, ParkedTable
from listener.indexing.parking import UNPROVEN, ToPark
from listener.observations.events import Observation
from listener.postgres import Connection


class Table:
    """The table, in memory."""

    def __init__(self) -> None:
        self.rows: dict[str, str] = {}

    def read(self, _connection: object) -> list[ParkedDocument]:
        """All of it."""
        now = datetime(2026, 1, 1, tzinfo=UTC)
        return [ParkedDocument("films", one, self.rows[one], now, now, 1) for one in self.rows]

    def park(self, _connection: object, _index: str, reasons: Mapping[str, str]) -> None:
        """These are aside."""
        self.rows |= reasons

    def clear(self, _connection: object, _index: str, ids: Iterable[str]) -> None:
        """These are not any more."""
        for one in ids:
            del self.rows[one]


class Source:
    """A document with a key of one number."""

    name = "films"
    types = ("bigint",)


def test_what_was_put_aside_without_a_proof() -> None:
    """It is tried again until there is one, over a restart too, and told once."""
    table, told = Table(), list[Observation]()
    nowhere = cast("Connection", None)

    def begin() -> tuple[Shared, Aside]:
        shared = Shared(1, Limits(100, 1000, 100, 100))
        sources = [cast("DocumentSource", Source())]
        aside = Aside(shared, sources, cast("ParkedTable", table), told.append)
        aside.read(nowhere)
        return shared, aside

    def park(reason: str) -> None:
        shared.parking.put_aside(ToPark(0, ("7",), "7", (), reason))
        aside.write(nowhere)

    shared, aside = begin()
    assert aside.unproven() == {}
    for _ in range(3):
        park(f"{UNPROVEN}no")
        assert aside.unproven() == {0: [("7",)]}
    assert len(told) == 1
    shared, aside = begin()
    assert aside.unproven() == {0: [("7",)]}
    park(f"{UNPROVEN}no")
    assert len(told) == 1
    park("no")  # beside another one that was taken
    assert aside.unproven() == {}
    assert len(told) == 2
    park(f"{UNPROVEN}no")
    shared.parking.accepted(0, "7", everywhere=True)
    aside.write(nowhere)
    assert aside.unproven() == {}
    assert table.rows == {}
