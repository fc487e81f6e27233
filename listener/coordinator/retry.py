"""The guard: runs one round; a recoverable error becomes a wait that is told, and a next try."""

from __future__ import annotations

import time
from collections.abc import Callable

from listener import ListenerError, triggers
from listener.coordinator.signs import Signs
from listener.documents.files import QueryFileError
from listener.documents.topology import QueriesWrong
from listener.documents.upkeep import TriggersWrong
from listener.failures import FAILURES, Failure, failure_of
from listener.indexing.gate import FencedOut
from listener.indexing.pipeline import Interrupted
from listener.observations.events import Observe, ServerName
from listener.runtime.backoff import Backoff
from listener.runtime.lifecycle import Stop
from listener.search.index_config import IndexError_
from listener.state.heartbeat import waiting_for


class GaveUp(ListenerError):
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
        """Run one round. False where it failed, and the wait before the next try is over.

        What ends the session or the run, and defects, pass through; so does QueryFileError.
        """
        try:
            work()
        except FencedOut as error:
            self._wait(Failure(ServerName.ELASTICSEARCH, str(error), passes=True))
        except triggers.Busy as error:
            self._wait(Failure(ServerName.POSTGRES, str(error), passes=True))
        except (Interrupted, IndexError_, QueriesWrong, TriggersWrong) as error:
            self._wait(Failure(None, str(error), passes=False, mend=error.mend))
        except QueryFileError:
            raise
        except FAILURES as error:  # of data, too: a new session looks at the catalog anew
            self._wait(failure_of(error))
        else:
            self._backoff.reset()
            self._failing_since = None
            return True
        return False

    def patience(self, reason: str, since: float, mend: str = "") -> None:
        """Raises GaveUp where what began then (time.monotonic) has lasted for too long."""
        if self._give_up_after is not None and time.monotonic() - since > self._give_up_after:
            raise GaveUp(f"gave up after {self._give_up_after:g} s: {reason}", mend=mend)

    def _wait(self, failure: Failure) -> None:
        """Until the next try."""
        self._failing_since = self._failing_since or time.monotonic()
        told = failure.named if failure.passes else failure.reason
        self.patience(told, self._failing_since, failure.mend)
        seconds = failure.next_wait(self._backoff, self._observe)
        self._signs.tell(waiting_for(failure.waits_for), failure.reason, failure.mend)
        self._stop.wait(seconds)
