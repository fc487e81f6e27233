"""Loads and comparisons under way: their proof, their thread, and what they cover.

A load fills a new index; a comparison mends the one in use. Both begin at a moment whose proof is
waited for, and hold the saved watermark until they are complete.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import psycopg

from listener import postgres, search
from listener.capture import watermark
from listener.capture.watermark import Draw
from listener.config import Config
from listener.documents.kinds import Kind
from listener.indexing.fence import Fence, FencedOut
from listener.observations import events
from listener.observations.events import Observe
from listener.observations.surprises import SURPRISES, told
from listener.postgres import Connection
from listener.resync.compare import Comparison, Misplaced
from listener.resync.full_load import Loader
from listener.resync.lookout import Lookout
from listener.resync.needs import Plan
from listener.resync.reconcile import Reconciler
from listener.runtime.backoff import Backoff
from listener.runtime.lifecycle import Stop, Stopped
from listener.search.index_config import IndexError_
from listener.state.model import Load
from listener.state.store import Keeper
from listener.triggers import TriggerError

NAME_HOLDER_AFTER: Final = 2.0
"""Seconds of waiting for a proof after which the holder is named."""
_ENDED: Final = "once more when the transactions have ended that were open"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Why documents must be compared, and whether any number of them may be deleted. `asked`: by a
    person.
    """

    reason: str
    unguarded: bool
    asked: bool = False


@dataclass(frozen=True, slots=True)
class Comparing:
    """A comparison under way.

    `blind`: it is for changes that were not recorded, some of which may be committed later.
    """

    started_at: datetime
    unguarded: bool
    blind: bool = False


class Loads:
    """The loads and comparisons of one process. `covers` and `starts` are for the sweeps."""

    def __init__(
        self,
        *,
        config: Config,
        loader: Loader,
        fence: Fence,
        keeper: Keeper,
        lookout: Lookout,
        all_rows: bool,
        observe: Observe,
        stop: Stop,
        fatal: Callable[[BaseException], None],
        on_fenced: Callable[[], None],
        catch_up: Callable[[Callable[[], bool]], bool],
        refresh_soon: Callable[[], None],
        reconciler: Reconciler,
        compare: Callable[[Connection, Kind, str], Comparison],
        settle: Callable[[Connection], None],
    ) -> None:
        """`all_rows`: whether every watched table sends its keys by NOTIFY.

        `catch_up` waits until a tick that began after the call is complete; it takes a function
        that says whether to give up, and returns False then. `compare` makes the comparison of a
        kind of document with an index. `settle` gives a connection the settings of the session.
        """
        self._config = config
        self._loader = loader
        self._fence = fence
        self._keeper = keeper
        self._lookout = lookout
        self._all_rows = all_rows
        self._observe = observe
        self._stop = stop
        self._fatal = fatal
        self._on_fenced = on_fenced
        self._catch_up = catch_up
        self._refresh_soon = refresh_soon
        self._reconciler = reconciler
        self._compare = compare
        self._settle = settle
        self._comparing: dict[int, Comparing] = {}
        self.guarded: set[str] = set()
        """Aliases of which a comparison, or a load in its place, would have removed too many
        documents: it did not."""
        self._held: set[int] = set()
        """Documents that need a load which is not made for that."""
        self.held: str | None = None
        """Why a load cannot go on before a person has mended something."""
        self._running: dict[int, Load] = {}
        self._covered: dict[int, datetime] = {}
        self._floor: datetime | None = None
        self._lock = threading.Lock()
        """Held where the thread ends, or goes on with what is asked for meanwhile."""
        self._later: dict[int, Wanted] = {}
        self._open: dict[int, Draw] = {}
        """Comparisons that wait until the transactions have ended that were open at this draw."""
        self._blind: set[int] = set()
        """Documents whose load is for changes that were not recorded, too."""
        self._owed: set[int] = set()
        """Those of them whose load began while such changes might yet be committed."""
        self._over = True
        self._cancel = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """Whether any load or comparison is under way."""
        return bool(self._running or self._comparing)

    def loads(self, document: int) -> bool:
        """Whether this document is being loaded."""
        return document in self._running

    @property
    def starts(self) -> list[datetime]:
        """Where sweeps must start for the sake of loads: under way, or ended before any tick."""
        moments = [load.started_at for load in list(self._running.values())]
        moments += [one.started_at for one in list(self._comparing.values())]
        if self._floor is not None and self._keeper.last_processed is None:
            moments.append(self._floor)
        return moments

    def covers(self, document: int, at: datetime, *, unguarded: bool) -> bool:
        """Whether a load or comparison of this document began, provenly, after this moment.

        `unguarded`: it must be one that may delete any number of documents.
        """
        covered = self._covered.get(document)
        if covered is None or covered <= at:
            return False
        comparing = self._comparing.get(document)
        index = self._loader.kinds[document].index
        return not unguarded or not (
            index in self.guarded or (comparing is not None and not comparing.unguarded)
        )

    def forget(self) -> None:
        """A new session: end what runs. `begin` takes up again what is written down."""
        self.end()
        self._running.clear()
        self._comparing.clear()
        self._later.clear()
        self._open.clear()
        self._blind.clear()
        self._owed.clear()
        self.guarded.clear()
        self._held.clear()
        self._floor = None
        self._covered = {
            kind.number: self._keeper.loaded[kind.index]
            for kind in self._loader.kinds
            if kind.index in self._keeper.loaded
        }

    def end(self) -> None:
        """Stop the thread after the page in flight."""
        self._cancel.set()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join()
        self._thread = None
        self.held = None

    def begin(self, connection: Connection, plans: Sequence[Plan], *, thread: bool) -> None:
        """Begin these; a thread brings them to their end, or `here` and `finish_here` do."""
        self._cancel = threading.Event()
        for plan in plans:
            number, index = plan.kind.number, plan.kind.index
            self._covered.pop(number, None)
            self.guarded.discard(index)
            self._held.discard(number)
            now = watermark.draw(connection).at
            if plan.compare:
                wanted = Wanted(plan.reason, plan.unguarded)
                self._begin_comparing(plan.kind, now, wanted, blind=plan.blind)
            else:
                self._keeper.freeze(index)
                if plan.unguarded and index in self._keeper.reconcile:
                    self._keeper.want_reconcile(index, unguarded=True)  # which the load stands for
                if plan.blind:
                    self._blind.add(number)
                self._running[number] = self._loader.begin(plan.kind, plan.reason, plan.resume, now)
        if plans and thread:
            self._over = False
            self._thread = threading.Thread(target=self._run, name="loader", daemon=True)
            self._thread.start()

    def _begin_comparing(self, kind: Kind, now: datetime, one: Wanted, *, blind: bool) -> None:
        self._keeper.want_reconcile(kind.index, unguarded=one.unguarded)
        self._comparing[kind.number] = Comparing(now, self._keeper.reconcile[kind.index], blind)
        self._observe(events.ReconcileStarted(kind.index, one.reason))

    def again(self, connection: Connection, wanted: Mapping[int, Wanted], *, thread: bool) -> None:
        """Compare these documents; a load of them that is under way begins anew.

        A comparison that is under way goes on, and is followed by one more: were it begun anew for
        each cause, under a trigger that fails for each statement none would ever end. Of a document
        whose load is held for a person, only a person's word counts.
        """
        wanted = {
            number: one
            for number, one in wanted.items()
            # what is held for a person is due anyway
            if number not in self._held or one.unguarded or one.asked
        }
        if not wanted or (thread and self._added(connection, wanted)):
            return
        self.end()
        plans = []
        for kind in self._loader.kinds:
            one = wanted.get(kind.number)
            load, comparing = self._running.get(kind.number), self._comparing.get(kind.number)
            if one is None and load is None and comparing is None:
                continue
            reason = one.reason if one else "it was interrupted"
            resume = load if one is None and load and self._written_down(load) else None
            compare = (
                load is None
                and kind.number not in self._held
                and self._fence.current[kind.number] is not None
            )
            unguarded = (one is not None and one.unguarded) or (
                comparing is not None and comparing.unguarded
            )
            blind = (comparing is not None and comparing.blind) or kind.number in self._blind
            plans.append(
                Plan(kind, reason, resume, compare=compare, unguarded=unguarded, blind=blind)
            )
        self._running.clear()
        self._comparing.clear()
        self.begin(connection, plans, thread=thread)

    def _added(self, connection: Connection, wanted: Mapping[int, Wanted]) -> bool:
        """Leave these comparisons to the thread that is at work; False where that cannot be."""
        with self._lock:
            if self._over or self._cancel.is_set():
                return False
            loaded = {*self._running, *self._held}
            if any(one in loaded or self._fence.current[one] is None for one in wanted):
                return False
            for number, one in wanted.items():
                kind = self._loader.kinds[number]
                if number in self._comparing:
                    self._ask_again(number, one)
                else:
                    self._covered.pop(number, None)
                    self.guarded.discard(kind.index)
                    now = watermark.draw(connection).at
                    self._begin_comparing(kind, now, one, blind=False)
        return True

    def _ask_again(self, number: int, one: Wanted) -> None:
        before = self._later.get(number)
        unguarded = one.unguarded or (before is not None and before.unguarded)
        self._later[number] = Wanted(one.reason, unguarded)

    # -- the daemon's way ------------------------------------------------------------------------

    def _run(self) -> None:
        cancel = self._cancel
        limits = self._config.backoff
        waits = Backoff(limits.start, limits.factor, limits.limit)
        try:
            while not cancel.is_set() and not self._ends():
                try:
                    with postgres.connect(self._config.postgres, "listener: load") as connection:
                        self._settle(connection)
                        while not cancel.is_set() and not self._ends():
                            self._turn(connection, cancel)
                            waits.reset()
                            self.held = None
                except psycopg.Error as error:
                    passing, reason = postgres.is_passing(error), postgres.describe(error)
                    self._wait(waits, "PostgreSQL", reason, passing=passing)
                except search.Error as error:
                    passing, reason = search.is_passing(error), search.describe(error)
                    self._wait(waits, "Elasticsearch", reason, passing=passing)
                except (IndexError_, TriggerError):
                    raise
                except SURPRISES as error:  # the audit sees what was altered, and begins anew
                    self._wait(waits, "PostgreSQL", told(error), passing=False)
        except Stopped:
            return
        except (FencedOut, IndexError_):  # a new session finds the index gone, changed, foreign
            self._on_fenced()
        except BaseException as error:
            self._fatal(error)

    def _turn(self, connection: Connection, cancel: threading.Event) -> None:
        for kind in self._loader.kinds:
            if kind.number in self._running:
                self._load(connection, kind, cancel)
            if kind.number in self._comparing:
                self._mend(connection, kind, cancel)

    def _ends(self) -> bool:
        with self._lock:
            self._over = not self.running
            return self._over

    def _wait(self, waits: Backoff, server: str, reason: str, *, passing: bool) -> None:
        seconds = waits.next_wait()
        self.held = None if passing else f"full load: {reason}"
        self._observe(
            events.Waiting(server, waits.attempt, seconds, f"full load: {reason}")
            if passing
            else events.Held(f"full load: {reason}", seconds)
        )
        until = time.monotonic() + seconds
        # whoever ends this thread waits for it: a new session must not wait for an old backoff
        while not self._cancel.is_set() and (left := until - time.monotonic()) > 0:
            if self._stop.wait(min(left, 0.1)):
                return

    def _load(self, connection: Connection, kind: Kind, cancel: threading.Event) -> None:
        load = self._running[kind.number]
        proven = self._written_down(load)
        if not proven and load.after is None and not load.done:
            drawn = watermark.draw(connection)
            proven = self._wait_proof(connection, drawn, cancel)
            load = load.model_copy(update={"started_at": drawn.at})
            self._running[kind.number] = load
            if not proven and kind.number in self._blind:
                self._owed.add(kind.number)
                self._open[kind.number] = drawn
        if self._guards(connection, kind, load, proven=proven, cancelled=cancel.is_set):
            return
        load = self._pages(connection, kind, load, proven=proven, cancelled=cancel.is_set)
        if self._fence.current[kind.number] is not None and not self._catch_up(cancel.is_set):
            raise Stopped("the load was stopped")
        self._finish(kind, load, cancel.is_set)
        if kind.number in self._open:
            with self._lock:
                self._begin_comparing(
                    kind, load.started_at, Wanted(_ENDED, unguarded=False), blind=False
                )

    def _mend(self, connection: Connection, kind: Kind, cancel: threading.Event) -> None:
        before = self._open.get(kind.number)
        if before is not None:
            if not watermark.passed(connection, before):
                self._stop.wait(0.2)
                return
            del self._open[kind.number]
        drawn = watermark.draw(connection)
        proven = self._wait_proof(connection, drawn, cancel)
        if not proven and self._comparing[kind.number].blind:
            # what is visible is mended now; of what was written blindly and is committed later
            # nobody will tell
            self._open[kind.number] = drawn
            with self._lock:
                self._ask_again(kind.number, Wanted(_ENDED, unguarded=False))
        self._reconcile(connection, kind, drawn.at, proven=proven, cancelled=cancel.is_set)

    def _wait_proof(self, connection: Connection, drawn: Draw, cancel: threading.Event) -> bool:
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
            if self._stop.wait(0.05) or cancel.is_set():
                raise Stopped("the load was stopped")
        return True

    # -- both ways -------------------------------------------------------------------------------

    def _written_down(self, load: Load) -> bool:
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
        number, alias, index = kind.number, kind.index, self._fence.current[kind.number]
        begun = load.after is not None or load.done
        if begun or index is None or self._keeper.reconcile.get(alias) is not False:
            return False
        comparison = self._compare(connection, kind, index)
        if not self._reconciler.guards(connection, comparison, index=alias, cancelled=cancelled):
            return False
        self._loader.give_up(kind)
        with self._lock:
            if proven:
                self._covered[number] = load.started_at
                self._blind.discard(number)
            self._floor = min(self._floor or load.started_at, load.started_at)
            self._owed.discard(number)
            self._open.pop(number, None)
            self._held.add(number)
            self.guarded.add(alias)
            del self._running[number]
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

        def save(so_far: Load) -> None:
            self._running[kind.number] = so_far
            if proven:
                self._keeper.put_load(so_far)

        if proven:
            self._covered[kind.number] = load.started_at
        save(load)
        return self._loader.pages(connection, kind, load, save=save, cancelled=cancelled)

    def _finish(self, kind: Kind, load: Load, cancelled: Callable[[], bool]) -> None:
        proven = kind.number in self._covered
        if kind.number in self._owed:
            self._keeper.want_reconcile(kind.index, unguarded=False, outlives_load=True)
        self._loader.swap(kind, load, proven=proven, cancelled=cancelled)
        self._keeper.save_control(now=True)  # a standby must not load it once more
        self._floor = min(self._floor or load.started_at, load.started_at)
        del self._running[kind.number]
        self._blind.discard(kind.number)
        self._owed.discard(kind.number)
        self._refresh_soon()

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
        number = kind.number
        unguarded, blind = self._comparing[number].unguarded, self._comparing[number].blind
        self._comparing[number] = Comparing(started_at, unguarded, blind)
        if proven:
            self._covered[number] = started_at
        index = self._fence.current[number]
        assert index is not None
        try:
            report = self._reconciler.run(
                connection,
                number,
                self._compare(connection, kind, index),
                index=kind.index,
                total=kind.source.estimate(connection),
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
        self._floor = min(self._floor or started_at, started_at)
        self._refresh_soon()
        with self._lock:
            later = self._later.pop(number, None)
            if later is not None:  # it is due still, and the watermark stands
                self._begin_comparing(kind, started_at, later, blind=False)
                return
            if report.guarded:
                self.guarded.add(kind.index)
            elif not keep:
                self._keeper.reconciled(kind.index, started_at if proven else None)
            del self._comparing[number]
        self._keeper.save_control(now=True)

    # -- the way of --once -----------------------------------------------------------------------

    def here(self, connection: Connection, current: Callable[[], None]) -> bool:
        """All pages of all loads, and all comparisons, in this thread, waiting for no one's
        transaction. Returns whether the start of each was proven. `current` is called while
        servers are waited for, and raises where that is over, or took too long.
        """
        all_proven = True
        cancelled = self._heeding(current)
        for number in list(self._comparing):
            drawn = watermark.draw(connection)
            proven = watermark.passed(connection, drawn)
            all_proven = all_proven and proven
            self._reconcile(
                connection,
                self._loader.kinds[number],
                drawn.at,
                proven=proven,
                cancelled=cancelled,
                keep=not proven and self._comparing[number].blind,
            )
        for number, load in list(self._running.items()):
            proven = self._written_down(load)
            if not proven:
                drawn = watermark.draw(connection)
                proven = watermark.passed(connection, drawn)
                if not proven and number in self._blind:
                    self._owed.add(number)
                load = load.model_copy(update={"started_at": drawn.at})  # noqa: PLW2901
                self._running[number] = load
            all_proven = all_proven and proven
            kind = self._loader.kinds[number]
            if self._guards(connection, kind, load, proven=proven, cancelled=cancelled):
                continue
            self._pages(
                connection,
                kind,
                load,
                proven=proven,
                cancelled=cancelled,
            )
        return all_proven

    def finish_here(self, current: Callable[[], None]) -> None:
        """Swap the aliases of all loads, whose pages are complete."""
        for number, load in list(self._running.items()):
            self._finish(self._loader.kinds[number], load, self._heeding(current))

    def _heeding(self, current: Callable[[], None]) -> Callable[[], bool]:
        def cancelled() -> bool:
            current()
            return self._cancel.is_set()

        return cancelled
