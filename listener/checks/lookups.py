"""What one document costs: tables that a query or mapping file reads in full for a single key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import ClientCursor, sql

from listener import postgres
from listener.changes import Key
from listener.checks.finding import Finding
from listener.checks.plan import FullScan, full_scans
from listener.config import DocumentConfig
from listener.documents.definition import watch_of
from listener.documents.kinds import Kind
from listener.documents.queries import arrays
from listener.documents.sampling import KeyTable
from listener.documents.topology import Assembly
from listener.postgres import Connection
from listener.sql import files

_LARGE: Final = 1 << 20
"""Bytes from which on it matters."""


def check_lookups(
    connection: Connection, document: DocumentConfig, kind: Kind, parts: Assembly, key: Key
) -> Iterator[Finding]:
    """Large tables that are read in full for one document, or for one key of a mapping.

    `key`: of a document. Raises psycopg.Error only where the server or the connection is at fault.
    """
    statements = kind.source.statements
    yield from _look(
        connection,
        kind.index,
        document.query_file,
        statements.rendered_query,
        arrays("ids", [key], statements.types),
    )
    for watch in document.watch:
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
        usual, without = _scans(connection, text)
    except psycopg.Error as error:
        if postgres.is_passing(error):
            raise
        return  # other checks say what is wrong with the statement
    for scan in usual:
        size, indexed = _known(connection, scan)
        # an index that is there is left alone for a reason: the planner knows how many rows match
        if size < _LARGE or indexed or (scan.column is None and scan not in without):
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


def _scans(connection: Connection, text: str) -> tuple[Sequence[FullScan], Sequence[FullScan]]:
    """What is read in full, as the planner chooses; and where it may read no table in full."""
    found: list[Sequence[FullScan]] = []
    for allowed in ("on", "off"):
        with connection.transaction(force_rollback=True):
            connection.execute(f"SET LOCAL enable_seqscan = {allowed}".encode())
            row = connection.execute(f"EXPLAIN (VERBOSE, FORMAT JSON) {text}".encode()).fetchone()
        found.append(full_scans(row[0]) if row else ())
    return found[0], found[1]


def _known(connection: Connection, scan: FullScan) -> tuple[int, bool]:
    """Bytes of the table, and whether an index begins with the column."""
    row = connection.execute(
        files.load("checks/size"),
        {"schema": scan.schema, "table": scan.relation, "column": scan.column},
    ).fetchone()
    return (int(row[0]), bool(row[1])) if row else (0, False)
