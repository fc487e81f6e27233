"""Limits of the server that a statement of the application may meet because of our triggers.

PostgreSQL keeps the changed rows of a statement for its triggers, and writes them to files beyond
`work_mem`; and it fails a COMMIT whose notifications have no room in the queue. Neither can be
prevented from within a trigger.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from listener.changes import Watch
from listener.checks.finding import Finding
from listener.postgres import Connection
from listener.sql import files

ROOM: Final = 1 << 30
"""Bytes of temporary files that are enough for some millions of changed rows."""
PAGES: Final = 32_768
"""Pages of the queue (256 MB) that one transaction does not fill: half of it is free."""

_UNITS: Final = {"B": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}
_SIZE: Final = re.compile(r"\s*(-?[0-9]+(?:\.[0-9]+)?)\s*([kMGT]?B)?\s*")


def size(setting: str) -> float | None:
    """Bytes; without a unit kB are meant. None: no limit, or no size."""
    found = _SIZE.fullmatch(setting)
    if found is None or float(found[1]) < 0:
        return None
    return float(found[1]) * _UNITS[found[2] or "kB"]


def check_limits(connection: Connection, watches: Sequence[Watch]) -> list[Finding]:
    """Warnings of limits that are low. Raises psycopg.Error."""
    rows = connection.execute(files.load("checks/limits"))
    return [one for name, value, where in rows for one in _look(name, value, where, watches)]


def _look(name: str, value: str, where: str | None, watches: Sequence[Watch]) -> Iterator[Finding]:
    place = where or "the server"
    if name == "temp_file_limit":
        limit = size(value)
        if limit is not None and limit < ROOM:
            yield Finding(
                "warning",
                f"temp_file_limit is {value} for {place}: PostgreSQL keeps the changed rows of a "
                "statement for triggers, old and new ones, and writes them to files beyond "
                "work_mem; a statement that changes very many rows can fail with 53400",
                "give that role or database a temp_file_limit of 1GB or more (-1: none), or a "
                "work_mem that holds the rows of its largest statement",
            )
    elif any(watch.sends_keys for watch in watches):
        pages = re.match(r"[0-9]+", value)
        if pages is not None and int(pages[0]) < PAGES:
            megabytes = int(pages[0]) * 8 / 1024
            yield Finding(
                "warning",
                f"max_notify_queue_pages is {pages[0]} ({megabytes:g} MB): a transaction that "
                "changes so many rows that their keys do not fit into half of it can fail at "
                "COMMIT (54000)",
                f"max_notify_queue_pages = {PAGES} or more (the default is 1048576; it takes a "
                "restart), or `notify: doorbell` for the tables that are changed in bulk",
            )
