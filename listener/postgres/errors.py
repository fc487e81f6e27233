"""Errors of PostgreSQL: which of them pass by themselves, in words, and what mends them."""

from __future__ import annotations

import re
from typing import Final

import psycopg
from psycopg import errors

from listener import ListenerError
from listener.observations.mends import with_mend

DIRECTLY: Final = "postgres.host, postgres.port: PostgreSQL itself, not the pooler"

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


class Pooled(ListenerError, psycopg.NotSupportedError):
    """A pooler stands before the server: LISTEN, locks and settings belong to one backend of it."""


class SecretAway(ListenerError, psycopg.OperationalError):
    """A file of the log-in cannot be read now, as while it is replaced by the next one."""


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
