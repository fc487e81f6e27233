"""The senders: wait for Elasticsearch's answer and settle each document by its verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from listener import elastic, heap, observations
from listener.batches import Batch, Shared
from listener.bulk import Outcome, Verdict, generation_of
from listener.documents import DocumentSource
from listener.observations import Observe
from listener.outages import Outage
from listener.parking import TOO_MANY, ToPark
from listener.refresh import RefreshPace
from listener.sink import Sent, Versions, send

IN_FLIGHT: Final = 2
BATCH_AGE: Final = 15.0
"""Seconds between read and send after which a batch is read again: a quarter of Elasticsearch's
default gc_deletes, so that no write comes later than the tombstone that should stop it."""


_STORM: Final = 8_000_000
"""Bytes sent after which memory is given back at the next rest."""


class Senders:
    """A few threads, each with at most one request; and the forced refreshes."""

    def __init__(
        self,
        *,
        shared: Shared,
        sources: Sequence[DocumentSource],
        client: elastic.Client,
        versions: Versions,
        outage: Outage,
        observe: Observe,
        on_fenced: Callable[[], None],
        fatal: Callable[[BaseException], None],
    ) -> None:
        self._shared = shared
        self._sources = sources
        self._client = client
        self._versions = versions
        self._outage = outage
        self._observe = observe
        self._on_fenced = on_fenced
        self._fatal = fatal
        self.pace = RefreshPace()
        self._sent = 0
        self._threads = ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="sender")
        self._refresher = ThreadPoolExecutor(1, thread_name_prefix="refresh")

    def stop(self) -> None:
        """Wait until all requests are answered."""
        self._threads.shutdown()
        self._refresher.shutdown()

    def dispatch(self, batch: Batch) -> None:
        """Hand one request to a thread. Call it with the lock held."""
        shared = self._shared
        if batch.live:
            idle = not shared.tasks and not len(shared.pending)
            batch.refresh = idle and self.pace.may_now(time.monotonic())
            if not batch.refresh:
                self.pace.dirty = True
        shared.requests += 1
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
            with self._shared.lock:
                self._shared.crashed = f"{type(error).__name__}: {error}"
                self._shared.requests -= 1
                self._shared.lock.notify_all()
            self._fatal(error)

    def _answered(self, batch: Batch, sent: Sent) -> None:
        counts = {"written": 0, "deleted": 0, "retried": 0}
        worst: Verdict | None = None
        fenced = braked = False
        with self._shared.lock:
            if sent.taken:
                counts = self._settle_all(batch)
            for place, verdict in enumerate(() if sent.taken else sent.verdicts):
                settled = self._settle(batch, place, verdict)
                if settled is Outcome.DONE:
                    body = batch.documents[place].body
                    counts["deleted" if body is None else "written"] += 1
                elif settled is not Outcome.PARK:
                    counts["retried"] += 1
                    fenced = fenced or settled is Outcome.FENCED
                    braked = braked or verdict.outcome is Outcome.PARK
                    if settled is Outcome.FENCED and verdict.stored_version is not None:
                        stored = generation_of(verdict.stored_version)
                        self._shared.above = max(self._shared.above, stored)
                    if worst is None or settled is Outcome.HOLD:
                        worst = Verdict(settled, verdict.reason)
            if worst is None:
                self._shared.widen()
            elif worst.outcome is Outcome.RETRY:
                self._shared.narrow(sent.bytes)
            self._shared.lost = self._shared.lost or sent.lost
            self._shared.requests -= 1
            if batch.refresh:
                self.pace.done(time.monotonic(), sent.seconds, ok=worst is None)
            self._give_back_memory(sent.bytes)
            self._shared.lock.notify_all()
        self._observe(
            observations.Indexed(
                self._sources[batch.document].name,
                **counts,
                bytes=sent.bytes,
                seconds=sent.seconds,
                refreshed=batch.refresh,
            )
        )
        if worst is None:
            self._outage.works()
        elif not fenced or generation_of(batch.version) >= self._versions.generation:
            if fenced:
                self._on_fenced()
            reason = f"{TOO_MANY}: {worst.reason}" if braked else worst.reason
            self._outage.failed(reason, held=worst.outcome is Outcome.HOLD, braked=braked)
        # else: an earlier generation of our own; it is read again under the one in force

    def _give_back_memory(self, size: int) -> None:
        """What a storm took, when it is over. Call it with the lock held."""
        self._sent += size
        if self._sent > _STORM and self._shared.idle and not self._shared.plenty:
            self._sent = 0
            self._refresher.submit(heap.give_back)

    def _settle_all(self, batch: Batch) -> dict[str, int]:
        """As `_settle`, where each one is done."""
        shared = self._shared
        loading = shared.targets[batch.document].loading is not None
        ids = [one.id for one in batch.documents]
        shared.parking.all_accepted(batch.document, ids, everywhere=not loading)
        shared.finish_all(batch.document, batch.items)
        deleted = sum(one.body is None for one in batch.documents)
        return {"written": len(ids) - deleted, "deleted": deleted, "retried": 0}

    def _settle(self, batch: Batch, place: int, verdict: Verdict) -> Outcome:
        """Do what the verdict on one document says; the outcome, after the brake."""
        shared = self._shared
        one = batch.documents[place]
        jobs = batch.items[one.key]
        outcome = verdict.outcome
        if outcome is Outcome.PARK and not shared.parking.refused(
            ToPark(batch.document, one.key, one.id, jobs, verdict.reason)
        ):
            outcome = Outcome.HOLD
        if outcome is Outcome.DONE:
            loading = shared.targets[batch.document].loading is not None
            shared.parking.accepted(batch.document, one.id, everywhere=not loading)
            shared.finish(batch.document, one.key, jobs)
        elif outcome is not Outcome.PARK:
            shared.give_back(batch.document, one.key, jobs)
        return outcome

    def refresh_when_idle(self) -> float | None:
        """With the lock held and nothing else to do: refresh, or seconds until one may."""
        if self._shared.requests or not self.pace.dirty:
            return None
        wait = self.pace.wait(time.monotonic())
        if wait > 0:
            return wait
        self.pace.dirty = False
        self.pace.begun(time.monotonic())
        self._refresher.submit(self._refresh)
        return None

    def _refresh(self) -> None:
        names = [one.current.alias for one in self._shared.targets if one.current is not None]
        started = time.monotonic()
        try:
            if names:
                self._client.indices.refresh(index=names, ignore_unavailable=True)
        except elastic.Error:
            names = []  # an outage is told by the bulks; the index's own interval will do it
        seconds = time.monotonic() - started
        with self._shared.lock:
            self.pace.done(time.monotonic(), seconds, ok=True)
            self._shared.lock.notify_all()
        if names:
            self._observe(observations.Refreshed(seconds))
