"""The doorbell's lease: which slots are held, for how long, and that all of them are let go."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from listener.capture.doorbell_lease import Lease
from listener.sql import files
from listener.triggers import names

SLOTS = 40
"""Two seconds of 50 ms, as many as a lease takes ahead."""


class Server:
    """A clock in slots, and the advisory locks of the bell. PostgreSQL counts a lock that a session
    takes twice: it must be let go as often."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.slot = 1_000_000
        self.now = 500.0
        self.locks: dict[int, int] = {}
        """Of the lease's session, and how often each was taken."""
        self.rung: set[int] = set()
        """Slots that open transactions hold, which rang."""
        self.calls: list[str] = []
        self.fails = False
        clock = SimpleNamespace(monotonic=lambda: self.now)
        monkeypatch.setattr("listener.capture.doorbell_lease.time", clock)

    def all_ahead(self) -> dict[int, int]:
        """Locks of the slot of now and of those of two seconds, each taken once."""
        return dict.fromkeys(range(self.slot, self.slot + SLOTS + 1), 1)

    def later(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds
        self.slot += round(seconds * 20)

    def execute(self, statement: str, values: Mapping[str, Any]) -> Any:
        """Take slots, or let them go."""
        if self.fails:
            raise psycopg.OperationalError("gone")
        assert values["bell"] == names.bell("listener")
        if statement == files.load("watermark/lease_end"):
            self.calls.append("let go")
            for slot in values["slots"]:
                self.locks[slot] -= 1
                if not self.locks[slot]:
                    del self.locks[slot]
            return None
        assert statement == files.load("watermark/lease")
        self.calls.append("taken")
        wanted = range(max(self.slot, values["from"]), self.slot + values["slots"] + 1)
        free = [slot for slot in wanted if slot not in self.rung]
        for slot in free:
            self.locks[slot] = self.locks.get(slot, 0) + 1
        return SimpleNamespace(fetchall=lambda: [(slot, self.slot) for slot in free])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    """Nobody rings."""
    return Server(monkeypatch)


@pytest.fixture
def lease(server: Server) -> Lease:
    """Of one session; not taken yet."""
    connection: Any = server
    return Lease(connection, "listener")


def test_the_slots_of_a_lease(server: Server, lease: Lease) -> None:
    """That of now and those of two seconds to come: writers that begin in them skip NOTIFY."""
    assert not lease.held
    lease.keep()
    assert lease.held
    assert server.locks == server.all_ahead()


def test_it_is_renewed_after_half_a_second(server: Server, lease: Lease) -> None:
    """Not at each poll; and early enough that no slot is free in between."""
    lease.keep()
    server.later(0.4)
    lease.keep()
    assert server.calls == ["taken"]
    for _ in range(10):
        server.later(0.5)
        assert server.slot in server.locks
        lease.keep()
        assert server.locks == server.all_ahead(), "without a gap"


def test_slots_are_taken_once_and_let_go(server: Server, lease: Lease) -> None:
    """Those that have passed, too: a lock that is taken twice, or forgotten, would be held for as
    long as the session lasts, and there is room for so many only."""
    for _ in range(20):
        lease.keep()
        assert set(server.locks.values()) == {1}
        assert min(server.locks) >= server.slot
        server.later(0.5)
    lease.end()
    assert server.locks == {}
    assert not lease.held


def test_a_lease_that_has_run_out(server: Server, lease: Lease) -> None:
    """As where the daemon stood still: it is taken anew from now on."""
    lease.keep()
    server.later(60)
    lease.keep()
    assert server.locks == server.all_ahead()


def test_slots_that_ring(server: Server, lease: Lease) -> None:
    """A transaction that began before the lease holds its slot: that one is not taken, and not let
    go for it."""
    server.rung = {server.slot, server.slot + 3}
    lease.keep()
    assert not server.rung & server.locks.keys()
    lease.end()
    assert server.locks == {}


def test_no_slot_is_free(server: Server, lease: Lease) -> None:
    """It is held all the same: whoever asks finds the bell ringing. The next try is not sooner."""
    server.rung = set(range(server.slot, server.slot + SLOTS + 1))
    lease.keep()
    lease.keep()
    assert lease.held
    assert server.calls == ["taken"]
    server.rung.clear()
    server.later(0.5)
    lease.keep()
    assert len(server.locks) == SLOTS + 1
    lease.end()
    assert server.locks == {}


def test_a_lease_after_the_end_of_one(server: Server, lease: Lease) -> None:
    """It is taken at once, from the slot of now on."""
    lease.keep()
    lease.end()
    lease.keep()
    assert server.locks == server.all_ahead()


def test_the_end_of_none(server: Server, lease: Lease) -> None:
    """No statement."""
    lease.end()
    assert server.calls == []


def test_an_end_that_fails(server: Server, lease: Lease) -> None:
    """The session is over. A lease is not held that may have been let go."""
    lease.keep()
    server.fails = True
    with pytest.raises(psycopg.OperationalError):
        lease.end()
    assert not lease.held
