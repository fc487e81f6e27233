"""Why PostgreSQL does not take a statement of the user's: where, and what may have been meant."""

from __future__ import annotations

import re
from typing import Final

import psycopg

from listener.postgres import Connection, explain
from listener.triggers.nearest import nearest_table

_DENIED: Final = "42501"
_NO_TABLE: Final = re.compile(r'relation "(?:([^".]+)\.)?([^".]+)" does not exist')
"""In English; in other languages of the server its own words must do."""
_BY_TYPE: Final = ("42601", "42804", "42846", "42883")
"""Errors that a placeholder of another type than was expected makes."""
_TAKEN: Final = re.compile(r"%\((\w+)\)s::text(?:\[\])?::([a-z]+(?:\[\])?)")


def line_of(error: psycopg.Error, text: str) -> int | None:
    """The line of the user's file, where PostgreSQL names a place in it.

    `text` begins in line 1 of the file: what listener puts before it ends with no line.
    """
    position = error.diag.statement_position
    return None if position is None else text[: int(position) - 1].count("\n") + 1


def described(error: psycopg.Error) -> str:
    """What is wrong, and where, without the remedy that sends people to the check itself."""
    return explain(error)[0]


def mend_of(connection: Connection, error: psycopg.Error, line: int | None, rendered: str) -> str:
    """PostgreSQL's own hint, and what may be meant. Raises psycopg.Error.

    `rendered`: the text of the file, with its casts.
    """
    if error.sqlstate == _DENIED:
        role = connection.info.user
        return f"GRANT USAGE ON SCHEMA …, or SELECT ON …, to {role}; or BYPASSRLS"
    found = _NO_TABLE.fullmatch(error.diag.message_primary or "")
    near = nearest_table(connection, found[1], found[2]) if found else None
    if near is not None:
        return f"did you mean {'.'.join(near)}?"
    hint = error.diag.message_hint or ""
    lines = rendered.split("\n")
    taken = _TAKEN.search(lines[line - 1]) if line and line <= len(lines) else None
    if taken is None or error.sqlstate not in _BY_TYPE:
        return hint
    name, kind = taken.groups()
    told = f"%({name})s is of the type {kind}, as the key of its table is"
    told += f": write COLUMN = ANY(%({name})s)" if kind.endswith("[]") else ""
    return f"{hint}\n{told}".strip()
