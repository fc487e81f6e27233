"""Which names an SQL text uses, and how: over-approximated by its words, never parsed. Pure."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from listener.documents.tokens import tokens

Name = tuple[str | None, str]
"""A schema, where the text has one, and a name."""

_PLACEHOLDER: Final = re.compile(r"%\([^)]*\)s")
_CONTINUED: Final = re.compile(r"'\s*\n\s*'")
"""A literal goes on in another line."""
_UESCAPE: Final = re.compile(r"(?:\s|--[^\n]*)*uescape(?:\s|--[^\n]*)*'(.)'", re.IGNORECASE)
_ESCAPE: Final = re.compile(
    r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|x([0-9a-fA-F]{1,2})|([0-7]{1,3})|(.))", re.DOTALL
)
_CONTROL: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_FOLDED: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
"""PostgreSQL leaves other letters as they are."""
_BEFORE_RELATION: Final = frozenset(
    {"", "from", "join", "only", "table", "using", "update", "into", ",", "(", "::"}
)
"""What may stand before a relation's name. A comma and a bracket stand before columns, too."""
_DYNAMIC: Final = re.compile(
    r"\b(?:execute|regclass|regproc|regprocedure|regtype|to_reg\w+|\w+_to_xml\w*|dblink\w*|ts_stat"
    r"|ts_rewrite|pg_get_\w+def)\b",
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
    behind a dot; `words` are all names. `literals`: texts that are names as they stand; `quoted`:
    all names in literals. These become names where something is `dynamic`.
    """

    relations: set[Name] = field(default_factory=set)
    calls: set[Name] = field(default_factory=set)
    words: set[Name] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    literals: set[str] = field(default_factory=set)
    quoted: set[Name] = field(default_factory=set)
    symbols: set[str] = field(default_factory=set)
    dynamic: bool = False

    def take(self, other: Names) -> None:
        """Add what another text names."""
        self.relations |= other.relations
        self.calls |= other.calls
        self.words |= other.words
        self.attributes |= other.attributes
        self.literals |= other.literals
        self.quoted |= other.quoted
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
                inner = names_of(token, depth + 1)
                found.take(inner)
                found.quoted |= inner.words
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
    # behind a bracket, too: `(film).stars`, `$1.stars`
    found.attributes.update(chain if before == "." else chain[1:])
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
            yield part.translate(_FOLDED)


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    after = 0
    for match, end in tokens(text):
        if match.start() < after:  # a part of U&'…' UESCAPE '…'
            continue
        kind, token = match.lastgroup, match.group()
        if match["block"]:
            continue
        if match["dollar"]:
            yield "literal", match["body"]
        elif kind == "escaped":
            yield "literal", _paired(_ESCAPE.sub(_plain, _joined(token[2:-1])))
        elif kind in ("literal", "quoted"):
            held = token[token.index(token[-1]) + 1 : -1]
            held = held.replace('""', '"') if kind == "quoted" else _joined(held)
            if token[0] in "uU":
                given = _UESCAPE.match(text, end)
                after = given.end() if given else end
                held = _unescaped(held, given[1] if given else "\\")
            yield ("name", _cut(held)) if kind == "quoted" else ("literal", held)
        elif kind == "word":
            yield "name", _cut(token.translate(_FOLDED))
        elif kind != "space":
            yield "symbol", token


def _joined(text: str) -> str:
    return _CONTINUED.sub("", text).replace("''", "'")


def _plain(match: re.Match[str]) -> str:
    """What an escape in E'…' stands for."""
    code = match[1] or match[2] or match[3]
    if code:
        return chr(min(int(code, 16), 0x10FFFF))
    if match[4]:
        return chr(int(match[4], 8))
    return _CONTROL.get(match[5], match[5])


def _unescaped(text: str, escape: str) -> str:
    """What stands in U&'…', with this character for the escapes."""
    plain = re.sub(
        rf"{re.escape(escape)}(?:\+([0-9a-fA-F]{{6}})|([0-9a-fA-F]{{4}}))",
        lambda match: chr(min(int(match[1] or match[2], 16), 0x10FFFF)),
        text,
    )
    return _paired(plain.replace(escape * 2, escape))


def _paired(text: str) -> str:
    """The text with its pairs of surrogates joined. What PostgreSQL does not take as text, a lone
    surrogate or a NUL, is replaced."""
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return whole.replace("\0", " ")


def _cut(name: str) -> str:
    """As PostgreSQL cuts names."""
    return name if len(name) < 16 else name.encode()[:63].decode("utf-8", "ignore")
