"""Which objects of the catalog the words of SQL texts can mean. Pure.

Objects are told apart by their catalog (the OID of pg_class, pg_proc, ...) and their own OID.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from listener.documents.naming import Name, Names, names_of

RELATION: Final = 1259
FUNCTION: Final = 1255
TYPE: Final = 1247
_OPERATOR: Final = 2617
_ALWAYS: Final = (2605, 2616)
"""Casts, and operator classes: no name leads to these."""
_OF_KEYWORDS: Final = frozenset(
    {"=", "<>", "<", "<=", ">", ">=", "~~", "!~~", "~~*", "!~~*", "~", "!~"}
)
"""Operators that LIKE, SIMILAR TO, IN, BETWEEN, CASE, NULLIF, USING and others stand for."""

_names = lru_cache(maxsize=512)(names_of)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An object that has one of the names.

    `kind`: its catalog. `searched`: its schema is in the search path. `visible`: its bare name
    leads to it. `attribute`: it is a function of one argument, which can be written as a column.
    """

    kind: int
    oid: int
    schema: str
    name: str
    searched: bool
    visible: bool
    attribute: bool


@dataclass(slots=True)
class Known:
    """What was found of one document kind so far."""

    names: Names = field(default_factory=Names)
    paths: set[str] = field(default_factory=set)
    """Schemas that functions search by settings of their own."""
    asked: set[str] = field(default_factory=set)
    candidates: list[Candidate] = field(default_factory=list)
    reached: set[tuple[int, int]] = field(default_factory=set)
    extensions: dict[int, str] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)

    def add_text(self, text: str) -> None:
        """Take a text and the names in it."""
        self.texts.append(text)
        names = _names(text)
        self.names.take(names)
        if names.dynamic:  # any word may become a relation's name, or a function's
            self.names.relations |= names.words
            self.names.calls |= names.words
        if "search_path" in text:
            self.paths |= names.all

    def add_constants(self, values: Iterable[str]) -> None:
        """Take texts that an object holds as constants, and the names in them."""
        quoted = " ".join("'" + value.replace("'", "''") + "'" for value in values)
        if quoted:
            self.add_text(quoted)

    def add_path(self, value: str) -> None:
        """Take the value of a setting of a function's: it may name schemas."""
        self.paths |= _names(value).all

    def means(self, one: Candidate) -> bool:
        """Whether a word of the texts can mean this object."""
        names = self.names
        searched = one.searched or one.schema in self.paths
        schemas = names.literals | names.schemas
        literal = one.name in names.literals and (searched or one.schema in schemas)

        def among(found: Collection[Name]) -> bool:
            return (one.schema, one.name) in found or (searched and (None, one.name) in found)

        put_together = names.dynamic and (literal or among(names.quoted))
        if one.kind in _ALWAYS:
            meant = True
        elif one.kind == _OPERATOR:
            # OPERATOR(schema.+): a word, a dot and no word
            named = searched or (None, one.schema) in names.words
            meant = named and (
                one.name in _OF_KEYWORDS or any(one.name in symbol for symbol in names.symbols)
            )
        elif one.kind == RELATION:
            meant = put_together or among(names.relations)
        elif one.kind == FUNCTION:
            written_as_column = one.attribute and searched and one.name in names.attributes
            meant = put_together or written_as_column or among(names.calls)
        else:  # types, collations, text search: these stand in literals, too
            column = one.kind == TYPE and searched and one.name in names.attributes  # a cast
            meant = literal or column or among(names.words)
        return meant


def choices(meant: Sequence[Candidate]) -> dict[str, str]:
    """Names that could lead to several objects, or to one that is named with its schema.

    To which object such a name leads may change without any of these. Returns the state by what it
    is of, in words.
    """
    found: dict[str, list[Candidate]] = {}
    for one in sorted(meant, key=lambda one: (one.kind, one.oid)):
        found.setdefault(one.name, []).append(one)
    return {
        f"what the name {name} leads to": repr([(one.kind, one.oid, one.visible) for one in those])
        for name, those in found.items()
        if len(those) > 1 or not those[0].visible
    }
