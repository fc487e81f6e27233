"""The source of one document kind: keys become document ids, and ids documents as bytes.

A missing id is a delete. A row that makes the query fail is found and told apart from the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import psycopg

from listener.changes import Key, document_id
from listener.documents import blame, paging
from listener.documents.isolating import PIECE, WITNESSES, Isolating
from listener.documents.reading import Faulty, Unflushed, read_documents, read_ids
from listener.documents.row_faults import may_be_a_rows, row_fault
from listener.documents.statements import Statements
from listener.observations.printable import one_line
from listener.postgres import Connection
from listener.search.bulk import Document

_CAREFUL_FOR: Final = 20
"""Reads that are made in pieces after one that met a row that fails."""


class DocumentSource:
    """Reads the documents of one `documents` entry."""

    def __init__(self, statements: Statements) -> None:
        self.statements = statements
        self.name = statements.definition.index
        self.types = statements.types
        self._isolating = Isolating(self.statements)
        self._good_mapped: dict[str, Key] = {}
        """By watch, a key that its mapping took."""
        self._careful = 0
        """Reads that are still made in pieces."""

    @property
    def texts(self) -> tuple[str, ...]:
        """All SQL of this kind, with casts: what it depends on stands there by name."""
        return self.statements.texts

    def id_of(self, key: Key) -> str:
        """The `_id` of a key."""
        return self.statements.id_of(key)

    # -- documents -------------------------------------------------------------------------------

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
        """As `read`, and the WAL position that must be flushed before these documents may be sent.

        None: it is flushed already. `connection` must have one snapshot a statement (repeatable
        read): else a volatile function in the query may see later commits.
        """

        def run(connection: Connection, part: Sequence[Key]) -> list[Document | Faulty | Unflushed]:
            return read_documents(self.statements, connection, part)

        def alone(key: Key, reason: str) -> Document | Faulty | Unflushed:
            if self.statements.is_possible(key):
                return Faulty(key, reason)
            return Document(key, self.id_of(key), None)

        size = PIECE if self._careful else max(len(keys), 1)
        found: list[Document | Faulty] = []
        last: Unflushed | None = None
        for start in range(0, len(keys), size):
            part = keys[start : start + size]
            try:
                read = self._isolating.run(connection, part, run, alone)
            except psycopg.Error as error:
                self._note(error, connection, part)
                raise
            for unflushed in [one for one in read if isinstance(one, Unflushed)]:
                last = unflushed  # the log only grows
            found += [one for one in read if not isinstance(one, Unflushed)]
        for one in found[-WITNESSES:]:
            if isinstance(one, Document) and one.body is not None:
                self._isolating.good = one.key
        if any(isinstance(one, Faulty) for one in found):
            self._careful = _CAREFUL_FOR
        elif self._careful:
            self._careful -= 1
        return found, last

    def existing(self, connection: Connection, keys: Sequence[Key]) -> set[Key]:
        """Those of these keys that the query returns, or that it fails on. Raises as `read`."""
        ids = {self.id_of(key): key for key in keys}

        def run(connection: Connection, part: Sequence[Key]) -> list[Key | None]:
            return [ids.get(one) for one in read_ids(self.statements, connection, part)]

        def alone(key: Key, _reason: str) -> Key | None:
            return key if self.statements.is_possible(key) else None

        try:
            found = self._isolating.run(connection, keys, run, alone)
        except psycopg.Error as error:
            self._note(error, connection, keys)
            raise
        return {key for key in found if key is not None}

    def _note(self, error: psycopg.Error, connection: Connection, keys: Sequence[Key]) -> None:
        blame.note(
            error,
            connection,
            self.statements.definition.query.path,
            self.name,
            keys,
            run=lambda part: read_documents(self.statements, connection, part),
            name=lambda key: f"document {one_line(self.id_of(key))}",
        )

    # -- pages -----------------------------------------------------------------------------------

    def id_page(self, connection: Connection, after: Key | None, limit: int) -> list[Key]:
        """One page of all ids: distinct keys after `after` (None: from the first), in order.

        Raises psycopg.Error, here and below, and QueryFileError where an id is none.
        """
        try:
            return paging.id_page(self.statements, connection, after, limit)
        except psycopg.Error as error:
            definition = self.statements.definition
            path = definition.ids.path if definition.ids else None
            place = self.name if path else f"ids in {definition.table} of {self.name}"
            blame.note(error, connection, path, place)
            raise

    def any_row(self, connection: Connection) -> bool:
        """Whether the document's table has a row at all."""
        return paging.any_row(self.statements, connection)

    def estimate(self, connection: Connection) -> int:
        """About how many documents there are (the planner's figure), for progress."""
        return paging.estimate(self.statements, connection)

    def mapped_page(
        self,
        connection: Connection,
        watch: str,
        keys: Sequence[Key],
        after: str | None,
        limit: int,
    ) -> tuple[list[Key], str | None]:
        """Document keys behind `keys` of a mapped watch, in order, and where the page ends.

        `after` is the end of the page before, the id as SQL spelled it; None starts. Raises
        psycopg.Error; where `mapping_fault` tells a reason, one of the keys is to blame.
        """
        page = paging.mapped_page(
            self.statements, connection, watch, keys, after=after, limit=limit
        )
        if page[0]:
            self._good_mapped[watch] = keys[-1]
        return page

    def mapping_fault(
        self, connection: Connection, watch: str, keys: Sequence[Key], error: psycopg.Error
    ) -> str | None:
        """Why a mapping failed, where it is for the content of one of these keys; else None.

        A doubtful error counts as a key's fault only where another key succeeds at that moment, and
        these keys fail once more after it. Where no other key is known, it is enough that the
        statement runs without any key. Where it is for none, the error gets a note of the place.
        """
        reason = self._mapping_fault(connection, watch, keys, error)
        if reason is None:
            types = self.statements.watch_types[watch]
            blame.note(
                error,
                connection,
                self.statements.mapping_paths[watch],
                self.name,
                keys,
                run=lambda part: self.mapped_page(connection, watch, part, None, 1),
                name=lambda key: f"key {one_line(document_id(key, types))} of {watch}",
            )
        return reason

    def _mapping_fault(
        self, connection: Connection, watch: str, keys: Sequence[Key], error: psycopg.Error
    ) -> str | None:
        reason = may_be_a_rows(error)
        if reason is None or row_fault(error) is not None:
            return reason
        good = self._good_mapped.get(watch)
        try:
            self.mapped_page(
                connection, watch, [good] if good and [good] != list(keys) else [], None, 1
            )
        except psycopg.Error:
            return None
        # an error that all keys met may have ended before the good key was tried: try them again
        try:
            self.mapped_page(connection, watch, keys, None, 1)
        except psycopg.Error as again:
            return may_be_a_rows(again)
        return None
