"""What others wrote stays on its line, and commands no terminal."""

from __future__ import annotations

import io
import json

import pytest

from listener.observations.events import Parked
from listener.observations.log import Log
from listener.observations.printable import shown

NASTY = "a\r2026-11-24 ERROR forged\n\x1b[2J\x9b1m\u2028\u2029\x00b"


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_id_writes_no_line_of_its_own(form: str) -> None:
    """In both forms of the log."""
    stream = io.StringIO()
    Log("DEBUG", "json" if form == "json" else "text", stream)(Parked("movies", NASTY, "no"))
    written = stream.getvalue()
    assert written.endswith("\n")
    assert len(written.splitlines()) == 1
    assert not any(ord(one) < 32 or 127 <= ord(one) < 160 for one in written.rstrip("\n"))
    if form == "json":
        assert json.loads(written)["id"] == NASTY


@pytest.mark.parametrize(
    ("text", "expected"),
    [("tt0001", "tt0001"), ("", '""'), (" a", '" a"'), ("a\nb", '"a\\nb"'), ("фильм", "фильм")],
)
def test_ids_among_other_words(text: str, expected: str) -> None:
    """In quotes where it could be misread."""
    assert shown(text) == expected
