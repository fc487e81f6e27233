"""`listener preview` without servers: what it may not do, and what its exit status says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from listener.checks import Finding
from listener.cli import preview
from listener.config import Config
from listener.indexing.parked_table import ParkedTable
from tests.kit.commands import Surroundings, put_aside


@dataclass
class Seen:
    """What was found, of one document or of all."""

    id: str
    differs: bool = False
    impossible: bool = False

    def lines(self) -> Iterator[str]:
        """For people."""
        yield f"{self.id}: {'differs' if self.differs else 'the same'}"

    def json(self) -> dict[str, object]:
        """For programs."""
        return {"id": self.id, "differs": self.differs}


class Looking(Surroundings):
    """A preview that finds what the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        super().__init__(monkeypatch, folder)
        self.found: list[Seen] = []
        self.error: Exception | None = None
        self.aside: frozenset[str] = frozenset()
        self.of_files: list[Finding] = []
        """What is wrong with the SQL files."""
        monkeypatch.setattr(preview, "assemble", lambda *_: self.parts)
        monkeypatch.setattr(preview, "look_at_statements", self._look_at_statements)
        monkeypatch.setattr(preview, "Preview", self._preview)
        monkeypatch.setattr(preview, "mend_of", lambda *_: "write it\n  otherwise")
        self.connection.execute = self.step

    def _look_at_statements(self, config: Config, _connection: object) -> list[Finding]:
        self.step("looked at the files of " + ", ".join(one.index for one in config.documents))
        return self.of_files

    def _preview(
        self, _connection: object, _client: object, _indexes: object, kind: Any, **given: Any
    ) -> Any:
        self.step(f"preview of {kind.index}")
        self.aside = given["parked"]
        return self

    def some(self, ids: Sequence[str]) -> Iterator[Seen]:
        """These documents."""
        assert list(ids) == [one.id for one in self.found]
        for one in self.found:
            self._fail()
            yield one

    def all(self, sample: int | None) -> Seen:
        """All, or a sample."""
        self.step(f"sample of {sample}")
        self._fail()
        return self.found[0]

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error


@pytest.fixture
def around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Looking:
    """Nothing is parked."""
    return Looking(monkeypatch, tmp_path)


def test_the_session_is_read_only(around: Looking) -> None:
    """From its first statement on: a function that the query calls may write."""
    around.found = [Seen("films")]
    assert around.run("preview", "films") == 0
    assert around.steps[:2] == [
        "connected as listener: preview",
        "SET default_transaction_read_only = on",
    ]
    assert around.steps[-1] == "connection closed"


@pytest.mark.parametrize("differs", [True, False])
@pytest.mark.parametrize(("words", "sample"), [([], None), (["--sample", "5"], 5)])
def test_all_documents(
    around: Looking,
    differs: bool,
    words: list[str],
    sample: int | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """1 where any differs."""
    around.found = [Seen("all", differs)]
    assert around.run("preview", "films", *words) == differs
    assert f"sample of {sample}" in around.steps
    assert capsys.readouterr().out == f"all: {'differs' if differs else 'the same'}\n"


@pytest.mark.parametrize(
    ("found", "status"),
    [
        ([Seen("1"), Seen("2")], 0),
        ([Seen("1", differs=True), Seen("2")], 1),
        ([Seen("1", impossible=True), Seen("2", differs=True)], 2),
    ],
)
def test_some_documents(
    around: Looking, found: list[Seen], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """All are shown. An id that is none counts more than a difference."""
    around.found = found
    assert around.run("preview", "films", "1", "2") == status
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize(("words", "lines"), [([], 1), (["1", "2"], 2)])
def test_as_json(
    around: Looking, words: list[str], lines: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """One object of all, or one a line, whatever signs are in it."""
    around.found = [Seen("1", differs=True), Seen("2")]
    around.found[0].id = words[0] if words else "a\u2028b"
    assert around.run("preview", "films", *words, "--json") == 1
    told = capsys.readouterr().out.splitlines()
    assert len(told) == lines
    assert json.loads(told[0]) == {"id": around.found[0].id, "differs": True}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["film"], "no index 'film': the configuration has films, persons"),
        (["films", "1", "--sample", "5"], "--sample goes without ids"),
    ],
)
def test_what_cannot_be_looked_at(
    around: Looking, words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """No server is asked for it."""
    assert around.run("preview", *words) == 2
    assert told in capsys.readouterr().err
    assert around.steps == []


def test_what_is_parked(around: Looking) -> None:
    """Of this index alone."""
    around.parked = [put_aside("1"), put_aside("2", "persons")]
    around.found = [Seen("all")]
    assert around.run("preview", "films") == 0
    assert around.aside == {"1"}


def test_a_role_that_may_not_read_what_is_parked(
    around: Looking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A preview does without it."""

    def denied(*_: object) -> None:
        raise psycopg.errors.InsufficientPrivilege("permission denied for table parked")

    monkeypatch.setattr(ParkedTable, "read_if_installed", denied)
    around.found = [Seen("all")]
    assert around.run("preview", "films") == 0
    assert around.aside == frozenset()


def noted(error: psycopg.Error, *notes: str) -> psycopg.Error:
    """It came of a file of the user's."""
    for one in notes or ("film.sql: line 3", "films"):
        error.add_note(one)
    return error


MISSING = 'column "titel" does not exist'


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (
            psycopg.errors.ReadOnlySqlTransaction("cannot execute INSERT"),
            2,
            "cannot execute INSERT: the query, or a function that it calls, writes, and a preview "
            "must not",
        ),
        (
            noted(psycopg.errors.UndefinedColumn(MISSING)),
            2,
            f"listener: films: film.sql: line 3: {MISSING}",
        ),
        (
            noted(psycopg.errors.UndefinedColumn(MISSING), "film.sql: line 3", "films, 7"),
            2,
            f"listener: films: film.sql: line 3; 7: {MISSING}",
        ),
        (
            noted(psycopg.errors.UndefinedColumn(MISSING), "film.sql of films, 7"),
            2,
            f"listener: films: film.sql, 7: {MISSING}",
        ),
        (psycopg.errors.UndefinedTable('relation "x" does not exist'), 2, 'relation "x"'),
        (noted(psycopg.OperationalError("the connection is lost")), 3, "the connection is lost"),
    ],
)
def test_a_query_that_fails(
    around: Looking,
    error: Exception,
    status: int,
    told: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With its file, and what mends it, on one line. What passes is no fault of the file."""
    around.found = [Seen("1")]
    around.error = error
    assert around.run("preview", "films", "1") == status
    said = capsys.readouterr().err
    assert told in said
    ours = status == 2 and "film.sql" in told
    assert ("write it otherwise" in said) is ours
    assert said.count("\n") == 1


def test_files_with_which_no_daemon_would_start(
    around: Looking, capsys: pytest.CaptureFixture[str]
) -> None:
    """Refused in the words of `check`, each on a line, before anything is read. What is for people
    to judge refuses nothing; other documents are not looked at."""
    around.of_files = [
        Finding("error", "films: film.sql: it returns three columns", "return two"),
        Finding("warning", "films: film.sql: it reads the clock"),
        Finding("error", "films: film.sql: it reads a whole table", costly=True),
        Finding("error", "films: ids.sql: it returns no column id"),
    ]
    assert around.run("preview", "films") == 2
    assert around.steps[-2:] == ["looked at the files of films", "connection closed"]
    assert capsys.readouterr().err == (
        "listener: films: film.sql: it returns three columns. Mend: return two\n"
        "listener: films: ids.sql: it returns no column id\n"
    )
    around.of_files = around.of_files[1:3]
    around.found = [Seen("films")]
    assert around.run("preview", "films") == 0
