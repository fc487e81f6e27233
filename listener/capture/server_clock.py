"""The server's clock: whether it went back, told by the process's own monotonic clock. Pure.

The watermark is a moment of the server's clock, and no moment of another clock is ever compared
with it. Only the time between two readings is compared. A clock that was set back by less than that
shows a later time all the same, and rows were stamped below the watermark meanwhile.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

_LEAST: Final = 0.05
"""Seconds: less is the scheduling of two processors, and any sweep reaches back further."""
_DRIFT: Final = 0.001
"""Seconds a second by which two clocks may differ in speed while neither is set."""


class ServerClock:
    """Remembers the last reading. One for each session, of one thread."""

    def __init__(self) -> None:
        self._last: tuple[datetime, float] | None = None

    def went_back(self, asked: float, at: datetime, answered: float) -> float | None:
        """By how many seconds, at least, since the last reading; None: it did not.

        `asked`, `answered`: the monotonic clock before and after the server read `at` from its own.
        """
        last, self._last = self._last, (at, answered)
        if last is None:
            return None
        before, then = last
        passed = max(0.0, asked - then)
        back = (before - at).total_seconds() + passed
        return back if back > _LEAST + _DRIFT * passed else None
