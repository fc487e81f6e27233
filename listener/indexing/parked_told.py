"""Telling of parked documents: of those alike the first at once, then how many more there are."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import Final

from listener.observations import events
from listener.observations.events import Observe
from listener.runtime.throttle import Tally

_OWN: Final = re.compile(r"'.*'|\"[^\"]*\"|\[\d+:\d+\]|\d+", re.DOTALL)
"""The parts of a reason that belong to one document alone: ids, values, and places in it."""
_CAUSES: Final = 200
"""Most causes that are counted apart at the same time."""
_NAMED: Final = 3


@dataclass(slots=True)
class _Alike:
    """Documents of one index that were parked for one cause."""

    tally: Tally = field(default_factory=Tally)
    untold: list[tuple[str, str]] = field(default_factory=list)
    """Ids and reasons: the first ones."""
    count: int = 0
    """How many are not told yet."""


class ParkedTold:
    """What is told of parked documents. Thread-safe: `tell` is for any thread."""

    def __init__(self, observe: Observe) -> None:
        self._observe = observe
        self._lock = threading.Lock()
        self._alike: dict[tuple[str, str], _Alike] = {}

    def add(self, index: str, doc_id: str, reason: str) -> None:
        """One more is parked: told now where none like it was told of late."""
        if len(self._alike) >= _CAUSES:
            self.tell(everything=True)
        with self._lock:
            one = self._alike.setdefault((index, _OWN.sub("…", reason)), _Alike())
            one.tally.add()
            one.count += 1
            if len(one.untold) < _NAMED:
                one.untold.append((doc_id, reason))
            self._tell(index, one, everything=False)

    def tell(self, *, everything: bool = False) -> None:
        """Tell the counts for which it is time; with `everything`, all."""
        with self._lock:
            for (index, _), one in list(self._alike.items()):
                self._tell(index, one, everything=everything)
            if everything:
                self._alike.clear()

    def _tell(self, index: str, one: _Alike, *, everything: bool) -> None:
        if not one.count or not (one.tally.due() or everything):
            return
        doc_id, reason = one.untold[0]
        if one.count == 1:
            self._observe(events.Parked(index, doc_id, reason))
        else:
            ids = ", ".join(each for each, _ in one.untold)
            self._observe(events.ParkedAlike(index, one.count, ids, reason))
        one.untold.clear()
        one.count = 0
