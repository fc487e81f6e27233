"""The content of the example's tables, and the two ways to load it."""

from __future__ import annotations

import functools
import gzip
import hashlib
import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import psycopg
import pytest

from playground.postgres import PostgresServer
from sql.movies.load import DATA, HERE

INIT = HERE.parent / "001_init_user_db.sh"
NAMESPACE = uuid5(NAMESPACE_URL, "https://github.com/prust/wikipedia-movie-data")
PASSWORD = "it's a \\ password-of-this-test"
COLUMNS = {
    "film_work": "id, title, description, creation_date, rating, type",
    "genre": "id, name, description",
    "person": "id, full_name, birth_date",
    "genre_film_work": "id, film_work_id, genre_id",
    "person_film_work": "id, film_work_id, person_id, role",
}


@functools.cache
def made_id(name: str) -> UUID:
    """The id that README.md promises for a row of this name."""
    return uuid5(NAMESPACE, name)


@functools.cache
def films() -> list[dict[str, Any]]:
    """The lines of the data file."""
    with gzip.open(DATA, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def fingerprint(connection: psycopg.Connection[Any], table: str) -> str:
    """A hash of all rows of a table, without the times at which they were made."""
    digest = hashlib.sha256()
    query = f"COPY (SELECT {COLUMNS[table]} FROM content.{table} ORDER BY id) TO STDOUT"
    with connection.cursor().copy(query.encode()) as copy:
        for data in copy:
            digest.update(data)
    return digest.hexdigest()


def run_init_script(server: PostgresServer, name: str) -> subprocess.CompletedProcess[str]:
    """Run sql/001_init_user_db.sh as the image would; role and database are called `name`."""
    return subprocess.run(
        [INIT],
        env={
            "PATH": f"{server.bin_directory}{os.pathsep}{os.environ['PATH']}",
            "PGHOST": str(server.socket_directory),
            "PGPORT": str(server.port),
            "POSTGRES_USER": "postgres",
            "LISTENER_DB": name,
            "LISTENER_DB_USER": name,
            "LISTENER_DB_PASSWORD": PASSWORD,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_film_has_its_row(connection: psycopg.Connection[Any]) -> None:
    """Titles, years and ids of all films come out as they stand in the data file."""
    rows = connection.execute(
        "SELECT id, title, extract(year FROM creation_date)::int, to_char(creation_date, 'MM-DD'),"
        " description, rating, type FROM content.film_work"
    ).fetchall()
    expected = {
        (
            made_id(f"film:{number}:{film['title']}"),
            film["title"],
            film["year"],
            "01-01",
            "",
            None,
            "movie",
        )
        for number, film in enumerate(films(), 1)
    }
    assert len(rows) == 36_273
    assert set(rows) == expected


@pytest.mark.parametrize(
    ("column", "field", "count"),
    [("genre.name", "genres", 41), ("person.full_name", "cast", 28_630)],
)
def test_every_name_has_its_row(
    connection: psycopg.Connection[Any], column: str, field: str, count: int
) -> None:
    """Genres and persons appear once each, under an id made of the name."""
    table = column.partition(".")[0]
    rows = connection.execute(f"SELECT id, {column} FROM content.{table}".encode()).fetchall()
    names = {one for film in films() for one in film[field]}
    assert len(rows) == count
    assert set(rows) == {(made_id(f"{table}:{one}"), one) for one in names}


def test_every_link_has_its_row(connection: psycopg.Connection[Any]) -> None:
    """The links are those of the data file; a name that stands twice in a cast is linked once."""
    genres = set(
        connection.execute("SELECT film_work_id, genre_id FROM content.genre_film_work").fetchall()
    )
    actors = set(
        connection.execute(
            "SELECT film_work_id, person_id FROM content.person_film_work WHERE role = 'actor'"
        ).fetchall()
    )
    expected_genres, expected_actors = set(), set()
    for number, film in enumerate(films(), 1):
        film_id = made_id(f"film:{number}:{film['title']}")
        expected_genres |= {(film_id, made_id(f"genre:{one}")) for one in film["genres"]}
        expected_actors |= {(film_id, made_id(f"person:{one}")) for one in film["cast"]}
    assert genres == expected_genres
    assert actors == expected_actors


@pytest.fixture
def script_name(postgres_server: PostgresServer) -> Iterator[str]:
    """A name for a database and a role that are dropped at the end; it needs quotes in SQL."""
    name = f"By Script {secrets.token_hex(5)}"
    yield name
    postgres_server.drop_database(name)
    postgres_server.execute(f'DROP ROLE IF EXISTS "{name}"')


def test_init_script_makes_the_same_rows(
    postgres_server: PostgresServer, connection: psycopg.Connection[Any], script_name: str
) -> None:
    """psql in the image and Python load the same rows; the role owns them and is no superuser."""
    done = run_init_script(postgres_server, script_name)
    assert done.returncode == 0, done.stderr
    assert "36273 films" in done.stdout

    dsn = postgres_server.dsn(script_name, user=script_name, password=PASSWORD)
    with psycopg.connect(dsn) as other:
        for table in COLUMNS:
            assert fingerprint(other, table) == fingerprint(connection, table), table
        owners = other.execute(
            "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'content'"
        ).fetchall()
        assert owners == [(script_name,)]
        rights = other.execute(
            "SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        assert rights == (False, False, False)
        other.execute("CREATE SCHEMA listener")  # as the daemon does for its own objects
        other.rollback()


def test_init_script_fails_loudly_and_keeps_the_password(
    postgres_server: PostgresServer, script_name: str
) -> None:
    """A second run fails, and neither the script nor the server's log tells the password."""
    postgres_server.execute(f'CREATE ROLE "{script_name}"')
    with_statements = "ALTER SYSTEM SET log_statement = 'all'", "SELECT pg_reload_conf()"
    for statement in with_statements:
        postgres_server.execute(statement)
    try:
        done = run_init_script(postgres_server, script_name)
    finally:
        postgres_server.execute("ALTER SYSTEM RESET log_statement")
        postgres_server.execute("SELECT pg_reload_conf()")
    assert done.returncode != 0
    assert "already exists" in done.stderr
    assert (
        "password-of-this-test" not in done.stdout + done.stderr + postgres_server.log.read_text()
    )
