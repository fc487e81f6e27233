"""`listener check` without servers: which looks are made, what is told, and the status."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from listener import postgres, search
from listener.checks import Finding
from listener.checks.preflight import INSTALL
from listener.cli import check
from listener.documents.files import QueryFileError
from listener.documents.topology import KeptDefinitions
from listener.observations.surprises import Unfit
from listener.runtime.lifecycle import Stopped
from listener.search.index_config import IndexError_
from listener.triggers import TriggerError
from tests.kit.commands import Surroundings
from tests.kit.definitions import film_definition

ERROR = Finding("error", "a right is missing", "GRANT it\nor another one")
WARNING = Finding("warning", "few replication slots")


class Checking(Surroundings):
    """All is well, but for what the looks find. `found` and `fails` go by the look's name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        super().__init__(monkeypatch, folder)
        self.found: dict[str, list[Finding]] = {}
        self.fails: dict[str, Exception] = {}
        self.given: dict[str, Any] = {}
        """What the last look of a name was given by keywords."""
        self.other: Any = None
        self.misspelt: dict[str, str] = {}
        for name in (
            "check_files",
            "check_server",
            "check_search",
            "check_samples",
            "look_at_triggers",
            "look_at_database",
            "assemble",
            "kept_now",
        ):
            monkeypatch.setattr(check, name, self._look(name))
        monkeypatch.setattr(check, "misspelt", lambda _: self.misspelt)
        monkeypatch.setattr("listener.triggers.other_pipeline", lambda *_: self.other)

    def _look(self, name: str) -> Callable[..., Any]:
        def look(*_: object, **given: Any) -> Any:
            self.step(name)
            self.given[name] = given
            if name in self.fails:
                raise self.fails[name]
            if name == "kept_now":
                return KeptDefinitions((film_definition(),)), None
            return self.parts if name == "assemble" else list(self.found.get(name, []))

        return look

    def looks(self) -> list[str]:
        """Which were made, in order."""
        return [one for one in self.steps if not one.startswith(("connect", "client"))]


@pytest.fixture
def around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Checking:
    """All is well."""
    return Checking(monkeypatch, tmp_path)


DATABASE = ["check_server", "kept_now", "look_at_triggers", "look_at_database"]
ALL = ["check_files", *DATABASE, "assemble", "check_search", "assemble", "check_samples"]


def test_all_is_well(around: Checking, capsys: pytest.CaptureFixture[str]) -> None:
    """Each server is named when it was looked at. What indexes keep is looked at, too."""
    assert around.run("check") == 0
    assert around.looks() == ALL
    assert around.given["look_at_triggers"] == {"kept": (film_definition(),)}
    assert capsys.readouterr().out.splitlines() == [
        *("PostgreSQL: looked at", "Elasticsearch: looked at", "samples: looked at"),
        "0 errors, 0 warnings",
    ]


def test_what_is_found(around: Checking, capsys: pytest.CaptureFixture[str]) -> None:
    """Errors first, each once, with what mends it below. A warning alone is no failure."""
    around.found = {"check_server": [WARNING, ERROR], "check_samples": [ERROR]}
    assert around.run("check") == 2
    assert capsys.readouterr().out.splitlines()[3:] == [
        *("error: a right is missing", "    GRANT it", "    or another one"),
        *("warning: few replication slots", "1 errors, 1 warnings"),
    ]
    around.found = {"check_server": [WARNING]}
    assert around.run("check") == 0


def test_a_variable_that_means_nothing(
    around: Checking, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the one that was meant."""
    around.misspelt = {"LISTENER_FETCH_DELY": "LISTENER_FETCH_DELAY"}
    assert around.run("check") == 0
    told = capsys.readouterr().out
    assert "warning: the variable LISTENER_FETCH_DELY means nothing" in told
    assert "    did you mean LISTENER_FETCH_DELAY?" in told


def test_two_looks_that_say_the_same(around: Checking, capsys: pytest.CaptureFixture[str]) -> None:
    """The one that says how it is mended is told."""
    brief, long = Finding("error", "no table x"), Finding("error", "no table x. Make it", "so")
    around.found = {"check_server": [brief, long]}
    assert around.run("check") == 2
    told = capsys.readouterr().out
    assert "error: no table x\n" not in told
    assert "1 errors" in told


@pytest.mark.parametrize("install", ["auto", "manual"])
def test_triggers_that_are_missing(
    around: Checking, install: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the daemon installs them it is no error. The parts are put together all the same."""
    triggers = around.config.triggers.model_copy(update={"install": install})
    around.config = around.config.model_copy(update={"triggers": triggers})
    around.found = {"look_at_triggers": [Finding("error", "no trigger on films", INSTALL), WARNING]}
    auto = install == "auto"
    assert around.run("check") == (0 if auto else 2)
    assert around.looks() == ALL
    told = capsys.readouterr().out
    assert ("    `listener run` installs them" in told) is auto
    assert ("1 errors, 1 warnings" in told) is not auto


# -- what one look finds, others need not try ------------------------------------------------------


def test_another_pipelines_schema(around: Checking) -> None:
    """Its triggers are not ours to look at."""
    around.other = SimpleNamespace(what="the schema belongs to 'b'", mend="another schema")
    assert around.run("check") == 2
    assert "look_at_triggers" not in around.looks()


def test_other_errors_come_before_the_parts(around: Checking) -> None:
    """They would fail for the same reasons, in worse words."""
    around.found = {"look_at_database": [ERROR]}
    assert around.run("check") == 2
    assert around.looks().count("assemble") == 1, "for the samples alone"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (TriggerError("no table: a", "no table: b"), ["no table: a", "no table: b"]),
        (QueryFileError("a.sql: wrong"), ["a.sql: wrong"]),
        (IndexError_("index.json: no object"), ["index.json: no object"]),
    ],
)
def test_parts_that_contradict_each_other(
    around: Checking, error: Exception, told: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Told once, though the samples meet it again."""
    around.fails = {"assemble": error}
    assert around.run("check") == 2
    errors = [one for one in capsys.readouterr().out.splitlines() if one.startswith("error")]
    assert errors == [f"error: {one}" for one in told]


@pytest.mark.parametrize("look", ["kept_now", "look_at_triggers"])
def test_tables_that_are_not_there(
    around: Checking, look: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The database is looked at nevertheless."""
    around.fails = {look: TriggerError("no table: a", "no table: b")}
    assert around.run("check") == 2
    assert "look_at_database" in around.looks()
    assert "2 errors" in capsys.readouterr().out


@pytest.mark.parametrize("error", [QueryFileError("a.sql: wrong"), IndexError_("no object")])
def test_a_file_that_cannot_be_read(around: Checking, error: Exception) -> None:
    """Another look says so: what indexes keep is not known then."""
    around.fails = {"kept_now": error}
    assert around.run("check") == 0
    assert around.given["look_at_triggers"] == {"kept": ()}


# -- servers ---------------------------------------------------------------------------------------


def lost(*_: object) -> None:
    """The server is away."""
    raise psycopg.OperationalError("connection refused")


def test_postgresql_is_away(
    around: Checking, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Elasticsearch is looked at nevertheless. No sample is read."""
    monkeypatch.setattr("listener.postgres.connect", lost)
    assert around.run("check") == 3
    assert around.looks() == ["check_files", "check_search"]
    assert around.given["check_search"] == {"database": None}
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "Elasticsearch: looked at"
    assert "not all was looked at: run it again when PostgreSQL can answer" in told[-1]
    assert "    start it, or postgres.host and postgres.port: where it listens" in told


def test_elasticsearch_is_away(around: Checking, capsys: pytest.CaptureFixture[str]) -> None:
    """The status is that of a server that is away, whatever else is wrong."""
    around.found = {"check_server": [ERROR]}
    around.fails = {"check_search": search.Away("no node answers")}
    assert around.run("check") == 3
    assert "check_samples" not in around.looks()
    assert "run it again when Elasticsearch can answer" in capsys.readouterr().out


def test_a_pooler(
    around: Checking, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is no server that is away: the connection must be another one."""

    def pooled(*_: object) -> None:
        raise postgres.Pooled("a pooler is in the way")

    monkeypatch.setattr("listener.postgres.connect", pooled)
    assert around.run("check") == 2
    told = capsys.readouterr().out
    assert f"error: a pooler is in the way\n    {postgres.DIRECTLY}" in told
    assert "check_samples" not in around.looks()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            psycopg.errors.InsufficientPrivilege("permission denied"),
            "PostgreSQL: permission denied",
        ),
        (Unfit("an answer of another shape"), "PostgreSQL: an answer of another shape"),
        (KeyError("version"), "PostgreSQL: unexpected KeyError"),
    ],
)
def test_what_does_not_pass(
    around: Checking, error: Exception, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is a finding, and the other server is looked at."""
    around.fails = {"check_server": error}
    assert around.run("check") == 2
    assert f"error: {told}" in capsys.readouterr().out
    assert "check_search" in around.looks()


# -- samples ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "last"),
    [
        (psycopg.OperationalError("lost"), 3, "run it again when PostgreSQL can answer"),
        (search.Away("no node"), 3, "run it again when Elasticsearch can answer"),
        (psycopg.errors.InsufficientPrivilege("denied"), 2, "1 errors, 0 warnings"),
        (Unfit("an answer of another shape"), 2, "1 errors, 0 warnings"),
    ],
)
def test_a_sample_that_cannot_be_read(
    around: Checking,
    error: Exception,
    status: int,
    last: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is told with its server; the samples are not said to be looked at."""
    around.fails = {"check_samples": error}
    assert around.run("check") == status
    told = capsys.readouterr().out
    assert told.splitlines()[-1].endswith(last)
    assert "samples: looked at" not in told


@pytest.mark.parametrize(
    "error",
    [psycopg.errors.InsufficientPrivilege("denied"), Unfit("the parts do not fit together")],
)
def test_what_the_other_looks_have_said(
    around: Checking, error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    """Is not said once more in the words of a sample."""
    around.found = {"check_search": [ERROR]}
    around.fails = {"check_samples": error}
    assert around.run("check") == 2
    assert "1 errors, 0 warnings" in capsys.readouterr().out


def test_a_stop_amid_the_samples(around: Checking) -> None:
    """As Ctrl-C anywhere else."""
    around.fails = {"check_samples": Stopped("stop was requested")}
    with pytest.raises(KeyboardInterrupt):
        around.run("check")


def denied_to(findings: Sequence[Finding], around: Checking) -> tuple[bool, set[str]]:
    """What the samples are told of these."""
    around.found = {"check_server": list(findings)}
    around.run("check")
    given = around.given["check_samples"]
    return given["denied"], given["told"]


def test_what_samples_need_not_tell(around: Checking) -> None:
    """Files that others call wrong, and that a right is missing."""
    path = around.config.documents[0].query_file
    assert denied_to([], around) == (False, set())
    wrong = Finding("error", f"films: {path}: line 1: no column x")
    assert denied_to([wrong], around) == (False, {f"films: {path}"})
    right = Finding("error", "the role lacks the privileges SELECT on films")
    assert denied_to([right, Finding("warning", wrong.what)], around) == (True, set())
