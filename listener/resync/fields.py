"""Two JSON documents field by field: what was added, removed and changed, and where. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal

from listener.observations.printable import one_line
from listener.search import exact_json
from listener.search.exact_json import Written

Sort = Literal["added", "removed", "changed"]

SHOWN: Final = 100
"""Characters of a value that people are shown."""
_PLAIN: Final = re.compile(r"[^\W\d][\w-]*")
_NUMBER: Final = re.compile(r"\[\d+\]")
_DEEPEST: Final = 100
"""Levels up to which fields are told apart."""


@dataclass(frozen=True, slots=True)
class Field:
    """One difference. `path`: names joined by dots, places of arrays in brackets; empty: the whole
    document. `before` and `after` are values of `exact_json`; None, too, where there is none."""

    path: str
    sort: Sort
    before: Any = None
    after: Any = None

    @property
    def of_all(self) -> str:
        """The path without places: what the same field is called in all documents."""
        return _NUMBER.sub("[]", self.path)

    def line(self) -> str:
        """For people, with values cut at a length."""
        name = one_line(self.path or "the whole document")
        if self.sort == "added":
            return f"+ {name}: {cut(self.after)}"
        if self.sort == "removed":
            return f"- {name}: {cut(self.before)}"
        return f"~ {name}: {cut(self.before)} → {cut(self.after)}"


def differences(before: Any, after: Any, path: str = "", depth: int = 0) -> Iterator[Field]:
    """What differs from one value of `exact_json` to another, in the order of the first one."""
    if depth < _DEEPEST and isinstance(before, dict) and isinstance(after, dict):
        for name in before:
            inner = _joined(path, name)
            if name in after:
                yield from differences(before[name], after[name], inner, depth + 1)
            else:
                yield Field(inner, "removed", before=before[name])
        for name in after:
            if name not in before:
                yield Field(_joined(path, name), "added", after=after[name])
    elif depth < _DEEPEST and isinstance(before, list) and isinstance(after, list):
        for place, (one, other) in enumerate(zip(before, after, strict=False)):
            yield from differences(one, other, f"{path}[{place}]", depth + 1)
        for place in range(len(after), len(before)):
            yield Field(f"{path}[{place}]", "removed", before=before[place])
        for place in range(len(before), len(after)):
            yield Field(f"{path}[{place}]", "added", after=after[place])
    elif not exact_json.same(before, after):
        yield Field(path, "changed", before, after)


def text_of(value: Any) -> str:
    """A value of `exact_json` as JSON; numbers that Python rounds keep their digits."""
    return json.dumps(plain(value), ensure_ascii=False)


def plain(value: Any) -> Any:
    """The same for `json.dumps`: what Python has no number for becomes a text."""
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, Decimal):
        return float(value) if Decimal(repr(float(value))) == value else str(value)
    return str(value) if isinstance(value, Written) else value


def cut(value: Any) -> str:
    """A value as one line of JSON, cut at a length."""
    try:
        text = one_line(text_of(value))
    except (RecursionError, ValueError):
        text = "…"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(text)} characters)"


def _joined(path: str, name: str) -> str:
    if not _PLAIN.fullmatch(name):
        return f"{path}[{json.dumps(name, ensure_ascii=False)}]"
    return f"{path}.{name}" if path else name
