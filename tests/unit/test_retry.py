"""The guard: what is waited for and how it is told, what passes through, and when it gives up."""

from __future__ import annotations

from collections.abc import Callable

import elastic_transport
import psycopg
import pytest

from listener.coordinator.retry import GaveUp
from listener.coordinator.session import BeginAnew, SessionLost
from listener.documents.files import QueryFileError
from listener.documents.topology import QueriesWrong, Reassemble
from listener.documents.upkeep import TriggersWrong
from listener.indexing.gate import FencedOut
from listener.observations import events
from listener.observations.surprises import Unfit
from listener.runtime.lifecycle import Stopped
from listener.search.errors import Unusable
from listener.search.index_config import IndexError_
from listener.triggers import Busy
from tests.kit.coordinator import Floor

AWAY = psycopg.OperationalError("connection refused")


@pytest.fixture
def floor(monkeypatch: pytest.MonkeyPatch) -> Floor:
    """A daemon that never gives up."""
    return Floor(monkeypatch)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Floor:
    """One that gives up after ten seconds."""
    return Floor(monkeypatch, give_up_after=10)


def failing(error: BaseException) -> Callable[[], None]:
    """Work that fails."""

    def work() -> None:
        raise error

    return work


def good() -> None:
    """Work that is done."""


@pytest.mark.parametrize(
    ("error", "server"),
    [
        (AWAY, "PostgreSQL"),
        (psycopg.errors.AdminShutdown("ending"), "PostgreSQL"),
        (Busy("another process installs triggers"), "PostgreSQL"),
        (elastic_transport.ConnectionError("refused"), "Elasticsearch"),
        (FencedOut("generation 8 is in force"), "Elasticsearch"),
    ],
    ids=repr,
)
def test_an_outage_is_waited_for(floor: Floor, error: Exception, server: str) -> None:
    """It is told by the server's name, with the try's number."""
    assert not floor.guard.run(failing(error))
    [wait] = floor.waits
    [told] = floor.told
    assert isinstance(told, events.Waiting)
    assert (told.server, told.attempt, told.seconds) == (server, 1, wait)
    assert floor.shown == [(f"waiting for {server}", told.reason)]


@pytest.mark.parametrize(
    "error",
    [
        psycopg.errors.InsufficientPrivilege("permission denied"),
        psycopg.errors.UndefinedColumn("no such column"),
        Unusable("make the index writable"),
        IndexError_("films leads to two indexes"),
        QueriesWrong("a table is not watched"),
        TriggersWrong("install them"),
        Unfit("too many rows"),
        KeyError("public.film"),
        UnicodeDecodeError("utf-8", b"x", 0, 1, "no"),
    ],
    ids=repr,
)
def test_what_a_person_must_mend_is_held(floor: Floor, error: Exception) -> None:
    """It is tried again, too: an operator may have mended it."""
    assert not floor.guard.run(failing(error))
    [told] = floor.told
    assert isinstance(told, events.Held)
    assert floor.shown == [("held", told.reason)]
    assert floor.waits == [told.seconds]


@pytest.mark.parametrize(
    "error",
    [
        QueryFileError("no column id"),
        Reassemble("other types"),
        GaveUp("after 30 s"),
        SessionLost(),
        BeginAnew(),
        Stopped("stop was requested"),
        AssertionError("a defect"),
        AttributeError("a defect"),
        KeyboardInterrupt(),
    ],
    ids=repr,
)
def test_all_else_passes_through(floor: Floor, error: BaseException) -> None:
    """Nothing is told of it here, and nothing waited for."""
    with pytest.raises(type(error)):
        floor.guard.run(failing(error))
    assert (floor.told, floor.shown, floor.waits) == ([], [], [])


def test_waits_grow_until_a_round_is_done(floor: Floor) -> None:
    """Each is the upper half of twice the one before at least; then they begin anew."""
    for _ in range(4):
        floor.guard.run(failing(AWAY))
    assert floor.guard.run(good)
    floor.guard.run(failing(AWAY))
    for wait, longest in zip(floor.waits, (0.1, 0.2, 0.4, 0.8, 0.1), strict=True):
        assert longest / 2 <= wait <= longest
    assert [one.attempt for one in floor.told if isinstance(one, events.Waiting)] == [1, 2, 3, 4, 1]


def test_it_gives_up_after_so_long_in_a_row(impatient: Floor) -> None:
    """Counted from the first failure; a round that is done begins the count anew."""

    def fail_for(seconds: float) -> None:
        impatient.guard.run(failing(AWAY))
        impatient.pause(seconds)

    fail_for(9)
    impatient.guard.run(good)
    fail_for(9)
    fail_for(9)
    with pytest.raises(GaveUp, match=r"gave up after 10 s: PostgreSQL: connection refused"):
        fail_for(0)


def test_patience_of_one_that_never_gives_up(floor: Floor) -> None:
    """A daemon waits for ten days, too."""
    floor.guard.patience("away", floor.now - 864_000)


def test_a_stop_cuts_the_wait_short(floor: Floor) -> None:
    """The wait is one of those that a stop ends; the round does not count as done."""
    floor.meanwhile = [floor.stop.request]
    assert not floor.guard.run(failing(AWAY))
    assert floor.stop.requested
