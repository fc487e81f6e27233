"""The worker: one thread that reads documents, one batch at a time, and hands them to the senders.

It also has written down which documents are parked, and the next generation taken after a request
had no answer.
"""

from __future__ import annotations

from typing import Final

import psycopg

from listener.failures import Failure, failure_of
from listener.indexing.answers import Answers
from listener.indexing.batch import Batch, Brake
from listener.indexing.batcher import Batcher
from listener.indexing.gate import Gate
from listener.indexing.ledger import Lane, Ledger, Wait
from listener.indexing.outage import Outages
from listener.indexing.reader import Reader
from listener.indexing.senders import IN_FLIGHT, Senders
from listener.observations.events import ServerName
from listener.observations.surprises import Surprise, reading
from listener.runtime.lifecycle import Life, ServiceThread

_NO_LANE: Final = Lane(-1)
"""Nothing to read, but something to write down."""
_FENCE: Final = Lane(-2)
"""Nothing may be written before the next generation."""


class Worker:
    """Its methods, but for `_run` and what that calls, are for any thread. It is the Chooser of the
    ledger."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        gate: Gate,
        batcher: Batcher,
        reader: Reader,
        senders: Senders,
        outages: Outages,
        answers: Answers,
        life: Life,
    ) -> None:
        self._ledger = ledger
        self._gate = gate
        self._batcher = batcher
        self._reader = reader
        self._senders = senders
        self._outages = outages
        self._answers = answers
        self._held: dict[int, Lane] = {}
        """By kind, the lane whose failure is its own: only its own success is one."""
        self._thread = ServiceThread("pipeline", self._run, life)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self) -> None:
        """Wait until the thread and the senders have ended; the ledger must be stopped. Safe to
        call twice, or before the start."""
        self._thread.join()
        self._senders.stop()

    def renew(self) -> None:
        """Read on a new connection from now on. Call it while the ledger is quiet."""
        self._reader.renew()

    # -- the thread --------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while self._step():
                pass
        except BaseException as error:
            self._ledger.crash(error)
            raise
        finally:
            self._ledger.wake()
            self._reader.close()

    def _step(self) -> bool:
        """Wait for one piece of work and do it. False when stopping and nothing is in flight."""
        lane = self._ledger.wait_for_turn(self)
        if lane is None:
            return False
        if lane is _FENCE:
            self._ledger.end_turn()  # the fence waits until nothing is read
            self._answers.shut_out_late_requests()
            return True
        try:
            self._serve(lane)
        finally:
            self._ledger.end_turn()
        return True

    def look(self) -> Lane | Wait:
        """As of Chooser."""
        if not self._may_read():
            return Wait(None)
        wait = self._outages.wait
        if wait > 0:
            return Wait(wait)
        if self._gate.lost:
            return Wait(None) if self._ledger.requests else _FENCE
        due = self._outages.next_try  # what becomes due after this look is chosen, or waited for
        lane = self._batcher.choose()
        if lane is not None:
            return lane
        if not self._ledger.noted:
            return _NO_LANE
        rest = self._senders.refresh_when_idle().seconds
        return Wait(due if rest is None else rest if due is None else min(rest, due))

    def _may_read(self) -> bool:
        requests = self._ledger.requests
        # while as many as may be are in flight, the next one is read where it will be a large one;
        # small ones gather instead
        if requests > IN_FLIGHT or (requests == IN_FLIGHT and not self._ledger.plenty):
            return False
        # one request at a time finds out whether a server is back
        return self._outages.elasticsearch.lasts is None or not requests

    def _serve(self, lane: Lane) -> None:
        try:
            connection = self._reader.open()
        except (psycopg.Error, OSError, Surprise) as error:
            self._failed(error)
            return
        if lane is _NO_LANE:
            self._outages.postgres.works()
            return
        batch: Batch | None = None
        braked: str | None = None
        try:
            with reading():
                batch = self._batcher.gather(connection, lane)
            if batch is not None:
                braked = self._reader.read(connection, batch)
        except (psycopg.Error, OSError, Surprise) as error:
            if batch is not None:  # no document is at fault: it is read again
                self._ledger.give_back(batch.kind, batch.items)
            self._failed(error, lane)
            return
        self._outages.postgres.works()
        if braked is not None:
            failure = Failure(ServerName.POSTGRES, braked, passes=False)
            self._hold(lane, failure, Brake.TOO_MANY)
        elif self._held.get(lane.kind) == lane:
            # what another document is read for says nothing of the one that holds
            del self._held[lane.kind]
            own = self._outages.kinds[lane.kind]
            own.postgres.works()
            if not own.lasts:
                self._ledger.release(lane.kind)

    def _failed(self, error: Exception, lane: Lane | None = None) -> None:
        """Reading failed. What does not pass by itself is the fault of the lane's own statements,
        where one was read for, and holds no other kind."""
        failure = failure_of(error)
        self._reader.failed(failure.reason if failure.passes else None)
        if lane is None or failure.passes:
            self._outages.postgres.failed(failure)
        else:
            self._hold(lane, failure)

    def _hold(self, lane: Lane, failure: Failure, brake: Brake | None = None) -> None:
        self._outages.postgres.works()  # it answers
        self._held[lane.kind] = lane
        self._ledger.hold(lane.kind)
        self._outages.kinds[lane.kind].postgres.failed(failure, brake)
