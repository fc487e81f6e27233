"""The real daemon as a user starts it, and its log as a list that tests wait on.

A test waits for a named moment with a deadline; when the moment does not come it sees the whole
log. Nothing here sleeps: the reader thread wakes every wait.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

PROJECT = Path(__file__).resolve().parents[1]
"""Where `python -m listener` is started: the code beside these tests is the code they test."""

DEADLINE = 30.0
_UNEXPECTED = re.compile(r"unexpected \w+Error: ")


class NotAsExpected(AssertionError):
    """The daemon did not do what it should: its message ends with the log."""


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the log. `event` is `text` for a line that is not JSON."""

    number: int
    event: str
    message: str
    level: str
    fields: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]

    def matches(self, event: str, wanted: Mapping[str, Any]) -> bool:
        """Whether it is this event with these fields: values, patterns or predicates."""
        return self.event == event and all(
            name in self.fields and _fits(self.fields[name], value)
            for name, value in wanted.items()
        )


def _fits(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, re.Pattern):
        return wanted.search(str(value)) is not None
    if callable(wanted):
        return bool(wanted(value))
    return bool(value == wanted)


class ListenerProcess:
    """`python -m listener --config FILE ARGUMENTS`, running.

    `wait_for` finds moments from the beginning of the log, or after a record or `mark()`.
    """

    def __init__(
        self, config: Path, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self.command = [sys.executable, "-m", "listener", "--config", str(config), *arguments]
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("LISTENER_", "PG"))
        }
        self._changed = threading.Condition()
        self._records: list[Record] = []
        self._printed: list[str] = []
        self._process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            cwd=PROJECT,
            env={**inherited, **(environment or {})},
            start_new_session=True,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._readers = [
            threading.Thread(target=self._read_log, args=(self._process.stderr,), daemon=True),
            threading.Thread(target=self._read_output, args=(self._process.stdout,), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    # -- what it said ----------------------------------------------------------------------------

    @property
    def records(self) -> tuple[Record, ...]:
        """The log so far."""
        with self._changed:
            return tuple(self._records)

    @property
    def output(self) -> str:
        """What it printed on standard output so far; complete once it has ended."""
        with self._changed:
            return "".join(self._printed)

    @property
    def log(self) -> str:
        """The log as text, for the message of a failed test."""
        lines = [f"$ {' '.join(self.command[1:])}"]
        lines += [
            f"{one.number:4} {one.level:<7} {one.event}: {one.message}" for one in self.records
        ]
        status = self._process.poll()
        lines.append("(it still runs)" if status is None else f"(exit status {status})")
        printed = self.output
        return "\n".join(lines) + (f"\nprinted:\n{printed}" if printed else "")

    def mark(self) -> int:
        """A place in the log: now."""
        with self._changed:
            return len(self._records)

    def found(
        self, event: str, *, after: Record | int | None = None, **fields: Any
    ) -> list[Record]:
        """All records of this event so far."""
        return [one for one in self.records[_start(after) :] if one.matches(event, fields)]

    def wait_for(
        self,
        event: str,
        *,
        after: Record | int | None = None,
        deadline: float = DEADLINE,
        **fields: Any,
    ) -> Record:
        """Wait for an event; fails with the whole log when it does not come or the process ends."""
        wanted = " ".join([event, *(f"{name}={value!r}" for name, value in fields.items())])
        return self.wait_until(
            lambda records: next((one for one in records if one.matches(event, fields)), None),
            what=wanted,
            after=after,
            deadline=deadline,
        )

    def wait_until(
        self,
        find: Callable[[list[Record]], Record | None],
        *,
        what: str,
        after: Record | int | None = None,
        deadline: float = DEADLINE,
    ) -> Record:
        """Wait until `find` finds its record in the log from `after` on."""
        start = _start(after)
        until = time.monotonic() + deadline
        with self._changed:
            while True:
                found = find(self._records[start:])
                if found is not None:
                    return found
                left = until - time.monotonic()
                if left <= 0 or self._ended:
                    break
                self._changed.wait(left)
        raise NotAsExpected(f"no {what} within {deadline:g} s; the log:\n{self.log}")

    # -- its life --------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    @property
    def _ended(self) -> bool:
        """Whether nothing more will be said."""
        return self._process.poll() is not None and not any(one.is_alive() for one in self._readers)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def exit_status(self, deadline: float = DEADLINE) -> int:
        """Wait for the end; the exit status (negative: a signal). Fails with the log."""
        try:
            status = self._process.wait(deadline)
        except subprocess.TimeoutExpired:
            raise NotAsExpected(
                f"it did not end within {deadline:g} s; the log:\n{self.log}"
            ) from None
        self._join()
        return status

    def stop(self, *, expect: int = 0, deadline: float = DEADLINE) -> None:
        """SIGTERM, and the exit status that must follow."""
        self.signal(signal.SIGTERM)
        self.expect_exit(expect, deadline)

    def expect_exit(self, expect: int, deadline: float = DEADLINE) -> None:
        """Wait for the end with this exit status. Fails with the log."""
        status = self.exit_status(deadline)
        if status != expect:
            raise NotAsExpected(f"exit status {status}, not {expect}; the log:\n{self.log}")

    def kill(self) -> None:
        """SIGKILL, and wait for the end. Safe when it has ended."""
        if self.running:
            self._process.kill()
        self._process.wait()
        self._join()

    def _join(self) -> None:
        for reader in self._readers:
            reader.join()

    # -- reading ---------------------------------------------------------------------------------

    def _read_log(self, stream: IO[str]) -> None:
        with contextlib.closing(stream):
            for line in stream:
                self._take(line.rstrip("\n"))
        with self._changed:
            self._changed.notify_all()

    def _read_output(self, stream: IO[str]) -> None:
        with contextlib.closing(stream):
            for line in stream:
                with self._changed:
                    self._printed.append(line)
                    self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def _take(self, line: str) -> None:
        try:
            value = json.loads(line)
            event, message, level = value["event"], value["message"], value["level"]
        except (ValueError, TypeError, KeyError):
            event, message, level, value = "text", line, "", {}
        with self._changed:
            self._records.append(Record(len(self._records), event, message, level, value))
            self._changed.notify_all()


def _start(after: Record | int | None) -> int:
    if after is None:
        return 0
    return after if isinstance(after, int) else after.number + 1


class Processes:
    """The daemons of one test. Whatever still runs at its end is killed."""

    def __init__(self) -> None:
        self.started: list[ListenerProcess] = []

    def start(
        self, config: Path, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> ListenerProcess:
        """Start one."""
        process = ListenerProcess(config, *arguments, environment=environment)
        self.started.append(process)
        return process

    @property
    def logs(self) -> str:
        """All logs, for the message of a failed test."""
        return "\n\n".join(one.log for one in self.started)

    def close(self) -> None:
        """Kill what runs, and fail where one of them met a defect of its own."""
        for process in self.started:
            process.kill()
        for process in self.started:
            defects = process.found("crashed")
            defects += [one for one in process.found("text") if "Traceback" in one.message]
            # an error of Python's own that was taken for a fault of a user's data
            defects += [one for one in process.records if _UNEXPECTED.search(one.message)]
            if defects:
                raise NotAsExpected(f"a defect in the daemon; the log:\n{process.log}")


@contextlib.contextmanager
def processes_of_a_test() -> Iterator[Processes]:
    """Processes that end with the block."""
    processes = Processes()
    try:
        yield processes
    finally:
        processes.close()
