"""Cancellation: whether loads and comparisons may go on, asked at each place where they wait."""

from __future__ import annotations

import threading
import time
from typing import Final, Protocol

from listener.runtime.lifecycle import Stop, Stopped

_LOOK_EVERY: Final = 0.1
"""Seconds between two looks during a wait: a new session waits for the thread that waits."""


class Check(Protocol):
    """Says whether what is waited for is worth it still."""

    def check(self) -> None:
        """Raises where it is over, or took too long."""


class Cancellation:
    """The Check of the loader's thread: it ends with its session, and with the run. Thread-safe."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """The session is over. Safe to call twice."""
        self._cancelled.set()

    def requested(self) -> bool:
        """Whether the thread is to end."""
        return self._cancelled.is_set() or self._stop.requested

    def check(self) -> None:
        """Raises Stopped where the thread is to end."""
        if self.requested():
            raise Stopped("loads and comparisons were stopped")

    def wait(self, seconds: float) -> None:
        """Wait so long. Raises Stopped where the thread is to end before."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._stop.wait(min(left, _LOOK_EVERY))
            self.check()
