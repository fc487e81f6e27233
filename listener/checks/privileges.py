"""May our role read what it must read, and all of it?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from psycopg import sql

from listener.checks.finding import Finding
from listener.config import DocumentConfig, split_name
from listener.postgres import Connection
from listener.sql import files
from listener.triggers.refused import TYPES


def grant(connection: Connection, right: str, kind: str, *name: str) -> str:
    """`GRANT SELECT ON content.film TO listener;` with names quoted where they need it."""
    return (
        sql.SQL("GRANT {} ON {}{} TO {};")
        .format(
            sql.SQL(right),
            sql.SQL(kind),
            sql.Identifier(*name),
            sql.Identifier(connection.info.user),
        )
        .as_string(connection)
    )


def check_privileges(
    connection: Connection, documents: Iterable[DocumentConfig], schema: str
) -> list[Finding]:
    """Rights on watched tables, on the tables that page the full load, and on our own `schema`.

    What queries read beyond that is seen by `check_statements`. Tables that do not exist are
    told by the triggers. Raises psycopg.Error.
    """
    columns: dict[str, set[str]] = {}
    for document in documents:
        columns.setdefault(document.table, set()).update(document.key)
        for watch in document.watch:
            wanted = columns.setdefault(watch.table, set())
            wanted.update(watch.key)
            if watch.updated_at is not None:
                wanted.add(watch.updated_at)
    found: list[Finding] = []
    schemas: set[str] = set()
    for name, wanted in columns.items():
        found.extend(_table(connection, split_name(name), sorted(wanted), schemas))
    found.extend(_own_schema(connection, schema))
    return found


def check_installing(connection: Connection, schema: str) -> list[Finding]:
    """Rights that our role lacks to make its own `schema`, where that is lacking. Raises
    psycopg.Error."""
    rows = connection.execute(
        files.load("checks/installing"), {"schema": schema, "types": list(TYPES)}
    )
    role = connection.info.user
    return [
        Finding(
            "error",
            f"the role {role} cannot make listener's schema {schema}: it lacks {what}",
            mend,
        )
        for what, mend in rows
    ]


def _table(
    connection: Connection, name: tuple[str, str], columns: Sequence[str], schemas: set[str]
) -> Iterator[Finding]:
    row = connection.execute(
        files.load("checks/named"), {"schema": name[0], "table": name[1], "columns": columns}
    ).fetchone()
    if row is None:
        return
    usage, select, hidden = row
    role = connection.info.user
    if not usage and name[0] not in schemas:
        schemas.add(name[0])
        mend = grant(connection, "USAGE", "SCHEMA ", name[0])
        yield Finding("error", f"the role {role} may not use the schema {name[0]}", mend)
    if not select:
        mend = grant(connection, "SELECT", "", *name)
        yield Finding("error", f"the role {role} may not read {'.'.join(name)}", mend)
    if hidden:
        yield row_security(connection, name)


def row_security(connection: Connection, name: tuple[str, str]) -> Finding:
    """The finding for a table whose policies hide rows from our role."""
    role = sql.Identifier(connection.info.user).as_string(connection)
    return Finding(
        "error",
        f"row-level security hides rows of {'.'.join(name)} from the role "
        f"{connection.info.user}: their documents would be deleted",
        f"ALTER ROLE {role} BYPASSRLS;",
    )


def _own_schema(connection: Connection, schema: str) -> Iterator[Finding]:
    rows = connection.execute(files.load("checks/own"), {"schema": schema}).fetchall()
    for _, relation, lacking in rows:
        if relation is None:
            mend = grant(connection, lacking, "SCHEMA ", schema)
            what = f"the role {connection.info.user} may not use listener's schema {schema}"
        else:
            mend = grant(connection, lacking, "", schema, relation)
            what = f"the role {connection.info.user} lacks rights on {schema}.{relation}: {lacking}"
        yield Finding("error", what, mend)
