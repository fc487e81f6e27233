"""The batcher: which document kind is served next, and which of its ids make the next batch.

All that waits for a kind goes into one batch, as far as there is room: ids that changed, ids
behind changed keys of mapped watches, pages of sweeps and of loads. So an id that changes without
a pause still brings each job that waits for it to its end, and many small changes make few
requests.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final, Literal

from listener.changes import Key
from listener.documents.source import DocumentSource
from listener.failures import Failure
from listener.indexing.batch import Batch, Trial
from listener.indexing.batch_size import BatchSize
from listener.indexing.gate import Gate
from listener.indexing.id_sources import MappedTask, Task
from listener.indexing.ledger import Lane, Ledger
from listener.indexing.outage import Outages
from listener.indexing.queue import Jobs
from listener.indexing.supervisor import Supervisor
from listener.observations.events import ServerName
from listener.postgres import Connection
from listener.search.write_aliases import Role

_PATIENCE: Final = 0.01
"""Seconds in which a batch gathers further pages: the ids it has already should not wait long."""
_SAMPLE: Final = 200
_SAMPLES: Final = 5
"""Pages of ids, and how many of them, among which a witness is looked for."""


class _Rows:
    """The rows of one document kind, among which a witness is looked for."""

    def __init__(self, kind: int, source: DocumentSource, ledger: Ledger) -> None:
        self._kind = kind
        self.source = source
        self._ledger = ledger
        self.awaited: set[Key] = set()
        """Ids that were in flight when no other witness was found."""
        self._looked: tuple[Key | None, bool] = None, False
        """Where the next look for a witness goes on: after this id (None: from the beginning), and
        whether one may be among the ids before it."""

    @property
    def may_help(self) -> bool:
        """Whether a look may find a witness, or none is needed."""
        return self._ledger.may_find_witness(self._kind, self.awaited)

    def look(self, connection: Connection) -> Literal["some", "none", "in flight"]:
        """Look for a witness: whether there is one, or might have been (suspects, parked ones, what
        was tried in vain or not looked at), or may be soon."""
        ledger, kind = self._ledger, self._kind
        (after, others), self._looked = self._looked, (None, False)
        awaited: set[Key] = set()
        for _ in range(_SAMPLES):
            keys = self.source.id_page(connection, after, _SAMPLE)
            if not keys:
                break
            after = keys[-1]
            candidates = ledger.candidates(kind, keys)
            awaited.update(candidates.awaited)
            others = others or candidates.others
            found = self.source.existing(connection, candidates.keys) if candidates.keys else set()
            if found:
                ledger.is_good(kind, next(key for key in candidates.keys if key in found))
                return "some"
        else:
            self._looked = after, others  # the next look goes on from here
            others = True
        self.awaited = awaited
        if awaited:
            return "in flight"
        ledger.all_were_tried(kind)
        return "some" if others else "none"


class Batcher:
    """Makes batches for the pipeline's worker, which is the only thread that calls it."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        gate: Gate,
        size: BatchSize,
        sources: Sequence[DocumentSource],
        outages: Outages,
        supervisor: Supervisor,
    ) -> None:
        """`sources`: one for each document kind."""
        self._ledger = ledger
        self._gate = gate
        self._size = size
        self._rows = [_Rows(kind, source, ledger) for kind, source in enumerate(sources)]
        self._outages = outages
        self._supervisor = supervisor
        self._lanes = [
            lane for kind in range(len(sources)) for lane in (Lane(kind), Lane(kind, trial=True))
        ]
        self._turn = 0

    def choose(self) -> Lane | None:
        """Whose turn it is; None where nothing can be done now."""
        for step in range(1, len(self._lanes) + 1):
            turn = (self._turn + step) % len(self._lanes)
            lane = self._lanes[turn]
            if not self._ledger.ready(lane) or not self._may_try(lane.kind):
                continue
            if not lane.trial or self._rows[lane.kind].may_help:
                self._turn = turn
                return lane
        self._ledger.release_those_with_nothing_to_try()
        if not self._ledger.requests:
            self._size.rested()
        return None

    def _may_try(self, kind: int) -> bool:
        """Whether nothing is wrong with this kind, or its next try is due: one request at a time
        finds out whether it works again."""
        own = self._outages.kinds[kind]
        return not own.lasts or (own.wait <= 0 and not self._ledger.requests_of(kind))

    def gather(self, connection: Connection, lane: Lane) -> Batch | None:
        """Take ids, then draw the version; None where all are in flight.

        Runs mapping queries. What they raise passes through: everything that was taken is given
        back first.
        """
        items: dict[Key, Jobs] = {}
        try:
            if lane.trial:
                return self._gather_trial(connection, lane, items)
            return self._gather_ids(connection, lane, items)
        except BaseException:
            self._ledger.give_back(lane.kind, items)
            raise

    def _gather_ids(
        self, connection: Connection, lane: Lane, items: dict[Key, Jobs]
    ) -> Batch | None:
        ledger, kind = self._ledger, lane.kind
        until = time.monotonic() + _PATIENCE
        most = self._size.most(kind)
        ledger.begin_mappings(kind, self._rows[kind].source)
        ledger.take(kind, items, max(1, most // 2) if ledger.has_tasks(lane) else most)
        while len(items) < most:
            task = ledger.next_task(lane)
            if task is None:
                break
            page, more = task.next_page(connection, most - len(items))
            self._look_at_failed(task)
            ledger.add_page(task, page, items, more=more)
            if time.monotonic() > until and items:
                break
        ledger.take(kind, items, most)
        ledger.join(kind, items)
        if len(items) >= most:
            self._size.filled()
        return self._begin(lane, items) if items else None

    def _look_at_failed(self, task: Task) -> None:
        """Keys on which a mapping file failed were left out.

        Notifications may be forged, so their keys count as dropped: a sweep brings the true ones.
        Keys that a sweep brought are rows: only a comparison finds which documents they concern.
        """
        if not isinstance(task, MappedTask) or not task.failed:
            return
        reason = task.failed[0][1]
        task.failed.clear()
        target = self._gate.targets[task.kind]
        if task.live:
            self._ledger.dropped()
        elif target is not None and target.role is Role.KEPT:  # it is not compared, but given up
            failure = Failure(ServerName.POSTGRES, f"{task.watch}: {reason}", passes=False)
            self._outages.kinds[task.kind].postgres.failed(failure)
            self._ledger.hold(task.kind)
        else:
            self._supervisor.unmapped(task.kind, task.watch, reason)

    def _begin(
        self, lane: Lane, items: dict[Key, Jobs], trial: Trial | None = None
    ) -> Batch | None:
        """Draw the version. None where a request was lost while these were gathered: its ids may be
        among them, and must not be sent again before the next generation.
        """
        target = self._gate.targets[lane.kind]
        if self._gate.lost or target is None:
            self._ledger.give_back(lane.kind, items)
            return None
        return Batch(lane.kind, items, target, self._gate.draw(), trial=trial)

    # -- trials ------------------------------------------------------------------------------------

    def _gather_trial(
        self, connection: Connection, lane: Lane, items: dict[Key, Jobs]
    ) -> Batch | None:
        """One suspect and a witness. A change of the suspect that came meanwhile is served, too."""
        ledger, kind, rows = self._ledger, lane.kind, self._rows[lane.kind]
        rows.awaited = set()
        ledger.take_suspects(kind, items)
        if not items:
            return None
        witness = ledger.take_witness(kind, items)
        others = "some"
        if witness is None:
            others = rows.look(connection)
            witness = ledger.take_witness(kind, items)
        if witness is None and others == "some":
            # a load may be all that has taken it since: better than none
            witness = ledger.take_witness(kind, items, parked=True)
        if witness is None and others == "in flight":
            ledger.give_back(kind, items)  # when they are answered they may be witnesses
            return None
        if witness is not None:
            # The witness stands first. Where a cause ends between the two, the witness is refused
            # and the suspect taken. The other way round the suspect would look guilty.
            items = {witness: items[witness], **items}
        return self._begin(lane, items, Trial(witness, sole=witness is None and others == "none"))
