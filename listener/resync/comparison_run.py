"""The run of a comparison: from the proof of its start to the word that its index is mended."""

from __future__ import annotations

from typing import Final

from listener.capture import watermark
from listener.indexing.fence import Fence
from listener.indexing.gate import FencedOut
from listener.indexing.pipeline import Pipeline
from listener.observations import events
from listener.observations.events import Observe
from listener.postgres import Connection
from listener.resync.cancellation import Cancellation, Check
from listener.resync.compare import Misplaced
from listener.resync.kind_state import ENDED, Comparing, KindState
from listener.resync.lookout import Lookout
from listener.resync.proofs import Proofs, Start
from listener.resync.reconcile import Reconciler
from listener.resync.under_way import UnderWay
from listener.search.write_aliases import Role
from listener.state.store import Keeper

_LOOK_EVERY: Final = 0.2
"""Seconds between looks whether the transactions have ended that a comparison waits for."""


class ComparisonRun:
    """Brings one comparison at a time to its end.

    Raises Stopped, and what the Check raises; FencedOut where only a new session can go on. Errors
    of both clients pass through: the comparison then begins anew.
    """

    def __init__(
        self,
        *,
        under_way: UnderWay,
        reconciler: Reconciler,
        pipeline: Pipeline,
        fence: Fence,
        keeper: Keeper,
        lookout: Lookout,
        proofs: Proofs,
        observe: Observe,
    ) -> None:
        self._under_way = under_way
        self._reconciler = reconciler
        self._pipeline = pipeline
        self._fence = fence
        self._keeper = keeper
        self._lookout = lookout
        self._proofs = proofs
        self._observe = observe

    def run(
        self,
        connection: Connection,
        state: KindState,
        comparing: Comparing,
        cancellation: Cancellation,
    ) -> None:
        """All of it, or a short wait for transactions that must end before: the daemon's way."""
        if state.open is not None:
            if not watermark.passed(connection, state.open):
                cancellation.wait(_LOOK_EVERY)
                return
            state.open = None
        start = self._proofs.wait(connection, cancellation)
        if not start.proven and comparing.blind:
            # what is visible is mended now; a change that was not recorded and is committed later
            # is found only by comparing again
            state.open = start.drawn
            self._under_way.ask_again(state.kind.number, ENDED)
        self._compare(connection, state, comparing, start, cancellation)

    def here(
        self, connection: Connection, state: KindState, comparing: Comparing, check: Check
    ) -> bool:
        """All of it, waiting for no other transaction: the way of --once. Returns whether the start
        was proven.
        """
        start = self._proofs.now(connection)
        keep = not start.proven and comparing.blind
        self._compare(connection, state, comparing, start, check, keep=keep)
        return start.proven

    def _compare(
        self,
        connection: Connection,
        state: KindState,
        comparing: Comparing,
        start: Start,
        check: Check,
        *,
        keep: bool = False,
    ) -> None:
        """Compare and mend one index; what must not be deleted without asking stays due.

        `keep`: it is due at the next start again.
        """
        kind = state.kind
        state.comparing = Comparing(start.at, comparing.unguarded, comparing.blind)
        if start.proven:
            state.covered = start.at
        index = self._fence.current(kind.number)
        feeding = self._fence.kind(kind.number, Role.IN_USE)
        assert index is not None
        assert feeding is not None
        try:
            report = self._reconciler.run(
                connection, feeding, index, check, unguarded=comparing.unguarded
            )
        except Misplaced as error:
            self._keeper.distrust_index(kind.index)
            self._observe(events.AuditFailed(str(error)))
            raise FencedOut(str(error)) from None  # a new session loads it
        lost = self._lookout.settle(index, start.at if start.proven else None)
        if lost is not None:  # it is due still, and a new session begins it anew
            raise FencedOut(lost)
        self._pipeline.refresh_soon()
        if self._under_way.comparison_complete(
            kind.number, start.at, proven=start.proven, guarded=report.guarded, keep=keep
        ):
            self._keeper.save_control(now=True)
