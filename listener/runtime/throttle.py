"""Counts frequent events; tells the first one at once, then at intervals that grow to 10 s."""

from __future__ import annotations

import time
from typing import Final

FIRST: Final = 1.0
LAST: Final = 10.0
"""Seconds between two tellings: at first, and at most."""


class Tally:
    """The first one is told at once, more of them at growing intervals. Not thread-safe."""

    def __init__(self) -> None:
        self.count = 0
        """How many there were in all."""
        self._told = 0
        self._pause = FIRST
        self._next = 0.0

    def add(self) -> None:
        """One more."""
        self.count += 1

    def due(self) -> bool:
        """Whether there is news and it is time; the caller then tells `count`."""
        now = time.monotonic()
        if self.count == self._told or now < self._next:
            return False
        calm = now > self._next + LAST
        self._pause = FIRST if calm else min(2 * self._pause, LAST)
        self._next = now + self._pause
        self._told = self.count
        return True
