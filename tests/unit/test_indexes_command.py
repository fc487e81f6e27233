"""`listener indexes` without servers: what is shown of each index, and what is dropped."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from listener.search.indexes import Indexes
from listener.search.inventory import Role, StoredIndex
from listener.state.model import Refusal
from tests.kit.commands import Surroundings, put_aside
from tests.kit.session import OWN, saved_state, unfinished


class Stored(Surroundings):
    """What is stored is what the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        super().__init__(monkeypatch, folder)
        self.stored: list[StoredIndex] = []
        self.refused: set[str] = set()
        """What the server does not delete."""
        self.owners: list[Any] = []
        monkeypatch.setattr(
            Indexes,
            "inventory",
            lambda indexes, aliases, generation, _: self._inventory(indexes, aliases, generation),
        )
        monkeypatch.setattr(Indexes, "drop_if_unused", lambda _, name, __: self._drop(name))

    def _inventory(
        self, indexes: Indexes, aliases: list[str], generation: int
    ) -> list[StoredIndex]:
        self.owners.append(indexes.owner.database)
        self.step(f"stored of {', '.join(aliases)} read, by generation {generation}")
        return self.stored

    def _drop(self, name: str) -> bool:
        self.step(f"deleted {name}")
        return name not in self.refused

    def has(self, name: str, role: Role = "in use", alias: str = "films", **other: Any) -> None:
        """One more."""
        known = StoredIndex(
            name=name,
            alias=alias,
            role=role,
            hash=self.hashes.get(alias),
            searched_by=(alias,) if role == "in use" else (),
            documents=12,
            bytes=1234,
            made=datetime.now(UTC) - timedelta(hours=2.5),
        )
        self.stored.append(replace(known, **other))

    def deleted(self) -> list[str]:
        """What was deleted."""
        return [one.removeprefix("deleted ") for one in self.steps if one.startswith("deleted")]


@pytest.fixture
def around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stored:
    """Nothing is stored."""
    return Stored(monkeypatch, tmp_path)


def row(told: str, name: str) -> list[str]:
    """The cells of this index in the table."""
    [line] = [one for one in told.splitlines() if one.startswith(f"{name} ") and "held:" not in one]
    return [one.strip() for one in line.split("  ") if one.strip()]


# -- what is shown ---------------------------------------------------------------------------------


def test_none(around: Stored, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told what makes one. All is asked for of this database."""
    assert around.run("indexes") == 0
    assert capsys.readouterr().out == (
        "there is no index of this pipeline yet: `listener run` makes it\n"
    )
    assert "stored of films, persons read, by generation 3" in around.steps
    assert around.owners == [OWN]


def test_the_table(around: Stored, capsys: pytest.CaptureFixture[str]) -> None:
    """Whether each is made by the files. What is parked of the one in use stands by its alias, of
    any other by its own name."""
    around.has("films-2")
    around.has("films-1", "former", hash="0123456789abcdef", bytes=123_456_789)
    around.has("genres-1", "left over", "genres", hash=None, documents=None, bytes=None, made=None)
    around.parked = [put_aside("1"), put_aside("2"), put_aside("3", "films-1")]
    assert around.run("indexes") == 0
    told = capsys.readouterr().out
    digest = around.hashes["films"][:8]
    assert row(told, "films-2") == [
        *("films-2", "in use", f"{digest} (the files')", "12", "1.2 kB", "2 h", "2")
    ]
    assert row(told, "films-1") == [
        *("films-1", "former", "01234567 (not the files')", "12", "123.5 MB", "2 h", "1")
    ]
    assert row(told, "genres-1") == [
        *("genres-1", "left over", "? (not configured)", "?", "?", "?", "0")
    ]
    assert told.splitlines()[-1].startswith("what is left over: `listener indexes --drop NAME`")


@pytest.mark.parametrize(
    ("size", "told"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (5_500_000, "5.5 MB"),
        (2_000_000_000, "2.0 GB"),
        (7_200_000_000_000, "7.2 TB"),
        (9_000_000_000_000_000, "9000.0 TB"),
    ],
)
def test_sizes(around: Stored, size: int, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """For people."""
    around.has("films-1", bytes=size)
    around.run("indexes")
    assert row(capsys.readouterr().out, "films-1")[4] == told


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(-60, "0 s"), (30, "30 s"), (61, "1 min"), (3601, "1 h"), (90_000, "1 d"), (864_010, "10 d")],
)
def test_ages(around: Stored, seconds: int, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The server's clock may be ahead."""
    around.has("films-1", made=datetime.now(UTC) - timedelta(seconds=seconds))
    around.run("indexes")
    assert row(capsys.readouterr().out, "films-1")[5] == told


@pytest.mark.parametrize(("done", "documents"), [(False, "4"), (True, "12")])
def test_one_that_is_loaded(
    around: Stored, done: bool, documents: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """How far it is, by the state: nothing of it is searchable yet."""
    around.state = saved_state(loads=(unfinished(written=4, done=done),))
    around.has("films-2", "loading", searched_by=())
    assert around.run("indexes") == 0
    told = capsys.readouterr().out
    assert row(told, "films-2")[1:4:2] == ["loading", documents]
    assert "left over" not in told


@pytest.mark.parametrize(
    ("digest", "mend"),
    [(None, "`listener load films --accept`"), ("other", "restart the daemon: the files have")],
)
def test_one_that_waits_for_a_person(
    around: Stored, digest: str | None, mend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command is told; one that would swap in what the files do not say any more is not."""
    refused = {"films": Refusal(physical="films-2", reason="too many are gone")}
    around.state = saved_state(refused=refused)
    around.has("films-2", "loading", hash=digest or around.hashes["films"])
    assert around.run("indexes") == 0
    told = capsys.readouterr().out
    assert row(told, "films-2")[1] == "loading, held"
    assert f"films-2 is held: {mend}" in told


@pytest.mark.parametrize("state", [True, False])
def test_as_json(around: Stored, state: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """One object a line, also before there is a state."""
    if not state:
        around.state = None
    made = datetime(2026, 1, 31, 9, 0, 0, 5, UTC)
    around.has("films-1", made=made)
    around.has("films-0", "left over", made=None)
    assert around.run("indexes", "--json") == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == {
        "index": "films",
        "name": "films-1",
        "role": "in use",
        "waits_for_a_person": False,
        "definition": around.hashes["films"],
        "of_the_files": True,
        "documents": 12,
        "bytes": 1234,
        "made_at": "2026-01-31T09:00:00+00:00",
        "parked": 0,
        "searched_by": ["films"],
    }
    assert (second["made_at"], second["searched_by"]) == (None, [])


# -- what is dropped -------------------------------------------------------------------------------


def used(around: Stored) -> None:
    """One of each."""
    around.has("films-3", "loading")
    around.has("films-2")
    around.has("films-1", "former")
    around.has("films-0", "left over")
    around.has("persons-1", "left over", "persons", searched_by=("reports",))
    around.has("persons-0", "left over", "persons")


def test_what_is_named(around: Stored, capsys: pytest.CaptureFixture[str]) -> None:
    """Each once, and no other."""
    used(around)
    assert around.run("indexes", "--drop", "persons-0", "films-0", "persons-0") == 0
    assert around.deleted() == ["persons-0", "films-0"]
    assert capsys.readouterr().out == "deleted persons-0\ndeleted films-0\n"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("films-2", "people search it by the alias films"),
        ("films-3", "it is being loaded"),
        ("films-1", "`listener rollback films` goes back to it"),
        ("persons-1", "the alias reports leads to it"),
        ("films", "it is an alias"),
        ("logs\n", "it is no index of the pipeline 'movies'"),
    ],
)
def test_one_that_is_used(
    around: Stored, name: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is deleted then, of the others beside it neither."""
    used(around)
    assert around.run("indexes", "--drop", "films-0", name) == 2
    assert around.deleted() == []
    told = capsys.readouterr().err
    assert "is not dropped: " in told
    assert why in told
    assert told.count("\n") == 1


def test_all_that_is_left_over(around: Stored, capsys: pytest.CaptureFixture[str]) -> None:
    """But for what somebody searches, which is named."""
    used(around)
    assert around.run("indexes", "--drop-all") == 0
    assert around.deleted() == ["films-0", "persons-0"]
    assert "kept persons-1: the alias reports leads to it" in capsys.readouterr().out


def test_nothing_is_left_over(around: Stored, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told."""
    around.has("films-2")
    assert around.run("indexes", "--drop-all") == 0
    assert capsys.readouterr().out == "nothing is left over\n"


def test_one_that_the_server_does_not_delete(
    around: Stored, capsys: pytest.CaptureFixture[str]
) -> None:
    """It ends there, and says why; what was deleted was told."""
    used(around)
    around.refused = {"persons-0"}
    assert around.run("indexes", "--drop-all") == 2
    told = capsys.readouterr()
    assert "deleted films-0" in told.out
    assert "persons-0: the server refuses to delete it now" in told.err
