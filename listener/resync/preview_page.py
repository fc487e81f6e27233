"""One page of a preview: documents that the query makes now, and what the index has of them.

As little as possible is parsed: where the index holds the very bytes, nothing is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from listener import search
from listener.changes import Key, PayloadError, key_of_id, sendable
from listener.documents.reading import Faulty
from listener.documents.source import DocumentSource
from listener.postgres import Connection
from listener.resync.preview_report import State
from listener.search import exact_json
from listener.search.bulk import Document
from listener.search.stored import Stored


@dataclass(slots=True)
class Look:
    """What became of some documents, by id.

    `documents`: those that the query returned. `stored`: the values that the index has, of changed
    ones. `faults`: why the query fails. `not_returned`: keys that the query does not return.
    """

    states: dict[str, State] = field(default_factory=dict)
    documents: dict[str, Document] = field(default_factory=dict)
    stored: dict[str, Any] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    not_returned: list[Key] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of all documents."""
        return sum(len(one.body or b"") for one in self.documents.values())


class PageReader:
    """Reads and compares documents of one kind, in real time. Errors of both clients pass through,
    and QueryFileError where the query breaks its contract."""

    def __init__(
        self,
        source: DocumentSource,
        connection: Connection,
        client: search.Client,
        index: str | None,
    ) -> None:
        """`index`: the real index in use; None: there is none."""
        self._source = source
        self._connection = connection
        self._client = client
        self._index = index

    def look(self, keys: Sequence[Key]) -> Look:
        """Read these documents, and compare them with the index."""
        look = Look()
        for one in self._source.read(self._connection, keys):
            if isinstance(one, Faulty):
                doc_id = self._source.id_of(one.key)
                look.states[doc_id] = "refused"
                look.faults[doc_id] = one.reason
            elif one.body is None:
                look.not_returned.append(one.key)
            else:
                look.documents[one.id] = one
        self._compare(look)
        return look

    def _compare(self, look: Look) -> None:
        ids = [one for one in look.documents if sendable(one)]
        look.states.update(dict.fromkeys(look.documents, "new"))
        if self._index is None:
            return
        stored = Stored(self._client, self._index, ids)
        if stored.are([look.documents[one].body or b"" for one in ids]):
            look.states.update(dict.fromkeys(ids, "unchanged"))
            return
        for doc_id, there in stored.sources().items():
            body = look.documents[doc_id].body or b""
            if exact_json.same(exact_json.document(body), there):
                look.states[doc_id] = "unchanged"
            else:
                look.states[doc_id] = "changed"
                look.stored[doc_id] = there

    def stored(self, ids: Sequence[str]) -> dict[str, Any]:
        """By id, the values that the index has of these documents."""
        if self._index is None:
            return {}
        asked = [one for one in ids if sendable(one)]
        return Stored(self._client, self._index, asked).sources()

    def gone(self, keys: Sequence[Key]) -> list[tuple[Key, str]]:
        """Those of these keys, which the query does not return, that the index has; with ids."""
        ids = {self._source.id_of(key): key for key in keys}
        return [(ids[one], one) for one in self.stored(list(ids))]

    def key(self, doc_id: str) -> Key:
        """The key of an id; a placeholder that no row has where it is the id of none."""
        try:
            key = key_of_id(doc_id, self._source.types)
        except PayloadError:
            return (doc_id,)
        return key if self._source.id_of(key) == doc_id else (doc_id,)

    def alone(self, keys: Sequence[Key]) -> list[str]:
        """Ids of those keys that the query does return when it is asked for each alone."""
        return [
            one.id
            for key in keys
            for one in self._source.read(self._connection, [key])
            if isinstance(one, Document) and one.body is not None
        ]
