"""Placeholders in the user's SQL: where they stand, and what PostgreSQL gets in their place. Pure.

A file is SQL as `psql` takes it, but for its placeholders: a `%` is a percent sign, and `%%` are
two. A placeholder is one where code stands. In a literal, a quoted name or a comment it is text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple

from listener.documents.tokens import tokens

PLACEHOLDER: Final = re.compile(r"%\(([^\W\d]\w*)\)s(?!\w)")
_BOUND: Final = re.compile(r"%%|%\((\w+)\)s")
"""What psycopg replaces in a rendered text."""


class Piece(NamedTuple):
    """A part of a file. The text of a placeholder is its name; space is comments, too."""

    kind: Literal["code", "text", "space", "placeholder"]
    text: str
    at: int


def names(name: str, columns: int) -> tuple[str, ...]:
    """The placeholders for a key of so many columns: `ids`, or `ids_1` and `ids_2`."""
    return (name,) if columns == 1 else tuple(f"{name}_{n}" for n in range(1, columns + 1))


def pieces_of(text: str) -> tuple[Piece, ...]:
    """All of a text, in order."""
    return tuple(_pieces(text))


def _pieces(text: str) -> Iterator[Piece]:
    after = 0
    for match, end in tokens(text):
        at = match.start()
        if at < after:
            continue
        found = PLACEHOLDER.match(text, at) if match.group() == "%" else None
        after = found.end() if found else end
        if found:
            yield Piece("placeholder", found[1], at)
        elif match["space"] or match["block"]:
            yield Piece("space", text[at:end], at)
        elif match["dollar"] or match.lastgroup in ("escaped", "literal", "quoted"):
            yield Piece("text", text[at:end], at)
        else:
            yield Piece("code", text[at:end], at)


def end_of(pieces: Sequence[Piece]) -> int:
    """Where the statement ends: before semicolons that nothing but space and comments follow."""
    end = pieces[-1].at + len(pieces[-1].text) if pieces else 0
    for one in reversed(pieces):
        if one.kind == "code" and one.text == ";":
            end = one.at
        elif one.kind != "space":
            break
    return end


def line_at(text: str, at: int) -> int:
    """The line of a character, from 1."""
    return text.count("\n", 0, at) + 1


def sent(rendered: str) -> str:
    """What PostgreSQL gets of a rendered text, or of a statement around it: its positions of errors
    count the characters of that."""
    numbers: dict[str, int] = {}

    def number(match: re.Match[str]) -> str:
        if match[1] is None:
            return "%"
        return f"${numbers.setdefault(match[1], len(numbers) + 1)}"

    return _BOUND.sub(number, rendered)


def plain(rendered: str) -> str:
    """A rendered text as SQL, with its placeholders: each `%` as the file has it."""
    return _BOUND.sub(lambda match: match[0] if match[1] else "%", rendered)


def line_of(position: int, statement: str, rendered: str) -> int | None:
    """The line of the user's file at a position in a statement that was made of it.

    `position` counts the characters of what was sent, from 1. None: it is in what listener has put
    around it.
    """
    whole, text = sent(statement), sent(rendered)
    offset = position - 1 - whole.find(text)
    return line_at(text, offset) if text in whole and 0 <= offset <= len(text) else None
