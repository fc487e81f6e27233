"""What every server of the playground can do: start, stop, die and come back in its directory."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Self

from playground.account import service_account
from playground.leftovers import end_leftover, forget, remember
from playground.places import lock_of, permanent_place, temporary_place
from playground.system import PlaygroundError, free_port, freeze, kill_family, wait_gone

_LOG_TAIL = 4_000


class Server(ABC):
    """One server process with its own directory and port.

    The directory holds all that the server has: data, settings, log, pid file. A directory named by
    the caller outlives this object; a temporary one goes with `close`. The port is chosen at the
    first use and stays, over restarts too. Safe to call: `start` when it runs, `stop`, `kill` and
    `close` when it does not. At the exit of Python what still runs is stopped.
    """

    gentle: ClassVar[signal.Signals]  # the signal that ends the server in good order

    def __init__(self, kind: str, directory: str | Path | None, port: int | None) -> None:
        self.kind = kind
        self._temporary = directory is None
        if directory is None:
            self.directory, self._lock = temporary_place(kind)
        else:
            self.directory = permanent_place(Path(directory))
            self._lock = lock_of(self.directory)
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._home_process = os.getpid()
        atexit.register(self._at_exit)

    @property
    def port(self) -> int:
        """The TCP port on 127.0.0.1, the same over the life of this object."""
        if self._port is None:
            self._port = free_port()
        return self._port

    @property
    def log(self) -> Path:
        """The file with all that the server has said, over all its starts."""
        return self.directory / "server.log"

    @property
    def running(self) -> bool:
        """Whether the process lives (a paused one does)."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The id of the server's process. Raises PlaygroundError when it does not run."""
        if self._process is None or not self.running:
            raise PlaygroundError(f"{self.kind} does not run")
        return self._process.pid

    def start(self) -> None:
        """Starts the server and returns when it answers.

        Ends before that what a dead owner has left running in the directory. Raises PlaygroundError
        with the end of the log when the server does not come up, or when another owner uses the
        directory.
        """
        if self.running:
            return
        self.start_process()
        try:
            self._wait_ready()
        except BaseException:
            self.kill()
            raise

    def start_process(self) -> None:
        """`start` without the wait for an answer."""
        if self.running:
            return
        if not self._lock.acquire(wait=False):
            raise PlaygroundError(f"another process runs a server in {self.directory}")
        try:
            end_leftover(self.directory)
            self._prepare()
            self._spawn()
        except BaseException:
            self.kill()
            raise

    def stop(self, *, timeout: float = 30.0) -> None:
        """Stops the server in good order and waits for its end.

        Raises PlaygroundError when it has not ended after `timeout` seconds; it is killed then.
        """
        self._stop_by(self.gentle, timeout)

    def kill(self) -> None:
        """SIGKILL for the server and its children, a crash at its hardest; waits for their end."""
        if self._process is not None:
            if self.running:
                kill_family(self._process.pid)
            self._process.wait()
        self._ended()

    def restart(self) -> None:
        """`stop`, then `start`: the same data, the same port."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freezes the process (SIGSTOP): connections stay open, nothing is answered."""
        freeze(self.pid)

    def resume(self) -> None:
        """Lets a paused process go on."""
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """Stops the server, by force if need be, and removes a temporary directory."""
        try:
            with contextlib.suppress(PlaygroundError):
                self.stop()
        finally:  # an impatient Ctrl-C leaves nothing behind either
            self.kill()
            if self._temporary:
                shutil.rmtree(self.directory, ignore_errors=True)
                self._lock.release()
            atexit.unregister(self._at_exit)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def _prepare(self) -> None:
        """Makes the directory ready for a start: data and settings."""

    @abstractmethod
    def _command(self) -> list[str]:
        """The command line; it names something below `directory`, by which a leftover is known."""

    @abstractmethod
    def _wait_ready(self) -> None:
        """Waits until the server answers. Raises PlaygroundError when it does not."""

    def _environment(self) -> dict[str, str]:
        """The whole environment of the server: nothing of ours leaks in by default."""
        return {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}

    def _spawn(self) -> None:
        account = service_account()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                env=self._environment(),
                start_new_session=True,  # Ctrl-C in the terminal reaches us, not the server
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
        remember(self.directory, self._process.pid, self.gentle)

    def _log_tail(self) -> str:
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - _LOG_TAIL))
            return log.read().decode(errors="replace")

    def _check_alive(self) -> None:
        """Raises PlaygroundError with the end of the log when the process has ended by itself."""
        if not self.running:
            raise PlaygroundError(
                f"{self.kind} ended while it was starting; {self.log} ends:\n{self._log_tail()}"
            )

    def _stop_by(self, number: signal.Signals, timeout: float) -> None:
        if self._process is not None and self.running:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(number)
            if not wait_gone(self._process.pid, timeout):
                self.kill()
                raise PlaygroundError(
                    f"{self.kind} did not end within {timeout:g} s of {number.name} "
                    f"and was killed; {self.log} ends:\n{self._log_tail()}"
                )
            self._process.wait()
        self._ended()

    def _ended(self) -> None:
        self._process = None
        if self._lock.held:
            forget(self.directory)
            if not self._temporary:
                self._lock.release()

    def _at_exit(self) -> None:
        if os.getpid() == self._home_process:  # a forked child leaves its parent's server alone
            self.close()
