"""The gate: which indexes are written now, and under which generation.

The fence sets it. The worker and the senders go by it: a request leads where the gate says, and
bears a version that it has drawn.
"""

from __future__ import annotations

import threading

from listener import ListenerError
from listener.search.versions import Versions
from listener.search.write_aliases import Target


class FencedOut(ListenerError):
    """Another process raised the generation above ours, or writes may have gone elsewhere: only a
    new session can go on."""


class Gate:
    """Thread-safe. Ledger.aim alone changes `targets`. The fence calls it while nothing is in
    flight.

    `targets` are by the number of the kind. A kind without one is closed: it has no index, so
    nothing is brought to it and nothing waits for it.
    """

    def __init__(self, kinds: int, versions: Versions) -> None:
        """`kinds`: how many document kinds there are."""
        self.targets: list[Target | None] = [None] * kinds
        self._versions = versions
        self._lock = threading.Lock()
        self._lost = False
        self._above = 0

    @property
    def generation(self) -> int:
        """The generation in force; 0 before the first one was raised."""
        return self._versions.generation

    @property
    def lost(self) -> bool:
        """Whether a request of the generation in force had no answer.

        It may still arrive, when the tombstone of a later delete is forgotten. So nothing may be
        written before the next generation.
        """
        return self._lost

    @property
    def above(self) -> int:
        """The highest generation that was seen in the version of a stored document."""
        return self._above

    def draw(self) -> int:
        """The next version. Draw it after the ids are taken and before the documents are read."""
        return self._versions.draw()

    def lose(self) -> None:
        """A request had no answer."""
        with self._lock:
            self._lost = True

    def saw(self, generation: int) -> None:
        """A stored document bears this generation."""
        with self._lock:
            self._above = max(self._above, generation)

    def begin(self, generation: int) -> None:
        """From now on versions are of this generation, whose write aliases are made next."""
        self._versions.begin(generation)

    def open(self) -> None:
        """The write aliases are made: requests of earlier generations are refused from now on."""
        with self._lock:
            self._lost = False
