"""Is this a PostgreSQL that listener can work with?"""

from __future__ import annotations

from typing import Final

from listener.checks.finding import Finding
from listener.postgres import Connection
from listener.sql import files

_OLDEST: Final = 130000


def check_server(connection: Connection) -> list[Finding]:
    """Version, encoding, recovery. Raises psycopg.Error."""
    row = connection.execute(files.load("checks/server")).fetchone()
    assert row is not None
    number, version, encoding, in_recovery = row
    found: list[Finding] = []
    if number < _OLDEST:
        found.append(
            Finding(
                "error",
                f"PostgreSQL {version} is too old: transition tables, pg_current_xact_id() and "
                "what builds on them need 13",
                "upgrade PostgreSQL to 13 or newer",
            )
        )
    if encoding == "SQL_ASCII":
        found.append(
            Finding(
                "error",
                "the database has the encoding SQL_ASCII: its text may be any bytes, JSON may not",
                "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0; and restore a dump into it",
            )
        )
    if in_recovery:
        found.append(
            Finding(
                "error",
                "this server is a standby: it has no LISTEN, and takes no triggers",
                "postgres.host: name the primary (or all servers, with target_session_attrs: "
                "read-write)",
            )
        )
    return found
