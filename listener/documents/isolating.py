"""Isolating the row that makes a statement fail: the statement runs for ever smaller parts.

What a function of the user's raises may be for one row's content, or for something that all rows
meet. It counts as a row's where another row succeeds at that moment, and where the row itself fails
once more after that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

import psycopg

from listener.changes import Key
from listener.documents import paging
from listener.documents.reading import read_documents, read_ids
from listener.documents.row_faults import doubtful, may_be_a_rows, row_fault
from listener.documents.statements import Statements
from listener.observations.printable import one_line
from listener.postgres import Connection
from listener.search.bulk import Document

T = TypeVar("T")

PIECE: Final = 250
"""Keys that are read again for one row that fails, at most: all of a large batch would cost as much
as the batch itself, and the smallest pieces more in round trips."""
WITNESSES: Final = 5
"""Rows of a batch, and of each page, among which one that can be made is looked for."""
_PAGE: Final = 200
_PAGES: Final = 20
"""Pages of ids that are looked through for it: rows that fail may stand side by side."""
_CANCELED: Final = "57014"


class Isolating:
    """Runs a statement of one document kind so that a row that fails does not fail the others."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements
        self.good: Key | None = None
        """The last key of which a document was made."""

    def run(
        self,
        connection: Connection,
        keys: Sequence[Key],
        run: Callable[[Connection, Sequence[Key]], list[T]],
        alone: Callable[[Key, str], T],
        *,
        vouched: bool = False,
    ) -> list[T]:
        """Run it for all keys at once, or, where a row's content makes it fail, for parts.

        `alone` is the result for a key whose row fails, and for one that no row can have (with an
        empty reason). `vouched`: that another row succeeds was seen for a larger part of the same.
        Raises psycopg.Error for everything that is not one row's fault.
        """
        columns = len(self._statements.types)
        if any(len(key) != columns for key in keys):  # an id that listener has not made
            good = [key for key in keys if len(key) == columns]
            odd = [alone(key, "") for key in keys if len(key) != columns]
            if not good:
                return odd
            return odd + self.run(connection, good, run, alone, vouched=vouched)
        try:
            return run(connection, keys)
        except psycopg.Error as error:
            cancelled = error.sqlstate == _CANCELED
            reason = row_fault(error)
            if reason is None and not cancelled:
                reason = doubtful(error)
                if reason is None:
                    raise
                if not (vouched and len(keys) > 1) and not self._others_succeed(connection, keys):
                    raise
                vouched = True
            if len(keys) > 1:
                size = PIECE if len(keys) > 2 * PIECE else (len(keys) + 1) // 2
                found: list[T] = []
                for start in range(0, len(keys), size):
                    part = keys[start : start + size]
                    found += self.run(connection, part, run, alone, vouched=vouched)
                return found
            if reason is None:
                doc_id = one_line(self._statements.id_of(keys[0]))
                error.add_note(f"document {doc_id} alone takes that long")
                raise
            if row_fault(error) is None:
                # an error that all rows met may have ended before the other one was read: try again
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
            reason = may_be_a_rows(error)
            if reason is None:
                raise
            return [alone(key, reason)]

    def _others_succeed(self, connection: Connection, keys: Sequence[Key]) -> bool:
        """Whether the query makes any document now; for a single key, any other document.

        Where the whole table has no other row, it is enough that the statement itself runs.
        """
        alone = keys[0] if len(keys) == 1 else None
        near = [self.good, *(() if alone else _spread(keys, WITNESSES))]
        if any(self._makes(connection, key) for key in near if key not in (None, alone)):
            return True
        after: Key | None = None
        others = False
        for _ in range(_PAGES):
            page = paging.id_page(self._statements, connection, after, _PAGE)
            if not page:
                if not others:
                    read_documents(self._statements, connection, [])
                return not others
            after = page[-1]
            there = self._returned(connection, [key for key in page if key != alone])
            others = others or bool(there)
            if any(self._makes(connection, key) for key in _spread(there, WITNESSES)):
                return True
        return False

    def _makes(self, connection: Connection, key: Key | None) -> bool:
        """Whether the query makes the document of this key."""
        try:
            return key is not None and _made(read_documents(self._statements, connection, [key]))
        except psycopg.Error as error:
            if may_be_a_rows(error) is None:
                raise
        return False

    def _returned(self, connection: Connection, keys: Sequence[Key]) -> Sequence[Key]:
        """Those of these keys that the query returns; all where it fails on one of them."""
        if not keys:
            return ()
        try:
            there = set(read_ids(self._statements, connection, keys))
        except psycopg.Error as error:
            if may_be_a_rows(error) is None:
                raise
            return keys
        return [key for key in keys if self._statements.id_of(key) in there]


def _made(found: Iterable[object]) -> bool:
    """Whether a read brought a document."""
    return any(isinstance(one, Document) and one.body is not None for one in found)


def _spread(keys: Sequence[Key], most: int) -> Sequence[Key]:
    """At most `most` of these keys, evenly from the first to the last."""
    if len(keys) <= most:
        return keys
    return [keys[number * (len(keys) - 1) // (most - 1)] for number in range(most)]
