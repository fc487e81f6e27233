"""Settling a request: each document is done, read again, a suspect, or parked, by its verdict.

No I/O and no locks: the ledger calls it under its own. The rules of parking are in `parking`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from listener.indexing.batch import Batch, Brake, Settled, Trial
from listener.indexing.gate import Gate
from listener.indexing.parking import UNPROVEN, Parking, ToPark
from listener.indexing.work import Work
from listener.search.verdicts import Outcome, Verdict
from listener.search.versions import generation_of
from listener.search.write_aliases import Role

_SMALL: Final = 100_000
"""Bytes up to which a document is remembered as a witness."""


class Settlement:
    """Settles requests. `works`: one for each document kind."""

    def __init__(self, works: Sequence[Work], parking: Parking, gate: Gate) -> None:
        self._works = works
        self._parking = parking
        self._gate = gate

    def all_done(self, batch: Batch) -> Settled:
        """Every document of the batch was taken."""
        work = self._works[batch.kind]
        ids = [one.id for one in batch.documents]
        self._parking.all_accepted(batch.kind, ids)
        work.finish_all(batch.items)
        self._remember_good(batch)
        work.useless.clear()
        deleted = sum(one.body is None for one in batch.documents)
        self._count(batch, len(ids) - deleted)
        return Settled(written=len(ids) - deleted, deleted=deleted)

    def each(self, batch: Batch, verdicts: Sequence[Verdict]) -> Settled:
        """Each document by its own verdict; `verdicts` are in the order of `batch.documents`."""
        settled = Settled()
        if batch.trial is not None:
            verdicts = self._tried(batch, batch.trial, verdicts)
        for place, verdict in enumerate(verdicts):
            outcome = self._one(batch, place, verdict)
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
            if verdict.outcome is Outcome.PARK:
                settled.brake = Brake.TOO_MANY
            elif verdict.proven:  # the witness was refused, too: no document's own fault
                settled.brake = Brake.ALL_REFUSED
            if outcome is Outcome.FENCED:
                settled.fenced = True
                if verdict.stored_version is not None:
                    self._gate.saw(generation_of(verdict.stored_version))
            if settled.worst is None or outcome is Outcome.HOLD:
                settled.worst = replace(verdict, outcome=outcome, stored_version=None)
        self._count(batch, settled.written)
        return settled

    def _count(self, batch: Batch, written: int) -> None:
        """What the index of a load was brought: by its pages, and by changes meanwhile."""
        if batch.trial is None and _loads(batch):
            self._works[batch.kind].loaded += written

    def _remember_good(self, batch: Batch) -> None:
        """One of a batch that was taken. A small one: it may be sent beside many suspects."""
        for one in batch.documents[-20:]:
            if one.body is not None and len(one.body) <= _SMALL:
                self._works[batch.kind].is_good(one.key)
                return

    def _one(self, batch: Batch, place: int, verdict: Verdict) -> Outcome:
        """Do what the verdict on one document says; the outcome, after the brake."""
        work = self._works[batch.kind]
        one = batch.documents[place]
        jobs = batch.items[one.key]
        outcome = verdict.outcome
        trial = batch.trial
        if outcome is Outcome.PARK:
            aside = ToPark(batch.kind, one.key, one.id, jobs, verdict.reason)
            outcome = self._refused(batch, aside, verdict)
        elif outcome is Outcome.SUSPECT:
            work.suspects[one.key] = None
        if outcome is Outcome.DONE:
            # a witness says nothing of a streak of faults
            if trial is None or one.key != trial.witness:
                self._parking.accepted(batch.kind, one.id)
            work.finish(one.key, jobs)
            if one.body is not None:
                work.is_good(one.key)
        elif outcome is not Outcome.PARK:
            work.give_back(one.key, jobs)
        return outcome

    def _refused(self, batch: Batch, one: ToPark, verdict: Verdict) -> Outcome:
        """Elasticsearch has refused this document, for a fault of its own, as it seems."""
        work, parking = self._works[batch.kind], self._parking
        work.good.pop(one.key, None)
        if batch.trial is not None:  # it was counted when it became a suspect
            too_many = (one.kind, one.id) not in parking.known and parking.full(one.kind)
        elif one.key in work.suspects:  # some sweep or load has asked for it, too
            return Outcome.SUSPECT
        else:
            too_many = parking.braked(one, suspects=len(work.suspects))
            if not (too_many or verdict.proven):
                work.suspects[one.key] = None
                return Outcome.SUSPECT
        if too_many and not _loads(batch):
            return Outcome.HOLD
        work.suspects.pop(one.key, None)
        if too_many and parking.full(one.kind, len(work.suspects)):
            parking.leave_out(one.kind, one.id)
            work.finish(one.key, one.jobs)
        else:
            parking.put_aside(one)
        return Outcome.PARK

    def _tried(
        self, batch: Batch, trial: Trial, verdicts: Sequence[Verdict]
    ) -> tuple[Verdict, ...]:
        """What a trial shows: the verdicts on it, with PARK only where a fault is proven."""
        work = self._works[batch.kind]
        places = {one.key: place for place, one in enumerate(batch.documents)}
        place = places.get(trial.witness) if trial.witness is not None else None
        witness = verdicts[place] if place is not None else None
        present = place is not None and batch.documents[place].body is not None
        if witness is not None and present and witness.outcome is Outcome.DONE:
            work.useless.clear()
            return tuple(verdicts)
        refused = [one for one in verdicts if one.outcome is Outcome.PARK]
        if trial.witness is not None:
            work.good.pop(trial.witness, None)
            if witness is None or not present or witness.outcome is Outcome.PARK:
                work.useless.add(trial.witness)
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
            if _loads(batch):  # the guard looks at that index when its load is complete
                return tuple(verdicts)
            # it is not theirs alone: they are suspects no more
            work.suspects.clear()
            instead = Verdict(Outcome.HOLD, refused[0].reason, proven=True)
        elif witness is not None and present:  # no room, or no answer: it says nothing
            instead = replace(witness, proven=False)
        else:  # its row is gone, or cannot be read: another one, then
            instead = Verdict(Outcome.SUSPECT)
        return tuple(instead if one.outcome is Outcome.PARK else one for one in verdicts)


def _loads(batch: Batch) -> bool:
    """Whether it goes to an index that a load fills. What that one refuses holds nothing."""
    return batch.target.role is Role.LOADING
