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


@dataclass(frozen=True, slots=True)
class IndexBody:
    """What the file holds, not judged yet."""

    settings: dict[str, Any]
    mappings: dict[str, Any]


@dataclass(frozen=True, slots=True)
class IndexConfig:
    """What index_config.json says: `settings` (without refresh and replicas) and `mappings`."""

    settings: dict[str, Any]
    mappings: dict[str, Any]
    replicas: Any
    refresh_interval: str


def read_body(path: Path) -> IndexBody:
    """Read the file. Raises OSError, and IndexError_ where it holds anything else."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise IndexError_(f"{path}: it is no JSON: {error}") from error
    body = value if isinstance(value, dict) else {"settings": None}
    settings, mappings = body.get("settings", {}), body.get("mappings", {})
    if not isinstance(settings, dict) or not isinstance(mappings, dict):
        raise IndexError_(f"{path}: it is no object with `settings` and `mappings`")
    if others := sorted(body.keys() - {"settings", "mappings"}):
        named = ", ".join(f"`{one}`" for one in others)
        raise IndexError_(f"{path}: besides `settings` and `mappings` it has {named}")
    return IndexBody(settings, mappings)


def read_config(path: Path) -> IndexConfig:
    """Read the file and judge it. Raises OSError, and IndexError_ where no index may be so."""
    body = read_body(path)
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
