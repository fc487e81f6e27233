"""The identity: which history of the database a watermark speaks of.

A promoted replica, a restored dump or volume has another past; rows may have gone back to older
stamps, which no sweep from the watermark would see.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from psycopg import sql

from listener import triggers
from listener.changes import Watch
from listener.observations.surprises import Unfit
from listener.postgres import Connection
from listener.search.owners import Database
from listener.sql import files
from listener.state.model import Identity

FORMER: Final = "former children of "
"""How those parts of a fingerprint begin that PostgreSQL forgets by itself."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the database says of itself now. `nonce` None: our schema, `schema`, holds none.

    `renewals`: the nonce's number in `line`, its line of renewals; None: it was not counted, or not
    written where it stands now, as where a dump brought it back.
    """

    system_identifier: str
    timeline: int
    database_oid: int
    schema: str
    wal_lsn: str
    nonce: str | None
    tables: Mapping[str, int]
    fingerprint: Mapping[str, str]
    now: datetime
    asked: datetime
    answered: datetime
    """Our own clock, just before and after the server's was read: `now` belongs between the two."""
    line: str | None = None
    renewals: int = 0

    @property
    def ahead(self) -> float:
        """Seconds by which the database's clock is ahead of this machine's, at least."""
        return (self.now - self.answered).total_seconds()

    @property
    def key(self) -> tuple[str, int, str]:
        """What tells the database, and our schema in it, from all others; as of Database."""
        return self.system_identifier, self.database_oid, self.schema

    @property
    def triggers(self) -> str:
        """The fingerprint as a hash."""
        return trigger_hash(self.fingerprint)


def read(connection: Connection, watches: Sequence[Watch], schema: str) -> Facts:
    """Read the facts. Raises psycopg.Error."""
    row = connection.execute(files.load("watermark/identity")).fetchone()
    assert row is not None
    asked = datetime.now(UTC)
    nonce = connection.execute(
        sql.SQL(files.load("watermark/nonce")).format(meta=sql.Identifier(schema, "meta"))
    ).fetchone()
    answered = datetime.now(UTC)
    if nonce is None:
        raise Unfit(
            f"{schema}.meta is empty: `listener triggers install` fills it; all is compared then"
        )
    tables: dict[str, int] = {}
    for watch in watches:
        name = sql.Identifier(watch.schema, watch.table).as_string(connection)
        found = connection.execute(
            "SELECT pg_catalog.to_regclass(%s)::oid::bigint", (name,)
        ).fetchone()
        tables[f"{watch.schema}.{watch.table}"] = int(found[0] or 0) if found else 0
    return Facts(
        row[0],
        row[1],
        row[2],
        schema,
        row[3],
        nonce[0],
        tables,
        triggers.fingerprint(connection, watches, schema),
        nonce[3],
        asked,
        answered,
        nonce[1],
        nonce[2],
    )


def database(connection: Connection, schema: str) -> Database:
    """The database as our indexes name it. Raises psycopg.Error."""
    row = connection.execute(files.load("watermark/identity")).fetchone()
    assert row is not None
    return Database(row[0], row[2], schema, connection.info.dbname)


def trigger_hash(fingerprint: Mapping[str, str]) -> str:
    """Changes whenever anything that records changes was altered, though it was altered back.

    After it come the tables that had children once, which ANALYZE forgets. To be compared by
    `triggers_altered`.
    """
    lasting = {name: one for name, one in fingerprint.items() if not name.startswith(FORMER)}
    digest = hashlib.sha256(repr(sorted(lasting.items())).encode()).hexdigest()[:16]
    return " ".join([digest, *sorted(fingerprint[name] for name in fingerprint.keys() - lasting)])


def triggers_altered(before: str, now: str) -> bool:
    """Whether one `trigger_hash` tells of a change since the other."""
    (former, *had), (found, *have) = before.split() or [""], now.split()
    return former != found or not set(have) <= set(had)


def position(lsn: str) -> int:
    """A WAL position as a number, from its text `16/B374D848`."""
    high, _, low = lsn.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def other_database(saved: Identity, key: tuple[str, int, str]) -> str | None:
    """Why what was saved is not of this database (`key`: as of Facts), or of another schema of
    listener's in it; or None.
    """
    system, oid, schema = key
    if saved.system_identifier != system:
        return "it belongs to another PostgreSQL cluster"
    if saved.database_oid != oid:
        return "it belongs to another database of this cluster (or to one that was made anew)"
    if saved.db_schema not in (None, schema):
        return f"it belongs to the schema {saved.db_schema} (postgres.schema), not {schema}"
    return None


def another_past(saved: Identity, facts: Facts) -> bool:
    """Whether the database is not the one that was left: promoted, restored, or another one."""
    return _elsewhere(saved, facts) or not (saved.left(facts.nonce) or _went_on(saved, facts))


def is_outdated(saved: Identity, remote: Identity | None, facts: Facts) -> bool:
    """Whether it is proven that this same database went on after the last nonce of `saved`, and
    that what was saved since is gone: Elasticsearch went back, with the control document.

    `remote`: the identity of the control document; None: it has none. Where the database's nonce
    stands there, only another daemon was at work. An unknown nonce alone says nothing of which of
    the two is the older one.
    """
    current = remote is not None and remote.left(facts.nonce)
    known = current or saved.left(facts.nonce)
    return not known and _went_on(saved, facts) and not _elsewhere(saved, facts)


def _elsewhere(saved: Identity, facts: Facts) -> bool:
    """Whether it is another database, or one that was promoted or shows an older WAL."""
    return (
        other_database(saved, facts.key) is not None
        or saved.timeline != facts.timeline
        or position(facts.wal_lsn) < position(saved.wal_lsn)
    )


def _went_on(saved: Identity, facts: Facts) -> bool:
    """Whether the nonce was renewed since, in the same line."""
    return (
        saved.line is not None
        and saved.line == facts.line
        and saved.renewals is not None
        and saved.renewals < facts.renewals
    )


def differences(
    saved: Identity,
    facts: Facts,
    last_processed: datetime | None,
    overlap: timedelta,
    *,
    outdated: bool,
) -> list[str]:
    """Why the history is another one than the saved one, in words; empty: it is the same.

    `outdated`: what was saved is (see `is_outdated`), so that its nonce is a former one.
    The server's clock may have gone back while no daemon ran: rows may bear stamps from before the
    watermark. It shows where the watermark is in the future. Where no daemon ran for longer than
    the step, it shows by this machine's clock: the two have moved apart by more than sweeps reach
    back.
    """
    found: list[str] = []
    if saved.system_identifier != facts.system_identifier:
        found.append("another PostgreSQL cluster answers at this address")
    if saved.database_oid != facts.database_oid:  # a copy of it has the same tables, by oid too
        found.append("another database bears this name now")
    if saved.db_schema not in (None, facts.schema):
        found.append(f"our schema is {facts.schema} instead of {saved.db_schema}")
    if saved.timeline != facts.timeline:
        found.append(f"timeline {facts.timeline} instead of {saved.timeline} (a promoted replica)")
    if position(facts.wal_lsn) < position(saved.wal_lsn):
        found.append(f"the WAL is at {facts.wal_lsn}, before {saved.wal_lsn}")
    if not (saved.left(facts.nonce) or outdated):
        found.append("the nonce in our schema is not the one that this pipeline left there")
    for table, oid in saved.tables.items():
        if facts.tables.get(table, oid) != oid:
            found.append(f"{table} is another table than before")
    if saved.triggers and triggers_altered(saved.triggers, facts.triggers):
        found.append("triggers or watched tables were altered, and may have missed changes")
    if last_processed is not None and last_processed > facts.now:
        found.append(f"the watermark {last_processed} is in the future: the clock was set back")
    elif saved.ahead is not None:
        back = saved.ahead - (facts.now - facts.asked).total_seconds()
        if back > overlap.total_seconds():
            found.append(f"the server's clock was set back by {back:.1f} s, measured by ours")
    return found
