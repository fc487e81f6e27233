"""The mailbox: what is left in it, how often it counts, and what a wait ends for."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from listener.changes import PayloadError
from listener.coordinator.mailbox import Mailbox
from listener.failures import Failure
from listener.observations import events
from listener.resync.cancellation import Cancellation
from listener.runtime.lifecycle import Stop, Stopped
from tests.kit.failures import held


class Due:
    """A keeper that notes which comparisons are due."""

    def __init__(self) -> None:
        self.steps: list[object] = []

    def want_reconcile(self, index: str, *, unguarded: bool, outlives_load: bool) -> None:
        """A comparison is due."""
        self.steps.append((index, unguarded, outlives_load))


@pytest.fixture
def due() -> Due:
    """Nothing is due."""
    return Due()


@pytest.fixture
def stop() -> Stop:
    """Not requested."""
    return Stop()


@pytest.fixture
def mailbox(due: Due, stop: Stop) -> Mailbox:
    """With a LISTEN connection."""
    keeper: Any = due
    mailbox = Mailbox(["films", "actors"], keeper, due.steps.append, stop)
    mailbox.listening(1)
    return mailbox


# -- the LISTEN connection -------------------------------------------------------------------------


def test_what_is_said_of_the_connection(mailbox: Mailbox) -> None:
    """Each word takes back the ones that it contradicts."""

    def said() -> tuple[int, bool, Failure | None]:
        return mailbox.session, mailbox.standing_by, mailbox.refused

    assert said() == (1, False, None)
    mailbox.lost()
    mailbox.refuse(held("no such role"), passes=False)
    assert said() == (0, False, held("no such role"))
    mailbox.stands_by()
    assert said() == (0, True, None)
    mailbox.refuse(held("no such role"), passes=False)
    mailbox.listening(2)
    assert said() == (2, False, None)
    mailbox.refuse(held("connection refused"), passes=True)
    assert (said(), mailbox.away) == ((2, False, None), held("connection refused"))


# -- barriers --------------------------------------------------------------------------------------


def test_a_barrier_comes_back_once(mailbox: Mailbox) -> None:
    """Other sessions see its nonce, and may send it too: the mark of the first one counts."""
    nonce = mailbox.new_nonce()
    assert mailbox.awaits(nonce)
    mailbox.barrier(nonce, 5)
    assert not mailbox.awaits(nonce)
    with pytest.raises(PayloadError):
        mailbox.barrier(nonce, 6)
    assert mailbox.wait_barrier(1, 0) == 5


def test_a_barrier_of_before(mailbox: Mailbox) -> None:
    """It speaks for less than the one that is awaited, and so does its mark."""
    late = mailbox.new_nonce()
    mailbox.barrier(late, 5)
    mailbox.new_nonce()
    with pytest.raises(PayloadError):
        mailbox.barrier(late, 6)
    assert mailbox.wait_barrier(1, 0) is None


def test_no_barrier_is_awaited_at_first(mailbox: Mailbox) -> None:
    """A nonce cannot be foreseen."""
    for nonce in ("0" * 32, mailbox.new_nonce()[::-1]):
        assert not mailbox.awaits(nonce)
        with pytest.raises(PayloadError):
            mailbox.barrier(nonce, 1)
    assert mailbox.new_nonce() != mailbox.new_nonce()


@pytest.mark.timeout(20)
def test_a_wait_for_a_barrier_ends_with_its_session(mailbox: Mailbox, stop: Stop) -> None:
    """And with a stop; both at once, and without a mark."""
    mailbox.new_nonce()
    assert mailbox.wait_barrier(2, 60) is None
    stop.request()
    assert mailbox.wait_barrier(1, 60) is None


# -- rings and sweeps ------------------------------------------------------------------------------


def test_what_was_asked_for_is_taken_once(mailbox: Mailbox) -> None:
    """What is asked for later is asked for again."""
    mailbox.ring()
    mailbox.ring()
    mailbox.want_sweep()
    assert (mailbox.rung, mailbox.take_rings(), mailbox.take_sweep()) == (2, 2, True)
    assert (mailbox.rung, mailbox.take_rings(), mailbox.take_sweep()) == (0, 0, False)
    mailbox.want_sweep()
    assert mailbox.take_sweep()


def test_a_sweep_is_asked_for_until_it_begins(mailbox: Mailbox) -> None:
    """A lost connection takes nothing back: what was dropped before is still missing."""
    mailbox.want_sweep()
    mailbox.lost()
    mailbox.listening(2)
    assert mailbox.take_sweep()


# -- what indexing tells ---------------------------------------------------------------------------


def test_a_fence_stays_until_it_is_forgotten(mailbox: Mailbox) -> None:
    """A new LISTEN connection alone raises no generation."""
    mailbox.fenced()
    mailbox.lost()
    mailbox.listening(2)
    assert mailbox.is_fenced
    mailbox.unfence()
    assert not mailbox.is_fenced


def test_unknown_ids_are_written_down_before_they_are_told(mailbox: Mailbox, due: Due) -> None:
    """Once for each kind until a comparison takes them. It is due also after a load that is under
    way, which may have passed these documents already."""
    mailbox.unmapped(0, "public.person(id)", "division by zero")
    mailbox.unmapped(0, "public.person(id)", "another one")
    assert due.steps == [
        ("films", False, True),
        events.MappingFailed("films", "public.person(id)", "division by zero"),
    ]
    assert mailbox.some_unmapped
    reason = "public.person(id): its mapping_file failed: division by zero"
    assert mailbox.take_unmapped() == {0: reason}
    assert not mailbox.some_unmapped
    assert mailbox.take_unmapped() == {}
    mailbox.unmapped(0, "public.person(id)", "once more")
    mailbox.unmapped(1, "public.person(id)", "once more")
    assert [one[0] for one in due.steps if isinstance(one, tuple)] == ["films", "films", "actors"]


def test_unknown_ids_that_are_put_off(mailbox: Mailbox, due: Due) -> None:
    """They were written down and told before. The first reason stays, and news are no news."""
    assert mailbox.put_off_unmapped(1, "first")
    assert not mailbox.put_off_unmapped(1, "second")
    mailbox.unmapped(1, "public.person(id)", "third")
    assert due.steps == []
    assert mailbox.take_unmapped() == {1: "first"}


# -- ticks -----------------------------------------------------------------------------------------


def test_a_tick_that_began_later_is_waited_for(mailbox: Mailbox) -> None:
    """The first to become complete may have begun before. Each turn asks for a sweep, for the one
    under way may have taken the request."""
    asked: list[bool] = []

    class Turns:
        def check(self) -> None:
            asked.append(mailbox.take_sweep())
            mailbox.ticked()

    mailbox.wait_for_tick(Turns())
    assert asked == [True, True]


def test_a_tick_that_is_waited_for_in_vain(mailbox: Mailbox) -> None:
    """It may be cancelled, also after the first tick."""
    cancellation = Cancellation(Stop())

    class Turns:
        def check(self) -> None:
            cancellation.check()
            mailbox.ticked()
            cancellation.cancel()

    with pytest.raises(Stopped):
        mailbox.wait_for_tick(Turns())


# -- waiting ---------------------------------------------------------------------------------------


@pytest.mark.timeout(20)
def test_what_is_work(mailbox: Mailbox, stop: Stop) -> None:
    """Nothing; another session; a fence; a request for a sweep; a stop."""
    assert not mailbox.wait_for_work(1, 0, rings=True)
    assert mailbox.wait_for_work(2, 60, rings=False)
    mailbox.fenced()
    assert mailbox.wait_for_work(1, 60, rings=False)
    mailbox.unfence()
    mailbox.want_sweep()
    assert mailbox.wait_for_work(1, 60, rings=False)
    assert mailbox.take_sweep()
    assert not mailbox.wait_for_work(1, 0, rings=False)
    stop.request()
    assert mailbox.wait_for_work(1, 60, rings=False)


@pytest.mark.timeout(20)
def test_a_ring_ends_a_wait_and_is_no_work(mailbox: Mailbox) -> None:
    """Unless it is known already."""
    mailbox.ring()
    assert not mailbox.wait_for_work(1, 60, rings=True)
    assert not mailbox.wait_for_work(1, 0, rings=False)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("what", ["listening", "lost", "want_sweep", "fenced", "ring", "wake"])
def test_another_thread_ends_a_wait(mailbox: Mailbox, stop: Stop, what: str) -> None:
    """At once, and not at the end of the wait."""

    def end() -> None:
        stop.request()
        mailbox.wake()

    news = {
        "listening": lambda: mailbox.listening(2),
        "lost": mailbox.lost,
        "want_sweep": mailbox.want_sweep,
        "fenced": mailbox.fenced,
        "ring": mailbox.ring,
        "wake": end,
    }[what]
    thread = threading.Timer(0.01, news)
    thread.start()
    assert mailbox.wait_for_work(1, 600, rings=True) == (what != "ring")
    thread.join()
