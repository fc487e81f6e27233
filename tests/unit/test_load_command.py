"""`listener load` without servers: whom it asks, what it accepts, and what it deletes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from listener.app.status import Status
from listener.cli import load
from listener.resync.asked_load import AskedLoads
from listener.search.existing import Existing
from listener.search.indexes import Indexes
from listener.state.model import Kept, Refusal
from tests.kit.commands import Surroundings
from tests.kit.session import NOW, OWN, film_index, saved_state


class Loads(Surroundings):
    """films is in use, persons is not loaded yet."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        super().__init__(monkeypatch, folder)
        self.asks: list[tuple[Sequence[str], Mapping[str, str]]] = []
        """What active daemons were asked for: names, and what is accepted."""
        self.answers: list[int | None] = []
        """How these requests end; then each ends well."""
        self.old: dict[str, list[str]] = {}
        """Left over, by alias."""
        self.of_others: dict[str, list[Existing]] = {}
        self.undeletable: set[str] = set()
        monkeypatch.setattr(load, "lock_holder", self.lock_holder)
        monkeypatch.setattr(load, "assemble", lambda *_: self.parts)
        monkeypatch.setattr(
            AskedLoads, "run", lambda _, names, *__, accept: self._ask(names, accept)
        )
        monkeypatch.setattr(Indexes, "old", lambda _, alias: self.old.get(alias, []))
        monkeypatch.setattr(
            Indexes, "old_of_others", lambda _, alias: self.of_others.get(alias, [])
        )
        monkeypatch.setattr(Indexes, "delete", lambda _, name: self.step(f"deleted {name}"))
        monkeypatch.setattr(Indexes, "drop_if_unused", lambda _, name, __: self._drop(name))

    def _ask(self, names: Sequence[str], accept: Mapping[str, str]) -> int | None:
        self.step("asked")
        self.asks.append((list(names), accept))
        return self.answers.pop(0) if self.answers else 0

    def _drop(self, name: str) -> bool:
        self.step(f"deleted {name}")
        return name not in self.undeletable

    def holds(self, *aliases: str) -> None:
        """A new index of these is complete and waits for a person's word."""
        names = {alias: f"{alias}-2" for alias in aliases}
        refused = {
            alias: Refusal(physical=name, reason="too many are gone")
            for alias, name in names.items()
        }
        self.state = saved_state(refused=refused)
        self.indexes = {
            name: film_index(name, hash=self.hashes[alias]) for alias, name in names.items()
        }

    def deleted(self) -> list[str]:
        """What was deleted."""
        return [one for one in self.steps if one.startswith("deleted")]


@pytest.fixture
def around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Loads:
    """No daemon is active."""
    return Loads(monkeypatch, tmp_path)


# -- who loads -------------------------------------------------------------------------------------


def test_without_a_daemon(around: Loads) -> None:
    """All is loaded into a new state; what is named is loaded beside the rest."""
    assert around.run("load") == 0
    assert around.run("load", "persons") == 0
    assert [(sorted(one.load), one.force) for one in around.asked] == [
        (["films", "persons"], True),
        (["persons"], False),
    ]
    assert around.asks == []


def test_an_active_daemon_is_asked(around: Loads) -> None:
    """In the order of the configuration, each once. The command loads nothing."""
    around.active = True
    around.answers = [int(Status.PARKED)]
    assert around.run("load", "persons", "films", "persons") == 1
    assert around.asks == [(["films", "persons"], {})]
    assert around.asked == []
    assert around.steps[-2:] == ["client closed", "connection closed"]


def test_a_daemon_that_ends_meanwhile(around: Loads) -> None:
    """The command does what was asked for."""
    around.active = True
    around.answers = [None]
    assert around.run("load", "films") == 0
    assert [sorted(one.load) for one in around.asked] == [["films"]]


@pytest.mark.parametrize(("answer", "status"), [(2, 2), (None, 4)])
def test_a_daemon_that_begins_meanwhile(around: Loads, answer: int | None, status: int) -> None:
    """It is asked then. If it ends, too, the status is that one was active."""
    around.statuses = [Status.ACTIVE]
    around.answers = [answer]
    assert around.run("load") == status
    assert around.asks == [(["films", "persons"], {})]
    assert len(around.asked) == 1


def test_whether_one_is_active_cannot_be_told(
    around: Loads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The load waits for the server, as any start."""

    def away(*_: object) -> None:
        raise psycopg.OperationalError("connection refused")

    monkeypatch.setattr("listener.postgres.connect", away)
    assert around.run("load", "films") == 0
    assert len(around.asked) == 1


@pytest.mark.parametrize(
    ("name", "told"),
    [("film", "did you mean 'films'?"), ("genres", "there are films, persons")],
)
def test_a_name_that_is_none(
    around: Loads, name: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others beside it are not loaded either."""
    assert around.run("load", "persons", name) == 2
    assert f"has the index {name!r}: {told}" in capsys.readouterr().err
    assert (around.steps, around.asked) == ([], [])


# -- a person's word -------------------------------------------------------------------------------


@pytest.mark.parametrize("active", [True, False])
def test_the_word_is_for_what_is_held(around: Loads, active: bool) -> None:
    """Nothing else is loaded, and no index is accepted but the one whose losses were told."""
    around.active = active
    around.holds("persons")
    assert around.run("load", "--accept") == 0
    if active:
        assert around.asks == [(["persons"], {"persons": "persons-2"})]
        assert around.asked == []
    else:
        [asked] = around.asked
        assert (sorted(asked.load), asked.accept) == (["persons"], {"persons": "persons-2"})
        assert not asked.force


def test_the_word_for_one_of_two(around: Loads) -> None:
    """The other one goes on waiting."""
    around.holds("films", "persons")
    assert around.run("load", "films", "--accept") == 0
    assert around.asked[0].accept == {"films": "films-2"}


@pytest.mark.parametrize(
    ("held", "names", "told"),
    [
        ([], [], "nothing is held: films, persons have no new index that waits"),
        ([], ["films"], "nothing is held: films has no new index that waits"),
        (["films"], ["persons"], "nothing is held: persons has no new index"),
        (["films"], ["films", "persons"], "listener: persons has no new index"),
    ],
)
def test_nothing_waits_for_the_word(
    around: Loads,
    held: list[str],
    names: list[str],
    told: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A word for an index that does not wait is no word for a load."""
    around.holds(*held)
    assert around.run("load", *names, "--accept") == 2
    assert told in capsys.readouterr().err
    assert (around.asked, around.asks) == ([], [])


def test_what_was_held_is_gone(around: Loads, capsys: pytest.CaptureFixture[str]) -> None:
    """The state speaks of it still, and Elasticsearch has it no more."""
    around.holds("films")
    around.indexes.clear()
    assert around.run("load", "--accept") == 2
    assert "nothing is held" in capsys.readouterr().err


def test_the_files_have_changed_since(around: Loads, capsys: pytest.CaptureFixture[str]) -> None:
    """The word would swap in what the files do not say any more."""
    around.holds("films")
    around.indexes["films-2"] = film_index("films-2", hash="of other files")
    assert around.run("load", "--accept") == 2
    assert "films-2 is held, and the files have changed since" in capsys.readouterr().err
    assert around.asked == []


# -- what is left over -----------------------------------------------------------------------------


def test_what_is_left_over_is_deleted(around: Loads, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is loaded. What belongs to another database is named and kept."""
    around.old = {"films": ["films-0", "films-1"]}
    around.of_others = {"persons": [film_index("persons-1", database=OWN)]}
    assert around.run("load", "--drop-old") == 0
    assert around.deleted() == ["deleted films-0", "deleted films-1"]
    told = capsys.readouterr().out.splitlines()
    assert told == ["deleted films-0", "deleted films-1", f"kept persons-1: it belongs to {OWN}"]
    assert around.asked == []


def test_nothing_is_left_over(around: Loads, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told."""
    assert around.run("load", "--drop-old") == 0
    assert capsys.readouterr().out == "nothing is left over\n"


@pytest.mark.parametrize(
    ("physical", "seconds", "deleted"),
    [("films-0", 1, False), ("films-0", 0, True), ("films-9", 1, True), (None, 1, True)],
)
def test_a_former_index(
    around: Loads,
    physical: str | None,
    seconds: int,
    deleted: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One that is kept can be gone back to until its time is over. One that no daemon has closed is
    deleted."""
    around.former["films"] = film_index("films-0")
    if physical is not None:
        until = NOW + timedelta(seconds=seconds)
        kept = Kept(physical=physical, uuid="uuid-0", since=NOW, until=until)
        around.state = saved_state(kept={"films": kept})
    assert around.run("load", "--drop-old") == 0
    assert around.deleted() == (["deleted films-0"] if deleted else [])
    told = capsys.readouterr().out
    assert ("deleted films-0" in told) is deleted
    assert ("`listener rollback films` goes back to it" in told) is not deleted
    assert "nothing is left over" not in told


def test_one_that_somebody_has_an_alias_for(
    around: Loads, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is not deleted, and it is not said that it was."""
    around.former["films"] = around.indexes["films-0"] = film_index("films-0")
    around.state = None
    assert around.run("load", "--drop-old") == 0
    told = capsys.readouterr().out
    assert told.startswith("kept films-0: somebody has an alias for it")


def test_one_that_the_server_does_not_delete(
    around: Loads, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said to be kept, and why."""
    around.former["films"] = film_index("films-0")
    around.undeletable = {"films-0"}
    around.state = None
    assert around.run("load", "--drop-old") == 0
    told = capsys.readouterr().out
    assert told.startswith("kept films-0: the server refuses to delete it now")
