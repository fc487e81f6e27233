"""A cancellation ends what waits for it: with the session, and with the run."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from listener.resync.cancellation import Cancellation
from listener.runtime.lifecycle import Stop, Stopped
from tests.kit.threads import DEADLINE, Beside


def cancel(cancellation: Cancellation, _stop: Stop) -> None:
    """The session is over."""
    cancellation.cancel()


def stop(_cancellation: Cancellation, stop: Stop) -> None:
    """The run is."""
    stop.request()


ENDS = [cancel, stop]


@pytest.mark.parametrize("end", ENDS)
def test_what_is_over(end: Callable[[Cancellation, Stop], None]) -> None:
    """Each look says so from then on."""
    cancellation = Cancellation(asked := Stop())
    cancellation.check()
    assert not cancellation.requested()
    end(cancellation, asked)
    assert cancellation.requested()
    with pytest.raises(Stopped):
        cancellation.check()


@pytest.mark.parametrize("end", ENDS)
def test_a_wait_ends_with_it(end: Callable[[Cancellation, Stop], None]) -> None:
    """Soon, whatever was to be waited."""
    cancellation = Cancellation(asked := Stop())
    waiting = Beside(lambda: cancellation.wait(10 * DEADLINE))
    assert waiting.waits
    end(cancellation, asked)
    with pytest.raises(Stopped):
        waiting.result()


def test_a_wait_takes_its_time() -> None:
    """Where nothing ends it."""
    began = time.monotonic()
    Cancellation(Stop()).wait(0.15)
    assert time.monotonic() - began >= 0.15
