"""Failures: what an error means, in words, and whether it passes by itself.

One place for the errors of both servers, and for what data of others raised in listener's own code.
A failure that passes is waited for; any other is held until a person has mended its cause.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import psycopg

from listener import ListenerError, postgres, search
from listener.observations import events
from listener.observations.events import Observe, ServerName
from listener.observations.mends import with_mend
from listener.observations.surprises import SURPRISES, told
from listener.runtime.backoff import Backoff

SERVER_ERRORS: Final[tuple[type[Exception], ...]] = (psycopg.Error, *search.Error)
"""Errors of the two servers' clients."""
FAILURES: Final[tuple[type[Exception], ...]] = (*SERVER_ERRORS, *SURPRISES)
"""All that `failure_of` is for, but for the errors of the operating system."""


@dataclass(frozen=True, slots=True)
class Failure:
    """`server`: the one that failed; None: what was read is not what it should be. `mend`: what
    mends it, with the command where there is one; empty: that is not known."""

    server: ServerName | None
    reason: str
    passes: bool
    mend: str = ""

    def __str__(self) -> str:
        return with_mend(self.named, self.mend)

    @property
    def named(self) -> str:
        """The reason, after the name of the server that failed."""
        return self.reason if self.server is None else f"{self.server}: {self.reason}"

    @property
    def told(self) -> str:
        """The reason, and what mends it."""
        return with_mend(self.reason, self.mend)

    @property
    def waits_for(self) -> ServerName | None:
        """The server that is waited for; None: a person must mend something."""
        return self.server if self.passes else None

    def during(self, what: str) -> Failure:
        """The same, and what was being done."""
        return replace(self, reason=f"{what}: {self.reason}")

    def next_wait(self, backoff: Backoff, observe: Observe) -> float:
        """Tell of the wait that follows. Returns its seconds; the caller waits."""
        seconds = backoff.next_wait()
        observe(self.wait(backoff.attempt, seconds))
        return seconds

    def wait(self, attempt: int, seconds: float) -> events.Waiting | events.Held:
        """What is told of a wait: the `attempt`-th try failed, the next follows in `seconds`."""
        if self.waits_for is not None:
            return events.Waiting(self.waits_for, attempt, seconds, self.told)
        return events.Held(self.told, seconds)


def failure_of(error: BaseException) -> Failure:
    """What this error means. It must be one of FAILURES, or an OSError of a connection."""
    if isinstance(error, search.Error):
        reason, mend = search.explain(error)
        return Failure(ServerName.ELASTICSEARCH, reason, search.is_passing(error), mend)
    if isinstance(error, psycopg.Error | OSError):
        passes = isinstance(error, OSError) or postgres.is_passing(error)
        reason, mend = postgres.explain(error)
        return Failure(ServerName.POSTGRES, reason, passes, mend)
    return Failure(None, told(error), passes=False, mend=mend_of(error))


def mend_of(error: BaseException) -> str:
    """What mends an error of listener's own, where it says so; else empty."""
    return error.mend if isinstance(error, ListenerError) else ""
