"""Former indexes at work: kept at a swap, fed until their time is over, and gone back to.

One that is kept never holds anything: where its own query or index fails it is given up.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from listener.capture import watermark
from listener.capture.journal import RollbackAsked
from listener.documents.kinds import Kind
from listener.indexing.fence import Fence
from listener.indexing.pipeline import Pipeline
from listener.observations import events
from listener.observations.events import Observe
from listener.postgres import Connection
from listener.resync.lookout import altered_index
from listener.search.existing import Existing
from listener.search.indexes import Indexes
from listener.search.write_aliases import Role
from listener.state.model import Kept, Load, RolledBackFiles
from listener.state.store import Keeper

_REPLACED: Final = "another index took its place"
_NOT_WANTED: Final = "keep_former is 0"
_NOT_SOUND: Final = "it may have missed changes when it was in use last"
_NOT_FED: Final = "its definition is not known, or its query or index failed when it was replaced"


@dataclass(frozen=True, slots=True)
class Terms:
    """`keep_former`: seconds that a former index is kept; 0: it is not. `patience`: seconds until
    one is given up that cannot be written. `take`: a person asked for the load. Then it takes an
    alias of this pipeline's name from another database. `asked`: by alias, the former index that a
    person wants to go back to in this run."""

    keep_former: float
    patience: float
    take: bool = False
    asked: Mapping[str, str] = field(default_factory=dict)


class Rollbacks:
    """For the coordinator's thread alone, but for `swap`. Errors of both clients pass through."""

    def __init__(
        self,
        kinds: Sequence[Kind],
        *,
        fence: Fence,
        indexes: Indexes,
        keeper: Keeper,
        pipeline: Pipeline,
        terms: Terms,
        observe: Observe,
    ) -> None:
        """`kinds`: of the files as they are."""
        self._kinds = kinds
        self._fence = fence
        self._indexes = indexes
        self._keeper = keeper
        self._pipeline = pipeline
        self._terms = terms
        self._observe = observe
        self._due: dict[int, RollbackAsked] = {}
        self._swapping = threading.Lock()
        """Held while roles have changed and the keeper does not know yet. Nobody waits for it."""

    # -- the swap of a load ------------------------------------------------------------------------

    def swap(self, kind: Kind, load: Load) -> list[str]:
        """People search the index of this load from now on; the one before is kept where that is
        wanted, and where nothing is in doubt. Returns the names of those that people searched
        before and that are not kept.

        What is kept is saved with what follows. Raises as Fence.swap, and ForeignIndex.
        """
        with self._swapping:
            return self._swap(kind, load)

    def _swap(self, kind: Kind, load: Load) -> list[str]:
        alias = kind.index
        self._indexes.refuse_foreign(alias, take=self._terms.take)
        sound = self._terms.keep_former > 0 and self._keeper.is_sound(alias)
        before = self._fence.current(kind.number)
        used = self._indexes.get(before) if sound and before is not None else None
        replaced = self._keeper.kept.get(alias)
        former = self._fence.swap(kind.number, load.physical, keep=used is not None)
        self._keeper.unkeep(alias, _REPLACED, expired=True)
        # a request of before this load cannot mean the index that was in use then
        since = load.started_at if replaced is None else max(load.started_at, replaced.since)
        kept = self._keep(kind, before, used, since) if before is not None else None
        return [name for name in former if kept is None or name != kept.name]

    def _keep(
        self, kind: Kind, before: str | None, used: Existing | None, since: datetime
    ) -> Existing | None:
        """The index `before` was in use: note whether it is kept, and tell it. `used`: the same,
        where it is to be."""
        alias = kind.index
        if used is None or self._fence.kept(kind.number) != used.name:
            if not self._terms.keep_former:
                self._keeper.not_kept(alias, _NOT_WANTED)
                return None
            reason = _NOT_SOUND if used is None else _NOT_FED
            self._keeper.not_kept(alias, reason)
            if before is not None:
                self._observe(events.FormerNotKept(alias, before, reason))
            return None
        ahead = timedelta(seconds=self._keeper.identity.ahead or 0)
        until = datetime.now(UTC) + ahead + timedelta(seconds=self._terms.keep_former)
        self._keeper.keep(alias, Kept(physical=used.name, uuid=used.uuid, since=since, until=until))
        self._observe(events.FormerKept(alias, used.name, until))
        return used

    # -- its end -----------------------------------------------------------------------------------

    def look(self, connection: Connection) -> None:
        """Give up what is in doubt, fails, or has had its time. During a swap nothing is done.
        Raises FencedOut."""
        if not self._swapping.acquire(blocking=False):
            return
        try:
            self._look(connection)
        finally:
            self._swapping.release()

    def _look(self, connection: Connection) -> None:
        for kind in self._kinds:
            name = self._fence.kept(kind.number)
            if name is None:
                continue
            kept = self._keeper.kept.get(kind.index)
            if kept is not None and kept.physical == name:
                reason = self._why_given_up(kind)
                if reason is not None:
                    self._keeper.unkeep(kind.index, reason)
                elif watermark.now(connection)[0] >= kept.until:
                    self._keeper.unkeep(kind.index, "its time is over", expired=True)
                else:
                    continue
            self._fence.unkeep(kind.number)

    def _why_given_up(self, kind: Kind) -> str | None:
        feeding = self._fence.kind(kind.number, Role.KEPT)
        if feeding is None:
            return _NOT_FED
        trouble = self._pipeline.trouble_of(feeding.number)
        if trouble is None or not (trouble.held or trouble.seconds > self._terms.patience):
            return None
        return trouble.reason

    # -- going back --------------------------------------------------------------------------------

    def ask(self, asked: RollbackAsked) -> None:
        """A person wants to go back. A request that is read once more does nothing: the former
        index has changed since."""
        for kind in self._kinds:
            kept = self._keeper.kept.get(kind.index)
            if kind.index != asked.index or self._fence.current(kind.number) == asked.physical:
                continue
            if kept is not None and kept.physical == asked.physical and asked.at > kept.since:
                self._due[kind.number] = asked

    def due(self) -> Mapping[int, RollbackAsked]:
        """What is asked for up to now, by entry of `documents`. Each change that was made before
        is in the former index after a complete tick."""
        return dict(self._due)

    def roll_back(self, connection: Connection, due: Mapping[int, RollbackAsked]) -> Sequence[int]:
        """A complete tick has passed since `due`: go back; at the next one where a load swaps its
        index in now. Returns where that was done. Raises FencedOut."""
        if not self._swapping.acquire(blocking=False):
            return []
        try:
            return [number for number, asked in due.items() if self._goes_back(connection, asked)]
        finally:
            self._swapping.release()

    def _goes_back(self, connection: Connection, asked: RollbackAsked) -> bool:
        kind = next(one for one in self._kinds if one.index == asked.index)
        self._due.pop(kind.number, None)
        kept = self._keeper.kept.get(asked.index)
        if kept is None or kept.physical != asked.physical:
            return False
        return self._back(connection, kind, kept)

    def here(self, connection: Connection) -> None:
        """The way of --once: go back where a person asked for it in this run. All changes up to
        now are in the former index. Raises FencedOut.

        A call that had no answer may have been executed, and so may that of a daemon that was
        killed. Then the former index is the other one by now: it is not what was asked for.
        """
        for kind in self._kinds:
            physical = self._terms.asked.get(kind.index)
            if physical is None or self._fence.current(kind.number) == physical:
                continue
            kept = self._keeper.kept.get(kind.index)
            if kept is None or kept.physical != physical:
                reason = self._keeper.state.unkept.get(kind.index, "no former index is kept")
                self._observe(events.RollbackRefused(kind.index, reason))
            else:
                self._back(connection, kind, kept)

    def _back(self, connection: Connection, kind: Kind, kept: Kept) -> bool:
        """People search the former index again. False: it is not as it was left, and given up."""
        alias, number = kind.index, kind.number
        feeding = self._fence.kind(number, Role.KEPT)
        former = self._indexes.get(kept.physical)
        reason = self._why_given_up(kind) or self._why_altered(former, kept)
        if reason is not None or former is None or feeding is None:
            self._keeper.unkeep(alias, reason or _NOT_FED)
            self._observe(events.RollbackRefused(alias, reason or _NOT_FED))
            return False
        before = self._fence.current(number)
        sound = self._terms.keep_former > 0 and self._keeper.is_sound(alias)
        used = self._indexes.get(before) if before is not None and sound else None
        self._indexes.refresh(former.name)
        self._indexes.refuse_foreign(alias)
        self._fence.roll_back(number, keep=used is not None)
        now = watermark.now(connection)[0]
        self._keeper.gone_back(alias)
        self._keep(kind, before, used, now)
        files = None
        if feeding.hash != kind.hash:
            files = RolledBackFiles(hash=kind.hash, since=now)
        self._keeper.roll_back(alias, former.uuid, files)
        self._observe(events.RolledBack(alias, former.name, before or ""))
        if files is not None:
            self._observe(events.FilesNotInForce(alias, now))
        self._pipeline.refresh_soon()
        return True

    def _why_altered(self, former: Existing | None, kept: Kept) -> str | None:
        if former is None or former.uuid != kept.uuid:
            return "the index is gone, or another one has its name"
        if not self._indexes.is_ours(former):
            return "it is not marked as this pipeline's any more"
        return altered_index(former, self._keeper.identity)
