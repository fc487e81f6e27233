"""`listener indexes --drop`: a name that is none is told for what it is."""

from __future__ import annotations

import pytest

from listener.cli.indexes import why_unknown
from listener.search.inventory import StoredIndex

NAMES = {
    "films-aaaaaaaa-20260101t000000000000z": ("in use", ("films", "search")),
    "films-bbbbbbbb-20250101t000000000000z": ("left over", ()),
    "persons-cccccccc-20250101t000000000000z": ("left over", ()),
}
STORED = [
    StoredIndex(name, name.partition("-")[0], role, None, aliases, None, None, None)  # type: ignore[arg-type]
    for name, (role, aliases) in NAMES.items()
]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("films-*", "patterns are not taken"),
        ("*", "patterns are not taken"),
        ("_all", "patterns are not taken"),
        ("films-a,films-b", "patterns are not taken"),
        ("", "it is no name of an index"),
        ("films", "it is an alias, which leads to films-aaaaaaaa-20260101t000000000000z (in use)"),
        ("search", "it is an alias, which leads to films-aaaaaaaa-20260101t000000000000z (in use)"),
        ("persons", "of this document there are persons-cccccccc-20250101t000000000000z"),
        (
            "films-bbbbbbbb-20250101t00000000000z",
            "did you mean films-bbbbbbbb-20250101t000000000000z?",
        ),
        ("logs", "no index of the pipeline 'p'; `listener indexes` lists those"),
    ],
)
def test_what_a_name_is(name: str, told: str) -> None:
    """A pattern, an alias of this pipeline or of people, the name of a document, or nothing."""
    assert told in why_unknown(name, STORED, "p")
