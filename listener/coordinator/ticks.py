"""A tick: proof, barrier, sweeps, and the watermark if all of it holds.

It draws a moment and a transaction id, looks whether all older transactions have ended, sends a
barrier through LISTEN/NOTIFY, polls the tables that do not send their keys, and advances the
watermark when all that came before is in Elasticsearch.
"""

from __future__ import annotations

from listener.capture.notify_queue import NotifyQueue
from listener.coordinator.audits import Audits
from listener.coordinator.barrier import Barrier
from listener.coordinator.mailbox import Mailbox
from listener.coordinator.polls import Polls
from listener.coordinator.progress import Progress
from listener.coordinator.session import Session
from listener.indexing.pipeline import Pipeline


class Ticker:
    """For the coordinator's thread alone. Errors of psycopg pass through."""

    def __init__(
        self,
        *,
        fetch_delay: float,
        queue: NotifyQueue,
        mailbox: Mailbox,
        barrier: Barrier,
        polls: Polls,
        pipeline: Pipeline,
        progress: Progress,
        audits: Audits,
    ) -> None:
        """`fetch_delay`: seconds between barriers while Elasticsearch is waited for."""
        self._fetch_delay = fetch_delay
        self._queue = queue
        self._mailbox = mailbox
        self._barrier = barrier
        self._polls = polls
        self._pipeline = pipeline
        self._progress = progress
        self._audits = audits

    def tick(self, session: Session) -> bool:
        """One tick. False where the audit failed: a new session must begin.

        Raises as of Session.check, and BeginAnew where the server's clock went back.
        """
        connection = session.connection
        drawn = self._progress.draw(session)
        # before any rows are read, and before the barrier
        proven, unheard = self._queue.passed(connection, drawn, self._polls.since())
        mark = self._barrier.send(session)
        due = self._polls.rollbacks_due
        overflows, interruptions = self._pipeline.overflows, self._pipeline.interruptions
        swept = self._polls.at_tick(proven=proven, unheard=unheard)
        if proven:
            self._polls.proven()
        while not self._pipeline.wait_settled(mark, self._fetch_delay):
            session.check()
            self._barrier.send(session)  # the heartbeat goes on while Elasticsearch is away
            self._polls.look_at_formers()
        self._mailbox.ticked()
        if due and (swept or self._pipeline.overflows == overflows):
            self._polls.roll_back(due)
        if not proven:
            self._progress.waits(connection)
        elif not self._pipeline.whole or self._pipeline.interruptions != interruptions:
            pass  # what was left out of a kind that is held is read when it works again
        elif swept or self._pipeline.overflows == overflows:
            # what was dropped while everything was swept was read, or is stamped after the draw
            self._progress.advance(drawn)
            self._polls.advanced()
        self._progress.note(drawn)
        if not self._progress.save():
            self._mailbox.fenced()
        if self._audits.failed(connection):
            return False
        self._progress.prune(connection)
        session.check()
        return True
