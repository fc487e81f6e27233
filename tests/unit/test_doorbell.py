"""The doorbell: polls follow a ring until all transactions that may have skipped it ended."""

from __future__ import annotations

import pytest

from listener.coordinator.doorbell import Doorbell
from tests.kit.coordinator import Floor

OFTEN = 5
"""Rings between two polls, or rows of a poll, for which the daemon keeps the bell."""
SELDOM = 10
"""Polls in a row that bring less, after which it lets it go."""


@pytest.fixture
def floor(monkeypatch: pytest.MonkeyPatch) -> Floor:
    """Transactions are open, so no ring is over at once."""
    floor = Floor(monkeypatch)
    floor.proven = False
    return floor


@pytest.fixture
def bell(floor: Floor) -> Doorbell:
    """Of a session that has begun."""
    floor.doorbell.begin(floor.connection())
    floor.doorbell.polled()
    return floor.doorbell


def answer(floor: Floor, rows: int = 0) -> list[str]:
    """One poll, when it is due; the steps before it."""
    due = floor.doorbell.due()
    assert due is not None
    floor.pause(due)
    assert floor.doorbell.due() == pytest.approx(0)
    floor.steps.clear()
    floor.doorbell.before_poll()
    before = list(floor.steps)
    floor.doorbell.polled()
    floor.doorbell.after_poll(rows)
    return before


def ring(floor: Floor, times: int = 1) -> None:
    """Writers ring."""
    for _ in range(times):
        floor.mailbox.ring()


def test_nothing_is_due_without_a_ring(bell: Doorbell) -> None:
    """However long that lasts."""
    assert bell.due() is None


def test_the_proof_is_asked_before_the_poll(floor: Floor, bell: Doorbell) -> None:
    """An id is burnt after the ring. Once all older transactions have ended the poll that begins
    then is the last one."""
    ring(floor)
    floor.proven = True
    assert answer(floor) == ["clock read", "xid burnt", "proof asked"]
    assert bell.due() is None
    assert floor.mailbox.rung == 0


def test_polls_follow_until_all_older_transactions_have_ended(floor: Floor, bell: Doorbell) -> None:
    """A writer that found the bell ringing does not ring, and may commit later. The
    intervals grow up to that of a tick, and all ask for one draw."""
    ring(floor)
    answer(floor)
    waits: list[float] = []
    for _ in range(10):
        due = bell.due()
        assert due is not None
        waits.append(due)
        assert answer(floor) == ["proof asked"]
    doubled = [0.005 * 2**number for number in range(8)]
    assert waits == pytest.approx([*doubled, 1, 1])
    floor.proven = True
    answer(floor)
    assert bell.due() is None


def test_a_ring_in_between_draws_anew(floor: Floor, bell: Doorbell) -> None:
    """Those that run now count, too; and the intervals begin anew."""
    ring(floor)
    for _ in range(4):
        answer(floor)
    ring(floor)
    assert answer(floor) == ["clock read", "xid burnt", "proof asked"]
    assert bell.due() == pytest.approx(0.005)


def test_a_ring_during_a_poll_is_not_answered_by_it(floor: Floor, bell: Doorbell) -> None:
    """The poll may have read past the row."""
    floor.proven = True
    ring(floor)
    bell.before_poll()
    ring(floor)
    bell.polled()
    bell.after_poll(0)
    assert bell.due() == pytest.approx(0.02)


def test_rings_are_answered_at_intervals(floor: Floor, bell: Doorbell) -> None:
    """They may come by the thousand; the time since any poll counts, also since that of a tick."""
    ring(floor)
    assert bell.due() == pytest.approx(0.02)
    floor.pause(0.015)
    assert bell.due() == pytest.approx(0.005)
    bell.polled()
    assert bell.due() == pytest.approx(0.02)


# -- keeping it ------------------------------------------------------------------------------------


def test_the_bell_is_kept_where_it_rings_often(floor: Floor, bell: Doorbell) -> None:
    """Writers need not ring then: polls go on without one, for none would come."""
    ring(floor, OFTEN)
    assert answer(floor) == ["bell kept"]
    for _ in range(3):
        assert bell.due() == pytest.approx(0.02)
        assert answer(floor, OFTEN) == []


def test_fewer_rings_do_not_keep_it(floor: Floor, bell: Doorbell) -> None:
    """NOTIFY is sooner than the next poll."""
    ring(floor, OFTEN - 1)
    assert "bell kept" not in answer(floor)
    assert bell.due() == pytest.approx(0.005)


def test_the_bell_is_let_go_before_an_id_is_burnt(floor: Floor, bell: Doorbell) -> None:
    """A writer that skipped NOTIFY for the lease has an older id. Polls follow until all
    those have ended."""
    ring(floor, OFTEN)
    answer(floor)
    for _ in range(SELDOM - 2):
        answer(floor, OFTEN - 1)
    assert "bell let go" not in floor.steps
    answer(floor, OFTEN - 1)
    assert floor.steps[-3:] == ["bell let go", "clock read", "xid burnt"]
    assert bell.due() == pytest.approx(0.005)
    assert answer(floor) == ["proof asked"]
    assert bell.due() == pytest.approx(0.01)
    floor.proven = True
    answer(floor)
    assert bell.due() is None


def test_a_poll_that_brings_much_keeps_it(floor: Floor, bell: Doorbell) -> None:
    """Writers pause for a moment on a busy machine: seldom means polls in a row."""
    ring(floor, OFTEN)
    answer(floor)
    for _ in range(3):
        for _ in range(SELDOM - 2):
            answer(floor)
        answer(floor, OFTEN)
    assert "bell let go" not in floor.steps
    assert bell.due() == pytest.approx(0.02)


def test_a_lease_is_renewed_in_time(floor: Floor, bell: Doorbell) -> None:
    """It lasts for two seconds: a poll that takes long renews it, too."""
    bell.keep()
    assert floor.steps == []
    ring(floor, OFTEN)
    answer(floor)
    for _ in range(4):
        floor.steps.clear()
        bell.keep()
        assert floor.steps == []
        floor.pause(0.5)
        bell.keep()
        assert floor.steps == ["bell kept"]


def test_rings_while_it_is_kept(floor: Floor, bell: Doorbell) -> None:
    """A transaction that began before the lease rings: the next poll, which is due anyway, may come
    before it commits, and those after that follow without a ring."""
    ring(floor, OFTEN)
    answer(floor)
    ring(floor)
    assert answer(floor, OFTEN) == []
    assert bell.due() == pytest.approx(0.02)


# -- sessions --------------------------------------------------------------------------------------


def test_a_new_session_forgets_ring_and_lease(floor: Floor, bell: Doorbell) -> None:
    """The lease ended with its connection, and the first sweep reads all. Rings that came meanwhile
    are still to be answered."""
    ring(floor, OFTEN)
    answer(floor)
    bell.begin(floor.connection())
    assert bell.due() is None
    ring(floor)
    answer(floor)
    bell.begin(floor.connection())
    assert bell.due() is None
    ring(floor)
    assert bell.due() is not None


def test_polls_that_brought_little_in_the_session_before(floor: Floor, bell: Doorbell) -> None:
    """They are no reason to let go of what this one keeps."""
    for _ in range(SELDOM):
        ring(floor)
        answer(floor)
    bell.begin(floor.connection())
    ring(floor, OFTEN)
    answer(floor)
    assert "bell let go" not in floor.steps
