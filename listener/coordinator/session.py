"""One session: from a LISTEN connection on until what it is based on is gone."""

from __future__ import annotations

import time

from listener import ListenerError, postgres
from listener.coordinator.audits import Audits
from listener.coordinator.mailbox import Mailbox
from listener.coordinator.retry import Guard
from listener.coordinator.signs import Signs
from listener.indexing.pipeline import Pipeline
from listener.observations.events import ServerName
from listener.runtime.lifecycle import Stop, Stopped


class SessionLost(ListenerError):
    """The session is over: begin again when there is a LISTEN connection."""


class BeginAnew(SessionLost):
    """The session is over, though its LISTEN connection may not be: what was known of the database
    counts no more."""


class Session:
    """For the coordinator's thread alone. `number`: of the LISTEN connection. `connection`: for all
    that the coordinator reads itself. `began`: as time.monotonic().
    """

    def __init__(
        self,
        number: int,
        connection: postgres.Connection,
        *,
        mailbox: Mailbox,
        pipeline: Pipeline,
        audits: Audits,
        guard: Guard,
        signs: Signs,
        stop: Stop,
    ) -> None:
        self.number = number
        self.connection = connection
        self.began = time.monotonic()
        self._mailbox = mailbox
        self._pipeline = pipeline
        self._audits = audits
        self._guard = guard
        self._signs = signs
        self._stop = stop

    def check(self) -> None:
        """Call it while something is waited for. Raises SessionLost or BeginAnew where the session
        is over, Stopped, and GaveUp where a server was away for too long."""
        if self._stop.requested or self._pipeline.crashed:
            raise Stopped("stop was requested")
        if self._mailbox.session != self.number or self._mailbox.is_fenced:
            raise SessionLost  # fenced: nothing that is waited for would ever settle
        trouble = self._pipeline.trouble
        if trouble is None:
            return
        reason = f"{trouble.server}: {trouble.reason}"
        self._guard.patience(reason, time.monotonic() - trouble.seconds, trouble.mend)
        if trouble.server is ServerName.POSTGRES:
            if self._audits.look_meanwhile(self.connection):
                raise BeginAnew
        else:
            self._audits.doubt()
            if self._pipeline.held is not None and self._audits.look_at_indexes():
                raise BeginAnew

    def wait_on(self) -> None:
        """As `check`, with a sign of life: a sweep waits for Elasticsearch."""
        self.check()
        self._signs.serving()

    def pause(self, seconds: float) -> None:
        """Wait; a stop cuts it short."""
        self._stop.wait(seconds)
