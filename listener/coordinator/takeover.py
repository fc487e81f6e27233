"""Takeovers: one daemon of a pipeline is active; this one waits for it, takes over, steps down."""

from __future__ import annotations

import time
from contextlib import suppress

from listener import search
from listener.coordinator.mailbox import Mailbox
from listener.coordinator.retry import Guard
from listener.coordinator.signs import Signs
from listener.indexing.fence import Fence
from listener.indexing.gate import FencedOut
from listener.indexing.pipeline import Pipeline
from listener.postgres import Connection
from listener.resync.jobs import Jobs
from listener.resync.plan import Findings
from listener.runtime.lifecycle import Stop, Stopped
from listener.state.heartbeat import DaemonState


class Takeover:
    """For the coordinator's thread alone."""

    def __init__(
        self,
        *,
        fetch_delay: float,
        mailbox: Mailbox,
        pipeline: Pipeline,
        fence: Fence,
        jobs: Jobs,
        guard: Guard,
        signs: Signs,
        stop: Stop,
    ) -> None:
        """`fetch_delay`: seconds between signs of life while it waits; a second at most."""
        self._look_every = min(fetch_delay, 1.0)
        self._mailbox = mailbox
        self._pipeline = pipeline
        self._fence = fence
        self._jobs = jobs
        self._guard = guard
        self._signs = signs
        self._stop = stop

    def wait(self) -> int:
        """Wait for a LISTEN connection, which only the active daemon has. Returns its number.

        Steps down while another daemon is active. Raises Stopped, and GaveUp as Guard.patience.
        """
        began = time.monotonic()
        mailbox = self._mailbox
        while not mailbox.session:
            if self._stop.requested:
                raise Stopped("stop was requested")
            if mailbox.standing_by:
                self._signs.tell(DaemonState.STANDING_BY)
                self._step_down()
            else:
                self._guard.patience("PostgreSQL is not to be reached", began)
                refused = mailbox.refused
                if refused is not None:
                    self._signs.tell(DaemonState.HELD, refused.reason, refused.mend)
                else:
                    away = mailbox.away
                    self._signs.tell(DaemonState.WAITING_FOR_POSTGRES, away.reason, away.mend)
            mailbox.wait_for_session(self._look_every)
        return mailbox.session

    def heed_refusals(self) -> None:
        """Where writes were refused, tell which generation is in force, and forget the refusals.
        Otherwise each wait of the next session would end at once."""
        if self._mailbox.is_fenced:
            self._tell_fence()
            self._mailbox.unfence()

    def begin(self, connection: Connection, findings: Findings) -> None:
        """Take the next generation for these indexes and loads, and send from here on.

        Errors of both clients pass through, and FencedOut.
        """
        self._pipeline.renew()
        resumed = {one.resume.physical for one in findings.needs if one.resume}
        self._fence.begin(findings.current, resumed, findings.kept)
        self._pipeline.know_parked(connection, resumed)
        self._mailbox.unfence()  # verdicts on the generation before
        if not self._signs.active:
            self._signs.active = True
            self._pipeline.resume()

    def _step_down(self) -> None:
        """Another daemon is active: send nothing more until a session of this one begins."""
        if self._signs.active:
            self._signs.active = False
            self._pipeline.pause()
            self._jobs.end()
            self._tell_fence()

    def _tell_fence(self) -> None:
        """Tell it where another daemon's generation is in force."""
        # FencedOut: it was told. An outage: the generation in force is seen at the next write.
        with suppress(FencedOut, *search.Error):
            self._fence.confirm()
