"""Outages: a server that does not do what it should, since when, and until when we wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
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
        self.failure: Failure | None = None
        """The last one, also where all is well again."""
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
            self.failure = failure  # first: who sees since when it lasts sees why
            self._since = now if self._since is None else self._since
            self.held = not failure.passes
            self.brake = brake
            seconds = self._backoff.next_wait()
            attempt = self._backoff.attempt
            self._until = now + seconds
        self._observe(failure.wait(attempt, seconds))

    def works(self) -> None:
        """A success: the next failure is the first one again."""
        since = self.forget()
        if since is not None:
            self._observe(events.Recovered(self.server, time.monotonic() - since))

    def forget(self) -> float | None:
        """Nothing is known to fail. Returns since when something was; None: nothing was."""
        if self._since is None:
            return None
        with self._lock:
            since, self._since = self._since, None
            self.held = False
            self.brake = None
            self._until = 0.0
            self._backoff.reset()
        return since


@dataclass(frozen=True, slots=True)
class Trouble:
    """Which server does not do what it should, for how many seconds, and why. `held`: it lasts
    until a person mends something. `mend`: as of Failure."""

    server: ServerName
    seconds: float
    reason: str
    held: bool = False
    mend: str = ""


@dataclass(frozen=True, slots=True)
class KindOutages:
    """Those of one document kind: its query fails, or its index does not take what is sent."""

    postgres: Outage
    elasticsearch: Outage

    @property
    def wait(self) -> float:
        """Seconds until the next try is due; 0 or less: now."""
        return max(self.elasticsearch.wait, self.postgres.wait)

    @property
    def lasts(self) -> bool:
        """Whether either lasts."""
        return not (self.postgres.lasts is None and self.elasticsearch.lasts is None)

    def forget(self) -> None:
        """Its index is another one, or none: it begins anew."""
        self.postgres.forget()
        self.elasticsearch.forget()


class Outages:
    """Those of the two servers of one run, and of its document kinds. Thread-safe."""

    def __init__(
        self, postgres: Outage, elasticsearch: Outage, kinds: Sequence[KindOutages]
    ) -> None:
        """`kinds`: by their numbers. The others are of the servers as a whole."""
        self.postgres = postgres
        self.elasticsearch = elasticsearch
        self.kinds = kinds

    @property
    def _all(self) -> Iterator[Outage]:
        yield self.postgres
        yield self.elasticsearch
        for one in self.kinds:
            yield one.postgres
            yield one.elasticsearch

    @property
    def wait(self) -> float:
        """Seconds until the next try of either server is due; 0 or less: now."""
        return max(self.elasticsearch.wait, self.postgres.wait)

    @property
    def next_try(self) -> float | None:
        """Seconds until the next try of a kind is due that waits for it; None: none does."""
        return min((one.wait for one in self.kinds if one.wait > 0), default=None)

    @property
    def trouble(self) -> Trouble | None:
        """The server that does not do what it should; None: both do."""
        return _first(self._all)

    def trouble_of(self, kind: int) -> Trouble | None:
        """The server that does not do what it should for this kind alone; None: both do."""
        own = self.kinds[kind]
        return _first((own.postgres, own.elasticsearch))

    @property
    def held(self) -> Failure | None:
        """The last failure, where a server is not to be waited for but a person must mend it."""
        return next((one.failure for one in self._all if one.held), None)

    @property
    def braked(self) -> Failure | None:
        """The last failure, where so many documents are refused that a person must look."""
        return next((one.failure for one in self._all if one.brake), None)


def _first(outages: Iterable[Outage]) -> Trouble | None:
    for one in outages:
        lasts, failure = one.lasts, one.failure
        if lasts is not None and failure is not None:
            return Trouble(one.server, lasts, failure.reason, one.held, failure.mend)
    return None
