"""The refresher: makes what was indexed searchable, as soon as the pace allows."""

from __future__ import annotations

import threading
import time
from typing import Final

from listener import search
from listener.indexing.gate import Gate
from listener.indexing.ledger import Ledger, Wait
from listener.indexing.refresh import RefreshPace
from listener.observations import events
from listener.observations.events import Observe
from listener.runtime import memory
from listener.runtime.lifecycle import Life
from listener.runtime.pool import ServicePool
from listener.search.write_aliases import Role

_STORM: Final = 8_000_000
"""Bytes sent after which memory is given back at the next rest."""


class Refresher:
    """Thread-safe. Its lock is a leaf: no other one is taken while it is held."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        gate: Gate,
        client: search.Client,
        observe: Observe,
        life: Life,
    ) -> None:
        self._ledger = ledger
        self._gate = gate
        self._client = client
        self._observe = observe
        self._lock = threading.Lock()
        self._pace = RefreshPace()
        self._sent = 0
        self._thread = ServicePool("refresh", 1, life)

    def stop(self) -> None:
        """Wait until the refresh that runs is answered. Safe to call twice."""
        self._thread.join()

    def with_request(self, *, alone: bool) -> bool:
        """Whether a bulk that is sent now refreshes the index. `alone`: nothing else waits."""
        with self._lock:
            if alone and self._pace.may_now(time.monotonic()):
                return True
            self._pace.dirty = True
            return False

    def soon(self) -> None:
        """Something was indexed that must become searchable."""
        with self._lock:
            self._pace.dirty = True
        self._ledger.wake()

    def done(self, seconds: float, *, ok: bool) -> None:
        """A bulk that refreshed was answered; where it failed, another refresh is due."""
        with self._lock:
            self._pace.done(time.monotonic(), seconds, ok=ok)
        self._ledger.wake()

    def when_idle(self) -> Wait:
        """Nothing else is to be done: refresh now, or wait until one may begin."""
        with self._lock:
            if self._ledger.requests or not self._pace.dirty:
                return Wait(None)
            wait = self._pace.wait(time.monotonic())
            if wait > 0:
                return Wait(wait)
            self._pace.dirty = False
            self._pace.begun(time.monotonic())
        self._thread.submit(self._refresh)
        return Wait(None)

    def give_back_memory(self, size: int) -> None:
        """So many bytes were sent. What a storm took goes back to the system when it is over."""
        resting = self._ledger.resting  # before the lock, which is a leaf
        with self._lock:
            self._sent += size
            if self._sent <= _STORM or not resting:
                return
            self._sent = 0
        self._thread.submit(memory.give_back)

    def _refresh(self) -> None:
        names = [one.alias for one in self._gate.targets if one and one.role is Role.IN_USE]
        started = time.monotonic()
        try:
            if names:
                self._client.indices.refresh(index=names, ignore_unavailable=True)
        except search.Error:
            names = []  # an outage is told by the bulks; the index's own interval will do it
        except BaseException as error:
            self._ledger.crash(error)
            raise
        seconds = time.monotonic() - started
        self.done(seconds, ok=True)
        if names:
            self._observe(events.Refreshed(seconds))
