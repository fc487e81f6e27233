"""The relations that a user's SQL file names: may they be read, and are their changes heard of?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from listener.checks.advice import static_line, watch_lines
from listener.checks.finding import Finding
from listener.checks.plan import Plan
from listener.checks.privileges import grant, row_security
from listener.config import DocumentConfig, split_name
from listener.postgres import Connection
from listener.sql import files

_SYSTEM: Final = ("pg_catalog", "information_schema", "pg_toast")
_UNTOLD: Final = {
    "m": "a materialized view, whose REFRESH fires no trigger",
    "f": "a foreign table, whose changes fire no trigger here",
}
UNHEARD: Final = "its changes would not"
"""What is said of a table that a file reads, and that is not watched: the file itself is good."""


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or the like that the statement names; `parts_of`: itself, then what it is part of."""

    parts_of: tuple[tuple[str, str], ...]
    schema: str
    name: str
    kind: str
    usage: bool
    select: bool
    hidden: bool


def named(connection: Connection) -> list[Relation]:
    """Those that the statement names that is prepared in this transaction, behind views too."""
    oids = [row[0] for row in connection.execute(files.load("checks/locked"))]
    rows = connection.execute(files.load("checks/relations"), {"oids": oids})
    return [Relation(tuple((part[0], part[1]) for part in parts), *own) for *own, parts in rows]


def denied(connection: Connection, relations: Iterable[Relation]) -> list[Finding]:
    """Each right on them that is missing, where it can be known."""
    found: list[Finding] = []
    for one in relations:
        if not one.usage:
            mend = grant(connection, "USAGE", "SCHEMA ", one.schema)
            found.append(Finding("error", f"the schema {one.schema} may not be used", mend))
        if not one.select:
            mend = grant(connection, "SELECT", "", one.schema, one.name)
            found.append(Finding("error", f"{one.schema}.{one.name} may not be read", mend))
        if one.hidden:
            found.append(row_security(connection, (one.schema, one.name)))
    return found


def unwatched(
    connection: Connection,
    document: DocumentConfig,
    meant: Iterable[tuple[str, str]],
    relations: Iterable[Relation],
    plan: Plan | None,
) -> list[Finding]:
    """What is read, or only named, and neither watched nor static. `meant`: as of
    check_statements. `plan`: None: it is not known what is read."""
    found: list[Finding] = []
    known = {split_name(one.table) for one in document.watch}
    known.update(split_name(name) for name in document.static)
    known.update(meant)
    roots: dict[tuple[str, str], list[Relation]] = {}
    for one in relations:
        if one.kind != "v" and known.isdisjoint(one.parts_of):
            roots.setdefault(one.parts_of[-1], []).append(one)
    for root, parts in roots.items():
        if plan is None or any((one.schema, one.name) in plan.relations for one in parts):
            found.append(_unwatched_table(connection, document, root, parts[0].kind))
        else:
            what = (
                f"it names {'.'.join(root)}, which is neither watched nor static, though its "
                "plan does not read it"
            )
            found.append(Finding("warning", what, static_line(root)))
    for name in sorted(plan.relations - known if plan else ()):
        if name[0] in _SYSTEM:
            what = f"it reads {'.'.join(name)}, a system catalog, whose changes fire no trigger"
            found.append(Finding("warning", what, static_line(name)))
    return found


def _unwatched_table(
    connection: Connection, document: DocumentConfig, name: tuple[str, str], kind: str
) -> Finding:
    if kind in _UNTOLD:
        return Finding(
            "error",
            f"it reads {'.'.join(name)}, {_UNTOLD[kind]}: {UNHEARD} arrive",
            "read the tables themselves and watch these, or load anew after each change and "
            f"write\n{static_line(name)}",
        )
    own = split_name(document.table)
    row = connection.execute(
        files.load("checks/references"),
        {
            "schema": name[0],
            "table": name[1],
            "document_schema": own[0],
            "document_table": own[1],
            "document_key": list(document.key),
        },
    ).fetchone()
    references, key = row if row is not None else (False, ["COLUMN"])
    direct = references or name == own
    lines = watch_lines(name, key, None if direct else document.index)
    return Finding(
        "error",
        f"it reads {'.'.join(name)}, which is neither watched nor static: {UNHEARD} "
        f"reach {document.index}",
        f"{lines}\nor, if it never changes,\n{static_line(name)}",
    )
