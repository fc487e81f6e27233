"""The order of a start: nothing is made for what is then refused, and what a person sees of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from listener.app import startup as module
from listener.app.startup import Startup
from listener.app.status import Refused
from listener.checks import Finding
from listener.documents.topology import KeptDefinitions, QueriesWrong
from listener.observations.events import CheckFailed, CheckWarning, Held, Observation, Waiting
from listener.observations.surprises import Unfit
from listener.resync.ownership import ForeignState
from listener.runtime.lifecycle import Stopped
from listener.state.control import Control, ControlDocument
from listener.state.file import StateError
from listener.state.pulse import Pulse
from tests.kit.commands import config_of
from tests.kit.definitions import film_definition
from tests.kit.resync import QuickStop
from tests.kit.session import OWN, facts, saved_state

WRONG = Finding("error", "film.sql: no column x", "write another one")
ODD = Finding("warning", "few slots", "more of them")


class Starting:
    """A start in which all is well. `found` and `fails` go by the step's name; `fails` once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.steps: list[str] = []
        self.found: dict[str, list[Any]] = {}
        """What the looks of this name find, one after the other."""
        self.fails: dict[str, Exception] = {}
        self.given: dict[str, Any] = {}
        self.told: list[Observation] = []
        self.stop = QuickStop()
        self.config = config_of(folder)
        self.installed = True
        """Whether our own tables are there."""
        self.active = False
        """Whether another daemon is."""
        self.saved: Any = None
        """What state.yaml holds."""
        self.remote: Any = None
        """What the control document holds."""
        self.parts: Any = SimpleNamespace(watches=())
        connection = SimpleNamespace()
        monkeypatch.setattr("listener.postgres.connect", lambda *_: nullcontext(connection))
        for name, does in {
            "check_files": self._look("files"),
            "check_server": self._look("server"),
            "check_search": self._look("search"),
            "definitions_fed": lambda *_: [film_definition()],
            "lock_holder": lambda *_: 7 if self.active else None,
            "_installed": lambda *_: self.installed,
        }.items():
            monkeypatch.setattr(module, name, does)
        for name, does in {
            "checks.preflight.look_at_statements": self._look("statements"),
            "checks.preflight.look_at_triggers": self._look("triggers"),
            "checks.preflight.look_at_database": self._look("database"),
            "triggers.install": self._look("install"),
            "documents.topology.fitting": lambda _, __, kept: KeptDefinitions(tuple(kept)),
            "documents.topology.assemble": lambda *_: self.parts,
            "state.identity.database": self._database,
            "state.identity.read": lambda *_: facts(),
            "state.file.read": self._state,
        }.items():
            monkeypatch.setattr(f"listener.{name}", does)
        monkeypatch.setattr(ControlDocument, "read", lambda _: Control(3, {}, 7, 1, self.remote))

    def step(self, name: str) -> None:
        """Note it; then it may fail."""
        self.steps.append(name)
        if name in self.fails:
            raise self.fails.pop(name)

    def _look(self, name: str) -> Callable[..., list[Finding]]:
        def look(*_: object, **given: Any) -> list[Finding]:
            self.step(name)
            self.given[name] = given
            left = self.found.get(name, [])
            return list(left.pop(0)) if left else []

        return look

    def _database(self, *_: object) -> Any:
        self.step("identity")
        return OWN

    def _state(self, _: object) -> Any:
        self.step("state.yaml")
        return self.saved

    def make(self, *, force: bool = False, once: bool = False) -> Startup:
        """The start of a process."""
        return Startup(
            self.config,
            pulse=Pulse(self.config),
            observe=self.told.append,
            stop=self.stop,
            once=once,
            force=force,
        )

    def start(self, *, served: bool = False, force: bool = False) -> Any:
        """Its parts."""
        client: Any = None
        return self.make(force=force).prepare(client, served=served)

    def auto(self) -> None:
        """Triggers are installed by the daemon."""
        triggers = self.config.triggers.model_copy(update={"install": "auto"})
        self.config = self.config.model_copy(update={"triggers": triggers})

    def sentences(self) -> list[tuple[type[Observation], str]]:
        """What was told of findings."""
        return [
            (type(one), one.what)
            for one in self.told
            if isinstance(one, CheckFailed | CheckWarning)
        ]


@pytest.fixture
def starting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Starting:
    """All is well."""
    return Starting(monkeypatch, tmp_path)


POSTGRES = ["server", "triggers", "database"]


def test_all_is_well(starting: Starting) -> None:
    """PostgreSQL first, then Elasticsearch. What indexes in use keep is looked at, too."""
    assert starting.start() is starting.parts
    assert starting.steps == [
        *("state.yaml", "files", *POSTGRES, "state.yaml", "identity", "search"),
    ]
    assert starting.given["triggers"] == {"kept": (film_definition(),), "standby": False}
    assert starting.given["search"]["database"] == OWN
    assert starting.told == []


# -- nothing is made for what is refused -----------------------------------------------------------


def test_a_state_that_is_damaged(starting: Starting) -> None:
    """No server is asked."""
    starting.fails["state.yaml"] = StateError("state.yaml: line 3")
    with pytest.raises(StateError):
        starting.start()
    assert starting.steps == ["state.yaml"]


def test_a_new_state_is_wanted(starting: Starting) -> None:
    """What was saved is not read, and an alias of this pipeline's name may be taken."""
    starting.saved = saved_state({"system_identifier": "another"})
    starting.start(force=True)
    assert "state.yaml" not in starting.steps
    assert starting.given["search"]["take"] is True


@pytest.mark.parametrize("answers", [True, False])
def test_files_that_are_wrong(starting: Starting, answers: bool) -> None:
    """The other files are looked at beside them, as far as PostgreSQL answers: all is told at once.
    Nothing is installed."""
    starting.auto()
    starting.found = {"files": [[WRONG]], "statements": [[Finding("error", "b.sql: no table", "")]]}
    if not answers:
        starting.fails["statements"] = psycopg.OperationalError("refused")
    with pytest.raises(Refused, match="2 things" if answers else "no column x: write another one"):
        starting.start()
    assert starting.steps == ["state.yaml", "files", "statements"]
    assert len(starting.sentences()) == (2 if answers else 1)


def test_files_that_are_only_odd(starting: Starting) -> None:
    """The start goes on. The look at the database tells them."""
    starting.found = {"files": [[ODD]]}
    starting.start()
    assert "statements" not in starting.steps
    assert starting.told == []


@pytest.mark.parametrize("where", ["an alias", "the control document"])
def test_the_first_start_of_a_foreign_pipeline(starting: Starting, where: str) -> None:
    """Elasticsearch is asked before our tables are made: they would be in their owner's way."""
    starting.auto()
    starting.installed = False
    if where == "an alias":
        starting.found = {"search": [[Finding("error", "films is of another", "another name")]]}
        refusal: type[Exception] = Refused
    else:
        starting.remote = saved_state({"system_identifier": "another"})
        refusal = ForeignState
    with pytest.raises(refusal):
        starting.start()
    assert starting.steps == ["state.yaml", "files", "identity", "search"]


def test_the_first_start(starting: Starting) -> None:
    """What is only odd in Elasticsearch is told once, by the look that follows."""
    starting.auto()
    starting.installed = False
    starting.found = {"search": [[ODD], [ODD]]}
    starting.start()
    assert starting.steps.count("search") == 2
    assert starting.steps.index("search") < starting.steps.index("install")
    assert starting.sentences() == [(CheckWarning, "few slots")]


def test_the_first_start_without_a_right(starting: Starting) -> None:
    """The look at PostgreSQL says which."""
    starting.installed = False
    starting.fails["identity"] = psycopg.errors.InsufficientPrivilege("denied")
    starting.found = {"server": [[Finding("error", "a right is missing", "GRANT")]]}
    with pytest.raises(Refused, match="a right is missing: GRANT"):
        starting.start()
    assert starting.steps == ["state.yaml", "files", "identity", "server"]


@pytest.mark.parametrize("look", POSTGRES)
def test_a_look_that_finds_an_error(starting: Starting, look: str) -> None:
    """It ends the start there, with each thing that a person must mend."""
    starting.auto()
    starting.found = {look: [[ODD, WRONG]] * 3}
    with pytest.raises(Refused) as caught:
        starting.start()
    assert [one.reason for one in caught.value.matters] == [WRONG.what]
    assert starting.steps[-1] == look
    assert starting.sentences() == [(CheckWarning, ODD.what), (CheckFailed, WRONG.what)]


@pytest.mark.parametrize("pipeline", ["movies", "b"])
def test_the_state_of_another_database(starting: Starting, pipeline: str) -> None:
    """A standby would only find it when it takes over."""
    foreign = {"pipeline": pipeline}
    if pipeline == "movies":
        foreign["system_identifier"] = "another"
    starting.saved = saved_state(foreign)
    with pytest.raises(ForeignState, match=r"state\.yaml"):
        starting.start()
    assert "search" not in starting.steps


def test_data_of_another_shape(starting: Starting) -> None:
    """It is a person's matter and no defect."""
    starting.fails["database"] = KeyError("relkind")
    with pytest.raises(Refused, match="unexpected KeyError: 'relkind'"):
        starting.start()


# -- triggers --------------------------------------------------------------------------------------


def test_triggers_are_installed(starting: Starting) -> None:
    """Before they are looked at."""
    starting.auto()
    starting.start()
    at = starting.steps.index("install")
    assert starting.steps[at - 1 : at + 2] == ["server", "install", "triggers"]


@pytest.mark.parametrize("installed", [True, False])
def test_of_a_standby(starting: Starting, installed: bool) -> None:
    """The active daemon may watch other tables: its triggers are not ours yet. Where none are
    there the one that is active is of another schema."""
    starting.auto()
    starting.active, starting.installed = True, installed
    starting.start()
    assert ("install" in starting.steps) is not installed
    assert starting.given["triggers"]["standby"] is installed


@pytest.mark.parametrize("times", [1, 2, 3])
def test_triggers_that_are_altered_again(starting: Starting, times: int) -> None:
    """They are installed anew, three times at most."""
    starting.auto()
    starting.found = {"triggers": [[WRONG]] * times}
    if times < 3:
        starting.start()
    else:
        with pytest.raises(Refused):
            starting.start()
    assert starting.steps.count("install") == min(times + 1, 3)


def test_triggers_that_a_person_installs(starting: Starting) -> None:
    """One look is enough."""
    starting.found = {"triggers": [[WRONG]]}
    with pytest.raises(Refused):
        starting.start()
    assert starting.steps.count("triggers") == 1
    assert "install" not in starting.steps


# -- a daemon that has served ----------------------------------------------------------------------


def test_what_does_not_fit_any_more(starting: Starting) -> None:
    """A migration is no reason to end: it holds until a person has mended that."""
    starting.found = {"database": [[WRONG], [WRONG]]}
    starting.fails["server"] = psycopg.errors.InsufficientPrivilege("denied")
    assert starting.start(served=True) is starting.parts
    held = [one for one in starting.told if isinstance(one, Held)]
    assert ["denied" in held[0].reason, *(WRONG.what in one.reason for one in held[1:])] == [
        True
    ] * 3
    assert not any(isinstance(one, Waiting) for one in starting.told)


def test_a_stop_while_it_holds(starting: Starting) -> None:
    """It ends at once."""
    starting.found = {"database": [[WRONG]] * 9}
    starting.stop.request()
    with pytest.raises(Stopped):
        starting.start(served=True)
    assert starting.steps.count("database") == 1


# -- for a session ---------------------------------------------------------------------------------


def test_queries_that_mean_another_thing(starting: Starting) -> None:
    """The first look tells no warning that the start has told. While it holds, each thing is told
    once."""
    starting.found = {"database": [[ODD], [ODD, WRONG], [ODD, WRONG], [], [ODD]]}
    startup = starting.make()
    nothing: Any = None
    startup.prepare(nothing, served=False)
    assert starting.sentences() == [(CheckWarning, ODD.what)]
    for again in (False, True):
        with pytest.raises(QueriesWrong, match="no column x"):
            startup.judge_queries(nothing, again=again)
        assert starting.sentences()[1:] == [(CheckFailed, WRONG.what)]
    startup.judge_queries(nothing, again=True)
    startup.judge_queries(nothing, again=True)
    assert starting.sentences()[2:] == [(CheckWarning, ODD.what)], "it had gone meanwhile"


def test_an_error_of_listeners_own(starting: Starting) -> None:
    """That is in no list is told in its own words."""
    starting.fails["server"] = Unfit("an answer of another shape")
    with pytest.raises(Refused, match=r"^an answer of another shape$"):
        starting.start()
