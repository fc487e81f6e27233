"""Ten days of heartbeats while Elasticsearch is away: nothing is kept for any of them."""

from __future__ import annotations

import gc
import sys
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from listener.capture.hashset import TimedMarks
from listener.capture.visibility import Recent
from listener.changes import Route
from listener.coordinator.mailbox import Mailbox
from listener.coordinator.receiver import Receiver
from listener.indexing.batch import Limits
from listener.indexing.pipeline import Pipeline
from listener.indexing.queue import Pending
from listener.runtime.backoff import Backoff
from listener.runtime.lifecycle import Stop
from tests.kit.indexing import OneKind

TEN_DAYS = 864_000
BLOCKS = 2000
"""Blocks of memory that may come and go for other reasons."""
DIRECT = (Route(0, mapped=False),)
MAPPED = (Route(0, mapped=True),)


class Blocks:
    """How many blocks of memory are in use more than at first."""

    def __init__(self) -> None:
        gc.collect()
        self._before = sys.getallocatedblocks()

    @property
    def more(self) -> int:
        """Now."""
        gc.collect()
        return sys.getallocatedblocks() - self._before


@pytest.mark.parametrize("routes", [DIRECT, MAPPED])
@pytest.mark.parametrize("waiting", [0, 1])
def test_marks_of_heartbeats_are_not_kept(routes: tuple[Route, ...], waiting: int) -> None:
    """With nothing that waits, and behind a change that waits for days."""
    pending = Pending(1, 30_000)
    pending.add("w", [(str(number),) for number in range(waiting)], routes)
    first = pending.mark()
    blocks = Blocks()
    for _ in range(TEN_DAYS):
        pending.mark()
        assert pending.settled(first) != waiting
    assert blocks.more < BLOCKS


def test_changes_between_heartbeats_are_bounded_by_the_limit() -> None:
    """A change a second of other rows each time: the set overflows again and again, and what was
    dropped leaves no mark behind; the first change is in flight all the time."""
    limit = 500
    pending = Pending(1, limit)
    pending.add("w", [("first",)], DIRECT)
    [(jobs)] = pending.ids[0].take(1, set()).values()
    first = pending.mark()
    blocks = Blocks()
    for number in range(100_000):
        pending.add("w", [(str(number),)], DIRECT)
        pending.mark()
        assert not pending.settled(first)
    assert pending.overflows > 100
    assert blocks.more < BLOCKS + 20 * limit
    last = pending.mark()
    for job in jobs:
        job.done()
    assert pending.settled(first)
    for jobs in pending.ids[0].take(limit, set()).values():
        assert not pending.settled(last)
        for job in jobs:
            job.done()
    assert pending.settled(last)


def test_barriers_through_the_mailbox() -> None:
    """The same through all that a barrier passes on its way back."""
    one = OneKind(Limits(2000, 5_000_000, 30_000, 1000))
    mailbox = Mailbox([], cast(Any, None), lambda _: None, Stop())
    receiver = Receiver({}, set(), cast(Pipeline, one.ledger), mailbox)
    receiver.on_session(1)
    blocks = Blocks()
    for _ in range(100_000):
        receiver.on_barrier(mailbox.new_nonce())
        assert mailbox.wait_barrier(1, 1) is not None
    assert blocks.more < BLOCKS


def test_waits_do_not_overflow() -> None:
    """As many tries as ten days have seconds: the wait stays at its limit, and is a number."""
    waits = Backoff(0.5, 10, 30)
    for _ in range(TEN_DAYS):
        seconds = waits.next_wait()
    assert 15 <= seconds <= 30


def test_looks_at_running_transactions_are_not_kept() -> None:
    """A foreign transaction stays open for ten days, others come and go."""
    recent = Recent()
    at = datetime(2026, 11, 24, tzinfo=UTC)
    recent.seen(at, [7])
    blocks = Blocks()
    for number in range(100_000):
        at += timedelta(seconds=1)
        recent.seen(at, [7, number + 100])
    assert blocks.more < BLOCKS


def test_rows_of_ten_days() -> None:
    """One row a second, remembered up to the limit: not a set for each second."""
    marks = TimedMarks()
    size = 0
    for second in range(TEN_DAYS):
        mark = hash(("row", second))
        if len(marks) < 150_000:
            assert marks.add(mark, second)
        assert marks.knows(mark, second) == (second < 150_000)
    sets = [*marks._seconds.values(), *marks._minutes.values()]
    size = sum(one._slots.itemsize * len(one._slots) for one in sets)
    assert len(sets) < 3000
    assert size < 150_000 * 24
    marks.forget_before(149_000)
    assert len(marks) <= 1060
    assert all(marks.knows(hash(("row", second)), second) for second in range(149_000, 150_000))
