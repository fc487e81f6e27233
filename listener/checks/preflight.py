"""What is looked at before work begins: by `listener check`, and by `run` at its start."""

from __future__ import annotations

from collections.abc import Iterator

from listener import triggers
from listener.checks import (
    Finding,
    Statement,
    check_installing,
    check_limits,
    check_privileges,
    check_statements,
    check_tables,
    sample,
)
from listener.config import Config
from listener.documents.topology import Assembly, installation_of
from listener.postgres import Connection

INSTALL = (
    "run `listener triggers install` (or `listener triggers print` for the SQL), or set "
    "triggers.install to auto"
)


LATER = (
    "nothing now: the active daemon needs them as they are; this one mends them when it is active"
)


def look_at_triggers(
    config: Config, connection: Connection, *, standby: bool = False
) -> list[Finding]:
    """How the triggers differ from what they should be. `standby`: of a daemon that
    installs them itself when it is active, and not before.

    Raises TriggerError with what no installing mends, psycopg.Error and ValueError.
    """
    other = triggers.other_pipeline(connection, config.postgres.db_schema, config.pipeline)
    if other is not None:
        return [Finding("error", other.what, other.mend)]
    found = triggers.differences(connection, installation_of(config))
    if found.wrong:
        if standby:
            return [Finding("warning", one, LATER) for one in found.wrong]
        return [Finding("error", one, INSTALL) for one in found.wrong]
    return [
        Finding(
            "warning", one, f"polls read whole tables: {INSTALL}" if "index" in one else INSTALL
        )
        for one in found.slow
    ]


def look_at_database(config: Config, connection: Connection, parts: Assembly) -> list[Finding]:
    """Rights, and the user's SQL files. Raises psycopg.Error."""
    found = check_privileges(connection, config.documents, config.postgres.db_schema)
    if config.triggers.install == "auto":
        found += check_installing(connection, config.postgres.db_schema)
    found += check_limits(connection, parts.watches)
    found += check_tables(connection, parts.watches, config.postgres.db_schema, config.triggers)
    for number, document in enumerate(config.documents):
        found += check_statements(connection, document, _statements(parts, number))
    return list(dict.fromkeys(found))


def _statements(parts: Assembly, number: int) -> Iterator[Statement]:
    source = parts.kinds[number].source.statements
    config, types = source.config, source.types
    given = sample("ids", types, array=True)
    yield Statement("query", config.query_file, source.rendered_query, given)
    for watch, rendered in source.rendered_mappings.items():
        given = sample("keys", parts.types[watch], array=True)
        yield Statement("mapping", source.mapping_paths[watch], rendered, given)
    if source.rendered_ids is not None and config.ids_file is not None:
        given = {**sample("after", types, array=False), "limit": 1}
        yield Statement("ids", config.ids_file, source.rendered_ids, given)
