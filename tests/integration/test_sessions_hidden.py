"""A database that hides from our role who is connected: what goes without it goes on."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from listener.capture import notify_queue, watermark
from listener.config import PostgresConfig
from listener.observations.events import Observation
from listener.postgres import connect
from listener.postgres.watchdog import Watchdog
from playground.postgres import PostgresServer
from tests.kit.indexing import FailingLife

PASSWORD = "x"


@pytest.fixture
def config(postgres_server: PostgresServer, database: str) -> Iterator[PostgresConfig]:
    """How a role of no rights reaches such a database."""
    role = f"{database}_reader"
    postgres_server.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
    postgres_server.execute(
        "REVOKE SELECT ON pg_catalog.pg_stat_activity, pg_catalog.pg_prepared_xacts FROM PUBLIC",
        database,
    )
    info = psycopg.conninfo.conninfo_to_dict(postgres_server.dsn(database))
    yield PostgresConfig.model_validate(
        {
            "host": info["host"],
            "port": info["port"],
            "dbname": database,
            "user": role,
            "password": PASSWORD,
        }
    )
    postgres_server.execute(f"DROP ROLE {role}")


def test_who_holds_the_watermark(config: PostgresConfig) -> None:
    """That somebody does is told."""
    with connect(config, "listener: test") as session:
        assert "permission denied for view" in watermark.holder(session)


def test_who_holds_the_queue(config: PostgresConfig) -> None:
    """That it fills is told."""
    with connect(config, "listener: test") as session:
        who, _ = notify_queue._holder(session)
        assert "permission denied for view" in who


def test_a_long_statement_is_not_cut(config: PostgresConfig) -> None:
    """The server answers, and may be at work on it."""
    told: list[Observation] = []
    watchdog = Watchdog(config, told.append, FailingLife())
    with connect(config, "listener: test") as session:
        session.busy_since = 1.0  # as one that waits
        for _ in range(5):
            watchdog._look({session: 1.0})
        session.execute("SELECT 1")
    assert told == []
