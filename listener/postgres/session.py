"""Sessions of PostgreSQL: how they are opened and set up, and how one is cut."""

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
from psycopg import errors, sql
from psycopg.abc import PQGen

from listener.config import PostgresConfig
from listener.config.settings import ConfigError, secret
from listener.postgres.errors import Pooled, SecretAway, grant_for
from listener.postgres.moments import Moments

T = TypeVar("T")

Connection = psycopg.Connection[tuple[Any, ...]]

SESSION: Final[Mapping[str, str]] = {
    # a time limit of the role's is for its own statements, not for those that wait or page; where
    # it may be kept, see `connect`
    "idle_in_transaction_session_timeout": "0",
    "lock_timeout": "0",
    # what the statements mean must not depend on a role's defaults
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "quote_all_identifiers": "off",
    "gin_fuzzy_search_limit": "0",
    "plan_cache_mode": "auto",
    # the statements read little, and soon again: to compile one takes longer than to run it
    "jit": "off",
    # an error of one row must not end the session that looks for it
    "exit_on_error": "off",
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

_LATER: Final[Mapping[str, int]] = {"idle_session_timeout": 140000, "transaction_timeout": 170000}
"""Settings that are set to 0, by the first version of the server that knows them."""

_INTERVAL: Final = 10.0
"""Seconds between two wakings of a thread that waits for a server."""


class Session(psycopg.Connection[tuple[Any, ...]]):
    """A connection that shows since when it waits for the server, and that can be cut."""

    name: str = ""
    busy_since: float | None = None
    """When the statement that is under way began (monotonic clock); None: there is none."""

    waits_for_lock: bool = False
    """Whether that statement waited for a lock of others at the watchdog's last look."""

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
        except errors.InsufficientPrivilege as error:
            way = grant_for(error, sql.Identifier(self.info.user).as_string(self))
            if way is not None:
                error.add_note(f"the role {self.info.user} lacks a right: {way}")
            raise
        finally:
            self.busy_since = None
            self.waits_for_lock = False

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
    """Open a session in autocommit with listener's settings. `name`: as of `conninfo`.

    `timed`: leave the role's statement_timeout in force (for documents: a batch that takes too
    long is halved); polls and proofs must not be cut short.

    Raises psycopg.OperationalError where no host answers or the log-in is refused, Pooled where
    the way leads through a pooler.
    """
    try:
        parameters = conninfo(config, name)
    except ConfigError as error:
        raise SecretAway(str(error)) from None
    return open_session(parameters, name, timed=timed)


def open_session(parameters: Mapping[str, Any], name: str, *, timed: bool = False) -> Session:
    """The same with parameters of psycopg.connect."""
    try:
        connection = Session.connect(**parameters, autocommit=True)
    except psycopg.OperationalError as error:
        host = str(parameters.get("host"))
        if host not in str(error):
            error.add_note(f"host {host}, port {parameters.get('port')}")
        raise
    connection.adapters.register_loader("timestamptz", Moments)
    connection.name = name
    connection.opened_at = time.monotonic()
    with _SESSIONS_LOCK:
        _SESSIONS.add(connection)
    try:
        settle(connection, timed=timed)
    except BaseException:
        connection.close()
        raise
    return connection


def settle(connection: Connection, *, timed: bool = False) -> None:
    """Give a new session listener's settings. Raises Pooled where it is no session of its own.

    Behind a pooler they would stay on a backend that others use afterwards. So one statement looks
    whether the backend is the one that the connection was told of, and sets nothing where it is
    not.
    """
    settings = dict(SESSION)
    if not timed:
        settings["statement_timeout"] = "0"
    for name, version in _LATER.items():
        if connection.info.server_version >= version:
            settings[name] = "0"
    told = connection.info.backend_pid
    row = connection.execute(
        sql.SQL("SELECT b.pid, CASE WHEN b.pid = {} THEN {} END FROM {} AS b (pid)").format(
            sql.Literal(told),
            sql.SQL(" || ").join(
                sql.SQL("pg_catalog.set_config({}, {}, false)").format(key, value)
                for key, value in settings.items()
            ),
            sql.SQL("pg_catalog.pg_backend_pid()"),
        )
    ).fetchone()
    if row is None or row[0] != told:
        raise Pooled(
            "a connection pooler stands between listener and PostgreSQL: the backend is "
            f"{row and row[0]}, the connection was told {told}; LISTEN, advisory locks and "
            "settings belong to a backend and would get lost"
        )
