"""Who is put aside, when it is too many, and which verdict counts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from listener.indexing.parked_table import explain
from listener.indexing.parking import SAME_REASON, Parking, ToPark
from listener.indexing.queue import Job


def refusal(number: int, reason: str = "mapper_parsing_exception: no") -> ToPark:
    """A refusal of one document."""
    return ToPark(0, (str(number),), str(number), (), reason)


def refused(parking: Parking, one: ToPark, *, unread: bool = False) -> bool:
    """Whether it is put aside; False: the brake holds everything."""
    if parking.braked(one, unread=unread):
        return False
    parking.put_aside(one)
    return True


def test_a_row_of_refusals_for_one_reason_is_no_documents_fault() -> None:
    """A good one between them, or another reason, begins a new row."""
    parking = Parking(10_000)
    for number in range(SAME_REASON - 1):
        assert refused(parking, refusal(number))
    assert not refused(parking, refusal(1000))
    assert not refused(parking, refusal(1000))  # still
    assert refused(parking, refusal(1001, "illegal_argument_exception: no"))
    parking.accepted(0, "1002")
    assert refused(parking, refusal(1000))


def test_rows_of_the_query_and_of_the_index_are_apart() -> None:
    """What could be read says nothing of what Elasticsearch takes, nor the other way."""
    parking = Parking(10_000)
    for number in range(3 * SAME_REASON):
        assert refused(parking, refusal(number, "division by zero"), unread=True)
        parking.readable(0)
    for number in range(SAME_REASON - 1):
        parking.readable(0)
        assert refused(parking, refusal(1000 + number))
    assert not refused(parking, refusal(2000))


def test_more_than_the_limit_is_held() -> None:
    """Those that wait to be written down count; a known one that is refused again does not."""
    parking = Parking(3)
    for number in range(3):
        assert refused(parking, refusal(number))
        parking.accepted(0, "good")
    assert not refused(parking, refusal(3))
    parking.known = {(0, one.id) for one in parking.to_park}
    parking.to_park.clear()
    assert not refused(parking, refusal(3))
    assert refused(parking, refusal(1))


def test_known_ones_are_tried_again_without_the_brake() -> None:
    """A person may have any number of them tried again."""
    parking = Parking(10_000)
    parking.known = {(0, str(number)) for number in range(5 * SAME_REASON)}
    for number in range(5 * SAME_REASON):
        assert refused(parking, refusal(number))


def test_the_later_verdict_counts() -> None:
    """Accepted and then refused again, before our table was told: it stays parked."""
    parking = Parking(10)
    parking.known = {(0, "1")}
    parking.accepted(0, "1")
    assert not parking.noted
    assert parking.to_clear == {(0, "1")}
    refused(parking, refusal(1))
    assert parking.to_clear == set()
    assert [one.id for one in parking.to_park] == ["1"]


def test_each_kind_by_itself() -> None:
    """What one index refuses holds no other, and says nothing of what another one takes."""
    parking = Parking(3)
    for number in range(3):
        assert refused(parking, refusal(number))
    assert not refused(parking, refusal(3))
    other = replace(refusal(3), kind=1)
    assert refused(parking, other)
    parking.known = {(0, "1")}
    parking.accepted(1, "1")
    assert parking.to_clear == set()


def test_a_row_of_refusals_is_of_one_kind() -> None:
    """Another index that takes its documents does not end it."""
    parking = Parking(10_000)
    for number in range(SAME_REASON - 1):
        assert refused(parking, refusal(number))
        parking.accepted(1, "good")
    assert not refused(parking, refusal(1000))


def test_a_kind_that_is_closed() -> None:
    """Nothing of it is aside, and who waited for that waits no longer."""
    parking, job = Parking(10), Job()
    job.add()
    job.seal()
    parking.known = {(0, "1"), (1, "1")}
    parking.put_aside(replace(refusal(2), jobs=(job,)))
    parking.forget(0)
    assert (parking.known, parking.noted) == ({(1, "1")}, True)
    assert job.finished
    assert job.dropped


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("document_parsing_exception: [1:2] failed to parse field [title]", "mapping"),
        ("mapper_parsing_exception: failed to parse", "mapping"),
        ("strict_dynamic_mapping_exception: mapping set to strict", "Add it"),
        ("illegal_argument_exception: immense term", "keyword"),
        ("an id of 513 bytes: 1 to 512 fit", "512"),
        ("the query returned NULL as the document", "not NULL"),
        ("division by zero (SQLSTATE 22012)", "query fails"),
        ("the whole request: 413 Request Entity Too Large", "max_content_length"),
        ("the whole request: 429 es_rejected_execution_exception: rejected", "heap"),
        ("document_parsing_exception: Document nesting depth (1001) exceeds", "flatter"),
    ],
)
def test_reasons_are_explained(reason: str, word: str) -> None:
    """Each kind of reason says what can be done."""
    assert word in explain(reason)


def test_an_unknown_reason_is_left_to_speak_for_itself() -> None:
    """Nothing is made up."""
    assert explain("something new") == ""
