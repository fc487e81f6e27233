"""Definitions: kept with an index as JSON, and read back whatever stands there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from listener.changes import Watch
from listener.config import Config, DocumentConfig
from listener.documents.definition import Definition, kept_definition, read_definition
from listener.documents.topology import watches_of
from listener.search.index_config import IndexConfig
from tests.kit.definitions import defined, film_definition

_INDEX = IndexConfig({}, {"dynamic": "strict"}, 1, "1s")


def document(folder: Path, **other: Any) -> dict[str, Any]:
    """An entry with all that it may have."""
    for name in ("film", "ids", "genre"):
        (folder / f"{name}.sql").write_text(f"SELECT '{name}'", "utf-8")
    watch = {"table": "genre", "key": "id", "mapping_file": folder / "genre.sql"}
    own = {"table": "film", "key": "id", "updated_at": "at", "columns": ["title"]}
    return {
        "index": "films",
        "index_config_file": folder / "index.json",
        "query_file": folder / "film.sql",
        "ids_file": folder / "ids.sql",
        "table": "film",
        "key": ["id"],
        "watch": [own, {**watch, "notify": "off"}],
        "static": ["country"],
        **other,
    }


def read(folder: Path, **other: Any) -> Definition:
    """Its definition."""
    return read_definition(DocumentConfig.model_validate(document(folder, **other)), _INDEX)


def test_it_is_read_back_as_it_was(tmp_path: Path) -> None:
    """But for the names of its files, which say that they may have been edited since."""
    definition = read(tmp_path)
    kept = json.loads(json.dumps(definition.to_json()))
    back = kept_definition("films", kept, definition.hash)
    assert back is not None
    assert back.hash == definition.hash
    assert back.to_json()["watch"][0] == kept["watch"][0]
    assert (back.watches, back.static, back.key) == (definition.watches, ("country",), ("id",))
    assert back.query.text == "SELECT 'film'"
    assert back.query.path.name == "film.sql (as it was)"


def test_the_hash_of_a_former_release(tmp_path: Path) -> None:
    """An upgrade loads nothing anew."""
    assert read(tmp_path).hash == "3bcad860"


@pytest.mark.parametrize("name", ["film", "ids", "genre"])
def test_each_file_counts(tmp_path: Path, name: str) -> None:
    """An edit of any makes another definition."""
    before = read(tmp_path).hash
    entry = DocumentConfig.model_validate(document(tmp_path))
    (tmp_path / f"{name}.sql").write_text("SELECT 'edited'", "utf-8")
    assert read_definition(entry, _INDEX).hash != before


@pytest.mark.parametrize(
    "other",
    [
        None,
        "text",
        {"query": None},
        {"query": {"file": "film.sql"}},
        {"query": {"file": "film.sql", "text": 7}},
        {"query": {"file": "film.sql", "text": "a\0b"}},
        {"table": 7},
        {"table": "a.b.c"},
        {"table": '"a'},
        {"key": []},
        {"key": "id"},
        {"key": [7]},
        {"watch": []},
        {"watch": {}},
        {"watch": [7]},
        {"watch": [{"table": "film", "key": ["id"], "notify": "loud"}]},
        {"watch": [{"table": "film", "notify": "rows"}]},
        {"ids": "SELECT"},
        {"static": 7},
    ],
)
def test_what_anybody_may_have_written(other: Any) -> None:
    """It is none, or one: never an error."""
    good = film_definition().to_json()
    kept = {**good, **other} if isinstance(other, dict) else other
    assert kept_definition("films", kept, "hash1") is None
    assert kept_definition("films", good, None) is None
    assert kept_definition("films", good, "hash1") is not None


def test_tables_are_watched_as_the_files_say(tmp_path: Path) -> None:
    """How changes of a table are recorded is for all of its watches the same. What a kept
    definition needs beyond that is watched, too."""
    before = defined(
        DocumentConfig.model_validate(
            document(
                tmp_path,
                watch=[
                    {"table": "film", "key": "id", "columns": ["title", "rating"]},
                    {"table": "film", "key": "series", "mapping_file": tmp_path / "genre.sql"},
                    {"table": "gone", "key": "id", "mapping_file": tmp_path / "genre.sql"},
                ],
            )
        )
    )
    config = Config.model_validate(
        {
            "pipeline": "p",
            "postgres": {"dbname": "app", "user": "listener"},
            "documents": [document(tmp_path)],
        }
    )
    assert watches_of(config, [before]) == (
        Watch("public", "film", ("id",), "at", ("title", "rating")),
        Watch("public", "genre", ("id",), None, None, "off"),
        Watch("public", "film", ("series",), "at", None),
        Watch("public", "gone", ("id",)),
    )
