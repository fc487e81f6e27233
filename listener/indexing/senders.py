"""The senders: a few threads that send requests and wait for Elasticsearch's answers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from listener import search
from listener.documents.source import DocumentSource
from listener.indexing.answers import Answers
from listener.indexing.batch import Batch
from listener.indexing.ledger import Ledger, Wait
from listener.indexing.refresher import Refresher
from listener.observations import events
from listener.observations.events import Observe
from listener.runtime.lifecycle import Life
from listener.runtime.pool import ServicePool
from listener.search.sink import Sent, send
from listener.search.verdicts import Outcome, Verdict

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
        refresher: Refresher,
        sources: Sequence[DocumentSource],
        client: search.Client,
        answers: Answers,
        observe: Observe,
        life: Life,
    ) -> None:
        """`sources`: one for each document kind."""
        self._ledger = ledger
        self._refresher = refresher
        self._sources = sources
        self._client = client
        self._answers = answers
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
        self._ledger.sent(batch.kind)
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
                    batch.target,
                    batch.version,
                    refresh=batch.refresh,
                )
            self._answered(batch, sent)
        except BaseException as error:
            self._ledger.lost(batch.kind, error)
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
        self._answers.settled(batch, settled)
