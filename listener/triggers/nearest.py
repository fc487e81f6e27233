"""The nearest name: what a person may have meant who wrote the name of no table."""

from __future__ import annotations

import difflib

from listener.postgres import Connection
from listener.triggers.catalog import rows


def nearest_table(
    conn: Connection, schema: str | None, table: str, leave_out: str = ""
) -> tuple[str, str] | None:
    """Schema and name of the table that is called most nearly so. Raises psycopg.Error.

    `schema` None: any. `leave_out`: a schema in which none is meant. A table of this very name in
    another schema comes first, since the schema is what is forgotten most.
    """
    found = [(one[0], one[1]) for one in rows(conn, "names") if one[0] != leave_out]
    same = [one for one in found if one[1] == table]
    if len(same) == 1:
        return same[0]
    if schema is None:
        by_name = {one[1]: one for one in reversed(found)}
        near = difflib.get_close_matches(table, by_name, 1)
        return by_name[near[0]] if near else None
    labels = {".".join(one): one for one in same or found}
    near = difflib.get_close_matches(f"{schema}.{table}", labels, 1, 0.75)
    return labels[near[0]] if near else None


def nearest_column(name: str, columns: list[str]) -> str | None:
    """The column that is called most nearly so."""
    alike = [one for one in columns if one.lower() == name.lower()]
    near = alike or difflib.get_close_matches(name, columns, 1)
    return near[0] if near else None
