"""From the configuration to what the database knows of it."""

from __future__ import annotations

from pathlib import Path

import psycopg

from listener.changes import Route
from listener.config import Config, DocumentConfig
from listener.documents.definition import Definition
from listener.documents.topology import assemble, fitting
from tests.kit.definitions import defined
from tests.kit.servers import own_postgres


def test_a_table_that_only_pages_the_load_needs_no_notify(tmp_path: Path) -> None:
    """It gets no trigger: prepared transactions, which NOTIFY would break, are no obstacle."""
    (tmp_path / "index.json").write_text('{"mappings": {}}')
    (tmp_path / "query.sql").write_text(
        "SELECT id, '{}' AS document FROM base WHERE id = ANY(%(ids)s)"
    )
    (tmp_path / "mapping.sql").write_text(
        "SELECT base_id AS id FROM child WHERE id = ANY(%(keys)s)"
    )
    child = {
        "table": "child",
        "key": "id",
        "notify": "off",
        "mapping_file": tmp_path / "mapping.sql",
    }
    document = {
        "index": "x",
        "index_config_file": tmp_path / "index.json",
        "query_file": tmp_path / "query.sql",
        "table": "base",
        "key": "id",
        "static": ["base"],
        "watch": [child],
    }
    config = Config.model_validate(
        {
            "pipeline": "p",
            "postgres": {"dbname": "postgres", "user": "postgres"},
            "documents": [document],
        }
    )
    with (
        own_postgres({"max_prepared_transactions": "5"}) as server,
        psycopg.connect(server.dsn(), autocommit=True) as connection,
    ):
        connection.execute("CREATE TABLE base (id integer PRIMARY KEY)")
        connection.execute("CREATE TABLE child (id integer PRIMARY KEY, base_id integer)")
        [kind] = assemble(config, connection).files
    assert kind.source.types == ("integer",)


def test_kinds_of_indexes_that_other_files_have_made(tmp_path: Path) -> None:
    """Beside three of the files. Where the database cannot be read by one any more it is left out,
    with the reason."""
    (tmp_path / "index.json").write_text('{"mappings": {}}')
    (tmp_path / "query.sql").write_text(
        "SELECT id, '{}' AS document FROM base WHERE id = ANY(%(ids)s)"
    )
    (tmp_path / "mapping.sql").write_text(
        "SELECT base_id AS id FROM child WHERE id = ANY(%(keys)s)"
    )

    def document(index: str, *watched: str) -> dict[str, object]:
        child = {"key": "id", "mapping_file": tmp_path / "mapping.sql"}
        return {
            "index": index,
            "index_config_file": tmp_path / "index.json",
            "query_file": tmp_path / "query.sql",
            "table": "base",
            "key": "id",
            "watch": [{"table": "base", "key": "id"}, *({"table": x, **child} for x in watched)],
        }

    def made(index: str, *watched: str) -> Definition:
        return defined(DocumentConfig.model_validate(document(index, *watched)))

    config = Config.model_validate(
        {
            "pipeline": "p",
            "postgres": {"dbname": "postgres", "user": "postgres"},
            "documents": [document("x"), document("y"), document("z")],
        }
    )
    before, gone = made("x", "child"), made("y", "no_such_table")
    with (
        own_postgres() as server,
        psycopg.connect(server.dsn(), autocommit=True) as connection,
    ):
        connection.execute("CREATE TABLE base (id integer PRIMARY KEY)")
        connection.execute("CREATE TABLE child (id integer PRIMARY KEY, base_id integer)")
        now = assemble(config, connection).files
        kept = fitting(config, connection, [before, gone, now[2].definition])
        parts = assemble(config, connection, kept)
    assert kept.fit == (before,)
    assert list(kept.unfit) == [gone.hash]
    assert "no_such_table" in kept.unfit[gone.hash]
    assert [(one.number, one.index, one.document) for one in parts.kinds] == [
        *((0, "x", 0), (1, "y", 1), (2, "z", 2)),
        *((3, "x", 0), (4, "y", 1), (5, "z", 2), (6, "x", 0), (7, "y", 1), (8, "z", 2)),
        (9, "x", 0),
    ]
    assert parts.files == parts.kinds[:3]
    assert parts.kinds[9].definition is before
    assert parts.kinds[4].hash == parts.kinds[1].hash
    assert parts.routes["public.child(id)"] == (Route(9, mapped=True),)
    assert parts.documents_of["public.child(id)"] == (0,)
    assert parts.made_by({"x": before.hash, "y": "unknown"}) == (parts.kinds[9], *parts.kinds[1:3])
