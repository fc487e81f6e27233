"""`--once`: catch up with all that is visible now, save the proven watermark, return."""

from __future__ import annotations

from listener.capture import watermark
from listener.coordinator.barrier import Barrier
from listener.coordinator.polls import Polls
from listener.coordinator.progress import Progress
from listener.coordinator.sessions import Sessions
from listener.indexing.pipeline import Pipeline
from listener.resync.jobs import Jobs
from listener.runtime.lifecycle import Stop


class Once:
    """Does the coordinator's work in the caller's thread, but waits for no other transaction."""

    def __init__(
        self,
        *,
        fetch_delay: float,
        sessions: Sessions,
        barrier: Barrier,
        polls: Polls,
        pipeline: Pipeline,
        jobs: Jobs,
        progress: Progress,
        stop: Stop,
    ) -> None:
        """`fetch_delay`: seconds between looks at what is waited for."""
        self._fetch_delay = fetch_delay
        self._sessions = sessions
        self._barrier = barrier
        self._polls = polls
        self._pipeline = pipeline
        self._jobs = jobs
        self._progress = progress
        self._stop = stop

    def run(self) -> None:
        """Until it is done, or a stop is requested. Raises GaveUp, and what no wait mends."""
        done = False
        while not done and not self._stop.requested:
            done = self._sessions.guarded(self._catch_up)

    def _catch_up(self) -> None:
        session = self._sessions.next()
        connection = session.connection
        # where every table sends its keys, a late commit is heard through LISTEN
        based = self._jobs.here(connection, session) or self._polls.all_rows
        while True:
            interruptions = self._pipeline.interruptions
            drawn = self._progress.draw(session)
            proven = watermark.passed(connection, drawn)
            mark = self._barrier.send(session)
            since = self._polls.since()
            if since is not None:
                self._polls.scan(since)
            while not self._pipeline.wait_settled(mark, self._fetch_delay):
                session.check()
                self._jobs.rollbacks.look(connection)
            self._jobs.rollbacks.look(connection)
            if self._pipeline.whole and self._pipeline.interruptions == interruptions:
                break
            while not self._pipeline.wait_whole(self._fetch_delay):
                session.check()
                self._jobs.rollbacks.look(connection)
        for job in self._pipeline.retry_unproven():  # a daemon does it at its audits
            while not self._pipeline.wait(job, self._fetch_delay):
                session.check()
        self._jobs.finish_here(connection, session)
        self._jobs.rollbacks.here(connection)
        while not self._pipeline.wait_noted(self._fetch_delay):
            session.check()
        whole = self._pipeline.whole and self._pipeline.interruptions == interruptions
        if proven and based and whole and self._polls.complete:
            self._progress.advance(drawn)
        elif not proven:
            self._progress.name_holder(connection)
        self._progress.note(drawn)
