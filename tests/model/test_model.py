"""The write protocol, explored exhaustively: as built it holds, and each wrong order is seen."""

from __future__ import annotations

import functools
import importlib
import re

import pytest

from tests.model import report
from tests.model.explore import Explored, explore
from tests.model.scenarios import GOOD, WRONG

PLACES = {
    "ControlDocument": "state.control",
    "Fence": "indexing.fence",
    "Indexes": "search.indexes",
    "Ledger": "indexing.ledger",
    "Loader": "resync.full_load",
    "Mailbox": "coordinator.mailbox",
    "Notifications": "capture.notifications",
    "Opening": "coordinator.opening",
    "Pipeline": "indexing.pipeline",
    "Progress": "coordinator.progress",
    "Reader": "indexing.reader",
    "Receiver": "coordinator.receiver",
    "Rollbacks": "resync.rollbacks",
    "Senders": "indexing.senders",
    "Takeover": "coordinator.takeover",
    "Ticker": "coordinator.ticks",
    "UnderWay": "resync.under_way",
    "Versions": "search.versions",
}
"""Modules of listener, by the class that a step's name begins with."""

IN_COMMENTS = (
    "indexing.senders:Senders._send",
    "indexing.settlement:Settlement.each",
    "indexing.senders:Senders.dispatch",
    "search.sink:send",
    "search.verdicts:settle_conflict",
    "indexing.worker:Worker._failed",
    "indexing.answers:Answers.shut_out_late_requests",
    "indexing.ledger:Ledger.quiet",
    "indexing.gate:Gate.open",
    "coordinator.polls:Polls.scan",
    "state.store:Keeper.save_control",
    "resync.formers:as_they_are",
    "resync.formers:kept_of",
    "search.aliases:former",
    "indexing.ledger:Ledger.give_back",
    "indexing.senders:BATCH_AGE",
)
"""What the model and docs/model.md speak of besides."""

WORLD = {
    "somebody commits",
    "somebody deletes",
    "PostgreSQL crashes",
    "PostgreSQL flushes by itself",
    "the LISTEN connection is cut",
    "the process is killed",
    "Elasticsearch forgets a tombstone",
    "somebody asks for the former index",
    "a late bulk arrives",
    "a late raise arrives",
    "a late change of aliases arrives",
}
"""Steps that are nobody's function."""


@functools.cache
def explored(name: str) -> Explored:
    """One exploration for all tests."""
    return explore(*GOOD[name])


@pytest.mark.parametrize("name", GOOD)
def test_as_built(name: str) -> None:
    """Quiet means equal, nothing goes back, and from everywhere a way leads to quiet."""
    found = explored(name)
    print(report.summary(found))
    assert found.violation is None, report.told(found)
    assert found.quiet


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_rule_is_seen(name: str) -> None:
    """A model that finds nothing wrong with them would be worth nothing."""
    found = explore(*WRONG[name])
    print(report.told(found))
    assert found.violation is not None
    assert found.trace


@pytest.mark.parametrize("name", WRONG)
def test_the_right_rules_hold_in_the_same_world(name: str) -> None:
    """What is seen is the rule's doing, not the world's."""
    wrong = WRONG[name]
    assert any(
        right.rules.workers == wrong.rules.workers and wrong.world.within(right.world)
        for right in GOOD.values()
    )


def test_steps_bear_the_names_of_functions() -> None:
    """Whoever renames one of them looks at the model, too; and each step was made."""
    seen: set[str] = set()
    for name in GOOD:
        for label in explored(name).names:
            bare = re.sub(r"\A[AB]: | \(.*\)", "", label)
            seen.update(bare.split(", "))
    functions = seen - WORLD
    assert seen >= WORLD
    for one in functions:
        owner, _, function = one.partition(".")
        module = importlib.import_module(f"listener.{PLACES[owner]}")
        assert callable(getattr(getattr(module, owner), function)), one
    assert {one.partition(".")[0] for one in functions} == PLACES.keys()


@pytest.mark.parametrize("place", IN_COMMENTS)
def test_what_is_spoken_of_is_there(place: str) -> None:
    """In comments, docstrings and docs/model.md."""
    module, _, path = place.partition(":")
    functools.reduce(getattr, path.split("."), importlib.import_module(f"listener.{module}"))
