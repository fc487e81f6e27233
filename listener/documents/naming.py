"""Which names an SQL text uses, and how: over-approximated by its words, never parsed. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

Name = tuple[str | None, str]
"""A schema, where the text has one, and a name."""

_PLACEHOLDER: Final = re.compile(r"%\([^)]*\)s")
_TOKEN: Final = re.compile(
    r"""
      (?P<space>\s+|--[^\n]*)
    | (?P<block>/\*)
    | (?P<dollar>\$(?P<tag>(?:[^\W\d]\w*)?)\$(?P<body>.*?)\$(?P=tag)\$)
    | (?P<escaped>[eE]'(?:[^'\\]|\\.|'')*')
    | (?P<literal>'(?:[^']|'')*')
    | (?P<quoted>(?:[uU]&)?"(?:[^"]|"")+")
    | (?P<word>[^\W\d][\w$]*)
    | (?P<number>\d[\w.]*)
    | (?P<cast>::)
    | (?P<symbol>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_BEFORE_RELATION: Final = frozenset(
    {"", "from", "join", "only", "table", "using", "update", "into", ",", "(", "::"}
)
"""What may stand before a relation's name. A comma and a bracket stand before columns, too."""
_DYNAMIC: Final = re.compile(
    r"\b(?:execute|regclass|regproc|regprocedure|regtype|to_reg\w+|\w+_to_xml\w*|dblink\w*|ts_stat)\b",
    re.IGNORECASE,
)
"""Words by which a text becomes a name at run time."""
_PART: Final = re.compile(r'"[^"]+"|[\w$]+')
_NAMES: Final = re.compile(rf"\s*(?:{_PART.pattern})(?:\s*\.\s*(?:{_PART.pattern}))*\s*")
_OPERATOR: Final = frozenset("+-*/<>=~!@#%^&|`?")
_DEPTH: Final = 4
"""Texts in texts: a function's body holds statements as literals, which may hold literals."""


@dataclass(slots=True)
class Names:
    """What a text names. Names stand as PostgreSQL folds them.

    `relations` stand where a relation's name can stand, `calls` before a bracket, `attributes`
    behind a dot; `words` are all names. `literals`: texts that are names as they stand, which
    count where the text is `dynamic`.
    """

    relations: set[Name] = field(default_factory=set)
    calls: set[Name] = field(default_factory=set)
    words: set[Name] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    literals: set[str] = field(default_factory=set)
    symbols: set[str] = field(default_factory=set)
    dynamic: bool = False

    def take(self, other: Names) -> None:
        """Add what another text names."""
        self.relations |= other.relations
        self.calls |= other.calls
        self.words |= other.words
        self.attributes |= other.attributes
        self.literals |= other.literals
        self.symbols |= other.symbols
        self.dynamic = self.dynamic or other.dynamic

    @property
    def all(self) -> set[str]:
        """Every name, without its schema."""
        return {name for _, name in self.words} | self.literals

    @property
    def schemas(self) -> set[str]:
        """Every name that may be a schema's."""
        return {schema for schema, _ in self.words if schema is not None}


def names_of(text: str, depth: int = 0) -> Names:
    """What a text names, in statements that it holds as literals, too."""
    found = Names(dynamic=_DYNAMIC.search(text) is not None)
    before = ""
    chain: list[str] = []
    joined = False  # a dot was the last token
    asked = ""  # what stood before the chain

    def end(after: str) -> None:
        nonlocal before
        if chain:
            _note(found, chain, asked, after)
            before = chain[-1] if len(chain) == 1 else "."
            chain.clear()

    symbols: list[str] = []
    for kind, token in _tokens(_PLACEHOLDER.sub(" ", text)):
        if kind == "symbol" and token in _OPERATOR:
            symbols.append(token)
        elif symbols:
            found.symbols.add("".join(symbols))
            symbols.clear()
        if kind == "name":
            if not joined:
                end("")
                asked = before
            chain.append(token)
            joined = False
        elif kind == "literal":
            end("")
            before, joined = "'", False
            found.literals.update(_whole(token))
            if depth < _DEPTH and not token.isalnum():
                found.take(names_of(token, depth + 1))
        elif token == "." and chain:  # noqa: S105 - no password
            joined = True
        else:
            end(token)
            before, joined = token, False
    end("")
    if symbols:
        found.symbols.add("".join(symbols))
    return found


def _note(found: Names, chain: list[str], before: str, after: str) -> None:
    pairs: list[Name] = list(pairwise(chain))
    found.words.add((None, chain[0]))
    found.words.update(pairs)
    found.attributes.update(chain[1:])
    found.relations.update(pairs)
    # `film%ROWTYPE`, and a bare name where a relation may stand
    if len(chain) == 1 and (before in _BEFORE_RELATION or after == "%"):
        found.relations.add((None, chain[0]))
    if after == "(":
        found.calls.add(pairs[-1] if pairs else (None, chain[0]))


def _whole(text: str) -> Iterator[str]:
    """The names of a text that is a name, or several with dots between them."""
    if len(text) > 3 * 66:
        return
    if _NAMES.fullmatch(text):
        for part in _PART.findall(text):
            yield part[1:-1] if part.startswith('"') else part
            yield part.lower()


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        assert match is not None
        at = match.end()
        kind, token = match.lastgroup, match.group()
        if match["block"]:
            at = _comment(text, at)
        elif match["dollar"]:
            yield "literal", match["body"]
        elif kind == "escaped":
            yield (
                "literal",
                re.sub(r"\\(.)", r"\1", token[2:-1], flags=re.DOTALL).replace("''", "'"),
            )
        elif kind == "literal":
            yield "literal", token[1:-1].replace("''", "'")
        elif kind == "quoted":
            yield "name", _cut(_unescaped(token))
        elif kind == "word":
            yield "name", _cut(token.lower())
        elif kind != "space":
            yield "symbol", token


def _comment(text: str, at: int) -> int:
    """Where a block comment ends: they nest."""
    depth = 1
    while depth:
        match = re.compile(r"/\*|\*/").search(text, at)
        if match is None:
            return len(text)
        depth += 1 if match.group() == "/*" else -1
        at = match.end()
    return at


def _unescaped(token: str) -> str:
    if token.startswith('"'):
        return token[1:-1].replace('""', '"')
    return re.sub(
        r"\\(?:\+([0-9a-fA-F]{6})|([0-9a-fA-F]{4}))",
        lambda match: chr(min(int(match[1] or match[2], 16), 0x10FFFF)),
        token[3:-1].replace('""', '"'),
    )


def _cut(name: str) -> str:
    """As PostgreSQL cuts names."""
    return name if len(name) < 16 else name.encode()[:63].decode("utf-8", "ignore")
