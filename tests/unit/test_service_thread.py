"""One contract of life for all threads: a defect reaches one place, and `join` is always safe."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from listener.app.life import RunLife
from listener.observations.events import Crashed, Observation
from listener.runtime.lifecycle import ServiceThread, Stopped
from listener.runtime.pool import ServicePool
from tests.kit.threads import DEADLINE, Beside, Failures, happens


def started(work: Callable[[], None], life: Failures) -> ServiceThread:
    """A thread that does this."""
    thread = ServiceThread("work", work, life)
    thread.start()
    return thread


def test_join_before_the_start_and_twice() -> None:
    """What ends a run need not know how far it has come."""
    go = threading.Event()
    thread = ServiceThread("work", lambda: happens(go), Failures())
    thread.join()
    assert not thread.alive
    thread.start()
    assert thread.alive
    end = Beside(thread.join)
    assert end.waits
    go.set()
    end.result()
    thread.join()
    assert not thread.alive


def test_a_thread_is_started_once() -> None:
    """Another turn needs another thread."""
    life = Failures()
    thread = started(lambda: None, life)
    thread.join()
    with pytest.raises(RuntimeError):
        thread.start()
    assert life.errors == []


def test_its_work_bears_its_name() -> None:
    """The log tells by it which thread has crashed; and it holds no exit of the process."""
    seen: list[threading.Thread] = []
    started(lambda: seen.append(threading.current_thread()), Failures()).join()
    assert [(one.name, one.daemon) for one in seen] == [("work", True)]


@pytest.mark.parametrize("error", [AssertionError("odd"), OSError("gone"), SystemExit(1)])
def test_what_a_thread_raises_ends_the_run(error: BaseException) -> None:
    """It is told once, whatever it is; Python's own report of it would be a second."""

    def work() -> None:
        raise error

    life = Failures()
    thread = started(work, life)
    thread.join()
    thread.join()
    assert life.errors == [error]
    assert life.stop.requested


def test_a_thread_that_was_stopped_has_not_failed() -> None:
    """It did what it was asked for."""
    life = Failures()

    def work() -> None:
        life.stop.wait(DEADLINE)
        raise Stopped("the load was stopped")

    thread = started(work, life)
    life.stop.request()
    thread.join()
    assert life.errors == []


def test_the_first_of_two_defects_counts() -> None:
    """Both are told; the second may be a consequence of the first."""
    told: list[Observation] = []
    life = RunLife(told.append)
    first, second = AssertionError("first"), AssertionError("second")

    def fail_first() -> None:
        raise first

    def fail_second() -> None:
        life.stop.wait(DEADLINE)
        raise second

    threads = [ServiceThread("a", fail_second, life), ServiceThread("b", fail_first, life)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert life.reason is first
    assert told == [
        Crashed("b", "AssertionError: first"),
        Crashed("a", "AssertionError: second"),
    ]


def test_what_is_no_defect_is_not_told_as_one() -> None:
    """It ends the run all the same: the command says why."""
    told: list[Observation] = []
    life = RunLife(told.append)
    life.fail(Stopped("stopped"))
    assert life.stop.requested
    assert isinstance(life.reason, Stopped)
    assert told == []


@pytest.mark.parametrize("error", [AssertionError("odd"), OSError("gone"), SystemExit(1)])
def test_what_a_piece_of_work_raises_ends_the_run(error: BaseException) -> None:
    """A pool keeps what is raised in it for a caller that never asks. The next piece is done."""

    def work(reason: BaseException) -> None:
        raise reason

    life = Failures()
    pool = ServicePool("work", 1, life)
    seen: list[str] = []
    pool.submit(work, error)
    pool.submit(lambda: seen.append(threading.current_thread().name))
    pool.join()
    pool.join()
    assert life.errors == [error]
    assert life.stop.requested
    assert [one.rpartition("_")[0] for one in seen] == ["work"]
