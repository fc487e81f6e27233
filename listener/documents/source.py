"""Documents: keys to document ids to documents as bytes. A missing id is a delete.

The user's SQL files are wrapped, never parsed: a query file becomes a sub-select of two text
columns, so that PostgreSQL assembles the JSON and Python only passes bytes on.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import psycopg
from psycopg import sql

from listener.changes import (
    Key,
    KeyType,
    PayloadError,
    canonical_key,
    canonical_keys,
    document_id,
    key_of_id,
)
from listener.config import DocumentConfig, split_name
from listener.documents.queries import SQL_TYPE, QueryFileError, arrays, render, single
from listener.observations.printable import one_line
from listener.postgres import Connection
from listener.search.bulk import Document

PREPARE_UP_TO: Final = 20
"""Statements for few ids are prepared (planning costs more than running); those for many are
planned each time, since a generic plan expects ten ids and would loop over thousands."""

T = TypeVar("T")

_DOCUMENTS: Final = (
    "SELECT NULL::text, pg_catalog.convert_to("
    "CASE WHEN pg_catalog.pg_current_wal_insert_lsn() > pg_catalog.pg_current_wal_flush_lsn() "
    "THEN pg_catalog.pg_current_wal_insert_lsn()::text ELSE '' END, 'UTF8')\nUNION ALL\n"
    "SELECT q.id::text, pg_catalog.convert_to(q.document::text, 'UTF8') FROM (\n{}\n) AS q"
)
"""The first row tells how far the log must be on disk. What a snapshot shows was logged before it
was taken, and this is evaluated after that; but, usually, before the query looks at a page: a
SELECT may tidy up pages that were just written, and log that."""

_PLACE: Final = re.compile(rb"(?:[0-9A-F]+/[0-9A-F]+)?")
"""A place in the log, or none: no document begins like that."""
_FIRST: Final = operator.itemgetter(0)
_BRACE: Final = {ord("{")}
_PIECE: Final = 250
"""Keys that are read again for one row that fails, at most: all of a large batch would cost as much
as the batch itself, and the smallest pieces more in round trips."""
_CAREFUL_FOR: Final = 20
_ROW_FAULT: Final = ("21", "22", "54", "P0")
"""SQLSTATE classes in which one row's content makes the query fail."""
_SERVER_FAULT: Final = ("08", "25", "28", "3D", "40", "42501", "53", "55", "57", "58")
"""SQLSTATE prefixes of faults that are never a row's, whoever else succeeds: connection, state of
the transaction, roles and rights, resources, locks, shutdown, the system."""
_WITNESSES: Final = 5
"""Rows of a batch, and of each page, among which one that can be made is looked for."""
_PAGE: Final = 200
_PAGES: Final = 20
"""Pages of ids that are looked through for it: rows that fail may stand side by side."""


_new_document = partial(tuple.__new__, Document)
"""Without the call of a Python function, which NamedTuple makes of its own `__new__`."""


@dataclass(frozen=True, slots=True)
class Unflushed:
    """What was read is durable as soon as the log is on disk up to this place."""

    lsn: str


@dataclass(frozen=True, slots=True)
class Faulty:
    """A document that the database could not make, and why."""

    key: Key
    reason: str


def row_fault(error: psycopg.Error) -> str | None:
    """Why a statement failed, where it is for the content of a row or of a key; else None."""
    state = error.sqlstate or ""
    # without a state: psycopg itself could not send a value, such as a NUL character
    if state.startswith(_ROW_FAULT) if state else isinstance(error, psycopg.DataError):
        return _told(error)
    return None


def doubtful(error: psycopg.Error) -> str | None:
    """Why a statement failed, where it may be for the content of a row: a function of the user's
    may raise any SQLSTATE, or meet any. It is a row's where another row succeeds at that moment."""
    state = error.sqlstate or ""
    if not state or state.startswith((*_ROW_FAULT, *_SERVER_FAULT)):
        return None
    return _told(error)


def _told(error: psycopg.Error) -> str:
    return f"{error.diag.message_primary or error} (SQLSTATE {error.sqlstate or ''})"


def _made(found: Iterable[object]) -> bool:
    """Whether a read brought a document."""
    return any(isinstance(one, Document) and one.body is not None for one in found)


def _spread(keys: Sequence[Key], most: int) -> Sequence[Key]:
    """So many of these, from the first to the last."""
    if len(keys) <= most:
        return keys
    return [keys[number * (len(keys) - 1) // (most - 1)] for number in range(most)]


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
        text, path = config.query_file.read_text("utf-8"), config.query_file
        query = render(text, "ids", types, array=True, path=path)
        self._query = sql.SQL(_DOCUMENTS.format(query))
        self._query_one = sql.SQL(
            _DOCUMENTS.format(render(text, "ids", types, array=True, path=path, one=True))
        )
        self._ids_only = sql.SQL("SELECT q.id::text FROM (\n" + query + "\n) AS q")
        self.rendered_query = query
        self.rendered_mappings = {
            watch: render(
                path.read_text("utf-8"), "keys", watch_types[watch], array=True, path=path
            )
            for watch, path in mappings.items()
        }
        self._mappings_of_one = {
            watch: render(
                path.read_text("utf-8"),
                "keys",
                watch_types[watch],
                array=True,
                path=path,
                one=True,
            )
            for watch, path in mappings.items()
        }
        self.mapping_paths = dict(mappings)
        self._watch_types = watch_types
        self._good: Key | None = None
        """The last key of which a document was made."""
        self._good_mapped: dict[str, Key] = {}
        """By watch, a key that its mapping took."""
        self._careful = 0
        """Reads that are made in pieces, since one of the last ones met a row that fails."""
        self.rendered_ids: str | None = None
        if config.ids_file is not None:
            self.rendered_ids = render(
                config.ids_file.read_text("utf-8"),
                "after",
                types,
                array=False,
                path=config.ids_file,
            )

    @property
    def texts(self) -> tuple[str, ...]:
        """All SQL of this document, with our casts: what it depends on stands there by name."""
        ids = () if self.rendered_ids is None else (self.rendered_ids,)
        return (self.rendered_query, *self.rendered_mappings.values(), *ids)

    def id_of(self, key: Key) -> str:
        """The `_id` of a key."""
        return document_id(key, self.types)

    def read(self, connection: Connection, keys: Sequence[Key]) -> list[Document | Faulty]:
        """Read the documents of these distinct keys, in their order.

        A key that the query does not return becomes a delete, and so does one that no row can
        have. A key whose row makes the query fail is found by bisecting and comes back as Faulty.
        Raises psycopg.Error for everything that is not one row's fault, QueryFileError where the
        query breaks its contract.
        """
        return self.read_through(connection, keys)[0]

    def read_through(
        self, connection: Connection, keys: Sequence[Key]
    ) -> tuple[list[Document | Faulty], Unflushed | None]:
        """As `read`, and up to where the log must be on disk before what was read may be told to
        others; None where it is. `connection` must have one snapshot a statement (repeatable read):
        else a volatile function in the query may see later commits.
        """

        def alone(key: Key, reason: str) -> Document | Faulty | Unflushed:
            if self._possible(key):
                return Faulty(key, reason)
            return Document(key, self.id_of(key), None)

        size = _PIECE if self._careful else max(len(keys), 1)
        found: list[Document | Faulty] = []
        last: Unflushed | None = None
        for start in range(0, len(keys), size):
            part = keys[start : start + size]
            read = self._bisected(connection, part, self._read, alone)
            for unflushed in [one for one in read if isinstance(one, Unflushed)]:
                last = unflushed  # the log only grows
            found += [one for one in read if not isinstance(one, Unflushed)]
        for one in found[-_WITNESSES:]:
            if isinstance(one, Document) and one.body is not None:
                self._good = one.key
        if any(isinstance(one, Faulty) for one in found):
            self._careful = _CAREFUL_FOR
        elif self._careful:
            self._careful -= 1
        return found, last

    def existing(self, connection: Connection, keys: Sequence[Key]) -> set[Key]:
        """Those of these keys that the query returns, or that it fails on. Raises as `read`."""
        ids = {self.id_of(key): key for key in keys}

        def returned(connection: Connection, part: Sequence[Key]) -> list[Key | None]:
            rows = self._execute(connection, self._ids_only, part)
            return [ids.get(self._returned_id(row[0])) for row in rows]

        def alone(key: Key, _reason: str) -> Key | None:
            return key if self._possible(key) else None

        found = self._bisected(connection, keys, returned, alone)
        return {key for key in found if key is not None}

    def _possible(self, key: Key) -> bool:
        """Whether a row can have this key: ids found in an index may be anything."""
        try:
            return canonical_key(key, self.types) == key
        except PayloadError:
            return False

    def _bisected(
        self,
        connection: Connection,
        keys: Sequence[Key],
        run: Callable[[Connection, Sequence[Key]], list[T]],
        alone: Callable[[Key, str], T],
        *,
        vouched: bool = False,
    ) -> list[T]:
        """Run it for all keys at once, or, where a row's content makes it fail, for parts.

        `vouched`: that another row succeeds was seen for a larger part of the same.
        """
        if any(len(key) != len(self.types) for key in keys):  # an id that is not of our making
            good = [key for key in keys if len(key) == len(self.types)]
            odd = [alone(key, "") for key in keys if len(key) != len(self.types)]
            if not good:
                return odd
            return odd + self._bisected(connection, good, run, alone, vouched=vouched)
        try:
            return run(connection, keys)
        except psycopg.Error as error:
            cancelled = error.sqlstate == "57014"
            reason = row_fault(error)
            if reason is None and not cancelled:
                reason = doubtful(error)
                if reason is None:
                    raise
                if not (vouched and len(keys) > 1) and not self._others(connection, keys):
                    raise
                vouched = True
            if len(keys) > 1:
                size = _PIECE if len(keys) > 2 * _PIECE else (len(keys) + 1) // 2
                found: list[T] = []
                for start in range(0, len(keys), size):
                    part = keys[start : start + size]
                    found += self._bisected(connection, part, run, alone, vouched=vouched)
                return found
            if reason is None:
                error.add_note(f"document {one_line(self.id_of(keys[0]))} alone takes that long")
                raise
            if row_fault(error) is None:
                # what all rows met may have ended before the other one was made
                return self._once_more(connection, keys[0], run, alone)
            return [alone(keys[0], reason)]

    def _once_more(
        self,
        connection: Connection,
        key: Key,
        run: Callable[[Connection, Sequence[Key]], list[T]],
        alone: Callable[[Key, str], T],
    ) -> list[T]:
        """Run it again for a key that failed, now that another one was seen to succeed."""
        try:
            return run(connection, [key])
        except psycopg.Error as error:
            reason = row_fault(error) or doubtful(error)
            if reason is None:
                raise
            return [alone(key, reason)]

    def _others(self, connection: Connection, keys: Sequence[Key]) -> bool:
        """Whether a document can be made now: another one than that of a single key. Where there
        is no other one in the whole table, the statement itself must run.
        """
        alone = keys[0] if len(keys) == 1 else None
        near = [self._good, *(() if alone else _spread(keys, _WITNESSES))]
        if any(self._makes(connection, key) for key in near if key not in (None, alone)):
            return True
        after: Key | None = None
        others = False
        for _ in range(_PAGES):
            page = self.id_page(connection, after, _PAGE)
            if not page:
                if not others:
                    self._read(connection, [])
                return not others
            after = page[-1]
            there = self._returned(connection, [key for key in page if key != alone])
            others = others or bool(there)
            if any(self._makes(connection, key) for key in _spread(there, _WITNESSES)):
                return True
        return False

    def _makes(self, connection: Connection, key: Key | None) -> bool:
        """Whether the query makes the document of this key."""
        try:
            return key is not None and _made(self._read(connection, [key]))
        except psycopg.Error as error:
            if row_fault(error) is None and doubtful(error) is None:
                raise
        return False

    def _returned(self, connection: Connection, keys: Sequence[Key]) -> Sequence[Key]:
        """Those of these keys that the query returns; all where it fails on one of them."""
        if not keys:
            return ()
        try:
            rows = self._execute(connection, self._ids_only, keys)
        except psycopg.Error as error:
            if row_fault(error) is None and doubtful(error) is None:
                raise
            return keys
        there = {self._returned_id(row[0]) for row in rows}
        return [key for key in keys if self.id_of(key) in there]

    def _execute(
        self, connection: Connection, statement: sql.SQL, keys: Sequence[Key]
    ) -> list[tuple[Any, ...]]:
        cursor = connection.cursor(binary=True)  # bytea as bytes, with no call a value
        given: Mapping[str, object] = (
            single("ids", keys[0])
            if statement is self._query_one
            else arrays("ids", keys, self.types)
        )
        return cursor.execute(statement, given, prepare=len(keys) <= PREPARE_UP_TO).fetchall()

    def _read(
        self, connection: Connection, keys: Sequence[Key]
    ) -> list[Document | Faulty | Unflushed]:
        statement = self._query_one if len(keys) == 1 else self._query
        rows = self._execute(connection, statement, keys)
        plain = len(self.types) == 1
        ids = [key[0] for key in keys] if plain else [self.id_of(key) for key in keys]
        if plain and (quick := _nothing_odd(rows, keys, ids)) is not None:
            return quick
        found: dict[str, bytes] = {}
        faults: dict[str, str] = {}
        read: list[Document | Faulty | Unflushed] = []
        for raw_id, body in rows:
            if raw_id is None and body is not None and _PLACE.fullmatch(body):
                if body:
                    read.append(Unflushed(body.decode()))
                continue
            doc_id = raw_id if plain and raw_id is not None else self._returned_id(raw_id)
            if body is None:
                faults[doc_id] = "the query returned NULL as the document"
            elif not body.startswith(b"{") and not body[:1000].lstrip().startswith(b"{"):
                # the server's answer would not say whose fault it is
                faults[doc_id] = "the query returned JSON that is no object"
            elif doc_id in found:
                faults[doc_id] = "the query returned two rows for this id"
            else:
                found[doc_id] = body
        wanted = set(ids)
        if not wanted.issuperset(found) or not wanted.issuperset(faults):
            good = [key for key in keys if self._possible(key)]
            if len(good) < len(keys):  # ids of an index that are spelled as no row's is
                odd = [key for key in keys if not self._possible(key)]
                gone = [Document(key, self.id_of(key), None) for key in odd]
                return [*gone, *self._read(connection, good)]
            raise QueryFileError(
                f"{self.config.query_file}: the query returned an id that was not asked for; "
                "it must be restricted to %(ids)s"
            )
        read += [
            Faulty(key, faults[doc_id])
            if doc_id in faults
            else Document(key, doc_id, found.get(doc_id))
            for key, doc_id in zip(keys, ids, strict=True)
        ]
        return read

    def _returned_id(self, text: str | None) -> str:
        if text is None:
            raise QueryFileError(f"{self.config.query_file}: the query returned NULL as id")
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

        Pages by keyset, so that a key of ten million documents needs no memory of that size. Raises
        psycopg.Error; where `row_fault` tells a reason, one of the keys may be to blame.
        `after` is the end of the page before, the id as SQL spelled it; None starts.
        """
        kind = SQL_TYPE[self.types[0]] if len(self.types) == 1 else "text"
        # by bytes: what a nondeterministic collation takes for one may be two documents
        order = ' COLLATE "C"' if kind == "text" else ""
        ident = sql.SQL(f"q.id::text::{kind}{order}")
        parameters: dict[str, Any]
        if len(keys) == 1:
            mapping, parameters = self._mappings_of_one[watch], {**single("keys", keys[0])}
        else:
            mapping = self.rendered_mappings[watch]
            parameters = {**arrays("keys", keys, self._watch_types[watch])}
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
        rows = connection.execute(paged, parameters, prepare=len(keys) <= PREPARE_UP_TO).fetchall()
        if rows:
            self._good_mapped[watch] = keys[-1]
        end = rows[-1][0] if len(rows) == limit else None
        return self._keys((row[0] for row in rows), watch), end

    def mapping_fault(
        self, connection: Connection, watch: str, keys: Sequence[Key], error: psycopg.Error
    ) -> str | None:
        """Why a mapping failed, where it is for the content of one of these keys; else None.

        A doubtful fault is one where another key is taken at that moment, or, where none is known,
        where the statement runs for no key at all; and where these fail once more after that.
        """
        reason = row_fault(error) or doubtful(error)
        if reason is not None and row_fault(error) is None:
            good = self._good_mapped.get(watch)
            try:
                self.mapped_page(
                    connection, watch, [good] if good and [good] != list(keys) else [], None, 1
                )
            except psycopg.Error:
                return None
            try:  # what all keys met may have ended before the other one was taken
                self.mapped_page(connection, watch, keys, None, 1)
            except psycopg.Error as again:
                return row_fault(again) or doubtful(again)
            return None
        return reason

    def _keys(self, ids: Iterable[str], place: str) -> list[Key]:
        try:
            if len(self.types) == 1:
                return canonical_keys([(text,) for text in ids], self.types)
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
        # qualified: a bare name in ORDER BY would be the output column, which is text
        columns = [sql.Identifier("t", name) for name in self.config.key]
        bound: sql.Composable = sql.SQL("")
        if after is not None:
            bound = sql.SQL("AND ({}) > ({})").format(
                sql.SQL(", ").join(columns),
                sql.SQL(", ").join(
                    sql.SQL("{}::text::" + SQL_TYPE[kind]).format(sql.Literal(part))
                    for part, kind in zip(after, self.types, strict=True)
                ),
            )
        statement = sql.SQL(
            "SELECT {texts} FROM {table} AS t WHERE {present} {bound} "
            "ORDER BY {columns} LIMIT {limit}"
        ).format(
            texts=sql.SQL(", ").join(sql.SQL("{}::text").format(one) for one in columns),
            table=_qualified(self.config.table),
            present=sql.SQL(" AND ").join(sql.SQL("{} IS NOT NULL").format(one) for one in columns),
            bound=bound,
            columns=sql.SQL(", ").join(columns),
            limit=sql.Literal(limit),
        )
        rows = connection.execute(statement, prepare=False).fetchall()
        return list(dict.fromkeys(canonical_keys(rows, self.types)))

    def estimate(self, connection: Connection) -> int:
        """About how many documents there are (the planner's figure), for progress."""
        row = connection.execute(
            "SELECT greatest(coalesce(sum(c.reltuples), 0), 0)::bigint FROM pg_catalog.pg_class c "
            "WHERE c.relkind IN ('r', 'm', 'f') AND (c.oid = %(t)s::regclass OR c.oid IN "
            "(SELECT relid FROM pg_catalog.pg_partition_tree(%(t)s::regclass)))",
            {"t": _qualified(self.config.table).as_string(connection)},
        ).fetchone()
        return int(row[0]) if row else 0


def _nothing_odd(
    rows: Sequence[tuple[Any, ...]], keys: Sequence[Key], ids: Sequence[str]
) -> list[Document | Faulty | Unflushed] | None:
    """What was read, where nothing about it is odd; None where each row is to be looked at.

    All loops are the interpreter's own: this is a third of what it costs to look at each row.
    """
    if not rows or rows[0][0] is not None or rows[0][1] is None:
        return None
    place: bytes = rows[0][1]
    if not _PLACE.fullmatch(place):
        return None
    found: dict[str, bytes] = dict(rows[1:])
    if len(found) < len(rows) - 1 or not found.keys() <= set(ids):
        return None
    try:
        begins = set(map(_FIRST, found.values()))
    except (TypeError, IndexError):  # NULL, or nothing
        return None
    if not begins <= _BRACE:
        return None
    read: list[Document | Faulty | Unflushed] = [Unflushed(place.decode())] if place else []
    read += map(_new_document, zip(keys, ids, map(found.get, ids), strict=True))
    return read
