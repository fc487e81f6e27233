"""Polls: sweeps that hand changes to the pipeline, and the doorbell that asks for them.

A doorbell's NOTIFY says that something changed, not what. Who found it ringing does not ring, and
may commit later: so polls follow, at growing intervals, until one began when every transaction
that was open at the ring had ended.

Where it rings very often we poll without a pause, and keep the bell meanwhile (`doorbell_lease`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from listener.capture import journal, watermark
from listener.capture.doorbell_lease import Lease
from listener.capture.sweep import Sweep, Swept
from listener.capture.watermark import Draw
from listener.config import Config
from listener.coordinator.mailbox import Inbox
from listener.indexing.pipeline import Pipeline
from listener.indexing.queue import Job
from listener.observations import events
from listener.observations.events import Observe
from listener.postgres import Connection
from listener.resync.jobs import Loads, Wanted
from listener.state.store import Keeper

_FIRST: Final = 0.005
"""Seconds between a ring's first poll and its second; each further wait is twice as long."""
_RINGS_APART: Final = 0.02
"""Seconds between polls that rings ask for: they may come by the thousand."""
_OFTEN: Final = 5
"""Rings within that time, or rows that a poll brings, that make it worth to keep the bell: 250 a
second. Below that NOTIFY costs little, and is sooner than the next poll."""
_SELDOM: Final = 10
"""Polls in a row that bring less, after which it is let go: on a busy machine writers pause for a
moment, and then thousands of transactions would ring until it is kept again."""
_MARGIN: Final = timedelta(seconds=0.1)
"""How far the clocks of a server's processors may differ; ticks reach back further."""
_OPEN_PAGES: Final = 4
_NEVER_COVERED: Final = datetime.max.replace(tzinfo=UTC)


class Polls:
    """The sweeps of one pipeline; `begin` for each session. Of the coordinator's thread."""

    def __init__(
        self,
        *,
        config: Config,
        documents_of: Mapping[str, Sequence[int]],
        new_sweep: Callable[[], Sweep],
        inbox: Inbox,
        pipeline: Pipeline,
        loads: Loads,
        keeper: Keeper,
        observe: Observe,
    ) -> None:
        self._config = config
        self._documents_of = documents_of
        self._new_sweep = new_sweep
        self._inbox = inbox
        self._pipeline = pipeline
        self._loads = loads
        self._keeper = keeper
        self._observe = observe
        self.overflows = 0
        """How often the pending set had been dropped when the last sweep of all tables began."""
        self._sweep = new_sweep()
        self._connection: Connection | None = None
        self._current: Callable[[], None] = lambda: None
        self._thread = True
        self._ring: Draw | None = None
        self._lease: Lease | None = None
        self._seldom = 0
        self._wait = _FIRST
        self._polled = 0.0
        self._began: datetime | None = None
        self._ahead_due = False
        self._ahead_read = 0.0
        self._all_again = False

    def begin(self, connection: Connection, current: Callable[[], None], *, thread: bool) -> None:
        """A new session. `current` raises where it is over, and shows signs of life; `thread`:
        whether comparisons run in a thread of their own.
        """
        self._connection = connection
        self._current = current
        self._thread = thread
        self._sweep = self._new_sweep()
        self._ring = None
        self._lease = Lease(connection, self._config.postgres.db_schema)
        self._seldom = 0
        self._began = watermark.now(connection)[0]
        self._ahead_due = True
        self._ahead_read = time.monotonic()
        self._all_again = False

    def since(self) -> datetime | None:
        """Where a sweep starts: the watermark, or the start of a load, minus the overlap."""
        moments = self._loads.starts
        if self._keeper.last_processed is not None:
            moments.append(self._keeper.last_processed)
        if not moments:
            return None
        return min(moments) - timedelta(seconds=self._config.overlap)

    def advanced(self) -> None:
        """The watermark moved: what lies before it need not be remembered."""
        since = self.since()
        if since is not None:
            self._sweep.forget_before(since)

    def catch_up(self, since: datetime) -> int:
        """The first sweep of a session: it reads what is stamped in the future, too."""
        return self.scan(since, ahead=True)

    def proven(self) -> None:
        """Whoever ran when the session began has ended: what they have stamped in the future, by a
        clock that was set back since, is read once."""
        if self._ahead_due:
            assert self._connection is not None
            # what was to be heard, and was not, may have been ahead then and be past now
            since = self._began if self._all_again else None
            self._hand_on(self._sweep.ahead_again(self._connection, since))
            self._ahead_due = False

    def look_ahead(self) -> None:
        """As often as an audit: what was stamped by a clock that was ahead between two ticks, which
        none of them saw. What sends its keys is heard of without it.
        """
        now = time.monotonic()
        if now - self._ahead_read > self._config.audit_every:
            assert self._connection is not None
            self._hand_on(self._sweep.ahead_again(self._connection, None, silent=True))
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
        """
        assert self._connection is not None
        overflows = self._pipeline.overflows
        margin = timedelta(seconds=self._config.overlap)
        pages = self._sweep.pages(
            self._connection, since, silent=silent, recent=recent, margin=margin, ahead=ahead
        )
        count = self._hand_on(pages)
        if not silent:
            self.overflows = overflows
            self._all_again = self._all_again or not ahead
        return count

    def _hand_on(self, pages: Iterable[Swept]) -> int:
        self._polled = time.monotonic()
        open_jobs: list[Job] = []
        counts: dict[str, tuple[int, float]] = {}
        lost: dict[int, tuple[datetime, Wanted]] = {}
        for page in pages:
            rows, seconds = counts.get(page.table, (0, 0.0))
            counts[page.table] = (rows + page.rows, seconds + page.seconds)
            for watch, at, reason in page.reconcile:
                self._note_lost(lost, watch, at, reason)
            for change in page.changes:
                open_jobs += self._pipeline.submit(change.watch, change.keys)
            for index, ids in page.retry:
                open_jobs += self._pipeline.retry(index, ids)
            while len(open_jobs) > _OPEN_PAGES:
                self._wait_job(open_jobs.pop(0))
        for job in open_jobs:
            self._wait_job(job)
        for table, (rows, seconds) in counts.items():
            self._observe(events.Swept(table, rows, seconds))
        for number, reason in self._inbox.take_unmapped().items():
            if self._loads.loads(number):  # a load that began anew each time would never end
                self._inbox.on_unmapped(number, reason)
            else:
                before = lost[number][1] if number in lost else Wanted(reason, unguarded=False)
                lost[number] = _NEVER_COVERED, replace(before, reason=reason)
        self._reconcile(lost)
        return sum(rows for rows, _ in counts.values())

    def _wait_job(self, job: Job) -> None:
        while not self._pipeline.wait(job, self._config.fetch_delay):
            self._current()
            if self._lease is not None and self._lease.held:
                self._lease.keep()

    def _note_lost(
        self, lost: dict[int, tuple[datetime, Wanted]], watch: str, at: datetime, reason: str
    ) -> None:
        """Changes of this watch may be lost, says the journal. A TRUNCATE, and a person who said
        so, may empty the index; any other cause may not.
        """
        for number in self._documents_of[watch]:
            latest, unguarded = at, journal.may_empty(reason)
            asked = journal.is_asked(reason)
            before = lost.get(number)
            if before is not None:
                latest = max(latest, before[0])
                unguarded = unguarded or before[1].unguarded
                asked = asked or before[1].asked
            lost[number] = latest, Wanted(f"{watch}: {reason}", unguarded, asked)

    def _reconcile(self, lost: Mapping[int, tuple[datetime, Wanted]]) -> None:
        """Compare the documents of which changes may be lost, unless that is done already."""
        wanted = {
            number: one
            for number, (at, one) in lost.items()
            if not self._loads.covers(number, at, unguarded=one.unguarded)
        }
        if wanted:
            assert self._connection is not None
            self._loads.again(self._connection, wanted, thread=self._thread)

    # -- the doorbell ----------------------------------------------------------------------------

    def due(self) -> float | None:
        """Seconds until a poll is due because the doorbell rang; None: it did not."""
        if self._inbox.rung or (self._lease is not None and self._lease.held):
            return max(0.0, self._polled + _RINGS_APART - time.monotonic())
        if self._ring is None:
            return None
        return max(0.0, self._polled + self._wait - time.monotonic())

    def answer(self) -> None:
        """One poll for the doorbell: of the tables that do not send their keys."""
        assert self._connection is not None
        assert self._lease is not None
        since = self.since()
        rings = self._inbox.take_rings()
        if rings >= _OFTEN or self._lease.held:
            self._lease.keep()
        elif rings:
            self._begin_ring(self._connection)
        elif self._ring is not None:
            self._wait = min(self._wait * 2, self._config.fetch_delay)
        if self._ring is not None and watermark.passed(self._connection, self._ring):
            self._ring = None  # this poll is the last one
        rows = 0
        if since is not None:
            rows = self.scan(since, silent=True, recent=_MARGIN)
        self._seldom = self._seldom + 1 if rows < _OFTEN else 0
        if self._lease.held and self._seldom >= _SELDOM:
            # whoever found the bell ringing has its id before we draw ours
            self._lease.end()
            self._begin_ring(self._connection)

    def _begin_ring(self, connection: Connection) -> None:
        self._ring = watermark.draw(connection)
        self._wait = _FIRST
