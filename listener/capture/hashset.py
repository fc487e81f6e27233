"""Add-only, open-addressing sets of hashes: 12 to 24 bytes a number, where `set` takes 60 to 90."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Final

_LEAST: Final = 16
_SECONDS: Final = 300
"""Seconds that have a set each; of more than that the older ones share one a minute."""
_YOUNG: Final = 120
_MINUTE: Final = 60
_BITS: Final = (1 << 64) - 1


class Marks:
    """A set of 64-bit numbers, which should be hashes. None is ever removed."""

    __slots__ = ("_count", "_slots")

    def __init__(self) -> None:
        self._slots = array("Q", bytes(8 * _LEAST))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, mark: int) -> bool:
        return self._slots[self._place(_sound(mark))] != 0

    def __iter__(self) -> Iterator[int]:
        return (mark for mark in self._slots if mark)

    def add(self, mark: int) -> bool:
        """Add a number; whether it is new."""
        # each poll asks this of thousands of rows: `_sound` and `_place`, without their calls
        mark = mark & _BITS or 1
        slots = self._slots
        last = len(slots) - 1
        place = mark & last
        while found := slots[place]:
            if found == mark:
                return False
            place = (place + 1) & last
        slots[place] = mark
        self._count += 1
        if self._count * 3 > len(slots) * 2:
            self._grow()
        return True

    def _place(self, mark: int) -> int:
        """The slot of this mark: the one that holds it, or the empty one where it would go."""
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


class TimedMarks:
    """Marks by the second that each belongs to, so that those of old seconds can be forgotten.

    Where none are forgotten for days there are many seconds of few marks each. A set for each would
    take many times what is in it, so the older ones are kept by the minute.
    """

    def __init__(self) -> None:
        self.clear()

    def __len__(self) -> int:
        return self._count

    def clear(self) -> None:
        """Forget them all."""
        self._seconds: dict[int, Marks] = {}
        self._minutes: dict[int, Marks] = {}
        self._edge: int | None = None
        """Seconds below this one are kept by the minute."""
        self._count = 0

    def knows(self, mark: int, second: int) -> bool:
        """Whether it was added."""
        found = self._place(second)
        known = found[0].get(found[1])
        return known is not None and mark in known

    def add(self, mark: int, second: int) -> bool:
        """Add a mark; whether it is new."""
        edge = self._edge
        place, number = self._seconds, second
        if edge is not None and second < edge:
            place, number = self._minutes, second // _MINUTE
        known = place.get(number)
        if known is None:
            known = place[number] = Marks()
            if len(self._seconds) > _SECONDS:
                self._gather()
                return self.add(mark, second)
        if not known.add(mark):
            return False
        self._count += 1
        return True

    def forget_before(self, second: int) -> None:
        """No mark of an earlier second will be asked for."""
        for one in [one for one in self._seconds if one < second]:
            self._count -= len(self._seconds.pop(one))
        for one in [one for one in self._minutes if (one + 1) * _MINUTE <= second]:
            self._count -= len(self._minutes.pop(one))
        if not self._minutes:
            self._edge = None

    def forget_oldest(self, second: int) -> bool:
        """Make room: forget the oldest second or minute; False where none is older than this."""
        place, number, end = self._seconds, min(self._seconds, default=second), 1
        if self._minutes:
            place, number, end = self._minutes, min(self._minutes), _MINUTE
        if (number + 1) * end > second:
            return False
        self._count -= len(place.pop(number))
        return True

    def _place(self, second: int) -> tuple[dict[int, Marks], int]:
        if self._edge is not None and second < self._edge:
            return self._minutes, second // _MINUTE
        return self._seconds, second

    def _gather(self) -> None:
        """The older seconds into their minutes."""
        self._edge = sorted(self._seconds)[-_YOUNG] // _MINUTE * _MINUTE
        for second in [one for one in self._seconds if one < self._edge]:
            known = self._seconds.pop(second)
            minute = self._minutes.setdefault(second // _MINUTE, Marks())
            for mark in known:
                if not minute.add(mark):
                    self._count -= 1


def _sound(mark: int) -> int:
    """As an unsigned number; 0 means an empty slot."""
    return mark & _BITS or 1
