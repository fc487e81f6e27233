"""Telling where a statement failed that holds everything: the index, the file, and the document.

What a function of the user's raises may be for one row, and look like the server's state: then no
document is put aside, and all wait. An operator must know which row it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import psycopg
from psycopg.pq import TransactionStatus

from listener.changes import Key
from listener.postgres import Connection

_CANCELED: Final = "57014"


def note(
    error: psycopg.Error,
    connection: Connection,
    place: str,
    keys: Sequence[Key] = (),
    *,
    run: Callable[[Sequence[Key]], object] = list,
    name: Callable[[Key], str] = str,
) -> None:
    """Note the place on an error of a statement for these keys, and the key where it is found.

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
    told = f"{place}{one}"
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
