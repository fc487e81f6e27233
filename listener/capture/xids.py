"""Ids of transactions as rows show them (`xmin`): 32 bits, which go round. Pure."""

from __future__ import annotations

from typing import Final

from psycopg import sql

MASK: Final = (1 << 32) - 1
_HALF: Final = 1 << 31
"""Of two ids, the later one is less than this ahead."""


def is_not_before(xid: str, oldest: int) -> bool:
    """Whether a transaction's id is `oldest` or a later one."""
    return (int(xid) - oldest) & MASK < _HALF


def not_before(xmin: sql.Identifier, oldest: int) -> sql.Composable:
    """The same as a condition, for the server to judge."""
    return sql.SQL("(({}::text::bigint - {}) & {}) < {}").format(
        xmin, sql.Literal(oldest), sql.Literal(MASK), sql.Literal(_HALF)
    )
