"""The movies example on real servers: loaded once, then only looked at or rolled back."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from playground.postgres import PostgresServer
from sql.movies import load as movies
from tests.kit.servers import revive

Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture(scope="session")
def movies_database(postgres_server: PostgresServer) -> Iterator[str]:
    """The name of a database that load.py has filled; tests leave it as it is."""
    revive(postgres_server)
    name = f"movies_{secrets.token_hex(5)}"
    postgres_server.create_database(name)
    with psycopg.connect(postgres_server.dsn(name)) as connection:
        movies.load(connection)
    yield name
    revive(postgres_server)
    postgres_server.drop_database(name)


@pytest.fixture
def connection(postgres_server: PostgresServer, movies_database: str) -> Iterator[Connection]:
    """A connection to the movies in a transaction that is rolled back."""
    revive(postgres_server)
    with psycopg.connect(postgres_server.dsn(movies_database)) as connection:
        connection.execute("SET TIME ZONE 'UTC'")
        yield connection
        connection.rollback()
