"""A batch that was read too long ago is not sent: its ids are read again. Memory is given back."""

from __future__ import annotations

import pytest

from listener.indexing.senders import BATCH_AGE
from listener.observations.events import Indexed
from listener.runtime import memory
from tests.kit.sending import Sending


@pytest.mark.parametrize("age", [0.0, BATCH_AGE + 1])
def test_a_batch_has_an_age_limit(age: float) -> None:
    """A quarter of gc_deletes after the read."""
    sending = Sending()
    job = sending.send(b"{}", age=age)
    assert sending.gate.lost == (age == 0)  # whether it was sent
    assert sending.waiting == {("1",)}
    assert not sending.work.flying
    assert not job.finished
    assert sending.outage.lasts is not None
    [indexed] = [one for one in sending.seen if isinstance(one, Indexed)]
    assert (indexed.written, indexed.retried) == (0, 1)


@pytest.mark.parametrize(("size", "times"), [(1_000, 0), (9_000_000, 1)])
def test_memory_is_given_back_after_a_storm(
    size: int, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not after each edit: it takes some milliseconds."""
    calls: list[None] = []
    monkeypatch.setattr(memory, "give_back", lambda: calls.append(None))
    Sending().send(b'{"a": "%s"}' % (b"x" * size))
    assert len(calls) == times
