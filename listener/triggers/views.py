"""Views WITH CHECK OPTION that show rows by a stamped column.

Their queries are read in the form in which PostgreSQL keeps them. To print one as SQL it locks each
table in it, and an audit would wait behind a migration. Such a view shows rows of one table or
view.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from listener.postgres import Connection
from listener.triggers.catalog import rows

_NODE: Final = re.compile(
    r"\\.|\}|:relid (\d+)|\{(\w+)(?: :varno \d+ :varattno (-?\d+) [^{}]*?:varlevelsup (\d+))?",
    re.DOTALL,
)
"""An escaped letter; the end of a node; a table; or the beginning of a node. Where the node is a
column: its number, and how many queries further out its table stands."""


@dataclass(frozen=True, slots=True)
class _View:
    """`reads`: the table or view whose rows it shows, `by`: its columns that decide which rows.
    `made_of`: for each column of the view, the columns that it is made of. `tables`: what
    subqueries that decide read, `inner`: the columns of these tables."""

    name: str
    option: str | None
    reads: int
    by: set[int]
    made_of: list[set[int]]
    tables: set[int]
    inner: set[int]


@dataclass(frozen=True, slots=True)
class _Stamped:
    """Of a table or view: the columns that a stamp changes. `here`: whether they decide which rows
    its query shows; `below`: the same of its query and all queries below it."""

    columns: frozenset[int] = frozenset()
    here: bool = False
    below: bool = False


def checked(conn: Connection, stamped: Mapping[int, frozenset[int]]) -> Iterator[str]:
    """The views that could refuse a row when these columns change, which are given by table."""
    pairs = [(table, column) for table, columns in stamped.items() for column in columns]
    found = rows(
        conn, "stamp_views", tables=[one[0] for one in pairs], columns=[one[1] for one in pairs]
    )
    views = {oid: _view(oid, name, option, tree) for oid, name, option, tree in found}
    known = {table: _Stamped(columns) for table, columns in stamped.items()}
    for oid, view in views.items():
        chain: list[int] = []
        at = oid
        while at in views and at not in known:
            chain.append(at)
            at = views[at].reads
        for one in reversed(chain):
            known[one] = _over(views[one], known.get(views[one].reads, _Stamped()), stamped)
        if (known[oid].below and view.option == "cascaded") or (
            known[oid].here and view.option == "local"
        ):
            yield view.name


def _over(view: _View, read: _Stamped, stamped: Mapping[int, frozenset[int]]) -> _Stamped:
    here = bool(view.by & read.columns) or any(
        view.inner & columns for table, columns in stamped.items() if table in view.tables
    )
    columns = (n for n, parts in enumerate(view.made_of, 1) if parts & read.columns)
    return _Stamped(frozenset(columns), here, here or read.below)


def _view(oid: int, name: str, option: str | None, tree: str) -> _View:
    reads = 0
    by: set[int] = set()
    made_of: list[set[int]] = []
    tables: set[int] = set()
    inner: set[int] = set()
    path: list[str] = []
    for one in _NODE.finditer(tree):
        table, node, column, up = one.groups()
        decides = path[1:2] == ["FROMEXPR"]
        if table is not None:
            if decides:
                tables.add(int(table))
            elif path.count("QUERY") == 1 and int(table) != oid:
                # until PostgreSQL 15 the view itself comes before it, or alone
                reads = int(table)
        elif node is not None:
            path.append(node)
            if path == ["QUERY", "TARGETENTRY"]:
                made_of.append(set())
            if column is not None:
                outermost = int(up) == path.count("QUERY") - 1
                if decides:
                    (by if outermost else inner).add(int(column))
                elif outermost and path[1] == "TARGETENTRY":
                    made_of[-1].add(int(column))
        elif one[0] == "}":
            path.pop()
    return _View(name, option, reads, by, made_of, tables, inner)
