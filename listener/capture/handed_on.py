"""What sweeps have handed on already, so that no row is indexed at each of them. Bounded memory.

A mark is a hash of 64 bits that nobody can foresee: no two rows will share one.
"""

from __future__ import annotations

from typing import Any, Final

from listener.capture import xids
from listener.capture.hashset import TimedMarks

MEMORY: Final = 150_000
"""Rows that are remembered, at 24 bytes each at most; others may be handed on once more."""
AHEAD: Final = 10_000
"""The same of rows that are stamped in the future, at 100 bytes."""


class HandedOn:
    """Remembers rows, each as a tuple that tells it from all others. One for each session."""

    def __init__(self) -> None:
        self._marks = TimedMarks()
        self._ahead: set[int] = set()

    def is_first(self, row: tuple[Any, ...], second: int) -> bool:
        """Whether this row was not handed on yet; it is from now on. `second`: of its stamp."""
        mark = hash(row)
        if self._marks.knows(mark, second):
            return False
        # the oldest ones are read no more while the watermark stands
        if len(self._marks) >= MEMORY and not self._marks.forget_oldest(second):
            return True
        return self._marks.add(mark, second)

    def is_first_ahead(self, row: tuple[Any, ...], xmin: str, oldest: int) -> bool:
        """The same for a row that is stamped in the future, written by the transaction `xmin`.

        Only those of the transaction `oldest` and later ones are remembered: no later look takes
        the others for new.
        """
        if not xids.is_not_before(xmin, oldest):
            return True
        mark = hash(row)
        if mark in self._ahead:
            return False
        if len(self._ahead) >= AHEAD:
            self._ahead.clear()
        self._ahead.add(mark)
        return True

    def forget_before(self, second: int) -> None:
        """No row of an earlier second will be asked for."""
        self._marks.forget_before(second)

    def forget_ahead(self) -> None:
        """Rows that are stamped in the future may be handed on once more."""
        self._ahead.clear()
