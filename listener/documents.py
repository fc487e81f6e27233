"""Documents: keys to document ids to documents as bytes. A missing id is a delete.

The user's SQL files are wrapped, never parsed: a query file becomes a sub-select of two text
columns, so that PostgreSQL assembles the JSON and Python only passes bytes on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

from listener.bulk import Document
from listener.changes import (
    Key,
    KeyType,
    PayloadError,
    canonical_key,
    document_id,
    key_of_id,
)
from listener.config import DocumentConfig, split_name
from listener.postgres import BytesLoader, Connection

_PLACEHOLDER: Final = re.compile(r"%\(([^)]*)\)s")
_END: Final = re.compile(r";(?:\s|--[^\n]*(?:\n|\Z)|/\*(?:(?!\*/).)*\*/)*\Z", re.DOTALL)
"""A semicolon with nothing but space and comments behind it."""

_SQL_TYPE: Final[dict[KeyType, str]] = {
    "smallint": "smallint",
    "integer": "integer",
    "bigint": "bigint",
    "uuid": "uuid",
    "text": "text",
    "varchar": "text",
}
PREPARE_UP_TO: Final = 20
"""Statements for few ids are prepared (planning costs more than running); those for many are
planned each time, since a generic plan expects ten ids and would loop over thousands."""

_ROW_FAULT: Final = ("21", "22", "54", "P0")
"""SQLSTATE classes in which one row's content makes the query fail."""


class QueryFileError(ValueError):
    """A query, mapping or ids file breaks its contract. The message says what and where."""


@dataclass(frozen=True, slots=True)
class Faulty:
    """A document that the database could not make, and why."""

    key: Key
    reason: str


def render(text: str, name: str, types: Sequence[KeyType], *, array: bool, path: Path) -> str:
    """The user's SQL with our casts: `%(ids)s` becomes `%(ids)s::text[]::uuid[]`.

    `name` is ids, keys or after; a composite key has one placeholder a column, numbered from 1
    (`%(ids_1)s`). Raises QueryFileError for placeholders that nobody fills.
    """
    suffix = "[]" if array else ""
    if len(types) == 1:
        known = {name: types[0]}
    else:
        known = {f"{name}_{number}": kind for number, kind in enumerate(types, 1)}
    seen: set[str] = set()

    def cast(match: re.Match[str]) -> str:
        found = match.group(1)
        if found == "limit" and not array:
            return match.group(0)
        if found not in known:
            raise QueryFileError(
                f"{path}: unknown placeholder %({found})s; it takes "
                + ", ".join(f"%({one})s" for one in known)
            )
        seen.add(found)
        return f"%({found})s::text{suffix}::{_SQL_TYPE[known[found]]}{suffix}"

    rendered = _PLACEHOLDER.sub(cast, _END.sub("", text)).strip()
    missing = [one for one in known if one not in seen]
    if missing:
        raise QueryFileError(f"{path}: it does not use %({missing[0]})s")
    return rendered


def arrays(name: str, keys: Sequence[Key], types: Sequence[KeyType]) -> dict[str, list[str]]:
    """Parameters of a rendered statement: one array of texts for each column of the key."""
    if len(types) == 1:
        return {name: [key[0] for key in keys]}
    return {f"{name}_{n}": [key[n - 1] for key in keys] for n in range(1, len(types) + 1)}


def _qualified(name: str) -> sql.Identifier:
    return sql.Identifier(*split_name(name))


class DocumentSource:
    """Reads the documents of one `documents` entry."""

    def __init__(
        self,
        config: DocumentConfig,
        types: Sequence[KeyType],
        watch_types: Mapping[str, Sequence[KeyType]],
        mappings: dict[str, Path],
    ) -> None:
        """`watch_types` gives the key types of each watch id that has a mapping file."""
        self.config = config
        self.name = config.index
        self.types = tuple(types)
        query = render(
            config.query_file.read_text("utf-8"), "ids", types, array=True, path=config.query_file
        )
        self._query = sql.SQL("SELECT q.id::text, q.document::text FROM (\n" + query + "\n) AS q")
        self.rendered_query = query
        self.rendered_mappings = {
            watch: render(
                path.read_text("utf-8"), "keys", watch_types[watch], array=True, path=path
            )
            for watch, path in mappings.items()
        }
        self.mapping_paths = dict(mappings)
        self._watch_types = watch_types
        self.rendered_ids: str | None = None
        if config.ids_file is not None:
            self.rendered_ids = render(
                config.ids_file.read_text("utf-8"),
                "after",
                types,
                array=False,
                path=config.ids_file,
            )

    def id_of(self, key: Key) -> str:
        """The `_id` of a key."""
        return document_id(key, self.types)

    def read(self, connection: Connection, keys: Sequence[Key]) -> list[Document | Faulty]:
        """Read the documents of these distinct keys, in their order.

        A key that the query does not return becomes a delete. A key whose row makes the query
        fail is found by bisecting and comes back as Faulty. Raises psycopg.Error for everything
        that is not one row's fault, QueryFileError where the query breaks its contract.
        """
        try:
            return self._read(connection, keys)
        except psycopg.Error as error:
            state = error.sqlstate or ""
            cancelled = state == "57014"
            if not (cancelled or state.startswith(_ROW_FAULT)):
                raise
            if len(keys) > 1:
                half = len(keys) // 2
                return self.read(connection, keys[:half]) + self.read(connection, keys[half:])
            if cancelled:
                raise
            return [Faulty(keys[0], f"{error.diag.message_primary} (SQLSTATE {state})")]

    def _read(self, connection: Connection, keys: Sequence[Key]) -> list[Document | Faulty]:
        cursor = connection.cursor()
        cursor.adapters.register_loader("text", BytesLoader)
        rows: list[tuple[bytes | None, bytes | None]] = cursor.execute(
            self._query, arrays("ids", keys, self.types), prepare=len(keys) <= PREPARE_UP_TO
        ).fetchall()
        ids = [self.id_of(key) for key in keys]
        found: dict[str, bytes] = {}
        faults: dict[str, str] = {}
        for raw_id, body in rows:
            doc_id = self._returned_id(raw_id)
            if body is None:
                faults[doc_id] = "the query returned NULL as the document"
            elif doc_id in found:
                faults[doc_id] = "the query returned two rows for this id"
            else:
                found[doc_id] = body
        wanted = set(ids)
        if not wanted.issuperset(found) or not wanted.issuperset(faults):
            raise QueryFileError(
                f"{self.config.query_file}: the query returned an id that was not asked for; "
                "it must be restricted to %(ids)s"
            )
        return [
            Faulty(key, faults[doc_id])
            if doc_id in faults
            else Document(key, doc_id, found.get(doc_id))
            for key, doc_id in zip(keys, ids, strict=True)
        ]

    def _returned_id(self, raw: bytes | None) -> str:
        if raw is None:
            raise QueryFileError(f"{self.config.query_file}: the query returned NULL as id")
        text = raw.decode()
        if len(self.types) == 1:
            return text
        try:
            return self.id_of(key_of_id(text, self.types))
        except PayloadError as error:
            raise QueryFileError(
                f"{self.config.query_file}: {error}; the key is composite, so return "
                "json_build_array(...) of its columns as id"
            ) from error

    def mapped_page(
        self,
        connection: Connection,
        watch: str,
        keys: Sequence[Key],
        after: str | None,
        limit: int,
    ) -> tuple[list[Key], str | None]:
        """Document keys behind `keys` of a mapped watch, in order, and where the page ends.

        Pages by keyset, so that a key of ten million documents needs no memory of that size.
        `after` is the end of the page before, the id as SQL spelled it; None starts.
        """
        ident = (
            sql.SQL("q.id::text::" + _SQL_TYPE[self.types[0]])
            if len(self.types) == 1
            else sql.SQL('q.id::text COLLATE "C"')
        )
        parameters: dict[str, Any] = dict(arrays("keys", keys, self._watch_types[watch]))
        bound: sql.Composable = sql.SQL("")
        if after is not None:
            parameters["listener_after"] = after
            cast = _SQL_TYPE[self.types[0]] if len(self.types) == 1 else "text"
            bound = sql.SQL("AND {} > %(listener_after)s::text::" + cast).format(ident)
        statement = sql.SQL(
            "SELECT DISTINCT {ident} FROM (\n{mapping}\n) AS q WHERE q.id IS NOT NULL {bound} "
            "ORDER BY 1 LIMIT {limit}"
        ).format(
            ident=ident,
            mapping=sql.SQL(self.rendered_mappings[watch]),
            bound=bound,
            limit=sql.Literal(limit),
        )
        paged = sql.SQL("SELECT t.id::text FROM (\n{}\n) AS t(id) ORDER BY t.id").format(statement)
        rows = connection.execute(paged, parameters, prepare=len(keys) <= PREPARE_UP_TO).fetchall()
        end = rows[-1][0] if len(rows) == limit else None
        return self._keys((row[0] for row in rows), watch), end

    def _keys(self, ids: Iterable[str], place: str) -> list[Key]:
        try:
            return [key_of_id(text, self.types) for text in ids]
        except PayloadError as error:
            raise QueryFileError(f"{self.name}: ids of {place}: {error}") from error

    def id_page(self, connection: Connection, after: Key | None, limit: int) -> list[Key]:
        """One page of all ids for a full load: distinct keys after `after`, in order."""
        if self.rendered_ids is not None:
            parameters: dict[str, Any] = {"limit": limit}
            if len(self.types) == 1:
                parameters["after"] = after[0] if after else None
            else:
                for n in range(len(self.types)):
                    parameters[f"after_{n + 1}"] = after[n] if after else None
            rows = connection.execute(
                sql.SQL("SELECT q.id::text FROM (\n" + self.rendered_ids + "\n) AS q"),
                parameters,
                prepare=False,
            ).fetchall()
            return list(dict.fromkeys(self._keys((row[0] for row in rows), "ids_file")))
        columns = [sql.Identifier(name) for name in self.config.key]
        bound: sql.Composable = sql.SQL("")
        if after is not None:
            bound = sql.SQL("AND ({}) > ({})").format(
                sql.SQL(", ").join(columns),
                sql.SQL(", ").join(
                    sql.SQL("{}::text::" + _SQL_TYPE[kind]).format(sql.Literal(part))
                    for part, kind in zip(after, self.types, strict=True)
                ),
            )
        statement = sql.SQL(
            "SELECT {texts} FROM {table} WHERE {present} {bound} ORDER BY {columns} LIMIT {limit}"
        ).format(
            texts=sql.SQL(", ").join(sql.SQL("{}::text").format(one) for one in columns),
            table=_qualified(self.config.table),
            present=sql.SQL(" AND ").join(sql.SQL("{} IS NOT NULL").format(one) for one in columns),
            bound=bound,
            columns=sql.SQL(", ").join(columns),
            limit=sql.Literal(limit),
        )
        rows = connection.execute(statement, prepare=False).fetchall()
        return list(dict.fromkeys(canonical_key(row, self.types) for row in rows))

    def estimate(self, connection: Connection) -> int:
        """About how many documents there are (the planner's figure), for progress."""
        row = connection.execute(
            "SELECT greatest(coalesce(sum(c.reltuples), 0), 0)::bigint FROM pg_catalog.pg_class c "
            "WHERE c.relkind IN ('r', 'm', 'f') AND (c.oid = %(t)s::regclass OR c.oid IN "
            "(SELECT relid FROM pg_catalog.pg_partition_tree(%(t)s::regclass)))",
            {"t": _qualified(self.config.table).as_string(connection)},
        ).fetchone()
        return int(row[0]) if row else 0
