"""Follows one table as the daemon does, into a dictionary instead of an index."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any, cast

import pytest

from listener.capture import watermark
from listener.capture.server_clock import ServerClock
from listener.capture.sweep import Sweep
from listener.capture.watermark import Draw
from listener.changes import Watch
from listener.postgres import Connection
from playground.postgres import PostgresServer
from tests.kit.servers import revive
from tests.kit.triggers import SCHEMA, Bench, open_bench
from tests.watermark.rules import Rule

HELD = 4711
"""Key of the advisory lock that a row with n = -1 waits for after its stamp. n = -2: for 30 ms."""

_TABLE = f"""
CREATE FUNCTION held(n integer) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  IF n = -1 THEN PERFORM pg_advisory_xact_lock_shared({HELD}); END IF;
  IF n = -2 THEN PERFORM pg_sleep(0.03); END IF;
  RETURN true;
END $$;
CREATE TABLE t (id integer PRIMARY KEY, n integer CHECK (held(n)));
"""
KINDS = ("timestamptz", "timestamp", "journal")
"""Of stamps: the types of a column, and the journal's own."""
_MOST_TICKS = 2000


def nothing() -> None:
    """Nobody does anything meanwhile."""


@pytest.fixture(scope="module")
def database_for_all(postgres_server: PostgresServer) -> Iterator[str]:
    """One database for all tests of a module: a new one takes longer than a test."""
    revive(postgres_server)
    name = f"test_{secrets.token_hex(5)}"
    postgres_server.create_database(name)
    yield name
    revive(postgres_server)
    postgres_server.drop_database(name)


@pytest.fixture
def bench(postgres_server: PostgresServer, database_for_all: str) -> Iterator[Bench]:
    """An empty database, as it is afterwards."""
    for bench in open_bench(postgres_server, database_for_all):
        yield bench
        bench.run(
            f"DROP TABLE IF EXISTS t; DROP FUNCTION IF EXISTS held; "
            f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE"
        )


class Follower:
    """The order of a tick is that of Ticker.tick, and a session begins as there."""

    def __init__(self, bench: Bench, rule: Rule, kind: str) -> None:
        """`kind`: the type of the stamp column, or `journal`."""
        column = None if kind == "journal" else "updated_at"
        watch = Watch("public", "t", ("id",), column, notify="off")
        bench.run(_TABLE + (f"ALTER TABLE t ADD COLUMN updated_at {kind}" if column else ""))
        bench.install(watch)
        self.index: dict[int, int] = {}
        self._bench = bench
        self._rule = rule
        self._table = "listener.journal" if column is None else "public.t"
        self._connection = bench.connect(options="-c TimeZone=UTC")
        self._new_sweep = partial(
            Sweep, [watch], {watch.id: ("integer",)}, {watch.id: kind == "timestamp"}, SCHEMA
        )
        self.begin()
        self._twist()
        self.watermark = watermark.draw(self._connection).at

    def begin(self) -> None:
        """A new session: what the one before saw is forgotten, but for the watermark."""
        self._sweep = self._new_sweep()
        self._clock = ServerClock()
        self._draw: Draw | None = None

    def _twist(self) -> None:
        """Put the wrong text into the trigger functions."""
        if self._rule.stamp is None:
            return
        right, wrong = self._rule.stamp
        found = self._bench.admin.execute(
            "SELECT pg_get_functiondef(oid) FROM pg_proc "
            "WHERE pronamespace = 'listener'::regnamespace AND prosrc LIKE %s",
            [f"%{right}%"],
        ).fetchall()
        assert found, f"no trigger function has the text {right}"
        for (text,) in found:
            self._bench.run(text.replace(right, wrong))

    @property
    def since(self) -> datetime:
        """Where a sweep starts."""
        return self.watermark - self._rule.overlap

    def tick(
        self, meanwhile: Callable[[], None] = nothing, drawing: Callable[[], None] = nothing
    ) -> bool:
        """One tick; whether the watermark moved.

        `meanwhile` happens between the proof and the read, `drawing` between the two statements of
        the draw.
        """
        self._look_at_the_clock()
        if self._draw is None:
            self._draw = self._rule.draw(cast(Connection, Between(self._connection, drawing)))
        drawn = self._draw
        proven = False
        if self._rule.proof_first:
            proven = self._rule.passed(self._connection, drawn)
            meanwhile()
        last = self._read(None if proven else self._rule.overlap)
        if not self._rule.proof_first:
            meanwhile()
            proven = self._rule.passed(self._connection, drawn)
        if proven:
            self._draw = None
            if self._rule.advances == "to the draw":
                self.watermark = drawn.at
            elif last is not None:
                self.watermark = max(self.watermark, last)
            self._sweep.forget_before(self.since)
        return proven

    def _look_at_the_clock(self) -> None:
        """As Progress.draw: the watermark goes back, and the session ends."""
        asked = time.monotonic()
        at, _ = watermark.now(self._connection)
        back = self._clock.went_back(asked, at, time.monotonic())
        if back is not None and self._rule.watches_clock:
            self.watermark -= timedelta(seconds=back) + self._rule.overlap
            self.begin()

    def _read(self, recent: timedelta | None) -> datetime | None:
        """A sweep, then the documents by their ids; the last stamp that was there to be seen."""
        row = self._connection.execute(
            f"SELECT max(updated_at)::timestamptz FROM {self._table}".encode()
        ).fetchone()
        keys = [
            int(key[0])
            for page in self._sweep.pages(self._connection, self.since, silent=True, recent=recent)
            for change in page.changes
            for key in change.keys
        ]
        documents = self._connection.execute(
            "SELECT id, n FROM t WHERE id = ANY(%s)", [keys]
        ).fetchall()
        for key in keys:
            self.index.pop(key, None)
        self.index.update(documents)
        return None if row is None else row[0]

    def settle(self) -> None:
        """Tick until all that was written before this call is behind the watermark."""
        moved = 0
        for _ in range(_MOST_TICKS):
            moved += self.tick()
            if moved == 2:
                return
        pytest.fail("the watermark stands still though nobody writes")

    def lost(self) -> dict[int, tuple[int | None, int | None]]:
        """What the dictionary has and what the table has, where they differ."""
        rows = self._bench.admin.execute("SELECT id, n FROM t").fetchall()
        right: dict[int, int] = dict(rows)
        return {
            key: (self.index.get(key), right.get(key))
            for key in sorted(self.index.keys() | right.keys())
            if self.index.get(key) != right.get(key)
        }


class Between:
    """A connection on which somebody does something after the first statement."""

    def __init__(self, connection: Connection, then: Callable[[], None]) -> None:
        self._connection = connection
        self._then: Callable[[], None] | None = then

    def execute(self, *arguments: Any) -> Any:
        """The statement, and after the first one what was asked for."""
        cursor = self._connection.execute(*arguments)
        then, self._then = self._then, None
        if then is not None:
            then()
        return cursor
