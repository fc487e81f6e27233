"""Samples of keys: of a document kind the first, the last, and some at random; of any table some.

They cost little however large the table is. Of an ids file, which only goes forward, random ones
are taken from its first pages.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import sql

from listener.changes import Key, KeyType, canonical_keys
from listener.config import split_name
from listener.documents import paging
from listener.documents.statements import Statements
from listener.postgres import Connection

_WHOLE: Final = 20_000
"""Rows, as the planner knows, up to which a table is read to draw from it."""
_AHEAD: Final = 20_000
"""Ids of an ids file that are read to draw from them."""
_PLENTY: Final = 20
"""How many times the wanted rows are asked for: whole pages are drawn, and some are empty."""


def sample(statements: Statements, connection: Connection, size: int) -> list[Key]:
    """About so many distinct keys, without an order. Raises psycopg.Error and QueryFileError."""
    edge = max(1, size // 10)
    found = dict.fromkeys(paging.id_page(statements, connection, None, edge))
    if statements.rendered_ids is not None:
        ahead = paging.id_page(statements, connection, None, max(size, _AHEAD))
        found |= dict.fromkeys(ahead[-edge:])
        found |= dict.fromkeys(random.sample(ahead, min(size, len(ahead))))
        return list(found)[:size]
    table = KeyTable(statements.definition.table, statements.definition.key, statements.types)
    found |= dict.fromkeys(table.last(connection, edge))
    found |= dict.fromkeys(table.some(connection, size))
    return list(found)[:size]


@dataclass(frozen=True, slots=True)
class KeyTable:
    """A table and the columns of a key in it. Rows without a key are passed over. What it does
    raises psycopg.Error."""

    name: str
    key: Sequence[str]
    types: Sequence[KeyType]

    def last(self, connection: Connection, size: int) -> list[Key]:
        """The last keys, `size` at most."""
        order = [sql.SQL("{} DESC").format(one) for one in self._columns]
        return self._rows(connection, sql.SQL(", ").join(order), size)

    def some(self, connection: Connection, size: int) -> list[Key]:
        """About so many keys at random, distinct ones."""
        total = paging.rows_of(self.name, connection)
        order = sql.SQL("pg_catalog.random()")
        wanted = _PLENTY * size
        if total > max(_WHOLE, wanted):
            share = sql.SQL("TABLESAMPLE SYSTEM ({})").format(sql.Literal(100.0 * wanted / total))
            with contextlib.suppress(psycopg.errors.WrongObjectType):  # a foreign table
                found = self._rows(connection, order, size, share=share)
                if len(found) >= size // 2:
                    return found
        # a small table, or one that was never counted: then from the first rows on
        return self._rows(connection, order, size, of_first=max(_WHOLE, wanted))

    @property
    def _columns(self) -> list[sql.Identifier]:
        return [sql.Identifier("t", name) for name in self.key]

    def _rows(
        self,
        connection: Connection,
        order: sql.Composable,
        size: int,
        *,
        share: sql.Composable | None = None,
        of_first: int | None = None,
    ) -> list[Key]:
        table: sql.Composable = sql.Identifier(*split_name(self.name))
        if of_first is not None:
            table = sql.SQL("(SELECT * FROM {} LIMIT {})").format(table, sql.Literal(of_first))
        statement = sql.SQL(
            "SELECT {texts} FROM {table} AS t {share} WHERE {present} ORDER BY {order} LIMIT {size}"
        ).format(
            texts=sql.SQL(", ").join(sql.SQL("{}::text").format(one) for one in self._columns),
            table=table,
            share=share or sql.SQL(""),
            present=sql.SQL(" AND ").join(
                sql.SQL("{} IS NOT NULL").format(one) for one in self._columns
            ),
            order=order,
            size=sql.Literal(size),
        )
        rows: list[tuple[Any, ...]] = connection.execute(statement, prepare=False).fetchall()
        return list(dict.fromkeys(canonical_keys(rows, self.types)))
