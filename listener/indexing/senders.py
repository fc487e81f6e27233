"""The senders: wait for Elasticsearch's answer, and tell whether it does what it should."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from listener import search
from listener.documents.source import DocumentSource
from listener.failures import Failure
from listener.indexing.batch import Batch, Brake, Settled
from listener.indexing.gate import Gate
from listener.indexing.ledger import Ledger, Wait
from listener.indexing.outage import Outage
from listener.indexing.refresher import Refresher
from listener.indexing.supervisor import Supervisor
from listener.observations import events
from listener.observations.events import Observe, ServerName
from listener.runtime.lifecycle import Life
from listener.runtime.pool import ServicePool
from listener.search.sink import Sent, send
from listener.search.verdicts import Outcome, Verdict
from listener.search.versions import generation_of

IN_FLIGHT: Final = 2
"""Requests that may be in flight at a time."""
BATCH_AGE: Final = 15.0
"""Seconds between read and send after which a batch is read again: a quarter of Elasticsearch's
default gc_deletes, so that no write comes later than the tombstone that should stop it."""


class Senders:
    """A few threads, each with at most one request."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        gate: Gate,
        refresher: Refresher,
        sources: Sequence[DocumentSource],
        client: search.Client,
        outage: Outage,
        supervisor: Supervisor,
        observe: Observe,
        life: Life,
    ) -> None:
        """`sources`: one for each document kind. `outage`: of Elasticsearch."""
        self._ledger = ledger
        self._gate = gate
        self._refresher = refresher
        self._sources = sources
        self._client = client
        self._outage = outage
        self._supervisor = supervisor
        self._observe = observe
        self._threads = ServicePool("sender", IN_FLIGHT, life)

    def stop(self) -> None:
        """Wait until all requests are answered. Safe to call twice."""
        self._threads.join()
        self._refresher.stop()

    def refresh_when_idle(self) -> Wait:
        """As of Refresher."""
        return self._refresher.when_idle()

    def dispatch(self, batch: Batch) -> None:
        """Hand one request to a thread."""
        if batch.live:
            batch.refresh = self._refresher.with_request(alone=not self._ledger.busy)
        self._ledger.sent()
        self._threads.submit(self._send, batch)

    def _send(self, batch: Batch) -> None:
        try:
            if time.monotonic() - batch.read_at > BATCH_AGE:
                late = Verdict(Outcome.RETRY, "read too long ago")
                sent = Sent((late,) * len(batch.documents), 0.0, 0)
            else:
                sent = send(
                    self._client,
                    batch.documents,
                    batch.targets,
                    batch.version,
                    refresh=batch.refresh,
                )
            self._answered(batch, sent)
        except BaseException as error:
            self._ledger.lost(error)
            raise

    def _answered(self, batch: Batch, sent: Sent) -> None:
        settled = self._ledger.answered(batch, sent)
        if batch.refresh:
            self._refresher.done(sent.seconds, ok=settled.worst is None)
        self._refresher.give_back_memory(sent.bytes)
        self._observe(
            events.Indexed(
                self._sources[batch.kind].name,
                written=settled.written,
                deleted=settled.deleted,
                retried=settled.retried,
                bytes=sent.bytes,
                seconds=sent.seconds,
                refreshed=batch.refresh,
            )
        )
        self._tell(batch, settled)

    def _tell(self, batch: Batch, settled: Settled) -> None:
        """Whether Elasticsearch does what it should."""
        worst, fenced = settled.worst, settled.fenced
        if worst is None:
            # a request that wrote nothing and made suspects proves nothing; and a trial ends the
            # brake of too many refusals only where nothing else waits or is in flight
            braked = self._outage.brake is Brake.TOO_MANY
            if (settled.last or batch.trial is None or not braked) and (
                settled.written or not settled.doubted
            ):
                self._outage.works()
        elif not fenced or generation_of(batch.version) >= self._gate.generation:
            if fenced:
                self._supervisor.fenced()
            passes = worst.outcome is not Outcome.HOLD
            failure = Failure(ServerName.ELASTICSEARCH, worst.reason, passes)
            self._outage.failed(failure, settled.brake)
        # else: an earlier generation of our own; it is read again under the one in force
