"""What cannot be written, and when that is told: at once, for each new reason, each minute."""

from __future__ import annotations

from typing import Final

from listener.failures import Failure
from listener.observations.events import ControlNotSaved, Observe, StateNotSaved

_REMIND_EVERY: Final = 60.0
"""Seconds after which the same reason is told again."""


class Unwritten:
    """Why state.yaml, or the control document, cannot be written now. Not thread-safe."""

    def __init__(
        self, observation: type[StateNotSaved | ControlNotSaved], observe: Observe
    ) -> None:
        self._observation = observation
        self._observe = observe
        self._since = self._told = 0.0
        self.why: Failure | None = None
        """None: it can be written."""

    def fails(self, why: Failure, clock: float) -> None:
        """A write has failed. `clock`: now, in seconds of a monotonic clock."""
        if self.why is None:
            self._since = clock
        if why != self.why or clock > self._told + _REMIND_EVERY:
            self._told = clock
            self._observe(self._observation(why.told))
        self.why = why

    def mended(self, clock: float) -> float | None:
        """A write went well. Returns the seconds for which none did; None: the last one did."""
        if self.why is None:
            return None
        self.why = None
        return clock - self._since
