"""Watches an index while edits go on: one thread that asks for everything still outstanding."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from playground.demo_index import Document, Expected

ARRIVES_WITHIN: Final = 30.0
"""Seconds after which an edit counts as lost; it enters the samples with this time."""
_BETWEEN: Final = 0.001

Read = Callable[[Sequence[str]], Mapping[str, Document]]


class Watcher:
    """Times arrivals. An id must not be expected again before it has arrived.

    It asks a millisecond apart, in one request for all that is outstanding, so that a slow answer
    for one edit never keeps the next one waiting for its first look.
    """

    def __init__(self, read: Read, then: Watcher | None = None) -> None:
        """`then` is told what has arrived here, and looks for it elsewhere."""
        self._read = read
        self._then = then
        self._changed = threading.Condition()
        self._outstanding: dict[str, tuple[Document | None, float]] = {}
        self._ending = False
        self._error: BaseException | None = None
        self.samples: list[float] = []
        """Milliseconds from commit to arrival, in the order of arrival."""
        self.lost = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def expect(self, expected: Expected, since: float) -> None:
        """These documents were committed at this time (time.perf_counter)."""
        with self._changed:
            self._outstanding.update((one, (document, since)) for one, document in expected.items())
            self._changed.notify()

    def finish(self) -> None:
        """Wait until everything has arrived or is lost. Raises what ended the thread early."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while ids := self._next():
                self._look(ids)
                time.sleep(_BETWEEN)
        except BaseException as error:
            self._error = error

    def _next(self) -> list[str]:
        with self._changed:
            self._changed.wait_for(lambda: self._outstanding or self._ending)
            return list(self._outstanding)

    def _look(self, ids: Sequence[str]) -> None:
        found = self._read(ids)
        now = time.perf_counter()
        for one in ids:
            document, since = self._outstanding[one]
            arrived = found.get(one) == document
            if not arrived and now - since < ARRIVES_WITHIN:
                continue
            with self._changed:
                del self._outstanding[one]
            self.lost += not arrived
            self.samples.append(1000 * min(now - since, ARRIVES_WITHIN))
            if arrived and self._then is not None:
                self._then.expect({one: document}, since)
