"""Parked documents: put aside for a fault of their own, kept in a table of ours."""

from __future__ import annotations

from collections.abc import Iterable

from psycopg import sql

from listener import sqlfiles
from listener.postgres import Connection


class ParkedTable:
    """Reads and writes `parked` in our schema. Errors of psycopg pass through."""

    def __init__(self, schema: str) -> None:
        self._table = sql.Identifier(schema, "parked")

    def read(self, connection: Connection) -> set[tuple[str, str]]:
        """All parked documents, as (index, id)."""
        statement = sql.SQL(sqlfiles.load("parked/read")).format(table=self._table)
        return {(row[0], row[1]) for row in connection.execute(statement)}

    def park(self, connection: Connection, index: str, doc_id: str, reason: str) -> None:
        """Put a document aside, or count one more time."""
        connection.execute(
            sql.SQL(sqlfiles.load("parked/park")).format(table=self._table),
            {"document": index, "id": doc_id, "reason": reason.replace("\0", "")[:2000]},
        )

    def clear(self, connection: Connection, index: str, ids: Iterable[str]) -> None:
        """A later good version is in the index: these are parked no longer."""
        connection.execute(
            sql.SQL(sqlfiles.load("parked/clear")).format(table=self._table),
            {"document": index, "ids": list(ids)},
        )
