"""Stopping and waiting."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from listener.runtime.lifecycle import Stop, stop_on_signals

CHILD = """
import sys
from listener.runtime.lifecycle import Stop, stop_on_signals

stop = Stop()
with stop_on_signals(stop):
    print("ready", flush=True)
    stop.wait({seconds})
    print("stopping", flush=True)
    {then}
"""


def test_wait_returns_false_when_the_time_has_passed() -> None:
    """Nobody asked to stop."""
    stop = Stop()
    began = time.monotonic()
    assert stop.wait(0.01) is False
    assert time.monotonic() - began >= 0.01
    assert stop.wait(0) is False
    assert stop.wait(-1) is False
    assert not stop.requested


def test_request_is_idempotent_and_holds_for_good() -> None:
    """All later waits return at once."""
    stop = Stop()
    for _ in range(100_000):  # more than a pipe holds, were each to write a byte
        stop.request()
    assert stop.requested
    assert stop.wait(3600) is True
    assert stop.wait() is True


def test_a_request_wakes_every_waiting_thread() -> None:
    """Also those that wait without end."""
    stop = Stop()
    woken: list[bool] = []
    threads = [
        threading.Thread(target=lambda s=seconds: woken.append(stop.wait(s)), daemon=True)
        for seconds in (None, 3600, 1e12)
    ]
    for thread in threads:
        thread.start()
    stop.request()
    for thread in threads:
        thread.join(10)
    assert woken == [True, True, True]


def test_a_signal_wakes_the_waiting_main_thread() -> None:
    """The handler runs inside the wait itself, again and again: a lock there would hang."""
    for _ in range(200):
        stop = Stop()
        with stop_on_signals(stop, (signal.SIGUSR1,)):
            timer = threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGUSR1))
            timer.start()
            assert stop.wait(60) is True
            timer.join()


def test_former_handlers_come_back() -> None:
    """The context leaves no trace."""
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_signals(Stop()):
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_descriptors_are_given_back() -> None:
    """A thousand stops leave no open pipe behind."""
    first = Stop().fileno()
    for _ in range(1000):
        last = Stop().fileno()
    assert last <= first + 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_stops_gently(number: signal.Signals) -> None:
    """The process ends by itself, with its own status."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD.format(seconds="None", then="sys.exit(0)")],
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.send_signal(number)
        assert child.communicate(timeout=30)[0] == "stopping\n"
        assert child.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_second_signal_ends_at_once(number: signal.Signals) -> None:
    """Even where the process is stuck, with 128 + the signal's number."""
    stuck = "__import__('threading').Event().wait()"
    with subprocess.Popen(
        [sys.executable, "-c", CHILD.format(seconds="None", then=stuck)],
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGTERM)
        assert child.stdout.readline() == "stopping\n"
        child.send_signal(number)
        assert child.wait(30) == 128 + number


def test_a_signal_that_came_while_frozen() -> None:
    """Whichever thread goes on first takes it; the main thread need not wake up for it."""
    threads = "__import__('threading').Thread(target=stop.wait).start()"
    child_of_many = CHILD.replace(
        "with stop_on_signals", f"for _ in range(8): {threads}\nwith stop_on_signals"
    )
    with subprocess.Popen(
        [sys.executable, "-c", child_of_many.format(seconds="None", then="sys.exit(0)")],
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGSTOP)
        os.waitpid(child.pid, os.WUNTRACED)
        child.send_signal(signal.SIGTERM)
        child.send_signal(signal.SIGCONT)
        assert child.communicate(timeout=30)[0] == "stopping\n"
        assert child.returncode == 0


def test_a_signal_after_a_request_of_our_own_is_still_the_first() -> None:
    """A daemon that is already stopping is not cut short by one SIGTERM of its supervisor."""
    stop = Stop()
    with stop_on_signals(stop, (signal.SIGUSR1,)):
        stop.request()
        os.kill(os.getpid(), signal.SIGUSR1)
    assert stop.requested
