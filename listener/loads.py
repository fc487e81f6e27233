"""Loads under way: their proof, their thread, and what of them a sweep must not ask for again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

import psycopg

from listener import elastic, observations, postgres, watermark
from listener.backoff import Backoff
from listener.config import Config
from listener.fence import Fence, FencedOut
from listener.history import Plan
from listener.keeper import Keeper
from listener.lifecycle import Stop, Stopped
from listener.loader import Kind, Loader
from listener.observations import Observe
from listener.postgres import Connection
from listener.state import Load
from listener.watermark import Draw

NAME_HOLDER_AFTER: Final = 2.0
"""Seconds of waiting for a proof after which the holder is named."""


class Loads:
    """The loads of one process. `covers` and `floor` are for the coordinator's sweeps."""

    def __init__(
        self,
        *,
        config: Config,
        loader: Loader,
        fence: Fence,
        keeper: Keeper,
        all_rows: bool,
        observe: Observe,
        stop: Stop,
        fatal: Callable[[BaseException], None],
        on_fenced: Callable[[], None],
        catch_up: Callable[[Callable[[], bool]], bool],
        refresh_soon: Callable[[], None],
    ) -> None:
        """`all_rows`: whether every watched table sends its keys by NOTIFY.

        `catch_up` waits until a tick that began after the call is complete; it takes a function
        that says whether to give up, and returns False then.
        """
        self._config = config
        self._loader = loader
        self._fence = fence
        self._keeper = keeper
        self._all_rows = all_rows
        self._observe = observe
        self._stop = stop
        self._fatal = fatal
        self._on_fenced = on_fenced
        self._catch_up = catch_up
        self._refresh_soon = refresh_soon
        self._running: dict[int, Load] = {}
        self._covered: dict[int, datetime] = {}
        self._floor: datetime | None = None
        self._cancel = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """Whether any load is under way."""
        return bool(self._running)

    @property
    def starts(self) -> list[datetime]:
        """Where sweeps must start for the sake of loads: under way, or ended before any tick."""
        moments = [load.started_at for load in list(self._running.values())]
        if self._floor is not None and self._keeper.last_processed is None:
            moments.append(self._floor)
        return moments

    def covers(self, document: int, at: datetime) -> bool:
        """Whether a load of this document began, provenly, after this moment."""
        covered = self._covered.get(document)
        return covered is not None and covered > at

    def forget(self) -> None:
        """A new session: end what runs. `begin` takes up again what is written down."""
        self.end()
        self._running.clear()
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

    def begin(self, connection: Connection, plans: Sequence[Plan], *, thread: bool) -> None:
        """Begin these loads; a thread brings them to their end, or `run_here` does."""
        self._cancel = threading.Event()
        for plan in plans:
            number = plan.kind.number
            self._covered.pop(number, None)
            self._keeper.freeze(plan.kind.index)
            now = watermark.draw(connection).at
            self._running[number] = self._loader.begin(plan.kind, plan.reason, plan.resume, now)
        if plans and thread:
            self._thread = threading.Thread(target=self._run, name="loader", daemon=True)
            self._thread.start()

    def again(self, connection: Connection, wanted: Mapping[int, str], *, thread: bool) -> None:
        """Begin loads of these documents, from the first page even where one is under way."""
        self.end()
        reasons = {**dict.fromkeys(self._running, "it was interrupted"), **wanted}
        self._running.clear()
        plans = [Plan(self._loader.kinds[number], reason) for number, reason in reasons.items()]
        self.begin(connection, plans, thread=thread)

    # -- the daemon's way ------------------------------------------------------------------------

    def _run(self) -> None:
        cancel = self._cancel
        limits = self._config.backoff
        waits = Backoff(limits.start, limits.factor, limits.limit)
        try:
            while self._running and not cancel.is_set():
                try:
                    with postgres.connect(self._config.postgres, "listener: load") as connection:
                        for number in list(self._running):
                            self._load(connection, self._loader.kinds[number], cancel)
                            waits.reset()
                except psycopg.Error as error:
                    passing, reason = postgres.is_passing(error), postgres.describe(error)
                    self._wait(waits, "PostgreSQL", reason, passing=passing)
                except elastic.Error as error:
                    passing, reason = elastic.is_passing(error), elastic.describe(error)
                    self._wait(waits, "Elasticsearch", reason, passing=passing)
        except Stopped:
            return
        except FencedOut:
            self._on_fenced()
        except BaseException as error:
            self._fatal(error)

    def _wait(self, waits: Backoff, server: str, reason: str, *, passing: bool) -> None:
        seconds = waits.next_wait()
        self._observe(
            observations.Waiting(server, waits.attempt, seconds, f"full load: {reason}")
            if passing
            else observations.Held(f"full load: {reason}", seconds)
        )
        self._stop.wait(seconds)

    def _load(self, connection: Connection, kind: Kind, cancel: threading.Event) -> None:
        load = self._running[kind.number]
        proven = self._written_down(load)
        if not proven and load.after is None and not load.done:
            drawn = watermark.draw(connection)
            proven = self._wait_proof(connection, drawn, cancel)
            load = load.model_copy(update={"started_at": drawn.at})
            self._running[kind.number] = load
        load = self._pages(connection, kind, load, proven=proven, cancelled=cancel.is_set)
        if self._fence.current[kind.number] is not None and not self._catch_up(cancel.is_set):
            raise Stopped("the load was stopped")
        self._finish(kind, load, cancel.is_set)

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
                    held = observations.WatermarkHeld(watermark.holder(connection), waited)
                    self._observe(held)
                if self._all_rows:
                    return False
            if self._stop.wait(0.05) or cancel.is_set():
                raise Stopped("the load was stopped")
        return True

    # -- both ways -------------------------------------------------------------------------------

    def _written_down(self, load: Load) -> bool:
        return any(one.physical == load.physical for one in self._keeper.loads)

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
        self._loader.swap(kind, load, proven=proven, cancelled=cancelled)
        self._floor = min(self._floor or load.started_at, load.started_at)
        del self._running[kind.number]
        self._refresh_soon()

    # -- the way of --once -----------------------------------------------------------------------

    def pages_here(self, connection: Connection) -> bool:
        """All pages of all loads, in this thread, waiting for no one's transaction.

        Returns whether every load's start was proven.
        """
        all_proven = True
        for number, load in list(self._running.items()):
            proven = self._written_down(load)
            if not proven:
                drawn = watermark.draw(connection)
                proven = watermark.passed(connection, drawn)
                load = load.model_copy(update={"started_at": drawn.at})  # noqa: PLW2901
                self._running[number] = load
            all_proven = all_proven and proven
            self._pages(
                connection,
                self._loader.kinds[number],
                load,
                proven=proven,
                cancelled=self._cancel.is_set,
            )
        return all_proven

    def finish_here(self) -> None:
        """Swap the aliases of all loads, whose pages are complete."""
        for number, load in list(self._running.items()):
            self._finish(self._loader.kinds[number], load, self._cancel.is_set)
