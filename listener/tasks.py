"""Tasks: sources of id pages that are larger than one batch. They page; the pipeline writes."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Protocol

from listener.changes import Key
from listener.documents import DocumentSource
from listener.pending import Job
from listener.postgres import Connection


class Task(Protocol):
    """Pages of ids of one document. `job` counts what of them is open."""

    document: int
    job: Job
    load_only: bool

    def next_page(self, connection: Connection, most: int) -> tuple[list[Key], bool]:
        """Up to `most` distinct ids, and whether there may be more. May run SQL; call it again
        where that failed."""


class KeysTask:
    """Ids that are known already: a page of a sweep or of a full load."""

    def __init__(
        self, document: int, keys: Sequence[Key], job: Job, *, load_only: bool = False
    ) -> None:
        self.document = document
        self.job = job
        self.load_only = load_only
        self._left = deque(keys)

    def next_page(self, connection: Connection, most: int) -> tuple[list[Key], bool]:  # noqa: ARG002
        """The next ids."""
        page = [self._left.popleft() for _ in range(min(most, len(self._left)))]
        return page, bool(self._left)


class MappedTask:
    """Document ids behind keys of a mapped watch, fetched by keyset, never all at once."""

    FETCH = 20_000  # ids held at once: each further page runs the mapping query again

    def __init__(
        self,
        document: int,
        source: DocumentSource,
        watch: str,
        keys: Sequence[Key],
        *,
        job: Job,
        live: bool = False,
    ) -> None:
        """`live`: the keys came by notifications; the next ones wait until this one has ended."""
        self.document = document
        self.job = job
        self.load_only = False
        self.watch = watch
        self.live = live
        self._source = source
        self._keys = keys
        self._fetched: deque[Key] = deque()
        self._after: str | None = None
        self._more = True

    def next_page(self, connection: Connection, most: int) -> tuple[list[Key], bool]:
        """The next ids; runs the mapping query where none are at hand."""
        while not self._fetched and self._more:
            page, self._after = self._source.mapped_page(
                connection, self.watch, self._keys, self._after, self.FETCH
            )
            self._more = self._after is not None
            self._fetched.extend(page)
        page = [self._fetched.popleft() for _ in range(min(most, len(self._fetched)))]
        return page, bool(self._fetched) or self._more
