"""What is read in full for a single key, and by which column it should be found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from listener.changes import Watch
from listener.checks.plan import FullScan, full_scans
from listener.checks.stamps import check_stamps
from listener.postgres import Connection

_TABLES = """
CREATE TABLE film (id integer PRIMARY KEY, title text);
CREATE TABLE link (film_id integer, genre_id integer, role text);
CREATE TABLE part (film_id integer, n integer) PARTITION BY RANGE (n);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (50);
CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (50) TO (100);
CREATE TABLE "Odd Name" ("Film Id" integer);
CREATE TABLE good (id integer PRIMARY KEY, film_id integer);
CREATE INDEX ON good (film_id);
INSERT INTO film SELECT n, 'x' FROM generate_series(1, 3000) AS n;
INSERT INTO link SELECT n, n, 'a' FROM generate_series(1, 3000) AS n;
INSERT INTO part SELECT n, n % 100 FROM generate_series(1, 3000) AS n;
INSERT INTO "Odd Name" SELECT n FROM generate_series(1, 3000) AS n;
INSERT INTO good SELECT n, n FROM generate_series(1, 3000) AS n;
ANALYZE;
"""
_IDS = "film.id = ANY('{7}'::text[]::integer[])"


@pytest.fixture
def connection(postgres_server: Any, database: str) -> Iterator[Connection]:
    """A session on a database with these tables."""
    with psycopg.connect(postgres_server.dsn(database), autocommit=True) as connection:
        connection.execute(_TABLES)
        yield connection


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (f"SELECT title FROM film WHERE {_IDS}", []),
        (
            "SELECT (SELECT json_agg(l.role) FROM link AS l WHERE l.film_id = film.id) "
            f"FROM film WHERE {_IDS}",
            [("link", "film_id")],
        ),
        (
            "SELECT film.id, json_agg(l.genre_id) FROM film LEFT JOIN link AS l "
            f"ON l.film_id = film.id AND l.role = 'a' WHERE {_IDS} GROUP BY film.id",
            [("link", "film_id")],
        ),
        (
            f"SELECT x.names FROM film CROSS JOIN LATERAL (SELECT array_agg(l.role) AS names FROM "
            f"link AS l JOIN good AS g ON g.id = l.genre_id WHERE l.film_id = film.id) AS x "
            f"WHERE {_IDS}",
            [("link", "film_id")],
        ),
        (
            "SELECT DISTINCT film_id AS id FROM link "
            "WHERE genre_id = ANY('{7}'::text[]::integer[])",
            [("link", "genre_id")],
        ),
        (
            f'SELECT film.id FROM film JOIN "Odd Name" AS o ON o."Film Id" = film.id WHERE {_IDS}',
            [("Odd Name", "Film Id")],
        ),
        (
            f"SELECT film.id FROM film JOIN part ON part.film_id = film.id WHERE {_IDS}",
            [("part_1", "film_id"), ("part_2", "film_id")],
        ),
        (f"SELECT film.id FROM film JOIN good ON good.film_id = film.id WHERE {_IDS}", []),
        (f"SELECT (SELECT max(film_id) FROM good) FROM film WHERE {_IDS}", []),
        (f"SELECT (SELECT count(*) FROM link) FROM film WHERE {_IDS}", [("link", None)]),
        ("SELECT id FROM good WHERE id % 2 = 0", [("good", None)]),
    ],
)
def test_what_is_read_in_full(
    connection: Connection, query: str, found: list[tuple[str, str | None]]
) -> None:
    """Where no index leads to the rows, whatever the planner would take them for."""
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL enable_seqscan = off")
        row = connection.execute(f"EXPLAIN (VERBOSE, FORMAT JSON) {query}".encode()).fetchone()
    assert row is not None
    assert full_scans(row[0]) == tuple(FullScan("public", *one) for one in found)


def test_stamps_that_the_application_uses(connection: Connection) -> None:
    """NULLs among values, the future, and what is older than the last change; not what a load, or
    each write, has left."""
    watch = Watch("public", "stamped", ("id",), "at")
    connection.execute(
        "CREATE TABLE stamped (id integer PRIMARY KEY, at timestamptz);"
        "INSERT INTO stamped SELECT n, now() - n * interval '1 day' FROM generate_series(1, 20) n"
    )
    assert list(check_stamps(connection, [watch])) == []
    connection.execute("UPDATE stamped SET at = now() WHERE id = 3")
    assert list(check_stamps(connection, [watch])) == []
    connection.execute("UPDATE stamped SET at = now() - interval '2 years' WHERE id = 4")
    connection.execute("UPDATE stamped SET at = now() + interval '2 years' WHERE id IN (5, 6)")
    connection.execute("UPDATE stamped SET at = NULL WHERE id = 7")
    [found] = check_stamps(connection, [watch])
    assert found.severity == "warning"
    assert (
        "public.stamped: of 20 values of at 1 are NULL, 2 lie in the future, 1 are older than the "
        "last change of their row"
    ) in found.what
    assert "leave `updated_at` out" in found.mend
    missing = Watch("public", "stamped", ("id",), "other")
    assert list(check_stamps(connection, [missing])) == []
