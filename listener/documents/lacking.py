"""Fields of documents that a strict mapping lacks: all of them, where a server names the first.
Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from listener.documents.fitting import Fit, both, fit_of, shown

MIXED: Final = (
    "let the query give either an object or a value for {} in all documents: no mapping takes both"
)
_OBJECTS: Final = ("object", "nested")
"""Types whose fields have a mapping of their own."""

Path = tuple[str, ...]
"""The names of a field, from the outermost object on."""


def lacking(mappings: Mapping[str, Any], documents: Sequence[Any]) -> dict[Path, Fit]:
    """The fields that a strict place of these mappings lacks, each with what takes all values of
    it. What is inside of such a field is not named again."""
    found: dict[Path, Fit] = {}
    for document in documents:
        for path, value in _lacking(mappings, document, (), strict=False):
            found[path] = both(found.get(path, {}), fit_of(value))
    return found


def mends(fields: Mapping[Path, Fit]) -> list[str]:
    """The lines of index_config.json that take these fields, one for each object they are in; and
    one for each field that no mapping takes."""
    places: dict[Path, dict[str, Any]] = {}
    for path, fit in fields.items():
        if fit is not None:
            places.setdefault(path[:-1], {})[path[-1]] = shown(fit)
    mixed = [MIXED.format(".".join(path)) for path, fit in fields.items() if fit is None]
    return mixed + [
        f"mappings.properties{''.join(f'.{one}.properties' for one in place)}: "
        f"{json.dumps(lines, ensure_ascii=False)[1:-1]}"
        for place, lines in places.items()
    ]


def _lacking(
    mapping: Mapping[str, Any], value: Any, path: Path, *, strict: bool
) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, list):
        for one in value:
            yield from _lacking(mapping, one, path, strict=strict)
        return
    if not isinstance(value, dict) or not _has_fields(mapping):
        return
    if "dynamic" in mapping:
        strict = mapping["dynamic"] == "strict"
    for name, one in value.items():
        yield from _named(mapping, name.split("."), one, path, strict=strict)


def _named(
    mapping: Mapping[str, Any], names: Sequence[str], value: Any, path: Path, *, strict: bool
) -> Iterator[tuple[Path, Any]]:
    """`names`: of one field, which may be written with dots instead of objects."""
    properties = mapping.get("properties", {})
    path = (*path, names[0])
    if len(names) > 1:
        value = {".".join(names[1:]): value}
    if names[0] in properties:
        yield from _lacking(properties[names[0]], value, path, strict=strict)
    elif strict and ".".join(names) not in properties:
        yield path, value


def _has_fields(mapping: Mapping[str, Any]) -> bool:
    """Whether the fields inside are looked for, one by one."""
    return (
        mapping.get("type", "object") in _OBJECTS
        and mapping.get("enabled", True) not in (False, "false")
        and mapping.get("subobjects", True) in (True, "true")
    )
