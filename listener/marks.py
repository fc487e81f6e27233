"""A set of 64-bit numbers at 12 to 24 bytes each; a set of Python's takes 60 to 90."""

from __future__ import annotations

from array import array
from typing import Final

_LEAST: Final = 64
_BITS: Final = (1 << 64) - 1


class Marks:
    """Numbers are added, never removed; they should be hashes, for it is an open table."""

    def __init__(self) -> None:
        self._slots = array("Q", bytes(8 * _LEAST))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, mark: int) -> bool:
        return self._slots[self._place(_sound(mark))] != 0

    def add(self, mark: int) -> bool:
        """Add a number; whether it is new."""
        mark = _sound(mark)
        place = self._place(mark)
        if self._slots[place]:
            return False
        self._slots[place] = mark
        self._count += 1
        if self._count * 3 > len(self._slots) * 2:
            self._grow()
        return True

    def _place(self, mark: int) -> int:
        """Where it is, or would be."""
        slots, last = self._slots, len(self._slots) - 1
        place = mark & last
        while slots[place] not in (0, mark):
            place = (place + 1) & last
        return place

    def _grow(self) -> None:
        old = self._slots
        self._slots = array("Q", bytes(16 * len(old)))
        for mark in old:
            if mark:
                self._slots[self._place(mark)] = mark


def _sound(mark: int) -> int:
    """As an unsigned number; 0 means an empty slot."""
    return mark & _BITS or 1
