"""The pid file of a server, and the end of servers whose owner has died.

A Python process that is killed cannot stop the servers it has started. Each server's directory
therefore says who runs in it; whoever uses the directory next ends what is left.
"""

from __future__ import annotations

import signal
from pathlib import Path

from playground.system import PlaygroundError, command_line, kill_family, send, wait_gone

_NAME = "server.pid"
_PATIENCE = 20.0


def remember(directory: Path, pid: int, gentle: signal.Signals) -> None:
    """Writes down which process serves from `directory`, and the signal that stops it in order."""
    (directory / _NAME).write_text(f"{pid}\n{int(gentle)}\n")


def forget(directory: Path) -> None:
    """Removes the pid file; without one, does nothing."""
    (directory / _NAME).unlink(missing_ok=True)


def end_leftover(directory: Path) -> bool:
    """Ends the process of the pid file in `directory`, gently first; whether there was one.

    A number alone proves nothing, since the system gives it to another process one day: the process
    must name the directory on its command line. The caller holds the directory's lock, so its owner
    is dead. Raises PlaygroundError when the process survives even SIGKILL.
    """
    try:
        pid, gentle = map(int, (directory / _NAME).read_text().split())
    except (OSError, ValueError):
        forget(directory)
        return False
    ours = f"{directory}/" in command_line(pid)
    if ours:
        send(pid, signal.SIGCONT)
        send(pid, signal.Signals(gentle))
        if not wait_gone(pid, _PATIENCE):
            kill_family(pid)
            if command_line(pid):
                raise PlaygroundError(f"process {pid} of {directory} cannot be ended")
    forget(directory)
    return ours
