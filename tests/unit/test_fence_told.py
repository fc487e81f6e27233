"""After a request without an answer: what is told where no new generation could be taken."""

from __future__ import annotations

from typing import Any, cast

from listener.indexing.batch import Limits
from listener.indexing.fence import Fence, FencedOut
from listener.indexing.outage import Outage, Outages
from listener.indexing.worker import Worker
from listener.observations.events import Observation, ServerName, Waiting
from listener.runtime.backoff import Backoff
from tests.kit.indexing import FailingLife, Noted, OneKind

REASON = "the alias movies.w1 leads to two indexes"


class Failing:
    """A fence that cannot take the next generation."""

    def renew(self) -> None:
        """It is not in force any more."""
        raise FencedOut(REASON)


def test_the_reason_is_told_as_it_is() -> None:
    """And a new session is asked for: it alone may raise the generation above others."""
    told: list[Observation] = []
    one, supervisor = OneKind(Limits(2000, 5_000_000, 30_000, 1000)), Noted()
    worker = Worker(
        ledger=one.ledger,
        gate=one.gate,
        fence=cast(Fence, Failing()),
        batcher=cast(Any, None),
        reader=cast(Any, None),
        senders=cast(Any, None),
        outages=Outages(
            Outage(ServerName.POSTGRES, Backoff(1, 2, 30), told.append),
            Outage(ServerName.ELASTICSEARCH, Backoff(1, 2, 30), told.append),
        ),
        supervisor=supervisor,
        life=FailingLife(),
    )
    worker._shut_out_late_requests()
    [waiting] = [one for one in told if isinstance(one, Waiting)]
    assert waiting.reason == REASON
    assert supervisor.fences == 1
