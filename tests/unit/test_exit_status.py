"""How a command ends where it cannot go on: a line for people, and a status."""

from __future__ import annotations

import psycopg
import pytest

from listener import search
from listener.app.exit_status import status_of
from listener.documents.files import QueryFileError
from listener.observations.surprises import Unfit
from listener.runtime.lifecycle import Stopped
from listener.triggers import TriggerError


@pytest.mark.parametrize("status", [0, 1, 4])
def test_it_goes_well(status: int, capsys: pytest.CaptureFixture[str]) -> None:
    """What the work returns, and nothing is told."""
    assert status_of(lambda: status) == status
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (Stopped("stop was requested"), 130, []),
        (Unfit("no index 'x'"), 2, ["no index 'x'"]),
        (QueryFileError("a.sql: one", "b.sql: two"), 2, ["a.sql: one", "b.sql: two"]),
        (TriggerError("no such table: film"), 2, ["no such table: film"]),
        (psycopg.OperationalError("connection refused"), 3, ["PostgreSQL: connection refused"]),
        (psycopg.errors.InvalidPassword("wrong"), 2, ["PostgreSQL: wrong"]),
        (search.Away("no node answers"), 3, ["Elasticsearch: TransportError: no node answers"]),
    ],
)
def test_it_does_not(
    error: Exception, status: int, told: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Each thing on a line of its own. What passes by itself has a status of its own."""

    def work() -> int:
        raise error

    assert status_of(work) == status
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.splitlines()
    assert len(lines) == len(told)
    for line, begin in zip(lines, told, strict=True):
        assert line.startswith(f"listener: {begin}")


@pytest.mark.parametrize("error", [AssertionError("impossible"), KeyboardInterrupt()])
def test_a_defect_is_not_hidden(error: BaseException) -> None:
    """It is no fault of a person's."""

    def work() -> int:
        raise error

    with pytest.raises(type(error)):
        status_of(work)
