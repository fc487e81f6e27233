"""Definitions for tests: of files, and without any."""

from __future__ import annotations

from pathlib import Path

from listener.changes import Watch
from listener.config import DocumentConfig
from listener.documents.definition import Definition, SqlFile, WatchedTable, read_definition
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
