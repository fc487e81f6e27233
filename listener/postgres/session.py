"""Connections to PostgreSQL: how sessions are set up, and which errors pass by themselves."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
import time
import weakref
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import psycopg
from psycopg import errors, sql
from psycopg.abc import Buffer, PQGen
from psycopg.types.datetime import TimestamptzLoader

from listener import ListenerError
from listener.config import PostgresConfig
from listener.config.settings import ConfigError, secret
from listener.observations.mends import with_mend

DIRECTLY: Final = "postgres.host, postgres.port: PostgreSQL itself, not the pooler"

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

_PASSING: Final = ("08", "53", "57P", "40", "55P03", "25006", "25P03", "25P04", "58")
"""SQLSTATE prefixes of faults that are the server's state, not the statement's: connection, no
resources, shutdown, rollback, lock not available, read-only (a demoted primary), a transaction that
took too long, system error."""

_UNTRUSTED: Final = re.compile(
    r"certificate|does not support SSL|SSL error: (?!unexpected eof)|SSL negotiation|sslmode",
    re.IGNORECASE,
)
"""What libpq says of TLS that does not pass by itself: it gives no SQLSTATE for these."""

_LOGIN: Final = re.compile(
    r"authentication failed for user|is not permitted to log in|no pg_hba\.conf entry|"
    r'FATAL:\s+(?:role|database) ".*" does not exist'
)
"""What a server says of a login that it refuses, in English. libpq gives no SQLSTATE for it."""

_HINTS: Final = (
    (
        re.compile(r"root certificate file \"[^\"]*\" does not exist"),
        "postgres.sslrootcert: a file with the CA's certificate, or `system`",
    ),
    (
        re.compile(r"certificate verify failed: (?:self.signed|unable to get)", re.IGNORECASE),
        "postgres.sslrootcert: the certificate of the CA that signed the server's",
    ),
    (
        re.compile(r"certificate verify failed: certificate has expired", re.IGNORECASE),
        "the server needs a new certificate",
    ),
    (
        re.compile("does not match host name", re.IGNORECASE),
        "postgres.host: a name that stands in the server's certificate, or postgres.sslmode: "
        "verify-ca",
    ),
    (
        re.compile("does not support SSL"),
        "postgres.sslmode: prefer, or turn `ssl` on in postgresql.conf",
    ),
    (
        re.compile(r"database \"[^\"]*\" does not exist"),
        "postgres.dbname: a database that this server has",
    ),
    (
        re.compile(r"authentication failed|role \"[^\"]*\" does not exist|no password supplied"),
        "postgres.user and password, that the server knows; a password_file is read again at each "
        "try",
    ),
    (
        re.compile("no pg_hba.conf entry"),
        "a line for this role, database and address in pg_hba.conf, or postgres.sslmode: require, "
        "where that asks for hostssl",
    ),
    (
        re.compile("timeout expired"),
        "postgres.host and port: of PostgreSQL, and open to this machine",
    ),
    (
        re.compile("failed to resolve host"),
        "postgres.host: a name that this machine can resolve",
    ),
    (
        re.compile("received invalid response to SSL negotiation|invalid response to GSSAPI"),
        "postgres.port: that of PostgreSQL; something else answers there",
    ),
    (
        re.compile("session is read-only"),
        "it is a standby, or default_transaction_read_only is on for the server, this database or "
        "this role",
    ),
)
"""What mends an error, by libpq's words."""

_DENIED: Final = re.compile(
    r"^permission denied for (table|view|relation|function|schema|type|domain) (.+)$"
)
"""In English; in other languages of the server the words of PostgreSQL must do."""
_CATALOG: Final = re.compile(r"pg_[a-z_]+")
_TYPES: Final = {
    "boolean": "bool",
    "smallint": "int2",
    "integer": "int4",
    "bigint": "int8",
    "real": "float4",
    "double precision": "float8",
    "timestamp with time zone": "timestamptz",
    "timestamp without time zone": "timestamp",
    "character varying": "varchar",
    "character": "bpchar",
}
"""What GRANT calls the types that messages call otherwise."""

_OTHER_OBJECT: Final = (
    errors.UndefinedTable,
    errors.UndefinedColumn,
    errors.UndefinedFunction,
    errors.UndefinedObject,
    errors.InvalidSchemaName,
    errors.WrongObjectType,
)
"""What a statement names is gone, or something else bears its name."""

_INTERVAL: Final = 10.0
"""Seconds between two wakings of a thread that waits for a server."""


FIRST_MOMENT: Final = datetime.min.replace(tzinfo=UTC)
LAST_MOMENT: Final = datetime.max.replace(tzinfo=UTC)
"""What stands for a moment that Python cannot tell."""


def moment(text: str) -> datetime:
    """A timestamp that PostgreSQL has printed (ISO); without a zone it is of UTC. What Python
    cannot tell becomes the first or the last moment that it can."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return FIRST_MOMENT if text.startswith("-") or text.endswith("BC") else LAST_MOMENT
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


class Moments(TimestamptzLoader):
    """Moments that Python cannot tell become the first or the last one that it can.

    `infinity` and years before Christ are values as others are: psycopg would fail for each.
    """

    def load(self, data: Buffer) -> datetime:
        try:
            return super().load(data)
        except psycopg.DataError:
            return moment(bytes(data).decode())


class Pooled(ListenerError, psycopg.NotSupportedError):
    """A pooler stands before the server: LISTEN, locks and settings belong to one backend of it."""


class SecretAway(ListenerError, psycopg.OperationalError):
    """A file of the log-in cannot be read now, as while it is replaced by the next one."""


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


def grant_for(error: errors.InsufficientPrivilege, role: str) -> str | None:
    """What gives `role`, quoted, the right that it lacked; None: the message does not tell.

    Not of what a function did inside: it may have the rights of another role.
    """
    found = _DENIED.match(error.diag.message_primary or "")
    if found is None or error.diag.context is not None:
        return None
    kind, name = found.groups()
    if kind in ("table", "view", "relation"):
        if not _CATALOG.fullmatch(name):  # the schema is not told
            return "`listener check` names the GRANT"
        return f"GRANT SELECT ON pg_catalog.{name} TO {role};"
    if kind in ("type", "domain"):
        return f"GRANT USAGE ON TYPE {_TYPES.get(name, name)} TO {role};"
    return f"GRANT {'USAGE' if kind == 'schema' else 'EXECUTE'} ON {kind.upper()} {name} TO {role};"


def is_passing(error: BaseException) -> bool:
    """Whether the same statement may succeed later on a new connection."""
    if isinstance(error, Pooled):
        return False
    if isinstance(error, psycopg.Error):
        if error.sqlstate is not None:
            return error.sqlstate.startswith(_PASSING)
        if isinstance(error, SecretAway):
            return True
        if isinstance(error, psycopg.OperationalError) and _UNTRUSTED.search(str(error)):
            return False
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return isinstance(error, OSError)


def is_refused_login(error: BaseException) -> bool:
    """Whether the server let this role not in. It is waited for, since a password may be rotated;
    but as a rule a person must mend it."""
    return isinstance(error, psycopg.OperationalError) and _LOGIN.search(str(error)) is not None


def describe(error: BaseException) -> str:
    """One line for a log: what is wrong, and what mends it."""
    return with_mend(*explain(error))


def explain(error: BaseException) -> tuple[str, str]:
    """PostgreSQL's message without its context and without values of rows, and what mends it;
    empty: that is not known."""
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        text = f"{error.diag.message_primary} (SQLSTATE {error.sqlstate})"
        text = "; ".join([text, *getattr(error, "__notes__", ())])
    else:
        text = " ".join(str(error).split()) or type(error).__name__
        text = "; ".join([text, *getattr(error, "__notes__", ())])
    if isinstance(error, Pooled):
        return text, DIRECTLY
    if isinstance(error, _OTHER_OBJECT) and error.diag.message_primary:
        mend = "`listener check` says what is not as it should be"
        if getattr(error, "__notes__", None):  # of a place in a file: installing mends none
            return text, mend
        return text, f"{mend}, `listener triggers install` makes anew what is listener's"
    if isinstance(error, psycopg.OperationalError):
        for pattern, mend in _HINTS:
            if pattern.search(text):
                return text.rstrip(".?"), mend
    return text, ""
