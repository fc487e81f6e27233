"""Moments that PostgreSQL tells: all of them become a datetime, those that Python lacks too."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import psycopg
from psycopg.abc import Buffer
from psycopg.types.datetime import TimestamptzLoader

FIRST_MOMENT: Final = datetime.min.replace(tzinfo=UTC)
LAST_MOMENT: Final = datetime.max.replace(tzinfo=UTC)
"""What stands for a moment that Python cannot tell."""


def moment(text: str) -> datetime:
    """A timestamp that PostgreSQL has printed (ISO); without a zone it is of UTC. What Python
    cannot tell becomes the first or the last moment that it can."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return FIRST_MOMENT if text.startswith("-") or text.endswith("BC") else LAST_MOMENT
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


class Moments(TimestamptzLoader):
    """Moments that Python cannot tell become the first or the last one that it can.

    `infinity` and years before Christ are values as others are: psycopg would fail for each.
    """

    def load(self, data: Buffer) -> datetime:
        try:
            return super().load(data)
        except psycopg.DataError:
            return moment(bytes(data).decode())
