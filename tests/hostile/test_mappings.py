"""A mapping file that computes with a key fails on some: that key alone is left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
import pytest

from listener.changes import Key
from listener.config import DocumentConfig
from listener.documents.source import DocumentSource
from listener.documents.statements import Statements
from listener.indexing.id_sources import MappedTask
from listener.indexing.queue import Job
from listener.postgres import Connection
from playground.postgres import PostgresServer
from playground.search import SearchServer
from tests.kit import strangers
from tests.kit.definitions import defined, sql_file
from tests.kit.recovery import not_before
from tests.kit.scene import Template, open_scene

_MAPPING = "SELECT 100 / k::integer AS id FROM unnest(%(keys)s) AS k"
"""Fails on 0, and on what is no number."""


@pytest.fixture
def connection(postgres_server: object, database: str) -> Iterator[Connection]:
    """A session on a database without tables: the mapping needs none."""
    dsn = postgres_server.dsn(database)  # type: ignore[attr-defined]
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


class Source(DocumentSource):
    """Counts how often the mapping is run."""

    asked = 0

    def mapped_page(
        self,
        connection: Connection,
        watch: str,
        keys: Sequence[Key],
        after: str | None,
        limit: int,
    ) -> tuple[list[Key], str | None]:
        """As the source does."""
        self.asked += 1
        return super().mapped_page(connection, watch, keys, after, limit)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Documents of an integer key, whose mapping takes texts."""
    (tmp_path / "index.json").write_text("{}")
    (tmp_path / "query.sql").write_text("SELECT id, '{}' AS document FROM unnest(%(ids)s) AS id")
    (tmp_path / "mapping.sql").write_text(_MAPPING)
    config = DocumentConfig.model_validate(
        {
            "index": "test",
            "index_config_file": tmp_path / "index.json",
            "query_file": tmp_path / "query.sql",
            "table": "t",
            "key": "id",
            "watch": [{"table": "t", "key": "id"}],
        }
    )
    mappings = {"w": sql_file(tmp_path / "mapping.sql")}
    return Source(Statements(defined(config), ("integer",), {"w": ("text",)}, mappings))


def run(source: Source, connection: Connection, *keys: str) -> tuple[list[Key], MappedTask]:
    """All ids behind these keys, a few at a time."""
    task = MappedTask(0, source, "w", [(key,) for key in keys], job=Job())
    found: list[Key] = []
    more = True
    while more:
        page, more = task.next_page(connection, 3)
        found += page
    return found, task


def test_keys_that_fail_are_left_out(source: Source, connection: Connection) -> None:
    """The others lead to their documents, each once and in order; why is said of each."""
    found, task = run(source, connection, "1", "x", "2", "0", "50", "4", "", "100")
    assert found == [("1",), ("2",), ("25",), ("50",), ("100",)]
    assert {key: reason.split(":")[0] for (key,), reason in task.failed} == {
        "x": "invalid input syntax for type integer",
        "0": "division by zero (SQLSTATE 22012)",
        "": "invalid input syntax for type integer",
    }


def test_all_keys_fail(source: Source, connection: Connection) -> None:
    """No document; nothing that is asked again."""
    found, task = run(source, connection, "x")
    assert (found, [key for key, _ in task.failed]) == ([], [("x",)])


def test_a_flood_of_keys_that_fail_costs_few_statements(
    source: Source, connection: Connection
) -> None:
    """Anybody can send a thousand: beyond twenty they are not looked for one by one."""
    keys = [f"forged {number}" for number in range(1000)]
    found, task = run(source, connection, *keys[:500], "1", "2", *keys[500:])
    assert {key for (key,), _ in task.failed} >= set(keys)
    assert not found  # they are lost among the others: whoever gave them compares, or sweeps
    assert source.asked < 200


def test_stranger_s_keys_hold_nobody(
    postgres_server: PostgresServer,
    search_server: SearchServer,
    odd_template: Template,
    tmp_path: Path,
) -> None:
    """A mapping that computes with texts, and thousands that it fails on: edits arrive, the
    watermark moves, nothing is compared for what a stranger says."""
    with open_scene(postgres_server, search_server, odd_template, tmp_path) as scene:
        mapping = scene.folder / "mapping.sql"
        mapping.write_text(
            "SELECT label.thing AS id FROM odd.label AS label JOIN unnest(%(keys)s) AS k "
            "ON split_part(label.name, E'\\n', 2)::integer = split_part(k, E'\\n', 2)::integer"
        )
        [watch] = [one for one in scene.options["documents"][0]["watch"] if one["key"] == "name"]
        watch["mapping_file"] = str(mapping)
        daemon = scene.serve()
        mark = daemon.mark()

        def forged(number: int) -> str:
            return strangers.keys("odd.label(name)", [f"{number}\n{n} or so" for n in range(20)])

        with strangers.Flood(scene, forged, rate=200).flowing() as flood:
            number = 0
            while flood.sent < 1000 or number < 5:
                number += 1
                scene.sql(f"UPDATE odd.label SET shown = 'now {number}' WHERE thing = 'thing 7'")
                scene.wait_converged()
            [(last,)] = scene.sql("SELECT clock_timestamp()")
        daemon.wait_for("watermark_moved", last_processed=not_before(last))
        scene.wait_converged()
        told = [one for one in daemon.records[mark:] if one.level != "DEBUG"]
        assert len(told) < 100, daemon.log
        for event in ("reconcile_started", "load_started", "parked", "held"):
            assert not daemon.found(event, after=mark), daemon.log
        daemon.stop()


def test_what_is_no_key_s_fault_passes_through(source: Source, connection: Connection) -> None:
    """A lock that is not granted in time is not to be found in a key."""
    connection.execute("SET statement_timeout = '1ms'")
    source.statements.rendered_mappings["w"] = (
        "SELECT 1 AS id FROM unnest(%(keys)s::text[]) AS k, pg_sleep(1)"
    )
    with pytest.raises(psycopg.errors.QueryCanceled):
        run(source, connection, "1", "2")
