"""A tick: proof, barrier, sweeps, and the watermark if all of it holds.

It draws a moment and a transaction id, looks whether all older transactions have ended, sends a
barrier through LISTEN/NOTIFY, polls what does not notify, and advances the watermark when all that
came before is in Elasticsearch.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Final

from listener.capture import journal, watermark
from listener.capture.notify_queue import NotifyQueue
from listener.capture.server_clock import ServerClock
from listener.capture.watermark import Draw
from listener.config import Config
from listener.coordinator.audits import Audits
from listener.coordinator.barrier import Barrier
from listener.coordinator.mailbox import Mailbox
from listener.coordinator.polls import Polls
from listener.coordinator.session import BeginAnew, Session
from listener.indexing.pipeline import Pipeline
from listener.observations import events
from listener.observations.events import Observe
from listener.resync.jobs import Jobs
from listener.resync.runner import NAME_HOLDER_AFTER
from listener.runtime.lifecycle import Stop
from listener.state.store import Keeper

_NAME_HOLDER_EVERY: Final = 60.0
_PRUNE_EVERY: Final = 60.0
_SWEEP_APART: Final = 0.05


class Ticker:
    """`begin` for each session. Of the coordinator's thread. Errors of psycopg pass through."""

    def __init__(
        self,
        *,
        config: Config,
        all_rows: bool,
        mailbox: Mailbox,
        barrier: Barrier,
        polls: Polls,
        pipeline: Pipeline,
        jobs: Jobs,
        keeper: Keeper,
        audits: Audits,
        observe: Observe,
        stop: Stop,
    ) -> None:
        """`all_rows`: whether every watched table sends its keys by NOTIFY."""
        self._config = config
        self._all_rows = all_rows
        self._mailbox = mailbox
        self._barrier = barrier
        self._polls = polls
        self._pipeline = pipeline
        self._jobs = jobs
        self._keeper = keeper
        self._audits = audits
        self._observe = observe
        self._stop = stop
        self._queue = NotifyQueue(config.postgres.db_schema, observe)
        self._clock = ServerClock()
        self._draw: Draw | None = None
        self._drawn_at = 0.0
        self._named_at = 0.0
        self._pruned_at = 0.0

    def begin(self) -> None:
        """A new session: no draw of before counts."""
        self._draw = None
        self._clock = ServerClock()

    def tick(self, session: Session) -> bool:
        """One tick. False where the audit failed: a new session must begin.

        Raises as of Session.check, and BeginAnew where the server's clock went back.
        """
        now = self._check_clock(session)
        if self._draw is None:
            self._draw = watermark.burn(session.connection, *now)
            self._drawn_at = time.monotonic()
        drawn = self._draw
        # before any rows are read, and before the barrier
        proven, unheard = self._queue.passed(session.connection, drawn, self._polls.since())
        mark = self._barrier.send(session)
        overflows = self._pipeline.overflows
        swept = self._sweep(proven=proven, unheard=unheard)
        if proven:
            self._polls.proven()
        while not self._pipeline.wait_settled(mark, self._config.fetch_delay):
            session.check()
            self._barrier.send(session)  # the heartbeat goes on while Elasticsearch is away
        self._mailbox.ticked()
        if not proven:
            self._name_holder(session)
        elif swept or self._pipeline.overflows == overflows:
            # what was dropped after a sweep of everything began: it had it, or it is stamped later
            self._advance(drawn)
        return self._save(session, drawn)

    def _sweep(self, *, proven: bool, unheard: bool) -> bool:
        """Poll what does not notify, and everything where that is asked for or was dropped; whether
        everything was read from the watermark on."""
        overflows = self._pipeline.overflows
        wanted = self._mailbox.take_sweep()
        if wanted:
            self._keeper.control_soon()  # who asked may wait to read of it there
        everything = wanted or unheard or overflows != self._polls.overflows
        everything = everything or self._mailbox.some_unmapped  # put off for a load under way
        since = self._polls.since()
        if (not everything and self._all_rows) or since is None:
            return False
        # what the watermark stands on is read from the watermark on; while it waits, what is new is
        # enough
        recent = None if proven else timedelta(seconds=self._config.overlap)
        try:
            self._polls.scan(since, silent=not everything, recent=recent)
        except BaseException:
            self._mailbox.want_sweep()
            raise
        self._polls.look_ahead()
        if everything:
            self._stop.wait(_SWEEP_APART)
        return everything and proven

    def _advance(self, drawn: Draw) -> None:
        self._draw = None
        self._keeper.advance(drawn.at)
        way = "barrier" if self._all_rows else "scan"
        if self._keeper.last_processed == drawn.at:
            self._observe(events.WatermarkMoved(drawn.at, way))
        else:  # a load or a comparison is not complete
            self._observe(events.WatermarkWaits(drawn.at, way))
        self._polls.advanced()

    def _check_clock(self, session: Session) -> tuple[datetime, str]:
        """The server's time and WAL. The watermark goes back with its clock: BeginAnew then, for no
        draw of before counts, nor what is remembered by its stamp."""
        asked = time.monotonic()
        at, lsn = watermark.now(session.connection)
        back = self._clock.went_back(asked, at, time.monotonic())
        if back is not None:
            self._observe(events.ClockSteppedBack(back))
            self._jobs.end()
            self._keeper.step_back(timedelta(seconds=back + self._config.overlap))
            raise BeginAnew
        return at, lsn

    def _name_holder(self, session: Session) -> None:
        now = time.monotonic()
        waited = now - self._drawn_at
        if waited > NAME_HOLDER_AFTER and now - self._named_at > _NAME_HOLDER_EVERY:
            self._named_at = now
            holder = watermark.holder(session.connection)
            self._observe(events.WatermarkHeld(holder, waited))

    def _save(self, session: Session, drawn: Draw) -> bool:
        """Write down how far it is, audit and prune where that is due. False as of `tick`."""
        self._keeper.seen(drawn.lsn)
        self._keeper.save()
        if not self._keeper.save_control():
            self._mailbox.fenced()
        if self._audits.failed(session.connection):
            return False
        now = time.monotonic()
        if now - self._pruned_at > _PRUNE_EVERY and self._keeper.last_processed is not None:
            self._pruned_at = now
            retention = timedelta(seconds=self._config.triggers.retention)
            journal.prune(
                session.connection,
                self._config.postgres.db_schema,
                self._keeper.last_processed - retention,
            )
        session.check()
        return True
