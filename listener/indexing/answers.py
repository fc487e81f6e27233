"""What Elasticsearch's answers say of the server and of the generation in force."""

from __future__ import annotations

from dataclasses import replace

from listener import search
from listener.failures import Failure, failure_of
from listener.indexing.batch import Batch, Brake, Settled
from listener.indexing.fence import Fence
from listener.indexing.gate import FencedOut, Gate
from listener.indexing.ledger import Ledger
from listener.indexing.outage import Outages
from listener.indexing.supervisor import Supervisor
from listener.observations.events import ServerName
from listener.search.verdicts import Outcome
from listener.search.versions import generation_of


class Answers:
    """Tells the outages whether Elasticsearch works, and asks for a new session where only a new
    session can go on. Thread-safe.

    What one index refuses holds the kind that feeds it, and no other.
    """

    def __init__(
        self, gate: Gate, ledger: Ledger, fence: Fence, outages: Outages, supervisor: Supervisor
    ) -> None:
        self._gate = gate
        self._ledger = ledger
        self._fence = fence
        self._outages = outages
        self._supervisor = supervisor

    def settled(self, batch: Batch, settled: Settled) -> None:
        """A request was settled: whether Elasticsearch does what it should."""
        worst, fenced = settled.worst, settled.fenced
        own = self._outages.kinds[batch.kind]
        if worst is None:
            # a request that wrote nothing and made suspects proves nothing; and a trial ends the
            # brake of too many refusals only where nothing else waits or is in flight
            braked = own.elasticsearch.brake is Brake.TOO_MANY
            if (settled.last or batch.trial is None or not braked) and (
                settled.written or not settled.doubted
            ):
                self._outages.elasticsearch.works()
                own.elasticsearch.works()
                if not own.lasts:
                    self._ledger.release(batch.kind)
        elif not fenced or generation_of(batch.version) >= self._gate.generation:
            if fenced:
                self._supervisor.fenced()
            passes = worst.outcome is not Outcome.HOLD
            failure = Failure(ServerName.ELASTICSEARCH, worst.reason, passes, worst.mend)
            if worst.by_index and not settled.whole:
                self._outages.elasticsearch.works()  # it answers
                self._ledger.hold(batch.kind)
                own.elasticsearch.failed(failure, settled.brake)
            else:
                self._outages.elasticsearch.failed(failure, settled.brake)
        # else: an earlier generation of our own; it is read again under the one in force

    def shut_out_late_requests(self) -> None:
        """A request had no answer. It may arrive when the tombstone of a later delete is forgotten:
        under the next generation its alias is gone.
        """
        outage = self._outages.elasticsearch
        try:
            self._fence.renew()
        except FencedOut as error:
            self._supervisor.fenced()
            # a new session mends it
            outage.failed(Failure(ServerName.ELASTICSEARCH, str(error), passes=True))
        except search.NotFound as error:
            # an index that is gone takes no alias: a new session finds out, and loads it
            self._supervisor.fenced()
            outage.failed(replace(failure_of(error), passes=True))
        except search.Error as error:
            outage.failed(failure_of(error))
