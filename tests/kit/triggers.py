"""A database with listener's triggers, and what they wrote and sent."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from psycopg import sql

from listener import triggers
from listener.changes import Change, Key, Watch, decode_keys, decode_payload
from listener.config import TriggersConfig
from listener.observations.events import Observation
from listener.postgres import Connection
from listener.runtime.lifecycle import Stop
from playground.postgres import PostgresServer

SCHEMA = "listener"
_DEADLINE = 20.0


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the journal."""

    watch: str
    kind: str
    keys: tuple[Key, ...]
    reason: str | None


@dataclass(frozen=True, slots=True)
class Told:
    """What one piece of SQL left behind: notifications, raw and decoded, and journal rows."""

    payloads: tuple[str, ...]
    changes: tuple[Change, ...]
    journal: tuple[Row, ...]

    def sent(self) -> set[Key]:
        """All keys that came by NOTIFY. Fails where one came twice or something else came."""
        return _once([key for one in self.changes for key in _keys(one.kind, one.keys)])

    def journaled(self) -> set[Key]:
        """All keys in the journal. Fails where one stands there twice or something else does."""
        return _once([key for one in self.journal for key in _keys(one.kind, one.keys)])

    def kinds(self) -> list[str]:
        """The kinds of the notifications."""
        return [one.kind for one in self.changes]


def _keys(kind: str, keys: tuple[Key, ...]) -> tuple[Key, ...]:
    assert kind == "keys"
    return keys


def _once(keys: list[Key]) -> set[Key]:
    assert len(set(keys)) == len(keys), f"a key came twice: {keys}"
    return set(keys)


@dataclass
class Bench:
    """One database; `admin` is the superuser's connection, which installs."""

    server: PostgresServer
    name: str
    admin: Connection
    ear: Connection
    watches: tuple[Watch, ...] = ()
    config: TriggersConfig = field(default_factory=TriggersConfig)
    role: str | None = None
    seen: list[Observation] = field(default_factory=list)
    _opened: list[Connection] = field(default_factory=list)

    @property
    def version(self) -> int:
        """The server's major version."""
        return self.admin.info.server_version // 10000

    def connect(self, user: str = "postgres", **options: Any) -> Connection:
        """One more connection in autocommit, closed at the end of the test."""
        conn = psycopg.connect(
            self.server.socket_dsn(self.name, user=user), autocommit=True, **options
        )
        self._opened.append(conn)
        return conn

    def new_role(self) -> str:
        """A role without any right, for this test alone (roles belong to the whole server)."""
        role = f"role_{secrets.token_hex(5)}"
        self.admin.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
        return role

    def run(self, text: str, conn: Connection | None = None) -> None:
        """Statements, as a user would send them: one string, one round trip."""
        (conn or self.admin).execute(text.encode())

    def value(self, text: str) -> Any:
        """The first value of the first row."""
        row = self.admin.execute(text.encode()).fetchone()
        assert row is not None
        return row[0]

    def install(self, *watches: Watch, **options: Any) -> int:
        """Install for these watches (none given: for the former ones)."""
        if watches:
            self.watches = watches
        arguments = {"observe": self.seen.append, "stop": Stop(), **options}
        conn, claim = arguments.pop("conn", self.admin), arguments.pop("claim", None)
        return triggers.install(conn, self.wanted(claim=claim), **arguments)

    def wanted(
        self,
        watches: Sequence[Watch] | None = None,
        schema: str = SCHEMA,
        *,
        claim: triggers.Claim | None = None,
    ) -> triggers.Installation:
        """What is to be installed for these watches (None: for the former ones)."""
        chosen = self.watches if watches is None else watches
        role = self.role if schema == SCHEMA else None
        return triggers.Installation(chosen, schema, self.config, role, claim)

    def remove(self) -> tuple[str, ...]:
        """Remove everything that `install` made."""
        return triggers.remove(self.admin, SCHEMA, observe=self.seen.append, stop=Stop())

    def status(self) -> tuple[str, ...]:
        """What is not as it should be."""
        return self.status_of(self.admin)

    def status_of(self, conn: Connection) -> tuple[str, ...]:
        """The same, as the role of this connection sees it."""
        try:
            return triggers.differences(conn, self.wanted()).wrong
        except triggers.TriggerError as error:
            return error.problems

    def slow(self) -> tuple[str, ...]:
        """What is missing for speed alone."""
        return triggers.differences(self.admin, self.wanted()).slow

    def plan(self) -> tuple[triggers.Step, ...]:
        """What is to be done."""
        return triggers.plan(self.admin, self.wanted())

    def fingerprint(self) -> dict[str, str]:
        """What the audit compares."""
        return triggers.fingerprint(self.admin, self.watches, SCHEMA)

    def told(self, work: str | Callable[[], object], conn: Connection | None = None) -> Told:
        """Do the work, then read what the triggers told; the journal is emptied."""
        if isinstance(work, str):
            self.run(work, conn)
        else:
            work()
        payloads = self.heard()
        journal: Sequence[tuple[Any, ...]] = ()
        if self.value(f"SELECT to_regclass('{SCHEMA}.journal') IS NOT NULL"):
            journal = self.admin.execute(
                "WITH gone AS (DELETE FROM listener.journal "
                "RETURNING updated_at, watch, kind, keys, reason) "
                "SELECT watch, kind, keys, reason FROM gone ORDER BY updated_at"
            ).fetchall()
        return Told(
            tuple(payloads),
            tuple(change_of(payload) for payload in payloads),
            tuple(
                Row(watch, kind, decode_keys(json.loads(keys)) if keys else (), reason)
                for watch, kind, keys, reason in journal
            ),
        )

    def heard(self) -> list[str]:
        """Everything up to a mark that is sent now: notifications come in the order of commits."""
        mark = f"mark {secrets.token_hex(8)}"
        self.admin.execute("SELECT pg_notify(%s, %s)", (SCHEMA, mark))
        payloads: list[str] = []
        for notify in self.ear.notifies(timeout=_DEADLINE):
            if notify.payload == mark:
                return payloads
            payloads.append(notify.payload)
        pytest.fail(f"the mark did not come back; before it came {payloads}")

    def close(self) -> None:
        """Close all connections."""
        for conn in (self.admin, self.ear, *self._opened):
            conn.close()


def change_of(payload: str) -> Change:
    """The change that a payload holds. Fails where it holds none."""
    decoded = decode_payload(payload)
    assert isinstance(decoded, Change)
    return decoded


def open_bench(server: PostgresServer, name: str) -> Iterator[Bench]:
    """A bench for one database, closed at the end."""
    dsn = server.socket_dsn(name)
    admin = psycopg.connect(dsn, autocommit=True)
    ear = psycopg.connect(dsn, autocommit=True)
    ear.execute(f"LISTEN {SCHEMA}")
    bench = Bench(server, name, admin, ear)
    try:
        yield bench
    finally:
        bench.close()


@pytest.fixture
def bench(postgres_server: PostgresServer, database: str) -> Iterator[Bench]:
    """An empty database."""
    yield from open_bench(postgres_server, database)
