"""Somebody who may connect, and therefore NOTIFY: no right on any table, and no good will."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Self

from tests.process.scene import Connection, Scene

CHANNEL = "listener"


def send(connection: Connection, payloads: Iterable[str]) -> None:
    """Send all of them in one transaction: PostgreSQL drops those that repeat another."""
    connection.execute(
        "SELECT pg_notify(%s, payload) FROM unnest(%s::text[]) AS payload",
        (CHANNEL, list(payloads)),
    )


def keys(watch: str, found: Sequence[object]) -> str:
    """The payload of changed keys."""
    return json.dumps({"v": 1, "w": watch, "k": found})


class Flood:
    """Sends payloads in the block, so many a second, until its end."""

    def __init__(
        self, scene: Scene, make: Callable[[int], str], *, rate: int, ahead: float = math.inf
    ) -> None:
        """`make` is given the number of the payload. `ahead`: seconds of it that are sent at most
        since `arrived`: so a slow machine is flooded as fast as it reads, and not faster: a barrier
        that is read ten seconds late ends the session.
        """
        self._scene = scene
        self._make = make
        self._size = max(1, rate // 20)
        self._ahead = ahead * rate
        self._most = self._ahead
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._sent = 0

    @property
    def sent(self) -> int:
        """How many payloads so far; raises what ended the flood."""
        if self._error is not None:
            raise self._error
        return self._sent

    def arrived(self, sent: int) -> None:
        """Something that came behind so many payloads has been read: they were, too."""
        self._most = sent + self._ahead

    def _run(self) -> None:
        try:
            connection = self._scene.connect()
            while not self._stop.wait(0.05):
                if self._sent >= self._most:
                    continue
                numbers = range(self._sent, self._sent + self._size)
                send(connection, map(self._make, numbers))
                self._sent += self._size
        except BaseException as error:
            self._error = error

    @contextmanager
    def flowing(self) -> Iterator[Flood]:
        """While inside it sends."""
        thread = threading.Thread(target=self._run, name="flood")
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()


class Parrot:
    """Listens on our channel, and sends each barrier again and again, the former ones included."""

    def __init__(self, scene: Scene, *, times: int = 5) -> None:
        self._ear, self._mouth = scene.connect(), scene.connect()
        self._times = times
        self._own: set[str] = set()
        self._seen: list[str] = []
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="parrot")
        self.sent = 0

    @property
    def heard(self) -> int:
        """How many barriers of the daemon it has repeated."""
        return len(self._seen)

    def wait(self, least: int, deadline: float = 20) -> None:
        """Wait until it has repeated so many."""
        with self._changed:
            there = self._changed.wait_for(lambda: len(self._seen) >= least, deadline)
        assert there, f"the daemon has sent {len(self._seen)} barriers, not {least}"

    def _run(self) -> None:
        self._ear.execute(f"LISTEN {CHANNEL}".encode())
        while not self._stop.is_set():
            for notify in list(self._ear.notifies(timeout=0.1, stop_after=1)):
                if notify.payload not in self._own and "barrier" in notify.payload:
                    self._repeat(notify.payload)

    def _repeat(self, payload: str) -> None:
        copies = [
            one + " " * (self.sent + place)
            for place, one in enumerate([payload] * self._times + self._seen[-self._times :])
        ]
        self._own.update(copies)
        send(self._mouth, copies)
        self.sent += len(copies)
        with self._changed:
            self._seen.append(payload)
            self._changed.notify_all()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
