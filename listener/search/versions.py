"""Versions of documents: the generation in the upper bits, a counter of the process below."""

from __future__ import annotations

import threading
from typing import Final

GENERATIONS: Final = 4_000_000
"""No generation reaches this number: each session takes one, and a version has 63 bits."""


def versioned(generation: int, counter: int) -> int:
    """External version: the fencing token first, then the counter of the process."""
    return (generation << 40) + counter


def generation_of(version: int) -> int:
    """The fencing token inside a version."""
    return version >> 40


class Versions:
    """Draws versions: generation * 2^40 + a counter of this process. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._generation = 0
        self._counter = 0

    @property
    def generation(self) -> int:
        """The fencing token in force; 0 before the first one was raised."""
        return self._generation

    def begin(self, generation: int) -> None:
        """A new generation: its versions are above all of the ones before.

        Raises ValueError where it is not above the former one.
        """
        with self._lock:
            if generation <= self._generation:
                raise ValueError("a generation only rises")
            self._generation, self._counter = generation, 0

    def draw(self) -> int:
        """The next version. Draw it after the ids are taken and before the documents are read.

        Raises RuntimeError before the first generation.
        """
        with self._lock:
            if not self._generation:
                raise RuntimeError("no generation was raised yet")
            self._counter += 1
            return versioned(self._generation, self._counter)
