"""Comparing database and index, both ways, by plain reads: missing, stale and orphaned documents.

First pages of ids from the database, against `_mget`, which reads in real time. Then all ids of the
index, against the document query. One page and what differs are all that is held in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from listener import ListenerError, search
from listener.changes import Key, PayloadError, key_of_id, sendable
from listener.documents.kinds import Kind
from listener.documents.source import DocumentSource
from listener.indexing.batch_size import MeanSize
from listener.indexing.parked_table import ParkedTable
from listener.postgres import Connection
from listener.search import counts, exact_json
from listener.search.bulk import Document
from listener.search.stored import Copy, Stored

Difference = Literal["missing", "stale", "orphaned", "misplaced", "parked"]
DIFFERENCES: Final[tuple[Difference, ...]] = ("missing", "stale", "orphaned", "misplaced", "parked")

_PAGE_BYTES: Final = 4_000_000
_MOST: Final = 2000


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A document that differs between the two sides, at the moment of the look.

    - missing: the query returns it, the index does not have it.
    - stale: the index has other content.
    - orphaned: the index has it, the query does not return it. A parked document is orphaned, too,
      when its row is gone: searches must not find it for ever.
    - misplaced: it was written with a routing. It may stand on a shard where no read or write by id
      finds it, beside another copy. No write mends that: a new index must be loaded.
    - parked: the query fails for it, or it is parked. It is named, and does not count as wrong.
    """

    key: Key
    id: str
    difference: Difference
    gone: bool = False
    """A misplaced document that the query does not return, and that does not count as an orphan."""
    version: int | None = field(default=None, compare=False)
    """Of what the index has: each write changes it. None: it has nothing, or it is not known."""


class Misplaced(ListenerError):
    """An index has misplaced documents: it must be loaded anew."""


@dataclass(frozen=True, slots=True)
class Page:
    """How many documents were looked at, and which of them differ."""

    looked_at: int
    mismatches: tuple[Mismatch, ...]

    @property
    def lost(self) -> int:
        """How many documents of this page of an index a new index would not have."""
        return sum(one.difference == "orphaned" or one.gone for one in self.mismatches)


class Comparison:
    """Compares one kind of document with one index. Errors of both clients pass through."""

    def __init__(
        self,
        source: DocumentSource,
        client: search.Client,
        index: str,
        parked: Iterable[str],
    ) -> None:
        """`index`: a real index, or an alias of one. `parked`: ids of parked documents."""
        self._source = source
        self._client = client
        self._index = index
        self._parked = frozenset(parked)
        self._mean = MeanSize()

    def look(self, connection: Connection, keys: Sequence[Key]) -> list[Mismatch]:
        """Compare these documents now, in real time. Returns which differ."""
        found: list[Mismatch] = []
        for start in range(0, len(keys), _MOST):
            found += self._look(connection, keys[start : start + _MOST])
        return found

    def _look(self, connection: Connection, keys: Sequence[Key]) -> list[Mismatch]:
        wanted = self._source.read(connection, keys)
        there = self._stored([self._source.id_of(key) for key in keys])
        found: list[Mismatch] = []
        size = 0
        for one in wanted:
            doc_id = self._source.id_of(one.key)
            if isinstance(one, Document) and one.body is None:  # gone, whether it is parked or not
                difference: Difference | None = "orphaned" if doc_id in there else None
            elif not isinstance(one, Document) or doc_id in self._parked:
                difference = "parked"
            else:
                body = one.body or b""
                size += len(body)
                if doc_id not in there:
                    difference = "missing"
                else:
                    same = exact_json.same(exact_json.document(body), there[doc_id].source)
                    difference = None if same else "stale"
            if difference is not None:
                version = there[doc_id].version if doc_id in there else None
                found.append(Mismatch(one.key, doc_id, difference, version=version))
        if keys:
            self._mean.read(len(keys), size)
        return found

    def _stored(self, ids: Sequence[str]) -> dict[str, Copy]:
        """By id, what the index has, in real time."""
        asked = [one for one in ids if sendable(one)]
        return Stored(self._client, self._index, asked).copies()

    def database(self, connection: Connection, after: Key | None = None) -> Iterator[Page]:
        """Every document that the database has, page by page. `after`: from the next key on."""
        while True:
            size = min(_MOST, self._mean.fitting(_PAGE_BYTES))
            keys = self._source.id_page(connection, after, size)
            if not keys:
                return
            yield Page(len(keys), tuple(self._look(connection, keys)))
            after = keys[-1]

    def index(self, connection: Connection) -> Iterator[Page]:
        """All documents of the index, page by page: which are orphaned, and which are misplaced.

        What is on both sides is compared by `database`, not here. A search finds the ids, so the
        index is refreshed first.
        """
        for hits in counts.hits(self._client, self._index):
            keys = [self._key(one["_id"]) for one in hits]
            wanted = self._source.existing(connection, keys)
            orphans = self._orphans(connection, [key for key in keys if key not in wanted])
            there = {*wanted, *(one.key for one in orphans)}
            misplaced = [
                Mismatch(key, one["_id"], "misplaced", gone=key not in there)
                for key, one in zip(keys, hits, strict=True)
                if "_routing" in one  # listener writes none
            ]
            yield Page(len(keys), (*misplaced, *orphans))

    def _orphans(self, connection: Connection, keys: Sequence[Key]) -> list[Mismatch]:
        """Which of these documents, that the database did not return, are orphaned in real time."""
        return [one for one in self.look(connection, keys) if one.difference == "orphaned"]

    def _key(self, doc_id: str) -> Key:
        """The key of an id. An id that no row can have becomes a placeholder key that matches
        nothing.
        """
        try:
            key = key_of_id(doc_id, self._source.types)
        except PayloadError:
            return (doc_id,)
        # an upper-case UUID is no document's id, though PostgreSQL reads it as the key of one
        return key if self._source.id_of(key) == doc_id else (doc_id,)


class Comparisons:
    """Makes comparisons for the reconciler."""

    def __init__(self, client: search.Client, parked: ParkedTable) -> None:
        self._client = client
        self._parked = parked

    def of(self, connection: Connection, kind: Kind, index: str) -> Comparison:
        """The comparison of this document kind with this real index. Raises psycopg.Error."""
        parked = self._parked.ids(connection, kind.index)
        return Comparison(kind.source, self._client, index, parked)
