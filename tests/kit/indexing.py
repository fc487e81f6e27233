"""Parts of indexing without servers: a ledger with its gate, and fakes of what stands above."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest

from listener.changes import Key
from listener.indexing.batch import Limits
from listener.indexing.batch_size import BatchSize
from listener.indexing.gate import Gate
from listener.indexing.id_sources import Task
from listener.indexing.ledger import Lane, Ledger, Wait
from listener.indexing.outage import KindOutages, Outage, Outages
from listener.indexing.parking import Parking
from listener.indexing.queue import Pending
from listener.indexing.work import Work
from listener.observations.events import Observation, Observe, ServerName
from listener.runtime.backoff import Backoff
from listener.runtime.lifecycle import Stop
from listener.search.sink import Sent
from listener.search.verdicts import Outcome, Verdict
from listener.search.versions import Versions
from listener.search.write_aliases import Target

LANE: Final = Lane(0)
"""The only one of a ledger of one kind, where no index is loaded."""


class Choosing:
    """A Chooser; `look` is the test's."""

    def __init__(self, look: Callable[[], Lane | Wait] = lambda: LANE) -> None:
        self.look = look


class FailingLife:
    """A Life in which a defect fails the test."""

    def __init__(self) -> None:
        self.stop = Stop()

    def fail(self, error: BaseException) -> None:
        """A thread cannot go on."""
        pytest.fail(repr(error))


class Noted:
    """A Supervisor that notes what it is told."""

    def __init__(self) -> None:
        self.fences = 0
        self.told: list[tuple[int, str, str]] = []

    def fenced(self) -> None:
        """Writes are refused."""
        self.fences += 1

    def unmapped(self, kind: int, watch: str, reason: str) -> None:
        """A mapping file failed."""
        self.told.append((kind, watch, reason))


class OneKind:
    """A ledger of one document kind with an index in use. An id is the first part of its key."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.source = SimpleNamespace(name="a", id_of=lambda key: key[0], types=("text",))
        self.sources = cast(Any, [self.source])
        self.versions = Versions()
        self.versions.begin(1)
        self.gate = Gate(1, self.versions)
        self.gate.targets[0] = Target("a.w1")
        self.size = BatchSize(1, limits)
        self.ledger = Ledger(self.sources, self.gate, self.size, limits)
        self.seen: list[Observation] = []
        self.outages = quick_outages(self.seen.append)

    # what only a test looks at, and sets

    @property
    def work(self) -> Work:
        """Of the one kind."""
        return self.ledger._works[0]

    @property
    def pending(self) -> Pending:
        """What notifications brought."""
        return self.ledger._pending

    @property
    def tasks(self) -> deque[Task]:
        """Pages that wait."""
        return self.ledger._tasks

    @property
    def parking(self) -> Parking:
        """Which documents are parked."""
        return self.ledger._parking

    @property
    def waiting(self) -> set[Key]:
        """Ids that wait."""
        return set(self.pending.ids[0].waiting)

    def suspect(self, *names: str) -> None:
        """These ids wait, and were refused."""
        for name in names:
            self.work.suspects[name,] = None


def quick_outages(observe: Observe, kinds: int = 1) -> Outages:
    """Those of a run, whose waits are over at once."""

    def both() -> tuple[Outage, Outage]:
        return (
            Outage(ServerName.POSTGRES, Backoff(0.001, 1, 0.001), observe),
            Outage(ServerName.ELASTICSEARCH, Backoff(0.001, 1, 0.001), observe),
        )

    return Outages(*both(), [KindOutages(*both()) for _ in range(kinds)])


DONE = Verdict(Outcome.DONE)


def sent(*verdicts: Verdict, lost: bool = False) -> Sent:
    """An answer with these verdicts."""
    taken = all(one.outcome is Outcome.DONE for one in verdicts)
    return Sent(verdicts, 0.01, 100, taken=taken, lost=lost)
