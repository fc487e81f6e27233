"""Putting aside: keeps our table of parked documents in step with what the pipeline decides."""

from __future__ import annotations

from collections.abc import Sequence

from listener.changes import Key, PayloadError, key_of_id
from listener.documents.source import DocumentSource
from listener.indexing.ledger import Shared
from listener.indexing.parked_table import UNPROVEN, ParkedTable
from listener.observations import events
from listener.observations.events import Observe
from listener.postgres import Connection


class Aside:
    """Reads and writes the table for the pipeline. Errors of psycopg pass through."""

    def __init__(
        self,
        shared: Shared,
        sources: Sequence[DocumentSource],
        table: ParkedTable,
        observe: Observe,
    ) -> None:
        self._shared = shared
        self._sources = sources
        self._numbers = {source.name: number for number, source in enumerate(sources)}
        self._table = table
        self._observe = observe

    def read(self, connection: Connection) -> None:
        """Learn who is parked. Call it where nothing is written down meanwhile.

        An index of an earlier configuration is nobody's here.
        """
        read = self._table.read(connection)
        with self._shared.lock:
            ours = {
                (self._numbers[one.index], one.id): one.reason
                for one in read
                if one.index in self._numbers
            }
            self._shared.parking.known = set(ours)
            self._shared.parking.unproven = {
                one for one, reason in ours.items() if reason.startswith(UNPROVEN)
            }

    def write(self, connection: Connection) -> None:
        """Write down who is put aside, and who is not any more."""
        parking = self._shared.parking
        with self._shared.lock:
            to_park = parking.to_park[:]
            to_clear = parking.to_clear.copy()
        for number, source in enumerate(self._sources):
            aside = [one for one in to_park if one.document == number]
            if aside:
                reasons = {one.id: one.reason for one in aside}
                self._table.park(connection, source.name, reasons)
            for one in aside:
                again = (number, one.id) in parking.unproven and one.reason.startswith(UNPROVEN)
                if not again:  # told already, and tried at each audit
                    self._observe(events.Parked(source.name, one.id, one.reason))
            cleared = {(number, doc_id) for document, doc_id in to_clear if document == number}
            if cleared:
                self._table.clear(connection, source.name, (one[1] for one in cleared))
            with self._shared.lock:
                for one in aside:
                    parking.known.add((number, one.id))
                    parking.unproven.discard((number, one.id))
                    if one.reason.startswith(UNPROVEN):
                        parking.unproven.add((number, one.id))
                    parking.to_park.remove(one)
                    self._shared.finish(number, one.key, one.jobs)
                parking.known -= cleared
                parking.unproven -= cleared
                parking.to_clear -= cleared
                self._shared.lock.notify_all()

    def document(self, index: str) -> int | None:
        """The number of the document that has this index; None: no document here has it."""
        return self._numbers.get(index)

    def keys(self, document: int) -> list[Key]:
        """The keys of what is parked of one document."""
        with self._shared.lock:
            ids = [one for number, one in self._shared.parking.known if number == document]
        return self.keys_of(document, ids)

    def unproven(self) -> dict[int, list[Key]]:
        """By document, the keys of those that were put aside without a proof."""
        found: dict[int, list[str]] = {}
        with self._shared.lock:
            for number, doc_id in self._shared.parking.unproven:
                found.setdefault(number, []).append(doc_id)
        return {number: self.keys_of(number, ids) for number, ids in found.items()}

    def keys_of(self, document: int, ids: Sequence[str]) -> list[Key]:
        """Keys of ids. One that no row can have now is of one odd part, and will not be found."""
        keys: list[Key] = []
        for doc_id in ids:
            try:
                keys.append(key_of_id(doc_id, self._sources[document].types))
            except PayloadError:
                keys.append((doc_id,))
        return list(dict.fromkeys(keys))
