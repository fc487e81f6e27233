"""Reading the documents of some keys, with one statement: rows become documents as bytes."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import psycopg
from psycopg import sql

from listener.changes import Key
from listener.documents import blame
from listener.documents.files import QueryFileError
from listener.documents.queries import arrays, single
from listener.documents.statements import PREPARE_UP_TO, Statements
from listener.observations.printable import shown
from listener.postgres import Connection
from listener.search.bulk import Document

_PLACE: Final = re.compile(rb"(?:[0-9A-F]+/[0-9A-F]+)?")
"""A place in the log, or none: no document begins like that."""
_FIRST_BYTE: Final = operator.itemgetter(0)
_BRACE: Final = {ord("{")}
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


def read_documents(
    statements: Statements, connection: Connection, keys: Sequence[Key]
) -> list[Document | Faulty | Unflushed]:
    """Read the documents of these distinct keys, and how far the log must be on disk.

    A key that the query does not return becomes a delete. Raises psycopg.Error, and QueryFileError
    where the query breaks its contract.
    """
    statement = statements.query_one if len(keys) == 1 else statements.query
    rows = _execute(statements, connection, statement, keys)
    plain = len(statements.types) == 1
    ids = [key[0] for key in keys] if plain else [statements.id_of(key) for key in keys]
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
        doc_id = raw_id if plain and raw_id is not None else statements.returned_id(raw_id)
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
        good = [key for key in keys if statements.is_possible(key)]
        if len(good) < len(keys):  # ids of an index that are spelled as no row's is
            odd = [key for key in keys if not statements.is_possible(key)]
            gone = [Document(key, statements.id_of(key), None) for key in odd]
            return [*gone, *read_documents(statements, connection, good)]
        stray = next(one for one in (*found, *faults) if one not in wanted)
        raise QueryFileError(
            f"{statements.definition.index}: {statements.definition.query.path}: the query "
            f"returned an id that was not asked for, {shown(stray)}; it must be restricted to "
            "%(ids)s"
        )
    read += [
        Faulty(key, faults[doc_id])
        if doc_id in faults
        else Document(key, doc_id, found.get(doc_id))
        for key, doc_id in zip(keys, ids, strict=True)
    ]
    return read


def read_ids(statements: Statements, connection: Connection, keys: Sequence[Key]) -> list[str]:
    """The ids of these keys that the query returns. Raises as `read_documents`."""
    rows = _execute(statements, connection, statements.ids_only, keys)
    return [statements.returned_id(row[0]) for row in rows]


def _execute(
    statements: Statements, connection: Connection, statement: sql.SQL, keys: Sequence[Key]
) -> list[tuple[Any, ...]]:
    cursor = connection.cursor(binary=True)  # bytea as bytes, with no call a value
    given: Mapping[str, object] = (
        single("ids", keys[0])
        if statement is statements.query_one
        else arrays("ids", keys, statements.types)
    )
    try:
        return cursor.execute(statement, given, prepare=len(keys) <= PREPARE_UP_TO).fetchall()
    except psycopg.Error as error:
        one = statement is statements.query_one
        rendered = statements.rendered_one if one else statements.rendered_query
        blame.point(error, statements.definition.query.path, statement, rendered)
        raise


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
        begins = set(map(_FIRST_BYTE, found.values()))
    except (TypeError, IndexError):  # NULL, or nothing
        return None
    if not begins <= _BRACE:
        return None
    read: list[Document | Faulty | Unflushed] = [Unflushed(place.decode())] if place else []
    read += map(_new_document, zip(keys, ids, map(found.get, ids), strict=True))
    return read
