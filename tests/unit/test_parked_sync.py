"""What is kept of parked documents in memory, beside the table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import cast

from listener.indexing.batch import Limits
from listener.indexing.parked_sync import ParkedSync
from listener.indexing.parked_table import ParkedDocument, ParkedTable
from listener.indexing.parking import UNPROVEN, ToPark
from listener.observations.events import Observation
from listener.postgres import Connection
from tests.kit.indexing import OneKind


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


def test_what_was_put_aside_without_a_proof() -> None:
    """It is tried again until there is one, over a restart too, and told once."""
    table, told = Table(), list[Observation]()
    nowhere = cast("Connection", None)

    def begin() -> tuple[OneKind, ParkedSync]:
        kind = OneKind(Limits(100, 1000, 100, 100))
        kind.source.name, kind.source.types = "films", ("bigint",)
        aside = ParkedSync(kind.ledger, kind.sources, cast("ParkedTable", table), told.append)
        aside.read(nowhere)
        return kind, aside

    def park(reason: str) -> None:
        kind.parking.put_aside(ToPark(0, ("7",), "7", (), reason))
        aside.write(nowhere)

    kind, aside = begin()
    assert aside.unproven() == {}
    for _ in range(3):
        park(f"{UNPROVEN}no")
        assert aside.unproven() == {0: [("7",)]}
    assert len(told) == 1
    kind, aside = begin()
    assert aside.unproven() == {0: [("7",)]}
    park(f"{UNPROVEN}no")
    assert len(told) == 1
    park("no")  # beside another one that was taken
    assert aside.unproven() == {}
    assert len(told) == 2
    park(f"{UNPROVEN}no")
    kind.parking.accepted(0, "7", everywhere=True)
    aside.write(nowhere)
    assert aside.unproven() == {}
    assert table.rows == {}
