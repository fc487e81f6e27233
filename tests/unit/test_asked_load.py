"""A load that the active daemon is asked for: what a command beside it sees of it until its end."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from listener.resync import asked_load
from listener.resync.asked_load import REFUSED, SWAPPED, AskedLoads
from listener.runtime.lifecycle import Stop
from listener.state.model import Refusal, RolledBackFiles, State
from tests.kit.session import NOW, film_index, film_kind, saved_state


def made(seconds: float) -> str:
    """The name of an index of films that a load has made then."""
    return f"films-00000001-{NOW + timedelta(seconds=seconds):%Y%m%dt%H%M%S%f}z"


class Daemon:
    """An active daemon: what it does at each ring. `state`: as its control document says it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.state: State = saved_state()
        self.behind = made(-10)
        self.loading: str | None = None
        self.does: list[Any] = []
        self.asked: list[str | None] = []
        monkeypatch.setattr(asked_load, "_LOOK_EVERY", 0.001)
        monkeypatch.setattr("listener.capture.watermark.now", lambda _: (NOW,))
        monkeypatch.setattr("listener.capture.journal.ask_load", self._ask)

    def _ask(self, *_: object, waiting: str | None, **__: object) -> datetime:
        self.asked.append(waiting)
        return NOW + timedelta(seconds=2)

    def ring(self) -> None:
        """It looks at its journal, and works on."""
        if self.does:
            self.does.pop(0)()

    def load(self, *names: str, **accept: str) -> int | None:
        """The command's end."""
        source = SimpleNamespace(estimate=lambda _: 5, any_row=lambda _: True)
        kind = SimpleNamespace(index="films", hash=film_kind().hash, document=0, source=source)
        nothing: Any = None
        parts: Any = SimpleNamespace(files=[kind], speaker=lambda _: "film")
        indexes: Any = SimpleNamespace(
            behind=lambda _: film_index(self.behind),
            get=film_index,
            aliases=lambda *_: {} if self.loading is None else {"films.l3": [self.loading]},
            count=lambda _: 5,
        )
        control: Any = SimpleNamespace(read=lambda: SimpleNamespace(state=self.state))
        parked: Any = SimpleNamespace(ids=lambda *_: [])
        daemon: Any = SimpleNamespace(ring=self.ring, at_work=lambda: True)
        loads = AskedLoads(
            connection=nothing,
            parts=parts,
            indexes=indexes,
            control=control,
            parked=parked,
            daemon=daemon,
            stop=Stop(),
            patience=30,
        )
        return loads.run(names or ["films"], "listener", accept=accept)


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Daemon:
    """It has nothing to do."""
    return Daemon(monkeypatch)


def test_an_index_that_is_made_for_it(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    """Also for the request of another command of that moment: the daemon makes one for both."""

    def begins() -> None:
        daemon.loading = made(1)

    def swaps() -> None:
        daemon.behind, daemon.loading = made(1), None

    daemon.does = [begins, swaps]
    assert daemon.load() == SWAPPED
    told = capsys.readouterr().out
    assert "under way already" not in told
    assert f"are searched now, in {made(1)}" in told


def test_one_that_is_under_way_is_followed(
    daemon: Daemon, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is what is asked for. The daemon is asked nevertheless: that load may end another way."""
    daemon.loading = made(-1)

    def swaps() -> None:
        daemon.behind, daemon.loading = made(-1), None

    daemon.does = [swaps]
    assert daemon.load() == SWAPPED
    assert daemon.asked == [None]
    told = capsys.readouterr().out
    assert f"a load into {made(-1)} is under way already: it is followed" in told


def test_one_that_waits_for_a_person_is_not_followed(
    daemon: Daemon, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another one is loaded."""
    daemon.loading = made(-1)
    held = {"films": Refusal(physical=made(-1), reason="too many are gone")}
    daemon.state = saved_state(refused=held)

    def swaps() -> None:
        daemon.behind, daemon.loading, daemon.state = made(1), None, saved_state()

    daemon.does = [swaps]
    assert daemon.load() == SWAPPED
    assert "under way already" not in capsys.readouterr().out


@pytest.mark.parametrize("when", [-1, 1])
def test_a_rollback_gives_it_up(
    daemon: Daemon, capsys: pytest.CaptureFixture[str], when: int
) -> None:
    """One that came later; the files may have been rolled back before, too."""
    rolled = RolledBackFiles(hash="hash1", since=NOW + timedelta(seconds=when))

    def goes_back() -> None:
        daemon.state = saved_state(rolled_back={"films": rolled})

    def swaps() -> None:
        daemon.behind = made(1)

    daemon.does = [goes_back] if when > 0 else [goes_back, swaps]
    assert daemon.load() == (REFUSED if when > 0 else SWAPPED)
    assert ("a person went back" in capsys.readouterr().err) is (when > 0)
