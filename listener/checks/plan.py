"""Reading a plan of EXPLAIN (VERBOSE, FORMAT JSON): relations, and the functions it calls. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

_QUOTED: Final = re.compile(r"""("(?:[^"]|"")*")|'(?:[^']|'')*'""")
_NAME: Final = r'(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)'
_CALL: Final = re.compile(rf"(?:({_NAME})\.)?({_NAME})\s*\(")
_CLOCK_WORD: Final = re.compile(
    r"\b(CURRENT_DATE|CURRENT_TIMESTAMP|CURRENT_TIME|LOCALTIMESTAMP|LOCALTIME)\b"
)
_CLOCK_LITERAL: Final = re.compile(
    r"(?:\b(?:date|time|timestamp|timestamptz)\s*'\s*(now|today|tomorrow|yesterday)\s*'"
    r"|'\s*(now|today|tomorrow|yesterday)\s*'\s*::\s*(?:pg_catalog\.)?(?:date|time))",
    re.IGNORECASE,
)
CLOCK_FUNCTIONS: Final = frozenset({"now", "transaction_timestamp", "statement_timestamp"})
"""Built-in functions that give another value tomorrow although they are not volatile."""

_WHOLE: Final = ("Seq Scan", "Sample Scan")
_BY_INDEX: Final = ("Index Scan", "Index Only Scan")
_NUMBER: Final = re.compile(r"_\d+\Z")
_CONDITIONS: Final = ("Filter", "Join Filter", "Hash Cond", "Merge Cond", "Recheck Cond")

_NO_EXPRESSION: Final = frozenset(
    {"Node Type", "Relation Name", "Schema", "Alias", "Index Name", "CTE Name", "Subplan Name"}
)


@dataclass(frozen=True, slots=True)
class Call:
    """A function as the plan names it: `schema` is empty where the plan leaves it out."""

    schema: str
    name: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a plan reads: relations as (schema, name), calls, and words that mean the clock."""

    relations: frozenset[tuple[str, str]]
    calls: frozenset[Call]
    clock: frozenset[str]


def read_plan(plan: Any) -> Plan:
    """Read the whole tree: subplans, init plans and CTEs are nodes like any other."""
    relations: set[tuple[str, str]] = set()
    calls: set[Call] = set()
    clock: set[str] = set()
    for node in _nodes(plan):
        if "Relation Name" in node:
            relations.add((str(node.get("Schema", "")), str(node["Relation Name"])))
        for text in _expressions(node):
            bare = _QUOTED.sub(lambda match: match[1] or "''", text)  # without literals
            clock.update(_CLOCK_WORD.findall(bare))
            for match in _CALL.finditer(bare):
                calls.add(Call(_unquoted(match[1] or ""), _unquoted(match[2])))
    return Plan(frozenset(relations), frozenset(calls), frozenset(clock))


@dataclass(frozen=True, slots=True)
class FullScan:
    """A relation that is read in full. `column`: what its rows are chosen by, None: not seen."""

    schema: str
    relation: str
    column: str | None


def full_scans(plan: Any) -> tuple[FullScan, ...]:
    """Relations that a plan reads in full, each once. What a LIMIT may cut short does not count."""
    return tuple(dict.fromkeys(one for root in plan for one in _full(root["Plan"], ())))


def _full(node: Mapping[str, Any], above: tuple[Mapping[str, Any], ...]) -> Iterator[FullScan]:
    kind = node["Node Type"]
    whole = kind in _WHOLE or (kind in _BY_INDEX and "Index Cond" not in node)
    if kind == "Bitmap Heap Scan":  # the index below it has no name of the relation
        whole = any("Index Cond" not in one for one in _bitmaps(node))
    if whole and "Relation Name" in node and not any(one["Node Type"] == "Limit" for one in above):
        alias = str(node.get("Alias", node["Relation Name"]))
        conditions = [
            str(one[name]) for one in (node, *above) for name in _CONDITIONS if name in one
        ]
        yield FullScan(
            str(node.get("Schema", "")),
            str(node["Relation Name"]),
            # above a partitioned table its parts have the name without a number
            _column(alias, conditions) or _column(_NUMBER.sub("", alias), conditions),
        )
    for inner in node.get("Plans", ()):
        yield from _full(inner, (node, *above))


def _bitmaps(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for inner in node.get("Plans", ()):
        if inner["Node Type"] == "Bitmap Index Scan":
            yield inner
        elif inner["Node Type"] in ("BitmapAnd", "BitmapOr"):
            yield from _bitmaps(inner)


def _column(alias: str, conditions: Sequence[str]) -> str | None:
    """The column of this relation that is compared with something else than a constant; else the
    one that is compared with anything."""
    name = rf"(?<![\w.\"])(?:{re.escape(alias)}|\"{re.escape(alias)}\")\.({_NAME})"
    for pattern in (
        rf"{name}\)*(?:::[\w ]+\)?)* = (?:ANY\b|\(*(?!{re.escape(alias)}\.)[\w\"]+\.|\$)",
        rf"[\w\"]\)* = \(*{name}",
        rf"{name}\)*(?:::[\w ]+\)?)* = ",
    ):
        for condition in conditions:
            found = re.search(pattern, condition)
            if found is not None:
                return _unquoted(found[1])
    return None


def clock_literals(sql: str) -> frozenset[str]:
    """`'today'::date` and the like: these are gone from the plan, which has the day itself."""
    return frozenset(
        f"'{(match[1] or match[2]).lower()}'" for match in _CLOCK_LITERAL.finditer(sql)
    )


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _nodes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _nodes(inner)


def _expressions(node: dict[str, Any]) -> Iterator[str]:
    for key, value in node.items():
        if key in _NO_EXPRESSION:
            continue
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, str):
                yield one


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
