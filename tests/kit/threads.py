"""Threads of unit tests: each ends before a deadline, or the test fails."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from listener.runtime.lifecycle import Stop

T = TypeVar("T")

DEADLINE: Final = 20.0
"""Seconds in which what must happen does, on a busy machine, too."""
MOMENT: Final = 0.05
"""Seconds after which what has not happened is held by something."""


class Beside(Generic[T]):
    """Runs something in a thread beside the test, from now on."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._found: list[T] = []
        self._error: BaseException | None = None
        self._ended = threading.Event()
        threading.Thread(target=self._run, name="beside", daemon=True).start()

    @property
    def waits(self) -> bool:
        """Whether something holds it."""
        return not self._ended.wait(MOMENT)

    @property
    def ended(self) -> bool:
        """Whether it has ended, by now."""
        return self._ended.is_set()

    def result(self) -> T:
        """What it returned. Raises what it raised."""
        assert self._ended.wait(DEADLINE), "the thread beside the test does not end"
        if self._error is not None:
            raise self._error
        return self._found[0]

    def _run(self) -> None:
        try:
            self._found.append(self._work())
        except BaseException as error:
            self._error = error
        self._ended.set()


def happens(event: threading.Event) -> None:
    """Wait for it."""
    assert event.wait(DEADLINE), "what the test waits for does not happen"


class Failures:
    """A Life that keeps what threads could not go on with."""

    def __init__(self) -> None:
        self.stop = Stop()
        self.errors: list[BaseException] = []

    def fail(self, error: BaseException) -> None:
        """A thread cannot go on."""
        self.errors.append(error)
        self.stop.request()
