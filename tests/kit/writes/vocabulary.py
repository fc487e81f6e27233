"""The vocabulary of writes, by schema.

`write.run(connection, random, slice)` carries one out; `slice` is a number below SLICES, and two
writers of different slices never wait for each other (except for those that are `alone`).
"""

from __future__ import annotations

from typing import Final

from tests.kit.writes.movies import MOVIES
from tests.kit.writes.statements import SLICES, Copy, Statement, Write, execute
from tests.kit.writes.stock import STOCK

__all__ = ["SLICES", "VOCABULARY", "Copy", "Statement", "Write", "execute"]

VOCABULARY: Final[dict[str, dict[str, Write]]] = {
    "movies": {write.name: write for write in MOVIES},
    "stock": {write.name: write for write in STOCK},
}
"""By schema and name: tests/schemas/movies, tests/schemas/stock."""
