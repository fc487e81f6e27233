"""Constants in PostgreSQL's trees of expressions: the texts in their bytes. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

_JSONB: Final = 3802
_WORD: Final = 4
_COUNT: Final = 0x0FFFFFFF
_OBJECT: Final = 0x20000000
_KIND: Final = 0x70000000
_CONTAINER: Final = 0x50000000
_STRING: Final = 0x00000000
_OFFSET: Final = 0x80000000
_DEPTH: Final = 99


def texts_of(kind: int, numbers: str) -> list[str]:
    """The texts that a constant of this type may hold: `numbers` are its bytes, as a tree has them.

    Of a type that is made of others (an array) all comes as one text. Never fails.
    """
    held = bytes(int(one) % 256 for one in numbers.split())
    # a length stands before what has no fixed one
    headed = len(held) >= _WORD and len(held) in (_number(held) >> 2, _number(held, "big"))
    held = held[_WORD:] if headed else held
    texts = list(_strings(held)) if kind == _JSONB else [held]
    return [one.decode("utf-8", "replace").replace("\0", " ").strip() for one in texts]


def _strings(held: bytes, depth: int = 0) -> Iterator[bytes]:
    """The keys and strings of a jsonb: they stand there without anything between."""
    header = _number(held)
    count = (header & _COUNT) * (2 if header & _OBJECT else 1)
    start = at = _WORD * (1 + count)
    for index in range(min(count, len(held) // _WORD)):
        entry = _number(held[_WORD * (1 + index) :])
        length = entry & _COUNT
        end = start + length if entry & _OFFSET else at + length
        if entry & _KIND == _STRING:
            yield held[at:end]
        elif entry & _KIND == _CONTAINER and depth < _DEPTH:
            aligned = at + -(at - start) % _WORD
            yield from _strings(held[aligned:end], depth + 1)
        at = end


def _number(held: bytes, order: Literal["little", "big"] = "little") -> int:
    return int.from_bytes(held[:_WORD], order)
