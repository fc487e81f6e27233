"""Takeovers: what is done and shown while another daemon is active, or no connection is there."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from listener.coordinator.retry import GaveUp
from listener.runtime.lifecycle import Stopped
from tests.kit.coordinator import Floor
from tests.kit.failures import held


@pytest.fixture
def floor(monkeypatch: pytest.MonkeyPatch) -> Floor:
    """A daemon whose LISTEN connection has the number 1."""
    floor = Floor(monkeypatch)
    floor.mailbox.listening(1)
    return floor


def _return(floor: Floor) -> Callable[[], None]:
    return lambda: floor.mailbox.listening(2)


def test_a_standby(floor: Floor) -> None:
    """Another daemon has the lock: it stops sending, says so, and takes over when that is gone."""
    floor.sessions.get()
    floor.steps.clear()
    floor.shown.clear()
    floor.mailbox.lost()
    floor.mailbox.stands_by()
    floor.meanwhile = [lambda: None, _return(floor)]
    session = floor.sessions.get()
    assert session.number == 2
    assert floor.steps[:3] == ["paused", "loads ended", "generation looked at"]
    assert floor.steps.count("paused") == floor.steps.count("resumed") == 1
    assert floor.steps.index("generation raised") < floor.steps.index("resumed")
    assert floor.shown == [("standing by", None)] * 2


@pytest.mark.parametrize("passes", [True, False])
def test_no_connection(floor: Floor, passes: bool) -> None:
    """It goes on sending what it has: it may still hold the lock."""
    floor.sessions.get()
    floor.steps.clear()
    floor.shown.clear()
    floor.mailbox.lost()
    floor.mailbox.refuse(held("no such role"), passes=passes)
    floor.meanwhile = [_return(floor)]
    floor.sessions.get()
    assert not floor.did("paused")
    assert floor.shown == [("waiting for PostgreSQL" if passes else "held", "no such role")]


def test_a_stop_while_there_is_no_connection(floor: Floor) -> None:
    """Nothing begins."""
    floor.mailbox.lost()
    floor.meanwhile = [floor.stop.request]
    with pytest.raises(Stopped):
        floor.sessions.get()
    assert floor.steps == []


def test_patience_without_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of `--once` gives up; while it stands by it does not."""
    floor = Floor(monkeypatch, give_up_after=10)
    floor.mailbox.stands_by()
    floor.meanwhile = [lambda: floor.pause(60), floor.mailbox.lost]
    floor.meanwhile.append(lambda: floor.mailbox.listening(1))
    floor.sessions.get()
    floor.mailbox.lost()
    with pytest.raises(GaveUp, match="PostgreSQL is not to be reached"):
        floor.sessions.get()


def test_a_standby_has_nothing_to_stop(floor: Floor) -> None:
    """Its pipeline was paused when it was built."""
    floor.mailbox.lost()
    floor.mailbox.stands_by()
    floor.meanwhile = [_return(floor)]
    assert floor.takeover.wait() == 2
    assert floor.steps == []
