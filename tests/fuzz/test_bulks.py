"""Bulk bodies and replies: one action and one source a document, and no verdict is a guess."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from listener.search.bulk import Document, encode
from listener.search.reasons import mend_of
from listener.search.verdicts import DOCUMENT_FAULTS, Outcome, judge, verdicts_of
from listener.search.versions import versioned
from listener.search.write_aliases import Target
from tests.fuzz.kit import fuzz
from tests.fuzz.shapes import ANY_TEXT, JSON, KEY_TEXT

_SPACE = st.text(st.sampled_from(" \t\n\r"), max_size=4)
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def _spaced(draw: st.DrawFn) -> bytes:
    """A document as a `json` column may keep it: with line breaks between its tokens."""
    value = draw(st.dictionaries(ANY_TEXT, _VALUES, max_size=4))
    text = json.dumps(value, indent=draw(st.sampled_from([None, "\n", "\r\n\t"])))
    return (draw(_SPACE) + text + draw(_SPACE)).encode()


_DOCUMENTS = st.lists(st.tuples(KEY_TEXT, st.none() | _spaced()), max_size=5)
_ALIASES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_.", min_size=1)


@fuzz(_DOCUMENTS, _ALIASES, st.integers(1, 2**22), st.integers(1, 2**40 - 1))
def test_body_reads_back(
    documents: Sequence[tuple[str, bytes | None]], alias: str, generation: int, counter: int
) -> None:
    """Exactly one action line and one source line each, which say what was to be said."""
    version = versioned(generation, counter)
    body = encode([Document((one,), one, text) for one, text in documents], alias, version)
    lines = body.split(b"\n")
    assert lines.pop() == b""
    assert b"\r" not in body
    read = iter(lines)
    for one, text in documents:
        meta = {"_index": alias, "_id": one, "version": version, "version_type": "external_gte"}
        assert json.loads(next(read)) == {"delete" if text is None else "index": meta}
        if text is not None:
            assert json.loads(next(read)) == json.loads(text)

    assert next(read, None) is None


_KINDS = st.sampled_from(
    [
        *sorted(DOCUMENT_FAULTS),
        *("version_conflict_engine_exception", "index_not_found_exception"),
        *("es_rejected_execution_exception", "cluster_block_exception", "not_x_content_exception"),
    ]
)
_REASONS = ANY_TEXT | st.builds(
    "{}[{}]: version conflict, current version [{}] is higher than the one provided [{}]{}".format,
    ANY_TEXT,
    ANY_TEXT,
    st.integers() | ANY_TEXT,
    st.integers(),
    st.sampled_from(["", " "]) | ANY_TEXT,
)
_ERRORS = JSON | st.fixed_dictionaries(
    {"type": _KINDS | JSON, "reason": _REASONS | JSON}, optional={"index": ANY_TEXT | JSON}
)
_RESULTS = JSON | st.fixed_dictionaries(
    {"status": st.sampled_from([200, 201, 400, 404, 409, 429, 500, 503]) | st.integers() | JSON},
    optional={"error": _ERRORS},
)
_ITEMS = JSON | st.dictionaries(
    st.sampled_from(["index", "delete", "create"]) | ANY_TEXT, _RESULTS, min_size=1, max_size=2
)


def accepted(item: Any) -> bool:
    """Whether this item says that the write was done, told as plainly as possible."""
    if not isinstance(item, dict) or len(item) != 1:
        return False
    ((operation, result),) = item.items()
    if not isinstance(result, dict) or result.get("error") is not None:
        return False
    status = result.get("status")
    if type(status) is not int:
        return False
    return 200 <= status <= 299 or (operation == "delete" and status == 404)


@fuzz(_ITEMS)
def test_any_item_of_a_reply(item: Any) -> None:
    """A verdict for anything; done only where the server says so, parked only for known faults."""
    verdict = judge(item)
    assert (verdict.outcome is Outcome.DONE) == accepted(item)
    if verdict.outcome is Outcome.PARK:
        ((_, result),) = item.items()
        assert result["status"] == 400
        assert result["error"]["type"] in DOCUMENT_FAULTS
    assert len(verdict.reason) < 2000
    assert verdict.stored_version is None or verdict.outcome is Outcome.CONFLICT


@fuzz(
    st.integers(1, 3),
    st.lists(_ITEMS, max_size=6),
    JSON | st.booleans(),
    JSON,
    share=0.5,
)
def test_any_reply(many: int, items: list[Any], errors: Any, odd: Any) -> None:
    """As many verdicts as documents; done only where its target took it, or where the
    server says of all of them that none failed."""
    documents = [Document((str(n),), str(n), b"{}") for n in range(many)]
    for reply in (odd, {"errors": errors, "items": items}, {"items": odd}):
        verdicts = verdicts_of(reply, documents, Target("x.w1"), versioned(3, 1))
        assert len(verdicts) == many
        for place, verdict in enumerate(verdicts):
            if verdict.outcome is Outcome.DONE and reply.get("errors") is False:
                assert len(reply["items"]) == many
            elif verdict.outcome is Outcome.DONE:
                here = reply["items"][place]
                assert len(reply["items"]) == many
                assert accepted(here) or judge(here).outcome is Outcome.CONFLICT


@fuzz(ANY_TEXT | _REASONS, ANY_TEXT)
def test_any_reason_of_a_server(reason: str, index: str) -> None:
    """There is something that lifts a block, or nothing."""
    assert isinstance(mend_of(reason, index), str)
