"""Reading a plan of EXPLAIN (VERBOSE, FORMAT JSON): relations, and the functions it calls. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
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
