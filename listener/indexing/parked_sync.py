"""Keeps the table of parked documents in step with what the pipeline decides."""

from __future__ import annotations

from collections.abc import Sequence

from listener.changes import Key, PayloadError, key_of_id
from listener.documents.source import DocumentSource
from listener.indexing.ledger import Ledger
from listener.indexing.parked_table import ParkedTable
from listener.indexing.parked_told import ParkedTold
from listener.indexing.parking import UNPROVEN
from listener.observations.events import Observe
from listener.postgres import Connection


class ParkedSync:
    """Reads and writes the table for the pipeline. Errors of psycopg pass through."""

    def __init__(
        self,
        ledger: Ledger,
        sources: Sequence[DocumentSource],
        table: ParkedTable,
        observe: Observe,
    ) -> None:
        """`sources`: one for each document kind."""
        self._ledger = ledger
        self._sources = sources
        self._kinds = {source.name: kind for kind, source in enumerate(sources)}
        self._table = table
        self.told = ParkedTold(observe)

    def read(self, connection: Connection) -> None:
        """Learn which documents are parked. Call it where nothing is written down meanwhile.

        Those of an index that the configuration does not have are left alone.
        """
        self._ledger.know_parked(
            {
                (self._kinds[one.index], one.id): one.reason
                for one in self._table.read(connection)
                if one.index in self._kinds
            }
        )

    def write(self, connection: Connection) -> None:
        """Write down which documents are parked, and which are not any more."""
        to_park, to_clear = self._ledger.parking_to_write()
        for kind, source in enumerate(self._sources):
            parked = [one for one in to_park if one.kind == kind]
            if parked:
                self._table.park(connection, source.name, {one.id: one.reason for one in parked})
            for one in parked:
                again = one.reason.startswith(UNPROVEN) and self._ledger.is_unproven(kind, one.id)
                if not again:  # told already, and tried at each audit
                    self.told.add(source.name, one.id, one.reason)
            cleared = {(number, doc_id) for number, doc_id in to_clear if number == kind}
            if cleared:
                self._table.clear(connection, source.name, (one[1] for one in cleared))
            if parked or cleared:
                self._ledger.parking_written(parked, cleared)

    def kind(self, index: str) -> int | None:
        """The number of the document kind that has this index; None: none has it."""
        return self._kinds.get(index)

    def keys(self, kind: int) -> list[Key]:
        """The keys of what is parked of one kind."""
        return self.keys_of(kind, self._ledger.parked_ids(kind))

    def unproven(self) -> dict[int, list[Key]]:
        """By kind, the keys of those that were parked without a proof."""
        return {kind: self.keys_of(kind, ids) for kind, ids in self._ledger.unproven_ids().items()}

    def keys_of(self, kind: int, ids: Sequence[str]) -> list[Key]:
        """Keys of ids. An id that no row can have becomes a placeholder that matches nothing."""
        keys: list[Key] = []
        for doc_id in ids:
            try:
                keys.append(key_of_id(doc_id, self._sources[kind].types))
            except PayloadError:
                keys.append((doc_id,))
        return list(dict.fromkeys(keys))
