"""The mapping of a field that takes all of the values that were seen of it. Pure.

A field has one mapping, whatever documents are refused for: two lines for it would mend one half
each, and refuse the other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

Fit = dict[str, Any] | None
"""A mapping. Empty: no value was seen yet, or only NULL. None: no mapping takes them all."""

_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d(?:[T ].*)?")
_OF_TYPES: Final[Mapping[str, str]] = {
    "byte": "long",
    "short": "long",
    "integer": "long",
    "long": "long",
    "half_float": "double",
    "float": "double",
    "double": "double",
    "scaled_float": "double",
    "boolean": "boolean",
    "date": "date",
    "text": "text",
}
"""What is told of a type of the mapping; of others, `keyword`."""


def fit_of(value: Any) -> Fit:
    """What takes this value; of an array what takes all that is in it."""
    if isinstance(value, list):
        fit: Fit = {}
        for one in value:
            fit = both(fit, fit_of(one))
        return fit
    if value is None:
        return {}
    return _of_object(value) if isinstance(value, dict) else {"type": _type_of(value)}


def _of_object(value: Mapping[str, Any]) -> Fit:
    inside = {name: fit_of(one) for name, one in value.items()}
    if None in inside.values():
        return None
    return {"properties": inside} if inside else {"type": "object"}


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "long"
    if isinstance(value, float | Decimal):
        return "double"
    if isinstance(value, str) and _DATE.fullmatch(value):
        return "date"
    return "text" if isinstance(value, str) and " " in value else "keyword"


def fit_of_type(name: str) -> Fit:
    """What takes all values that this type of a mapping takes."""
    return {"type": _OF_TYPES.get(name, "keyword")}


def both(one: Fit, other: Fit) -> Fit:
    """What takes what either does."""
    if one is None or other is None or one == other:
        return one if other == one else None
    if not one or not other:
        return one or other
    if _is_object(one) != _is_object(other):
        return None
    if _is_object(one):
        return _of_objects(one, other)
    types = {one["type"], other["type"]}
    if types == {"long", "double"}:
        return {"type": "double"}
    return {"type": "text" if "text" in types else "keyword"}


def shown(fit: Fit) -> dict[str, Any]:
    """The mapping for people: where no value was seen, one that may do."""
    if fit and "properties" in fit:
        return {"properties": {name: shown(one) for name, one in fit["properties"].items()}}
    return fit or {"type": "keyword"}


def _is_object(fit: Mapping[str, Any]) -> bool:
    return "properties" in fit or fit.get("type") == "object"


def _of_objects(one: Mapping[str, Any], other: Mapping[str, Any]) -> Fit:
    left, right = one.get("properties", {}), other.get("properties", {})
    found = {name: both(left.get(name, {}), right.get(name, {})) for name in {**left, **right}}
    if None in found.values():
        return None
    return {"properties": found} if found else {"type": "object"}
