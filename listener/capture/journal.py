"""The journal: how its rows are written, read and removed, and what each of them says.

It is the table `journal` in listener's schema. The triggers write the keys that polling cannot see
into it, and why changes may be lost; the commands write what an operator asks for. All of it stands
in one module, since those who write a row and those who read it must agree on its words.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from psycopg import sql

from listener.capture import xids
from listener.changes import Change, KeyType, canonical_keys, decode_keys
from listener.postgres import Connection, moment
from listener.sql import files

TRUNCATED: Final = "TRUNCATE"
"""The reason that a TRUNCATE leaves."""
REPAIR_ASKED: Final = "verify --repair"
REPAIR_ALLOWED: Final = "verify --repair --allow-deletes"
RETRY_ASKED: Final = "parked --retry"
LOAD_ASKED: Final = "load"
ROLLBACK_ASKED: Final = "rollback"
IDS_A_ROW: Final = 500
"""Ids in one request to try again: each has 512 bytes at most, but for those that are too long."""
PAGE: Final = 100
"""Rows that are read at once; each holds up to 8 kB of keys."""


class Row(NamedTuple):
    """A row as it stands in the table. `stamp`: as PostgreSQL prints it. `xmin`: the transaction
    that wrote it."""

    stamp: str
    id: int
    watch: str
    kind: str
    keys: str | None
    reason: str | None
    xmin: str

    @property
    def at(self) -> datetime:
        """The stamp as a moment."""
        return moment(self.stamp)


@dataclass(frozen=True, slots=True)
class Retry:
    """An operator asks for parked documents of this index to be tried again, by their ids."""

    index: str
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LoadAsked:
    """An operator asks for the index of this alias to be loaded anew, at this moment.

    `hash`: of the definition that is to be loaded. `accept`: it may lose any number of documents.
    `waiting`: the index that waits for that word; None: another load is asked for.
    """

    index: str
    hash: str
    at: datetime
    accept: bool = False
    waiting: str | None = None


@dataclass(frozen=True, slots=True)
class RollbackAsked:
    """An operator asks, at this moment, for the former index `physical` to be in use again.

    `index`: the alias.
    """

    index: str
    physical: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Lost:
    """Changes may be lost, or hidden in a row that cannot be read; and why."""

    reason: str


def may_empty(reason: str) -> bool:
    """Whether a comparison for this reason may delete any number of documents."""
    return reason in {TRUNCATED, REPAIR_ALLOWED}


def is_truncate(reason: str) -> bool:
    """Whether rows were removed by a TRUNCATE."""
    return reason == TRUNCATED


def is_asked(reason: str) -> bool:
    """Whether an operator asked for a comparison by this reason."""
    return reason in {REPAIR_ASKED, REPAIR_ALLOWED}


def ask_repair(
    connection: Connection, schema: str, watches: Sequence[str], *, allow_deletes: bool
) -> None:
    """Ask the active daemon to compare all documents that these watches lead to, and to mend them.

    `watches`: ids of watches. Errors of psycopg pass through, here and below.
    """
    connection.execute(
        _of_journal("journal/ask_repair", schema),
        {"reason": REPAIR_ALLOWED if allow_deletes else REPAIR_ASKED, "watches": list(watches)},
    )


def ask_retry(
    connection: Connection, schema: str, watch: str, index: str, ids: Sequence[str]
) -> None:
    """Ask the active daemon to try parked documents again. `watch`: of a table that they are made
    of."""
    requests = [
        json.dumps({"index": index, "ids": ids[start : start + IDS_A_ROW]})
        for start in range(0, len(ids), IDS_A_ROW)
    ]
    connection.execute(
        _of_journal("journal/ask_retry", schema),
        {"watch": watch, "requests": requests, "reason": RETRY_ASKED},
    )


def ask_load(
    connection: Connection,
    schema: str,
    watch: str,
    index: str,
    *,
    digest: str,
    accept: bool,
    waiting: str | None,
) -> datetime:
    """Ask the active daemon to load an index; when that was. `watch`: as of `ask_retry`. `digest`,
    `accept` and `waiting`: as of LoadAsked.
    """
    request = {"index": index, "hash": digest, "accept": accept, "waiting": waiting}
    row = connection.execute(
        _of_journal("journal/ask_load", schema),
        {"watch": watch, "request": json.dumps(request), "reason": LOAD_ASKED},
    ).fetchone()
    assert row is not None
    at: datetime = row[0]
    return at


def ask_rollback(
    connection: Connection, schema: str, watch: str, index: str, physical: str
) -> None:
    """Ask the active daemon to go back to a former index. `watch`: as of `ask_retry`. `index` and
    `physical`: as of RollbackAsked."""
    connection.execute(
        _of_journal("journal/ask_rollback", schema),
        {
            "watch": watch,
            "request": json.dumps({"index": index, "physical": physical}),
            "reason": ROLLBACK_ASKED,
        },
    )


def pages(
    connection: Connection,
    schema: str,
    since: datetime,
    until: datetime | None,
    ids: range | None = None,
) -> Iterator[list[Row]]:
    """The rows stamped from `since` to before `until`, by their stamps, page by page.

    `until` None: without an end. `ids`: only rows of these transactions (see `xids`).
    """
    statement = sql.SQL(files.load("journal/page")).format(
        journal=sql.Identifier(schema, "journal"),
        young=sql.SQL("true") if ids is None else xids.among(sql.Identifier("j", "xmin"), ids),
    )
    after, after_id = (since - timedelta(microseconds=1)).isoformat(), 0
    while True:
        found = connection.execute(
            statement,
            {"since": since.isoformat(), "after": after, "after_id": after_id, "limit": PAGE},
        ).fetchall()
        rows = [Row._make(row) for row in found]
        complete = len(rows) < PAGE
        if until is not None and rows and rows[-1].at >= until:
            rows, complete = [row for row in rows if row.at < until], True
        yield rows
        if complete:
            return
        after, after_id = rows[-1].stamp, rows[-1].id


def said(row: Row, types: Sequence[KeyType]) -> Change | Retry | LoadAsked | RollbackAsked | Lost:
    """What a row says. `types`: of the keys of its watch. Never raises."""
    asked: Retry | LoadAsked | RollbackAsked | None = None
    if row.reason == RETRY_ASKED:
        asked = _retry(row.keys)
    elif row.reason == LOAD_ASKED:
        asked = _load(row)
    elif row.reason == ROLLBACK_ASKED:
        asked = _rollback(row)
    if asked is not None:
        return asked
    change = _change(row, types)
    if change is not None:
        return change
    return Lost(row.reason or "a row that cannot be read")


def _retry(keys: str | None) -> Retry | None:
    """A request to try again; None: it cannot be read."""
    try:
        match json.loads(keys or ""):
            case {"index": str(index), "ids": list(ids)} if all(isinstance(i, str) for i in ids):
                return Retry(index, tuple(ids))
    except (ValueError, RecursionError):
        pass
    return None


def _load(row: Row) -> LoadAsked | None:
    """A request to load; None: it cannot be read."""
    try:
        match json.loads(row.keys or ""):
            case {
                "index": str(index),
                "hash": str(digest),
                "accept": bool(accept),
                "waiting": str() | None as waiting,
            }:
                return LoadAsked(index, digest, row.at, accept, waiting)
    except (ValueError, RecursionError):
        pass
    return None


def _rollback(row: Row) -> RollbackAsked | None:
    """A request to go back; None: it cannot be read."""
    try:
        match json.loads(row.keys or ""):
            case {"index": str(index), "physical": str(physical)}:
                return RollbackAsked(index, physical, row.at)
    except (ValueError, RecursionError):
        pass
    return None


def _change(row: Row, types: Sequence[KeyType]) -> Change | None:
    """The keys that a row names; None: it names none, or they cannot be read."""
    if row.kind != "keys":
        return None
    try:
        listed = json.loads(row.keys or "")
        if not isinstance(listed, list):
            return None
        return Change(row.watch, "keys", tuple(canonical_keys(decode_keys(listed), types)))
    except (ValueError, RecursionError):
        return None


def prune(connection: Connection, schema: str, below: datetime) -> None:
    """Remove the rows below this moment, and record it in the same statement."""
    connection.execute(
        sql.SQL(
            "WITH gone AS (DELETE FROM {journal} WHERE updated_at < {below} RETURNING 1) "
            "UPDATE {meta} SET pruned_below = {below} "
            "WHERE (pruned_below IS NULL OR pruned_below < {below}) AND EXISTS (SELECT FROM gone)"
        ).format(
            journal=sql.Identifier(schema, "journal"),
            meta=sql.Identifier(schema, "meta"),
            below=sql.Literal(below),
        )
    )


def pruned_below(connection: Connection, schema: str) -> datetime | None:
    """The moment below which rows were removed; None: none were."""
    row = connection.execute(
        # an infinite one is no moment of Python's
        sql.SQL(
            "SELECT LEAST(GREATEST(pruned_below, '0002-01-01 UTC'), '9998-01-01 UTC') FROM {}"
        ).format(sql.Identifier(schema, "meta"))
    ).fetchone()
    pruned: datetime | None = row[0] if row else None
    return pruned


def _of_journal(name: str, schema: str) -> sql.Composed:
    return sql.SQL(files.load(name)).format(journal=sql.Identifier(schema, "journal"))
