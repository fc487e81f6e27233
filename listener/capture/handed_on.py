"""What sweeps have handed on already, so that no row is indexed at each of them. Bounded memory.

A mark is a hash of 64 bits that nobody can foresee: no two rows will share one.
"""

from __future__ import annotations

from typing import Any, Final

from listener.capture import xids
from listener.capture.hashset import TimedMarks

MEMORY: Final = 150_000
"""Rows that are remembered, at 24 bytes each at most; others may be handed on once more."""
AHEAD: Final = 300_000
"""The same of rows that are stamped in the future."""
_NEIGHBOURS: Final = 1024
"""Ids of transactions whose marks are kept, and forgotten, together."""


class HandedOn:
    """Remembers rows, each as a tuple that tells it from all others. One for each session."""

    def __init__(self) -> None:
        self._marks = TimedMarks()
        self._ahead = TimedMarks()

    def is_first(self, row: tuple[Any, ...], second: int) -> bool:
        """Whether this row was not handed on yet; it is from now on. `second`: of its stamp."""
        # the oldest ones are read no more while the watermark stands
        if len(self._marks) < MEMORY:
            return self._marks.add(hash(row), second)
        return _is_first(self._marks, MEMORY, hash(row), second)

    def is_first_ahead(self, row: tuple[Any, ...], xmin: str, oldest: int) -> bool:
        """The same for a row that is stamped in the future, written by the transaction `xmin`.

        Only those of the transaction `oldest` and later ones are remembered from now on: no later
        look takes the others for new (`visibility.unseen`).
        """
        xid, mark = xids.whole(xmin, oldest), hash(row)
        if xid < oldest:
            return not self._ahead.knows(mark, xid // _NEIGHBOURS)
        return _is_first(self._ahead, AHEAD, mark, xid // _NEIGHBOURS)

    def forget_before(self, second: int) -> None:
        """No row of an earlier second will be asked for."""
        self._marks.forget_before(second)

    def forget_ahead(self) -> None:
        """Rows that are stamped in the future may be handed on once more."""
        self._ahead.clear()


def _is_first(marks: TimedMarks, most: int, mark: int, place: int) -> bool:
    """Whether a mark is new. Beyond `most` those of older places are forgotten for it."""
    if marks.knows(mark, place):
        return False
    if len(marks) >= most and not marks.forget_oldest(place):
        return True
    return marks.add(mark, place)
