"""The sweep: keyset polls of the stamped columns and of the journal -> changes.

A sweep starts at the watermark minus the overlap and reads all that is visible up to now: freshness
never waits for a proof. What was handed on already is remembered, and where the watermark stands
only what can be new is read (`visibility`), so that an hour of standing does not read and index the
same rows every second.

Rows may be stamped in the future: the clock was set back, or they are from before listener came.
Triggers stamp by the server's clock, so a row that is written now is not one of them. The first
sweep of a session reads them (`ahead`), once more those that a transaction of that time commits
later are read, and each of them again when the clock has come to its stamp. Were they read by every
sweep, they would be indexed at every tick until then. A clock that is ahead for a moment between
two sweeps leaves such stamps, too: from time to time what is new among them is looked for.

A look ahead reads what can have become visible since the last one: rows of transactions that began
to write after it, and where one has ended that was open then, all since that one began
(`visibility.unseen`). So no number of rows is read again while transactions stay open, and one that
commits late is found. When one ends, what was read since it began would come once more: marks keep
it from that (`handed_on`). Rows beyond their limit come once more then, and not at each look.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from listener.capture import journal, stamped, visibility, xids
from listener.capture.handed_on import HandedOn
from listener.capture.stamped import Stamped
from listener.capture.visibility import Recent, Snapshot
from listener.changes import Change, Key, KeyType, Watch, canonical_keys
from listener.postgres import Connection, moment

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class SweptPage:
    """Changes of one page, and whose: `table` is the watch's id or `journal`.

    `seconds`: how long reading it took. `reconcile`: watches of which changes may be lost, when
    that was, and why. `retry`: index and ids of parked documents that an operator wants tried
    again. `loads`: indexes that an operator wants loaded. `rollbacks`: former indexes that an
    operator wants to go back to.
    """

    table: str
    changes: tuple[Change, ...]
    rows: int
    seconds: float
    reconcile: tuple[tuple[str, datetime, str], ...] = ()
    retry: tuple[tuple[str, tuple[str, ...]], ...] = ()
    loads: tuple[journal.LoadAsked, ...] = ()
    rollbacks: tuple[journal.RollbackAsked, ...] = ()


@dataclass(frozen=True, slots=True)
class _News:
    """What a look ahead reads: rows of these transactions, by whether their table sends its keys.

    `oldest`: the oldest transaction that runs; no later look reads rows of earlier ones.
    """

    ids: Mapping[bool, range]
    oldest: int

    @property
    def all_ids(self) -> range:
        """The ids of both kinds of tables: they end with the same one."""
        return max(self.ids.values(), key=lambda one: one.stop - one.start)


class Sweep:
    """Polls what one pipeline watches. One for each session: another server, another memory."""

    def __init__(
        self,
        watches: Sequence[Watch],
        types: Mapping[str, Sequence[KeyType]],
        stamps: Mapping[str, bool],
        schema: str,
    ) -> None:
        """`types`: key types by watch id. `stamps`: by watch id, whether its stamp has no zone."""
        self._watches = {watch.id: watch for watch in watches}
        self._types = types
        self._zoneless = stamps
        self._schema = schema
        self._memory = HandedOn()
        self._look = Recent()
        self._silent_look = Recent()
        self._seen_ahead: dict[bool, Snapshot | None] = {False: None, True: None}
        """The snapshot of the last look at rows that are stamped in the future. By whether the
        tables send their keys; None: there was no look yet.
        """

    def forget_before(self, since: datetime) -> None:
        """No later sweep reaches back before this moment."""
        self._memory.forget_before(_second(since))

    def pages(
        self,
        connection: Connection,
        since: datetime,
        *,
        silent: bool = False,
        recent: timedelta | None = None,
        margin: timedelta = timedelta(0),
        ahead: bool = False,
    ) -> Generator[SweptPage]:
        """All rows stamped from `since` to now that were not handed on yet, page by page.

        `silent`: only of tables that do not send their keys. `recent`: only what can be new since
        the last sweep of the same tables, and what was stamped so much earlier. `margin`: how far
        beyond now it reads, for what is written meanwhile. `ahead`: then also all that is stamped
        later than that.
        """
        if ahead:
            self._seen_ahead = {False: None, True: None}
        now = visibility.snapshot(connection) if ahead else None
        looks = [self._silent_look] if silent else [self._silent_look, self._look]
        news = [look.look(connection) for look in looks]
        if recent is not None:
            known = [one for one in news if one is not None]
            if len(known) == len(news):
                since = max(since, min(known) - recent)
        looked = [look.looked for look in looks if look.looked is not None]
        until = max(min(looked) + margin, since)
        complete = False
        try:
            yield from self._between(connection, since, until, silent=silent)
            if now is not None:
                yield from self._look_ahead(connection, until, now, silent=silent)
            complete = True
        finally:
            if not complete:  # what these looks spoke of was not handed on
                for look in looks:
                    look.forget()

    def ahead_again(
        self, connection: Connection, since: datetime | None, *, silent: bool = False
    ) -> Generator[SweptPage]:
        """What is stamped in the future, or from `since` on, of transactions that had not ended
        when it was read the last time. `silent`: only of tables that do not send their keys.
        """
        now = visibility.snapshot(connection)
        yield from self._look_ahead(connection, since or now.at, now, silent=silent)

    def _look_ahead(
        self, connection: Connection, since: datetime, now: Snapshot, *, silent: bool
    ) -> Iterator[SweptPage]:
        """What is stamped from `since` on, and can have become visible between the last look and
        `now`, which was taken before."""
        tables = (False,) if silent else (False, True)
        news = {sends: visibility.unseen(self._seen_ahead[sends], now) for sends in tables}
        complete = False
        try:
            yield from self._between(
                connection, since, None, silent=silent, news=_News(news, now.oldest)
            )
            complete = True
        finally:
            if not complete:  # what was met was not handed on
                self._memory.forget_ahead()
        self._seen_ahead.update(dict.fromkeys(tables, now))

    def _between(
        self,
        connection: Connection,
        since: datetime,
        until: datetime | None,
        *,
        silent: bool,
        news: _News | None = None,
    ) -> Iterator[SweptPage]:
        """What is stamped from `since` to before `until`. None: whatever is stamped later, of
        which only `news` is read."""
        for watch in self._watches.values():
            if watch.updated_at is not None and not (silent and watch.sends_keys):
                yield from self._table(connection, watch, since, until, news)
        yield from self._read_journal(connection, since, until, news, silent=silent)

    def _table(
        self,
        connection: Connection,
        watch: Watch,
        since: datetime,
        until: datetime | None,
        news: _News | None,
    ) -> Iterator[SweptPage]:
        kinds = self._types[watch.id]
        ids = None if news is None else news.ids[watch.sends_keys]
        table = Stamped(watch, kinds, zoneless=self._zoneless[watch.id])
        started = time.monotonic()
        for rows in stamped.pages(connection, table, since, until, ids):
            keys: dict[Key, None] = {}
            seconds = _Seconds()
            printed = canonical_keys([row[2:] for row in rows], kinds)
            for key, (at, xmin, *_) in zip(printed, rows, strict=True):
                if news is not None:
                    row = (watch.id, key, at, xmin)
                    if self._memory.is_first_ahead(row, xmin, news.oldest):
                        keys[key] = None
                    continue
                # xmin: two transactions may stamp one key with the same microsecond
                if self._memory.is_first((watch.id, key, at, xmin), seconds.of(at)):
                    keys[key] = None
            if keys:
                change = Change(watch.id, "keys", tuple(keys))
                yield SweptPage(watch.id, (change,), len(keys), time.monotonic() - started)
            started = time.monotonic()

    def _read_journal(
        self,
        connection: Connection,
        since: datetime,
        until: datetime | None,
        news: _News | None,
        *,
        silent: bool,
    ) -> Iterator[SweptPage]:
        started = time.monotonic()
        read = None if news is None else news.all_ids
        for rows in journal.pages(connection, self._schema, since, until, read):
            keys_of: dict[str, dict[Key, None]] = {}  # small commits are small rows: few changes
            lost: list[tuple[str, datetime, str]] = []
            retry: list[tuple[str, tuple[str, ...]]] = []
            loads: list[journal.LoadAsked] = []
            rollbacks: list[journal.RollbackAsked] = []
            seconds = _Seconds()
            for row in rows:
                # a watch of an earlier configuration, whose change led to a full load, is no matter
                one = self._watches.get(row.watch)
                if one is None or (silent and one.sends_keys):
                    continue
                mark = ("journal", row.stamp, row.id)
                if news is not None:
                    new = xids.is_among(
                        row.xmin, news.ids[one.sends_keys]
                    ) and self._memory.is_first_ahead(mark, row.xmin, news.oldest)
                else:
                    new = self._memory.is_first(mark, seconds.of(row.stamp))
                if not new:
                    continue
                match journal.said(row, self._types[row.watch]):
                    case journal.Retry(index, ids):
                        retry.append((index, ids))
                    case journal.LoadAsked() as asked:
                        loads.append(asked)
                    case journal.RollbackAsked() as asked:
                        rollbacks.append(asked)
                    case journal.Lost(reason):
                        lost.append((row.watch, row.at, reason))
                    case Change(keys=keys):
                        keys_of.setdefault(row.watch, {}).update(dict.fromkeys(keys))
            if keys_of or lost or retry or loads or rollbacks:
                changes = tuple(
                    Change(watch, "keys", tuple(keys)) for watch, keys in keys_of.items()
                )
                count = sum(len(one.keys) for one in changes)
                count += len(lost) + len(retry) + len(loads) + len(rollbacks)
                took = time.monotonic() - started
                yield SweptPage(
                    "journal",
                    changes,
                    count,
                    took,
                    tuple(lost),
                    tuple(retry),
                    tuple(loads),
                    tuple(rollbacks),
                )
            started = time.monotonic()


class _Seconds:
    """The seconds of stamps, each counted once: a page has few, and is read again at each poll."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def of(self, stamp: str) -> int:
        """The second of a stamp that PostgreSQL has printed."""
        whole = stamp.partition(".")[0]
        second = self._known.get(whole)
        if second is None:
            second = self._known[whole] = _second(moment(stamp))
        return second


def _second(at: datetime) -> int:
    return (at - _EPOCH) // _SECOND
