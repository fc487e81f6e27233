"""The pace of forced refreshes."""

from __future__ import annotations

from listener.indexing.refresh import RefreshPace


def test_refreshes_keep_ten_times_their_duration_apart() -> None:
    """Freshness takes at most a tenth of the cluster."""
    pace = RefreshPace()
    assert pace.may_now(100.0)
    assert not pace.may_now(100.01)  # it still runs
    pace.done(100.02, 0.02, ok=True)
    assert not pace.may_now(100.1)
    assert abs(pace.wait(100.1) - 0.12) < 1e-9
    assert pace.may_now(100.23)


def test_one_slow_refresh_does_not_keep_the_next_edits_out() -> None:
    """The shortest of the last few counts, and a second is the most."""
    pace = RefreshPace()
    for number in range(4):
        pace.done(float(number), 0.005, ok=True)
    pace.done(10.0, 2.0, ok=True)
    assert pace.wait(10.0) <= 0.051
    for number in range(5):
        pace.done(20.0 + number, 2.0, ok=True)
    assert pace.wait(24.0) == 1.0


def test_a_failed_refresh_is_due_again() -> None:
    """What it should have made searchable still waits."""
    pace = RefreshPace(dirty=True)
    assert pace.may_now(1.0)
    assert not pace.dirty
    pace.done(1.0, 0.001, ok=False)
    assert pace.dirty
