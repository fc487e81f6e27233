"""What a role lacks for a step that PostgreSQL refused it.

PostgreSQL names the object in the language of the server's messages, and not the right: so the
rights are looked up.
"""

from __future__ import annotations

from typing import Final

import psycopg

from listener.postgres import Connection
from listener.triggers.catalog import rows
from listener.triggers.steps import Step

_OWNER: Final = (
    "install as the owner of the table (`listener triggers install --dsn`), or let the owner run "
    "what `listener triggers print` prints"
)
_OTHERWISE: Final = (
    "this role lacks none of the rights that listener knows to be needed: install as another role "
    "(`listener triggers install --dsn`)"
)
_ROW_SECURITY: Final = (
    "if an event trigger turns row-level security on for new tables, exempt the schema {schema} "
    "from it; or install as another role (`listener triggers install --dsn`)"
)
TYPES: Final = ("bool", "int4", "int8", "text", "timestamp", "timestamptz", "trigger", "uuid")
"""Types of columns and functions of listener."""
_REFUSES_ROWS: Final = "ExecWithCheckOptions"
"""The function of PostgreSQL that refuses a row. The SQLSTATE is that of a missing right."""


def way_out(
    conn: Connection, step: Step, schema: str, error: psycopg.errors.InsufficientPrivilege
) -> str:
    """What to run, or which role should. Raises psycopg.Error."""
    if error.diag.source_function == _REFUSES_ROWS:
        return _ROW_SECURITY.format(schema=schema)
    found = rows(
        conn,
        "refused",
        schema=schema,
        types=list(TYPES),
        oids=[oid for oid, _ in step.tables],
        schemas=any(one.startswith("CREATE SCHEMA ") for one in step.statements),
        functions=any("FUNCTION " in one for one in step.statements),
        indexes=any(one.startswith("CREATE INDEX ") for one in step.statements),
        tables=any("CREATE TABLE " in one for one in step.statements),
        triggers=any(one.startswith("CREATE TRIGGER ") for one in step.statements),
    )
    grants = [grant for grant, owned in found if not owned]
    ways = [f"let a superuser, or who may grant it, run {'; '.join(grants)}"] if grants else []
    if any(owned for _, owned in found):
        ways.append(_OWNER)
    return "; and ".join(ways) or _OTHERWISE
