"""The trial of documents in a scratch index: what is refused, what ends it, and what is removed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from listener import search
from listener.documents.trial import TRIES, RefusedDocument, ScratchTrial
from listener.runtime.lifecycle import Stop, Stopped
from listener.search import scratch, sink
from listener.search.bulk import Document
from listener.search.index_config import IndexError_
from listener.search.sink import Sent
from listener.search.verdicts import Outcome, Verdict
from listener.search.write_aliases import Target

DONE = Verdict(Outcome.DONE)
FULL = Verdict(Outcome.RETRY, "es_rejected: no room", mend="add a node")
OWN = "films.scratch-20260101000000-aaaaaa"


class Waits(Stop):
    """Its waits take no time, and are counted."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []
        self.stops_at = 0
        """The wait in which a stop is requested; 0: in none."""

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for a stop."""
        assert seconds is not None
        self.waits.append(seconds)
        if len(self.waits) == self.stops_at:
            self.request()
        return self.requested


class Tried:
    """A trial, with a scratch index of which each step is noted.

    `answers`: verdicts by the number of the request; without one each document is taken. `left`:
    scratch indexes that are there, with those whose command is `at_work`.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps: list[str] = []
        self.fails: dict[str, Exception] = {}
        """What a step raises."""
        self.answers: list[list[Verdict]] = []
        self.sent: list[list[Document]] = []
        self.left: list[str] = []
        self.at_work: set[str] = set()
        self.stop = Waits()
        monkeypatch.setattr(scratch, "new_name", lambda _: OWN)
        monkeypatch.setattr(scratch, "left", lambda *_: [(name, 60.0) for name in self.left])
        monkeypatch.setattr(scratch, "make", self._make)
        monkeypatch.setattr(scratch, "drop", lambda _, name: self.step(f"drop {name}"))
        monkeypatch.setattr(scratch, "drop_left", lambda _, name: self.step(f"drop left {name}"))
        monkeypatch.setattr(sink, "send", self._send)
        monkeypatch.setattr("listener.documents.trial._key", lambda name: name)
        kind: Any = SimpleNamespace(
            index="films",
            config=None,
            definition=SimpleNamespace(index_config_file=Path("index.json")),
        )
        nothing: Any = None
        connection: Any = SimpleNamespace(execute=self._execute)
        self.trial = ScratchTrial(connection, nothing, nothing, kind, self.stop)

    def step(self, name: str) -> None:
        """Note it; it may fail."""
        self.steps.append(name)
        if name in self.fails:
            raise self.fails[name]

    def documents(self, *ids: str) -> list[RefusedDocument]:
        """Try documents with these ids."""
        return self.trial.documents([Document((one,), one, b"{}") for one in ids])

    def _make(self, _client: object, _owner: object, name: str, _config: object) -> Any:
        self.step(f"make {name}")
        return SimpleNamespace(target=Target(f"{name}.into", index=name))

    def _execute(self, statement: str, values: tuple[str]) -> Any:
        [name] = values
        self.step(f"{'unlock' if 'unlock' in statement else 'lock'} {name}")
        return SimpleNamespace(fetchone=lambda: (name not in self.at_work,))

    def _send(
        self, _client: object, documents: Sequence[Document], target: Target, version: int
    ) -> Sent:
        assert (target.index, version) == (OWN, 1)
        self.sent.append(list(documents))
        verdicts = self.answers.pop(0) if self.answers else [DONE] * len(documents)
        return Sent(tuple(verdicts), 0.0, 0)


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> Tried:
    """A trial that takes everything."""
    return Tried(monkeypatch)


# -- the scratch index -----------------------------------------------------------------------------


def test_it_lives_as_long_as_the_trial(tried: Tried) -> None:
    """Its lock is taken before it is there: no other command takes it for one that is left."""
    with tried.trial as trial:
        assert trial.scratch is not None
        assert tried.steps == [f"lock {OWN}", f"make {OWN}"]
    assert tried.steps[2:] == [f"drop {OWN}"]
    with pytest.raises(RuntimeError):
        _ = trial.scratch


def test_what_killed_commands_have_left(tried: Tried) -> None:
    """It is removed; one whose command is at work is left alone."""
    tried.left = ["old", "busy"]
    tried.at_work = {"busy"}
    with tried.trial:
        assert tried.steps == [
            "lock old",
            "drop left old",
            "unlock old",
            "lock busy",
            f"lock {OWN}",
            f"make {OWN}",
        ]


def test_one_that_cannot_be_removed(tried: Tried) -> None:
    """Its lock is given back: another command may try."""
    tried.left = ["old"]
    tried.fails["drop left old"] = search.Unreadable("away")
    with pytest.raises(search.Unreadable, match="away"):
        tried.trial.__enter__()
    assert tried.steps == ["lock old", "drop left old", "unlock old"]


def test_what_has_ended_it_is_told_and_not_its_removal(tried: Tried) -> None:
    """Who may not make an index may not delete one, either: the right to make it is missing."""
    tried.fails[f"make {OWN}"] = search.Unusable("no right to make")
    tried.fails[f"drop {OWN}"] = search.Unusable("no right to delete")
    with pytest.raises(search.Unusable, match="no right to make") as caught:
        tried.trial.__enter__()
    assert "was not removed: no right to delete" in caught.value.__notes__[0]


def test_a_mapping_of_which_no_index_can_be_made(tried: Tried) -> None:
    """The file is named. What was made of it, if anything, is removed."""
    meta: Any = SimpleNamespace(status=400)
    reason = {"error": {"type": "mapper_parsing_exception", "reason": "no type [txt]"}}
    tried.fails[f"make {OWN}"] = search.BadRequest("mapper", meta, reason)
    with pytest.raises(IndexError_, match=r"films: index\.json: no index can be made of it: .*txt"):
        tried.trial.__enter__()
    assert tried.steps[-1] == f"drop {OWN}"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("a defect")])
def test_an_error_within(tried: Tried, error: BaseException) -> None:
    """Whatever it is, the index is removed, and the error goes on as it was."""
    tried.fails[f"drop {OWN}"] = search.Unreadable("away")
    with pytest.raises(type(error)) as caught, tried.trial:
        raise error
    assert caught.value is error
    assert caught.value.__notes__ == [f"{OWN} was not removed: Unreadable: away"]


def test_a_removal_that_fails_is_told(tried: Tried) -> None:
    """It stands alone then: nothing else went wrong."""
    tried.fails[f"drop {OWN}"] = search.Unreadable("away")
    with pytest.raises(search.Unreadable, match="away"), tried.trial:
        pass


# -- documents -------------------------------------------------------------------------------------


def test_documents_take_each_others_places(tried: Tried) -> None:
    """The index does not grow. The names of its places are in no reason: they are of no document.
    One whose place has a newer version is taken, too."""
    reason = "failed to parse field [n] of type [long] in document with id '1'. Preview: 'x'"
    tried.answers = [[DONE, Verdict(Outcome.PARK, reason), Verdict(Outcome.CONFLICT)]]
    with tried.trial:
        found = tried.documents("7", "8", "9")
        assert tried.documents("10") == []
    assert found == [RefusedDocument(("8",), "8", reason.replace(" in document with id '1'", ""))]
    assert [[one.id for one in sent] for sent in tried.sent] == [["0", "1", "2"], ["0"]]


def test_what_would_hold_the_daemon(tried: Tried) -> None:
    """It is told with the command that ends it. A suspect is refused as one that is parked."""
    tried.answers = [[Verdict(Outcome.HOLD, "blocked", mend="PUT"), Verdict(Outcome.SUSPECT, "x")]]
    with tried.trial:
        assert tried.documents("7", "8") == [
            RefusedDocument(("7",), "7", "blocked", held=True, mend="PUT"),
            RefusedDocument(("8",), "8", "x"),
        ]


def test_ids_that_elasticsearch_does_not_take(tried: Tried) -> None:
    """They are refused without a request; so is nothing that has no document."""
    long = "é" * 257
    with tried.trial:
        found = tried.documents(long, "")
        assert tried.trial.documents([Document(("7",), "7", None)]) == []
    assert [(one.id, one.reason) for one in found] == [
        (long, "the id is empty, or longer than 512 bytes"),
        ("", "the id is empty, or longer than 512 bytes"),
    ]
    assert tried.sent == []


def test_a_server_without_room(tried: Tried) -> None:
    """What it did not take is sent again, and nothing else; what it refused is told once."""
    tried.answers = [[FULL, Verdict(Outcome.PARK, "x"), FULL], [DONE, FULL], [DONE]]
    with tried.trial:
        found = tried.documents("7", "8", "9")
    assert [one.id for one in found] == ["8"]
    assert [[one.key[0] for one in sent] for sent in tried.sent] == [
        ["7", "8", "9"],
        ["7", "9"],
        ["9"],
    ]
    assert len(tried.stop.waits) == 2


def test_a_server_without_room_for_long(tried: Tried) -> None:
    """It is told what it said, and what gives it room."""
    tried.answers = [[FULL]] * (2 * TRIES)
    told = f"{OWN} takes no documents: .*no room.*add a node"
    with pytest.raises(search.Unreadable, match=told), tried.trial:
        tried.documents("7")
    assert len(tried.sent) == TRIES
    assert len(tried.stop.waits) == TRIES - 1
    assert tried.steps[-1] == f"drop {OWN}"


def test_stop_while_a_server_has_no_room(tried: Tried) -> None:
    """The next try is not made, and the index is removed."""
    tried.answers = [[FULL]] * TRIES
    tried.stop.stops_at = 2
    with pytest.raises(Stopped), tried.trial:
        tried.documents("7")
    assert len(tried.sent) == 2
    assert tried.steps[-1] == f"drop {OWN}"


def test_an_index_that_was_removed(tried: Tried) -> None:
    """Documents are not refused for it."""
    tried.answers = [[Verdict(Outcome.FENCED, "no alias")]]
    with pytest.raises(search.Unusable, match=f"the scratch index {OWN} was removed"), tried.trial:
        tried.documents("7")
