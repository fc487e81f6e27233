"""What one document costs: tables that a query or mapping file reads in full for a single key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import ClientCursor, sql

from listener import postgres
from listener.changes import Key
from listener.checks.finding import Finding
from listener.checks.plan import FullScan, full_scans
from listener.documents.kinds import Kind
from listener.documents.queries import arrays
from listener.documents.sampling import KeyTable
from listener.documents.topology import Assembly, watch_of
from listener.postgres import Connection
from listener.sql import files

_LARGE: Final = 1 << 20
"""Bytes from which on it matters."""


def check_lookups(
    connection: Connection, kind: Kind, parts: Assembly, key: Key
) -> Iterator[Finding]:
    """Large tables that are read in full for one document, or for one key of a mapping.

    `key`: of a document. Sequential scans are forbidden to the planner, so what is left is what no
    index helps with. Raises psycopg.Error only where the server or the connection is at fault.
    """
    statements = kind.source.statements
    config = statements.config
    yield from _look(
        connection,
        kind.index,
        config.query_file,
        statements.rendered_query,
        arrays("ids", [key], statements.types),
    )
    for watch in config.watch:
        one = watch_of(watch).id
        if watch.mapping_file is None:
            continue
        keys = KeyTable(watch.table, watch.key, parts.types[one]).some(connection, 1)
        if keys:
            yield from _look(
                connection,
                kind.index,
                watch.mapping_file,
                statements.rendered_mappings[one],
                arrays("keys", keys, parts.types[one]),
            )


def _look(
    connection: Connection, index: str, path: Path, rendered: str, given: Mapping[str, Any]
) -> Iterator[Finding]:
    text = ClientCursor(connection).mogrify(rendered.encode(), given)
    try:
        with connection.transaction(force_rollback=True):
            connection.execute("SET LOCAL enable_seqscan = off")
            row = connection.execute(f"EXPLAIN (VERBOSE, FORMAT JSON) {text}".encode()).fetchone()
    except psycopg.Error as error:
        if postgres.is_passing(error):
            raise
        return  # other checks say what is wrong with the statement
    scans = full_scans(row[0]) if row else ()
    for scan in scans:
        size = _size(connection, scan)
        if size < _LARGE:
            continue
        table = sql.Identifier(scan.schema, scan.relation)
        mend = "restrict it to the keys that it is asked for"
        if scan.column is not None:
            mend = (
                sql.SQL("CREATE INDEX CONCURRENTLY ON {} ({});")
                .format(table, sql.Identifier(scan.column))
                .as_string(connection)
            )
        yield Finding(
            "warning",
            f"{index}: {path}: it reads all of {scan.schema}.{scan.relation} ({size >> 20} MB) for "
            "a single key: no index leads to its rows",
            mend,
        )


def _size(connection: Connection, scan: FullScan) -> int:
    row = connection.execute(
        files.load("checks/size"), {"schema": scan.schema, "table": scan.relation}
    ).fetchone()
    return int(row[0]) if row else 0
