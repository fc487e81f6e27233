"""Load the movies example into an empty database: `python sql/movies/load.py --dsn DSN`.

Runs the same SQL files as ../001_init_user_db.sh does with psql; one form of the data, one way to
make rows of it. Takes about five seconds, all in one transaction: either everything is there
afterwards, or nothing.
"""

from __future__ import annotations

import argparse
import gzip
from pathlib import Path
from typing import Any

import psycopg

HERE = Path(__file__).resolve().parent
DATA = HERE / "data" / "movies.ndjson.gz"

# CSV with quote and delimiter that never occur: each line is one value, as it stands.
COPY = r"COPY pg_temp.film_line (film) FROM STDIN (FORMAT csv, QUOTE e'\x01', DELIMITER e'\x02')"

_CHUNK = 1 << 20


def sql(name: str) -> bytes:
    """One of the SQL files of this folder, as psycopg takes it."""
    return (HERE / name).read_bytes()


def create_schema(connection: psycopg.Connection[Any]) -> None:
    """Create schema content: tables without rows."""
    connection.execute(sql("schema.sql"))


def fill(connection: psycopg.Connection[Any]) -> None:
    """Fill the empty tables with the films of data/."""
    connection.execute(sql("stage.sql"))
    with gzip.open(DATA) as lines, connection.cursor().copy(COPY) as copy:
        while chunk := lines.read(_CHUNK):
            copy.write(chunk)
    connection.execute(sql("fill.sql"))


def load(connection: psycopg.Connection[Any]) -> None:
    """Create schema content and fill it, in one transaction."""
    with connection.transaction():
        create_schema(connection)
        fill(connection)


def main() -> None:
    """Load over the given connection string and say how many films there are."""
    parser = argparse.ArgumentParser(description="Load the movies example into an empty database.")
    parser.add_argument(
        "--dsn", default="", help="libpq connection string; the PG* variables fill the rest"
    )
    arguments = parser.parse_args()
    with psycopg.connect(arguments.dsn) as connection:
        load(connection)
        row = connection.execute("SELECT count(*) FROM content.film_work").fetchone()
    print(f"{row[0] if row else 0} films")


if __name__ == "__main__":
    main()
