"""The senders: wait for Elasticsearch's answer and settle each document by its verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

from listener import search
from listener.documents.source import DocumentSource
from listener.indexing.ledger import Batch, Shared, Trial
from listener.indexing.outage import Outage
from listener.indexing.parked_table import UNPROVEN
from listener.indexing.parking import ALL_REFUSED, TOO_MANY, ToPark
from listener.indexing.refresh import RefreshPace
from listener.observations import events
from listener.observations.events import Observe
from listener.runtime import memory
from listener.search.bulk import Outcome, Verdict, generation_of
from listener.search.sink import Sent, Versions, send

IN_FLIGHT: Final = 2
BATCH_AGE: Final = 15.0
"""Seconds between read and send after which a batch is read again: a quarter of Elasticsearch's
default gc_deletes, so that no write comes later than the tombstone that should stop it."""


_SMALL: Final = 100_000
_STORM: Final = 8_000_000
"""Bytes sent after which memory is given back at the next rest."""


@dataclass(slots=True)
class _Settled:
    """What became of one request."""

    written: int = 0
    deleted: int = 0
    retried: int = 0
    worst: Verdict | None = None
    fenced: bool = False
    braked: bool = False
    doubted: bool = False


class Senders:
    """A few threads, each with at most one request; and the forced refreshes."""

    def __init__(
        self,
        *,
        shared: Shared,
        sources: Sequence[DocumentSource],
        client: search.Client,
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
        with self._shared.lock:
            if sent.taken:
                settled = self._settle_all(batch)
            else:
                settled = self._settle_each(batch, sent.verdicts)
            worst = settled.worst
            if worst is None:
                self._shared.widen()
            elif worst.outcome is Outcome.RETRY:
                self._shared.narrow(sent.bytes)
            self._shared.lost = self._shared.lost or sent.lost
            self._shared.requests -= 1
            if batch.refresh:
                self.pace.done(time.monotonic(), sent.seconds, ok=worst is None)
            self._give_back_memory(sent.bytes)
            last = not (self._shared.requests or self._shared.tasks or len(self._shared.pending))
            self._shared.lock.notify_all()
        self._observe(
            events.Indexed(
                self._sources[batch.document].name,
                written=settled.written,
                deleted=settled.deleted,
                retried=settled.retried,
                bytes=sent.bytes,
                seconds=sent.seconds,
                refreshed=batch.refresh,
            )
        )
        self._tell(batch, settled, last=last)

    def _tell(self, batch: Batch, settled: _Settled, *, last: bool) -> None:
        """Whether Elasticsearch does what it should. `last`: nothing else waits for it."""
        worst, fenced = settled.worst, settled.fenced
        if worst is None:
            # suspects say nothing; and a brake is over when others than theirs are taken, or
            # when there are no others
            braked = self._outage.braked and self._outage.reason.startswith(TOO_MANY)
            if (last or batch.trial is None or not braked) and (
                settled.written or not settled.doubted
            ):
                self._outage.works()
        elif not fenced or generation_of(batch.version) >= self._versions.generation:
            if fenced:
                self._on_fenced()
            reason = worst.reason
            if settled.braked and not reason.startswith(ALL_REFUSED):
                reason = f"{TOO_MANY}: {reason}"
            held = worst.outcome is Outcome.HOLD
            self._outage.failed(reason, held=held, braked=settled.braked)
        # else: an earlier generation of our own; it is read again under the one in force

    def _settle_each(self, batch: Batch, verdicts: Sequence[Verdict]) -> _Settled:
        """Settle each document by its verdict. Call it with the lock held."""
        settled = _Settled()
        if batch.trial is not None:
            verdicts = self._tried(batch, batch.trial, verdicts)
        for place, verdict in enumerate(verdicts):
            outcome = self._settle(batch, place, verdict)
            if outcome is Outcome.DONE:
                body = batch.documents[place].body
                settled.deleted += body is None
                settled.written += body is not None
                continue
            if outcome is Outcome.PARK:
                continue
            settled.retried += 1
            if outcome is Outcome.SUSPECT:
                settled.doubted = True
                continue
            settled.braked = settled.braked or verdict.outcome is Outcome.PARK or verdict.proven
            if outcome is Outcome.FENCED:
                settled.fenced = True
                if verdict.stored_version is not None:
                    stored = generation_of(verdict.stored_version)
                    self._shared.above = max(self._shared.above, stored)
            if settled.worst is None or outcome is Outcome.HOLD:
                settled.worst = Verdict(outcome, verdict.reason, proven=verdict.proven)
        return settled

    def _give_back_memory(self, size: int) -> None:
        """What a storm took, when it is over. Call it with the lock held."""
        self._sent += size
        if self._sent > _STORM and self._shared.idle and not self._shared.plenty:
            self._sent = 0
            self._refresher.submit(memory.give_back)

    def _settle_all(self, batch: Batch) -> _Settled:
        """As `_settle`, where each one is done."""
        shared = self._shared
        loading = shared.targets[batch.document].loading is not None
        ids = [one.id for one in batch.documents]
        shared.parking.all_accepted(batch.document, ids, everywhere=not loading)
        shared.finish_all(batch.document, batch.items)
        self._remember_good(batch)
        shared.no_witness[batch.document].clear()
        deleted = sum(one.body is None for one in batch.documents)
        return _Settled(written=len(ids) - deleted, deleted=deleted)

    def _settle(self, batch: Batch, place: int, verdict: Verdict) -> Outcome:
        """Do what the verdict on one document says; the outcome, after the brake."""
        shared = self._shared
        one = batch.documents[place]
        jobs = batch.items[one.key]
        outcome = verdict.outcome
        trial = batch.trial
        suspects = shared.suspects[batch.document]
        if outcome is Outcome.PARK:
            aside = ToPark(batch.document, one.key, one.id, jobs, verdict.reason)
            outcome = self._refused(batch, aside, verdict)
        elif outcome is Outcome.SUSPECT:
            suspects[one.key] = None
        if outcome is Outcome.DONE:
            loading = shared.targets[batch.document].loading is not None
            if trial is None or one.key != trial.witness:  # which says nothing of a row of faults
                shared.parking.accepted(batch.document, one.id, everywhere=not loading)
            shared.finish(batch.document, one.key, jobs)
            if one.body is not None:
                shared.is_good(batch.document, one.key)
        elif outcome is not Outcome.PARK:
            shared.give_back(batch.document, one.key, jobs)
        return outcome

    def _refused(self, batch: Batch, one: ToPark, verdict: Verdict) -> Outcome:
        """Elasticsearch has refused this document, for a fault of its own, as it seems."""
        shared, parking = self._shared, self._shared.parking
        suspects = shared.suspects[batch.document]
        shared.good[batch.document].pop(one.key, None)
        if batch.trial is not None:  # it was counted when it became a suspect
            if (one.document, one.id) not in parking.known and parking.full():
                return Outcome.HOLD
        elif one.key in suspects:  # some sweep or load has asked for it, too
            return Outcome.SUSPECT
        elif parking.braked(one, suspects=sum(map(len, shared.suspects))):
            return Outcome.HOLD
        elif not verdict.proven:
            suspects[one.key] = None
            return Outcome.SUSPECT
        suspects.pop(one.key, None)
        parking.put_aside(one)
        return Outcome.PARK

    def _tried(
        self, batch: Batch, trial: Trial, verdicts: Sequence[Verdict]
    ) -> tuple[Verdict, ...]:
        """What a trial shows: the verdicts on it, with PARK only where a fault is proven."""
        shared = self._shared
        useless, suspects = shared.no_witness[batch.document], shared.suspects[batch.document]
        places = {one.key: place for place, one in enumerate(batch.documents)}
        place = places.get(trial.witness) if trial.witness is not None else None
        witness = verdicts[place] if place is not None else None
        present = place is not None and batch.documents[place].body is not None
        if witness is not None and present and witness.outcome is Outcome.DONE:
            useless.clear()
            return tuple(verdicts)
        refused = [one for one in verdicts if one.outcome is Outcome.PARK]
        if trial.witness is not None:
            shared.good[batch.document].pop(trial.witness, None)
            if witness is None or not present or witness.outcome is Outcome.PARK:
                useless.add(trial.witness)
        if not refused:
            return tuple(verdicts)
        if trial.sole:
            return tuple(
                replace(one, reason=f"{UNPROVEN}{one.reason}")
                if one.outcome is Outcome.PARK
                else one
                for one in verdicts
            )
        if trial.witness is None or (witness is not None and witness.outcome is Outcome.PARK):
            # it is not theirs alone: they are suspects no more
            suspects.clear()
            reason = f"{ALL_REFUSED}: {refused[0].reason}"
            instead = Verdict(Outcome.HOLD, reason, proven=True)
        elif witness is not None and present:  # no room, or no answer: it says nothing
            instead = Verdict(witness.outcome, witness.reason, witness.stored_version)
        else:  # its row is gone, or cannot be read: another one, then
            instead = Verdict(Outcome.SUSPECT)
        return tuple(instead if one.outcome is Outcome.PARK else one for one in verdicts)

    def _remember_good(self, batch: Batch) -> None:
        """One of a batch that was taken. A small one: it may be sent beside many suspects."""
        for one in batch.documents[-20:]:
            if one.body is not None and len(one.body) <= _SMALL:
                self._shared.is_good(batch.document, one.key)
                return

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
        except search.Error:
            names = []  # an outage is told by the bulks; the index's own interval will do it
        seconds = time.monotonic() - started
        with self._shared.lock:
            self.pace.done(time.monotonic(), seconds, ok=True)
            self._shared.lock.notify_all()
        if names:
            self._observe(events.Refreshed(seconds))
