"""Who writes: sessions of the application, of replication, of another time zone; open ones too."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import psycopg

from tests.kit.scene import APPLICATION, PASSWORD, Scene
from tests.kit.writes.statements import Connection, Write, execute

WHO: Final = ("application", "application", "replica", "Asia/Kathmandu", "America/St_Johns")
"""`replica` writes with session_replication_role = replica; others are time zones."""
SAVED: Final = ("plain", "plain", "release", "rollback")
"""What becomes of a savepoint before the write."""

Part = tuple[str, int, str]
"""Name of a write, its seed, and one of SAVED."""

_OPTIONS: Final = "-c lock_timeout=2s -c statement_timeout=60s"
_GONE: Final = ("57P", "08")
"""SQLSTATE classes of a server that is away."""


@dataclass(slots=True)
class _Open:
    """A transaction that waits for its end."""

    connection: Connection
    prepared: str | None = None
    lost: bool = False


class Sessions:
    """The connections of one database."""

    def __init__(self, scene: Scene, vocabulary: dict[str, Write]) -> None:
        self._scene = scene
        self._vocabulary = vocabulary
        self._idle: dict[str, Connection] = {}
        self._open: dict[int, _Open] = {}
        self._holders: dict[int, Connection] = {}
        self._number = 0
        self.refused: list[str] = []
        """Writes that did not get a lock in time."""
        self.outages = 0
        """How often PostgreSQL itself was away: connections may be lost for it."""

    # -- whole transactions ----------------------------------------------------------------------

    def transaction(self, slice_: int, who: str, end: str, parts: Sequence[Part]) -> None:
        """Writes in one transaction (`end`: commit or rollback), or each in its own (`each`)."""
        with self._patient(who):
            connection = self._connection(who)
            if end == "each":
                for name, seed, _ in parts:
                    self._vocabulary[name].run(connection, random.Random(seed), slice_)
                return
            connection.execute(b"BEGIN")
            try:
                self._write(connection, slice_, parts)
                connection.execute(b"COMMIT" if end == "commit" else b"ROLLBACK")
            except psycopg.Error:
                if not connection.closed:
                    connection.execute(b"ROLLBACK")
                raise

    # -- open ones -------------------------------------------------------------------------------

    def open(self, slice_: int, who: str, parts: Sequence[Part]) -> None:
        """Begin a transaction, and write; without a write it has a beginning, but no id yet."""
        with self._patient(who):
            one = self._open[slice_] = _Open(self._connect(who))
            one.connection.execute(b"BEGIN")
        self.write(slice_, parts)

    def write(self, slice_: int, parts: Sequence[Part]) -> None:
        """Write on in an open transaction."""
        one = self._open.get(slice_)
        if one is None or one.lost:
            return
        one.lost = True
        with self._patient(f"open {slice_}"):
            self._write(one.connection, slice_, parts)
            one.lost = False

    def prepare(self, slice_: int) -> None:
        """PREPARE TRANSACTION."""
        one = self._open.get(slice_)
        if one is None or one.lost:
            return
        self._number += 1
        name = f"{self._scene.prefix} {self._number}"
        one.lost = True
        with self._patient("prepare"):
            one.connection.execute(f"PREPARE TRANSACTION '{name}'".encode())
            one.prepared, one.lost = name, False

    def end(self, slice_: int, end: str) -> None:
        """COMMIT or ROLLBACK, PREPARED where it is."""
        one = self._open.pop(slice_, None)
        if one is None:
            return
        command = end.upper()
        if one.lost and not one.prepared:
            command = "ROLLBACK"
        with self._patient("end"):
            connection = one.connection
            if one.prepared:
                command = f"{command} PREPARED '{one.prepared}'"
                if connection.closed:
                    connection = self._connect("application")
            connection.execute(command.encode())
        one.connection.close()

    # -- holders ---------------------------------------------------------------------------------

    def hold(self, number: int, where: str) -> None:
        """A transaction that only has an id: `own` database, or the `other` one of everybody."""
        dsn = self._scene.postgres.dsn(self._scene.database if where == "own" else "postgres")
        with self._patient("hold"):
            connection = psycopg.connect(dsn, autocommit=True, options=_OPTIONS)
            self._holders[number] = connection
            connection.execute(b"BEGIN; SELECT pg_current_xact_id()")

    def let_go(self, number: int) -> None:
        """It ends."""
        connection = self._holders.pop(number, None)
        if connection is not None:
            connection.close()

    def end_all(self, choice: random.Random) -> None:
        """Whatever is open ends, in some order."""
        for slice_ in choice.sample(sorted(self._open), len(self._open)):
            self.end(slice_, choice.choice(["commit", "commit", "rollback"]))
        for number in list(self._holders):
            self.let_go(number)

    def close(self) -> None:
        """All connections; prepared transactions are rolled back, as no database can be dropped
        that has some."""
        for one in self._open.values():
            if one.prepared:
                with contextlib.suppress(psycopg.Error):
                    self._scene.admin(f"ROLLBACK PREPARED '{one.prepared}'")
        opened = [one.connection for one in self._open.values()]
        for connection in [*opened, *self._idle.values(), *self._holders.values()]:
            connection.close()

    # -- inside ----------------------------------------------------------------------------------

    def _write(self, connection: Connection, slice_: int, parts: Sequence[Part]) -> None:
        for name, seed, saved in parts:
            statements = self._vocabulary[name].make(random.Random(seed), slice_)
            if saved != "plain":
                connection.execute(b"SAVEPOINT s")
            for statement in statements:
                execute(connection, statement)
            if saved != "plain":
                connection.execute(b"RELEASE s" if saved == "release" else b"ROLLBACK TO s")

    def _connection(self, who: str) -> Connection:
        found = self._idle.get(who)
        if found is None or found.closed:
            found = self._idle[who] = self._connect(who)
        return found

    def _connect(self, who: str) -> Connection:
        server, database = self._scene.postgres, self._scene.database
        if who == "replica":
            options = f"{_OPTIONS} -c session_replication_role=replica"
            return psycopg.connect(server.dsn(database), autocommit=True, options=options)
        zone = who if "/" in who else "UTC"
        return psycopg.connect(
            server.dsn(database, user=APPLICATION, password=PASSWORD),
            autocommit=True,
            options=f"{_OPTIONS} -c TimeZone={zone}",
        )

    @contextlib.contextmanager
    def _patient(self, what: str) -> Iterator[None]:
        """Excuses a lock that was not to be had, and a server that was away. Nothing else."""
        try:
            yield
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
            self.refused.append(f"{what}: {error}")
        except psycopg.OperationalError as error:
            state = error.sqlstate
            if not self.outages or not (state is None or state.startswith(_GONE)):
                raise
            self.refused.append(f"{what}: {error!r}")
