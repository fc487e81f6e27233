"""Tasks: ids that may be more than one batch can hold, given page by page."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol

import psycopg

from listener.changes import Key
from listener.documents.source import DocumentSource
from listener.indexing.queue import Job
from listener.postgres import Connection

_SINGLED_OUT: Final = 20
"""Keys of one task that are looked for one by one because a mapping fails on them."""


class Task(Protocol):
    """Pages of ids of one document kind. `job` counts what of them is open. `live`: they are news,
    which notifications brought, and no page of a sweep or a load."""

    kind: int
    job: Job
    live: bool

    def next_page(self, connection: Connection, most: int) -> tuple[list[Key], bool]:
        """Up to `most` distinct ids, and whether there may be more. May run SQL; call it again
        where that failed."""


class KeysTask:
    """Ids that are known already: a page of a sweep or of a full load."""

    def __init__(self, kind: int, keys: Sequence[Key], job: Job) -> None:
        self.kind = kind
        self.job = job
        self.live = False
        self._left = deque(keys)

    def next_page(self, connection: Connection, most: int) -> tuple[list[Key], bool]:  # noqa: ARG002
        """The next ids."""
        page = [self._left.popleft() for _ in range(min(most, len(self._left)))]
        return page, bool(self._left)


class MappedTask:
    """Document ids behind keys of a mapped watch, fetched by keyset, never all at once.

    A key on which the mapping file fails is left out, and stands in `failed` with the reason: any
    role of the database can send such a key, and it must not hold the others up. The batcher
    decides what becomes of it.
    """

    FETCH = 5_000  # ids held at once: each further page runs the mapping query again

    def __init__(
        self,
        kind: int,
        source: DocumentSource,
        watch: str,
        keys: Sequence[Key],
        *,
        job: Job,
        live: bool = False,
    ) -> None:
        """`live`: the keys came by notifications; the next ones wait until this one has ended."""
        self.kind = kind
        self.job = job
        self.watch = watch
        self.live = live
        self.failed: list[tuple[Key, str]] = []
        """Keys that were left out, and why; beyond a few, those beside them, too."""
        self._source = source
        self._keys = keys
        self._fetched: deque[Key] = deque()
        self._after: str | None = None
        self._more = True
        self._singled_out = 0

    def next_page(self, connection: Connection, most: int) -> tuple[list[Key], bool]:
        """The next ids; runs the mapping query where none are at hand."""
        while not self._fetched and self._more:
            page, self._after = self._next(connection)
            self._more = self._after is not None
            self._fetched.extend(page)
        page = [self._fetched.popleft() for _ in range(min(most, len(self._fetched)))]
        return page, bool(self._fetched) or self._more

    def _next(self, connection: Connection) -> tuple[list[Key], str | None]:
        while self._keys:
            try:
                return self._mapped(connection, self._keys)
            except psycopg.Error as error:
                found = self._failing(connection, self._keys, error)
                if not found:
                    raise
            self.failed += found
            gone = {key for key, _ in found}
            self._keys = [key for key in self._keys if key not in gone]
        return [], None

    def _mapped(self, connection: Connection, keys: Sequence[Key]) -> tuple[list[Key], str | None]:
        return self._source.mapped_page(connection, self.watch, keys, self._after, self.FETCH)

    def _failing(
        self, connection: Connection, keys: Sequence[Key], error: psycopg.Error
    ) -> list[tuple[Key, str]]:
        """Those of these keys that fail alone; raises what is no key's fault."""
        reason = self._source.mapping_fault(connection, self.watch, keys, error)
        if reason is None:
            raise error
        if len(keys) == 1 or self._singled_out >= _SINGLED_OUT:
            self._singled_out += 1
            return [(key, reason) for key in keys]
        found: list[tuple[Key, str]] = []
        half = len(keys) // 2
        for part in (keys[:half], keys[half:]):
            try:
                self._mapped(connection, part)
            except psycopg.Error as one:
                found += self._failing(connection, part, one)
        return found
