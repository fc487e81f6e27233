"""`listener verify` without servers: what is mended, by whom, and what only a person's word allows.

The comparison itself: tests/unit/test_verify.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import pytest

from listener.app.status import Status
from listener.cli import verify
from listener.documents.kinds import Kind
from listener.resync.compare import Difference, Mismatch
from listener.resync.report import DELETES, Report
from listener.resync.verify import Verification, Verified
from tests.kit.commands import Surroundings


class Comparing(Surroundings):
    """Both indexes equal their queries. `differs`: what the comparisons of films find, one by one;
    then nothing."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        super().__init__(monkeypatch, folder)
        self.differs: list[dict[Difference, int]] = []
        self.took = 0.0
        """Seconds of the comparison of an index."""
        monkeypatch.setattr(verify, "definitions_in_use", lambda *_: [])
        monkeypatch.setattr(verify, "fitting", lambda *_: None)
        monkeypatch.setattr(verify, "assemble", lambda *_: self.parts)
        monkeypatch.setattr(Verification, "run", lambda _, kind: self._compare(kind))
        monkeypatch.setattr(
            Verification, "wait_for_repair", lambda _, took: self.step(f"waited, as for {took:g} s")
        )
        monkeypatch.setattr("listener.capture.journal.ask_repair", self._ask)

    def _compare(self, kind: Kind) -> Verified:
        self.step(f"{kind.index} compared")
        self.clock += self.took
        report = Report(kind.index, documents=10, indexed=10)
        found = self.differs.pop(0) if kind.index == "films" and self.differs else {}
        for difference, number in found.items():
            for one in range(number):
                report.add(Mismatch((str(one),), str(one), difference))
        return Verified(kind, report, ())

    def _ask(self, _: object, schema: str, watches: Iterable[str], *, allow_deletes: bool) -> None:
        deletes = ", any number of deletes" if allow_deletes else ""
        self.step(f"asked in {schema} by {', '.join(watches)}{deletes}")

    def did(self, *begins: str) -> list[str]:
        """The steps that begin so."""
        return [one for one in self.steps if one.startswith(begins)]


@pytest.fixture
def around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Comparing:
    """No daemon is active."""
    return Comparing(monkeypatch, tmp_path)


COMPARED = ["films compared", "persons compared"]
STALE: dict[Difference, int] = {"stale": 2}
PARKED: dict[Difference, int] = {"parked": 1}
TOO_MANY: dict[Difference, int] = {"orphaned": DELETES + 1}


@pytest.mark.parametrize(("differs", "status"), [({}, 0), (PARKED, 0), (STALE, 1)])
def test_it_compares_and_writes_nothing(
    around: Comparing,
    differs: dict[Difference, int],
    status: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Also beside a daemon. What is parked is named, and not wrong."""
    around.active = True
    around.differs = [differs]
    assert around.run("verify") == status
    assert around.did("films", "persons") == COMPARED
    assert (around.did("asked", "rung", "begun"), around.asked) == ([], [])
    assert around.steps[-2:] == ["client closed", "connection closed"]
    told = capsys.readouterr().out.splitlines()
    assert told[0] == f"films: 10 documents compared, {differs.get('stale', 0)} wrong"
    assert ("`listener verify --repair` mends it" in told) is bool(status)
    assert ("  parked: 1 (0)" in told) is (differs is PARKED)


@pytest.mark.parametrize("active", [True, False])
def test_nothing_is_to_be_repaired(around: Comparing, active: bool) -> None:
    """Nobody is asked, and it is compared once."""
    around.active = active
    assert around.run("verify", "--repair") == 0
    assert around.did("films", "asked", "daemon", "waited") == ["films compared"]


@pytest.mark.parametrize("words", [[], ["--allow-deletes"]])
def test_the_daemon_repairs(
    around: Comparing, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """It is asked for what differs alone, in one transaction with the ring, and given the time that
    the comparison took."""
    around.active = True
    around.took = 20
    around.differs = [STALE]
    assert around.run("verify", "--repair", *words) == 0
    asked = "asked in listener by watch of 0" + (", any number of deletes" if words else "")
    at = around.steps.index(asked)
    assert around.steps[at - 1 : at + 4] == [
        *("begun", asked, "rung", "committed"),
        "waited, as for 40 s",
    ]
    assert around.did("films", "persons") == COMPARED * 2
    assert around.asked == []
    assert "asked the active daemon to mend it; comparing again" in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["--allow-deletes"]])
def test_it_repairs_itself(around: Comparing, words: list[str]) -> None:
    """Where no daemon is active. Nothing is left in the journal."""
    around.differs = [STALE]
    assert around.run("verify", "--repair", *words) == 0
    assert [one.repair for one in around.asked] == [bool(words)]
    assert around.did("asked") == []
    assert around.did("films", "persons") == COMPARED * 2


@pytest.mark.parametrize("active", [True, False])
def test_what_differs_still(around: Comparing, active: bool) -> None:
    """The second comparison counts."""
    around.active = active
    around.differs = [STALE, STALE]
    assert around.run("verify", "--repair") == 1


def test_parked_documents_are_tried_again(around: Comparing) -> None:
    """A repair is how a person has them tried."""
    around.active = True
    around.differs = [PARKED, PARKED]
    assert around.run("verify", "--repair") == 0
    assert around.did("asked") == ["asked in listener by watch of 0"]


@pytest.mark.parametrize(
    ("status", "expected", "times"),
    [
        (Status.PARKED, 0, 2),
        (Status.USAGE, 2, 1),
        (Status.GAVE_UP, 3, 1),
        (Status.ACTIVE, 4, 1),
    ],
)
def test_how_its_own_run_ends(around: Comparing, status: Status, expected: int, times: int) -> None:
    """Where it could not repair nothing is compared again: that would call late what is not."""
    around.differs = [STALE]
    around.statuses = [status]
    assert around.run("verify", "--repair") == expected
    assert around.did("films") == ["films compared"] * times


@pytest.mark.parametrize("active", [True, False])
def test_too_many_deletes(
    around: Comparing, active: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing at all is mended without a person's word, of other indexes neither."""
    around.active = active
    around.differs = [TOO_MANY]
    assert around.run("verify", "--repair") == 1
    assert (around.did("asked", "rung", "begun"), around.asked) == ([], [])
    told = capsys.readouterr().err
    assert f"films: {DELETES + 1} documents are not in the database, more than the" in told
    assert "add --allow-deletes. Nothing was mended." in told


@pytest.mark.parametrize("active", [True, False])
def test_a_persons_word_for_deletes(around: Comparing, active: bool) -> None:
    """It goes to whoever repairs."""
    around.active = active
    around.differs = [TOO_MANY]
    assert around.run("verify", "--repair", "--allow-deletes") == 0
    assert [one.repair for one in around.asked] == ([] if active else [True])
    assert len(around.did("asked")) == active


def test_each_index_is_compared_with_what_made_it(
    around: Comparing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the files say by now."""
    wanted: list[Any] = []
    definition = around.parts.files[0].definition

    def made_by(hashes: object) -> list[Kind]:
        wanted.append(hashes)
        return cast(list[Kind], around.parts.files[:1])

    monkeypatch.setattr(verify, "definitions_in_use", lambda *_: [definition])
    monkeypatch.setattr(around.parts, "made_by", made_by)
    assert around.run("verify") == 0
    assert wanted == [{"films": definition.hash}]
    assert around.did("films", "persons") == COMPARED[:1]
