"""Somebody who may connect, and therefore NOTIFY: no right on any table, and no good will."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

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

    def __init__(self, scene: Scene, make: Callable[[int], str], *, rate: int) -> None:
        """`make` is given the number of the payload."""
        self._scene = scene
        self._make = make
        self._size = max(1, rate // 20)
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._sent = 0

    @property
    def sent(self) -> int:
        """How many payloads so far; raises what ended the flood."""
        if self._error is not None:
            raise self._error
        return self._sent

    def _run(self) -> None:
        try:
            connection = self._scene.connect()
            while not self._stop.wait(0.05):
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
