"""`listener triggers install | remove | print`."""

from __future__ import annotations

import argparse
import re
import sys

import psycopg
from psycopg.conninfo import conninfo_to_dict

from listener import postgres, triggers
from listener.capture.lock import lock_holder
from listener.config import Config
from listener.config.values import refuse_log_in
from listener.documents.in_use import kept_now
from listener.documents.topology import KeptDefinitions, installation_of
from listener.failures import failure_of
from listener.observations.events import Observe
from listener.runtime.lifecycle import Stop, Stopped


def arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument(
        "action",
        choices=["install", "remove", "print"],
        help="install what is missing; remove all of ours; print the SQL that install would run",
    )
    parser.add_argument(
        "--dsn",
        help="connect with this libpq connection string, for example as the tables' owner, "
        "instead of the role of the configuration (give the password by PGPASSWORD or .pgpass)",
    )
    parser.add_argument(
        "--take-over",
        action="store_true",
        help="though the schema belongs to a pipeline of another name: that this one had before",
    )


def run(config: Config, observe: Observe, stop: Stop, given: argparse.Namespace) -> int:
    """Do it; 0 done, 2 it cannot be done, 3 the server is away, 4 a daemon is active."""
    try:
        with _connect(config, given.dsn) as connection:
            return _act(config, connection, observe, stop, given)
    except triggers.TriggerError as error:
        for problem in error.problems:
            print(f"listener: {problem}", file=sys.stderr)
        return 2
    except ValueError as error:
        print(f"listener: {error}", file=sys.stderr)
        return 2
    except psycopg.Error as error:
        failure = failure_of(error)
        print(f"listener: {failure}", file=sys.stderr)
        return 3 if failure.passes else 2
    except Stopped:
        return 130


def _act(
    config: Config,
    connection: postgres.Connection,
    observe: Observe,
    stop: Stop,
    given: argparse.Namespace,
) -> int:
    schema = config.postgres.db_schema
    kept = _kept(config, connection) if given.action != "remove" else KeptDefinitions()
    wanted = installation_of(config, kept.fit, take_over=given.take_over)
    if not given.take_over:
        triggers.refuse_other_pipeline(connection, schema, config.pipeline)
    if given.action == "print":
        print(triggers.script(triggers.plan(connection, wanted)), end="")
        return 0
    if (given.action == "remove" or given.take_over) and _active(connection, schema):
        return 4
    if given.action == "remove":
        for line in triggers.remove(connection, schema, observe=observe, stop=stop):
            print(line)
        print("removed")
        return 0
    count = triggers.install(connection, wanted, observe=observe, stop=stop)
    print(f"installed: {count} statements" if count else "nothing to do")
    return 0


def _kept(config: Config, connection: postgres.Connection) -> KeptDefinitions:
    """What indexes in use need beside the files as they are; says so where it is not known."""
    kept, unknown = kept_now(config, connection)
    if unknown is not None:
        print(
            f"listener: {unknown}\nlistener: so triggers that are only needed by an index in use, "
            "which earlier files have made, are removed",
            file=sys.stderr,
        )
    return kept


def check_dsn(dsn: str) -> None:
    """Raises ValueError, without any of its text, where this is no connection string."""
    if not _is_connection_string(dsn):
        raise ValueError(
            "--dsn: it is no connection string of libpq. Write host=… dbname=… user=…, or "
            "postgresql://USER@HOST:PORT/DATABASE, and the password in PGPASSWORD or .pgpass"
        )


def _is_connection_string(dsn: str) -> bool:
    """Whether libpq can read it, and reads what it says. Where a password has a sign that a URI
    must spell as %XX, a part of it counts as host, port or database."""
    try:
        parts = conninfo_to_dict(dsn)
        for option in ("host", "dbname", "user"):
            refuse_log_in(option, str(parts.get(option) or ""))
    except (psycopg.Error, ValueError):
        return False
    return re.fullmatch(r"[\d,\s]*", str(parts.get("port") or "")) is not None


def _active(connection: postgres.Connection, schema: str) -> bool:
    """Whether a daemon works with this schema; says so."""
    active = lock_holder(connection, schema)
    if active is not None:
        print(
            f"listener: a daemon is active (PostgreSQL process {active}) and would "
            "miss every change from here on: stop it first",
            file=sys.stderr,
        )
    return active is not None


def _connect(config: Config, dsn: str | None) -> postgres.Connection:
    """Raises ValueError where the connection string is none."""
    if dsn is None:
        return postgres.connect(config.postgres, "listener: triggers")
    check_dsn(dsn)
    connection = psycopg.connect(dsn, autocommit=True, application_name="listener: triggers")
    try:
        postgres.settle(connection)
    except BaseException:
        connection.close()
        raise
    return connection
