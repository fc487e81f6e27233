"""Waiting between tries: growing, jittered, cancellable waits, each of which is told.

Two forms of one rule. `backoff` wraps a call whose return is its success: every call starts with
the shortest wait again. `Backoff` is for loops in which success is a moment in the middle (LISTEN
succeeded, and an hour later the connection is lost): the loop calls `reset()` at that moment. A
count over the life of the process would make the sixth disconnect of a month wait as long as the
sixth failure in a row.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from typing import Final, ParamSpec, Protocol, TypeVar

import tenacity

from listener.runtime.lifecycle import Stop, Stopped

P = ParamSpec("P")
T = TypeVar("T")

_STOPPED: Final = "stop was requested while waiting for the next try"


class OnWait(Protocol):
    """Is told of each wait before it begins."""

    def __call__(self, attempt: int, seconds: float, error: str, /) -> None:
        """The `attempt`-th try in a row failed by `error`; the next one follows in `seconds`."""


class Backoff:
    """The waits of failures one after another: `start`, then `factor` times as long each, up to
    `limit`.

    Each wait is drawn from the upper half of that (equal jitter): daemons that lost the same
    server do not come back in step, and none comes back at once. All arguments are in seconds.
    """

    def __init__(self, start: float, factor: float, limit: float) -> None:
        if not (start > 0 and factor >= 1 and limit > 0):
            raise ValueError("backoff: start and limit are above 0, factor is at least 1")
        self._start = min(start, limit)
        self._factor = factor
        self._limit = limit
        self._ceiling = self._start
        self._attempt = 0

    @property
    def attempt(self) -> int:
        """How many waits were drawn since the last success."""
        return self._attempt

    def next_wait(self) -> float:
        """The seconds to wait after one more failure."""
        ceiling = self._ceiling
        self._attempt += 1
        self._ceiling = min(ceiling * self._factor, self._limit)
        return ceiling * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret

    def reset(self) -> None:
        """It worked: the next failure is the first one again."""
        self._attempt = 0
        self._ceiling = self._start


def describe(error: BaseException) -> str:
    """One line for an error: its text, or its class where it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def backoff(
    *,
    start: float,
    factor: float,
    limit: float,
    exceptions: tuple[type[Exception], ...],
    stop: Stop,
    on_wait: OnWait,
    give_up_after: float | None = None,
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorate a function: it is called again after each of `exceptions`, with waits between.

    Every call of the decorated function starts anew at `start`. Once `give_up_after` seconds have
    passed since the call began (None: never), the last error is raised as it is. When stop is
    requested, the wait ends at once and Stopped is raised from the last error; the first try is
    made in any case, because what saves the work at stop is such a call too.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            waits = Backoff(start, factor, limit)

            def before_sleep(state: tenacity.RetryCallState) -> None:
                error = state.outcome.exception() if state.outcome else None
                seconds = state.upcoming_sleep
                on_wait(state.attempt_number, seconds, describe(error) if error else "")
                if stop.wait(seconds):
                    raise Stopped(_STOPPED) from error

            retrying = tenacity.Retrying(
                retry=tenacity.retry_if_exception(
                    # A nested backoff that was stopped is not to be tried again.
                    lambda error: isinstance(error, exceptions) and not isinstance(error, Stopped)
                ),
                wait=lambda _state: waits.next_wait(),
                stop=(
                    tenacity.stop_never
                    if give_up_after is None
                    else tenacity.stop_after_delay(give_up_after)
                ),
                # The wait itself: only here the error that caused it is at hand.
                before_sleep=before_sleep,
                sleep=lambda _seconds: None,
                reraise=True,
            )
            return retrying(function, *args, **kwargs)

        return call

    return decorate
