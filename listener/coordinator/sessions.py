"""The coordinator: sessions, sweeps and the watermark's ticks, in one thread.

On every connection, the first included: LISTEN (which the notifications thread has done), then
raise the generation, then catch up from the watermark, then serve. A tick draws t and L, waits for
the proof, sends a barrier through LISTEN/NOTIFY, polls what does not notify, and advances the
watermark when all that came before is in Elasticsearch.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from listener import postgres, search
from listener.capture import journal, watermark
from listener.capture.notify_queue import NotifyQueue
from listener.capture.server_clock import ServerClock
from listener.capture.watermark import Draw
from listener.changes import PAYLOAD_VERSION
from listener.config import Config
from listener.coordinator.mailbox import Inbox
from listener.coordinator.polls import Polls
from listener.coordinator.retry import Guard
from listener.indexing.fence import Fence, FencedOut
from listener.indexing.pipeline import Pipeline
from listener.observations import events
from listener.observations.events import Observe
from listener.resync.audit import Auditor
from listener.resync.jobs import NAME_HOLDER_AFTER, Loads
from listener.resync.plan import Planner
from listener.runtime.backoff import Backoff
from listener.runtime.lifecycle import Stop, Stopped
from listener.sql import files
from listener.state.heartbeat import beat
from listener.state.store import Keeper

_BARRIER_DEADLINE: Final = 10.0
"""Seconds in which a barrier must come back; later the connection counts as dead."""
_NAME_HOLDER_EVERY: Final = 60.0
_PRUNE_EVERY: Final = 60.0
_SWEEP_APART: Final = 0.05


class SessionLost(Exception):
    """The LISTEN connection is gone: begin again when there is a new one."""


class Coordinator:
    """Leads one pipeline from session to session. All its methods but `want_turn` are of one
    thread: its own in the daemon, the caller's with --once."""

    def __init__(
        self,
        *,
        config: Config,
        all_rows: bool,
        polls: Polls,
        ensure_triggers: Callable[[postgres.Connection], None],
        inbox: Inbox,
        pipeline: Pipeline,
        fence: Fence,
        loads: Loads,
        keeper: Keeper,
        planner: Planner,
        auditor: Auditor,
        backoff: Backoff,
        observe: Observe,
        stop: Stop,
        fatal: Callable[[BaseException], None],
        cut: Callable[[], None],
        give_up_after: float | None,
    ) -> None:
        """`all_rows`: whether every watched table sends its keys by NOTIFY. `ensure_triggers`
        mends the triggers, or raises TriggersWrong, or Reassemble. `cut` gives the LISTEN
        connection up. `give_up_after`: seconds of an outage until GaveUp; None: never.
        """
        self._config = config
        self._all_rows = all_rows
        self._polls = polls
        self._ensure_triggers = ensure_triggers
        self._inbox = inbox
        self._pipeline = pipeline
        self._fence = fence
        self._loads = loads
        self._keeper = keeper
        self._planner = planner
        self._auditor = auditor
        self._observe = observe
        self._stop = stop
        self._fatal = fatal
        self._cut = cut
        self._guard = Guard(backoff, give_up_after, observe, stop, self._beat)
        self._served = 0
        self._connection: postgres.Connection | None = None
        self._queue = NotifyQueue(config.postgres.db_schema, observe)
        self._draw: Draw | None = None
        self._drawn_at = 0.0
        self._named_at = 0.0
        self._clock = ServerClock()
        self._turns = 0
        self._pruned_at = 0.0
        self._audited_at = -math.inf
        self._doubted = False
        """Elasticsearch was in trouble: what comes back may be an older one."""
        self._resumed = False
        self._thread = threading.Thread(target=self._run, name="coordinator", daemon=True)

    # -- the thread ------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread of the daemon."""
        self._thread.start()

    def join(self) -> None:
        """Wait for the threads; stop must have been requested and the pipeline stopped."""
        self._inbox.wake()
        if self._thread.is_alive():
            self._thread.join()
        self._loads.end()
        if self._connection is not None:
            self._connection.close()

    def catch_up(self, cancelled: Callable[[], bool]) -> bool:
        """Wait, in another thread, for a tick that began after now; False when given up."""
        turns = self._turns + 2  # the one that runs may have begun before
        while self._turns < turns:
            self._inbox.want_sweep()
            if self._stop.wait(0.02) or cancelled():
                return False
        return True

    def _run(self) -> None:
        try:
            while not self._stop.requested:
                self._guarded(self._round)
        except BaseException as error:
            self._fatal(error)

    def run_once(self) -> None:
        """Catch up with all that is visible now, save the proven watermark, return."""
        done = False
        while not done and not self._stop.requested:
            done = self._guarded(self._catch_up_once)

    def _guarded(self, work: Callable[[], None]) -> bool:
        """Run one round of work; outages lead to a wait and a new session."""
        try:
            done = self._guard.run(work)
        except (SessionLost, Stopped):
            return False
        if not done:
            self._served = 0  # whatever it was: begin as on a new connection
        return done

    def _round(self) -> None:
        session = self._wait_for_session()
        if session != self._served or self._inbox.fenced:
            self._begin(session)
        self._turn()
        self._rest()

    def _wait_for_session(self) -> int:
        began = time.monotonic()
        inbox = self._inbox
        while not inbox.session:
            if self._stop.requested:
                raise Stopped("stop was requested")
            if inbox.standing_by:
                self._beat("standing by")
                self._step_down()
            else:
                self._guard.patience("PostgreSQL is not to be reached", began)
                refused = inbox.refused
                if refused is not None:
                    self._beat("held", refused)
                else:
                    self._beat("waiting for PostgreSQL", "no LISTEN connection")
            inbox.wait(
                lambda: bool(inbox.session) or self._stop.requested,
                min(self._config.fetch_delay, 1.0),
            )
        return inbox.session

    def _step_down(self) -> None:
        """Another daemon is active: send nothing more until a session of ours begins."""
        if self._resumed:
            self._resumed = False
            self._pipeline.pause()
            self._loads.end()
            self._tell_fence()

    def _tell_fence(self) -> None:
        """Say so where the generation in force is not ours."""
        try:
            self._fence.confirm()
        except FencedOut:
            return  # which it has said
        except search.Error:
            return  # an outage: whoever is in force is seen at the next write

    def _rest(self) -> None:
        """Until the next tick is due, or something asks for one; the doorbell is answered."""
        until = time.monotonic() + self._config.fetch_delay
        while (left := until - time.monotonic()) > 0:
            due = self._polls.due()
            if due == 0:
                self._polls.answer()
            elif self._inbox.wait_for_work(
                self._served,
                lambda: self._stop.requested,
                left if due is None else min(left, due),
                rings=due is None,
            ):
                return

    def _current(self, session: int) -> None:
        if self._stop.requested or self._pipeline.crashed:
            raise Stopped("stop was requested")
        if self._inbox.session != session or self._inbox.fenced:
            raise SessionLost  # fenced: what is waited for would never settle
        trouble = self._pipeline.trouble
        if trouble is not None:
            server, seconds, reason = trouble
            self._guard.patience(f"{server}: {reason}", time.monotonic() - seconds)
            if server == "PostgreSQL":
                self._look_meanwhile()
            else:
                self._doubted = True

    def _look_meanwhile(self) -> None:
        """What is waited for may wait for ever: for a key column of another type, say, which only
        a new session takes note of. Raises SessionLost where the audit finds something.
        """
        now = time.monotonic()
        if self._connection is None or now - self._audited_at <= self._config.audit_every:
            return
        self._audited_at = now
        altered = self._auditor.audit_database(self._connection)
        if altered is not None:
            self._observe(events.AuditFailed(altered))
            self._served = 0
            raise SessionLost

    def _waiting(self, session: int) -> None:
        """A sweep waits for Elasticsearch: is it worth it still?"""
        self._current(session)
        self._beat("serving")

    # -- a session -------------------------------------------------------------------------------

    def _begin(self, session: int) -> None:
        """Everything that a new connection needs, up to the first sweep."""
        started = time.monotonic()
        if self._inbox.fenced:
            self._tell_fence()
            self._inbox.fenced = False
        if self._connection is not None:
            self._connection.close()
        self._connection = self._connect()
        self._draw = None
        self._clock = ServerClock()
        self._loads.end()
        self._ensure_triggers(self._connection)
        plan = self._planner.begin(self._connection)
        self._loads.forget()
        self._pipeline.know_parked(self._connection)
        with self._fence.lock:
            for number, current in enumerate(plan.current):
                self._fence.current[number] = current.name if current else None
                self._fence.lenient[number] = current.lenient if current else False
            self._fence.resumed = {one.resume.physical for one in plan.plans if one.resume}
            self._pipeline.renew()
            self._fence.raise_generation()
            self._inbox.fenced = False  # verdicts on the generation before
        if not self._resumed:
            self._resumed = True
            self._pipeline.resume()
        self._auditor.renew(self._connection)
        self._loads.begin(self._connection, plan.plans, thread=self._thread.is_alive())
        self._polls.begin(
            self._connection, lambda: self._waiting(session), thread=self._thread.is_alive()
        )
        since = self._polls.since()
        rows = 0
        if since is not None:
            self._inbox.take_sweep()
            rows = self._polls.catch_up(since)
            self._observe(
                events.CaughtUp(rows, time.monotonic() - started, self._keeper.last_processed)
            )
        self._keeper.save_control(now=True)  # a standby must not catch up once more
        self._served = session

    def _connect(self) -> postgres.Connection:
        """A connection whose session has the settings that its role has now."""
        while True:
            connection = postgres.connect(self._config.postgres, "listener: watermark")
            try:
                if self._planner.settings.settled(connection):
                    return connection
            except BaseException:
                connection.close()
                raise
            connection.close()

    # -- ticks -----------------------------------------------------------------------------------

    def _turn(self) -> None:
        """One tick: proof, barrier, polls, and the watermark if all of it holds."""
        session = self._served
        assert self._connection is not None
        now = self._check_clock()
        if self._draw is None:
            self._draw = watermark.burn(self._connection, *now)
            self._drawn_at = time.monotonic()
        drawn = self._draw
        # before any rows are read, and before the barrier
        proven, unheard = self._queue.passed(self._connection, drawn, self._polls.since())
        mark = self._barrier(session)
        overflows = self._pipeline.overflows
        wanted = self._inbox.take_sweep()
        if wanted:
            self._keeper.control_soon()  # who asked may wait to read of it there
        everything = wanted or unheard or overflows != self._polls.overflows
        everything = everything or self._inbox.unmapped  # put off for a load that is under way
        swept = False
        if everything or not self._all_rows:
            since = self._polls.since()
            if since is not None:
                # what the watermark stands on is read from the watermark on; while it waits, what
                # is new is enough
                recent = None if proven else timedelta(seconds=self._config.overlap)
                try:
                    self._polls.scan(since, silent=not everything, recent=recent)
                except BaseException:
                    self._inbox.want_sweep()
                    raise
                self._polls.look_ahead()
                swept = everything and proven
                if everything:
                    self._stop.wait(_SWEEP_APART)
        if proven:
            self._polls.proven()
        while not self._pipeline.wait_settled(mark, self._config.fetch_delay):
            self._current(session)
            self._barrier(session)  # the heartbeat goes on while Elasticsearch is away
        self._turns += 1
        if not proven:
            self._name_holder()
        elif swept or self._pipeline.overflows == overflows:
            # what was dropped after a sweep of everything began: it had it, or it is stamped later
            self._advance(drawn)
        self._save(session, drawn)

    def _advance(self, drawn: Draw) -> None:
        self._draw = None
        self._keeper.advance(drawn.at)
        way = "barrier" if self._all_rows else "scan"
        if self._keeper.last_processed == drawn.at:
            self._observe(events.WatermarkMoved(drawn.at, way))
        else:  # a load or a comparison is not complete
            self._observe(events.WatermarkWaits(drawn.at, way))
        self._polls.advanced()

    def _check_clock(self) -> tuple[datetime, str]:
        """The server's time and WAL. The watermark goes back with its clock, and no draw of before
        counts.
        """
        assert self._connection is not None
        asked = time.monotonic()
        at, lsn = watermark.now(self._connection)
        back = self._clock.went_back(asked, at, time.monotonic())
        if back is not None:
            self._observe(events.ClockSteppedBack(back))
            self._loads.end()
            self._keeper.step_back(timedelta(seconds=back + self._config.overlap))
            self._served = 0  # no draw of before counts, nor what is remembered by its stamp
            raise SessionLost
        return at, lsn

    def _barrier(self, session: int) -> int:
        """Send a notification to ourselves; all that was queued before it is then received."""
        assert self._connection is not None
        nonce = self._inbox.new_nonce()
        payload = json.dumps({"v": PAYLOAD_VERSION, "barrier": nonce})
        self._connection.execute(
            files.load("watermark/notify"),
            {"channel": self._config.postgres.db_schema, "payload": payload},
        )
        mark = self._inbox.wait_barrier(session, lambda: self._stop.requested, _BARRIER_DEADLINE)
        self._current(session)
        if mark is None:
            self._cut()
            raise SessionLost
        if self._loads.guarded:
            names = ", ".join(sorted(self._loads.guarded))
            self._beat("guarded", f"{names}: deleting so many documents needs a person's word")
        else:
            self._beat("loading" if self._loads.running else "serving")
        return mark

    def _name_holder(self) -> None:
        assert self._connection is not None
        now = time.monotonic()
        waited = now - self._drawn_at
        if waited > NAME_HOLDER_AFTER and now - self._named_at > _NAME_HOLDER_EVERY:
            self._named_at = now
            self._observe(events.WatermarkHeld(watermark.holder(self._connection), waited))

    def _save(self, session: int, drawn: Draw) -> None:
        assert self._connection is not None
        self._keeper.seen(drawn.lsn)
        self._keeper.save()
        if not self._keeper.save_control():
            self._inbox.fenced = True
        altered = self._audit()
        if altered is not None:
            self._observe(events.AuditFailed(altered))
            self._served = 0  # begin as on a new connection: mend, then compare
            return
        now = time.monotonic()
        if now - self._pruned_at > _PRUNE_EVERY and self._keeper.last_processed is not None:
            self._pruned_at = now
            retention = timedelta(seconds=self._config.triggers.retention)
            journal.prune(
                self._connection,
                self._config.postgres.db_schema,
                self._keeper.last_processed - retention,
            )
        self._current(session)

    def _audit(self) -> str | None:
        """Look whether all is as it was left, where that is due; what is not."""
        assert self._connection is not None
        now = time.monotonic()
        if self._pipeline.trouble is None and self._doubted:
            self._doubted = False
            self._audited_at = -math.inf
        if now - self._audited_at <= self._config.audit_every:
            return None
        self._audited_at = now
        loading = [number for number, name in enumerate(self._fence.loading) if name]
        try:
            altered = self._auditor.audit(self._connection, loading)
            if altered is None:
                altered = self._astray()
        except search.Error as error:
            suffering = self._pipeline.trouble is not None
            if not search.is_passing(error) or not (suffering or self._loads.running):
                raise
            # a new session would end the loads that wait for the server
            self._doubted = self._doubted or suffering
            if not suffering:  # else it is told already
                reason = f"audit: {search.describe(error)}"
                every = self._config.audit_every
                self._observe(events.Waiting("Elasticsearch", 1, every, reason))
            return None
        if altered is None:
            self._pipeline.retry_unproven()
        return altered

    def _astray(self) -> str | None:
        found = self._fence.astray()
        if found is None:
            return None
        number, what = found
        if what.scattered:
            self._auditor.distrust_index(number)
        else:
            self._auditor.distrust()  # what was accepted elsewhere is missing here
        return what.what

    def _beat(self, state: str, reason: str | None = None) -> None:
        trouble, braked = self._pipeline.trouble, self._pipeline.braked
        held = self._pipeline.held or self._loads.held
        if not self._resumed:
            pass  # nothing is sent: what was in the way is the active daemon's matter
        elif braked is not None:
            state, reason = "braked", braked
        elif held is not None and reason is None:
            state, reason = "held", held
        elif trouble is not None and reason is None:
            state, reason = f"waiting for {trouble[0]}", trouble[2]
        if reason is None and self._keeper.trouble is not None:
            reason = self._keeper.trouble
        beat(
            self._config.state_file_name,
            fetch_delay=self._config.fetch_delay,
            what=state,
            last_processed=self._keeper.last_processed,
            reason=reason,
        )

    # -- once ------------------------------------------------------------------------------------

    def _catch_up_once(self) -> None:
        """All that is visible now; waits for nobody's transaction."""
        session = self._wait_for_session()
        self._begin(session)
        assert self._connection is not None
        # where every table notifies, whoever commits late is heard through LISTEN
        based = self._loads.here(self._connection, lambda: self._current(session)) or self._all_rows
        drawn = watermark.draw(self._connection)
        proven = watermark.passed(self._connection, drawn)
        mark = self._barrier(session)
        since = self._polls.since()
        if since is not None:
            self._polls.scan(since)
        while not self._pipeline.wait_settled(mark, self._config.fetch_delay):
            self._current(session)
        for job in self._pipeline.retry_unproven():  # no audit will
            while not self._pipeline.wait(job, self._config.fetch_delay):
                self._current(session)
        self._loads.finish_here(lambda: self._current(session))
        while not self._pipeline.wait_noted(self._config.fetch_delay):
            self._current(session)
        if proven and based and self._pipeline.overflows == self._polls.overflows:
            self._keeper.advance(drawn.at)
        elif not proven:
            waited = time.monotonic() - self._drawn_at if self._draw else 0.0
            self._observe(events.WatermarkHeld(watermark.holder(self._connection), waited))
        self._keeper.seen(drawn.lsn)
