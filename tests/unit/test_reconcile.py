"""What a comparison tells, and how many documents it may delete by itself."""

from __future__ import annotations

import time

import pytest

from listener import observations
from listener.compare import Page, Suspect
from listener.observations import Observation
from listener.reconcile import Progress, Report, deletes_allowed


def test_progress_every_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at each page; the total is an estimate, and never below what is done already."""
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    told: list[Observation] = []
    progress = Progress("films", 5000, told.append)
    for _ in range(12):
        now += 1
        progress.add(Page(1000, ()))
    assert told == [
        observations.CompareProgress("films", 5000, 5000, 5.0),
        observations.CompareProgress("films", 10_000, 10_000, 10.0),
    ]
    assert progress.seconds == 12


@pytest.mark.parametrize(
    ("documents", "allowed"),
    [(0, 1000), (1500, 1000), (20_000, 1000), (20_020, 1001), (1_000_000, 50_000)],
)
def test_the_guard(documents: int, allowed: int) -> None:
    """A thousand, or five in a hundred where that is more."""
    assert deletes_allowed(documents) == allowed


def test_report_holds_a_few_ids_of_many() -> None:
    """Counts are whole, examples are few: a wrong index of millions is no matter of memory."""
    report = Report("films")
    for number in range(1000):
        report.add(Suspect((str(number),), str(number), "stale"))
    report.add(Suspect(("p",), "p", "parked"))
    assert (report.wrong, report.parked) == (1000, 1)
    assert report.lines() == [
        "films: 0 documents compared, 1000 wrong",
        "  stale: 1000 (0, 1, 2, 3, 4, …)",
        "  parked: 1 (p)",
    ]
