"""Which errors of a statement are for the content of one row. Pure."""

from __future__ import annotations

from typing import Final

import psycopg

_ROW_FAULT: Final = ("21", "22", "54", "P0")
"""SQLSTATE classes in which one row's content makes the query fail."""
_SERVER_FAULT: Final = ("08", "25", "28", "3D", "40", "42501", "53", "55", "57", "58")
"""SQLSTATE prefixes of faults that are never a row's, whatever else succeeds: connection, state of
the transaction, roles and rights, resources, locks, shutdown, the system."""


def row_fault(error: psycopg.Error) -> str | None:
    """Why a statement failed, where it is for the content of a row or of a key; else None."""
    state = error.sqlstate or ""
    # without a state: psycopg itself could not send a value, such as a NUL character
    if state.startswith(_ROW_FAULT) if state else isinstance(error, psycopg.DataError):
        return _told(error)
    return None


def doubtful(error: psycopg.Error) -> str | None:
    """Why a statement failed, where it may be for the content of a row; else None.

    A function of the user's may raise any SQLSTATE, or meet any. The fault is a row's where another
    row succeeds at that moment.
    """
    state = error.sqlstate or ""
    if not state or state.startswith((*_ROW_FAULT, *_SERVER_FAULT)):
        return None
    return _told(error)


def may_be_a_rows(error: psycopg.Error) -> str | None:
    """Why a statement failed, where one of the two above says so; else None."""
    return row_fault(error) or doubtful(error)


def _told(error: psycopg.Error) -> str:
    return f"{error.diag.message_primary or error} (SQLSTATE {error.sqlstate or ''})"
