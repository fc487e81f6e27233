"""The SQL of one document kind: its files with casts in them, and the statements made of them.

The user's SQL files are wrapped, never parsed: a query file becomes a sub-select of two text
columns, so that PostgreSQL assembles the JSON and Python only passes bytes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

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
from listener.documents.definition import Definition, SqlFile
from listener.documents.files import QueryFileError
from listener.documents.placeholders import plain
from listener.documents.queries import render

PREPARE_UP_TO: Final = 20
"""Statements for few ids are prepared (planning costs more than running); those for many are
planned each time, since a generic plan expects ten ids and would loop over thousands."""
_DOCUMENTS: Final = (
    "SELECT NULL::text, pg_catalog.convert_to("
    "CASE WHEN pg_catalog.pg_current_wal_insert_lsn() > pg_catalog.pg_current_wal_flush_lsn() "
    "THEN pg_catalog.pg_current_wal_insert_lsn()::text ELSE '' END, 'UTF8')\nUNION ALL\n"
    "SELECT q.id::text, pg_catalog.convert_to(q.document::text, 'UTF8') FROM (\n{}\n) AS q"
)
"""The first row tells how far the log must be on disk. What a snapshot shows was logged before it
was taken, and this is evaluated after that; but, usually, before the query looks at a page: a
SELECT may tidy up pages that were just written, and log that."""


class Statements:
    """What is asked of the database for one document kind, and how its answers are understood."""

    def __init__(
        self,
        definition: Definition,
        types: Sequence[KeyType],
        watch_types: Mapping[str, Sequence[KeyType]],
        mappings: Mapping[str, SqlFile],
    ) -> None:
        """`types`: of the key's columns. `watch_types`: the same by watch id. `mappings`: the
        mapping files by watch id. Raises QueryFileError where a file breaks its contract.
        """
        self.definition = definition
        self.types = tuple(types)
        self.watch_types = watch_types
        self.mapping_paths = {watch: one.path for watch, one in mappings.items()}
        path, text = definition.query.path, definition.query.text
        self.rendered_query = render(text, "ids", types, array=True, path=path)
        self.rendered_one = render(text, "ids", types, array=True, path=path, one=True)
        self.query = sql.SQL(_DOCUMENTS.format(self.rendered_query))
        """Documents of many keys."""
        self.query_one = sql.SQL(_DOCUMENTS.format(self.rendered_one))
        """The document of one key."""
        self.ids_only = sql.SQL("SELECT q.id::text FROM (\n" + self.rendered_query + "\n) AS q")
        """The ids alone of what the query returns for many keys."""
        self.rendered_mappings: dict[str, str] = {}
        """By watch id, the mapping for many keys."""
        self.mappings_of_one: dict[str, str] = {}
        """By watch id, the mapping for one key."""
        for watch, file in mappings.items():
            path, text, of_watch = file.path, file.text, watch_types[watch]
            self.rendered_mappings[watch] = render(text, "keys", of_watch, array=True, path=path)
            self.mappings_of_one[watch] = render(
                text, "keys", of_watch, array=True, path=path, one=True
            )
        self.rendered_ids: str | None = None
        """The statement of the ids file; None: ids are paged from the table."""
        if definition.ids is not None:
            ids = definition.ids
            self.rendered_ids = render(ids.text, "after", types, array=False, path=ids.path)

    @property
    def texts(self) -> tuple[str, ...]:
        """All SQL of this kind, with casts: what it depends on stands there by name."""
        ids = () if self.rendered_ids is None else (self.rendered_ids,)
        return tuple(map(plain, (self.rendered_query, *self.rendered_mappings.values(), *ids)))

    def id_of(self, key: Key) -> str:
        """The `_id` of a key."""
        return document_id(key, self.types)

    def is_possible(self, key: Key) -> bool:
        """Whether a row can have this key: ids found in an index may be anything."""
        try:
            return canonical_key(key, self.types) == key
        except PayloadError:
            return False

    def returned_id(self, text: str | None) -> str:
        """The `_id` that the query returned. Raises QueryFileError where it is none."""
        path = f"{self.definition.index}: {self.definition.query.path}"
        if text is None:
            raise QueryFileError(f"{path}: the query returned NULL as id")
        if len(self.types) == 1:
            return text
        try:
            return self.id_of(key_of_id(text, self.types))
        except PayloadError as error:
            raise QueryFileError(
                f"{path}: {error}; the key is composite, so return "
                "json_build_array(...) of its columns as id"
            ) from error

    def keys_of(self, ids: Iterable[str], place: str) -> list[Key]:
        """The keys of ids that SQL returned. Raises QueryFileError.

        `place`: of which SQL, the id of a watch or `ids_file`.
        """
        try:
            if len(self.types) == 1:
                return canonical_keys([(text,) for text in ids], self.types)
            return [key_of_id(text, self.types) for text in ids]
        except PayloadError as error:
            path = self.mapping_paths.get(place)
            if path is None and self.definition.ids is not None:
                path = self.definition.ids.path
            raise QueryFileError(
                f"{self.definition.index}: {path}: it returned an id that no document has: {error}"
            ) from error
