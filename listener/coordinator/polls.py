"""Polls: sweeps that hand changes to the pipeline, and wait until they are in Elasticsearch."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from listener.capture import journal, watermark
from listener.capture.sweep import Sweep, SweptPage
from listener.config import Config
from listener.coordinator.doorbell import Doorbell
from listener.coordinator.mailbox import Mailbox
from listener.coordinator.session import Session
from listener.documents.topology import Assembly
from listener.indexing.pipeline import Pipeline
from listener.indexing.queue import Job
from listener.observations import events
from listener.observations.events import Observe
from listener.resync.jobs import Jobs
from listener.resync.kind_state import Wanted
from listener.state.store import Keeper

_MARGIN: Final = timedelta(seconds=0.1)
"""How far the clocks of a server's processors may differ; ticks reach back further."""
_OPEN_PAGES: Final = 4
_SWEEP_APART: Final = 0.05
"""Seconds of pause after a sweep of everything: while one is asked for, ticks follow at once."""
_NEVER_COVERED: Final = datetime.max.replace(tzinfo=UTC)


class Polls:
    """The sweeps of one pipeline; `begin` for each session. For the coordinator's thread alone."""

    def __init__(
        self,
        *,
        config: Config,
        parts: Assembly,
        mailbox: Mailbox,
        doorbell: Doorbell,
        pipeline: Pipeline,
        jobs: Jobs,
        keeper: Keeper,
        observe: Observe,
    ) -> None:
        self._config = config
        self._parts = parts
        self._mailbox = mailbox
        self._doorbell = doorbell
        self._pipeline = pipeline
        self._jobs = jobs
        self._keeper = keeper
        self._observe = observe
        self.all_rows = parts.all_rows
        """Whether every watched table sends its keys by NOTIFY."""
        self._overflows = 0
        """How often the pending set had been dropped when the last sweep of all tables began."""
        self._sweep = self._new_sweep()
        self._interruptions = 0
        """The pipeline's, when this sweep began to remember what it hands on."""
        self._session: Session | None = None
        self._began: datetime | None = None
        self._ahead_due = False
        self._ahead_read = 0.0
        self._all_again = False

    def _new_sweep(self) -> Sweep:
        parts = self._parts
        return Sweep(parts.watches, parts.types, parts.zoneless, self._config.postgres.db_schema)

    def begin(self, session: Session) -> None:
        """A new session: what was handed on before may be missing again."""
        self._session = session
        self._interruptions = self._pipeline.interruptions
        self._sweep = self._new_sweep()
        self._doorbell.begin(session.connection)
        self._began = watermark.now(session.connection)[0]
        self._ahead_due = True
        self._ahead_read = time.monotonic()
        self._all_again = False

    @property
    def _current(self) -> Session:
        assert self._session is not None
        return self._session

    def since(self) -> datetime | None:
        """Where a sweep starts: the watermark, or the start of a load, minus the overlap."""
        moments = self._jobs.starts
        if self._keeper.last_processed is not None:
            moments.append(self._keeper.last_processed)
        if not moments:
            return None
        return min(moments) - timedelta(seconds=self._config.overlap)

    def advanced(self) -> None:
        """The watermark moved: rows before it need not be remembered."""
        since = self.since()
        if since is not None:
            self._sweep.forget_before(since)

    @property
    def complete(self) -> bool:
        """Whether nothing was dropped since the last sweep of all tables began."""
        return self._pipeline.overflows == self._overflows

    def at_tick(self, *, proven: bool, unheard: bool) -> bool:
        """Poll the tables that do not send their keys; and everything where that is asked for,
        where changes were dropped, or where NOTIFY was left out (`unheard`). Returns whether
        everything was read from the watermark on.

        What the watermark stands on is read from the watermark on; before it is `proven`, what is
        new is enough. If a sweep fails another one is asked for.
        """
        self.look_at_formers()
        wanted = self._mailbox.take_sweep()
        if wanted:
            self._keeper.control_soon()  # it may be waited for there
        everything = wanted or unheard or not self.complete
        everything = everything or self._mailbox.some_unmapped  # put off for a load under way
        since = self.since()
        if (not everything and self.all_rows) or since is None:
            return False
        recent = None if proven else timedelta(seconds=self._config.overlap)
        try:
            self.scan(since, silent=not everything, recent=recent)
        except BaseException:
            self._mailbox.want_sweep()
            raise
        self.look_ahead()
        if everything:
            self._current.pause(_SWEEP_APART)
        return everything and proven

    def catch_up(self) -> None:
        """The first sweep of a session: it reads what is stamped in the future, too."""
        since = self.since()
        if since is not None:
            self._mailbox.take_sweep()
            rows = self.scan(since, ahead=True)
            seconds = time.monotonic() - self._current.began
            self._observe(events.CaughtUp(rows, seconds, self._keeper.last_processed))
        self._keeper.save_control(now=True)  # a standby must not catch up once more

    def proven(self) -> None:
        """All transactions that ran when the session began have ended. What they stamped in the
        future, by a clock that was set back since, is read once."""
        if self._ahead_due:
            # a row that was ahead then, and of which no notification came, may be past by now
            since = self._began if self._all_again else None
            self._hand_on(self._sweep.ahead_again(self._current.connection, since))
            self._ahead_due = False

    def look_ahead(self) -> None:
        """As often as an audit: read what a clock stamped that was ahead between two ticks, so that
        no tick saw it. Tables that send their keys do not need it.
        """
        now = time.monotonic()
        if now - self._ahead_read > self._config.audit_every:
            self._hand_on(self._sweep.ahead_again(self._current.connection, None, silent=True))
            self._ahead_read = now

    def scan(
        self,
        since: datetime,
        *,
        silent: bool = False,
        recent: timedelta | None = None,
        ahead: bool = False,
    ) -> int:
        """Hand on all visible rows from `since`, and wait until they are in Elasticsearch.

        `silent`, `recent` and `ahead`: as of Sweep.pages. Returns how many rows there were.

        What is handed on while a kind is held is left out of it. So once a kind was held or
        released, what was handed on is forgotten, and all is read.
        """
        overflows, interruptions = self._pipeline.overflows, self._pipeline.interruptions
        if interruptions != self._interruptions:
            self._sweep, self._interruptions = self._new_sweep(), interruptions
            recent, ahead = None, True
        margin = timedelta(seconds=self._config.overlap)
        pages = self._sweep.pages(
            self._current.connection,
            since,
            silent=silent,
            recent=recent,
            margin=margin,
            ahead=ahead,
        )
        count = self._hand_on(pages)
        if not silent:
            self._overflows = overflows
            self._all_again = self._all_again or not ahead
        return count

    def _hand_on(self, pages: Iterable[SweptPage]) -> int:
        self._doorbell.polled()
        open_jobs: list[Job] = []
        counts: dict[str, tuple[int, float]] = {}
        lost: dict[int, tuple[datetime, Wanted]] = {}
        loads: list[journal.LoadAsked] = []
        for page in pages:
            rows, seconds = counts.get(page.table, (0, 0.0))
            counts[page.table] = (rows + page.rows, seconds + page.seconds)
            for watch, at, reason in page.reconcile:
                self._note_lost(lost, watch, at, reason)
            loads += page.loads
            for change in page.changes:
                open_jobs += self._pipeline.submit(change.watch, change.keys)
            for asked in page.rollbacks:
                self._jobs.rollbacks.ask(asked)
            for index, ids in page.retry:
                open_jobs += self._pipeline.retry(index, ids)
            while len(open_jobs) > _OPEN_PAGES:
                self._wait_job(open_jobs.pop(0))
        for job in open_jobs:
            self._wait_job(job)
        for table, (rows, seconds) in counts.items():
            self._observe(events.Swept(table, rows, seconds))
        for number, reason in self._mailbox.take_unmapped().items():
            if self._jobs.loads(number):  # a load that began anew each time would never end
                self._mailbox.put_off_unmapped(number, reason)
            else:
                before = lost[number][1] if number in lost else Wanted(reason, unguarded=False)
                lost[number] = _NEVER_COVERED, replace(before, reason=reason, missed=True)
        self._reconcile(lost)
        if loads:
            self._jobs.load(self._current.connection, loads)
        return sum(rows for rows, _ in counts.values())

    def look_at_formers(self) -> None:
        """Give up former indexes that are in doubt or fail: nothing waits for them. Raises as
        Rollbacks.look."""
        self._jobs.rollbacks.look(self._current.connection)

    @property
    def rollbacks_due(self) -> Mapping[int, journal.RollbackAsked]:
        """As of Rollbacks.due."""
        return self._jobs.rollbacks.due()

    def roll_back(self, due: Mapping[int, journal.RollbackAsked]) -> None:
        """As of Jobs.roll_back."""
        self._jobs.roll_back(self._current.connection, due)

    def _wait_job(self, job: Job) -> None:
        while not self._pipeline.wait(job, self._config.fetch_delay):
            self._current.wait_on()
            self.look_at_formers()
            self._doorbell.keep()

    def _note_lost(
        self, lost: dict[int, tuple[datetime, Wanted]], watch: str, at: datetime, reason: str
    ) -> None:
        """The journal says that changes of this watch may be lost. For a TRUNCATE, and where a
        person allowed it, the comparison may empty the index; for any other cause it may not.
        """
        for number in self._parts.documents_of[watch]:
            # what was compared or loaded since is the index in use, not the former one
            self._keeper.doubt(self._parts.kinds[number].index, f"{watch}: {reason}")
            latest, unguarded = at, journal.may_empty(reason)
            asked, emptied = journal.is_asked(reason), journal.is_truncate(reason)
            missed = not asked
            before = lost.get(number)
            if before is not None:
                latest = max(latest, before[0])
                unguarded = unguarded or before[1].unguarded
                asked = asked or before[1].asked
                emptied = emptied or before[1].emptied
                missed = missed or before[1].missed
            lost[number] = (
                latest,
                Wanted(
                    f"{watch}: {reason}", unguarded, asked=asked, emptied=emptied, missed=missed
                ),
            )

    def _reconcile(self, lost: Mapping[int, tuple[datetime, Wanted]]) -> None:
        """Compare the documents of which changes may be lost, but for those compared since."""
        wanted = {
            number: one
            for number, (at, one) in lost.items()
            if not self._jobs.covers(number, at, one)
        }
        if wanted:
            self._jobs.again(self._current.connection, wanted)

    def answer(self) -> None:
        """One poll for the doorbell: of the tables that do not send their keys."""
        since = self.since()
        self._doorbell.before_poll()
        rows = 0
        if since is not None:
            rows = self.scan(since, silent=True, recent=_MARGIN)
        self._doorbell.after_poll(rows)
