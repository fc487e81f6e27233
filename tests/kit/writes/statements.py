"""What a write is made of: statements as data, so that a history can be read and run again."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg

SLICES: Final = 8
"""How many writers may be open at once: each has ids of its own, so none waits for another."""

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Copy:
    """COPY FROM STDIN."""

    table: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | None, ...], ...]

    def __str__(self) -> str:
        shown = "; ".join(map(repr, self.rows[:3]))
        return f"COPY {self.table} ({', '.join(self.columns)}) FROM STDIN -- {shown} ..."


Statement = str | Copy
Make = Callable[[random.Random, int], Sequence[Statement]]


@dataclass(frozen=True, slots=True)
class Write:
    """One kind of write. The same random state and slice give the same statements.

    They contain neither BEGIN nor COMMIT and fail in no state of the tables: they may run each in
    a transaction of its own, or all in one that stays open beside others of other slices.
    """

    name: str
    make: Make
    alone: bool = False
    """It locks whole tables: no other writer may be open."""
    rare: bool = False
    """It takes seconds until it is indexed."""

    def run(self, connection: Connection, choice: random.Random, number: int) -> None:
        """Carry it out with the ids of slice `number`. Raises psycopg.Error."""
        for statement in self.make(choice, number):
            execute(connection, statement)


def execute(connection: Connection, statement: Statement) -> None:
    """Carry out one statement. Raises psycopg.Error."""
    if isinstance(statement, str):
        connection.execute(statement.encode())
        return
    command = f"COPY {statement.table} ({', '.join(statement.columns)}) FROM STDIN"
    with connection.cursor() as cursor, cursor.copy(command.encode()) as copy:
        for row in statement.rows:
            copy.write_row(row)


def literal(text: str) -> str:
    """A text as SQL."""
    return "'" + text.replace("'", "''") + "'"


_WORDS: Final = (
    "Plain",
    "O'Neill",
    'the "quoted"',
    "Ключ",
    "日本 🎬",
    "back\\slash",
    "a\nline",
    "",
)


def text(choice: random.Random) -> str:
    """Some text, another one each time, as SQL."""
    return literal(f"{choice.choice(_WORDS)} {choice.randrange(1_000_000_000)}")
