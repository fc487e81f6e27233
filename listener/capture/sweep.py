"""The sweep: keyset polls of the stamped columns and of the journal -> changes.

A sweep starts at the watermark minus the overlap and reads all that is visible up to now: freshness
never waits for a proof. What was handed on already is remembered, and where the watermark stands
only what can be new is read (`visibility`), so that an hour of standing does not read and index the
same rows every second.

Rows may be stamped in the future: the clock was set back, or they are from before listener came.
Our stamps are of the server's clock, so a row that is written now is not one of them. The first
sweep of a session reads them (`ahead`), once more those that a transaction of that time commits
later are read, and each of them again when the clock has come to its stamp. Were they read by every
sweep, they would be indexed at every tick until then. A clock that is ahead for a moment between
two sweeps leaves such stamps, too: from time to time what is new among them is looked for. New is
what a transaction wrote that had not ended at the last look; while an old one is open that may be
much, so what of it was handed on is remembered.
"""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from psycopg import sql

from listener.capture import watermark
from listener.capture.hashset import TimedMarks
from listener.capture.journal import RETRY_ASKED, read_retry
from listener.capture.visibility import Recent
from listener.changes import Change, Key, KeyType, Watch, canonical_keys, decode_keys
from listener.observations.surprises import Unfit
from listener.postgres import LAST_MOMENT, Connection
from listener.sql import files

PAGE: Final = 2000
JOURNAL_PAGE: Final = 100
"""Rows of the journal; each holds up to 8 kB of keys."""
MEMORY: Final = 150_000
"""Rows remembered as handed on, at 24 bytes each at most; others may be handed on once more."""
AHEAD: Final = 10_000
"""The same of rows that are stamped in the future, at 100 bytes."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
_XID: Final = (1 << 32) - 1

_STAMP: Final = {False: "timestamptz", True: "timestamp"}


@dataclass(frozen=True, slots=True)
class Swept:
    """Changes of one page, and whose: `table` is the watch's id or `journal`.

    `reconcile`: watches of which changes may be lost, when that was, and why. `retry`: index and
    ids of parked documents that a person wants tried again.
    """

    table: str
    changes: tuple[Change, ...]
    rows: int
    seconds: float
    reconcile: tuple[tuple[str, datetime, str], ...] = ()
    retry: tuple[tuple[str, tuple[str, ...]], ...] = ()


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
        self._journal = sql.Identifier(schema, "journal")
        self._handed = TimedMarks()
        self._look = Recent()
        self._silent_look = Recent()
        self._oldest = self._silent_oldest = 0
        """The oldest transaction that ran when what is ahead was read last, of all tables and of
        those that do not send their keys: 32 bits of its id."""
        self._ahead: set[int] = set()
        """What is ahead, was handed on, and may be met again."""

    def forget(self) -> None:
        """Hand everything on again at the next sweep."""
        self._handed.clear()
        self._ahead.clear()
        self._look.forget()
        self._silent_look.forget()

    def forget_before(self, since: datetime) -> None:
        """No later sweep reaches back before this moment."""
        self._handed.forget_before(_second(since))

    def pages(
        self,
        connection: Connection,
        since: datetime,
        *,
        silent: bool = False,
        recent: timedelta | None = None,
        margin: timedelta = timedelta(0),
        ahead: bool = False,
    ) -> Generator[Swept]:
        """All rows stamped from `since` to now that were not handed on yet, page by page.

        `silent`: only of tables that do not send their keys. `recent`: only what can be new since
        the last sweep of the same tables, and what was stamped so much earlier. `margin`: how far
        beyond now it reads, for what is written meanwhile. `ahead`: then also all that is stamped
        later than that; it is not remembered, for no other sweep reads it before its time.
        """
        if ahead:
            self._oldest = self._silent_oldest = self._oldest_running(connection)
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
            if ahead:
                yield from self._between(connection, until, None, silent=silent)
            complete = True
        finally:
            if not complete:  # what these looks spoke of was not handed on
                self._ahead.clear()
                for look in looks:
                    look.forget()

    def ahead_again(
        self, connection: Connection, since: datetime | None, *, silent: bool = False
    ) -> Generator[Swept]:
        """What is stamped in the future, or from `since` on, of transactions that had not ended
        when it was read the last time. `silent`: only of tables that do not send their keys.
        """
        oldest = self._oldest_running(connection)
        since = since or watermark.now(connection)[0]
        last = self._silent_oldest if silent else self._oldest
        complete = False
        try:
            yield from self._between(connection, since, None, silent=silent, oldest=last)
            complete = True
        finally:
            if not complete:  # what was met was not handed on
                self._ahead.clear()
        self._silent_oldest = oldest
        if not silent:
            self._oldest = oldest

    def _between(
        self,
        connection: Connection,
        since: datetime,
        until: datetime | None,
        *,
        silent: bool,
        oldest: int | None = None,
    ) -> Iterator[Swept]:
        """What is stamped from `since` to before `until`. None: whatever is stamped later, which is
        not remembered. `oldest`: only of this transaction and younger ones."""
        for watch in self._watches.values():
            if watch.updated_at is not None and not (silent and watch.notify == "rows"):
                yield from self._table(connection, watch, since, until, oldest)
        yield from self._read_journal(connection, since, until, oldest, silent=silent)

    def _oldest_running(self, connection: Connection) -> int:
        row = connection.execute(files.load("sweep/oldest")).fetchone()
        assert row is not None
        return int(row[0]) & _XID

    def _table(
        self,
        connection: Connection,
        watch: Watch,
        since: datetime,
        until: datetime | None,
        oldest: int | None,
    ) -> Iterator[Swept]:
        assert watch.updated_at is not None
        # qualified: a bare name in ORDER BY would be the output column, which is text
        stamp = sql.Identifier("t", watch.updated_at)
        columns = [sql.Identifier("t", name) for name in watch.key]
        keyset = sql.SQL(", ").join([stamp, *columns])
        select = sql.SQL(
            "SELECT {stamp}::text, t.xmin::text, {keys} FROM {table} AS t "
            "WHERE {present}{until}{young}"
        ).format(
            stamp=stamp,
            keys=sql.SQL(", ").join(sql.SQL("{}::text").format(one) for one in columns),
            table=sql.Identifier(watch.schema, watch.table),
            present=sql.SQL(" AND ").join(sql.SQL("{} IS NOT NULL").format(one) for one in columns),
            until=sql.SQL("")
            if until is None
            else sql.SQL(" AND {} < {}").format(stamp, self._edge(watch, until)),
            # by the server: many may be stamped ahead, all with one moment, and few of them new
            young=sql.SQL("")
            if oldest is None
            else sql.SQL(" AND {}").format(_young(sql.Identifier("t", "xmin"), oldest)),
        )
        kinds = self._types[watch.id]
        bound: sql.Composable = sql.SQL("{} >= {}").format(stamp, self._edge(watch, since))
        while True:
            started = time.monotonic()
            rows = connection.execute(
                sql.SQL("{} AND {} ORDER BY {} LIMIT {}").format(
                    select, bound, keyset, sql.Literal(PAGE)
                ),
                prepare=False,
            ).fetchall()
            keys: dict[Key, None] = {}
            seconds: dict[str, int] = {}
            printed = canonical_keys([row[2:] for row in rows], kinds)
            for key, (at, xmin, *_) in zip(printed, rows, strict=True):
                if until is None:
                    if self._first_ahead((watch.id, key, at, xmin), xmin):
                        keys[key] = None
                    continue
                whole = at.partition(".")[0]
                second = seconds.get(whole)
                if second is None:
                    second = seconds[whole] = _second(_moment(at))
                # xmin: two transactions may stamp one key with the same microsecond
                if self._first_time((watch.id, key, at, xmin), second):
                    keys[key] = None
            if keys:
                change = Change(watch.id, "keys", tuple(keys))
                yield Swept(watch.id, (change,), len(keys), time.monotonic() - started)
            if len(rows) < PAGE:
                return
            last = rows[-1]
            values = [
                sql.SQL("{}::" + cast).format(sql.Literal(text))
                for text, cast in zip(
                    (last[0], *last[2:]),
                    (_STAMP[self._zoneless[watch.id]], *map(_cast, kinds)),
                    strict=True,
                )
            ]
            bound = sql.SQL("({}) > ({})").format(keyset, sql.SQL(", ").join(values))

    def _edge(self, watch: Watch, at: datetime) -> sql.Literal:
        """A moment as the stamp column has it."""
        zoneless = self._zoneless[watch.id]
        return sql.Literal(at.astimezone(UTC).replace(tzinfo=None) if zoneless else at)

    def _first_time(self, row: tuple[Any, ...], second: int) -> bool:
        mark = hash(row)  # 64 bits, of a kind that nobody can foresee: no two rows will share one
        if self._handed.knows(mark, second):
            return False
        # the oldest ones are read no more while the watermark stands
        if len(self._handed) >= MEMORY and not self._handed.forget_oldest(second):
            return True
        return self._handed.add(mark, second)

    def _first_ahead(self, row: tuple[Any, ...], xmin: str) -> bool:
        """The same for what is ahead."""
        if not _not_before(xmin, self._oldest):
            return True  # no later look takes it for new
        mark = hash(row)
        if mark in self._ahead:
            return False
        if len(self._ahead) >= AHEAD:
            self._ahead.clear()
        self._ahead.add(mark)
        return True

    def _read_journal(
        self,
        connection: Connection,
        since: datetime,
        until: datetime | None,
        oldest: int | None,
        *,
        silent: bool,
    ) -> Iterator[Swept]:
        statement = sql.SQL(files.load("journal/page")).format(
            journal=self._journal,
            young=sql.SQL("true") if oldest is None else _young(sql.Identifier("xmin"), oldest),
        )
        after, after_id = since - timedelta(microseconds=1), 0
        while True:
            started = time.monotonic()
            rows = connection.execute(
                statement,
                {
                    "since": since,
                    "until": until or "infinity",
                    "after": after,
                    "after_id": after_id,
                    "limit": JOURNAL_PAGE,
                },
            ).fetchall()
            keys_of: dict[str, dict[Key, None]] = {}  # small commits are small rows: few changes
            lost: list[tuple[str, datetime, str]] = []
            retry: list[tuple[str, tuple[str, ...]]] = []
            for at, row_id, watch, kind, keys, reason, xmin in rows:
                # a watch of an earlier configuration, whose change led to a full load, is no matter
                one = self._watches.get(watch)
                if one is None or (silent and one.notify == "rows"):
                    continue
                if until is None:
                    new = self._first_ahead(("journal", at, row_id), xmin)
                else:
                    new = self._first_time(("journal", at, row_id), _second(at))
                if new:
                    asked = read_retry(keys) if reason == RETRY_ASKED else None
                    change = self._journalled(watch, kind, keys)
                    if asked is not None:
                        retry.append(asked)
                    elif change is None:
                        lost.append((watch, at, reason or "a row that cannot be read"))
                    else:
                        keys_of.setdefault(watch, {}).update(dict.fromkeys(change.keys))
            if keys_of or lost or retry:
                changes = tuple(
                    Change(watch, "keys", tuple(keys)) for watch, keys in keys_of.items()
                )
                count = sum(len(one.keys) for one in changes) + len(lost) + len(retry)
                seconds = time.monotonic() - started
                yield Swept("journal", changes, count, seconds, tuple(lost), tuple(retry))
            if len(rows) < JOURNAL_PAGE:
                return
            if rows[-1][0] == LAST_MOMENT:
                raise Unfit("too many rows of the journal are stamped `infinity`: delete them")
            after, after_id = rows[-1][0], rows[-1][1]

    def _journalled(self, watch: str, kind: str, keys: str | None) -> Change | None:
        """What one journal row says. None: changes may be lost, or hidden in what it says."""
        if kind != "keys":
            return None
        kinds = self._types[watch]
        try:
            listed = json.loads(keys or "")
            if not isinstance(listed, list):
                return None
            return Change(watch, "keys", tuple(canonical_keys(decode_keys(listed), kinds)))
        except (ValueError, RecursionError):
            return None


def _moment(text: str) -> datetime:
    """The stamp as a moment. Stamps that Python cannot hold (`infinity`) are its last one."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return datetime.max.replace(tzinfo=UTC)
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _not_before(xid: str, oldest: int) -> bool:
    """Whether a transaction's id is this one or a later one; ids of rows go round at 2^32."""
    return (int(xid) - oldest) & _XID < 1 << 31


def _young(xmin: sql.Identifier, oldest: int) -> sql.Composable:
    """The same, for the server to judge."""
    return sql.SQL("(({}::text::bigint - {}) & {}) < {}").format(
        xmin, sql.Literal(oldest), sql.Literal(_XID), sql.Literal(1 << 31)
    )


def _second(at: datetime) -> int:
    return (at - _EPOCH) // _SECOND


def _cast(kind: KeyType) -> str:
    return "text" if kind == "varchar" else kind
