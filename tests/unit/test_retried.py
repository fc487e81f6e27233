"""A retry of parked documents: what was tried, and what came of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from listener.indexing.parked_table import ParkedDocument
from listener.resync.retried import Retried, retried

AT = datetime(2026, 1, 1, tzinfo=UTC)


def parked(doc_id: str, count: int = 1) -> ParkedDocument:
    """One in the table."""
    return ParkedDocument("films", doc_id, "no", AT, AT, count)


def test_each_is_in_one_of_three_places() -> None:
    """The count of refusals tells whether one was tried; others in the table do not matter."""
    before = [parked("a"), parked("b", 3), parked("c")]
    now = [parked("b", 4), parked("c"), parked("d")]
    assert retried(before, now) == Retried(1, (parked("b", 4),), 1)


def test_the_same_id_in_another_index() -> None:
    """It is another document."""
    other = replace(parked("a"), index="genres")
    assert retried([parked("a")], [other]) == Retried(1, (), 0)
