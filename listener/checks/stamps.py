"""Stamp columns whose value the application uses: listener would write over it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import psycopg
from psycopg import sql

from listener import postgres
from listener.changes import Watch
from listener.checks.finding import Finding
from listener.postgres import Connection
from listener.sql import files

_ROWS: Final = 10_000
"""Rows of a table that are looked at."""
_VALUES: Final = """
SELECT pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE r.stamp IS NULL),
       pg_catalog.count(*) FILTER (WHERE r.stamp > r.now + interval '1 hour'),
       pg_catalog.count(*) FILTER (WHERE r.stamp < r.earlier - interval '1 hour')
FROM (
    SELECT s.stamp, s.now, pg_catalog.max(s.stamp) FILTER (WHERE s.stamp <= s.now) OVER (
               ORDER BY s.age DESC GROUPS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS earlier
    FROM (SELECT t.{column}::timestamptz AS stamp, pg_catalog.age(t.xmin) AS age,
                 pg_catalog.clock_timestamp() AS now
          FROM {table} AS t LIMIT {rows}) AS s
) AS r
"""
"""Transactions have numbers in their order: a row that was written after another one, and has an
older stamp than that, was not stamped when it was written."""


def check_stamps(connection: Connection, watches: Sequence[Watch]) -> Iterator[Finding]:
    """Columns that do not look as if each write of a row stamped it, as long as listener does not.

    Raises psycopg.Error only where the server or the connection is at fault.
    """
    for watch in watches:
        if watch.updated_at is not None:
            try:
                yield from _column(connection, watch)
            except psycopg.Error as error:
                if postgres.is_passing(error):
                    raise  # else other checks say what is wrong with the table


def _column(connection: Connection, watch: Watch) -> Iterator[Finding]:
    names = {"schema": watch.schema, "table": watch.table, "column": watch.updated_at}
    found = connection.execute(files.load("checks/stamped"), names).fetchone()
    if found is None or found[0]:
        return
    statement = sql.SQL(_VALUES).format(
        column=sql.Identifier(watch.updated_at or ""),
        table=sql.Identifier(watch.schema, watch.table),
        rows=sql.Literal(_ROWS),
    )
    row: tuple[Any, ...] | None = connection.execute(statement).fetchone()
    if row is None:
        return
    total, empty, ahead, behind = row
    said = [
        f"{count} {what}"
        for count, what in (
            (empty if empty < total else 0, "are NULL"),
            (ahead, "lie in the future"),
            (behind, "are older than the last change of their row"),
        )
        if count
    ]
    if said:
        yield Finding(
            "warning",
            f"{watch.schema}.{watch.table}: of {total} values of {watch.updated_at} "
            f"{', '.join(said)}: it looks as if the application had a use for them, and listener "
            "writes over them with each change",
            "leave `updated_at` out of its entry in `watch` (the journal records the changes "
            "then), or name a column that nothing else writes",
        )
