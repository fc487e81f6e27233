"""Run the example's SQL files as the listener does: the parameter is cast to the key's type."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import psycopg

from sql.movies.load import HERE

Connection = psycopg.Connection[tuple[Any, ...]]

_JSON = 114  # the type's OID


def run(
    connection: Connection, file: str, values: Iterable[UUID], *, prefix: bytes = b""
) -> psycopg.Cursor[tuple[Any, ...]]:
    """Run a file with these ids or keys."""
    text = (HERE / file).read_bytes()
    for name in ("ids", "keys"):
        mark = f"%({name})s".encode()
        text = text.replace(mark, mark + b"::uuid[]")
    values = list(values)
    return connection.execute(prefix + text, {"ids": values, "keys": values})


def documents(connection: Connection, ids: Iterable[UUID]) -> dict[UUID, dict[str, Any]]:
    """What film.sql returns for these ids."""
    cursor = run(connection, "film.sql", ids)
    assert cursor.description is not None
    assert [column.name for column in cursor.description] == ["id", "document"]
    assert cursor.description[1].type_code == _JSON, "jsonb would lose the order of the fields"
    rows = cursor.fetchall()
    assert len({row[0] for row in rows}) == len(rows), "one row a document"
    return {row[0]: row[1] for row in rows}


def mapped(connection: Connection, file: str, keys: Iterable[UUID]) -> set[UUID]:
    """The film ids to which a mapping file leads."""
    cursor = run(connection, file, keys)
    assert cursor.description is not None
    assert [column.name for column in cursor.description] == ["id"]
    return {row[0] for row in cursor}


def index_config() -> dict[str, Any]:
    """Settings and mappings of the index."""
    config: dict[str, Any] = json.loads((HERE / "index_config.json").read_bytes())
    return config
