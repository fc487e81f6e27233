"""Is this a PostgreSQL that listener can work with?"""

from __future__ import annotations

from collections.abc import Iterator

from listener.checks.finding import Finding
from listener.postgres import Connection
from listener.postgres.server import OLDEST, Server, look


def check_server(connection: Connection) -> list[Finding]:
    """Version, encoding, recovery. Raises psycopg.Error."""
    return list(_judge(look(connection)))


def _judge(server: Server) -> Iterator[Finding]:
    if server.too_old:
        yield Finding(
            "error",
            f"PostgreSQL {server.version} is too old: transition tables, pg_current_xact_id() "
            f"and what builds on them need {OLDEST}",
            f"upgrade PostgreSQL to {OLDEST} or newer",
        )
    if server.ascii_only:
        yield Finding(
            "error",
            "the database has the encoding SQL_ASCII: its text may be any bytes, JSON may not",
            "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0; and restore a dump into it",
        )
    if server.in_recovery:
        yield Finding(
            "error",
            "this server is a standby: it has no LISTEN, and takes no triggers",
            "postgres.host: name the primary (or all servers, with target_session_attrs: "
            "read-write)",
        )
