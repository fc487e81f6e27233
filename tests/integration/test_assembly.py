"""From the configuration to what the database knows of it."""

from __future__ import annotations

from pathlib import Path

import psycopg

from listener.config import Config
from listener.documents.topology import assemble
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
        [kind] = assemble(config, connection).kinds
    assert kind.source.types == ("integer",)
