"""Parking: which documents are put aside, what of that is not yet written down, and the brake.

A document is parked for a fault of its own, and that is proven first. What Elasticsearch refuses
is a *suspect*: it is read and sent once more, alone but for a *witness*, another document that is
known to be good. Where the witness is taken and the suspect is not, the fault is its own. Where the
witness is refused, too, the fault is the index's, the alias's or the mapping's: hold.

Where very many are refused, or one after another for one reason, the fault is not theirs either:
the brake holds everything then, instead of emptying a backlog into the table. While an index is
loaded it is that one that refuses them. Then nothing is held: the load goes on to its end, and its
index is not searched (see resync.swap_guard).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from listener.changes import Key
from listener.indexing.queue import Jobs

SAME_REASON: Final = 100
"""So many documents in a row parked for one reason are not the documents' fault: hold."""
_REMEMBERED: Final = 100_000
UNPROVEN: Final = "nothing is there to prove it by, so it is tried again at each audit: "
"""How the reason of a document begins that is the only one of its kind: what refuses it may be an
index, an alias or a setting, which nothing else could show."""


@dataclass(frozen=True, slots=True)
class ToPark:
    """A document that is to be put aside: done once it stands in our table."""

    kind: int
    key: Key
    id: str
    jobs: Jobs
    reason: str


class Untaken:
    """Documents that the index of a load does not take, and that are not parked: they are too
    many. Each counts once, but for those beyond 100,000.
    """

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._beyond = 0

    @property
    def count(self) -> int:
        """How many."""
        return len(self._ids) + self._beyond

    def add(self, doc_id: str) -> None:
        """One more."""
        if len(self._ids) < _REMEMBERED:
            self._ids.add(doc_id)
        elif doc_id not in self._ids:
            self._beyond += 1

    def discard(self, ids: Iterable[str]) -> None:
        """These are taken by now, or parked."""
        self._ids.difference_update(ids)


class Parking:
    """Not thread-safe: the ledger calls it with its lock held. A document is (number of its kind,
    id) here.
    """

    def __init__(self, limit: int) -> None:
        """`limit`: more parked documents of one kind than this are not the documents' fault."""
        self._limit = limit
        self.known: set[tuple[int, str]] = set()
        """The documents in the table of parked ones, as far as this process knows."""
        self.unproven: set[tuple[int, str]] = set()
        """Those of `known` that were parked without a proof: there was no other document to try."""
        self.to_park: list[ToPark] = []
        self.to_clear: set[tuple[int, str]] = set()
        self.moved = False
        """Whether indexes have changed their roles since our table was written."""
        self.untaken: defaultdict[int, Untaken] = defaultdict(Untaken)
        """By kind, documents that the index of a load does not take, beyond those that may be
        parked: that index is not searched without a person's word."""
        self._streaks: dict[tuple[int, bool], tuple[str, int]] = {}
        """Refusals one after another for one reason, which stands with their number. By kind; True:
        by the document query, False: by Elasticsearch."""

    @property
    def noted(self) -> bool:
        """Whether our table knows it all."""
        return not (self.to_park or self.to_clear or self.moved)

    def learn(self, reasons: Mapping[tuple[int, str], str]) -> None:
        """What our table has, with the reasons."""
        self.known = set(reasons)
        self.unproven = {one for one, why in reasons.items() if why.startswith(UNPROVEN)}

    def written(self, one: ToPark) -> None:
        """Our table has it now."""
        place = (one.kind, one.id)
        self.known.add(place)
        self.unproven.discard(place)
        if one.reason.startswith(UNPROVEN):
            self.unproven.add(place)
        self.to_park.remove(one)

    def cleared(self, places: Collection[tuple[int, str]]) -> None:
        """Our table has these no longer."""
        self.known.difference_update(places)
        self.unproven.difference_update(places)
        self.to_clear.difference_update(places)

    def braked(self, one: ToPark, *, unread: bool = False, suspects: int = 0) -> bool:
        """Count one more refusal; whether there are so many that it cannot be their fault.

        One that is aside already tells nothing new: a thousand of them may be tried again.
        `unread`: the query did not make it; else Elasticsearch did not take it.
        """
        if (one.kind, one.id) in self.known:
            return False
        reason = one.reason.partition(":")[0]
        before, count = self._streaks.get((one.kind, unread), (reason, 0))
        count = count + 1 if before == reason else 1
        self._streaks[one.kind, unread] = reason, count
        return count >= SAME_REASON or self.full(one.kind, suspects)

    def full(self, kind: int, suspects: int = 0) -> bool:
        """Whether no more of this kind may be parked. Those of others do not count: so many are
        refused, say, by an index that is loaded with a wrong mapping."""
        if len(self.known) + len(self.to_park) + suspects < self._limit:
            return False
        known = sum(number == kind for number, _ in self.known)
        return known + sum(one.kind == kind for one in self.to_park) + suspects >= self._limit

    def forget(self, kind: int) -> None:
        """The kind is closed: nothing of it is parked any more. Who waits for that is told so."""
        for one in [one for one in self.to_park if one.kind == kind]:
            self.to_park.remove(one)
            for job in one.jobs:
                job.drop()
        for places in (self.known, self.unproven, self.to_clear):
            places.difference_update([one for one in places if one[0] == kind])
        self.untaken.pop(kind, None)
        self._streaks.pop((kind, True), None)
        self._streaks.pop((kind, False), None)

    def put_aside(self, one: ToPark) -> None:
        """It stands in our table as soon as that can be written."""
        self.to_park.append(one)
        self.to_clear.discard((one.kind, one.id))  # the later verdict counts
        self._are_counted(one.kind, (one.id,))

    def leave_out(self, kind: int, doc_id: str) -> None:
        """The index of a load does not take it, and no more may be parked."""
        self.untaken[kind].add(doc_id)

    def _are_counted(self, kind: int, ids: Iterable[str]) -> None:
        """These are not left out any more."""
        if kind in self.untaken:
            self.untaken[kind].discard(ids)

    def readable(self, kind: int) -> None:
        """The query of this kind made a document: resets the streak of query failures."""
        self._streaks.pop((kind, True), None)

    def all_accepted(self, kind: int, ids: Collection[str]) -> None:
        """As `accepted`, for many."""
        self._streaks.pop((kind, False), None)
        if self.known:
            self.to_clear |= self.known & {(kind, one) for one in ids}
        self._are_counted(kind, ids)

    def accepted(self, kind: int, doc_id: str) -> None:
        """It is in the index: resets the streak of refusals, and it is parked no longer."""
        self._streaks.pop((kind, False), None)
        if (kind, doc_id) in self.known:
            self.to_clear.add((kind, doc_id))
        self._are_counted(kind, (doc_id,))
