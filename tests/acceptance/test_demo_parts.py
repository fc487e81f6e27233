"""The demo tells the truth about failures: of an edit, of the daemon, of the machine."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from rich.console import Console

from playground import demo, demo_setup
from playground.demo_daemon import Daemon, DaemonFailed
from playground.demo_index import Document, NotArrived, arrival, differences
from playground.system import PlaygroundError


class Answers:
    """Documents that are there from a certain question on."""

    def __init__(self, *rounds: Mapping[str, Document]) -> None:
        self.rounds = list(rounds)
        self.asked: list[list[str]] = []

    def __call__(self, ids: Sequence[str]) -> Mapping[str, Document]:
        self.asked.append(list(ids))
        return self.rounds.pop(0) if len(self.rounds) > 1 else self.rounds[0]


def test_arrival_asks_only_for_what_is_missing() -> None:
    """Two documents that come one after the other, and one that goes."""
    answers = Answers(
        {"a": {"n": 1}, "b": {"n": 1}, "c": {"n": 1}},
        {"a": {"n": 2}, "b": {"n": 1}},
        {"b": {"n": 2}},
    )
    began = time.perf_counter()
    passed = arrival(answers, {"a": {"n": 2}, "b": {"n": 2}, "c": None}, since=began, seconds=30)
    assert 0 < passed <= time.perf_counter() - began
    assert answers.asked == [["a", "b", "c"], ["a", "b", "c"], ["b"]]


@pytest.mark.parametrize(
    ("wanted", "there", "told"),
    [
        (None, {"n": 1}, "a is still there"),
        ({"n": 1}, None, "a is not there"),
        ({"n": 1, "m": 1}, {"n": 2, "m": 1}, "a differs in n"),
    ],
)
def test_what_does_not_arrive_is_told(
    wanted: Document | None, there: Document | None, told: str
) -> None:
    """Which document, and in what."""
    found = {} if there is None else {"a": there}
    assert differences({"a": wanted}, found) == ["a"]
    with pytest.raises(NotArrived, match=f"1 documents are not right after 0 s: {told}"):
        arrival(Answers(found), {"a": wanted}, since=time.perf_counter(), seconds=0)


@pytest.mark.parametrize("error", [NotArrived, DaemonFailed, PlaygroundError])
def test_a_failure_is_the_status(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """1, and the reason on standard error."""

    def run(_console: Console, _times: int, _seconds: float) -> None:
        raise error("the reason")

    monkeypatch.setattr(demo, "run", run)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    assert demo.main([]) == 1
    assert capsys.readouterr().err == "demo: the reason\n"


def test_a_daemon_that_ends_is_told(tmp_path: Path) -> None:
    """With its status and its last words."""
    settings = {
        "LISTENER_STATE_FILE_NAME": str(tmp_path / "state.yaml"),
        "LISTENER_FETCH_DELAY": "soon",
        "LISTENER_DB_PASSWORD": "x",
    }
    with (
        Daemon(settings) as daemon,
        pytest.raises(DaemonFailed, match=r"(?s)ended with status 2; it said:.*FETCH_DELAY"),
    ):
        next(daemon.observations(60))


def test_what_the_machine_lacks_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """JDK and Maven together, each with the package that brings it."""

    def no_jdk(_at_least: int) -> Path:
        raise PlaygroundError("no JDK 17: `apt-get install openjdk-17-jdk-headless`")

    monkeypatch.setattr(demo_setup, "find_jdk", no_jdk)
    monkeypatch.setattr(demo_setup, "is_laid_out", lambda _: False)
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert demo_setup.main() == 1
    told = capsys.readouterr().err
    assert "apt-get install openjdk-17-jdk-headless" in told
    assert "apt-get install maven" in told
