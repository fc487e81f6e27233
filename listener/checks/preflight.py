"""What is looked at before work begins: by `listener check`, and by `run` at its start."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from listener import triggers
from listener.changes import KeyType, Watch
from listener.checks import (
    Finding,
    Statement,
    check_files,
    check_installing,
    check_limits,
    check_privileges,
    check_statements,
    check_tables,
    sample,
)
from listener.config import Config, split_name
from listener.documents.definition import Definition
from listener.documents.files import ConfiguredFile, QueryFileError, read, sql_files
from listener.documents.queries import render
from listener.documents.topology import Assembly, installation_of, watches_of, with_way_out
from listener.postgres import Connection
from listener.triggers.nearest import nearest_table

_NAMED: Final = 10
"""Tables that are named."""
_SHOWN: Final = 3
"""Sentences that are told in full."""

INSTALL = (
    "run `listener triggers install` (or `listener triggers print` for the SQL), or set "
    "triggers.install to auto"
)


LATER = (
    "nothing now: the active daemon needs them as they are; this one mends them when it is active"
)


def look_at_triggers(
    config: Config,
    connection: Connection,
    *,
    kept: Iterable[Definition] = (),
    standby: bool = False,
) -> list[Finding]:
    """How the triggers differ from what they should be. `kept`: as of installation_of. `standby`:
    of a daemon that installs them itself when it is active, and not before.

    Raises TriggerError with what no installing mends, psycopg.Error and ValueError.
    """
    other = triggers.other_pipeline(connection, config.postgres.db_schema, config.pipeline)
    if other is not None:
        return [Finding("error", other.what, other.mend)]
    found = triggers.differences(connection, installation_of(config, kept))
    if not found.causes:
        return [
            Finding(
                "warning", one, f"polls read whole tables: {INSTALL}" if "index" in one else INSTALL
            )
            for one in found.slow
        ]
    told = []
    for cause in found.causes:
        what = _told(cause, absent=found.absent)
        if standby:
            told.append(Finding("warning", what, LATER))
        else:
            told.append(Finding("error", what, INSTALL if cause.mend is None else cause.mend))
    return told


def _told(cause: triggers.Cause, *, absent: bool) -> str:
    """One line, with the tables that it concerns."""
    tables = ", ".join(cause.tables[:_NAMED])
    if len(cause.tables) > _NAMED:
        tables += f" and {len(cause.tables) - _NAMED} more"
    if absent and cause.mend is None:
        return f"listener is not installed in this database: no triggers on {tables}"
    if len(cause.reasons) <= _SHOWN:
        return "; ".join(cause.reasons)
    on = f" on {tables}" if tables else ""
    return (
        f"{len(cause.reasons)} things of listener{on} are missing or not as they should be: "
        f"{cause.reasons[0]}, and so on"
    )


def look_at_database(
    config: Config, connection: Connection, parts: Assembly | None = None
) -> list[Finding]:
    """Rights, limits, tables and the user's files. Raises psycopg.Error.

    What is wrong with one table or file hides nothing of the others. `parts`: None where something
    is wrong with them.
    """
    watches = watches_of(config) if parts is None else parts.watches
    schema = config.postgres.db_schema
    found = check_privileges(connection, config.documents, schema)
    if config.triggers.install == "auto":
        found += check_installing(connection, schema)
    found += check_limits(connection, watches)
    found += check_tables(connection, watches, schema, config.triggers)
    if parts is None:
        found += look_at_own_tables(config, connection)
    found += check_files(config.documents)
    granted = {one.mend for one in found if one.mend.startswith("GRANT ")}
    # a right that a table lacks is told once, not for each file that reads it
    found += [one for one in look_at_statements(config, connection) if one.mend not in granted]
    return list(dict.fromkeys(found))


def look_at_own_tables(config: Config, connection: Connection) -> list[Finding]:
    """Tables of documents that are none, or no tables to page: of each document, whatever else is
    wrong. Raises psycopg.Error."""
    found: list[Finding] = []
    for document in config.documents:
        own = Watch(*split_name(document.table), document.key, notify="off")
        try:
            triggers.resolve(connection, [own], config.postgres.db_schema, config.triggers)
        except triggers.TriggerError as error:
            found += [Finding("error", one) for one in with_way_out(error, document).problems]
    return found


def look_at_statements(config: Config, connection: Connection) -> list[Finding]:
    """The user's SQL files, as PostgreSQL takes them: those of which `check_files` says nothing,
    and of which the tables are there. Raises psycopg.Error."""
    keys = {
        (one.table, one.key): Watch(*split_name(one.table), one.key, notify="off")
        for document in config.documents
        for one in (document, *document.watch)
    }
    watches = tuple(dict.fromkeys(keys.values()))
    catalog, _ = triggers.look_up(connection, watches, config.postgres.db_schema, config.triggers)
    types = catalog.types()
    meant = [
        near
        for one in watches
        if one.id not in types and (near := nearest_table(connection, one.schema, one.table))
    ]
    found: list[Finding] = []
    for document in config.documents:
        own = types.get(keys[document.table, document.key].id, ())
        statements = [
            _statement(one, types[keys[one.table, one.key].id], own)
            for one in sql_files(document)
            if keys[one.table, one.key].id in types
        ]
        good = [one for one in statements if one is not None]
        found += check_statements(connection, document, good, meant)
    return found


def _statement(
    file: ConfiguredFile, types: Sequence[KeyType], returns: Sequence[KeyType]
) -> Statement | None:
    """The file with a sample of keys in it; None: it is told by `check_files` what is wrong."""
    try:
        rendered = render(read(file.path), file.name, types, array=file.array, path=file.path)
    except QueryFileError:
        return None
    given = sample(file.name, types, array=file.array)
    if not file.array:
        given["limit"] = 1
    return Statement(file.role, file.path, rendered, given, returns)
