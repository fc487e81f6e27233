"""Comparisons: what counts as a difference, and answers of which a part is missing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from listener import search
from listener.resync.compare import Comparison, Mismatch, Page
from listener.search import counts
from tests.kit.comparing import Sides


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        ({"_shards": {"failed": 1, "failures": [{"reason": {"reason": "no context"}}]}}, "context"),
        ({"_shards": {"failed": 0}, "timed_out": True}, "in time"),
    ],
)
def test_shards_that_do_not_answer(odd: dict[str, Any], why: str) -> None:
    """What they hold is not taken for missing from the index: the comparison is tried again."""
    first = {"_scroll_id": "s", "_shards": {"failed": 0}, "hits": {"hits": [{"_id": "1"}]}}
    client: Any = SimpleNamespace(
        indices=SimpleNamespace(refresh=lambda **_: None),
        search=lambda **_: SimpleNamespace(body=first),
        scroll=lambda **_: SimpleNamespace(body={**first, **odd}),
        options=lambda **_: SimpleNamespace(clear_scroll=lambda **_: None),
    )
    hits = counts.hits(client, "films")
    assert next(hits) == [{"_id": "1"}]
    with pytest.raises(search.Unreadable, match=why):
        next(hits)


@pytest.fixture
def sides(monkeypatch: pytest.MonkeyPatch) -> Sides:
    """Three films, the same on both sides."""
    return Sides(monkeypatch)


def of_the_index(sides: Sides) -> Page:
    """What the pages of the index tell; it is one page here."""
    comparison = Comparison(sides.source, sides.client, "films-1", frozenset(sides.parked))
    [page] = comparison.index(sides.connection)
    return page


@pytest.mark.parametrize("doc_id", ["007", "title", "9223372036854775808"])
def test_an_id_that_no_row_can_have(sides: Sides, doc_id: str) -> None:
    """It is an orphan, though 7 is a film: no write to film 7 reaches it."""
    sides.rows["7"] = sides.index()["7"] = sides.index()[doc_id] = "{}"
    page = of_the_index(sides)
    assert page.mismatches == (Mismatch((doc_id,), doc_id, "orphaned"),)
    assert (page.looked_at, page.lost) == (5, 1)


def test_an_id_that_is_written_otherwise(sides: Sides) -> None:
    """As PostgreSQL reads it, it is the key of a row. As an id it is another document."""
    row = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
    sides.source.types = ("uuid",)
    sides.rows = {row: "{}"}
    sides.indexes["films-1"] = {row: "{}", row.upper(): "{}"}
    orphan = Mismatch((row.upper(),), row.upper(), "orphaned")
    assert of_the_index(sides).mismatches == (orphan,)


def test_an_orphan_that_is_gone_by_now(sides: Sides) -> None:
    """A search is older than the reads: what was deleted since is right."""
    del sides.rows["2"]
    sides.meanwhile["films-1 searched"] = lambda: sides.index().pop("2")
    assert of_the_index(sides) == Page(3, ())


def test_an_orphan_that_is_back_by_now(sides: Sides) -> None:
    """The row was written after the ids were looked at."""
    row = sides.rows.pop("2")
    sides.meanwhile["read 2"] = lambda: sides.rows.update({"2": row})
    assert of_the_index(sides) == Page(3, ())


def test_what_the_query_fails_on_is_no_orphan(sides: Sides) -> None:
    """The row is there."""
    sides.faulty.add(sides.rows.popitem()[0])
    assert of_the_index(sides) == Page(3, ())


def test_what_a_new_index_would_not_have(sides: Sides) -> None:
    """Orphans, and what is misplaced without a row; each counts once."""
    sides.routed = {"1", "2", "3"}
    del sides.rows["2"]
    del sides.rows["3"]
    sides.meanwhile["films-1 searched"] = lambda: sides.index().pop("3")  # stands elsewhere
    page = of_the_index(sides)
    assert {(one.id, one.difference, one.gone) for one in page.mismatches} == {
        ("1", "misplaced", False),
        ("2", "misplaced", False),
        ("2", "orphaned", False),
        ("3", "misplaced", True),
    }
    assert page.lost == 2


def test_an_id_that_elasticsearch_does_not_take(sides: Sides) -> None:
    """It is not asked for, or the whole request would be refused: its document is missing."""
    long = "1" * 600
    sides.rows[long] = "{}"
    comparison = Comparison(sides.source, sides.client, "films-1", frozenset())
    found = comparison.look(sides.connection, [("1",), (long,)])
    assert found == [Mismatch((long,), long, "missing")]
    assert sides.asked == ["1"]


@pytest.mark.parametrize(
    ("row", "stored", "same"),
    [
        ('{"a": 1, "b": [2]}', '{"b":[2],"a":1}', True),
        ('{"a": 1.0}', '{"a": 1}', True),
        ('{"a": 9007199254740993}', '{"a": 9007199254740992}', False),
        ('{"a": 1e400}', '{"a": 1e401}', False),
        ('{"a": null}', "{}", False),
    ],
)
def test_contents_are_compared_exactly(sides: Sides, row: str, stored: str, same: bool) -> None:
    """The order of fields says nothing; each digit of a number does."""
    sides.rows["1"], sides.index()["1"] = row, stored
    comparison = Comparison(sides.source, sides.client, "films-1", frozenset())
    found = comparison.look(sides.connection, [("1",)])
    assert found == ([] if same else [Mismatch(("1",), "1", "stale")])


def test_an_answer_that_python_cannot_read(sides: Sides) -> None:
    """It is asked for in halves, down to the document at fault, whose bytes are compared."""
    deep = "[" * 100_000 + "]" * 100_000
    sides.rows["2"] = sides.index()["2"] = f'{{"a": {deep}}}'
    sides.index()["3"] = "{}"
    comparison = Comparison(sides.source, sides.client, "films-1", frozenset())
    found = comparison.look(sides.connection, [("1",), ("2",), ("3",)])
    assert found == [Mismatch(("3",), "3", "stale")]
    assert sides.steps.count("films-1 asked") == 5
