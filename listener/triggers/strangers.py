"""Strangers: what in the schema of listener is not listener's, or hangs on what is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from listener.postgres import Connection
from listener.triggers.catalog import TriggerError, rows
from listener.triggers.finder import NOT_OURS
from listener.triggers.present import Present

TABLES: Final = {
    "meta": "singleton boolean, schema_version integer, nonce uuid, "
    "pruned_below timestamp with time zone, pipeline text, line uuid, renewals bigint, file oid",
    "journal": "id bigint, updated_at timestamp with time zone, watch text, kind text, keys text, "
    "reason text",
    "parked": "document text, id text, reason text, first_at timestamp with time zone, "
    "last_at timestamp with time zone, count bigint",
}
"""Listener's tables as this version makes them: by name, each column's name and type."""
META_1: Final = (
    "singleton boolean, schema_version integer, nonce uuid, pruned_below timestamp with time zone"
)
"""The columns of meta in version 1. Later versions have them, too."""
LOST: Final = "lost"
_NAMED: Final = 5
"""How many things a message names."""


def refuse_name(schema: str) -> Iterator[str]:
    """What is wrong with the name of the schema: whatever it holds, it is not listener's."""
    if schema in ("public", *NOT_OURS) or schema.startswith("pg_"):
        yield f"postgres.schema: {schema} is not a schema for listener alone: name another one"


def made(present: Present) -> dict[str, int]:
    """The tables and the sequence that listener made, and not another program under the same names:
    name -> OID. A table still has most of its columns, whatever was altered on it; the sequence,
    which looks like any other, is beside something else of listener's.
    """
    relations = present.relations or {}
    found = {
        name: present.oids[name]
        for name, columns in (TABLES | {"meta": META_1}).items()
        if relations.get(name, ("",))[0].startswith("r") and _mostly(columns, relations[name][1])
    }
    if relations.get(LOST, ("",))[0].startswith("S") and (found or present.functions):
        found[LOST] = present.oids[LOST]
    return found


def _mostly(columns: str, found: str) -> bool:
    want = columns.split(", ")
    return len({*want} & {*found.split(", ")}) * 2 > len(want)


def refuse_strangers(conn: Connection, present: Present, schema: str) -> None:
    """Raises TriggerError where anything in the schema is not listener's, or another program's view
    or key is made of listener's tables; psycopg.Error."""
    ours = made(present)
    found = rows(
        conn,
        "strangers",
        schema=schema,
        relations=list(ours.values()),
        functions=list(present.functions),
    )
    inside = [what for what, is_inside in found if is_inside]
    outside = [what for what, is_inside in found if not is_inside]
    if inside and not ours and not present.functions:
        raise TriggerError(
            f"the schema {schema} holds {_some(inside)} and is not listener's: name another one "
            "(postgres.schema)"
        )
    problems = []
    if inside:
        problems.append(
            f"the schema {schema} holds what is not listener's: {_some(inside)}: move that to "
            "another schema (ALTER … SET SCHEMA) or drop it, then try again"
        )
    if outside:
        problems.append(
            f"made of listener's tables in the schema {schema}: {_some(outside)}: drop that, then "
            "try again"
        )
    if problems:
        raise TriggerError(*problems)


def _some(what: Sequence[str]) -> str:
    more = len(what) - _NAMED
    return ", ".join(what[:_NAMED]) + (f" and {more} more" if more > 0 else "")
