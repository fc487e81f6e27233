"""JSON documents compared as they were written: no number is rounded, no depth is too much.

Python's own reading makes 1e400 and 1e401 the same infinity, refuses integers of more than 4,300
digits, and gives up some thousand levels deep; Elasticsearch keeps such documents as they are.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any, Final

from listener import ListenerError

_EXACT: Final = 15
"""Digits, and characters, up to which a number and its double are one to one."""
_START: Final = b'"_source":'
_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKET: Final = re.compile(rb"[\[\]{}]")


class UnreadableJson(ListenerError, ValueError):
    """Python cannot read this JSON: compare its bytes."""


def _integer(text: str) -> int | str:
    return int(text) if len(text) <= 1000 else f"number {text}"


def _number(text: str) -> float | Decimal:
    return float(text) if len(text) <= _EXACT and "e" not in text.lower() else Decimal(text)


_DECODER: Final = json.JSONDecoder(parse_int=_integer, parse_float=_number)


def read(text: bytes) -> Any:
    """The value of a JSON text. Raises UnreadableJson."""
    try:
        return _DECODER.decode(text.decode())
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise UnreadableJson(str(error)[:100]) from error


def depth(text: bytes) -> int:
    """How deep a JSON text is nested: by its brackets, for how deep Python can read depends on how
    deep it stands itself."""
    level = deepest = 0
    for found in _BRACKET.finditer(_STRING.sub(b"", text)):
        level += 1 if found[0] in b"[{" else -1
        deepest = max(deepest, level)
    return deepest


class Written:
    """A document as bytes, for those that Python cannot read."""

    def __init__(self, text: bytes) -> None:
        self._text = text.replace(b"\n", b" ").replace(b"\r", b" ").strip()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Written) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)


def document(text: bytes) -> Any:
    """What a document is compared by: its value, or its bytes where Python cannot read it."""
    try:
        return read(text)
    except UnreadableJson:
        return Written(text)


def same(one: Any, other: Any) -> bool:
    """Whether two values of `document` are the same JSON: to Python alone `true` is 1."""
    return bool(one == other) and not _confused(one, other)


def _confused(one: Any, other: Any) -> bool:
    """Whether two equal values have a boolean where the other one has a number."""
    waiting = [(one, other)]
    while waiting:  # no recursion: a document may be nested as deep as Python reads
        left, right = waiting.pop()
        if isinstance(left, dict):
            waiting += [(one, right[key]) for key, one in left.items() if type(one) is not str]
        elif isinstance(left, list):
            waiting += [pair for pair in zip(left, right, strict=True) if type(pair[0]) is not str]
        elif (type(left) is bool) is not (type(right) is bool):
            return True
    return False


def only_source(answer: bytes) -> bytes | None:
    """The source in the answer to `_mget` for one document, as bytes; None: it was not found.

    It is the last member of the last object, and is returned as it was sent.
    """
    start = answer.find(_START)
    end = answer.rstrip().removesuffix(b"]}").rstrip().removesuffix(b"}")
    return None if start < 0 else end[start + len(_START) :]
