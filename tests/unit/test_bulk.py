"""Bulk bodies and verdicts: pure values."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener.search.bulk import Document, encode
from listener.search.reasons import never_fits
from listener.search.verdicts import Outcome, judge
from listener.search.versions import generation_of, versioned


def test_versions_order_by_generation_first() -> None:
    """A new generation is above all versions of the ones before."""
    assert versioned(2, 1) > versioned(1, 2**40 - 1)
    assert generation_of(versioned(7, 99)) == 7
    assert versioned(2**22, 2**40 - 1) < 2**63


def test_a_body_has_each_document_once() -> None:
    """Index and delete actions, both with our version, in the order of the documents."""
    body = encode([Document(("1",), "1", b'{"a":1}'), Document(("2",), '2"', None)], "x.w1", 5)
    lines = [json.loads(line) for line in body.splitlines()]
    meta = {"version": 5, "version_type": "external_gte"}
    assert lines == [
        {"index": {"_index": "x.w1", "_id": "1", **meta}},
        {"a": 1},
        {"delete": {"_index": "x.w1", "_id": '2"', **meta}},
    ]
    assert body.endswith(b"\n")


def test_raw_line_breaks_do_not_become_action_lines() -> None:
    """`json` columns keep raw line breaks between tokens: user text must not be read as actions."""
    evil = b'{"a":\n1,\r\n"b":2}\n{"delete":{"_index":"x","_id":"1"}}'
    body = encode([Document(("1",), "1", evil)], "x.w1", 1)
    assert len(body.splitlines()) == 2


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
            st.none()
            | st.dictionaries(
                st.text(st.characters(exclude_categories=["Cs"])),
                st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
            ),
        ),
        min_size=1,
    )
)
def test_any_body_reads_back(documents: list[tuple[str, Any]]) -> None:
    """Whatever ids and contents: as many actions as documents, each followed by its own content."""
    body = encode(
        [
            Document((name,), name, None if value is None else json.dumps(value, indent=1).encode())
            for name, value in documents
        ],
        "x.w1",
        1,
    )
    lines = iter(body[:-1].split(b"\n"))
    for name, value in documents:
        action = json.loads(next(lines))
        ((operation, meta),) = action.items()
        assert meta["_id"] == name
        assert operation == ("delete" if value is None else "index")
        if value is not None:
            assert json.loads(next(lines)) == value
    assert next(lines, None) is None


def answer(status: int, kind: str | None = None, reason: str = "", operation: str = "index") -> Any:
    """One item of a reply."""
    error = {} if kind is None else {"error": {"type": kind, "reason": reason}}
    return {operation: {"status": status, **error}}


NO_WRITE_INDEX = (
    "no write index is defined for alias [a.w7]. The write index may be explicitly disabled using "
    "is_write_index=false or the alias points to multiple indices"
)


@pytest.mark.parametrize(
    ("item", "outcome"),
    [
        (answer(200), Outcome.DONE),
        (answer(201), Outcome.DONE),
        (answer(404, operation="delete"), Outcome.DONE),
        (answer(404), Outcome.HOLD),
        (answer(404, "index_not_found_exception"), Outcome.FENCED),
        (answer(404, "index_not_found_exception", operation="delete"), Outcome.FENCED),
        (answer(429, "es_rejected_execution_exception"), Outcome.RETRY),
        (answer(429, "circuit_breaking_exception"), Outcome.RETRY),
        (answer(503, "unavailable_shards_exception"), Outcome.RETRY),
        (answer(400, "document_parsing_exception"), Outcome.PARK),
        (answer(400, "mapper_parsing_exception"), Outcome.PARK),
        (answer(400, "strict_dynamic_mapping_exception"), Outcome.PARK),
        (answer(400, "illegal_argument_exception"), Outcome.PARK),
        # a delete has no content that could be at fault
        (answer(400, "illegal_argument_exception", operation="delete"), Outcome.HOLD),
        (answer(400, "illegal_argument_exception", NO_WRITE_INDEX), Outcome.FENCED),
        (answer(400, "illegal_argument_exception", NO_WRITE_INDEX, "delete"), Outcome.FENCED),
        (answer(400, "illegal_argument_exception", f"it says: {NO_WRITE_INDEX}"), Outcome.PARK),
        # a closed index answers 400 and a blocked one 403, item by item: nobody's own fault
        (answer(400, "index_closed_exception"), Outcome.HOLD),
        (answer(403, "cluster_block_exception"), Outcome.HOLD),
        (answer(403, "security_exception"), Outcome.HOLD),
        (answer(500, "anything_new"), Outcome.HOLD),
        ({"index": {"status": 500, "error": "text"}}, Outcome.HOLD),
    ],
)
def test_verdicts_go_by_error_type(item: Any, outcome: Outcome) -> None:
    """What is not known stops the pipeline; it is never parked."""
    assert judge(item).outcome is outcome


@pytest.mark.parametrize(
    "item",
    [
        *(None, 1, "x", [], {}, {"index": 1}, {"index": {}, "delete": {}}),
        *({"index": {"status": status}} for status in ("200", True, 200.0, None)),
    ],
)
def test_items_of_another_shape_are_held(item: Any) -> None:
    """Whatever stands between us and the server answered that."""
    assert judge(item).outcome is Outcome.HOLD


def test_what_users_wrote_is_no_word_of_the_server() -> None:
    """An id stands in the reason: whatever it says, its document alone is refused."""
    evil = "pipeline with id [x] does not exist"
    reason = f"[1:6] failed to parse field [d] of type [date] in document with id '{evil}'"
    assert judge(answer(400, "document_parsing_exception", reason)).outcome is Outcome.PARK
    assert judge(answer(400, "illegal_argument_exception", f"{evil}.")).outcome is Outcome.PARK


@pytest.mark.parametrize(
    "doc_id",
    ["1", "x" * 512, "current version [7]", "a]: version conflict, current version [9] is higher"],
)
def test_the_stored_version_is_the_server_s_word(doc_id: str) -> None:
    """Behind an id of any length that says anything."""
    said = "version conflict, current version [5] is higher than the one provided [4]"
    reason = f"[{doc_id}]: {said}"
    verdict = judge(answer(409, "version_conflict_engine_exception", reason))
    assert verdict.stored_version == 5
    assert len(verdict.reason) < 600


@pytest.mark.parametrize(("size", "fits"), [(60_000_298, False), (1_000, True)])
def test_a_request_that_no_server_has_room_for(size: int, fits: bool) -> None:
    """Waiting does not help where the request alone is larger than all the room there is."""
    reason = (
        "429 es_rejected_execution_exception: rejected execution of coordinating operation "
        "[coordinating_and_primary_bytes=51000000, replica_bytes=0, all_bytes=51000000, "
        f"coordinating_operation_bytes={size}, max_coordinating_bytes=51897958]"
    )
    assert never_fits(reason) is not fits


@pytest.mark.parametrize(
    ("value", "told"), [("my ' value", "my ' value'"), ("a" * 60 + "secret", "a" * 60 + "…'")]
)
def test_a_value_that_was_refused_is_told_in_part(value: str, told: str) -> None:
    """Its begin is enough to find it; a whole text of a user is not for a log."""
    reason = "[1:9] failed to parse field [n] of type [float] in document with id '1'. "
    told_whole = f"{reason}Preview of field's value: '{value}'"
    verdict = judge(answer(400, "document_parsing_exception", told_whole))
    assert verdict.reason.endswith(f"{reason}Preview of field's value: '{told}")


def test_a_conflict_says_which_version_is_stored() -> None:
    """Whose generation it is decides; the version stands in the reason on all servers."""
    verdict = judge(
        answer(
            409,
            "version_conflict_engine_exception",
            "[1]: version conflict, current version [1099511627777] is higher than the one "
            "provided [7]",
        )
    )
    assert verdict.outcome is Outcome.CONFLICT
    assert verdict.stored_version == 1099511627777
    assert judge(answer(409, "version_conflict_engine_exception", "?")).stored_version is None


@pytest.mark.parametrize(
    ("kind", "reason", "index", "mend"),
    [
        (
            "cluster_block_exception",
            "index [films-1] blocked by: [FORBIDDEN/8/index write (api)];",
            None,
            'PUT /films-1/_settings {"index.blocks.write": null}',
        ),
        (
            "cluster_block_exception",
            "blocked by: [FORBIDDEN/6/cluster read-only (api)];",
            None,
            'PUT /_cluster/settings {"persistent": {"cluster.blocks.read_only": null}}',
        ),
        ("index_closed_exception", "closed", "films-1", "POST /films-1/_open"),
        (
            "illegal_argument_exception",
            "pipeline with id [theirs] does not exist",
            None,
            'PUT /INDEX/_settings {"index.default_pipeline": null, "index.final_pipeline": null}, '
            "or make the pipeline",
        ),
    ],
)
def test_what_a_person_has_forbidden_is_said_with_its_command(
    kind: str, reason: str, index: str | None, mend: str
) -> None:
    """Nothing is parked for it, and whoever reads the log knows how to go on."""
    error = {"type": kind, "reason": reason} | ({"index": index} if index else {})
    verdict = judge({"index": {"status": 400, "error": error}})
    assert verdict.outcome is Outcome.HOLD
    assert (verdict.reason, verdict.mend) == (f"{kind}: {reason}", mend)


def test_copies_that_are_not_there() -> None:
    """It may pass by itself; where it does not, the setting is named."""
    reason = "[films-1][0] Not enough active copies to meet shard count of [ALL] (have 1, needed 2)"
    error = {"type": "unavailable_shards_exception", "reason": reason}
    verdict = judge({"index": {"status": 503, "error": error}})
    assert verdict.outcome is Outcome.RETRY
    assert verdict.mend.endswith(
        'PUT /films-1/_settings {"index.write.wait_for_active_shards": null}'
    )
