"""The life of one run: it ends by a signal, by an error, or when its work is done."""

from __future__ import annotations

import threading

from listener.app.status import EXPECTED
from listener.observations import events
from listener.observations.events import Observe
from listener.runtime.lifecycle import Stop, wait_any


class RunLife:
    """The Life that the threads of one run share. Thread-safe."""

    def __init__(self, observe: Observe) -> None:
        self._observe = observe
        self._stop = Stop()
        self._lock = threading.Lock()
        self._reason: BaseException | None = None

    @property
    def stop(self) -> Stop:
        """Requested by signals, errors, and the end of work."""
        return self._stop

    @property
    def reason(self) -> BaseException | None:
        """The first error that a thread could not go on with, if any."""
        return self._reason

    def fail(self, error: BaseException) -> None:
        """A thread cannot go on: stop everything. The first error counts."""
        with self._lock:
            if self._reason is None:
                self._reason = error
        if not isinstance(error, EXPECTED):
            name = threading.current_thread().name
            self._observe(events.Crashed(name, f"{type(error).__name__}: {error}"))
        self._stop.request()

    def follow(self, stop: Stop) -> threading.Thread:
        """End when `stop` is requested, too: a thread relays it until this run has ended."""
        thread = threading.Thread(target=self._relay, args=(stop,), name="relay", daemon=True)
        thread.start()
        return thread

    def _relay(self, stop: Stop) -> None:
        wait_any(stop, self._stop)
        self._stop.request()
