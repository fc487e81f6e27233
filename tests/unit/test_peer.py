"""The peer: what a daemon that stands by finds wrong with the active one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from listener.coordinator import peer
from listener.coordinator.peer import Peer
from listener.search import Away
from listener.state.control import Control, ControlDocument
from tests.kit.session import saved_state


class Watching:
    """A standby whose own index is `films`, and what its Elasticsearch answers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *fed: str) -> None:
        self.now = 0.0
        self.looks = 0
        self.error: Exception | None = None
        monkeypatch.setattr(peer, "time", SimpleNamespace(monotonic=lambda: self.now))
        state = saved_state()
        identity = state.identity.model_copy(update={"indexes": dict.fromkeys(fed, "uuid")})
        state = state.model_copy(update={"identity": identity})
        self.answer = Control(1, {}, 7, 1, state)
        self.peer = Peer(cast(ControlDocument, self), "movies", ["films"])

    def read(self) -> Control:
        """As of ControlDocument."""
        self.looks += 1
        if self.error is not None:
            raise self.error
        return self.answer

    def stand_by(self, seconds: float) -> str | None:
        """For so long, with a look each second. What it says at the end."""
        told: Any = None
        for _ in range(round(seconds)):
            self.now += 1
            told = self.peer.differs()
        return None if told is None else str(told.reason)


def test_a_true_standby(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked at once a minute."""
    watching = Watching(monkeypatch, "films")
    assert watching.stand_by(3600) is None
    assert 50 < watching.looks < 60


def test_a_copied_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """With another index. A release that takes the place of the former one may have one, too: so
    only what lasts is told."""
    watching = Watching(monkeypatch, "actors", "films", "old")
    assert watching.stand_by(299) is None
    assert watching.stand_by(10) == (
        "the active daemon of pipeline movies feeds actors, old, which this configuration does not "
        "have"
    )
    watching.error = Away("refused")
    assert watching.stand_by(120) is not None
    watching.now += 100  # it was active meanwhile
    assert watching.stand_by(100) is None


def test_another_elasticsearch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the active daemon is there."""
    watching = Watching(monkeypatch)
    watching.answer = Control(0, {}, None, None)
    told = watching.stand_by(400)
    assert told is not None
    assert "another Elasticsearch" in told


def test_a_document_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """It tells nothing."""
    watching = Watching(monkeypatch)
    watching.answer = Control(1, {}, 7, 1, None, "damaged")
    assert watching.stand_by(400) is None
