"""What one row of the journal says: keys, a request of an operator, or that changes may be lost."""

from __future__ import annotations

import pytest

from listener.capture.journal import RETRY_ASKED, Lost, Retry, Row, said
from listener.changes import Change

WATCH = "public.film(id)"


def row(kind: str, keys: str | None, reason: str | None = None) -> Row:
    """A row of one watch."""
    return Row("2026-01-01 00:00:00+00", 1, WATCH, kind, keys, reason, "700")


def test_keys() -> None:
    """They are a change of the watch."""
    assert said(row("keys", '["1", "2"]'), ("integer",)) == Change(WATCH, "keys", (("1",), ("2",)))


def test_a_request() -> None:
    """Index and ids."""
    keys = '{"index": "a", "ids": ["1", ""]}'
    assert said(row("reconcile", keys, RETRY_ASKED), ("integer",)) == Retry("a", ("1", ""))


@pytest.mark.parametrize(
    "keys",
    [None, "", "[]", "{", '{"index": 1, "ids": []}', '{"index": "a", "ids": [1]}', "[" * 9999],
)
def test_a_request_that_cannot_be_read(keys: str | None) -> None:
    """What it hides may be anything: the documents are compared."""
    assert said(row("reconcile", keys, RETRY_ASKED), ("integer",)) == Lost(RETRY_ASKED)


@pytest.mark.parametrize("keys", [None, "no JSON", "{}", '["x"]', "[" * 9999])
def test_keys_that_cannot_be_read(keys: str | None) -> None:
    """They may be of any row."""
    assert said(row("keys", keys), ("integer",)) == Lost("a row that cannot be read")


def test_lost_changes() -> None:
    """A TRUNCATE has no keys; neither has a row of a later release."""
    assert said(row("reconcile", None, "TRUNCATE"), ("integer",)) == Lost("TRUNCATE")
    assert said(row("of a later release", '["1"]'), ("integer",)) == Lost(
        "a row that cannot be read"
    )
