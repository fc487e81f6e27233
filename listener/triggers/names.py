"""Names of what listener makes in PostgreSQL: deterministic, from hashes, short enough."""

from __future__ import annotations

import hashlib

from listener.changes import Watch
from listener.triggers.catalog import Member, Watched


def digest(*parts: str) -> str:
    """Twelve hexadecimal digits."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def bell(schema: str) -> int:
    """First key of the advisory locks by which triggers know whether the bell of a schema rings."""
    return int(digest(schema)[:7], 16)


def change_function(schema: str, one: Watched, event: str) -> str:
    """Name of the function, and of the triggers, of one watch and event.

    The schema is part of it: two pipelines may watch one table. Row triggers have names of their
    own: a partition cannot have a statement trigger with the name of a clone.
    """
    watch = one.watch
    name = f"listener_{digest(schema, watch.schema, watch.table, *watch.key)}_{event}"
    return f"{name}_row" if one.row_level else name


def stamp_function(schema: str, watch: Watch) -> str:
    """Name of the function that stamps the watched table."""
    return f"listener_{digest(schema, watch.schema, watch.table)}_stamp"


def stamp_trigger(schema: str, watch: Watch) -> str:
    """Name of the stamp trigger of the watched table: `~` sorts after all of ASCII."""
    return f"~listener_stamp_{digest(schema, watch.schema, watch.table)}"


def index_prefix(schema: str) -> str:
    """How the names of one pipeline's indexes begin."""
    return f"listener_at_{digest(schema)}_"


def index(schema: str, member: Member) -> str:
    """Name of listener's index on the stamp column of a table."""
    return index_on(schema, member.schema, member.name)


def index_on(schema: str, table_schema: str, table: str) -> str:
    """The same, by the names of the table."""
    return index_prefix(schema) + digest(table_schema, table)


def one_line(text: str) -> str:
    """Text that may stand in an SQL comment: names may hold newlines."""
    return " ".join(text.split())
