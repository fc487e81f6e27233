"""Waits between tries."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener.runtime.backoff import Backoff, backoff, describe
from listener.runtime.lifecycle import Stop, Stopped


class Instant(Stop):
    """Notes the waits and passes them at once; requests stop at the wait number `stop_at`."""

    def __init__(self, stop_at: int | None = None) -> None:
        super().__init__()
        self.waits: list[float] = []
        self.stop_at = stop_at

    def wait(self, seconds: float | None = None) -> bool:
        assert seconds is not None
        self.waits.append(seconds)
        if len(self.waits) == self.stop_at:
            self.request()
        return self.requested


@dataclass
class Told:
    """Collects what the callback is told."""

    lines: list[tuple[int, float, str]] = field(default_factory=list)

    def __call__(self, attempt: int, seconds: float, error: str, /) -> None:
        self.lines.append((attempt, seconds, error))


@dataclass
class Server:
    """Fails a number of times, then answers."""

    failures: int
    error: Exception = field(default_factory=lambda: ConnectionError("refused"))
    calls: int = 0

    def ask(self, question: str, *, loud: bool = False) -> str:
        """Answer, or fail."""
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return question.upper() if loud else question


def test_it_tries_again_until_it_works_and_tells_each_wait() -> None:
    """Arguments and result pass through; the waits grow from start to limit, jittered."""
    stop, told, server = Instant(), Told(), Server(8)
    ask = backoff(
        start=0.1, factor=2, limit=3, exceptions=(ConnectionError,), stop=stop, on_wait=told
    )(server.ask)
    assert ask("who", loud=True) == "WHO"
    assert server.calls == 9
    ceilings = [0.1, 0.2, 0.4, 0.8, 1.6, 3, 3, 3]
    for wait, ceiling in zip(stop.waits, ceilings, strict=True):
        assert ceiling / 2 <= wait <= ceiling
    assert [line[0] for line in told.lines] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [line[1] for line in told.lines] == stop.waits
    assert {line[2] for line in told.lines} == {"refused"}


def test_a_fresh_call_starts_at_start_again() -> None:
    """The count never runs over the life of the process."""
    stop, told, server = Instant(), Told(), Server(10)
    ask = backoff(
        start=0.1, factor=10, limit=1000, exceptions=(ConnectionError,), stop=stop, on_wait=told
    )(server.ask)
    ask("first")
    assert stop.waits[-1] > 100
    server.calls, server.failures = 0, 1
    stop.waits.clear()
    ask("second")
    assert stop.waits == [pytest.approx(0.075, abs=0.025)]
    assert told.lines[-1][0] == 1


def test_other_errors_pass_at_once() -> None:
    """Only the named exceptions are tried again."""
    stop, server = Instant(), Server(1, ValueError("syntax"))
    ask = backoff(
        start=0.1, factor=2, limit=3, exceptions=(ConnectionError,), stop=stop, on_wait=Told()
    )(server.ask)
    with pytest.raises(ValueError, match="syntax"):
        ask("who")
    assert (server.calls, stop.waits) == (1, [])


def test_it_gives_up_with_the_last_error_as_it_is() -> None:
    """No RetryError of the library comes out."""
    error = ConnectionError("refused")
    server = Server(10_000, error)
    ask = backoff(
        start=0.001,
        factor=1,
        limit=1,
        exceptions=(ConnectionError,),
        stop=Stop(),
        give_up_after=0.01,
        on_wait=Told(),
    )(server.ask)
    with pytest.raises(ConnectionError) as caught:
        ask("who")
    assert caught.value is error
    assert server.calls > 1


def test_stop_ends_the_wait() -> None:
    """Stopped names the error that was waited for; nothing is tried after it."""
    stop, told, server = Instant(stop_at=3), Told(), Server(10_000)
    ask = backoff(start=0.1, factor=2, limit=3, exceptions=(Exception,), stop=stop, on_wait=told)(
        server.ask
    )
    with pytest.raises(Stopped) as caught:
        ask("who")
    assert caught.value.__cause__ is server.error
    assert server.calls == 3


def test_after_stop_the_first_try_is_still_made() -> None:
    """What saves the work at stop goes through the same road; only waiting is cut."""
    stop = Stop()
    stop.request()
    policy = backoff(start=9, factor=2, limit=9, exceptions=(Exception,), stop=stop, on_wait=Told())
    assert policy(Server(0).ask)("save") == "save"
    with pytest.raises(Stopped):
        policy(Server(1).ask)("save")


def test_stopped_from_within_is_not_tried_again() -> None:
    """A nested backoff that was stopped ends the outer one too, whatever it catches."""
    stop, server = Instant(), Server(5, Stopped("inner"))
    ask = backoff(start=0.1, factor=2, limit=3, exceptions=(Exception,), stop=stop, on_wait=Told())(
        server.ask
    )
    with pytest.raises(Stopped, match="inner"):
        ask("who")
    assert server.calls == 1


def test_the_decorated_function_keeps_its_name() -> None:
    """For logs and stack traces."""

    @backoff(start=1, factor=2, limit=3, exceptions=(OSError,), stop=Stop(), on_wait=Told())
    def listen() -> int:
        """Doc."""
        return 7

    assert (listen.__name__, listen.__doc__, listen()) == ("listen", "Doc.", 7)


def test_reset_makes_the_next_failure_the_first() -> None:
    """For loops whose success is a moment in the middle."""
    waits = Backoff(0.1, 10, 1000)
    for _ in range(9):
        waits.next_wait()
    assert waits.attempt == 9
    waits.reset()
    assert waits.attempt == 0
    assert 0.05 <= waits.next_wait() <= 0.1


def test_an_error_is_one_line() -> None:
    """Its text; where it has none, its class: never an empty line in the log."""
    assert describe(ConnectionError("a\n  b")) == "a b"
    assert describe(TimeoutError()) == "TimeoutError"


@pytest.mark.parametrize(("start", "factor", "limit"), [(0, 2, 3), (1, 0.5, 3), (1, 2, 0)])
def test_nonsense_is_refused(start: float, factor: float, limit: float) -> None:
    """A wait of nothing would spin."""
    with pytest.raises(ValueError, match="backoff"):
        Backoff(start, factor, limit)


@given(start=st.floats(1e-3, 100), factor=st.floats(1, 1e6), limit=st.floats(1e-3, 100))
def test_waits_stay_between_half_the_start_and_the_limit(
    start: float, factor: float, limit: float
) -> None:
    """Also after thousands of failures: nothing overflows."""
    waits = Backoff(start, factor, limit)
    drawn = [waits.next_wait() for _ in range(2000)]
    assert all(min(start, limit) / 2 <= one <= limit for one in drawn)
    ceilings = [one * 2 for one in drawn]
    assert all(later >= earlier / 2 for earlier, later in pairwise(ceilings))
