"""Paging: all ids of a kind, and the ids that a mapping leads to, page by page.

Pages end at a key (keyset), so that neither a table nor the documents behind one key need memory of
their size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from listener.changes import Key, canonical_keys
from listener.config import split_name
from listener.documents import blame
from listener.documents.queries import SQL_TYPE, arrays, single
from listener.documents.statements import PREPARE_UP_TO, Statements
from listener.postgres import Connection


def id_page(
    statements: Statements, connection: Connection, after: Key | None, limit: int
) -> list[Key]:
    """One page of all ids: distinct keys after `after` (None: from the first), in order.

    Raises psycopg.Error, here and below, and QueryFileError where an id is none.
    """
    if statements.rendered_ids is not None:
        return _page_of_ids_file(statements, statements.rendered_ids, connection, after, limit)
    types = statements.types
    # qualified: a bare name in ORDER BY would be the output column, which is text
    columns = [sql.Identifier("t", name) for name in statements.definition.key]
    bound: sql.Composable = sql.SQL("")
    if after is not None:
        bound = sql.SQL("AND ({}) > ({})").format(
            sql.SQL(", ").join(columns),
            sql.SQL(", ").join(
                sql.SQL("{}::text::" + SQL_TYPE[kind]).format(sql.Literal(part))
                for part, kind in zip(after, types, strict=True)
            ),
        )
    statement = sql.SQL(
        "SELECT {texts} FROM {table} AS t WHERE {present} {bound} ORDER BY {columns} LIMIT {limit}"
    ).format(
        texts=sql.SQL(", ").join(sql.SQL("{}::text").format(one) for one in columns),
        table=_qualified(statements.definition.table),
        present=sql.SQL(" AND ").join(sql.SQL("{} IS NOT NULL").format(one) for one in columns),
        bound=bound,
        columns=sql.SQL(", ").join(columns),
        limit=sql.Literal(limit),
    )
    rows = connection.execute(statement, prepare=False).fetchall()
    return list(dict.fromkeys(canonical_keys(rows, types)))


def mapped_page(
    statements: Statements,
    connection: Connection,
    watch: str,
    keys: Sequence[Key],
    *,
    after: str | None,
    limit: int,
) -> tuple[list[Key], str | None]:
    """Document keys behind `keys` of a mapped watch, in order, and where the page ends.

    `after` is the end of the page before, the id as SQL spelled it; None starts. The end is None
    where there is no further page.
    """
    types = statements.types
    kind = SQL_TYPE[types[0]] if len(types) == 1 else "text"
    # by bytes: what a nondeterministic collation takes for one may be two documents
    order = ' COLLATE "C"' if kind == "text" else ""
    ident = sql.SQL(f"q.id::text::{kind}{order}")
    parameters: dict[str, Any]
    if len(keys) == 1:
        mapping, parameters = statements.mappings_of_one[watch], {**single("keys", keys[0])}
    else:
        mapping = statements.rendered_mappings[watch]
        parameters = {**arrays("keys", keys, statements.watch_types[watch])}
    bound: sql.Composable = sql.SQL("")
    if after is not None:
        parameters["listener_after"] = after
        bound = sql.SQL("AND {} > %(listener_after)s::text::" + kind).format(ident)
    statement = sql.SQL(
        "SELECT DISTINCT {ident} FROM (\n{mapping}\n) AS q WHERE q.id IS NOT NULL {bound} "
        "ORDER BY 1 LIMIT {limit}"
    ).format(
        ident=ident,
        mapping=sql.SQL(mapping),
        bound=bound,
        limit=sql.Literal(limit),
    )
    paged = sql.SQL("SELECT t.id::text FROM (\n{}\n) AS t(id) ORDER BY t.id").format(statement)
    try:
        rows = connection.execute(paged, parameters, prepare=len(keys) <= PREPARE_UP_TO).fetchall()
    except psycopg.Error as error:
        blame.point(error, statements.mapping_paths[watch], paged, mapping)
        raise
    end = rows[-1][0] if len(rows) == limit else None
    return statements.keys_of((row[0] for row in rows), watch), end


def estimate(statements: Statements, connection: Connection) -> int:
    """About how many documents there are (the planner's figure), for progress."""
    return rows_of(statements.definition.table, connection)


def rows_of(table: str, connection: Connection) -> int:
    """About how many rows this table has, as the planner knows; 0 where it does not."""
    row = connection.execute(
        "SELECT greatest(coalesce(sum(c.reltuples), 0), 0)::bigint FROM pg_catalog.pg_class c "
        "WHERE c.relkind IN ('r', 'm', 'f') AND (c.oid = %(t)s::regclass OR c.oid IN "
        "(SELECT relid FROM pg_catalog.pg_partition_tree(%(t)s::regclass)))",
        {"t": _qualified(table).as_string(connection)},
    ).fetchone()
    return int(row[0]) if row else 0


def any_row(statements: Statements, connection: Connection) -> bool:
    """Whether the table has a row at all."""
    statement = sql.SQL("SELECT EXISTS (SELECT FROM {})").format(
        _qualified(statements.definition.table)
    )
    row = connection.execute(statement, prepare=False).fetchone()
    return bool(row and row[0])


def _page_of_ids_file(
    statements: Statements, rendered: str, connection: Connection, after: Key | None, limit: int
) -> list[Key]:
    columns = len(statements.types)
    parameters: dict[str, Any] = {"limit": limit}
    if columns == 1:
        parameters["after"] = after[0] if after else None
    else:
        for n in range(columns):
            parameters[f"after_{n + 1}"] = after[n] if after else None
    statement = sql.SQL("SELECT q.id::text FROM (\n" + rendered + "\n) AS q")
    try:
        rows = connection.execute(statement, parameters, prepare=False).fetchall()
    except psycopg.Error as error:
        if statements.definition.ids is not None:
            blame.point(error, statements.definition.ids.path, statement, rendered)
        raise
    return list(dict.fromkeys(statements.keys_of((row[0] for row in rows), "ids_file")))


def _qualified(name: str) -> sql.Identifier:
    return sql.Identifier(*split_name(name))
