"""Stopping: the flag that ends waits, the threads of a run, and what signals do."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Final, Protocol

from listener import ListenerError

_LONGEST_POLL: Final = 3600.0
"""poll() counts milliseconds in a C int: longer waits are made of several."""


class Stopped(ListenerError):
    """A wait was cut short because stop was requested."""


class Stop:
    """A flag that is raised once and that every wait can see.

    Not a `threading.Event`: its `set()` takes a lock, and a signal handler runs in the main thread
    between any two bytecodes, also between those of `Event.wait()` that hold that very lock: the
    process would hang at its own Ctrl-C. Here the request is one byte in a pipe. Writing it takes
    no lock, and all waiting threads poll the other end, which stays readable for good, because
    no thread ever reads it.
    """

    def __init__(self) -> None:
        self._requested = False
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        weakref.finalize(self, _close, self._read, self._write)

    @property
    def requested(self) -> bool:
        """Whether stop was requested."""
        return self._requested

    def request(self) -> None:
        """End all waits on this flag: from any thread, in a signal handler, any number of times."""
        if not self._requested:
            # Two threads may both get here; a second byte does no harm.
            self._requested = True
            os.write(self._write, b"!")

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until stop is requested, at most `seconds` (None: without end).

        Returns True at once when stop is requested, False when the time has passed.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        poll = select.poll()  # select() refuses file descriptors beyond 1023
        poll.register(self._read, select.POLLIN)
        while not self._requested:
            left = _LONGEST_POLL if deadline is None else deadline - time.monotonic()
            if left <= 0:
                return False
            # poll() rounds a fraction of a millisecond up, so this loop never spins.
            poll.poll(min(left, _LONGEST_POLL) * 1000)
        return True

    def fileno(self) -> int:
        """A descriptor that is readable from the request on: for loops that poll by themselves."""
        return self._read


class Life(Protocol):
    """The life of one run, of which each thread has a part."""

    @property
    def stop(self) -> Stop:
        """Requested when the run is to end."""

    def fail(self, error: BaseException) -> None:
        """A thread cannot go on: end the run. From any thread; the first error counts."""


class ServiceThread:
    """A thread of one run. `join` is safe before the start, and any number of times."""

    def __init__(self, name: str, work: Callable[[], None], life: Life) -> None:
        """`work` must end soon after a stop was requested. What it raises ends the run; Stopped
        does not."""
        self._work = work
        self._life = life
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def alive(self) -> bool:
        """Whether it has started and not yet ended."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin. Raises RuntimeError the second time."""
        self._thread.start()

    def join(self) -> None:
        """Wait until it has ended."""
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        try:
            self._work()
        except Stopped:
            return
        except BaseException as error:
            self._life.fail(error)


def wait_any(*stops: Stop) -> None:
    """Wait until one of them is requested."""
    poll = select.poll()
    for one in stops:
        poll.register(one.fileno(), select.POLLIN)
    while not any(one.requested for one in stops):
        poll.poll()


def _close(*descriptors: int) -> None:
    for one in descriptors:
        os.close(one)


@contextmanager
def stop_on_signals(
    stop: Stop, signals: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGINT)
) -> Iterator[None]:
    """While it lasts, the first signal requests stop and the second ends the process at once.

    The second ends with status 128 + its number, as a shell reports it, and runs no clean-up: it
    is for the user who does not want to wait. Main thread only (ValueError elsewhere); the former
    handlers come back at the end.

    A thread of its own listens. Python runs handlers in the main thread only, between two
    bytecodes; but the kernel may hand a signal to any thread, as it does when a frozen process
    goes on, and then nothing wakes up a main thread that waits.
    """
    wanted = {int(one) for one in signals}
    read, write = os.pipe()
    os.set_blocking(write, False)

    def listen() -> None:
        seen = 0
        while number := os.read(read, 1)[0]:
            if number in wanted:
                seen += 1
                if seen > 1:
                    os._exit(128 + number)
                stop.request()

    former = {one: signal.signal(one, _noted_elsewhere) for one in signals}
    before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    thread = threading.Thread(target=listen, name="signals", daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        for one, handler in former.items():
            # None: a handler that C code had set, which Python cannot put back.
            signal.signal(one, signal.SIG_DFL if handler is None else handler)
        os.write(write, b"\0")
        thread.join()
        _close(read, write)


def _noted_elsewhere(_number: int, _frame: FrameType | None) -> None:
    """A handler that Python knows of; without one no signal would be written to the pipe."""
