"""The log: what people read of an observation, and a stream that cannot be written to."""

from __future__ import annotations

import io

import pytest

from listener.observations.events import CheckFailed, CheckWarning, Observation, OldIndexKept
from listener.observations.log import Log


@pytest.mark.parametrize(
    ("observation", "sentence"),
    [
        (CheckFailed("no table", "make it"), "no table. make it"),
        (CheckFailed("no table", ""), "no table"),
        (CheckWarning("few slots", "more of them"), "few slots. more of them"),
        (CheckWarning("few slots", ""), "few slots"),
        (
            OldIndexKept("films", "films-1"),
            "films: the former index films-1 is kept; `listener load --drop-old` removes it",
        ),
        (
            OldIndexKept("films", "movies", ours=False),
            "films: the former index movies is kept, and listener will not remove it: it is not "
            "one that listener made, or somebody has an alias for it. When nobody needs it: "
            "DELETE /movies",
        ),
        (
            OldIndexKept("films", "films-1", ours=False, belongs_to="the database app"),
            "films: the former index films-1 is kept, and listener will not remove it: it belongs "
            "to the database app. When nobody needs it: DELETE /films-1",
        ),
    ],
)
def test_what_people_read(observation: Observation, sentence: str) -> None:
    """No command is told that would not do it, and no sentence ends with nothing to do."""
    stream = io.StringIO()
    Log("DEBUG", "text", stream)(observation)
    assert stream.getvalue().rstrip("\n").endswith(f" {sentence}")


class Broken(io.StringIO):
    """A stream whose reader is gone, or that is closed."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def flush(self) -> None:
        """Hand on what was written."""
        raise self._error


@pytest.mark.parametrize("error", [BrokenPipeError(), ValueError("I/O operation on closed file")])
def test_a_stream_that_cannot_be_written_to(error: Exception) -> None:
    """It ends nothing, and the next line is tried, too."""
    stream = Broken(error)
    log = Log("INFO", "text", stream)
    log(CheckWarning("one", ""))
    log(CheckWarning("two", ""))
    assert stream.getvalue().count("\n") == 2
