"""What a settled request says of Elasticsearch and of the generation. A request without an answer
is in test_worker."""

from __future__ import annotations

from typing import Any, cast

import pytest

from listener.changes import Route
from listener.indexing.answers import Answers
from listener.indexing.batch import Batch, Brake, Limits, Settled, Trial
from listener.observations.events import Held, Recovered, Waiting
from listener.search.verdicts import Outcome, Verdict
from listener.search.write_aliases import Target
from tests.kit.failures import reason_of
from tests.kit.indexing import Noted, OneKind

FENCED = Settled(retried=1, worst=Verdict(Outcome.FENCED, "the alias is gone"), fenced=True)
REFUSED = Settled(retried=1, worst=Verdict(Outcome.HOLD, "no such field"), brake=Brake.TOO_MANY)


class Setting(OneKind):
    """Answers to requests of one document kind, whose generation is the first."""

    def __init__(self) -> None:
        super().__init__(Limits(documents=10, bytes=1_000_000, pending=100, parked=10))
        self.supervisor = Noted()
        fence = cast(Any, None)
        self.answers = Answers(self.gate, self.ledger, fence, self.outages, self.supervisor)

    def batch(self, trial: Trial | None = None) -> Batch:
        """A request under the generation in force."""
        return Batch(0, {}, Target("a.w1"), self.gate.draw(), trial=trial)

    @property
    def told(self) -> list[type]:
        """What was told of the server."""
        return [type(one) for one in self.seen]


def test_writes_of_the_generation_in_force_are_refused() -> None:
    """Another process has raised it: a new session is asked for, and nothing is sent meanwhile."""
    setting = Setting()
    setting.answers.settled(setting.batch(), FENCED)
    assert setting.supervisor.fences == 1
    assert setting.told == [Waiting]
    assert reason_of(setting.outages.elasticsearch) == "the alias is gone"


def test_writes_of_an_earlier_generation_of_our_own_are_refused() -> None:
    """As they should: the one in force has removed their alias. They are read again, with no new
    session and no wait."""
    setting = Setting()
    batch = setting.batch()
    setting.gate.begin(2)
    setting.answers.settled(batch, FENCED)
    assert setting.supervisor.fences == 0
    assert setting.told == []


def test_a_failure_of_an_earlier_generation_counts() -> None:
    """The server is the same."""
    setting = Setting()
    batch = setting.batch()
    setting.gate.begin(2)
    away = Settled(retried=1, worst=Verdict(Outcome.RETRY, "no answer"))
    setting.answers.settled(batch, away)
    assert setting.told == [Waiting]
    assert setting.supervisor.fences == 0


@pytest.mark.parametrize("brake", list(Brake))
def test_the_brake_is_told_before_its_reason(brake: Brake) -> None:
    """A person reads first why no document is taken to be at fault."""
    setting = Setting()
    worst = Verdict(Outcome.HOLD, "no such field")
    setting.answers.settled(setting.batch(), Settled(retried=1, worst=worst, brake=brake))
    assert setting.told == [Held]
    own = setting.outages.kinds[0].elasticsearch
    assert own.brake is brake
    assert reason_of(own) == f"{brake}: no such field"


BLOCKED = Verdict(Outcome.RETRY, "cluster_block_exception: index [a] blocked")
NO_ROOM = Verdict(Outcome.RETRY, "es_rejected_execution_exception: no")
AWAY = Verdict(Outcome.HOLD, "401")


@pytest.mark.parametrize(
    ("worst", "whole", "own"),
    [
        (REFUSED.worst, False, True),
        (BLOCKED, False, True),
        (NO_ROOM, False, False),
        (AWAY, True, False),
    ],
)
def test_what_one_index_refuses_holds_its_kind_alone(
    worst: Verdict, whole: bool, own: bool
) -> None:
    """Nothing waits for it, and what comes is left out until it works again: then a sweep is due.
    What the server refuses as a whole holds all."""
    setting = Setting()
    setting.ledger.add("w", [("1",)], [Route(0, mapped=False)])
    mark = setting.ledger.mark()
    setting.answers.settled(setting.batch(), Settled(retried=1, worst=worst, whole=whole))
    assert (setting.outages.elasticsearch.lasts is None) is own
    assert setting.outages.kinds[0].lasts is own
    assert setting.ledger.whole is not own
    assert setting.ledger.wait_settled(mark, 0) is own
    assert setting.outages.trouble is not None
    overflows = setting.ledger.overflows
    setting.answers.settled(setting.batch(), Settled(written=1))
    assert setting.ledger.whole
    assert setting.ledger.overflows == overflows + own
    assert setting.outages.trouble is None


@pytest.mark.parametrize(
    ("settled", "tried", "recovers"),
    [
        (Settled(written=1), False, True),
        (Settled(deleted=1), False, True),
        (Settled(retried=1, doubted=True), False, False),
        (Settled(written=1, retried=1, doubted=True), False, True),
        (Settled(written=1), True, False),
        (Settled(written=1, last=True), True, True),
    ],
)
def test_what_ends_the_brake(settled: Settled, tried: bool, recovers: bool) -> None:
    """Not suspects alone, which prove nothing; nor a trial, while anything else waits."""
    setting = Setting()
    setting.answers.settled(setting.batch(), REFUSED)
    trial = Trial(("good",)) if tried else None
    setting.answers.settled(setting.batch(trial), settled)
    assert setting.told == [Held, *([Recovered] if recovers else [])]
