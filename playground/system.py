"""What the playground asks of the operating system: ports, processes, locks and waits.

Linux answers from /proc and by process descriptors, so that the end of a process is waited for and
not polled; elsewhere ps and pgrep stand in.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

LOOPBACK = "127.0.0.1"
_PROC = Path("/proc")


class PlaygroundError(RuntimeError):
    """A server could not be laid out, started or stopped; the message says what to do about it."""


def free_port() -> int:
    """A TCP port of the loopback address that nobody listens on now.

    It lies below the range from which the kernel takes the ports of outgoing connections. A server
    that is down for a moment therefore finds its port free again, and a client that knocks at the
    closed port cannot be connected to itself.
    """
    for _ in range(200):
        port = 15_000 + secrets.randbelow(15_000)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
        return port
    raise PlaygroundError(f"no free TCP port on {LOOPBACK} between 15000 and 29999")


def wait_until(
    ready: Callable[[], bool], *, seconds: float, what: str, every: float = 0.02
) -> None:
    """Asks `ready` again and again, at once first, until it says yes.

    For states that the operating system does not announce (a server begins to answer).
    Raises PlaygroundError with `what` when `seconds` have passed.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise PlaygroundError(f"{what}: not within {seconds:g} s")
        time.sleep(every)


def command_line(pid: int) -> str:
    """The command line of a process; empty once it has ended, reaped or not."""
    if _PROC.joinpath("self").exists():
        try:
            raw = _PROC.joinpath(str(pid), "cmdline").read_bytes()
        except OSError:
            return ""
        return raw.replace(b"\0", b" ").decode(errors="replace").strip()
    answer = _output(["ps", "-ww", "-p", str(pid), "-o", "stat=,command="])
    state, _, command = answer.strip().partition(" ")
    return "" if state.startswith("Z") else command.strip()


def children_of(pid: int) -> list[int]:
    """The ids of the direct children of a process."""
    if not _PROC.joinpath("self").exists():
        return [int(word) for word in _output(["pgrep", "-P", str(pid)]).split()]
    found = []
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(entry.name))
    return found


def send(pid: int, number: signal.Signals) -> bool:
    """Sends a signal; False when there is no such process any more."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _states(pid: int) -> set[str]:
    """The states of a process's threads, as proc(5) and ps(1) name them."""
    if not _PROC.joinpath("self").exists():
        return set(_output(["ps", "-p", str(pid), "-o", "stat="]).strip()[:1])
    states = set()
    for thread in _PROC.joinpath(str(pid), "task").glob("*/stat"):
        with contextlib.suppress(OSError):  # a thread that has ended meanwhile
            states.add(thread.read_text(errors="replace").rpartition(")")[2].split()[0])
    return states


def freeze(pid: int) -> None:
    """SIGSTOP; returns when every thread has stopped, which a busy machine takes its time for.

    Raises ProcessLookupError for a process that is not there, PlaygroundError after 30 s.
    """
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: _states(pid) <= set("TtZX"), seconds=30, what=f"stop of process {pid}")


def wait_gone(pid: int, seconds: float) -> bool:
    """Waits for the end of a process, ours or not; False when it still runs after `seconds`."""
    if sys.platform == "linux":
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return True
        try:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            return bool(poll.poll(seconds * 1000))
        finally:
            os.close(descriptor)
    try:
        wait_until(lambda: not command_line(pid), seconds=seconds, what=f"end of process {pid}")
    except PlaygroundError:
        return False
    return True


def kill_family(pid: int) -> None:
    """SIGKILL for a process and its direct children; returns when all of them are gone.

    The parent is frozen first: it can start nobody new while its children are being counted.
    """
    if not send(pid, signal.SIGSTOP):
        return
    family = [pid, *children_of(pid)]
    for member in family:
        send(member, signal.SIGKILL)
    for member in family:
        if not wait_gone(member, 30):
            raise PlaygroundError(f"process {member} survives SIGKILL for 30 s")


class FileLock:
    """A lock between processes, which the kernel lets go when its holder dies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._descriptor is not None

    def acquire(self, *, wait: bool) -> bool:
        """Takes the lock; without `wait`, False when another holder has it."""
        if self._descriptor is not None:
            return True
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Lets the lock go; without it, does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> FileLock:
        self.acquire(wait=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout
