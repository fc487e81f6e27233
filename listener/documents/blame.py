"""Telling where a statement failed that holds everything: the index, the file, and the document.

What a function of the user's raises may be for one row, and look like the server's state: then no
document is put aside, and all wait. An operator must know which row it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from listener.changes import Key
from listener.documents.placeholders import line_of
from listener.postgres import Connection

_CANCELED: Final = "57014"


def point(error: psycopg.Error, path: Path, statement: sql.Composable, rendered: str) -> None:
    """Note the line of the user's file at which PostgreSQL points, where it names a place.

    `statement` was made of `rendered`, the text of the file with its casts.
    """
    position = error.diag.statement_position
    if position is not None:
        line = line_of(int(position), statement.as_string(None), rendered)
        _note(error, f"{path}" if line is None else f"{path}: line {line}")


def note(
    error: psycopg.Error,
    connection: Connection,
    path: Path | None,
    place: str,
    keys: Sequence[Key] = (),
    *,
    run: Callable[[Sequence[Key]], object] = list,
    name: Callable[[Key], str] = str,
) -> None:
    """Note the place on an error of a statement for these keys, and the key where it is found.

    `path`: the file, where it is one; `place`: what more is to be said of it, such as the index.
    `run`: the statement, for some of the keys. `name`: what a key is called.

    A key is looked for only where a function raised the error: half of the keys are run again, and
    half of those that fail. Errors of the connection are of no place.
    """
    if error.sqlstate is None or connection.closed:
        return
    failing = keys
    if error.diag.context is not None and error.sqlstate != _CANCELED:
        failing = _first(error, connection, keys, run)
    one = f", {name(failing[0])}" if len(failing) == 1 and error.sqlstate != _CANCELED else ""
    pointed = path is not None and any(
        told == str(path) or told.startswith(f"{path}: line ")
        for told in getattr(error, "__notes__", ())
    )
    _note(error, f"{place}{one}" if path is None or pointed else f"{path} of {place}{one}")


def _note(error: psycopg.Error, told: str) -> None:
    if told not in getattr(error, "__notes__", ()):
        error.add_note(told)


def _first(
    error: psycopg.Error,
    connection: Connection,
    keys: Sequence[Key],
    run: Callable[[Sequence[Key]], object],
) -> Sequence[Key]:
    """One of the keys that fail by themselves; more than one where that is not seen."""
    failing = keys
    while len(failing) > 1:
        half = len(failing) // 2
        for part in (failing[:half], failing[half:]):
            if connection.info.transaction_status is not TransactionStatus.IDLE:
                return keys
            try:
                run(part)
            except psycopg.Error as again:
                if again.sqlstate != error.sqlstate:
                    return keys
                failing = part
                break
        else:
            return keys
    return failing
