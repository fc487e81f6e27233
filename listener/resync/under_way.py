"""What is under way: loads and comparisons, one state for each entry of `documents`.

The coordinator asks for them, and the loader's thread brings them to their end. A method that both
threads may call at the same time takes the lock itself. It has a few more than 300 lines, for
all states change under that one lock.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from listener.capture import watermark
from listener.documents.kinds import Kind
from listener.failures import Failure
from listener.indexing.fence import Fence
from listener.observations import events
from listener.observations.events import Observe
from listener.postgres import Connection
from listener.resync.kind_state import Comparing, KindState, Wanted
from listener.search.write_aliases import Role
from listener.state.model import Load
from listener.state.store import Keeper

_DUE: Final = "it is due, and the new index does not take its place"
_UNPROVEN: Final = "no saved state says what it lacks, and the new index does not take its place"


class UnderWay:
    """The states of all entries of `documents`. `kind` is the number of an entry, here and in what
    is asked of a Fence: the kind of the files has it, too."""

    def __init__(
        self, kinds: Sequence[Kind], *, fence: Fence, keeper: Keeper, observe: Observe
    ) -> None:
        """`kinds`: in the order of their numbers."""
        self.states = [KindState(kind) for kind in kinds]
        self._fence = fence
        self._keeper = keeper
        self._observe = observe
        self._lock = threading.Lock()
        self._over = True
        """Nothing may be left to the thread: it has done all, or was ended. False, too, while a
        thread that can do no more waits for the next session, as LoaderThread says."""
        self.without_documents: set[str] = set()
        """Aliases whose last load gave no document, of a table with rows."""
        self._floor: datetime | None = None
        """The earliest start of what was completed in this session: sweeps must reach back to it
        until a watermark is proven."""

    # -- for the sweeps ----------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether any load or comparison is under way."""
        return not all(one.idle for one in self.states)

    @property
    def has_load(self) -> bool:
        """Whether any load is under way, or waits for a person."""
        return any(one.load is not None for one in self.states)

    @property
    def at_work(self) -> bool:
        """Whether there is something to do for any: a load that waits for a person has its end."""
        return any(one.at_work for one in self.states)

    @property
    def guarded(self) -> list[str]:
        """Aliases of which documents were not deleted, because they were too many."""
        return [one.kind.index for one in self.states if one.guarded]

    @property
    def refusals(self) -> list[Failure]:
        """Why loads are not swapped in, and wait for a person's word."""
        return [one.refusal for one in self.states if one.refusal is not None]

    @property
    def starts(self) -> list[datetime]:
        """Moments that sweeps must reach back to: the starts of what is under way, and, before the
        first watermark, of what was completed.
        """
        moments = []
        for one in self.states:
            load, comparing = one.load, one.comparing
            # one that waits for a person is complete, and fed like the index in use
            if load is not None and one.refusal is None:
                moments.append(load.started_at)
            if comparing is not None:
                moments.append(comparing.started_at)
        if self._floor is not None and self._keeper.last_processed is None:
            moments.append(self._floor)
        return moments

    def is_fed(self, kind: int) -> bool:
        """Whether the index in use follows the database; else it stands still."""
        return self._fence.kind(kind, Role.IN_USE) is not None

    def is_by_the_files(self, kind: int) -> bool:
        """Whether the index in use is fed by the definition of the files, as a new one is."""
        feeding = self._fence.kind(kind, Role.IN_USE)
        return feeding is not None and feeding.hash == self.states[kind].kind.hash

    def is_word(self, kind: int, wanted: Wanted) -> bool:
        """Whether what allows a comparison to delete any number of documents allows a load, too.

        A person's word is on the definition of the index in use, and on no other one; or on one
        index that waits for it.
        """
        word = wanted.waiting is None and self.is_by_the_files(kind)
        return wanted.unguarded and (wanted.emptied or word)

    def is_beside(self, kind: int, wanted: Wanted) -> bool:
        """Whether this comparison is of the index in use alone, and not of the one that a load
        makes by other files, or of the one that waits for a person's word."""
        feeding, one = self._fence.kind(kind, Role.IN_USE), self.states[kind]
        if one.load is None or feeding is None or wanted.emptied:
            return False
        if wanted.missed:  # where a comparison follows the swap it is for this, too
            return one.load.missed or (one.refusal is not None and not wanted.asked)
        return feeding.hash != one.kind.hash

    def covers(self, kind: int, at: datetime, wanted: Wanted) -> bool:
        """Whether a load or comparison of this kind began, provenly, after this moment. Where any
        number of documents may be deleted for it, it must be one that may.
        """
        one = self.states[kind]
        comparing = one.comparing
        if one.covered is None or one.covered <= at:
            return False
        if not wanted.unguarded:
            return True
        word = self.is_word(kind, wanted)
        if word and one.load is not None and one.refusal is None:
            one.accepted, one.once = True, False  # it has not come to its swap
        return not (
            one.guarded
            or (word and one.refusal is not None)
            or (comparing is not None and not comparing.unguarded)
        )

    def written_down(self, load: Load) -> bool:
        """Whether the saved state speaks of this load, so that it can be gone on with."""
        return any(one.physical == load.physical for one in self._keeper.loads)

    # -- beginning ---------------------------------------------------------------------------------

    def forget(self) -> None:
        """A new session: nothing is under way. The thread must have ended."""
        loaded = self._keeper.loaded
        self.states = [
            KindState(one.kind, covered=loaded.get(one.kind.index)) for one in self.states
        ]
        self._floor = None

    def interrupt(self) -> list[KindState]:
        """Returns the states as they are. From here on nothing is under way. The thread must have
        ended.
        """
        before = [replace(one) for one in self.states]
        for one in self.states:
            one.load = one.comparing = one.refusal = None
        return before

    def waits_on(self, before: KindState) -> None:
        """This load was complete, and waits for a person's word on."""
        self.states[before.kind.number] = before

    def anew(self, kind: int) -> KindState:
        """Another load or comparison of this kind is about to begin."""
        one = self.states[kind]
        one.covered = None
        one.guarded = one.held = one.accepted = one.once = False
        one.refusal = None
        return one

    def compare_beside(self, connection: Connection, kind: int, wanted: Wanted) -> None:
        """Compare the index in use, while a load waits for a person's word. What that one may have
        missed, too, is left to a comparison after its swap: were it begun anew for each cause, a
        trigger that fails for each statement would load without an end. The thread must have ended.
        Errors of psycopg pass through."""
        one = self.states[kind]
        if wanted.missed and one.load is not None and not one.load.missed:
            load, one.load = one.load, one.load.model_copy(update={"missed": True})
            if self.written_down(load):
                self._keeper.put_load(one.load)
        if one.comparing is not None:
            self._ask_again(kind, wanted)
        else:
            one.guarded = False
            self.begin_comparing(kind, watermark.draw(connection).at, wanted, blind=False)

    def begin_comparing(self, kind: int, now: datetime, wanted: Wanted, *, blind: bool) -> None:
        """A comparison begins at this moment. It is written down, and told."""
        one = self.states[kind]
        index = one.kind.index
        self._keeper.want_reconcile(index, unguarded=wanted.unguarded)
        one.comparing = Comparing(now, self._keeper.reconcile[index], blind)
        self._observe(events.ReconcileStarted(index, wanted.reason))

    def add(self, connection: Connection, wanted: Mapping[int, Wanted]) -> bool:
        """Leave these comparisons to the thread that is at work. False: it takes none of them.

        By the number of the kind. Errors of psycopg pass through.
        """
        with self._lock:
            if self._over:
                return False
            for kind in wanted:
                one = self.states[kind]
                if one.load is not None or one.held or not self.is_fed(kind):
                    return False
            for kind, reason in wanted.items():
                if self.states[kind].comparing is not None:
                    self._ask_again(kind, reason)
                else:
                    one = self.states[kind]
                    one.covered = None
                    one.guarded = False
                    now = watermark.draw(connection).at
                    self.begin_comparing(kind, now, reason, blind=False)
        return True

    def ask_again(self, kind: int, wanted: Wanted) -> None:
        """One more comparison when the one under way is complete."""
        with self._lock:
            self._ask_again(kind, wanted)

    def follows_load(self, kind: int, wanted: Wanted) -> None:
        """Compare the index in use where the load under way does not take its place."""
        with self._lock:
            self._ask_again(kind, wanted)

    def _ask_again(self, kind: int, wanted: Wanted) -> None:
        before = self.states[kind].later
        unguarded = wanted.unguarded or (before is not None and before.unguarded)
        self.states[kind].later = Wanted(wanted.reason, unguarded)

    # -- the thread --------------------------------------------------------------------------------

    def started(self) -> None:
        """The thread starts: more may be left to it."""
        self._over = False

    def ended(self) -> bool:
        """Whether nothing is to be done. Then the thread ends: nothing more may be left to it."""
        with self._lock:
            self._over = not self.at_work
            return self._over

    def cancelled(self) -> None:
        """The thread ends before all is done: nothing more may be left to it."""
        with self._lock:
            self._over = True

    # -- ending ------------------------------------------------------------------------------------

    def _ended_at(self, started_at: datetime) -> None:
        self._floor = min(self._floor or started_at, started_at)

    def load_refused(self, kind: int, load: Load, *, proven: bool) -> None:
        """This load is not made: it would remove too many documents."""
        with self._lock:
            one = self.states[kind]
            if proven:
                one.covered = load.started_at
                one.blind = False
            self._ended_at(load.started_at)
            one.owed = False
            one.open = None
            one.held = one.guarded = True
            one.load = None

    def load_given_up(self, kind: int) -> None:
        """This load is not made: a person went back to the former index, which lacks nothing."""
        with self._lock:
            one = self.states[kind]
            one.load = one.refusal = one.later = None
            one.blind = one.owed = one.accepted = one.once = False
            if one.kind.index not in self._keeper.reconcile:
                self._keeper.thaw(one.kind.index)

    def load_waits(self, kind: int, load: Load, why: Failure) -> None:
        """This load is complete, and waits for a person's word: that may take days, for which the
        watermark does not stand still. What the index in use may have missed is compared now: also
        where nothing saved speaks of it (a load of everything forgets what was), for the load that
        would have brought that is not swapped in.
        """
        with self._lock:
            one = self.states[kind]
            one.load, one.refusal = load, why
            self._ended_at(load.started_at)
            due, later = self._keeper.reconcile.get(one.kind.index), one.later
            called_for = due is not None or later is not None
            if self.is_fed(kind) and (called_for or not self._keeper.is_sound(one.kind.index)):
                one.later = None
                unguarded = bool(due or (later is not None and later.unguarded))
                wanted = Wanted(_DUE if called_for else _UNPROVEN, unguarded)
                self.begin_comparing(kind, load.started_at, wanted, blind=one.blind)
            elif not called_for:
                self._keeper.thaw(one.kind.index)

    def load_complete(self, kind: int, load: Load, *, empty: bool = False) -> None:
        """The index of this load is in use. `empty`: it has no document, though there are rows."""
        self._ended_at(load.started_at)
        one = self.states[kind]
        one.load = one.later = None
        one.blind = one.owed = one.accepted = one.once = False
        self.without_documents.discard(one.kind.index)
        if empty:
            self.without_documents.add(one.kind.index)

    def compare_after_load(self, kind: int, started_at: datetime, wanted: Wanted) -> None:
        """A load is complete, and a comparison follows. `started_at`: of the load."""
        with self._lock:
            self.begin_comparing(kind, started_at, wanted, blind=False)

    def comparison_complete(
        self, kind: int, started_at: datetime, *, proven: bool, guarded: bool, keep: bool
    ) -> bool:
        """A comparison has mended its index. False: one more was asked for, which begins now.

        `guarded`: documents were left that may not be deleted. `keep`: it is due again at the next
        start.
        """
        self._ended_at(started_at)
        with self._lock:
            one = self.states[kind]
            later, one.later = one.later, None
            if later is not None:  # it is due still, and the watermark stands
                self.begin_comparing(kind, started_at, later, blind=False)
                return False
            if guarded:
                one.guarded = True
            elif not keep:
                self._keeper.reconciled(one.kind.index, started_at if proven else None)
            one.comparing = None
        return True
