"""Failures: what an error means, in words, and whether it passes by itself.

One place for the errors of both servers, and for what data of others raised in listener's own code.
A failure that passes is waited for; any other is held until a person has mended its cause.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import psycopg

from listener import postgres, search
from listener.observations import events
from listener.observations.events import Observe, ServerName
from listener.observations.surprises import SURPRISES, told
from listener.runtime.backoff import Backoff

SERVER_ERRORS: Final[tuple[type[Exception], ...]] = (psycopg.Error, *search.Error)
"""Errors of the two servers' clients."""
FAILURES: Final[tuple[type[Exception], ...]] = (*SERVER_ERRORS, *SURPRISES)
"""All that `failure_of` is for, but for the errors of the operating system."""


@dataclass(frozen=True, slots=True)
class Failure:
    """`server`: the one that failed; None: what was read is not what it should be."""

    server: ServerName | None
    reason: str
    passes: bool

    def __str__(self) -> str:
        return self.reason if self.server is None else f"{self.server}: {self.reason}"

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
            return events.Waiting(self.waits_for, attempt, seconds, self.reason)
        return events.Held(self.reason, seconds)


def failure_of(error: BaseException) -> Failure:
    """What this error means. It must be one of FAILURES, or an OSError of a connection."""
    if isinstance(error, search.Error):
        return Failure(ServerName.ELASTICSEARCH, search.describe(error), search.is_passing(error))
    if isinstance(error, psycopg.Error | OSError):
        passes = isinstance(error, OSError) or postgres.is_passing(error)
        return Failure(ServerName.POSTGRES, postgres.describe(error), passes)
    return Failure(None, told(error), passes=False)
