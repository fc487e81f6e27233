"""Parked documents: put aside for a fault of their own, kept in a table of ours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from psycopg import sql

from listener.indexing.parking import UNPROVEN
from listener.postgres import Connection
from listener.sql import files

_LONGEST_REASON: Final = 2000

_MAPPING: Final = (
    "The mapping does not take a value of this document. Correct the row, or change the mapping in "
    "index_config_file: the documents are then loaded into a new index."
)
_EXPLANATIONS: Final = (
    (
        re.compile(
            "nesting depth|depth of nested|maximum nesting|too deeply nested", re.IGNORECASE
        ),
        "The document is nested deeper than Elasticsearch reads JSON (1,000 levels, or "
        "index.mapping.depth.limit for what is mapped). Make it flatter.",
    ),
    (re.compile(r"document_parsing_exception|mapper_parsing_exception"), _MAPPING),
    (
        re.compile("strict_dynamic_mapping_exception"),
        "The document query returns a field that the mapping does not have. Add it in "
        "index_config_file, or leave it out of query_file: either way a new index is loaded.",
    ),
    (
        re.compile("illegal_argument_exception"),
        "The index does not take this document as it is: a value that is too long for a keyword, "
        "say, or more fields than it may have. Correct the row, or change index_config_file.",
    ),
    (
        re.compile(r"\Aan id of \d+ bytes"),
        "Elasticsearch takes ids of 1 to 512 bytes. Give the row another key, or the document "
        "another key column.",
    ),
    (
        re.compile(r"\Athe query returned"),
        "The document query must return one row for each id, and a document that is not NULL.",
    ),
    (
        re.compile(r"\(SQLSTATE \w*\)\Z"),
        "The document query fails for this row. Correct the row, or query_file: then a new index "
        "is loaded.",
    ),
    (
        re.compile(r"\Athe whole request: (?s:.*)413|content_too_long"),
        "The document is larger than http.max_content_length of Elasticsearch. Make it smaller, "
        "or that larger.",
    ),
    (
        re.compile(r"\Athe whole request: (?s:.*)429"),
        "The document is larger than Elasticsearch ever has room for: a tenth of its heap "
        "(indexing_pressure.memory.limit). Make it smaller, or that larger.",
    ),
    (re.compile("of listener's making"), "Somebody else has written it with a version."),
)


@dataclass(frozen=True, slots=True)
class ParkedDocument:
    """A document that was put aside: why, since when, when last, and how often it was refused.

    `index` is the alias, or the index's own name where it is not in use; `id` the `_id`; moments
    are of the database server's clock.
    """

    index: str
    id: str
    reason: str
    first_at: datetime
    last_at: datetime
    count: int


def explain(reason: str) -> str:
    """What a reason means, and what can be done; empty where we do not know more than it says."""
    said = reason.removeprefix(UNPROVEN)
    for pattern, text in _EXPLANATIONS:
        if pattern.search(said):
            return text
    return ""


class ParkedTable:
    """Reads and writes `parked` in our schema. Errors of psycopg pass through."""

    def __init__(self, schema: str) -> None:
        self._table = sql.Identifier(schema, "parked")

    def read(self, connection: Connection) -> list[ParkedDocument]:
        """All parked documents, by index, the earliest first."""
        return [ParkedDocument(*row) for row in connection.execute(self._sql("read"))]

    def read_if_installed(self, connection: Connection) -> list[ParkedDocument]:
        """As `read`; none where listener is not installed in this database, so that there is no
        table."""
        name = self._table.as_string(connection)
        row = connection.execute("SELECT pg_catalog.to_regclass(%s) IS NULL", (name,)).fetchone()
        assert row is not None
        return [] if row[0] else self.read(connection)

    def ids(self, connection: Connection, index: str) -> frozenset[str]:
        """The ids that are parked of one index."""
        return frozenset(one.id for one in self.read(connection) if one.index == index)

    def park(self, connection: Connection, index: str, reasons: Mapping[str, str]) -> None:
        """Put documents aside, by id, or count one more time."""
        cut = [reason.replace("\0", "")[:_LONGEST_REASON] for reason in reasons.values()]
        connection.execute(
            self._sql("park"), {"document": index, "ids": list(reasons), "reasons": cut}
        )

    def clear(self, connection: Connection, index: str, ids: Iterable[str]) -> None:
        """A later good version is in the index: these are parked no longer."""
        connection.execute(self._sql("clear"), {"document": index, "ids": list(ids)})

    def drop(self, connection: Connection, index: str) -> None:
        """Nothing of this index is parked any more."""
        connection.execute(self._sql("drop"), {"document": index})

    def rename(self, connection: Connection, index: str, alias: str) -> None:
        """What is parked of `index` is that of the alias now, instead of what was."""
        with connection.transaction():
            self.drop(connection, alias)
            connection.execute(self._sql("rename"), {"document": index, "alias": alias})

    def _sql(self, name: str) -> sql.Composed:
        return sql.SQL(files.load(f"parked/{name}")).format(table=self._table)
