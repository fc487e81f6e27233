"""Which settings and mappings are refused: those that lose writes, or change what was sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from listener.search.index_config import IndexError_, read_config
from listener.search.index_settings import doubts, faults
from tests.kit.index_configs import REFUSED


def config(folder: Path, settings: dict[str, Any], mappings: dict[str, Any]) -> Path:
    """An index_config.json with these."""
    path = folder / "index_config.json"
    path.write_text(json.dumps({"settings": settings, "mappings": mappings}))
    return path


@pytest.mark.parametrize(("settings", "mappings", "says"), REFUSED)
def test_what_is_refused(
    tmp_path: Path, settings: dict[str, Any], mappings: dict[str, Any], says: str
) -> None:
    """With the file, the setting, what comes of it and what to write."""
    path = config(tmp_path, settings, mappings)
    with pytest.raises(IndexError_) as refused:
        read_config(path)
    assert str(refused.value).startswith(f"{path}: {says}")


@pytest.mark.parametrize(
    "settings",
    [
        {"translog": {"durability": "request", "sync_interval": "1s"}},
        {"gc_deletes": "60s"},
        {"gc_deletes": "1h"},
        {"gc_deletes": "60000ms"},
        {"default_pipeline": "_none"},
        {"blocks.write": False},
        {"mode": "standard"},
        {"sort.field": "n", "number_of_routing_shards": 4, "soft_deletes.enabled": True},
        {"max_result_window": 50_000, "write.wait_for_active_shards": 2, "hidden": True},
    ],
)
def test_what_is_taken(tmp_path: Path, settings: dict[str, Any]) -> None:
    """Defaults written down, and what changes neither documents nor what is kept of them."""
    mappings = {"properties": {"n": {"type": "keyword", "ignore_above": 10}}}
    read_config(config(tmp_path, settings, mappings))
    assert not list(faults({}, {}))
    assert not list(doubts({}, mappings))


def test_what_is_doubted() -> None:
    """The document is whole; searches or other policies may surprise."""
    mappings = {"properties": {"n": {"type": "integer", "ignore_malformed": True}}}
    settings = {"mapping.ignore_malformed": "true", "lifecycle.name": "old"}
    told = [one.what.split(":")[0] for one in doubts(settings, mappings)]
    assert told == [
        "settings.index.mapping.ignore_malformed",
        "mappings.properties.n.ignore_malformed",
        "lifecycle.name is 'old'",
    ]
