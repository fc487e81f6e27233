"""Causes: why documents are refused, one for all that are refused alike, with a count and some ids.
Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from listener.documents.fitting import Fit, both, fit_of, fit_of_type, shown
from listener.documents.lacking import MIXED

EXAMPLES: Final = 5
"""Ids that are named of each cause."""
_MOST: Final = 200
"""Causes that are told apart."""
_PLACE: Final = re.compile(r"\[\d+:\d+\] ")
"""Line and column in the document."""
_VALUE: Final = re.compile(r"\.? *Preview of field's value: '(.*?)'?\Z", re.DOTALL)
"""What the server shows of the value, to the end, where a long reason was cut: each document has
another one."""
_QUOTED: Final = re.compile(
    r"(\bdate field |\b\w+ |\w+=)?"
    r"(?:(?<!\w)'(?:[^']|(?<=\w)'(?=\w))*(?:'|\Z)|\"[^\"]*(?:\"|\Z)|\[[^\[\]]*(?:\]|\Z))"
)
"""A text in quotes or brackets, with the word before it: a value, or a name."""
_NAMED: Final = frozenset(
    [
        "field",
        "fields",
        "type",
        "types",
        "of",
        "within",
        "mapper",
        "column",
        "relation",
        "table",
        "function",
        "constraint",
        "operator",
        "schema",
        "format",
        "property",
        "path",
        "parameter",
        "pipeline",
        "index",
        "class",
        "object",
        "analyzer",
    ]
)
"""Words before a name, which tells causes apart."""
_NUMBERS: Final = re.compile(r"\d+")
_BEGIN: Final = 20
"""Characters of a value that the server shows, by which it is found again."""
_ALIKE: Final = 160
"""Characters by which causes are told apart: what follows repeats content."""
_FIELD: Final = re.compile(r"\bfield \[([^\]]+)\](?: of type \[([^\]]+)\])?")
_LACKING: Final = re.compile(r"dynamic introduction of \[(.+?)\] within \[(.+?)\]")
_IMMENSE: Final = re.compile(r"immense term in field=\"([^\"]+)\"")
_CUT: Final = {"ignore_above": 8191}
"""Characters, of up to four bytes each, that a term of 32,766 bytes has room for."""
_OTHER: Final = "other reasons"
_QUERY: Final = (
    ("two rows for this id", "join so that an id has one row: aggregate, or DISTINCT ON (id)"),
    ("JSON that is no object", "json_build_object(…) AS document"),
    ("NULL as the document", "json_build_object(…) AS document, which is never NULL"),
)
"""What mends a query that makes no document of a row, by words of the reason."""
_FAILING: Final = (
    "let the query give a value for such rows too, as with NULLIF(…, 0), CASE or a cast of what "
    "fits: until then they are parked"
)
"""The same where PostgreSQL gives the reason."""


@dataclass(slots=True)
class Values:
    """What takes all values of one field that were seen, of whichever cause."""

    fit: Fit = field(default_factory=dict)


@dataclass(slots=True)
class Cause:
    """`reason`: of the first one. `lifts`: the command by which the server's refusal ends, where it
    is known. `example`: the value that it is about, where it can be seen. `values`: all of its
    field. `of_query`: PostgreSQL made no document, so the index never saw one."""

    reason: str
    held: bool = False
    count: int = 0
    ids: list[str] = field(default_factory=list)
    example: Any = None
    has_example: bool = False
    lifts: str = ""
    values: Values = field(default_factory=Values)
    of_query: bool = False

    @property
    def mend(self) -> str:
        """What ends the refusals: a command, the line of index_config.json that takes such
        documents, or what the query should do; empty: it is not known."""
        if self.lifts or self.of_query:
            of_query = (mend for words, mend in _QUERY if words in self.reason)
            return self.lifts or next(of_query, _FAILING)
        lacking = _LACKING.search(self.reason)
        if lacking is not None:
            path = _path(lacking)
            place = "".join(f".{one}.properties" for one in path[:-1])
            fit = self.values.fit
            if fit is None:
                return MIXED.format(".".join(path))
            line = json.dumps({path[-1]: shown(fit)})[1:-1]
            return f"mappings.properties{place}: {line}; or leave it out of the query"
        immense = _IMMENSE.search(self.reason)
        if immense is not None:
            line = json.dumps({immense[1].rsplit(".", 1)[-1]: {"type": "keyword", **_CUT}})[1:-1]
            return f"let the query cut such values; or in the mapping: {line}, or text"
        named = _FIELD.search(self.reason)
        if named is not None and named[2] is not None and self.has_example:
            seen = self.values.fit
            return _for_type(named[1], named[2], fit_of(self.example) if seen == {} else seen)
        return ""


class Causes:
    """Counts refusals by their cause."""

    def __init__(self) -> None:
        self._found: dict[str, Cause] = {}
        self._values: dict[tuple[str, ...], Values] = {}
        """By the path of a field."""

    def add(
        self,
        doc_id: str,
        reason: str,
        *,
        held: bool = False,
        lifts: str = "",
        document: Any = None,
        of_query: bool = False,
    ) -> None:
        """One more is refused. `lifts`, `of_query`: as of Cause. `document`: its value, where its
        content was refused."""
        told = _VALUE.sub("", _PLACE.sub("", reason))
        alike = _NUMBERS.sub("0", _QUOTED.sub(_without_value, told))[:_ALIKE]
        if alike not in self._found and len(self._found) >= _MOST:
            alike = told = _OTHER
        lacking, named = _LACKING.search(told), _FIELD.search(told)
        names = _path(lacking) if lacking else named[1].split(".") if named else []
        values = self._values.setdefault(tuple(names), Values()) if names else Values()
        fresh = Cause(told, held, lifts=lifts, values=values, of_query=of_query)
        cause = self._found.setdefault(alike, fresh)
        cause.count += 1
        if len(cause.ids) < EXAMPLES:
            cause.ids.append(doc_id)
        found = _values(document, names) if names else []
        for one in found:
            values.fit = both(values.fit, fit_of(one))
        value = _VALUE.search(reason)
        if found and not cause.has_example:
            cause.example, cause.has_example = _refused_of(found, value and value[1]), True
        if not cause.has_example and value is not None:
            cause.example, cause.has_example = value[1], True

    def saw(self, document: Any) -> None:
        """One that was not refused: a mapping must take its values, too."""
        for names, values in self._values.items():
            for one in _values(document, names):
                values.fit = both(values.fit, fit_of(one))

    @property
    def count(self) -> int:
        """How many were refused."""
        return sum(one.count for one in self._found.values())

    def all(self) -> Sequence[Cause]:
        """The most frequent first."""
        return sorted(self._found.values(), key=lambda one: -one.count)


def _for_type(name: str, kind: str, fit: Fit) -> str:
    """What is to be done where a value is none of the field's type. A type that takes these values
    already is no other one."""
    query = f"let the query give a value of the type {kind}"
    if fit is None or both(fit_of_type(kind), fit) == fit_of_type(kind):
        return query
    line = json.dumps({name.rsplit(".", 1)[-1]: shown(fit)})[1:-1]
    return f"{query}; or in the mapping: {line}"


def _refused_of(found: Sequence[Any], shown_value: str | None) -> Any:
    """Of the values in an array, the one that the server shows; else the first."""
    begin = shown_value[:_BEGIN] if shown_value else None
    return next((one for one in found if begin and str(one).startswith(begin)), found[0])


def _without_value(quoted: re.Match[str]) -> str:
    """A text in quotes: as it is where it is a name, else without what stands there."""
    before = quoted[1] or ""
    return quoted[0] if before.rstrip(" =") in _NAMED else f"{before}…"


def _path(lacking: re.Match[str]) -> list[str]:
    """The names of a field that the mapping lacks."""
    within = lacking[2].split(".") if lacking[2] != "_doc" else []
    return [*within, lacking[1]]


def _values(value: Any, names: Sequence[str]) -> list[Any]:
    """What a document has at this path, in arrays too. A name may have dots of its own."""
    if isinstance(value, list):
        return [found for one in value for found in _values(one, names)]
    if not names:
        return [value]
    if not isinstance(value, dict):
        return []
    return [
        found
        for last in range(1, len(names) + 1)
        if (name := ".".join(names[:last])) in value
        for found in _values(value[name], names[last:])
    ]
