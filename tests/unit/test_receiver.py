"""The receiver: which notification becomes what, and what is not done after one that is wrong."""

from __future__ import annotations

import pytest

from listener.changes import Change, PayloadError, Watch
from tests.kit.coordinator import FILM, PERSON, Floor
from tests.kit.failures import held


@pytest.fixture
def floor(monkeypatch: pytest.MonkeyPatch) -> Floor:
    """A daemon that watches a table which sends its keys, and one which rings."""
    return Floor(monkeypatch)


def test_keys_go_to_the_pipeline_as_the_database_prints_them(floor: Floor) -> None:
    """One row has one id, however a payload spells it."""
    floor.receiver.on_change(Change(FILM.id, "keys", (("7",), ("-0",))))
    assert floor.steps == [f"added {FILM.id} [('7',), ('0',)]"]
    assert not floor.mailbox.take_sweep()


@pytest.mark.parametrize("watch", [FILM, PERSON])
def test_keys_that_are_dropped_ask_for_a_sweep(floor: Floor, watch: Watch) -> None:
    """Memory is full. Also where the table rings: a ring polls only what is new and silent."""
    floor.pipeline.full = True
    floor.receiver.on_change(Change(watch.id, "keys", (("7",),)))
    assert floor.mailbox.take_sweep()
    assert floor.mailbox.rung == 0


@pytest.mark.parametrize(
    ("change", "rings"),
    [
        (Change(FILM.id, "sweep"), False),
        (Change(FILM.id, "reconcile"), False),
        (Change(PERSON.id, "sweep"), True),
        (Change(PERSON.id, "reconcile"), False),
    ],
    ids=str,
)
def test_what_names_no_keys(floor: Floor, change: Change, rings: bool) -> None:
    """It asks for a sweep, or is a doorbell's ring. It never asks for a comparison by itself, for
    any client may send it: what asks for one stands in the journal."""
    floor.receiver.on_change(change)
    assert (floor.mailbox.rung, floor.mailbox.take_sweep()) == (int(rings), not rings)
    assert floor.jobs.compared == []


@pytest.mark.parametrize(
    "change",
    [
        Change("public.actor(id)", "keys", (("7",),)),
        Change("public.actor(id)", "sweep"),
        Change("public.actor(id)", "reconcile"),
        Change(FILM.id, "keys", (("7",), ("x",))),
        Change(FILM.id, "keys", (("7", "8"),)),
        Change(FILM.id, "keys", (("9223372036854775808",),)),
    ],
    ids=str,
)
def test_a_payload_that_is_not_ours(floor: Floor, change: Change) -> None:
    """Any client may send one: nothing of it is done, also of a payload with one wrong key."""
    with pytest.raises(PayloadError):
        floor.receiver.on_change(change)
    assert floor.steps == []
    assert (floor.mailbox.rung, floor.mailbox.take_sweep()) == (0, False)


def test_the_mark_of_a_barrier(floor: Floor) -> None:
    """It is made when the barrier is back: after all that was received before."""
    floor.mailbox.listening(1)
    nonce = floor.mailbox.new_nonce()
    floor.pipeline.marks = 5
    floor.receiver.on_barrier(nonce)
    assert floor.mailbox.wait_barrier(1, 0) == 6


def test_a_barrier_that_is_not_awaited(floor: Floor) -> None:
    """Any client may send thousands: no mark is made for them."""
    nonce = floor.mailbox.new_nonce()
    with pytest.raises(PayloadError):
        floor.receiver.on_barrier("0" * 32)
    floor.receiver.on_barrier(nonce)
    with pytest.raises(PayloadError):
        floor.receiver.on_barrier(nonce)
    assert floor.pipeline.marks == 1


def test_what_is_said_of_the_connection(floor: Floor) -> None:
    """All of it reaches the mailbox."""
    floor.receiver.on_session(3)
    assert floor.mailbox.session == 3
    floor.receiver.on_lost()
    assert floor.mailbox.session == 0
    floor.receiver.on_refused(held("no such role"), passes=False)
    assert floor.mailbox.refused == held("no such role")
    floor.receiver.on_standby()
    assert floor.mailbox.standing_by
