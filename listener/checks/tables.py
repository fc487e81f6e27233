"""What listener adds to tables and publications, and what that may break: warnings of `check`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from psycopg import sql

from listener.changes import Watch
from listener.checks.finding import Finding
from listener.config import TriggersConfig
from listener.postgres import Connection
from listener.sql import files
from listener.triggers.nearest import nearest_column


def check_tables(
    connection: Connection, watches: Sequence[Watch], schema: str, config: TriggersConfig
) -> list[Finding]:
    """Warnings of columns that will be added, and of tables of listener that are published.

    What is refused for the same reasons is told by the triggers. Raises psycopg.Error.
    """
    found = [one for watch in watches for one in _column(connection, watch)]
    if not config.published:
        found.extend(_published(connection, schema))
    return list(dict.fromkeys(found))


def _column(connection: Connection, watch: Watch) -> Iterator[Finding]:
    if watch.updated_at is None:
        return
    row = connection.execute(
        files.load("checks/new_column"),
        {"schema": watch.schema, "table": watch.table, "column": watch.updated_at},
    ).fetchone()
    if row is None:
        return
    label = f"{watch.schema}.{watch.table}"
    near = nearest_column(watch.updated_at, row[1])
    meant = (
        "" if near is None else f"if it is {near} that is meant, write `updated_at: {near}`; else "
    )
    whole = f", first of all {', '.join(row[0])}" if row[0] else ""
    add = sql.SQL("ALTER TABLE {} ADD COLUMN {} timestamptz DEFAULT now();").format(
        sql.Identifier(watch.schema, watch.table), sql.Identifier(watch.updated_at)
    )
    yield Finding(
        "warning",
        f"the column {watch.updated_at} will be added to {label}: statements that count on its "
        "columns as they are fail then, once or for good (INSERT INTO … SELECT * or OLD.* into "
        "another table, COPY FROM without a list of columns, UNION with another table, ATTACH "
        "PARTITION, a prepared statement that returns *, a list of columns or a ROW(…) where "
        "a row of the table is meant)",
        f"{meant}look for such statements and functions{whole}; then add it in a quiet moment:\n"
        f"{add.as_string(connection)}\n"
        "or leave `updated_at` out (the journal records the changes then)",
    )


def _published(connection: Connection, schema: str) -> Iterator[Finding]:
    rows = connection.execute(files.load("triggers/published_all"), {"schema": schema})
    for publication, anew in rows:
        if not anew:
            yield Finding(
                "warning",
                f"the publication {publication} is FOR ALL TABLES and carries the tables of the "
                f"schema {schema}, too: a subscriber that lacks them stops replicating",
                "name its tables or schemas in a publication instead; or make these tables at each "
                "subscriber, and write `published: true` under `triggers`",
            )
