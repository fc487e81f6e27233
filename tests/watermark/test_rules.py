"""Named interleavings: the right rule loses nothing, and each wrong one loses the row."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from listener.postgres import Connection
from playground.system import wait_until
from tests.kit.triggers import Bench
from tests.watermark import follower as kit
from tests.watermark.follower import HELD, KINDS, Follower
from tests.watermark.rules import RIGHT, WRONG, Rule

database_for_all = kit.database_for_all
bench = kit.bench

Scene = Callable[[Bench, Follower], None]


def insert(conn: Connection, key: int, n: int = 0) -> None:
    """One row, in a transaction where one is open."""
    conn.execute("INSERT INTO t (id, n) VALUES (%s, %s)", [key, n])


def begun_long_before(bench: Bench, follower: Follower) -> None:
    """A transaction is old when it writes: its now() is older than the watermark."""
    writer = bench.connect()
    writer.execute("BEGIN")
    writer.execute("SELECT now()")
    follower.settle()
    insert(writer, 1)
    writer.execute("COMMIT")


def slow_after_the_stamp(bench: Bench, follower: Follower) -> None:
    """A CHECK constraint waits, after the stamp and before PostgreSQL needs an id to write."""
    with held(bench) as insert_held:
        insert_held(1)
        follower.tick()


def commits_late(bench: Bench, follower: Follower) -> None:
    """Others, of later stamps, are committed before."""
    writer = bench.connect()
    writer.execute("BEGIN")
    insert(writer, 1)
    insert(bench.admin, 2)
    follower.tick()
    follower.tick()
    writer.execute("COMMIT")


def writes_between_proof_and_read(bench: Bench, follower: Follower) -> None:
    """The read sees a stamp above the proof's moment; one below that stamp is not committed."""
    writer = bench.connect()

    def meanwhile() -> None:
        writer.execute("BEGIN")
        insert(writer, 1)
        insert(bench.admin, 2)

    follower.tick(meanwhile)
    follower.tick()
    writer.execute("COMMIT")


def commits_between_proof_and_read(bench: Bench, follower: Follower) -> None:
    """Whatever comes first, the other one sees it."""
    writer = bench.connect()
    writer.execute("BEGIN")
    insert(writer, 1)
    follower.tick(lambda: bench.run("COMMIT", writer))


def writes_while_it_is_drawn(bench: Bench, follower: Follower) -> None:
    """Between the two statements of the draw."""
    writer = bench.connect()

    def drawing() -> None:
        writer.execute("BEGIN")
        insert(writer, 1)

    follower.tick(drawing=drawing)
    follower.tick()
    writer.execute("COMMIT")


def west_of_greenwich(bench: Bench, follower: Follower) -> None:
    """A writer whose session has another time zone."""
    writer = bench.connect(options="-c TimeZone=America/New_York")
    insert(writer, 1)


def many_at_different_fractions(bench: Bench, follower: Follower) -> None:
    """One row after each tick."""
    for key in range(1, 6):
        follower.settle()
        insert(bench.admin, key)


SCENES: dict[str, Scene] = {
    "stamp now()": begun_long_before,
    "clock_timestamp() without the id": slow_after_the_stamp,
    "no wait for xmin > L": commits_late,
    "updated_at > last": commits_late,
    "an open upper bound": writes_between_proof_and_read,
    "proof after the read": commits_between_proof_and_read,
    "L before t": writes_while_it_is_drawn,
    "stamp in the session's zone": west_of_greenwich,
    "stamp in whole seconds": many_at_different_fractions,
}
"""By wrong rule, where it is seen."""

FITS = {
    # its triggers fire after the row was written, which needs an id
    "clock_timestamp() without the id": ("timestamptz", "timestamp"),
    "stamp in the session's zone": ("timestamp",),
}
"""Kinds of stamps of which a wrong rule is one; others: all."""


@contextmanager
def held(bench: Bench) -> Iterator[Callable[[int], None]]:
    """Inserts in other sessions that wait after their stamp, until the end."""
    bench.admin.execute("SELECT pg_advisory_lock(%s)", [HELD])
    threads: list[threading.Thread] = []

    def insert_held(key: int) -> None:
        writer = bench.connect()
        threads.append(threading.Thread(target=insert, args=(writer, key, -1)))
        threads[-1].start()
        waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        wait_until(
            lambda: bench.value(waits) == len(threads), seconds=20, what="the writer is held"
        )

    try:
        yield insert_held
    finally:
        bench.admin.execute("SELECT pg_advisory_unlock(%s)", [HELD])
        for thread in threads:
            thread.join()


def lost(bench: Bench, rule: Rule, kind: str, scene: Scene) -> dict[int, object]:
    """What is wrong for good after a scene."""
    follower = Follower(bench, rule, kind)
    scene(bench, follower)
    follower.settle()
    return dict(follower.lost())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scene", dict.fromkeys(SCENES.values()), ids=lambda one: one.__name__)
def test_the_rule_loses_nothing(bench: Bench, scene: Scene, kind: str) -> None:
    """Without any overlap: that is for clocks alone."""
    assert lost(bench, RIGHT, kind, scene) == {}


@pytest.mark.parametrize(
    ("name", "kind"),
    [(name, kind) for name in WRONG for kind in FITS.get(name, KINDS)],
)
def test_a_wrong_rule_loses_rows(bench: Bench, name: str, kind: str) -> None:
    """For good: no later tick finds them."""
    missing = lost(bench, WRONG[name], kind, SCENES[name])
    print(f"{name}: lost {missing}")
    assert 1 in missing or name == "stamp in whole seconds"
    assert missing


def test_every_wrong_rule_has_a_scene() -> None:
    """A rule that is not tried proves nothing."""
    assert SCENES.keys() == WRONG.keys()
