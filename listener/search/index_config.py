"""index_config.json: what the index of a document kind shall be. Read here and nowhere else."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from listener import ListenerError
from listener.config.texts import NoText, read_text
from listener.search.index_settings import faults, flatten

_PARTS: Final = ("settings", "mappings")


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
    """Read the file. Raises IndexError_ where it cannot be read, or holds anything else."""
    try:
        value = json.loads(read_text(path), object_pairs_hook=_once_each)
    except NoText as error:
        raise IndexError_(str(error)) from None
    except json.JSONDecodeError as error:
        raise IndexError_(f"{path}: line {error.lineno}: it is no JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise IndexError_(f"{path}: it is no JSON: {error}") from error
    body = value if isinstance(value, dict) else {"settings": None}
    settings, mappings = body.get("settings", {}), body.get("mappings", {})
    if not isinstance(settings, dict) or not isinstance(mappings, dict):
        raise IndexError_(f"{path}: it is no object with `settings` and `mappings`")
    if others := sorted(body.keys() - set(_PARTS)):
        raise IndexError_(f"{path}: {_besides(others, body)}")
    if "mappings" not in body:
        raise IndexError_(
            f'{path}: it has no `mappings`: write {{"mappings": {{"properties": {{…}}}}}} with '
            "each field that the query returns"
        )
    return IndexBody(settings, mappings)


def _besides(others: Sequence[str], body: Mapping[str, Any]) -> str:
    """What stands there beside the two parts, and where it belongs."""
    named = ", ".join(f"`{one}`" for one in others)
    told = f"besides `settings` and `mappings` it has {named}"
    for one in others:
        if one in ("properties", "dynamic", "_source"):
            return f"{told}: write `{one}` inside of `mappings`"
        if near := difflib.get_close_matches(one, [name for name in _PARTS if name not in body], 1):
            return f"{told}; did you mean `{near[0]}`?"
    return told


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON. Raises ValueError where a name stands twice: the first would be lost."""
    found = dict(pairs)
    if len(found) < len(pairs):
        seen = [name for name, _ in pairs]
        twice = next(name for name in seen if seen.count(name) > 1)
        raise ValueError(f"`{twice}` stands twice in one object")
    return found


def read_config(path: Path) -> IndexConfig:
    """Read the file and judge it. Raises IndexError_ where it is none, or no index may be so."""
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
