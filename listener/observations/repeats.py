"""Repeats: a failure that each try meets again is written at once, then after growing pauses.

A try follows every few seconds. A line for each of them would bury all else in the log for as long
as a person or a server is waited for.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Final

from listener.observations.events import Held, Observation, Recovered, Waiting

FIRST: Final = 1.0
LAST: Final = 60.0
"""Seconds between two lines of one failure: at first, and at most. Each pause is twice the one
before."""
CALM: Final = 10.0
"""Seconds without a failure after which it is a new one."""
_NUMBERS: Final = re.compile(r"0x[0-9a-f]+|\d+")


@dataclass(slots=True)
class _Failure:
    seen: float
    told: float
    pause: float


class Repeats:
    """Of one log. Not thread-safe."""

    def __init__(self) -> None:
        self._failures: dict[str, _Failure] = {}
        """By their sentences. Those that differ in numbers alone are one."""

    def hides(self, observation: Observation) -> bool:
        """Whether it says what was written a short while ago."""
        if isinstance(observation, Recovered):
            self._failures.clear()
        if not isinstance(observation, Waiting | Held):
            return False
        now = time.monotonic()
        self._failures = {
            told: one for told, one in self._failures.items() if now - one.seen <= CALM
        }
        told = _NUMBERS.sub("0", observation.sentence())
        known = self._failures.get(told)
        if known is None:
            self._failures[told] = _Failure(now, now, FIRST)
            return False
        known.seen = now
        if now - known.told < known.pause:
            return True
        known.told, known.pause = now, min(2 * known.pause, LAST)
        return False
