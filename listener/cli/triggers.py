"""`listener triggers install | remove | print`."""

from __future__ import annotations

import argparse
import sys
from typing import Final

import psycopg

from listener import postgres, triggers
from listener.assembly import watches_of
from listener.config import Config
from listener.lifecycle import Stop, Stopped
from listener.notifications import lock_holder
from listener.observations import Observe

HELP: Final = "install, remove or print the triggers"


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


def run(config: Config, observe: Observe, stop: Stop, given: argparse.Namespace) -> int:
    """Do it; 0 done, 2 it cannot be done, 3 the server is away, 4 a daemon is active."""
    schema, role = config.postgres.db_schema, config.postgres.user
    try:
        watches = watches_of(config)
        with _connect(config, given.dsn) as connection:
            match given.action:
                case "install":
                    count = triggers.install(
                        connection,
                        watches,
                        schema,
                        config.triggers,
                        role,
                        observe=observe,
                        stop=stop,
                    )
                    print(f"installed: {count} statements" if count else "nothing to do")
                case "remove":
                    active = lock_holder(connection, schema)
                    if active is not None:
                        print(
                            f"listener: a daemon is active (PostgreSQL process {active}) and would "
                            "miss every change from here on: stop it first",
                            file=sys.stderr,
                        )
                        return 4
                    for line in triggers.remove(connection, schema, observe=observe, stop=stop):
                        print(line)
                    print("removed")
                case _:
                    steps = triggers.plan(connection, watches, schema, config.triggers, role)
                    print(triggers.script(steps), end="")
    except triggers.TriggerError as error:
        for problem in error.problems:
            print(f"listener: {problem}", file=sys.stderr)
        return 2
    except ValueError as error:
        print(f"listener: {error}", file=sys.stderr)
        return 2
    except psycopg.Error as error:
        print(f"listener: PostgreSQL: {postgres.describe(error)}", file=sys.stderr)
        return 3 if postgres.is_passing(error) else 2
    except Stopped:
        return 130
    return 0


def _connect(config: Config, dsn: str | None) -> postgres.Connection:
    if dsn is None:
        return postgres.connect(config.postgres, "listener: triggers")
    connection = psycopg.connect(dsn, autocommit=True, application_name="listener: triggers")
    try:
        postgres.settle(connection)
    except BaseException:
        connection.close()
        raise
    return connection
