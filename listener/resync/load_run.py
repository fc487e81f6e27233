"""The run of a load: from the proof of its start to the swap of the alias.

What decides about a load stands here. How documents come into its index stands in `full_load`.
"""

from __future__ import annotations

from typing import Final, Protocol

from listener.indexing.fence import Fence
from listener.indexing.pipeline import Interrupted
from listener.postgres import Connection
from listener.resync.cancellation import Cancellation, Check
from listener.resync.full_load import Loader
from listener.resync.kind_state import ENDED, KindState, Wanted
from listener.resync.proofs import Proofs
from listener.resync.reconcile import Reconciler
from listener.resync.swap_guard import SwapGuard
from listener.resync.under_way import UnderWay
from listener.state.model import Load
from listener.state.store import Keeper

_LEFT_OUT: Final = Wanted("documents that the new index did not take", unguarded=False)


class Ticks(Protocol):
    """The ticks of the coordinator."""

    def wait_for_tick(self, check: Check) -> None:
        """Wait until a tick that began after the call is complete. Raises what the Check raises."""


class LoadRun:
    """Brings one load at a time to its end.

    Raises Stopped, and what the Check raises; Interrupted where its kind is held; FencedOut and
    IndexError_ where only a new session can go on. Errors of both clients pass through: the load
    then goes on where it was.
    """

    def __init__(
        self,
        *,
        under_way: UnderWay,
        loader: Loader,
        reconciler: Reconciler,
        fence: Fence,
        keeper: Keeper,
        ticks: Ticks,
        proofs: Proofs,
        guard: SwapGuard,
    ) -> None:
        self._under_way = under_way
        self._loader = loader
        self._reconciler = reconciler
        self._fence = fence
        self._keeper = keeper
        self._ticks = ticks
        self._proofs = proofs
        self._guard = guard

    def run(
        self, connection: Connection, state: KindState, load: Load, cancellation: Cancellation
    ) -> None:
        """All of it: the daemon's way."""
        proven = self._under_way.written_down(load)
        if not proven and load.after is None and not load.done:
            start = self._proofs.wait(connection, cancellation)
            proven = start.proven
            load = state.load = load.model_copy(update={"started_at": start.at})
            if not proven and state.blind:
                state.owed = True
                state.open = start.drawn
        if self._refused(connection, state, load, cancellation, proven=proven):
            return
        load = self._pages(connection, state, load, cancellation, proven=proven)
        # changes that were found before that tick are in the new index when people search it
        if self._fence.current(state.kind.number) is not None:
            self._wait_for_tick(state, cancellation)
        if not self.finish(connection, state, load, cancellation):
            return
        if state.open is not None:
            self._under_way.compare_after_load(state.kind.number, load.started_at, ENDED)
        elif state.kind.index in self._keeper.reconcile:
            self._under_way.compare_after_load(state.kind.number, load.started_at, _LEFT_OUT)

    def _wait_for_tick(self, state: KindState, cancellation: Cancellation) -> None:
        """Raises Interrupted where changes were left out meanwhile: the kind that fills the index
        was held. The load is tried again from here."""
        before = self._loader.interruptions(state.kind)
        self._ticks.wait_for_tick(cancellation)
        if before % 2 or self._loader.interruptions(state.kind) != before:
            raise Interrupted("changes were not brought to the index that a load fills")

    def here(self, connection: Connection, state: KindState, load: Load, check: Check) -> bool:
        """All pages, waiting for no other transaction: the way of --once. Returns whether the start
        was proven. `finish` follows.
        """
        proven = self._under_way.written_down(load)
        if not proven:
            start = self._proofs.now(connection)
            proven = start.proven
            if not proven and state.blind:
                state.owed = True
            load = state.load = load.model_copy(update={"started_at": start.at})
        if not self._refused(connection, state, load, check, proven=proven):
            self._pages(connection, state, load, check, proven=proven)
        return proven

    def finish(self, connection: Connection, state: KindState, load: Load, check: Check) -> bool:
        """Swap the alias of this load. Its pages are complete. False: too much is lost, and the
        load waits for a person's word.
        """
        kind = state.kind
        proven = state.covered is not None
        load = self._loader.counted(kind, load)
        weighed = self._guard.weigh(connection, kind, load, check)
        if self._guard.holds(state, load, weighed):
            return False
        if state.owed or load.untaken or load.missed:
            self._keeper.want_reconcile(kind.index, unguarded=False, outlives_load=True)
        self._loader.swap(kind, load, check, proven=proven, weighed=weighed)
        self._keeper.save_control(now=True)  # a standby must not load it once more
        empty = self._guard.is_empty(connection, kind, weighed)
        self._under_way.load_complete(kind.number, load, empty=empty)
        return True

    def _refused(
        self, connection: Connection, state: KindState, load: Load, check: Check, *, proven: bool
    ) -> bool:
        """Whether this load is not made, because the new index would lose too many documents.

        A comparison that is due may delete only so many. A load that stands for it may not do what
        that comparison may not. Asked before the first page.
        """
        kind = state.kind
        index = self._fence.current(kind.number)
        begun = load.after is not None or load.done
        if begun or index is None or self._keeper.reconcile.get(kind.index) is not False:
            return False
        if not self._under_way.is_by_the_files(kind.number):
            return False  # that comparison is by another definition, and is made where this waits
        if not self._reconciler.guards(connection, kind, index, check):
            return False
        self._loader.give_up(kind)
        self._under_way.load_refused(kind.number, load, proven=proven)
        return True

    def _pages(
        self, connection: Connection, state: KindState, load: Load, check: Check, *, proven: bool
    ) -> Load:
        """All pages that are left; the load as it is then."""
        if proven:
            state.covered = load.started_at
        self._reached(state, load, proven=proven)
        for reached in self._loader.pages(connection, state.kind, load, check):
            self._reached(state, reached, proven=proven)
            load = reached
        return load

    def _reached(self, state: KindState, load: Load, *, proven: bool) -> None:
        """The load has come so far. A restart goes on with it only if its start was proven."""
        state.load = load
        if proven:
            self._keeper.put_load(load)
