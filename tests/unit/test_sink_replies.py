"""Replies to bulks, as bytes: which are taken at their first word, and which are read in full."""

from __future__ import annotations

import json

import elastic_transport
import pytest

from listener.bulk import Document, Outcome
from listener.sink import Target, all_taken, parsed, verdicts_of


def reply(items: int, *, errors: bool = False) -> bytes:
    """As Elasticsearch spells it."""
    content = {"errors": errors, "items": [{"index": {"status": 200}}] * items}
    return json.dumps(content, separators=(",", ":")).encode()


def test_no_errors_for_all_that_was_sent() -> None:
    """The same verdicts as when it is read."""
    assert all_taken(reply(3), 3)
    documents = [Document((str(n),), str(n), b"{}") for n in range(3)]
    verdicts = verdicts_of(parsed(reply(3)), documents, [Target("a")], 1)
    assert [one.outcome for one in verdicts] == [Outcome.DONE] * 3


@pytest.mark.parametrize(
    "raw",
    [
        reply(2),
        reply(4),
        reply(3, errors=True),
        b" " + reply(3),
        b'{"items":[],"errors":false}',
        b"",
        b"<html>",
    ],
)
def test_anything_else_is_read(raw: bytes) -> None:
    """Fewer or more items, errors, other spellings."""
    assert not all_taken(raw, 3)


def test_an_empty_reply_is_held() -> None:
    """It says nothing of any document."""
    document = Document(("1",), "1", b"{}")
    [verdict] = verdicts_of(parsed(b""), [document], [Target("a")], 1)
    assert verdict.outcome is Outcome.HOLD


@pytest.mark.parametrize("raw", [b"<html>", b'{"errors":fal', b"[" * 100_000, b"\xff"])
def test_what_is_no_json_is_no_answer(raw: bytes) -> None:
    """The daemon lives on: the request is lost, and its documents are read again."""
    with pytest.raises(elastic_transport.TransportError):
        parsed(raw)
