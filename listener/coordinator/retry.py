"""The guard: turns what a round of work meets into a wait, told to people, and a next try."""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg

from listener import postgres, search
from listener.coordinator.signs import Signs
from listener.documents.queries import QueryFileError
from listener.documents.topology import QueriesWrong, TriggersWrong
from listener.indexing.fence import FencedOut
from listener.observations import events
from listener.observations.events import Observe
from listener.observations.surprises import SURPRISES, told
from listener.runtime.backoff import Backoff
from listener.runtime.lifecycle import Stop
from listener.search.index_config import IndexError_


class GaveUp(Exception):
    """A server was away for longer than `give_up_after`."""


class Guard:
    """Runs rounds of the coordinator. Of its thread."""

    def __init__(
        self,
        backoff: Backoff,
        give_up_after: float | None,
        observe: Observe,
        stop: Stop,
        signs: Signs,
    ) -> None:
        """`give_up_after`: seconds of an outage until GaveUp; None: never."""
        self._backoff = backoff
        self._give_up_after = give_up_after
        self._observe = observe
        self._stop = stop
        self._signs = signs
        self._failing_since: float | None = None

    def run(self, work: Callable[[], None]) -> bool:
        """Run one round; False where it failed and was waited for. What is neither a server's
        fault, nor its data's, nor a person's to mend passes through.
        """
        try:
            work()
        except FencedOut as error:
            self._wait("Elasticsearch", str(error))
        except psycopg.Error as error:
            passing = postgres.is_passing(error)
            self._wait("PostgreSQL" if passing else None, postgres.describe(error))
        except search.Error as error:
            passing = search.is_passing(error)
            self._wait("Elasticsearch" if passing else None, search.describe(error))
        except (IndexError_, QueriesWrong, TriggersWrong) as error:
            self._wait(None, str(error))
        except QueryFileError:
            raise
        except SURPRISES as error:  # a new session looks at the catalog anew
            self._wait(None, told(error))
        else:
            self._backoff.reset()
            self._failing_since = None
            return True
        return False

    def patience(self, reason: str, since: float) -> None:
        """Raises GaveUp where what began then (time.monotonic) has lasted for too long."""
        if self._give_up_after is not None and time.monotonic() - since > self._give_up_after:
            raise GaveUp(f"gave up after {self._give_up_after:g} s: {reason}")

    def _wait(self, server: str | None, reason: str) -> None:
        """Until the next try. `server`: which does not answer; None: somebody has to mend it."""
        self._failing_since = self._failing_since or time.monotonic()
        self.patience(f"{server}: {reason}" if server else reason, self._failing_since)
        seconds = self._backoff.next_wait()
        if server is None:
            self._observe(events.Held(reason, seconds))
            self._signs.tell("held", reason)
        else:
            self._observe(events.Waiting(server, self._backoff.attempt, seconds, reason))
            self._signs.tell(f"waiting for {server}", reason)
        self._stop.wait(seconds)
