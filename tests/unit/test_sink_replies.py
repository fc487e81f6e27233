"""Replies to bulks, as bytes: which are taken at their first word, and which are read in full."""

from __future__ import annotations

import json

import elastic_transport
import pytest

from listener.search.bulk import Document
from listener.search.sink import parsed
from listener.search.verdicts import Outcome, all_taken, verdicts_of
from listener.search.write_aliases import Target


def reply(items: int, *, errors: bool = False) -> bytes:
    """As Elasticsearch spells it."""
    content = {"errors": errors, "items": [{"index": {"status": 200}}] * items}
    return json.dumps(content, separators=(",", ":")).encode()


def test_no_errors_for_all_that_was_sent() -> None:
    """The same verdicts as when it is read."""
    assert all_taken(reply(3), 3, Target("a"))
    documents = [Document((str(n),), str(n), b"{}") for n in range(3)]
    verdicts = verdicts_of(parsed(reply(3)), documents, Target("a"), 1)
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
    assert not all_taken(raw, 3, Target("a"))


def placed(*names: str, errors: bool = False) -> bytes:
    """A reply of these indexes; where there are `errors`, one item more."""
    items = [{"index": {"_index": one, "status": 200}} for one in names]
    if errors:
        error = {"type": "unavailable_shards_exception", "reason": "no"}
        items.append({"index": {"_index": "here", "status": 503, "error": error}})
    return json.dumps({"errors": errors, "items": items}, separators=(",", ":")).encode()


HERE = Target("a.w1", index="here")


def test_taken_by_the_index_that_the_alias_was_made_for() -> None:
    """At its first word, too."""
    raw = placed("here", "here")
    assert all_taken(raw, 2, HERE)
    documents = [Document((str(n),), str(n), b"{}") for n in range(2)]
    verdicts = verdicts_of(parsed(raw), documents, HERE, 1)
    assert [one.outcome for one in verdicts] == [Outcome.DONE] * 2


@pytest.mark.parametrize("errors", [False, True])
def test_taken_by_another_index(errors: bool) -> None:
    """It is not where it should be: a new session, and it is written anew."""
    raw = placed("here", "elsewhere", errors=errors)
    count = 2 + errors
    assert not all_taken(raw, count, HERE)
    documents = [Document((str(n),), str(n), b"{}") for n in range(count)]
    first, second, *_ = verdicts_of(parsed(raw), documents, HERE, 1)
    assert first.outcome is Outcome.DONE
    assert second.outcome is Outcome.FENCED
    assert "led to elsewhere, not to here" in second.reason


MISSING = "illegal_argument_exception", "pipeline with id [p] does not exist", 400


def test_the_command_that_lifts_it_names_the_index() -> None:
    """The server names the alias, or nothing."""
    kind, reason, status = MISSING
    bad = {"index": {"status": status, "error": {"type": kind, "reason": reason}}}
    document = Document(("1",), "1", b"{}")
    [verdict] = verdicts_of({"errors": True, "items": [bad]}, [document], HERE, 1)
    assert verdict.mend.startswith("PUT /here/_settings ")


def test_an_empty_reply_is_held() -> None:
    """It says nothing of any document."""
    document = Document(("1",), "1", b"{}")
    [verdict] = verdicts_of(parsed(b""), [document], Target("a"), 1)
    assert verdict.outcome is Outcome.HOLD


@pytest.mark.parametrize("raw", [b"<html>", b'{"errors":fal', b"[" * 100_000, b"\xff"])
def test_what_is_no_json_is_no_answer(raw: bytes) -> None:
    """The daemon lives on: the request is lost, and its documents are read again."""
    with pytest.raises(elastic_transport.TransportError):
        parsed(raw)
