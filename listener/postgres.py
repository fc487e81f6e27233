"""Connections to PostgreSQL: how sessions are set up, and which errors pass by themselves."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import weakref
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import psycopg
from psycopg import sql
from psycopg.abc import PQGen

from listener.config import PostgresConfig
from listener.settings import secret

T = TypeVar("T")

Connection = psycopg.Connection[tuple[Any, ...]]

SESSION: Final[Mapping[str, str]] = {
    "TimeZone": "UTC",
    # what we read is what we send: it must not be undone by a crash
    "synchronous_commit": "on",
    # a role without a policy would see no rows and delete every document: make that an error
    "row_security": "off",
    "default_transaction_isolation": "read committed",
    # the text inside documents must not depend on a role's defaults
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "client_encoding": "UTF8",
    # a machine that vanished without a word must not hold the lock for hours
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}

_PASSING: Final = ("08", "53", "57P", "40", "55P03", "25006", "58")
"""SQLSTATE prefixes of faults that are the server's state, not the statement's: connection, no
resources, shutdown, rollback, lock not available, read-only (a demoted primary), system error."""

_INTERVAL: Final = 10.0
"""Seconds between two wakings of a thread that waits for a server."""


class Session(psycopg.Connection[tuple[Any, ...]]):
    """A connection that shows since when it waits for the server, and that can be cut."""

    name: str = ""
    busy_since: float | None = None
    """When the statement that is under way began (monotonic clock); None: there is none."""

    opened_at: float = 0.0
    """When the session was opened (monotonic clock)."""

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Wait for the server, as psycopg does."""
        self.busy_since = time.monotonic()
        if threading.current_thread() is not threading.main_thread():
            # psycopg wakes at each interval to see a Ctrl-C, which only the main thread is told of
            interval = _INTERVAL
        try:
            return super().wait(gen, interval, timeout)
        finally:
            self.busy_since = None

    def cut(self) -> None:
        """End the connection under a thread that waits on it: that thread gets an error."""
        with contextlib.suppress(OSError, psycopg.Error):
            descriptor = os.dup(self.fileno())
            with socket.socket(fileno=descriptor) as end:
                end.shutdown(socket.SHUT_RDWR)


_SESSIONS: Final[weakref.WeakSet[Session]] = weakref.WeakSet()
_SESSIONS_LOCK: Final = threading.Lock()


def sessions() -> list[Session]:
    """All open sessions of this process."""
    with _SESSIONS_LOCK:
        return [session for session in _SESSIONS if not session.closed]


def conninfo(config: PostgresConfig, name: str) -> dict[str, Any]:
    """Parameters of psycopg.connect. `name` is shown in pg_stat_activity."""
    parameters: dict[str, Any] = {
        "host": ",".join(config.host),
        "port": ",".join(str(port) for port in config.port),
        "dbname": config.dbname,
        "user": config.user,
        "sslmode": config.sslmode,
        "target_session_attrs": config.target_session_attrs,
        "connect_timeout": config.connect_timeout,
        "application_name": name,
        "tcp_user_timeout": 30000,  # milliseconds
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
    }
    password = secret(config.password, config.password_file)
    if password is not None:
        parameters["password"] = password
    if config.sslrootcert is not None:
        parameters["sslrootcert"] = str(config.sslrootcert)
    return parameters


def connect(config: PostgresConfig, name: str, *, timed: bool = False) -> Session:
    """Open a session in autocommit with our settings.

    `timed`: leave the role's statement_timeout in force (for documents: a batch that takes too
    long is halved); polls and proofs of ours must not be cut short.

    Raises psycopg.OperationalError where no host answers or the log-in is refused.
    """
    connection = Session.connect(**conninfo(config, name), autocommit=True)
    connection.name = name
    connection.opened_at = time.monotonic()
    with _SESSIONS_LOCK:
        _SESSIONS.add(connection)
    try:
        settings = dict(SESSION)
        if not timed:
            settings["statement_timeout"] = "0"
        if connection.info.server_version >= 140000:
            settings["idle_session_timeout"] = "0"
        connection.execute(
            sql.SQL("SELECT {}").format(
                sql.SQL(", ").join(
                    sql.SQL("pg_catalog.set_config({}, {}, false)").format(key, value)
                    for key, value in settings.items()
                )
            )
        )
    except BaseException:
        connection.close()
        raise
    return connection


def is_passing(error: BaseException) -> bool:
    """Whether the same statement may succeed later on a new connection."""
    if isinstance(error, psycopg.Error):
        if error.sqlstate is not None:
            return error.sqlstate.startswith(_PASSING)
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return isinstance(error, OSError)


def describe(error: BaseException) -> str:
    """One line for a log: PostgreSQL's message without its context and without values of rows."""
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return f"{error.diag.message_primary} (SQLSTATE {error.sqlstate})"
    return " ".join(str(error).split()) or type(error).__name__
