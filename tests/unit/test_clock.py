"""Whether the server's clock went back: decided from readings alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from listener.capture.server_clock import ServerClock

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def read(clock: ServerClock, passed: float, shown: float, slow: float = 0.0) -> float | None:
    """A reading: so much time has passed since the first one, so much does the server show."""
    return clock.went_back(100 + passed, NOON + timedelta(seconds=shown), 100 + passed + slow)


@pytest.mark.parametrize(
    ("passed", "shown", "back"),
    [
        (1, 1, None),
        (1, 3600, None),  # forward: rows are stamped later than any watermark
        (1, 0.96, None),
        (1, -1, 2),
        (30, 10, 20),  # later than before, and yet set back
        (30, -100, 130),
        (3600, 3599, None),  # two clocks that were never set
    ],
)
def test_a_step(passed: float, shown: float, back: float | None) -> None:
    """What passes is measured by our own clock."""
    clock = ServerClock()
    assert read(clock, 0, 0) is None
    found = read(clock, passed, shown)
    assert found == back if back is None else found == pytest.approx(back)


def test_slow_answers_are_no_step() -> None:
    """The server may have read its clock at any moment between question and answer."""
    clock = ServerClock()
    assert read(clock, 0, 5, slow=5) is None
    assert read(clock, 6, 6, slow=5) is None
    assert read(clock, 12, 12) is None


def test_each_step_is_told_once() -> None:
    """The reading after a step is what the next one is compared with."""
    clock = ServerClock()
    read(clock, 0, 0)
    assert read(clock, 1, -59) == pytest.approx(60)
    assert read(clock, 2, -58) is None
    assert read(clock, 3, -117) == pytest.approx(60)
