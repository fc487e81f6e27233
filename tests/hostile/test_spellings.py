"""Ids of an index that name a key as no row of ours does: they are documents to delete."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from listener.changes import Key, KeyType
from listener.config import DocumentConfig
from listener.documents.source import DocumentSource
from listener.documents.statements import Statements
from listener.postgres import Connection
from listener.search.bulk import Document
from tests.kit.definitions import defined

UUID = "0a1b2c3d-0000-4000-8000-00000000abcd"

SPELLINGS: dict[KeyType, tuple[str, tuple[str, ...]]] = {
    "integer": ("7", ("007", "+7", " 7", "7 ", "1e1", "seven", "", "99999999999")),
    "uuid": (UUID, (UUID.upper(), UUID.replace("-", ""), f"{{{UUID}}}", "", "x")),
    "text": ("a", ("A", "a ", "a\0")),
}
"""By type: the key of a row, and what else an index may have for it."""


@pytest.fixture
def connection(postgres_server: object, database: str) -> Iterator[Connection]:
    """One row of each type."""
    dsn = postgres_server.dsn(database)  # type: ignore[attr-defined]
    with psycopg.connect(dsn, autocommit=True) as connection:
        for kind, (right, _) in SPELLINGS.items():
            connection.execute(f"CREATE TABLE of_{kind} (id {kind} PRIMARY KEY)".encode())
            connection.execute(f"INSERT INTO of_{kind} VALUES ('{right}')".encode())
        yield connection


@pytest.mark.parametrize("kind", SPELLINGS)
def test_other_spellings_are_no_rows(connection: Connection, tmp_path: Path, kind: KeyType) -> None:
    """Alone, and beside the one that is right."""
    (tmp_path / "index.json").write_text("{}")
    query = tmp_path / "query.sql"
    query.write_text(f"SELECT id, '{{}}' AS document FROM of_{kind} WHERE id = ANY(%(ids)s)")
    config = DocumentConfig.model_validate(
        {
            "index": "test",
            "index_config_file": tmp_path / "index.json",
            "query_file": query,
            "table": f"of_{kind}",
            "key": "id",
            "watch": [{"table": f"of_{kind}", "key": "id"}],
        }
    )
    source = DocumentSource(Statements(defined(config), (kind,), {}, {}))
    right, others = SPELLINGS[kind]
    odd: list[Key] = [(other,) for other in others]
    gone = {Document(key, key[0], None) for key in odd}
    good = Document((right,), right, b"{}")
    for keys, wanted in [*(([one], {Document(one, one[0], None)}) for one in odd), (odd, gone)]:
        assert set(source.read(connection, keys)) == wanted
        assert source.existing(connection, keys) == set()
    found = source.read(connection, [*odd, (right,)])
    assert set(found) == {*gone, good}
    assert source.existing(connection, [*odd, (right,)]) == {(right,)}
