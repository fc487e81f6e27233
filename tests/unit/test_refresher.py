"""The refresher: what was indexed becomes searchable, and not at the cost of each write."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from listener import search
from listener.indexing.batch import Limits
from listener.indexing.ledger import Lane, Wait
from listener.indexing.refresher import Refresher
from listener.observations.events import Refreshed
from listener.runtime import memory
from listener.search.write_aliases import Role, Target
from tests.kit.indexing import LANE, Choosing, OneKind
from tests.kit.threads import Beside, Failures, happens


class Setting(OneKind):
    """A refresher of one document kind, with an index in use."""

    def __init__(self) -> None:
        super().__init__(Limits(documents=10, bytes=1_000_000, pending=100, parked=10))
        self.gate.targets.append(Target("a.l1", role=Role.LOADING))
        self.ledger.resume()
        self.calls: list[Sequence[str]] = []
        self.error: Exception | None = None
        self.answer = threading.Event()
        self.answer.set()
        client: Any = SimpleNamespace(indices=SimpleNamespace(refresh=self._refresh))
        self.life = Failures()
        self.refresher = Refresher(
            ledger=self.ledger,
            gate=self.gate,
            client=client,
            observe=self.seen.append,
            life=self.life,
        )

    def _refresh(self, *, index: Sequence[str], ignore_unavailable: bool) -> None:
        assert ignore_unavailable
        self.calls.append(index)
        happens(self.answer)
        if self.error is not None:
            raise self.error

    def rest(self) -> None:
        """Wait until what runs has ended."""
        self.refresher.stop()


def test_an_edit_alone_is_refreshed_with_its_request() -> None:
    """Not the next one, while that runs; nor any that others wait behind. It is due then."""
    for alone, first in ((True, True), (False, False)):
        setting = Setting()
        assert setting.refresher.with_request(alone=alone) is first
        assert setting.refresher.when_idle() == Wait(None)
        assert setting.refresher.with_request(alone=True) is False
        setting.rest()
        assert len(setting.calls) == (0 if first else 1)


def test_what_went_without_is_refreshed_at_rest() -> None:
    """Once; the index in use alone, which people search."""
    setting = Setting()
    setting.refresher.soon()
    assert setting.refresher.when_idle() == Wait(None)
    assert setting.refresher.when_idle() == Wait(None)
    setting.rest()
    assert setting.calls == [["a.w1"]]
    assert [type(one) for one in setting.seen] == [Refreshed]


def test_not_while_a_request_is_in_flight() -> None:
    """What it writes would need another one."""
    setting = Setting()
    setting.refresher.soon()
    setting.ledger.sent(0)
    assert setting.refresher.when_idle() == Wait(None)
    setting.rest()
    assert setting.calls == []


def test_refreshes_keep_apart() -> None:
    """The next one is waited for; it is not forgotten."""
    setting = Setting()
    assert setting.refresher.with_request(alone=True)
    setting.refresher.done(0.01, ok=True)
    setting.refresher.soon()
    wait = setting.refresher.when_idle()
    assert wait.seconds is not None
    assert 0 < wait.seconds <= 0.1
    setting.rest()
    assert setting.calls == []


def test_a_request_that_failed_has_refreshed_nothing() -> None:
    """It is due as soon as the pace allows."""
    setting = Setting()
    assert setting.refresher.with_request(alone=True)
    setting.refresher.done(0.01, ok=False)
    assert setting.refresher.when_idle().seconds is not None
    setting = Setting()
    assert setting.refresher.with_request(alone=True)
    setting.refresher.done(0.01, ok=True)
    assert setting.refresher.when_idle().seconds is None


def test_an_outage_is_not_told_twice() -> None:
    """The requests tell of it; the pace goes on."""
    setting = Setting()
    setting.error = search.Away("gone")
    setting.refresher.soon()
    setting.refresher.when_idle()
    setting.rest()
    assert setting.seen == []
    setting.refresher.soon()
    assert setting.refresher.when_idle().seconds is not None  # it runs no more


def test_a_defect_ends_the_run() -> None:
    """No bulk would tell of it, and nothing would be searchable until the index's own interval."""
    setting = Setting()
    setting.error = AssertionError("odd")
    setting.refresher.soon()
    setting.refresher.when_idle()
    setting.rest()
    assert setting.life.errors == [setting.error]
    assert setting.ledger.crashed == "AssertionError: odd"


def test_without_an_index_there_is_no_request() -> None:
    """`refresh` of no name would be a refresh of every index."""
    setting = Setting()
    setting.gate.targets[0] = None
    setting.refresher.soon()
    setting.refresher.when_idle()
    setting.rest()
    assert setting.calls == []
    assert setting.seen == []


@pytest.mark.parametrize("way", ["soon", "done"])
def test_the_worker_looks_again(way: str) -> None:
    """It waits without end where nothing is to be done."""
    setting = Setting()
    looked = threading.Event()
    again = iter([False, True])

    def look() -> Lane | Wait:
        looked.set()
        return LANE if next(again) else Wait(None)

    turn = Beside(lambda: setting.ledger.wait_for_turn(Choosing(look)))
    happens(looked)
    if way == "soon":
        setting.refresher.soon()
    else:
        setting.refresher.done(0.01, ok=True)
    assert turn.result() == LANE


def test_stop_waits_for_the_refresh_that_runs() -> None:
    """Twice is once."""
    setting = Setting()
    setting.answer.clear()
    setting.refresher.soon()
    setting.refresher.when_idle()
    stop = Beside(setting.refresher.stop)
    assert stop.waits
    setting.answer.set()
    stop.result()
    setting.refresher.stop()
    assert len(setting.seen) == 1


def test_memory_is_given_back_at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in the midst of a storm, and once for it."""
    given: list[None] = []
    monkeypatch.setattr(memory, "give_back", lambda: given.append(None))
    for answers in (0, 3):
        setting = Setting()
        setting.ledger.sent(0)
        setting.refresher.give_back_memory(9_000_000)
        setting.ledger.lost(0, OSError("gone"))
        for _ in range(answers):
            setting.refresher.give_back_memory(1)
        setting.rest()
        assert len(given) == (1 if answers else 0)
