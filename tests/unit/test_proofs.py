"""The start of a load or comparison: how long its proof is waited for, and what is told of that."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import pytest

from listener.capture.watermark import Draw
from listener.observations.events import Observation, WatermarkHeld
from listener.postgres import Connection
from listener.resync.cancellation import Cancellation
from listener.resync.proofs import NAME_HOLDER_AFTER, Proofs
from listener.runtime.lifecycle import Stop, Stopped
from tests.kit.session import NOW

NOWHERE = cast(Connection, None)
_MOST_LOOKS = 20_000
"""More than a test needs: it never sleeps."""


class Waiting:
    """Waits for a proof. Time passes in the waits alone."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.told: list[Observation] = []
        self.draws = 0
        self.proven_after: float | None = None
        """Seconds of waiting after which each writer has ended; None: one never does."""
        self.cancellation = Cancellation(Stop())
        self.meanwhile: dict[int, Callable[[], object]] = {}
        """What happens in the wait of this number."""
        self.waits = 0
        self._looks = 0
        clock = SimpleNamespace(monotonic=lambda: self.now)
        monkeypatch.setattr("listener.resync.proofs.time", clock)
        monkeypatch.setattr("listener.capture.watermark.draw", self._draw)
        monkeypatch.setattr("listener.capture.watermark.passed", self._passed)
        monkeypatch.setattr("listener.capture.watermark.holder", lambda _: "a long transaction")
        monkeypatch.setattr(self.cancellation, "wait", self._wait)

    @property
    def waited(self) -> float:
        """Seconds, of the clock."""
        return self.now - 1000.0

    def proofs(self, *, all_rows: bool) -> Proofs:
        """`all_rows`: every table sends its keys."""
        return Proofs(all_rows=all_rows, observe=self.told.append)

    def _draw(self, _connection: object) -> Draw:
        self.draws += 1
        return Draw(NOW, self.draws, "0/30")

    def _passed(self, _connection: object, drawn: Draw) -> bool:
        self._looks += 1
        assert self._looks < _MOST_LOOKS, "it waits without end"
        assert drawn.xid == 1, "one start has one draw, however long it is waited for"
        return self.proven_after is not None and self.waited >= self.proven_after

    def _wait(self, seconds: float) -> None:
        self.waits += 1
        self.now += seconds
        self.meanwhile.pop(self.waits, lambda: None)()
        self.cancellation.check()


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> Waiting:
    """A writer is open, and stays so."""
    return Waiting(monkeypatch)


@pytest.mark.parametrize("all_rows", [True, False])
def test_a_proof_that_comes_soon(waiting: Waiting, all_rows: bool) -> None:
    """Short transactions are waited for, whoever sends keys; and nothing is told of them."""
    waiting.proven_after = NAME_HOLDER_AFTER - 0.5
    assert waiting.proofs(all_rows=all_rows).wait(NOWHERE, waiting.cancellation).proven
    assert waiting.waited >= waiting.proven_after
    assert waiting.told == []


def test_no_wait_where_it_is_proven(waiting: Waiting) -> None:
    """Nobody writes."""
    waiting.proven_after = 0.0
    start = waiting.proofs(all_rows=False).wait(NOWHERE, waiting.cancellation)
    assert (start.proven, start.at, waiting.waits) == (True, NOW, 0)


def test_where_all_tables_send_their_keys(waiting: Waiting) -> None:
    """A later commit is heard of: after a short wait it begins without the proof, and says so."""
    start = waiting.proofs(all_rows=True).wait(NOWHERE, waiting.cancellation)
    assert not start.proven
    assert NAME_HOLDER_AFTER < waiting.waited < NAME_HOLDER_AFTER + 0.2
    [told] = waiting.told
    assert isinstance(told, WatermarkHeld)
    assert told.holder == "a long transaction"


def test_where_some_do_not(waiting: Waiting) -> None:
    """It goes on waiting, for as long as it takes. What holds it up is told once."""
    waiting.proven_after = 600.0
    assert waiting.proofs(all_rows=False).wait(NOWHERE, waiting.cancellation).proven
    assert waiting.waited >= 600
    assert len(waiting.told) == 1


def test_a_wait_that_is_called_off(waiting: Waiting) -> None:
    """By the end of its session."""
    waiting.meanwhile[3] = waiting.cancellation.cancel
    with pytest.raises(Stopped):
        waiting.proofs(all_rows=False).wait(NOWHERE, waiting.cancellation)
    assert waiting.waits == 3


@pytest.mark.parametrize("after", [0.0, None])
def test_a_start_that_is_not_waited_for(waiting: Waiting, after: float | None) -> None:
    """It says whether it is proven."""
    waiting.proven_after = after
    assert waiting.proofs(all_rows=True).now(NOWHERE).proven is (after is not None)
    assert waiting.waits == 0
