"""The guard at the swap: a new index that has lost too much does not take the old one's place.

A mistake in a query or a mapping gives a load that ends well and writes nothing. What counts is
therefore what the new index has, beside what people search now. It is looked at when the load is
complete, before the alias is swapped. A person's word overrules it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from listener import search
from listener.documents.kinds import Kind
from listener.failures import Failure
from listener.indexing.parked_table import ParkedTable
from listener.indexing.parking import SAME_REASON, UNPROVEN
from listener.indexing.pipeline import Pipeline
from listener.observations import events
from listener.observations.events import Observe
from listener.observations.printable import shown
from listener.postgres import Connection
from listener.resync.cancellation import Check
from listener.resync.kind_state import KindState
from listener.resync.report import deletes_allowed
from listener.resync.under_way import UnderWay
from listener.search import counts
from listener.search.indexes import Indexes
from listener.state.model import Load
from listener.state.store import Keeper

_EXAMPLES: Final = 3
_NO_ROOM: Final = 429
_SHOWN: Final = 200
"""Characters of one reason."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """What a load has brought, beside the index that people search now.

    `read`: how many ids it read. `written`: how many documents the new index has. `before`: how
    many the old one has. `lost`: how many of these the new one lacks; `gone` has the first ids.
    `parked`: documents of the new index that are parked. `untaken`: documents that it does not take
    either, beyond those that may be parked. `reasons`: the first ones. `fed`: whether the old one
    follows the database meanwhile.
    """

    alias: str
    physical: str
    read: int
    written: int
    before: int = 0
    lost: int = 0
    gone: Sequence[str] = ()
    parked: int = 0
    untaken: int = 0
    reasons: Sequence[str] = ()
    fed: bool = True

    @property
    def allowed(self) -> int:
        """How many documents may be lost without a person's word."""
        return deletes_allowed(self.before)

    @property
    def refused(self) -> int:
        """How many documents the new index does not take."""
        return self.parked + self.untaken

    @property
    def refusal(self) -> Failure | None:
        """Why people must not search this index without a person's word; None: they may."""
        empty = self.before > 0 and (self.written == 0 or self.lost >= self.before)
        takes_nothing = self.written == 0 and self.refused >= SAME_REASON
        # of a first load the number of its own documents says what is much
        bearable = deletes_allowed(max(self.before, self.written))
        if not (
            empty
            or takes_nothing
            or self.lost > self.allowed
            or self.refused > bearable
            or self.untaken
        ):
            return None
        told = [
            f"the new index has {self.written} documents, and the one in use {self.before}"
            if self.before
            else f"the new index has {self.written} documents of {self.read} that were read"
        ]
        if self.lost:
            told.append(f"{self.lost} of these are gone{_first(self.gone, self.lost)}")
        if self.refused:
            reasons = "; ".join(_short(one) for one in self.reasons)
            told.append(
                f"{self.refused} are refused" + (f", the first for: {reasons}" if reasons else "")
            )
        fed = ", and is fed by what made it" if self.fed else ""
        stays = f" What is searched now stays{fed}." if self.before else ""
        return Failure(
            None,
            f"the new index {self.physical} is not swapped in: {'; '.join(told)}.{stays}",
            passes=False,
            mend="query or mapping, and start listener again; if it is to be so, "
            f"`listener load {self.alias} --accept`",
        )


def _first(ids: Sequence[str], number: int) -> str:
    more = ", …" if number > len(ids) else ""
    return f" ({', '.join(map(shown, ids))}{more})" if ids else ""


def _short(reason: str) -> str:
    told = shown(reason)
    return told if len(told) <= _SHOWN else f"{told[:_SHOWN]}…"


class SwapGuard:
    """Weighs new indexes, and holds those that have lost too much. Errors of both clients pass
    through.
    """

    def __init__(
        self,
        *,
        client: search.Client,
        indexes: Indexes,
        parked: ParkedTable,
        pipeline: Pipeline,
        under_way: UnderWay,
        keeper: Keeper,
        observe: Observe,
        patience: float,
    ) -> None:
        """`patience`: seconds after which an index that cannot be read counts as lost."""
        self._client = client
        self._indexes = indexes
        self._parked = parked
        self._pipeline = pipeline
        self._under_way = under_way
        self._keeper = keeper
        self._observe = observe
        self._patience = patience
        self._unreadable: dict[str, float] = {}
        """By the name of an index, since when it cannot be read, by the monotonic clock."""

    def weigh(self, connection: Connection, kind: Kind, load: Load, check: Check) -> Weighed:
        """What this load has brought. It is complete, and all before it is indexed.

        Raises what the Check raises.
        """
        self._client.indices.refresh(index=load.physical)
        before = lost = 0
        gone: list[str] = []
        for name in self._in_use(kind, load):
            for page in self._pages(name):
                check.check()
                before += len(page)
                absent = counts.missing(self._client, load.physical, page)
                deleted = set(counts.missing(self._client, name, absent))  # since it was searched
                absent = [one for one in absent if one not in deleted]
                before -= len(deleted)
                lost += len(absent)
                gone += absent[: _EXAMPLES - len(gone)]
        return self._with_parked(
            connection,
            Weighed(
                kind.index,
                load.physical,
                load.documents,
                counts.count(self._client, load.physical),
                before,
                lost,
                gone,
                untaken=load.untaken,
                fed=self._under_way.is_fed(kind.number),
            ),
            check,
        )

    def holds(self, state: KindState, load: Load, weighed: Weighed) -> bool:
        """Whether this load waits for a person's word. Its index is fed meanwhile, and can be
        swapped in at any time. It is told, and written down.

        The word may have been given before: for this load, or for the comparison that it stands
        for (`verify --repair --allow-deletes`), where the index in use is of the same definition.
        """
        why = weighed.refusal
        allowed = self._keeper.reconcile.get(state.kind.index) is True
        allowed = allowed and self._under_way.is_by_the_files(state.kind.number)
        if why is None or allowed or state.accepted:
            return False
        if self._under_way.written_down(load):
            self._keeper.put_load(load)
        self._under_way.load_waits(state.kind.number, load, why)
        self._remember_in_use(state.kind, load)
        self._keeper.refuse(load, why.told)
        self._observe(
            events.SwapHeld(
                weighed.alias,
                weighed.physical,
                weighed.before,
                weighed.written,
                weighed.lost,
                weighed.refused,
                why.told,
            )
        )
        return True

    def _remember_in_use(self, kind: Kind, load: Load) -> None:
        """The index in use stays. Where no saved state spoke of it, one does now: what it may have
        missed is being compared, and that is written down. Else each start would compare it, and
        load it anew when the files are put back."""
        if kind.index in self._keeper.identity.indexes or not self._under_way.is_fed(kind.number):
            return
        names = self._in_use(kind, load)
        found = self._indexes.get(names[0]) if len(names) == 1 else None
        if found is not None:
            self._keeper.index_is(kind.index, found.uuid)

    def is_empty(self, connection: Connection, kind: Kind, weighed: Weighed) -> bool:
        """Whether a load wrote no document at all, though its table has rows. That is told."""
        empty = weighed.written == 0 and (weighed.read > 0 or kind.source.any_row(connection))
        if empty:
            told = events.LoadedNothing(weighed.alias, weighed.read, weighed.refused)
            self._observe(told)
        return empty

    def _in_use(self, kind: Kind, load: Load) -> list[str]:
        """The indexes behind the alias that people searched before, by the saved state.

        Not what anybody else has put there: an index that is not of this pipeline, or another one
        than was in use. The load mends that, and must not wait for a person's word.
        """
        saved, kept = self._keeper.identity.indexes.get(kind.index), self._keeper.kept
        # a rollback changes the alias before the state
        known = {saved, kept[kind.index].uuid} if kind.index in kept else {saved}
        names: list[str] = []
        for name in self._indexes.aliases(kind.index).get(kind.index, []):
            found = self._indexes.get(name) if name != load.physical else None
            if found is None or found.pipeline != self._indexes.owner.pipeline:
                continue
            if not saved or found.uuid in known:
                names.append(name)
        return names

    def _pages(self, name: str) -> Iterable[list[str]]:
        """The ids of an index in use, page by page. None, where it cannot be read for so long that
        its documents are lost anyway: then only the new index helps."""
        try:
            for hits in counts.hits(self._client, name):
                yield [one["_id"] for one in hits]
        except (search.Refused, search.Unreadable) as error:
            if isinstance(error, search.NotFound):
                return
            if isinstance(error, search.Refused) and error.status_code == _NO_ROOM:
                raise
            since = self._unreadable.setdefault(name, time.monotonic())
            if time.monotonic() - since < self._patience:
                raise
        else:
            self._unreadable.pop(name, None)

    def _with_parked(self, connection: Connection, weighed: Weighed, check: Check) -> Weighed:
        """The same, with what is parked."""
        while not self._pipeline.wait_noted(1.0):
            check.check()
        # of an index that is loaded they stand there by its own name
        parked = [one for one in self._parked.read(connection) if one.index == weighed.physical]
        reasons: dict[str, str] = {}
        for one in parked:  # a reason names the document: one of each kind is enough
            reason = one.reason.removeprefix(UNPROVEN)
            reasons.setdefault(reason.partition(":")[0], reason)
        told = list(reasons.values())[:_EXAMPLES]
        return replace(weighed, parked=len(parked), reasons=told)
