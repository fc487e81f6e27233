"""Stamped tables: how the rows of one are read by their stamps, page by page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from psycopg import sql

from listener.capture import xids
from listener.changes import KeyType, Watch
from listener.postgres import Connection

PAGE: Final = 2000
"""Rows that are read at once."""
_STAMP: Final = {False: "timestamptz", True: "timestamp"}


@dataclass(frozen=True, slots=True)
class Stamped:
    """A watched table that has a stamp column. `types`: of its key. `zoneless`: whether its stamp
    has no zone."""

    watch: Watch
    types: Sequence[KeyType]
    zoneless: bool

    def edge(self, at: datetime) -> sql.Literal:
        """A moment as the stamp column has it."""
        return sql.Literal(at.astimezone(UTC).replace(tzinfo=None) if self.zoneless else at)


def pages(
    connection: Connection,
    table: Stamped,
    since: datetime,
    until: datetime | None,
    ids: range | None = None,
) -> Iterator[list[tuple[Any, ...]]]:
    """The rows stamped from `since` to before `until`, by their stamps: stamp, xmin and the parts
    of the key, as PostgreSQL prints them.

    `until` None: without an end. `ids`: only rows of these transactions (see `xids`).
    """
    watch = table.watch
    assert watch.updated_at is not None
    # qualified: a bare name in ORDER BY would be the output column, which is text
    stamp = sql.Identifier("t", watch.updated_at)
    columns = [sql.Identifier("t", name) for name in watch.key]
    keyset = sql.SQL(", ").join([stamp, *columns])
    select = sql.SQL(
        "SELECT {stamp}::text, t.xmin::text, {keys} FROM {table} AS t WHERE {present}{until}{young}"
    ).format(
        stamp=stamp,
        keys=sql.SQL(", ").join(sql.SQL("{}::text").format(one) for one in columns),
        table=sql.Identifier(watch.schema, watch.table),
        present=sql.SQL(" AND ").join(sql.SQL("{} IS NOT NULL").format(one) for one in columns),
        until=sql.SQL("")
        if until is None
        else sql.SQL(" AND {} < {}").format(stamp, table.edge(until)),
        # by the server: many may be stamped ahead, all with one moment, and few of them new
        young=sql.SQL("")
        if ids is None
        else sql.SQL(" AND {}").format(xids.among(sql.Identifier("t", "xmin"), ids)),
    )
    bound: sql.Composable = sql.SQL("{} >= {}").format(stamp, table.edge(since))
    while True:
        rows = connection.execute(
            sql.SQL("{} AND {} ORDER BY {} LIMIT {}").format(
                select, bound, keyset, sql.Literal(PAGE)
            ),
            prepare=False,
        ).fetchall()
        yield rows
        if len(rows) < PAGE:
            return
        last = rows[-1]
        values = [
            sql.SQL("{}::" + cast).format(sql.Literal(text))
            for text, cast in zip(
                (last[0], *last[2:]),
                (_STAMP[table.zoneless], *map(_cast, table.types)),
                strict=True,
            )
        ]
        bound = sql.SQL("({}) > ({})").format(keyset, sql.SQL(", ").join(values))


def _cast(kind: KeyType) -> str:
    return "text" if kind == "varchar" else kind
