"""The runner: brings one load or comparison to its end.

Both begin at a moment whose proof is waited for, and hold the saved watermark until they are
complete. A load fills a new index; a comparison mends the one in use.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Final, Protocol

from listener.capture import watermark
from listener.capture.watermark import Draw
from listener.documents.kinds import Kind
from listener.indexing.fence import Fence, FencedOut
from listener.observations import events
from listener.observations.events import Observe
from listener.postgres import Connection
from listener.resync.compare import Misplaced
from listener.resync.full_load import Loader
from listener.resync.lookout import Lookout
from listener.resync.reconcile import Reconciler
from listener.resync.under_way import Comparing, UnderWay, Wanted
from listener.runtime.lifecycle import Stop, Stopped
from listener.state.model import Load
from listener.state.store import Keeper

NAME_HOLDER_AFTER: Final = 2.0
"""Seconds of waiting for a proof after which the holder is named."""
_ENDED: Final = "once more when the transactions have ended that were open"


class Ticks(Protocol):
    """The ticks of the coordinator."""

    def wait_for_tick(self, cancelled: Callable[[], bool]) -> bool:
        """Wait until a tick that began after the call is complete; False when given up."""


class Check(Protocol):
    """Says whether what is waited for is worth it still."""

    def check(self) -> None:
        """Raises where it is over, or took too long."""


class Runner:
    """Of the loader's thread, or of the caller's with --once.

    Raises Stopped at stop or cancellation, and FencedOut and IndexError_ where a new session must
    look anew. Errors of both clients pass through: call it again then, it goes on where it was.
    """

    def __init__(
        self,
        *,
        under_way: UnderWay,
        loader: Loader,
        reconciler: Reconciler,
        fence: Fence,
        keeper: Keeper,
        lookout: Lookout,
        ticks: Ticks,
        all_rows: bool,
        observe: Observe,
        stop: Stop,
    ) -> None:
        """`all_rows`: whether every watched table sends its keys by NOTIFY."""
        self._under_way = under_way
        self._loader = loader
        self._reconciler = reconciler
        self._fence = fence
        self._keeper = keeper
        self._lookout = lookout
        self._ticks = ticks
        self._all_rows = all_rows
        self._observe = observe
        self._stop = stop

    # -- the daemon's way --------------------------------------------------------------------------

    def turn(self, connection: Connection, cancelled: Callable[[], bool]) -> None:
        """All loads, and one turn of all comparisons."""
        for one in self._under_way.states:
            if one.load is not None:
                self._load(connection, one.kind, one.load, cancelled)
            if one.comparing is not None:
                self._mend(connection, one.kind, cancelled)

    def _load(
        self, connection: Connection, kind: Kind, load: Load, cancelled: Callable[[], bool]
    ) -> None:
        state = self._under_way.states[kind.number]
        proven = self.written_down(load)
        if not proven and load.after is None and not load.done:
            drawn = watermark.draw(connection)
            proven = self._wait_proof(connection, drawn, cancelled)
            load = state.load = load.model_copy(update={"started_at": drawn.at})
            if not proven and state.blind:
                state.owed = True
                state.open = drawn
        if self._guards(connection, kind, load, proven=proven, cancelled=cancelled):
            return
        load = self._pages(connection, kind, load, proven=proven, cancelled=cancelled)
        if self._fence.current(kind.number) is not None and not self._ticks.wait_for_tick(
            lambda: cancelled() or self._stop.requested
        ):
            raise Stopped("the load was stopped")
        self._finish(kind, load, cancelled)
        if state.open is not None:
            wanted = Wanted(_ENDED, unguarded=False)
            self._under_way.compare_after_load(kind.number, load.started_at, wanted)

    def _mend(self, connection: Connection, kind: Kind, cancelled: Callable[[], bool]) -> None:
        state = self._under_way.states[kind.number]
        if state.open is not None:
            if not watermark.passed(connection, state.open):
                self._stop.wait(0.2)
                return
            state.open = None
        drawn = watermark.draw(connection)
        proven = self._wait_proof(connection, drawn, cancelled)
        if not proven and state.comparing is not None and state.comparing.blind:
            # what is visible is mended now; a change that was not recorded and is committed later
            # is found only by comparing again
            state.open = drawn
            self._under_way.ask_again(kind.number, Wanted(_ENDED, unguarded=False))
        self._reconcile(connection, kind, drawn.at, proven=proven, cancelled=cancelled)

    def _wait_proof(
        self, connection: Connection, drawn: Draw, cancelled: Callable[[], bool]
    ) -> bool:
        """Wait for the proof of a load's start.

        Where every table notifies, a late committer is heard anyway: the load then begins after a
        short wait, but cannot be resumed. Else it waits on, and names who holds it.
        """
        began = time.monotonic()
        named = False
        while not watermark.passed(connection, drawn):
            waited = time.monotonic() - began
            if waited > NAME_HOLDER_AFTER:
                if not named:
                    named = True
                    held = events.WatermarkHeld(watermark.holder(connection), waited)
                    self._observe(held)
                if self._all_rows:
                    return False
            if self._stop.wait(0.05) or cancelled():
                raise Stopped("the load was stopped")
        return True

    # -- the way of --once -------------------------------------------------------------------------

    def here(self, connection: Connection, cancelled: Callable[[], bool]) -> bool:
        """All comparisons, and all pages of all loads, waiting for no one's transaction. Returns
        whether the start of each was proven."""
        all_proven = True
        for one in self._under_way.states:
            if one.comparing is None:
                continue
            drawn = watermark.draw(connection)
            proven = watermark.passed(connection, drawn)
            all_proven = all_proven and proven
            self._reconcile(
                connection,
                one.kind,
                drawn.at,
                proven=proven,
                cancelled=cancelled,
                keep=not proven and one.comparing.blind,
            )
        for one in self._under_way.states:
            load = one.load
            if load is None:
                continue
            proven = self.written_down(load)
            if not proven:
                drawn = watermark.draw(connection)
                proven = watermark.passed(connection, drawn)
                if not proven and one.blind:
                    one.owed = True
                load = one.load = load.model_copy(update={"started_at": drawn.at})
            all_proven = all_proven and proven
            if not self._guards(connection, one.kind, load, proven=proven, cancelled=cancelled):
                self._pages(connection, one.kind, load, proven=proven, cancelled=cancelled)
        return all_proven

    def finish_here(self, cancelled: Callable[[], bool]) -> None:
        """Swap the aliases of all loads, whose pages are complete."""
        for one in self._under_way.states:
            if one.load is not None:
                self._finish(one.kind, one.load, cancelled)

    # -- both ways ---------------------------------------------------------------------------------

    def written_down(self, load: Load) -> bool:
        """Whether the saved state speaks of this load, so that it can be gone on with."""
        return any(one.physical == load.physical for one in self._keeper.loads)

    def _guards(
        self,
        connection: Connection,
        kind: Kind,
        load: Load,
        *,
        proven: bool,
        cancelled: Callable[[], bool],
    ) -> bool:
        """Whether this load is not made for what it would lose.

        It stands for a comparison that is due and may not delete any number: then it may not, in
        the place of an index that cannot be mended, or has another mapping. Asked before its first
        page.
        """
        index = self._fence.current(kind.number)
        begun = load.after is not None or load.done
        if begun or index is None or self._keeper.reconcile.get(kind.index) is not False:
            return False
        if not self._reconciler.guards(connection, kind, index, cancelled=cancelled):
            return False
        self._loader.give_up(kind)
        self._under_way.load_refused(kind.number, load, proven=proven)
        return True

    def _pages(
        self,
        connection: Connection,
        kind: Kind,
        load: Load,
        *,
        proven: bool,
        cancelled: Callable[[], bool],
    ) -> Load:
        """All pages that are left. Progress is kept only where the start is proven."""
        state = self._under_way.states[kind.number]

        def save(so_far: Load) -> None:
            state.load = so_far
            if proven:
                self._keeper.put_load(so_far)

        if proven:
            state.covered = load.started_at
        save(load)
        return self._loader.pages(connection, kind, load, save=save, cancelled=cancelled)

    def _finish(self, kind: Kind, load: Load, cancelled: Callable[[], bool]) -> None:
        state = self._under_way.states[kind.number]
        proven = state.covered is not None
        if state.owed:
            self._keeper.want_reconcile(kind.index, unguarded=False, outlives_load=True)
        self._loader.swap(kind, load, proven=proven, cancelled=cancelled)
        self._keeper.save_control(now=True)  # a standby must not load it once more
        self._under_way.load_complete(kind.number, load)
        self._loader.refresh_soon()

    def _reconcile(
        self,
        connection: Connection,
        kind: Kind,
        started_at: datetime,
        *,
        proven: bool,
        cancelled: Callable[[], bool],
        keep: bool = False,
    ) -> None:
        """Compare and mend one index; what must not be deleted without asking stays held.

        `keep`: it is due at the next start again.
        """
        state = self._under_way.states[kind.number]
        assert state.comparing is not None
        unguarded, blind = state.comparing.unguarded, state.comparing.blind
        state.comparing = Comparing(started_at, unguarded, blind)
        if proven:
            state.covered = started_at
        index = self._fence.current(kind.number)
        assert index is not None
        try:
            report = self._reconciler.run(
                connection,
                kind,
                index,
                unguarded=unguarded,
                cancelled=lambda: cancelled() or self._stop.requested,
            )
        except Misplaced as error:
            self._keeper.distrust_index(kind.index)
            self._observe(events.AuditFailed(str(error)))
            raise FencedOut(str(error)) from None  # a new session loads it
        lost = self._lookout.settle(index, started_at if proven else None)
        if lost is not None:  # it is due still, and a new session begins it anew
            raise FencedOut(lost)
        self._loader.refresh_soon()
        if self._under_way.comparison_complete(
            kind.number, started_at, proven=proven, guarded=report.guarded, keep=keep
        ):
            self._keeper.save_control(now=True)
