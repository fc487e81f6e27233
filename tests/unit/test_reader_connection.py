"""The reader's connection: it is had only where the table of parked documents was read on it."""

from __future__ import annotations

import psycopg
import pytest

from tests.kit.reading import Reading


@pytest.mark.parametrize("step", ["one_snapshot", "parked read"])
def test_a_connection_that_cannot_be_used(step: str) -> None:
    """It is closed, or each try of an outage would leave one open; and the next try makes another,
    on which all is done anew."""
    reading = Reading()
    reading.fails[step] = psycopg.OperationalError("gone")
    with pytest.raises(psycopg.OperationalError):
        reading.reader.open()
    assert reading.steps[-2:] == [step, "closed"]
    reading.fails.clear()
    reading.steps.clear()
    reading.reader.open()
    assert reading.steps == ["connected", "one_snapshot", "parked read", "parked written"]


def test_a_connection_on_which_nothing_could_be_written() -> None:
    """It may be kept; what is to be parked is written before the next read."""
    reading = Reading()
    reading.fails["parked written"] = psycopg.OperationalError("gone")
    with pytest.raises(psycopg.OperationalError):
        reading.reader.open()
    reading.fails.clear()
    reading.steps.clear()
    reading.reader.open()
    assert reading.steps == ["parked written"]
