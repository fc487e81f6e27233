"""The coordinator of a daemon: one thread that ticks, rests, and answers the doorbell meanwhile."""

from __future__ import annotations

import time

from listener.coordinator.doorbell import Doorbell
from listener.coordinator.mailbox import Mailbox
from listener.coordinator.polls import Polls
from listener.coordinator.session import Session
from listener.coordinator.sessions import Sessions
from listener.coordinator.ticks import Ticker
from listener.runtime.lifecycle import Life, ServiceThread


class Coordinator:
    """The thread of the daemon: sessions, ticks, and the polls that a doorbell asks for."""

    def __init__(
        self,
        *,
        fetch_delay: float,
        sessions: Sessions,
        ticker: Ticker,
        polls: Polls,
        doorbell: Doorbell,
        mailbox: Mailbox,
        life: Life,
    ) -> None:
        """`fetch_delay`: seconds between ticks."""
        self._fetch_delay = fetch_delay
        self._sessions = sessions
        self._ticker = ticker
        self._polls = polls
        self._doorbell = doorbell
        self._mailbox = mailbox
        self._stop = life.stop
        self._thread = ServiceThread("coordinator", self._run, life)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self) -> None:
        """Wait until the thread has ended; a stop must have been requested, and the pipeline
        stopped. Safe before the start, and twice."""
        self._mailbox.wake()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.requested:
            self._sessions.guarded(self._round)

    def _round(self) -> None:
        session = self._sessions.get()
        if self._ticker.tick(session):
            self._rest(session)
        else:  # begin as on a new connection: mend, then compare
            self._sessions.forget()

    def _rest(self, session: Session) -> None:
        """Until the next tick is due, or something asks for one; the doorbell is answered."""
        until = time.monotonic() + self._fetch_delay
        while (left := until - time.monotonic()) > 0:
            due = self._doorbell.due()
            if due == 0:
                self._polls.answer()
            elif self._mailbox.wait_for_work(
                session.number, left if due is None else min(left, due), rings=due is None
            ):
                return
