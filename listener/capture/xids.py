"""Ids of transactions as rows show them (`xmin`): 32 bits, which go round. Pure."""

from __future__ import annotations

from typing import Final

from psycopg import sql

_MASK: Final = (1 << 32) - 1
_HALF: Final = 1 << 31
ALL: Final = range(_MASK + 1)


def whole(xid: str, near: int) -> int:
    """All 64 bits of a transaction's id. `near`: those of any that is not half a round away."""
    return near + ((int(xid) - near + _HALF) & _MASK) - _HALF


def is_among(xid: str, ids: range) -> bool:
    """Whether a transaction's id is one of these, which are given with all their 64 bits."""
    return (int(xid) - ids.start) & _MASK < ids.stop - ids.start


def among(xmin: sql.Identifier, ids: range) -> sql.Composable:
    """The same as a condition, for the server to judge."""
    return sql.SQL("(({}::text::bigint - {}) & {}) < {}").format(
        xmin, sql.Literal(ids.start), sql.Literal(_MASK), sql.Literal(ids.stop - ids.start)
    )
