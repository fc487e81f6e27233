"""The reader: reads the documents of a batch on a connection of its own, and hands them on."""

from __future__ import annotations

import time
from collections.abc import Sequence

from listener.changes import sendable
from listener.documents.connections import Connections
from listener.documents.reading import Faulty
from listener.documents.source import DocumentSource
from listener.indexing.batch import Batch
from listener.indexing.batch_size import BatchSize
from listener.indexing.ledger import Ledger
from listener.indexing.parked_sync import ParkedSync
from listener.indexing.parking import ToPark
from listener.indexing.senders import Senders
from listener.observations import events
from listener.observations.events import Observe
from listener.observations.surprises import reading
from listener.postgres import Connection
from listener.search.bulk import Document
from listener.sql import files


class Reader:
    """For the pipeline's worker alone. Errors of psycopg and of the query files pass through."""

    def __init__(
        self,
        *,
        connections: Connections,
        sources: Sequence[DocumentSource],
        ledger: Ledger,
        size: BatchSize,
        parked: ParkedSync,
        senders: Senders,
        observe: Observe,
    ) -> None:
        """`sources`: one for each document kind."""
        self._connections = connections
        self._sources = sources
        self._ledger = ledger
        self._size = size
        self._parked = parked
        self._senders = senders
        self._observe = observe
        self._connection: Connection | None = None
        self._outdated: Connection | None = None

    def renew(self) -> None:
        """The connection is replaced at the next `open`."""
        self._outdated = self._connection

    def open(self) -> Connection:
        """The connection; what is to be parked is written down on it first."""
        if self._connection is None or self._connection is self._outdated:
            self.close()
            connection = self._connections.open("listener: documents", timed=True)
            try:
                connection.execute(files.load("documents/one_snapshot"))
                self._parked.read(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        self._parked.write(self._connection)
        return self._connection

    def close(self) -> None:
        """Safe to call twice."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def failed(self, lost: str | None) -> None:
        """Reading failed: the next `open` makes a new connection. `lost`: why the old one is gone;
        None: it is not, but a prepared statement may be of a table as it was before."""
        if self._connection is not None and lost is not None:
            self._observe(events.ConnectionLost("documents", lost))
        self.close()

    def read(self, connection: Connection, batch: Batch) -> str | None:
        """Read the documents, make sure that what was read is durable, hand them to the senders.

        Returns the last reason, where the query fails for too many documents: everything is held.
        """
        source = self._sources[batch.kind]
        batch.read_at = time.monotonic()
        with reading():
            read, unflushed = source.read_through(connection, list(batch.items))
        if unflushed is not None:
            row = connection.execute(
                files.load("documents/flushed"), {"lsn": unflushed.lsn}
            ).fetchone()
            if not (row and row[0]):
                connection.execute(files.load("documents/flush"))
        good, braked = self._sort_out(batch, read)
        self._hand_over(batch, good)
        return braked

    def _sort_out(
        self, batch: Batch, read: Sequence[Document | Faulty]
    ) -> tuple[Sequence[Document], str | None]:
        """Those that can be sent; why everything is held, if it is. The others are settled."""
        documents = [one for one in read if isinstance(one, Document) and sendable(one.id)]
        if documents and len(documents) == len(read):
            self._ledger.readable(batch.kind)
            return documents, None
        good: list[Document] = []
        braked: str | None = None
        for one in read:
            if isinstance(one, Faulty):
                braked = self._put_aside(batch, one) or braked
                continue
            self._ledger.readable(batch.kind)
            if sendable(one.id):
                good.append(one)
            elif one.body is None:  # no index can have it, and the database has it no longer
                self._ledger.nothing_to_write(batch, one.key, one.id)
            else:
                size = len(one.id.encode())
                fault = Faulty(one.key, f"an id of {size} bytes: 1 to 512 fit")
                braked = self._put_aside(batch, fault) or braked
        return good, braked

    def _put_aside(self, batch: Batch, one: Faulty) -> str | None:
        """Park it; where too many are refused, its reason: everything is held instead."""
        doc_id = self._sources[batch.kind].id_of(one.key)
        aside = ToPark(batch.kind, one.key, doc_id, batch.items[one.key], one.reason)
        return None if self._ledger.unreadable(aside) else one.reason

    def _hand_over(self, batch: Batch, documents: Sequence[Document]) -> None:
        """Cut what was read into requests of bounded size."""
        if not documents:
            return
        if batch.trial is not None:  # the witness goes with them, whatever their size
            self._dispatch(batch, documents)
            return
        for part in self._size.cut(batch.kind, documents):
            self._dispatch(batch, part)

    def _dispatch(self, batch: Batch, documents: Sequence[Document]) -> None:
        items = batch.items
        if len(documents) < len(items):
            items = {one.key: items[one.key] for one in documents}
        self._senders.dispatch(
            Batch(
                batch.kind,
                items,
                batch.target,
                batch.version,
                batch.read_at,
                documents,
                trial=batch.trial,
            )
        )
