"""A sample of a document kind's keys: the first, the last, and some at random.

Costs little however large the table is. Of an ids file, which only goes forward, random ones are
taken from its first pages.
"""

from __future__ import annotations

import contextlib
import random
from typing import Any, Final

import psycopg
from psycopg import sql

from listener.changes import Key, canonical_keys
from listener.config import split_name
from listener.documents import paging
from listener.documents.statements import Statements
from listener.postgres import Connection

_WHOLE: Final = 20_000
"""Rows, as the planner knows, up to which a table is read to draw from it."""
_AHEAD: Final = 20_000
"""Ids of an ids file that are read to draw from them."""
_PLENTY: Final = 20
"""So many times as many rows as wanted are looked for: pages are drawn, and some are empty."""


def sample(statements: Statements, connection: Connection, size: int) -> list[Key]:
    """About so many distinct keys, without an order. Raises psycopg.Error and QueryFileError."""
    edge = max(1, size // 10)
    found = dict.fromkeys(paging.id_page(statements, connection, None, edge))
    if statements.rendered_ids is not None:
        ahead = paging.id_page(statements, connection, None, max(size, _AHEAD))
        found |= dict.fromkeys(ahead[-edge:])
        found |= dict.fromkeys(random.sample(ahead, min(size, len(ahead))))
        return list(found)[:size]
    found |= dict.fromkeys(_rows(statements, connection, sql.SQL(""), _last(statements), edge))
    drawn = _random(statements, connection, size)
    return list(found | dict.fromkeys(drawn))[:size]


def _random(statements: Statements, connection: Connection, size: int) -> list[Key]:
    total = paging.estimate(statements, connection)
    order = sql.SQL("pg_catalog.random()")
    wanted = _PLENTY * size
    if total > max(_WHOLE, wanted):
        share = sql.SQL("TABLESAMPLE SYSTEM ({})").format(sql.Literal(100.0 * wanted / total))
        with contextlib.suppress(psycopg.errors.WrongObjectType):  # a foreign table has no pages
            found = _rows(statements, connection, share, order, size)
            if len(found) >= size // 2:
                return found
    # a small table, or a view or one that was never counted: then from the first rows on
    return _rows(statements, connection, sql.SQL(""), order, size, of_first=max(_WHOLE, wanted))


def _rows(
    statements: Statements,
    connection: Connection,
    share: sql.Composable,
    order: sql.Composable,
    size: int,
    *,
    of_first: int | None = None,
) -> list[Key]:
    columns = [sql.Identifier("t", name) for name in statements.config.key]
    table: sql.Composable = sql.Identifier(*split_name(statements.config.table))
    if of_first is not None:
        table = sql.SQL("(SELECT * FROM {} LIMIT {})").format(table, sql.Literal(of_first))
    statement = sql.SQL(
        "SELECT {texts} FROM {table} AS t {share} WHERE {present} ORDER BY {order} LIMIT {size}"
    ).format(
        texts=sql.SQL(", ").join(sql.SQL("{}::text").format(one) for one in columns),
        table=table,
        share=share,
        present=sql.SQL(" AND ").join(sql.SQL("{} IS NOT NULL").format(one) for one in columns),
        order=order,
        size=sql.Literal(size),
    )
    rows: list[tuple[Any, ...]] = connection.execute(statement, prepare=False).fetchall()
    return list(dict.fromkeys(canonical_keys(rows, statements.types)))


def _last(statements: Statements) -> sql.Composable:
    names = [sql.Identifier("t", name) for name in statements.config.key]
    return sql.SQL(", ").join(sql.SQL("{} DESC").format(one) for one in names)
