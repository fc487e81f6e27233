"""Fields of documents that a strict mapping lacks: all of them, where a server names the first.
Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d(?:[T ].*)?")
_OBJECTS: Final = ("object", "nested")
"""Types whose fields have a mapping of their own."""

Path = tuple[str, ...]
"""The names of a field, from the outermost object on."""


def lacking(mappings: Mapping[str, Any], documents: Sequence[Any]) -> dict[Path, Any]:
    """The fields that a strict place of these mappings lacks, each with the first value of it that
    is not NULL. What is inside of such a field is not named again."""
    found: dict[Path, Any] = {}
    for document in documents:
        for path, value in _lacking(mappings, document, (), strict=False):
            if found.get(path) is None:
                found[path] = value
    return found


def mends(fields: Mapping[Path, Any]) -> list[str]:
    """The lines of index_config.json that take these fields, one for each object they are in."""
    places: dict[Path, dict[str, Any]] = {}
    for path, value in fields.items():
        places.setdefault(path[:-1], {})[path[-1]] = fitting(value)
    return [
        f"mappings.properties{''.join(f'.{one}.properties' for one in place)}: "
        f"{json.dumps(lines, ensure_ascii=False)[1:-1]}"
        for place, lines in places.items()
    ]


def fitting(value: Any) -> dict[str, Any]:
    """The mapping of a field that takes this value."""
    while isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, dict):
        inside = {name: fitting(one) for name, one in value.items()}
        return {"properties": inside} if inside else {"type": "object"}
    if isinstance(value, bool):
        return {"type": "boolean"}
    if isinstance(value, int):
        return {"type": "long"}
    if isinstance(value, float | Decimal):
        return {"type": "double"}
    if isinstance(value, str) and _DATE.fullmatch(value):
        return {"type": "date"}
    return {"type": "text" if isinstance(value, str) and " " in value else "keyword"}


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
