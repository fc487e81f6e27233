"""Outages: a server that does not do what it should, since when, and until when we wait."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from listener.failures import Failure
from listener.indexing.batch import Brake
from listener.observations import events
from listener.observations.events import Observe, ServerName
from listener.runtime.backoff import Backoff


class Outage:
    """The waits for one server. Thread-safe; every wait is told, and so is the recovery.

    The lock is a leaf: nothing else is locked while it is held.
    """

    def __init__(self, server: ServerName, backoff: Backoff, observe: Observe) -> None:
        self.server = server
        self._backoff = backoff
        self._observe = observe
        self._lock = threading.Lock()
        self._since: float | None = None
        self._until = 0.0
        self.reason = ""
        self.held = False
        """Whether it lasts until a person mends something."""
        self.brake: Brake | None = None
        """Why refusals of documents are not the documents' fault: a person must look."""

    @property
    def lasts(self) -> float | None:
        """Seconds since the first failure of this streak; None: all is well."""
        since = self._since
        return None if since is None else time.monotonic() - since

    @property
    def wait(self) -> float:
        """Seconds until the next try is due; 0 or less: now."""
        return self._until - time.monotonic()

    def failed(self, failure: Failure, brake: Brake | None = None) -> None:
        """One more failure. `brake`: why it is not the fault of documents that are refused."""
        if brake is not None:
            failure = failure.during(brake)
        with self._lock:
            now = time.monotonic()
            if self._until > now:  # the other request of the same failure
                return
            self._since = now if self._since is None else self._since
            self.reason = failure.reason
            self.held = not failure.passes
            self.brake = brake
            seconds = self._backoff.next_wait()
            attempt = self._backoff.attempt
            self._until = now + seconds
        self._observe(failure.wait(attempt, seconds))

    def works(self) -> None:
        """A success: the next failure is the first one again."""
        if self._since is None:
            return
        with self._lock:
            since, self._since = self._since, None
            self.held = False
            self.brake = None
            self._until = 0.0
            self._backoff.reset()
        if since is not None:
            self._observe(events.Recovered(self.server, time.monotonic() - since))


@dataclass(frozen=True, slots=True)
class Trouble:
    """Which server does not do what it should, for how many seconds, and why."""

    server: ServerName
    seconds: float
    reason: str


class Outages:
    """Those of the two servers of one run. Thread-safe."""

    def __init__(self, postgres: Outage, elasticsearch: Outage) -> None:
        self.postgres = postgres
        self.elasticsearch = elasticsearch

    @property
    def wait(self) -> float:
        """Seconds until the next try of either is due; 0 or less: now."""
        return max(self.elasticsearch.wait, self.postgres.wait)

    @property
    def trouble(self) -> Trouble | None:
        """The server that does not do what it should; None: both do."""
        for one in (self.postgres, self.elasticsearch):
            lasts = one.lasts
            if lasts is not None:
                return Trouble(one.server, lasts, one.reason)
        return None

    @property
    def held(self) -> str | None:
        """The last reason, where a server is not to be waited for but a person must mend it."""
        return next((one.reason for one in (self.postgres, self.elasticsearch) if one.held), None)

    @property
    def braked(self) -> str | None:
        """The last reason, where so many documents are refused that a person must look."""
        return next((one.reason for one in (self.postgres, self.elasticsearch) if one.brake), None)
