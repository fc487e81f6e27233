"""`listener triggers` without a server: what it does first, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from listener.cli import triggers as command
from listener.documents.topology import KeptDefinitions
from listener.observations.surprises import Unfit
from listener.runtime.lifecycle import Stopped
from listener.triggers import Claim, Installation, TriggerError
from tests.kit.commands import Surroundings
from tests.kit.definitions import film_definition


class Installing(Surroundings):
    """A database in which so many `statements` are missing. `other`: why it is another
    pipeline's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        super().__init__(monkeypatch, folder)
        self.statements = 3
        self.other: TriggerError | None = None
        self.error: Exception | None = None
        """What an installer raises."""
        self.unknown: str | None = None
        """Why Elasticsearch cannot tell what indexes keep."""
        self.wanted: list[Installation] = []
        monkeypatch.setattr(command, "lock_holder", self.lock_holder)
        monkeypatch.setattr(command, "kept_now", self._kept)
        for name, does in {
            "refuse_other_pipeline": self._refuse,
            "install": self._install,
            "remove": self._remove,
            "plan": self._plan,
            "script": lambda steps: f"{steps}\n",
        }.items():
            monkeypatch.setattr(f"listener.triggers.{name}", does)

    def _kept(self, *_: object) -> tuple[KeptDefinitions, str | None]:
        self.step("kept definitions read")
        return KeptDefinitions((film_definition(),)), self.unknown

    def _refuse(self, _: object, schema: str, pipeline: str) -> None:
        self.step(f"owner of {schema} looked at for {pipeline}")
        if self.other is not None:
            raise self.other

    def _install(self, _: object, wanted: Installation, **__: object) -> int:
        self.step("installed")
        self.wanted.append(wanted)
        if self.error is not None:
            raise self.error
        return self.statements

    def _remove(self, _: object, schema: str, **__: object) -> list[str]:
        self.step(f"{schema} removed")
        if self.error is not None:
            raise self.error
        return ["DROP SCHEMA listener CASCADE"]

    def _plan(self, _: object, wanted: Installation) -> str:
        self.step("planned")
        self.wanted.append(wanted)
        return "CREATE SCHEMA listener;"


@pytest.fixture
def around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Installing:
    """No daemon is active."""
    return Installing(monkeypatch, tmp_path)


OWNER = "owner of listener looked at for movies"


@pytest.mark.parametrize(
    ("statements", "told"), [(3, "installed: 3 statements"), (0, "nothing to do")]
)
@pytest.mark.parametrize("active", [True, False])
def test_install(
    around: Installing,
    statements: int,
    told: str,
    active: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Also beside a daemon. What indexes in use need is installed, too, whatever the files say."""
    around.statements, around.active = statements, active
    assert around.run("triggers", "install") == 0
    assert around.steps == [
        *("connected as listener: triggers", "kept definitions read", OWNER, "installed"),
        "connection closed",
    ]
    [wanted] = around.wanted
    assert {one.table for one in wanted.watches} == {"films", "persons", "film"}
    assert capsys.readouterr() == (f"{told}\n", "")


def test_what_indexes_need_is_not_known(
    around: Installing, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is installed nevertheless: Elasticsearch may be down for long. What that costs is told."""
    around.unknown = "no node answers"
    assert around.run("triggers", "install") == 0
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "listener: no node answers"
    assert "only needed by an index in use, which earlier files have made, are removed" in told[1]


def test_print(around: Installing, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is done."""
    assert around.run("triggers", "print") == 0
    assert capsys.readouterr().out == "CREATE SCHEMA listener;\n"
    assert not {"installed", "listener removed"} & set(around.steps)


def test_remove(around: Installing, capsys: pytest.CaptureFixture[str]) -> None:
    """Elasticsearch is not needed for it."""
    assert around.run("triggers", "remove") == 0
    assert around.steps == [
        *("connected as listener: triggers", OWNER, "lock looked at", "listener removed"),
        "connection closed",
    ]
    assert capsys.readouterr().out.splitlines() == ["DROP SCHEMA listener CASCADE", "removed"]


@pytest.mark.parametrize("words", [["remove"], ["install", "--take-over"]])
def test_a_daemon_is_active(
    around: Installing, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """It would miss every change from then on: nothing is done."""
    around.active = True
    assert around.run("triggers", *words) == 4
    told = capsys.readouterr().err
    assert "a daemon is active (PostgreSQL process 4711)" in told
    assert "stop it first" in told
    assert not {"installed", "listener removed"} & set(around.steps)


@pytest.mark.parametrize("action", ["install", "remove", "print"])
def test_another_pipelines_schema(
    around: Installing, action: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing in it is changed or shown."""
    around.other = TriggerError("the schema belongs to the pipeline 'b'")
    assert around.run("triggers", action) == 2
    assert capsys.readouterr() == ("", "listener: the schema belongs to the pipeline 'b'\n")
    assert around.steps[-2:] == [OWNER, "connection closed"]


def test_a_pipeline_that_was_renamed(around: Installing) -> None:
    """With a person's word the schema is taken over."""
    around.other = TriggerError("the schema belongs to the pipeline 'b'")
    assert around.run("triggers", "install", "--take-over") == 0
    assert OWNER not in around.steps
    assert around.wanted[0].claim == Claim("movies", take_over=True)


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (TriggerError("no such table: a", "no such table: b"), 2, ["no such table: a", "no such"]),
        (Unfit("documents[0]: watched twice"), 2, ["documents[0]: watched twice"]),
        (psycopg.errors.InsufficientPrivilege("must be owner"), 2, ["PostgreSQL: must be owner"]),
        (psycopg.OperationalError("the connection is lost"), 3, ["PostgreSQL: the connection"]),
        (Stopped("stop was requested"), 130, []),
    ],
)
def test_what_cannot_be_done(
    around: Installing,
    error: Exception,
    status: int,
    told: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each thing on a line of its own; the connection is closed, and nothing is said to be done."""
    around.error = error
    assert around.run("triggers", "install") == status
    said = capsys.readouterr()
    assert said.out == ""
    assert [
        line.startswith(f"listener: {begin}")
        for line, begin in zip(said.err.splitlines(), told, strict=True)
    ] == [True] * len(told)
    assert around.steps[-1] == "connection closed"


# -- a connection of its own -----------------------------------------------------------------------


class Owner:
    """A connection as the tables' owner."""

    def __init__(self) -> None:
        self.closed = False

    def __enter__(self) -> Owner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it."""
        self.closed = True


@pytest.fixture
def owner(monkeypatch: pytest.MonkeyPatch) -> Owner:
    """What psycopg connects by the string `service=movies`."""
    found = Owner()

    def connect(dsn: str, **how: Any) -> Owner:
        assert (dsn, how["autocommit"]) == ("service=movies", True)
        return found

    monkeypatch.setattr("psycopg.connect", connect)
    return found


@pytest.mark.parametrize("settles", [True, False])
def test_as_the_owner(
    around: Installing, owner: Owner, monkeypatch: pytest.MonkeyPatch, settles: bool
) -> None:
    """The session has listener's settings, or nothing is done. It is closed either way."""

    def settle(connection: object) -> None:
        assert connection is owner
        around.step("settled")
        if not settles:
            raise psycopg.OperationalError("the connection is lost")

    monkeypatch.setattr("listener.postgres.settle", settle)
    assert around.run("triggers", "install", "--dsn", "service=movies") == (0 if settles else 3)
    assert ("installed" in around.steps) is settles
    assert "connected as listener: triggers" not in around.steps
    assert owner.closed


def test_a_connection_string_that_is_none(
    around: Installing, owner: Owner, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is not tried, and not repeated."""
    assert around.run("triggers", "install", "--dsn", "hunter2") == 2
    told = capsys.readouterr().err
    assert "--dsn: it is no connection string" in told
    assert "hunter2" not in told
    assert not owner.closed
    assert around.steps == []


def test_what_is_wanted_is_of_the_configuration(around: Installing) -> None:
    """Schema, role and pipeline."""
    assert around.run("triggers", "install") == 0
    [wanted] = around.wanted
    assert (wanted.schema, wanted.role, wanted.claim) == ("listener", "listener", Claim("movies"))
