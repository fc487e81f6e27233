"""`listener parked` without servers: what is told of parked documents, and how a retry ends."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from psycopg import errors

from listener.app.status import Status
from listener.cli.parked import VERDICT_PATIENCE
from listener.indexing.parked_table import ParkedTable
from listener.triggers import TriggerError
from tests.kit.commands import Surroundings, put_aside

LOADED = "films-00000001-20260131t090000000000z"


class Aside(Surroundings):
    """Two films and a person are parked, and one document of a former configuration."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        super().__init__(monkeypatch, folder)
        self.parked = [
            *(put_aside("1"), put_aside("2", count=3)),
            *(put_aside("7", "genres"), put_aside("1", "persons")),
        ]
        monkeypatch.setattr("listener.triggers.refuse_other_pipeline", lambda *_: None)
        monkeypatch.setattr("listener.documents.topology.assemble", lambda *_: self.parts)
        monkeypatch.setattr("listener.capture.journal.ask_retry", self._ask)
        monkeypatch.setattr(ParkedTable, "clear", lambda _, __, *what: self._clear(*what))

    def _ask(self, _: object, schema: str, watch: str, index: str, ids: Sequence[str]) -> None:
        self.step(f"asked in {schema} by {watch}: {index} {','.join(ids)}")

    def _clear(self, index: str, ids: Sequence[str]) -> None:
        self.step(f"{index} {','.join(ids)} cleared")
        self.parked = [one for one in self.parked if one.index != index or one.id not in ids]

    def settles(self, *ids: str, refused: Sequence[str] = ()) -> None:
        """These are parked no longer; those once more."""
        left = [one for one in self.parked if one.id not in ids]
        self.parked = [
            replace(one, count=one.count + 1) if one.id in refused else one for one in left
        ]

    def asks(self) -> list[str]:
        """What the journal was asked."""
        return [one for one in self.steps if one.startswith("asked")]


@pytest.fixture
def around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Aside:
    """No daemon is active."""
    return Aside(monkeypatch, tmp_path)


# -- what is told ----------------------------------------------------------------------------------


def test_all_by_index(around: Aside, capsys: pytest.CaptureFixture[str]) -> None:
    """Each with its reason, when it was refused, and what it means."""
    around.parked.append(put_aside("9", LOADED))
    assert around.run("parked") == 1
    lines = capsys.readouterr().out.splitlines()
    assert [one for one in lines if one.endswith(" parked")] == [
        "films: 2 parked",
        "genres (an index of an earlier configuration): 1 parked",
        "persons: 1 parked",
        f"{LOADED} (not in use: it is being loaded, or kept to go back to): 1 parked",
    ]
    assert lines[1:9] == [
        "  1",
        "    refused once, 2026-01-31T09:00:00Z",
        "    strict_dynamic_mapping_exception: no field [x]",
        "    The document query returns a field that the mapping does not have. Add it in "
        "index_config_file, or leave it out of query_file: either way a new index is loaded.",
        "  2",
        "    refused 3 times, first 2026-01-31T07:00:00Z, last 2026-01-31T10:00:00Z",
        *lines[3:5],
    ]
    assert lines[-1].endswith("listener parked --retry")


def test_a_reason_that_says_all(around: Aside, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is added. Signs that control a terminal are not shown as they are."""
    around.parked = [replace(put_aside("\x1b[2J"), reason="no\nway")]
    assert around.run("parked") == 1
    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert len(told.splitlines()) == 5


def test_as_json(around: Aside, capsys: pytest.CaptureFixture[str]) -> None:
    """One object a line, and nothing beside them."""
    assert around.run("parked", "--json", "2") == 1
    [line] = capsys.readouterr().out.splitlines()
    told = json.loads(line)
    assert told.pop("explanation").startswith("The document query returns a field")
    assert told == {
        "index": "films",
        "id": "2",
        "reason": "strict_dynamic_mapping_exception: no field [x]",
        "first_at": "2026-01-31T07:00:00Z",
        "last_at": "2026-01-31T10:00:00Z",
        "count": 3,
    }


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "nothing is parked\n"),
        (["1"], "none of these is parked\n"),
        (["--index", "films"], "none of these is parked\n"),
        (["--retry"], "nothing is parked\n"),
        (["--json"], ""),
    ],
)
def test_nothing_is_parked(
    around: Aside, words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """0, and nothing is asked of anybody."""
    around.parked = []
    assert around.run("parked", *words) == 0
    assert capsys.readouterr().out == told
    assert (around.asks(), around.asked) == ([], [])


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["--index", "films"], ["films: 2 parked"]),
        (["1"], ["films: 1 parked", "persons: 1 parked"]),
        (["1", "--index", "persons"], ["persons: 1 parked"]),
        (["--index", "genres"], ["genres (an index of an earlier configuration): 1 parked"]),
    ],
)
def test_some_of_them(
    around: Aside, words: list[str], shown: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """By index, by id, or both. An index that the configuration has no more counts, too."""
    assert around.run("parked", *words) == 1
    told = capsys.readouterr().out.splitlines()
    assert [one for one in told if one.endswith(" parked")] == shown


def test_an_index_that_is_none(around: Aside, capsys: pytest.CaptureFixture[str]) -> None:
    """Those are named that there are."""
    assert around.run("parked", "--index", "film", "--retry") == 2
    told = capsys.readouterr().err
    assert told == "listener: no index 'film': the configuration has films, persons\n"
    assert around.asks() == []


@pytest.mark.parametrize("error", [errors.UndefinedTable, errors.InvalidSchemaName])
def test_no_table(
    around: Aside,
    monkeypatch: pytest.MonkeyPatch,
    error: type[Exception],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The command that makes it is told."""

    def missing(*_: object) -> None:
        raise error("does not exist")

    monkeypatch.setattr(ParkedTable, "read", missing)
    assert around.run("parked") == 2
    assert "`listener triggers install` makes it" in capsys.readouterr().err


def test_the_table_of_another_pipeline(
    around: Aside, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is not shown as ours, and nothing in it is forgotten."""

    def refuse(*_: object) -> None:
        raise TriggerError("the schema belongs to another pipeline")

    monkeypatch.setattr("listener.triggers.refuse_other_pipeline", refuse)
    assert around.run("parked", "--retry") == 2
    assert capsys.readouterr() == ("", "listener: the schema belongs to another pipeline\n")
    assert "cleared" not in " ".join(around.steps)


# -- tried again -----------------------------------------------------------------------------------


def test_the_daemon_tries_them(around: Aside, capsys: pytest.CaptureFixture[str]) -> None:
    """It is asked by index, all in one transaction, and rung in it. What no document of the
    configuration has is forgotten: nothing would ever try it."""
    around.active = True
    around.meanwhile["waited"] = [lambda: None, lambda: around.settles("1", refused=["2"])]
    assert around.run("parked", "--retry") == 1
    begun, committed = around.steps.index("begun"), around.steps.index("committed")
    assert around.steps[begun - 1 : committed + 1] == [
        "genres 7 cleared",
        "begun",
        "asked in listener by watch of 0: films 1,2",
        "asked in listener by watch of 1: persons 1",
        "rung",
        "committed",
    ]
    assert around.steps.count("waited") == 2
    assert around.asked == []
    assert capsys.readouterr().out.splitlines() == [
        "genres: 1 forgotten: no document of the configuration has this index",
        "asked the active daemon to try 3 again",
        "3 tried again: 2 parked no longer, 1 still refused",
        "  films 2: strict_dynamic_mapping_exception: no field [x]",
    ]


def test_all_are_taken(around: Aside) -> None:
    """0."""
    around.active = True
    around.meanwhile["waited"] = [lambda: around.settles("1", "2")]
    assert around.run("parked", "--retry", "--index", "films") == 0
    assert around.asks() == ["asked in listener by watch of 0: films 1,2"]


def test_an_index_that_is_not_in_use(around: Aside) -> None:
    """Of one that is loaded for a document, that document is asked for."""
    around.parked = [put_aside("9", LOADED)]
    around.active = True
    around.meanwhile["waited"] = [lambda: around.settles("9")]
    assert around.run("parked", "--retry") == 0
    assert around.asks() == [f"asked in listener by watch of 0: {LOADED} 9"]


def test_a_daemon_that_does_not_come_to_it(
    around: Aside, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it has tried is told, and where to look for the rest."""
    around.active = True
    around.meanwhile["waited"] = [lambda: around.settles("1")]
    assert around.run("parked", "--retry", "--index", "films") == 3
    assert around.clock == pytest.approx(100 + VERDICT_PATIENCE, abs=0.5)
    told = capsys.readouterr()
    assert "1 tried again: 1 parked no longer, 0 still refused" in told.out
    assert told.err.startswith("1 not tried yet: the daemon has not come to them in 30 s")


def test_a_stop_while_the_daemon_tries_them(
    around: Aside, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has the request. That it did not come to them in time would be wrong."""
    around.active = True
    around.meanwhile["waited"] = [around.stop.request]
    assert around.run("parked", "--retry") == 130
    told = capsys.readouterr()
    assert told.out.splitlines()[-1] == (
        "the daemon goes on with it; `listener parked` shows what is still refused"
    )
    assert told.err == ""


def test_without_a_daemon(around: Aside) -> None:
    """The command catches up, which tries what the journal asks for."""
    around.meanwhile["daemon run"] = [lambda: around.settles("1", "2")]
    assert around.run("parked", "--retry", "--index", "films") == 0
    assert around.steps.index("committed") < around.steps.index("daemon run")
    assert "waited" not in around.steps


@pytest.mark.parametrize("status", [Status.USAGE, Status.GAVE_UP, Status.ACTIVE])
def test_a_run_that_cannot(
    around: Aside, status: Status, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its status is the command's, and no result is told."""
    around.statuses = [status]
    assert around.run("parked", "--retry") == status
    assert "tried again" not in capsys.readouterr().out


def test_only_leftovers(around: Aside, capsys: pytest.CaptureFixture[str]) -> None:
    """They are forgotten, and nobody is asked for them."""
    around.active = True
    assert around.run("parked", "--retry", "7") == 0
    assert around.asks() == []
    assert [one.id for one in around.parked] == ["1", "2", "1"]
    assert capsys.readouterr().out.count("\n") == 1
