"""After a request without an answer: what is told where no new generation could be taken."""

from __future__ import annotations

from typing import cast

from listener.indexing.answers import Answers
from listener.indexing.fence import Fence
from listener.indexing.gate import FencedOut, Gate
from listener.indexing.ledger import Ledger
from listener.observations.events import Observation, Waiting
from listener.search.versions import Versions
from tests.kit.indexing import Noted, quick_outages

REASON = "the alias movies.w1 leads to two indexes"


class Failing:
    """A fence that cannot take the next generation."""

    def renew(self) -> None:
        """It is not in force any more."""
        raise FencedOut(REASON)


def test_the_reason_is_told_as_it_is() -> None:
    """And a new session is asked for: it alone may raise the generation above others."""
    told: list[Observation] = []
    supervisor = Noted()
    ledger = cast(Ledger, None)
    outages = quick_outages(told.append)
    answers = Answers(Gate(1, Versions()), ledger, cast(Fence, Failing()), outages, supervisor)
    answers.shut_out_late_requests()
    [waiting] = [one for one in told if isinstance(one, Waiting)]
    assert waiting.reason == REASON
    assert supervisor.fences == 1
