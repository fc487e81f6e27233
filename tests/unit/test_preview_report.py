"""What a preview tells of refused documents: to people and programs, of one and of all."""

from __future__ import annotations

from typing import Any

import pytest

from listener.documents.causes import Causes
from listener.resync.preview_report import Previewed, PreviewReport

REASON = "failed to parse field [rating] of type [float]"
MEND = (
    'let the query give a value of the type float; or in the mapping: "rating": {"type": "keyword"}'
)
BLOCK = "cluster_block_exception: blocked by: [FORBIDDEN/8/index write (api)];"


def causes(*, held: bool) -> Causes:
    """Of one document that is refused for its content, or held."""
    found = Causes()
    if held:
        found.add("7", BLOCK, held=True, lifts="PUT /films/_settings")
    else:
        found.add("7", REASON, document={"rating": "n/a"})
    return found


@pytest.mark.parametrize(
    ("held", "said", "told"),
    [
        (
            False,
            ["refused: it would be put aside (parked)", f'{REASON}, value "n/a"', f"mend: {MEND}"],
            {"reason": REASON, "held": False, "mend": MEND, "value": "n/a"},
        ),
        (
            True,
            ["refused: it would hold the daemon until", BLOCK, "mend: PUT /films/_settings"],
            {"reason": BLOCK, "held": True, "mend": "PUT /films/_settings"},
        ),
    ],
    ids=["parked", "held"],
)
def test_what_becomes_of_a_refused_document(
    held: bool, said: list[str], told: dict[str, Any]
) -> None:
    """Whether it would be parked or hold the daemon, the first value, and what mends it."""
    found = causes(held=held)
    one = Previewed("films", "7", "refused", {"rating": "n/a"}, cause=found.all()[0], parked=True)
    lines = list(one.lines())
    for line, part in zip((lines[0], *lines[2:]), said, strict=False):
        assert part in line
    assert "it is parked now" in lines[1]
    assert one.json().items() >= (told | {"id": "7", "parked": True}).items()
    report = PreviewReport("films", None, causes=found)
    assert report.json()["refusals"] == [told | {"count": 1, "ids": ["7"]}]


def test_one_that_is_not_refused() -> None:
    """It has a reason only where its id is of no row; whether it is parked is told of all."""
    one = Previewed("films", "7", "unchanged", {"a": 1})
    assert one.json() | {"differences": []} == {
        "index": "films",
        "id": "7",
        "state": "unchanged",
        "parked": False,
        "reason": None,
        "document": {"a": 1},
        "differences": [],
    }
    assert next(iter(one.lines())) == "films 7: unchanged"
