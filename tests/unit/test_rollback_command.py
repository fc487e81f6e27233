"""`listener rollback` without servers: who is asked, what is seen of it, what a person reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from listener.app.status import Status
from listener.state.model import RolledBackFiles
from tests.kit.commands import Surroundings
from tests.kit.session import NOW, film_index, saved_state

PATIENCE = 5.0


class Swapped(Surroundings):
    """films-2 is in use since a swap, and films-1 is kept."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        super().__init__(monkeypatch, folder)
        self.behind["films"] = film_index("films-2")
        self.former["films"] = film_index("films-1")
        self.keeps("films-1")
        module = "listener.cli.rollback"
        monkeypatch.setattr(f"{module}.definitions_in_use", lambda *_: [])
        monkeypatch.setattr(f"{module}.fitting", lambda *_: None)
        monkeypatch.setattr(f"{module}.assemble", lambda *_: self.parts)
        monkeypatch.setattr("listener.capture.journal.ask_rollback", self._ask)

    def _ask(self, _connection: object, schema: str, watch: str, *what: str) -> None:
        self.step(f"asked in {schema} by {watch}: {', '.join(what)}")

    def goes_back(self) -> None:
        """The aliases change, and it is written down."""
        self.exchange()
        self.keeps("films-2")

    def exchange(self) -> None:
        """The aliases change."""
        self.behind["films"], self.former["films"] = film_index("films-1"), film_index("films-2")

    def gives_up(self, reason: str) -> None:
        """The former index is kept no more."""
        self.former.clear()
        self.state = saved_state(unkept={"films": reason})

    def ends(self) -> None:
        """The daemon ends."""
        self.active = False

    def asks(self) -> int:
        """How often the journal was asked."""
        return sum(one.startswith("asked in") for one in self.steps)


@pytest.fixture
def around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Swapped:
    """No daemon is active."""
    return Swapped(monkeypatch, tmp_path)


ASKED = "asked in listener by watch of 0: films, films-1"


# -- beside a daemon -------------------------------------------------------------------------------


def test_the_daemon_is_asked(around: Swapped, capsys: pytest.CaptureFixture[str]) -> None:
    """In one transaction with the ring that has it look. It is rung again until it has done it."""
    around.active = True
    around.meanwhile["rung"] = [lambda: None, lambda: None, around.goes_back]
    assert around.run("rollback", "films") == 0
    at = around.steps.index(ASKED)
    assert around.steps[at - 1 : at + 3] == ["begun", ASKED, "rung", "committed"]
    assert around.asked == []
    assert around.steps[-2:] == ["connection closed", "client closed"]
    assert capsys.readouterr().out.splitlines() == [
        "asked the active daemon to go back to films-1",
        "films: people search films-1 again",
        "`listener rollback films` once more goes forth again",
    ]


def test_files_that_are_not_in_force(around: Swapped, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told what to do with them."""
    around.active = True

    def goes_back() -> None:
        around.exchange()
        rolled = RolledBackFiles(hash="hash2", since=NOW)
        around.state = saved_state(rolled_back={"films": rolled})

    around.meanwhile["rung"] = [goes_back]
    assert around.run("rollback", "films") == 0
    told = capsys.readouterr().out
    assert "the files of films are not in force now" in told
    assert "goes forth" not in told, "the index before is not kept"


def test_a_daemon_that_is_slow_to_save(around: Swapped, capsys: pytest.CaptureFixture[str]) -> None:
    """The aliases know the former index, the state does not yet: a request would be ignored. It is
    made when the daemon has saved that it keeps it."""
    around.active = True
    around.state = saved_state()
    around.meanwhile["rung"] = [lambda: around.keeps("films-1"), around.goes_back]
    assert around.run("rollback", "films") == 0
    assert around.steps.index("rung") < around.steps.index(ASKED)
    assert "people search films-1 again" in capsys.readouterr().out


def test_a_daemon_that_does_not_save(around: Swapped, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is asked for. That no former index is kept would be wrong."""
    around.active = True
    around.state = saved_state()
    assert around.run("rollback", "films") == 3
    assert (around.asks(), around.asked) == (0, [])
    assert around.clock == pytest.approx(100 + PATIENCE, abs=0.5)
    told = capsys.readouterr().err
    assert "films: the active daemon has not written down yet that it keeps films-1" in told
    assert "`listener health`" in told
    assert "no former index" not in told


def test_it_is_given_up_before_it_is_saved(
    around: Swapped, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is asked for, and the reason is told."""
    around.active = True
    around.state = saved_state()
    around.meanwhile["rung"] = [lambda: around.gives_up("its query fails")]
    assert around.run("rollback", "films") == 2
    assert around.asks() == 0
    told = capsys.readouterr().err
    assert told == (
        "listener: films: not rolled back: the former index was given up: its query fails\n"
    )


def test_a_daemon_that_gives_it_up_for_the_request(
    around: Swapped, capsys: pytest.CaptureFixture[str]
) -> None:
    """That nothing is kept any more is not taken for a rollback."""
    around.active = True
    around.meanwhile["rung"] = [lambda: around.gives_up("it is closed")]
    assert around.run("rollback", "films") == 2
    assert "given up: it is closed" in capsys.readouterr().err


def test_a_daemon_that_does_not_come_to_it(
    around: Swapped, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has the request, and does it later: the command does nothing of its own."""
    around.active = True
    assert around.run("rollback", "films") == 3
    assert (around.asks(), around.asked) == (1, [])
    assert "has not come to it yet, and goes back when it does" in capsys.readouterr().err


@pytest.mark.parametrize("saved", [True, False])
def test_a_stop(around: Swapped, saved: bool) -> None:
    """Before the request or after it: it ends at once."""
    around.active = True
    around.meanwhile["waited"] = [around.stop.request]
    if not saved:
        around.state = saved_state()
    assert around.run("rollback", "films") == 130
    assert around.asks() == (1 if saved else 0)
    assert around.steps.count("waited") == 1
    assert around.asked == []


# -- a daemon ends, or another one takes over ------------------------------------------------------


@pytest.mark.parametrize("saved", [True, False])
def test_a_daemon_that_ends_meanwhile(around: Swapped, saved: bool) -> None:
    """Before it was asked, or after it: the command goes back itself."""
    around.active = True
    if not saved:
        around.state = saved_state()
    around.meanwhile["waited"] = [around.ends]
    around.meanwhile["daemon run"] = [around.goes_back]
    assert around.run("rollback", "films") == 0
    assert [one.rollback for one in around.asked] == [{"films": "films-1"}]


@pytest.mark.parametrize("look", [0, 1])
def test_a_daemon_that_does_it_and_ends(around: Swapped, look: int) -> None:
    """Between any two looks: the command does not go forth again for it."""
    around.active = True

    def does_it() -> None:
        around.goes_back()
        around.ends()

    around.meanwhile[ASKED] = [
        lambda: around.meanwhile.update(
            {("state read", "lock looked at")[look]: [does_it]},
        )
    ]
    assert around.run("rollback", "films") == 0
    assert around.asked == []


@pytest.mark.parametrize("saved", [True, False])
def test_another_daemon_takes_over(
    around: Swapped, saved: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """For a moment none is active. The command's own run meets the new one, which is asked then."""
    around.active = True
    if not saved:
        around.state = saved_state()

    def takes_over() -> None:
        around.active = True
        around.keeps("films-1")
        around.meanwhile["rung"] = [around.goes_back]

    around.meanwhile = {"waited": [around.ends], "daemon run": [takes_over]}
    around.statuses = [Status.ACTIVE]
    assert around.run("rollback", "films") == 0
    assert around.asks() == (2 if saved else 1), "a request that is read once more does nothing"
    told = capsys.readouterr()
    assert told.out.count("people search films-1 again") == 1
    assert told.err == ""


def test_another_daemon_takes_over_at_once(around: Swapped) -> None:
    """The lock is never free: it is followed as before, and is not taken for one that gave up."""
    around.active = True
    around.meanwhile["rung"] = [lambda: None] * 3 + [around.goes_back]
    assert around.run("rollback", "films") == 0
    assert (around.asks(), around.asked) == (1, [])


def test_the_one_that_takes_over_has_done_it(around: Swapped) -> None:
    """By the request that it found: it is not asked once more."""
    around.meanwhile["daemon run"] = [around.goes_back]
    around.statuses = [Status.ACTIVE]
    assert around.run("rollback", "films") == 0
    assert around.asks() == 0


def test_one_that_takes_over_and_ends(around: Swapped) -> None:
    """It has the request; the status is still that one was active."""
    around.statuses = [Status.ACTIVE]
    assert around.run("rollback", "films") == 4
    assert around.asks() == 1


# -- alone -----------------------------------------------------------------------------------------


def test_no_daemon_is_active(around: Swapped, capsys: pytest.CaptureFixture[str]) -> None:
    """The command catches up and goes back, and nothing is left in the journal."""
    around.meanwhile["daemon run"] = [around.goes_back]
    assert around.run("rollback", "films") == 0
    assert around.asks() == 0
    assert [(one.rollback, one.load, one.force) for one in around.asked] == [
        ({"films": "films-1"}, frozenset(), False)
    ]
    assert "people search films-1 again" in capsys.readouterr().out


@pytest.mark.parametrize("status", [Status.PARKED, Status.USAGE, Status.GAVE_UP])
def test_it_is_done_and_something_else_waits(
    around: Swapped, status: Status, capsys: pytest.CaptureFixture[str]
) -> None:
    """That it was done is told in any case, and the status is that of the run."""
    around.meanwhile["daemon run"] = [around.goes_back]
    around.statuses = [status]
    assert around.run("rollback", "films") == status
    assert "people search films-1 again" in capsys.readouterr().out


@pytest.mark.parametrize("status", [Status.USAGE, Status.GAVE_UP, Status.DEFECT])
def test_it_is_not_done(
    around: Swapped, status: Status, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run has said why; the status is its own."""
    around.statuses = [status]
    assert around.run("rollback", "films") == status
    assert capsys.readouterr() == ("", "")


def test_the_run_gives_it_up(around: Swapped, capsys: pytest.CaptureFixture[str]) -> None:
    """It ends well, and the alias leads where it led."""
    around.meanwhile["daemon run"] = [lambda: around.gives_up("it is gone")]
    assert around.run("rollback", "films") == 2
    assert "not rolled back: the former index was given up: it is gone" in capsys.readouterr().err


# -- which index -----------------------------------------------------------------------------------


def test_an_alias_that_is_none(around: Swapped, capsys: pytest.CaptureFixture[str]) -> None:
    """What may be meant is named, or those that there are, and no server is asked."""
    assert around.run("rollback", "film") == 2
    told = capsys.readouterr().err
    assert "no document of the configuration has the index 'film': did you mean 'films'?" in told
    assert around.run("rollback", "genres") == 2
    assert "has the index 'genres': there are films, persons" in capsys.readouterr().err
    assert around.steps == ["client closed", "client closed"]


@pytest.mark.parametrize("state", [None, saved_state(), saved_state(unkept={"films": "too old"})])
def test_nothing_is_kept(around: Swapped, state: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Why, where that is known. The database is not asked."""
    around.former.clear()
    around.state = state
    assert around.run("rollback", "films") == 2
    told = capsys.readouterr().err
    given_up = state is not None and state.unkept
    assert ("was given up: too old" if given_up else "no former index is kept. One is") in told
    assert not any("connected" in one for one in around.steps)


def test_the_aliases_word_counts(around: Swapped) -> None:
    """A swap is seen there before it is written down."""
    around.keeps("films-0")
    around.meanwhile["daemon run"] = [around.goes_back]
    assert around.run("rollback", "films") == 0
    assert around.asked[0].rollback == {"films": "films-1"}
