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

_NO_LANE: Final = Lane(-1, load_only=False)
"""Nothing to read, but something to write down."""
_FENCE: Final = Lane(-2, load_only=False)
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
        self._held: Lane | None = None
        """The lane whose failure is to be mended by a person: only its own success is one."""
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
        lane = self._batcher.choose()
        if lane is not None:
            return lane
        return self._senders.refresh_when_idle() if self._ledger.noted else _NO_LANE

    def _may_read(self) -> bool:
        requests = self._ledger.requests
        # while as many as may be are in flight, the next one is read where it will be a large one;
        # small ones gather instead
        if requests > IN_FLIGHT or (requests == IN_FLIGHT and not self._ledger.plenty):
            return False
        # one request at a time finds out whether a server is back
        return self._outages.elasticsearch.lasts is None or not requests

    def _serve(self, lane: Lane) -> None:
        batch: Batch | None = None
        braked: str | None = None
        try:
            connection = self._reader.open()
            if lane is not _NO_LANE:
                with reading():
                    batch = self._batcher.gather(connection, lane)
            if batch is not None:
                braked = self._reader.read(connection, batch)
        except (psycopg.Error, OSError, Surprise) as error:
            self._failed(lane, batch, error)
            return
        if braked is not None:
            failure = Failure(ServerName.POSTGRES, braked, passes=False)
            self._outages.postgres.failed(failure, Brake.TOO_MANY)
        elif self._held in (None, lane):
            # what another document is read for says nothing of the one that holds
            self._held = None
            self._outages.postgres.works()

    def _failed(self, lane: Lane, batch: Batch | None, error: Exception) -> None:
        """Reading failed, and no document is at fault: everything goes back, to be read again."""
        failure = failure_of(error)
        self._reader.failed(failure.reason if failure.passes else None)
        if batch is not None:
            self._ledger.give_back(batch.kind, batch.items)
        self._held = None if failure.passes else lane
        self._outages.postgres.failed(failure)
