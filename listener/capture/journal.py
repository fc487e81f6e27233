"""The journal's words: why a row says that changes may be lost, and what a person asks by one.

Its table is `journal` in our schema. The triggers write the keys that polling cannot see into it,
the commands their requests; the sweep reads both.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from psycopg import sql

from listener.postgres import Connection
from listener.sql import files

TRUNCATED: Final = "TRUNCATE"
"""The reason that a TRUNCATE leaves."""
REPAIR_ASKED: Final = "verify --repair"
REPAIR_ALLOWED: Final = "verify --repair --allow-deletes"
RETRY_ASKED: Final = "parked --retry"
IDS_A_ROW: Final = 500
"""Ids in one request to try again: each has 512 bytes at most, but for those that are too long."""


def may_empty(reason: str) -> bool:
    """Whether a comparison for this reason may delete any number of documents."""
    return reason in {TRUNCATED, REPAIR_ALLOWED}


def is_asked(reason: str) -> bool:
    """Whether a person asked for a comparison by this reason."""
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


def read_retry(keys: str | None) -> tuple[str, tuple[str, ...]] | None:
    """Index and ids of a request to try again, as its row has them; None: unreadable."""
    try:
        match json.loads(keys or ""):
            case {"index": str(index), "ids": list(ids)} if all(isinstance(i, str) for i in ids):
                return index, tuple(ids)
    except (ValueError, RecursionError):
        pass
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
