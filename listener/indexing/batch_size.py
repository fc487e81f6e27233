"""How large the next batch is. Pure.

Four things bound it: the limits of the configuration; the mean size of a kind's documents so far;
what the server had room for lately; and a slow start after a rest, so that Elasticsearch does not
wait for a large batch to be read.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Final

from listener.indexing.batch import Limits
from listener.search.bulk import Document

_SLOW_START: Final = 500
"""Documents of the first batch after a rest; each full one doubles it."""
_LEAST_ROOM: Final = 1000
"""Bytes: a bulk is never asked to be smaller."""
_MEAN: Final = 2000.0
"""Bytes of a document, as long as none of its kind was read."""
_OVERHEAD: Final = 100
"""Bytes that a document takes beside its body, in a bulk request."""
_LEAST: Final = 100.0
"""Bytes of a document, for the mean: ids that are no documents any more have none."""


class MeanSize:
    """The mean size of the documents of one kind, as far as they were read; and so how many are
    read at once, for a bulk or for a page of a comparison."""

    def __init__(self) -> None:
        self._mean = _MEAN

    def fitting(self, room: int) -> int:
        """How many documents fit into so many bytes; at least 1."""
        return max(1, int(room / self._mean))

    def read(self, documents: int, size: int) -> None:
        """So many documents, 1 or more, had so many bytes in all.

        The mean rises at once and falls slowly: a page of large ones must not follow a large one.
        """
        mean = size / documents
        self._mean = max(mean, 0.9 * self._mean + 0.1 * mean, _LEAST)


class BatchSize:
    """The rule for all kinds of documents. The worker reads with it, the senders correct it."""

    def __init__(self, kinds: int, limits: Limits) -> None:
        """`kinds`: how many document kinds there are."""
        self._limits = limits
        self._means = [MeanSize() for _ in range(kinds)]
        self._step = _SLOW_START
        self._lock = threading.Lock()
        self._room = limits.bytes

    @property
    def room(self) -> int:
        """Bytes of the next bulk: fewer than the limit after a server had no room, or no answer."""
        return self._room

    def most(self, kind: int) -> int:
        """How many documents of this kind make the next batch, at most; at least 1."""
        return min(self._limits.documents, self._step, self._means[kind].fitting(self._room))

    def rested(self) -> None:
        """Nothing waits and nothing is in flight: the next batch is a first one again."""
        self._step = _SLOW_START

    def filled(self) -> None:
        """A batch had as many documents as it might: the next one may have twice as many."""
        self._step = min(2 * self._step, self._limits.documents)

    def taken(self) -> None:
        """A bulk was taken: the next ones may be larger again."""
        with self._lock:
            self._room = min(self._room * 2, self._limits.bytes)

    def refused(self, size: int) -> None:
        """A bulk of so many bytes found no room or no answer: the next ones are half as large.

        A server may have less room for one request than we send: without this it would refuse the
        same bulk for ever. 0: nothing was sent.
        """
        if size:
            with self._lock:
                self._room = max(min(self._room, size // 2), _LEAST_ROOM)

    def cut(self, kind: int, documents: Sequence[Document]) -> Iterator[Sequence[Document]]:
        """Documents of this kind that were just read, in requests that fit; learns from them."""
        sizes = [_OVERHEAD + (len(one.body) if one.body else 0) for one in documents]
        total = sum(sizes)
        self._means[kind].read(len(sizes), total)
        room = self._room
        if total <= room:
            yield documents
            return
        part: list[Document] = []
        for one, size in zip(documents, sizes, strict=True):
            if part and size > room:
                yield part
                part, room = [], self._room
            part.append(one)
            room -= size
        yield part
