"""What kind of PostgreSQL server answers, and whether listener can work with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from psycopg.rows import tuple_row

from listener.postgres.session import Connection
from listener.sql import files

OLDEST: Final = 13
"""The first major version with transition tables, pg_current_xact_id() and what builds on them."""


@dataclass(frozen=True, slots=True)
class Server:
    """`number` is server_version_num, 130016 say; `version` is for people.

    `ascii_only`: the database's encoding is SQL_ASCII, whose bytes have no meaning. `in_recovery`:
    it is a standby. `two_phase`: max_prepared_transactions.
    """

    number: int
    version: str
    ascii_only: bool
    in_recovery: bool
    two_phase: int

    @property
    def major(self) -> int:
        """The major version."""
        return self.number // 10000

    @property
    def too_old(self) -> bool:
        """Whether it lacks what listener needs."""
        return self.major < OLDEST


def look(connection: Connection) -> Server:
    """Ask the server. Raises psycopg.Error."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(files.load("postgres/server")).fetchone()
    assert row is not None
    return Server(*row)
