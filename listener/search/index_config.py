"""index_config.json: what the index of a document kind shall be. Read here and nowhere else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from listener import ListenerError
from listener.search.index_settings import faults, flatten


class IndexError_(ListenerError, ValueError):
    """An index is not, or would not be, what index_config.json says."""


class NotJson(IndexError_):
    """The file holds no JSON. `why`: the reason in words, without the file."""

    def __init__(self, path: Path, why: str) -> None:
        self.why = why
        super().__init__(f"{path}: {why}")


class NotIndexBody(IndexError_):
    """The file holds no object of the objects `settings` and `mappings`."""


@dataclass(frozen=True, slots=True)
class IndexBody:
    """What the file holds, not judged yet. `others`: its members besides these two."""

    settings: dict[str, Any]
    mappings: dict[str, Any]
    others: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class IndexConfig:
    """What index_config.json says: `settings` (without refresh and replicas) and `mappings`."""

    settings: dict[str, Any]
    mappings: dict[str, Any]
    replicas: Any
    refresh_interval: str


def read_body(path: Path) -> IndexBody:
    """Read the file. Raises OSError, NotJson, NotIndexBody."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise NotJson(path, f"no JSON: {error}") from error
    if not isinstance(value, dict):
        raise NotIndexBody(f"{path}: write an object with `settings` and `mappings`, nothing else")
    settings = value.get("settings", {})
    mappings = value.get("mappings", {})
    if not isinstance(settings, dict) or not isinstance(mappings, dict):
        raise NotIndexBody(f"{path}: `settings` and `mappings` are objects")
    return IndexBody(settings, mappings, frozenset(value) - {"settings", "mappings"})


def read_config(path: Path) -> IndexConfig:
    """Read the file and judge it. Raises OSError, and IndexError_ where no index may be so."""
    body = read_body(path)
    if body.others:
        raise IndexError_(f"{path}: write an object with `settings` and `mappings`, nothing else")
    settings = flat_settings(body.settings)
    replicas = settings.pop("number_of_replicas", 1)
    refresh = str(settings.pop("refresh_interval", "1s"))
    mappings = {"dynamic": "strict", **body.mappings}
    if mappings["dynamic"] != "strict":
        raise IndexError_(f'{path}: mappings.dynamic is {mappings["dynamic"]!r}: write "strict"')
    for fault in faults(settings, mappings):
        raise IndexError_(f"{path}: {fault.what}: {fault.mend}")
    return IndexConfig(settings, mappings, replicas, refresh)


def flat_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of an index by their whole names, without `index.`."""
    return {key.removeprefix("index."): inner for key, inner in flatten(settings)}


def content_hash(config: IndexConfig, *texts: str) -> str:
    """Eight hex digits that change whenever the mapping, the settings or one of `texts` does."""
    whole = json.dumps(
        [config.settings, config.mappings, config.replicas, config.refresh_interval, *texts],
        sort_keys=True,
    )
    return hashlib.sha256(whole.encode()).hexdigest()[:8]
