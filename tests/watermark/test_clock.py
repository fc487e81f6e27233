"""A clock that is set back: what the overlap is for, and what looking at the clock is for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from playground.clock import ClockedServer
from playground.system import wait_until
from tests.kit.triggers import Bench, open_bench
from tests.watermark.follower import KINDS, Follower
from tests.watermark.rules import RIGHT, Rule

AS_BUILT = replace(RIGHT, overlap=timedelta(seconds=2))
"""The default of `overlap`."""
SHORT = replace(RIGHT, overlap=timedelta(seconds=1))


@pytest.fixture(scope="module")
def clocked() -> Iterator[ClockedServer]:
    """A PostgreSQL with a clock of its own."""
    server = ClockedServer()
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def bench(clocked: ClockedServer) -> Iterator[Bench]:
    """A database on it, whose clock is right."""
    clocked.set_clock(0)
    clocked.create_database("clock")
    yield from open_bench(clocked, "clock")
    clocked.drop_database("clock")


def lost_between_sessions(bench: Bench, clocked: ClockedServer, rule: Rule, kind: str) -> bool:
    """Nobody sees the step: the session has ended, and the next one begins."""
    follower = Follower(bench, rule, kind)
    follower.settle()
    clocked.set_clock(-1.5)
    bench.run("INSERT INTO t (id, n) VALUES (1, 1)")
    follower.begin()
    follower.settle()
    return bool(follower.lost())


def lost_within_a_session(bench: Bench, clocked: ClockedServer, rule: Rule, kind: str) -> bool:
    """By more than the overlap; and the next tick comes later than the overlap after the row."""
    follower = Follower(bench, rule, kind)
    follower.settle()
    clocked.set_clock(-6)
    bench.run("INSERT INTO t (id, n) VALUES (1, 1)")
    written = bench.value("SELECT clock_timestamp()")
    wait_until(
        lambda: bench.value("SELECT clock_timestamp()") > written + rule.overlap,
        seconds=20,
        what="the overlap has passed",
    )
    follower.settle()
    return bool(follower.lost())


@pytest.mark.parametrize("kind", KINDS)
def test_the_overlap(bench: Bench, clocked: ClockedServer, kind: str) -> None:
    """A step that nobody sees, of less than the overlap."""
    assert not lost_between_sessions(bench, clocked, AS_BUILT, kind)


def test_without_overlap(bench: Bench, clocked: ClockedServer) -> None:
    """The wrong rule."""
    assert lost_between_sessions(
        bench, clocked, replace(AS_BUILT, overlap=timedelta()), "timestamptz"
    )


@pytest.mark.parametrize("kind", ["timestamptz", "journal"])
def test_a_step_that_is_seen(bench: Bench, clocked: ClockedServer, kind: str) -> None:
    """The watermark goes back with the clock, and by the overlap."""
    assert not lost_within_a_session(bench, clocked, SHORT, kind)


def test_without_a_look_at_the_clock(bench: Bench, clocked: ClockedServer) -> None:
    """The wrong rule: the overlap does not reach so far."""
    assert lost_within_a_session(bench, clocked, replace(SHORT, watches_clock=False), "timestamptz")
