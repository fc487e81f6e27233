"""The real daemon as a process of its own, and the observations that it tells in its log."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

Observation = dict[str, Any]
"""One line of the JSON log: `event`, `level`, `message`, and the fields of the event."""

ROOT = Path(__file__).resolve().parent.parent
_TAIL = 20
_FOREIGN = ("LISTENER_", "POSTGRES_", "ELASTICSEARCH_", "KIBANA_", "PG")


def inherited() -> dict[str, str]:
    """Our environment without what it says of servers."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}


class DaemonFailed(Exception):
    """The daemon ended, or did not do in time what it should; the message has its last lines."""


class Daemon:
    """`python -m listener --config config.yaml run` with a log of JSON lines.

    `settings` are environment variables; what else the environment says of servers is left out.
    The process has a session of its own: Ctrl-C reaches the demo, and the demo stops the daemon.
    """

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = settings
        self._process: subprocess.Popen[str] | None = None
        self._queue: queue.Queue[Observation | None] = queue.Queue()
        self._tail: deque[str] = deque(maxlen=_TAIL)
        self._reader = threading.Thread(target=self._read, name="log", daemon=True)

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "listener", "--config", "config.yaml", "run"],
            cwd=ROOT,
            env={**inherited(), **self._settings, "LISTENER_LOGGING_FORMAT": "json"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        process = self._process
        assert process is not None
        process.send_signal(signal.SIGTERM)  # does nothing where it has ended
        try:
            process.wait(20)
        finally:  # too slow, or an impatient Ctrl-C
            process.kill()
            process.wait()
            self._reader.join(5)
            if process.stderr is not None:
                process.stderr.close()

    def observations(self, seconds: float | None = None) -> Iterator[Observation]:
        """What the daemon tells, as it comes, for at most `seconds`.

        Raises DaemonFailed when the time is up, or when the daemon ends.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                found = self._queue.get(timeout=left)
            except queue.Empty:
                raise DaemonFailed(self._told(f"listener: not ready in {seconds:g} s")) from None
            if found is None:
                assert self._process is not None
                status = self._process.wait()
                raise DaemonFailed(self._told(f"listener ended with status {status}"))
            yield found

    def skip(self) -> None:
        """Forget what the daemon has told so far; that it has ended is not forgotten."""
        while not self._queue.empty():
            if self._queue.get() is None:
                self._queue.put(None)
                return

    def last_lines(self) -> str:
        """The end of the log, in words."""
        return "\n".join(self._tail)

    def _told(self, what: str) -> str:
        return f"{what}; it said:\n{self.last_lines()}"

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        for line in self._process.stderr:
            try:
                found = json.loads(line)
                self._tail.append(f"{found['at']} {found['level']} {found['message']}")
            except (ValueError, TypeError, KeyError):
                self._tail.append(line.rstrip())  # a traceback
                continue
            self._queue.put(found)
        self._queue.put(None)
