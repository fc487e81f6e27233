"""Definitions for tests: of files, and without any."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from listener.changes import KeyType, Watch
from listener.config import DocumentConfig
from listener.documents.definition import Definition, SqlFile, WatchedTable, read_definition
from listener.documents.statements import Statements
from listener.search.index_config import IndexConfig


def sql_file(path: Path) -> SqlFile:
    """A file as it is now."""
    return SqlFile(path, path.read_text("utf-8"))


def defined(config: DocumentConfig) -> Definition:
    """What these files say, whatever the index is."""
    return read_definition(config, IndexConfig({}, {}, 1, "1s"))


def film_definition(digest: str = "hash1", index: str = "films") -> Definition:
    """Of films, which no database has. It differs from others in its hash and its query."""
    query = SqlFile(Path("film.sql"), f"SELECT {digest}")
    watched = WatchedTable("film", Watch("public", "film", ("id",)))
    return Definition(index, "film", ("id",), query, None, (watched,), (), digest)


def film_statements(
    types: Sequence[KeyType] = ("bigint",), key: Sequence[str] = ("id",), ids: str | None = None
) -> Statements:
    """Of films with a key of these columns, and a mapping file of persons. `ids`: the text of an
    ids file."""
    names = ["ids"] if len(key) == 1 else [f"ids_{place}" for place in range(1, len(key) + 1)]
    given = " AND ".join(f"{one} = ANY(%({name})s)" for one, name in zip(key, names, strict=True))
    query = SqlFile(Path("film.sql"), f"SELECT id, document FROM film WHERE {given}")
    mapping = SqlFile(Path("person.sql"), "SELECT film_id AS id FROM cast WHERE id = ANY(%(keys)s)")
    person = Watch("public", "person", ("id",))
    watched = (
        WatchedTable("film", Watch("public", "film", tuple(key))),
        WatchedTable("person", person, mapping),
    )
    ids_file = None if ids is None else SqlFile(Path("ids.sql"), ids)
    definition = Definition("films", "film", tuple(key), query, ids_file, watched, (), "hash1")
    return Statements(definition, types, {person.id: ("bigint",)}, {person.id: mapping})
