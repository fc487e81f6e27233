"""The movies example on a real PostgreSQL: loaded once, then only looked at or rolled back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from playground.postgres import PostgresServer
from sql.movies import load as movies

Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture(scope="session")
def example_server() -> Iterator[PostgresServer]:
    """A PostgreSQL with nothing in it."""
    with PostgresServer(settings={"fsync": "off"}) as server:
        yield server


@pytest.fixture(scope="session")
def movies_dsn(example_server: PostgresServer) -> str:
    """A database that load.py has filled; tests leave it as it is."""
    example_server.create_database("movies")
    dsn = example_server.dsn("movies")
    with psycopg.connect(dsn) as connection:
        movies.load(connection)
    return dsn


@pytest.fixture
def connection(movies_dsn: str) -> Iterator[Connection]:
    """A connection to the movies in a transaction that is rolled back."""
    with psycopg.connect(movies_dsn) as connection:
        connection.execute("SET TIME ZONE 'UTC'")
        yield connection
        connection.rollback()
