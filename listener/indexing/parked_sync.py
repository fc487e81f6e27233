"""Keeps the table of parked documents in step with what the pipeline decides."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from listener.changes import Key, PayloadError, key_of_id
from listener.documents.source import DocumentSource
from listener.indexing.gate import Gate
from listener.indexing.ledger import Ledger
from listener.indexing.parked_table import ParkedTable
from listener.indexing.parked_told import ParkedTold
from listener.indexing.parking import UNPROVEN
from listener.observations.events import Observe
from listener.postgres import Connection
from listener.search.write_aliases import Role, Target, made_for


class ParkedSync:
    """Reads and writes the table for the pipeline. Errors of psycopg pass through.

    What is parked of the index in use stands there by the alias; of any other index by its own
    name.
    """

    def __init__(
        self,
        ledger: Ledger,
        gate: Gate,
        sources: Sequence[DocumentSource],
        table: ParkedTable,
        observe: Observe,
    ) -> None:
        """`sources`: one for each document kind."""
        self._ledger = ledger
        self._gate = gate
        self._sources = sources
        self._table = table
        self.told = ParkedTold(observe)
        self._targets: list[Target | None] = [None] * len(sources)
        """By kind, the index whose documents stand in the table."""

    def begin(self, connection: Connection, resumed: Collection[str]) -> None:
        """A session begins: put right what a process left that ended amid a swap. Then as `read`.

        `resumed`: indexes of loads that go on.
        """
        here = {one.index for one in self._gate.targets if one is not None} | {*resumed}
        in_use = {
            target.index: source.name
            for source, target in zip(self._sources, self._gate.targets, strict=True)
            if target is not None and target.role is Role.IN_USE
        }
        formers = {
            source.name: str(target.index)
            for source, target in zip(self._sources, self._gate.targets, strict=True)
            if target is not None and target.role is Role.KEPT
        }
        patterns = [made_for(name) for name in {source.name for source in self._sources}]
        for name in {one.index for one in self._table.read(connection)}:
            if name in in_use:
                alias = in_use[name]
                if alias in formers:  # what stands there by the alias is of the one before
                    self._table.rename(connection, alias, formers[alias])
                self._table.rename(connection, name, in_use[name])
            elif name not in here and any(one.fullmatch(name) for one in patterns):
                self._table.drop(connection, name)
        self.read(connection)

    def read(self, connection: Connection) -> None:
        """Learn which documents are parked. Call it where nothing is written down meanwhile.

        Those of an index that no kind feeds are left alone.
        """
        kinds = self._kinds()
        self._ledger.know_parked(
            {
                (kinds[one.index], one.id): one.reason
                for one in self._table.read(connection)
                if one.index in kinds
            }
        )

    def write(self, connection: Connection) -> None:
        """Write down which documents are parked, and which are not any more."""
        if self._ledger.parking_moved():
            self._move(connection)
        to_park, to_clear = self._ledger.parking_to_write()
        if not (to_park or to_clear):
            return
        for index, kind in self._kinds().items():
            parked = [one for one in to_park if one.kind == kind]
            if parked:
                self._table.park(connection, index, {one.id: one.reason for one in parked})
            for one in parked:
                again = one.reason.startswith(UNPROVEN) and self._ledger.is_unproven(kind, one.id)
                if not again:  # told already, and tried at each audit
                    self.told.add(index, one.id, one.reason)
            cleared = {(number, doc_id) for number, doc_id in to_clear if number == kind}
            if cleared:
                self._table.clear(connection, index, (one[1] for one in cleared))
            if parked or cleared:
                self._ledger.parking_written(parked, cleared)

    def _move(self, connection: Connection) -> None:
        """Indexes have changed their roles, and so the names by which their documents stand there.
        What was written of an index that is resumed is learnt."""
        now = list(self._gate.targets)
        moves = list(enumerate(zip(self._targets, now, strict=True)))
        for kind, (before, after) in moves:
            if before is not None and (after is None or after.index != before.index):
                self._table.drop(connection, self._name(kind, before))
        # what leaves the alias goes first: another one takes it
        moves.sort(key=lambda one: one[1][0] is None or one[1][0].role is not Role.IN_USE)
        for kind, (before, after) in moves:
            if before is not None and after is not None and after.index == before.index:
                old, new = self._name(kind, before), self._name(kind, after)
                if old != new:
                    self._table.rename(connection, old, new)
        self._targets = now
        self.read(connection)
        self._ledger.parking_in_place()

    def _name(self, kind: int, target: Target) -> str:
        return self._sources[kind].name if target.role is Role.IN_USE else str(target.index)

    def _kinds(self) -> dict[str, int]:
        """By its name in the table, which kind feeds an index."""
        return {
            self._name(kind, target): kind
            for kind, target in enumerate(self._gate.targets)
            if target is not None
        }

    def kind(self, index: str) -> int | None:
        """The number of the document kind that feeds this index; None: none does. `index`: as in
        the table."""
        return self._kinds().get(index)

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
