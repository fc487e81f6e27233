"""Looking watched tables up, with everything that is wrong told at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from listener.changes import Watch
from listener.config import TriggersConfig
from listener.postgres import Connection
from listener.postgres.server import OLDEST, Server, look
from listener.triggers.catalog import Catalog, TriggerError, Watched, rows
from listener.triggers.finder import Finder
from listener.triggers.strangers import refuse_name


def resolve(
    conn: Connection, watches: Sequence[Watch], schema: str, config: TriggersConfig
) -> Catalog:
    """Look the watched tables up. Raises TriggerError with everything that is wrong at once."""
    catalog, problems = look_up(conn, watches, schema, config)
    if problems:
        raise TriggerError(*problems)
    return catalog


def look_up(
    conn: Connection, watches: Sequence[Watch], schema: str, config: TriggersConfig
) -> tuple[Catalog, tuple[str, ...]]:
    """Those of the watched tables with which nothing is wrong, and all that is wrong with others.

    Raises psycopg.Error.
    """
    server = look(conn)
    problems = list(_server(conn, server, watches, schema, config))
    if server.ascii_only:
        return Catalog(()), tuple(problems)  # without an encoding, names are no text either
    watched: list[Watched] = []
    seen: dict[int, str] = {}
    for watch in watches:
        found = Finder(conn, watch, watches, schema)
        one = found.look()
        problems.extend(found.problems)
        if one is not None:
            watched.append(one)
            problems.extend(_watched_twice(one, seen))
    return Catalog(tuple(watched)), tuple(dict.fromkeys(problems))


def _server(
    conn: Connection,
    server: Server,
    watches: Sequence[Watch],
    schema: str,
    config: TriggersConfig,
) -> Iterator[str]:
    if server.too_old:
        yield f"PostgreSQL {server.major} is too old: {OLDEST} or newer is needed"
    if server.ascii_only:
        yield (
            "the database's encoding is SQL_ASCII, whose bytes have no meaning that JSON could "
            "carry: dump it and restore it into a database with ENCODING 'UTF8'"
        )
    yield from refuse_name(schema)
    yield from _published(conn, schema, config)
    for watch in watches:
        if [one.id for one in watches].count(watch.id) > 1:
            yield f"{watch.id} is watched twice"
        if server.two_phase > 0 and watch.notifies and not config.no_2pc:
            yield (
                f"{watch.schema}.{watch.table}: notify is {watch.notify}, but "
                f"max_prepared_transactions is {server.two_phase}, and PREPARE TRANSACTION fails "
                "after a NOTIFY: write `notify: off` for this table, or `no_2pc: true` under "
                "`triggers` if nobody prepares transactions that write it"
            )


def _published(conn: Connection, schema: str, config: TriggersConfig) -> Iterator[str]:
    """Tables of listener that would be new to the subscribers of a publication of all tables.

    The first row in one of them would stop these, and WAL would pile up here.
    """
    for publication, anew in rows(conn, "published_all", schema=schema):
        if anew and not config.published:
            yield (
                f"the publication {publication} is FOR ALL TABLES and would carry the tables of "
                f"the schema {schema}, too: a subscriber that lacks them stops replicating. Name "
                "its tables or schemas in a publication instead; or write `published: true` under "
                "`triggers`, make what `listener triggers print` says for that schema at each "
                "subscriber, then install"
            )


def _watched_twice(one: Watched, seen: dict[int, str]) -> Iterator[str]:
    """A table may be watched directly, or as a part of its root, but not both."""
    for member in one.members:
        root = seen.setdefault(member.oid, one.label)
        if root != one.label:
            yield (
                f"{member.label} is watched as a part of {root} and of {one.label}: keep the one "
                "that contains the other"
            )
