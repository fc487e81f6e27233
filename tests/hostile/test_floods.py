"""Payloads by the thousand: bounded work, bounded memory, a bounded log, and edits still arrive."""

from __future__ import annotations

import json
import math
import random
import threading
import time
from pathlib import Path

import pytest

from playground.daemon import ListenerProcess
from tests.kit import strangers
from tests.kit.lengths import one_short
from tests.kit.recovery import not_before
from tests.kit.scene import Connection, Scene, Served
from tests.kit.strangers import NOT_OURS, PAIR, THING, documents, ignored_so_far

RATE = 5000
GROWTH = 80_000_000
"""Bytes that a daemon may grow by in a flood: 30,000 pending keys and their requests."""


def resident(daemon: ListenerProcess) -> int:
    """Bytes of memory that the daemon has."""
    status = Path(f"/proc/{daemon.pid}/status").read_text()
    return 1024 * int(status.split("VmRSS:")[1].split()[0])


def arrives(scene: Scene, daemon: ListenerProcess, thing: str, tag: str, deadline: float) -> None:
    """Edit a row, and wait until its document can be read by id."""
    scene.sql(f"UPDATE odd.thing SET tag = '{tag}' WHERE id = '{thing}'")
    until = time.monotonic() + deadline
    path = f"/{scene.index}/_doc/{thing.replace(' ', '%20')}"
    pause = threading.Event()
    while scene.request("GET", path)["_source"]["tag"] != tag:
        if time.monotonic() > until:
            pytest.fail(f"an edit has not arrived in {deadline:g} s of a flood:\n{daemon.log}")
        pause.wait(0.05)


def mixed(number: int) -> str:
    """A payload of the flood: garbage, keys that no row has, sweeps, barriers."""
    choice = random.Random(number)
    kind = number % 8
    if kind < 2:
        return choice.choice(list(NOT_OURS.values())) + " " * (number % 50)
    if kind < 4:
        return strangers.keys(THING, [f"forged {number} {n}" for n in range(20)])
    if kind == 4:
        return strangers.keys("odd.label(name)", [f"forged {number} {n}" for n in range(20)])
    if kind == 5:
        return strangers.keys(PAIR, [[str(number), "forged", str(n)] for n in range(20)])
    if kind == 6:
        word = choice.choice(["sweep", "reconcile"])
        return json.dumps({"v": 1, "w": choice.choice([THING, PAIR]), word: True}) + " " * (
            number % 97
        )
    return json.dumps({"v": 1, "barrier": f"{number:032x}"})


def test_flood_beside_edits(odd: Served) -> None:
    """5,000 a second for some seconds: each edit arrives meanwhile, and nothing grows."""
    scene, daemon = odd
    before = documents(scene)
    mark = daemon.mark()
    size = resident(daemon)
    largest = 0
    with strangers.Flood(scene, mixed, rate=RATE, ahead=2).flowing() as flood:
        number = 0
        while flood.sent < 5 * RATE or number < 5:
            number += 1
            sent = flood.sent
            arrives(scene, daemon, f"thing {number % 200 + 1}", f"flooded {number}", 25)
            flood.arrived(sent)
            largest = max(largest, resident(daemon))
        [(last,)] = scene.sql("SELECT clock_timestamp()")
    daemon.wait_for("watermark_moved", last_processed=not_before(last), deadline=60)
    scene.wait_converged()
    told = [one for one in daemon.records[mark:] if one.level != "DEBUG"]
    print(
        f"{flood.sent} payloads, {number} edits; {(largest - size) / 1e6:.0f} MB more; "
        f"{len(told)} lines, {len(daemon.records) - mark} with DEBUG"
    )
    assert largest - size < GROWTH
    assert len(told) < 100, daemon.log
    assert len(daemon.records) - mark < flood.sent / 10
    daemon.wait_for("bad_payload", count=lambda count: count > flood.sent / 4)
    assert documents(scene) == before
    for event in ("reconcile_started", "load_started", "parked", "waiting", "held"):
        assert not daemon.found(event, after=mark), daemon.log
    assert not scene.admin("SELECT * FROM listener.parked")


def read_journal(admin: Connection) -> int:
    """How often the journal was read so far, as far as the sessions have told."""
    row = admin.execute(
        "SELECT seq_scan + coalesce(idx_scan, 0) FROM pg_stat_user_tables "
        "WHERE schemaname = 'listener' AND relname = 'journal'"
    ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("word", one_short(("sweep", "reconcile"), "reconcile"))
def test_storm_of_sweeps(odd: Served, word: str) -> None:
    """They are answered one at a time, and apart: no poll for each; and nothing is compared."""
    scene, daemon = odd
    mark = daemon.mark()
    with scene.superuser() as admin:
        before = read_journal(admin)
        began = time.monotonic()
        payload = json.dumps({"v": 1, "w": THING, word: True})
        with strangers.Flood(
            scene, lambda number: payload + " " * (number % 5000), rate=RATE
        ).flowing() as flood:
            while flood.sent < 3 * RATE:
                arrives(scene, daemon, "thing 1", f"{word} {flood.sent}", 25)
        lasted = time.monotonic() - began
        read = read_journal(admin) - before
    [(last,)] = scene.sql("SELECT clock_timestamp()")
    daemon.wait_for("watermark_moved", last_processed=not_before(last))
    scene.wait_converged()
    print(f"{flood.sent} payloads, {read} reads of the journal in {lasted:.1f} s")
    # each asks the journal twice: whether anything was unheard, then for its rows
    assert read <= 2 * 20 * lasted + 10, "more than one sweep in 50 ms"
    assert len(daemon.records) - mark < 60 * lasted + 100
    for event in ("reconcile_started", "reconciled", "load_started"):
        assert not daemon.found(event, after=mark), daemon.log


def test_barriers_that_are_copied(odd: Served) -> None:
    """Whoever listens sees each nonce, and may send it, and all former ones, as often as he likes.

    The watermark stays below what is not yet in the index, and each copy is counted.
    """
    scene, daemon = odd
    before = ignored_so_far(scene, daemon)
    mark = daemon.mark()
    writer = scene.connect()
    with strangers.Parrot(scene) as parrot:
        for number in range(3):
            daemon.wait_for("watermark_moved", after=daemon.mark())
            with writer.transaction():
                [(stamp,)] = writer.execute(
                    "UPDATE odd.thing SET tag = %s WHERE id = 'thing 9' RETURNING updated_at",
                    [f"late {number}"],
                ).fetchall()
                heard = parrot.heard
                parrot.wait(heard + 3)
            moved = [one["last_processed"] for one in daemon.found("watermark_moved", after=mark)]
            arrived = daemon.wait_for("watermark_moved", last_processed=not_before(stamp))
            assert scene.request("GET", f"/{scene.index}/_doc/thing%209")["_source"]["tag"] == (
                f"late {number}"
            )
            assert not any(map(not_before(stamp), moved)), (stamp, moved, arrived)
    assert parrot.sent > 50
    daemon.wait_for("bad_payload", count=before + parrot.sent)
    scene.wait_converged()


def test_barriers_before_an_edit(odd: Served) -> None:
    """Thousands of forged barriers are read before an edit's notification: none of them is taken
    for ours, which comes behind the edit. So the watermark passes the edit when it is indexed."""
    scene, daemon = odd
    stranger, writer = scene.connect(), scene.connect()
    for number in range(3):
        mark = daemon.wait_for("watermark_moved", after=daemon.mark())
        for start in range(0, 40_000, 10_000):
            payloads = (
                json.dumps({"v": 1, "barrier": f"{n:032x}"}) if n % 10 == 0 else f"x {n}"
                for n in range(start, start + 10_000)
            )
            strangers.send(stranger, payloads)
        [(stamp,)] = writer.execute(
            "UPDATE odd.thing SET tag = %s WHERE id = 'thing 5' RETURNING updated_at",
            [f"behind {number}"],
        ).fetchall()
        passed = daemon.wait_for("watermark_moved", after=mark, last_processed=not_before(stamp))
        written = daemon.wait_for("indexed", after=mark, written=1)
        assert written.number < passed.number, daemon.log
    scene.wait_converged()


def moved_since_overflow(daemon: ListenerProcess, mark: int) -> bool:
    """Whether pending keys were dropped since `mark`, and the watermark has moved since then."""
    dropped = daemon.found("overflowed", after=mark)
    return bool(dropped) and bool(daemon.found("watermark_moved", after=dropped[0]))


@pytest.mark.long
def test_flood_of_keys(odd: Served) -> None:
    """180,000 keys a second that no row has, or as many as are read: what waits is bounded, and
    dropped for a sweep. Edits arrive, and the watermark moves, also while it lasts."""
    scene, daemon = odd
    before = documents(scene)
    mark = daemon.mark()
    size = resident(daemon)
    largest = 0

    def forged(number: int) -> str:
        return strangers.keys(THING, [f"{number} {n}" for n in range(300)])

    with strangers.Flood(scene, forged, rate=600, ahead=1).flowing() as flood:
        number = 0
        until = math.inf
        while 300 * flood.sent < 2_000_000 or number < 5 or not moved_since_overflow(daemon, mark):
            number += 1
            sent = flood.sent
            arrives(scene, daemon, f"thing {number % 200 + 1}", f"among keys {number}", 60)
            flood.arrived(sent)
            largest = max(largest, resident(daemon))
            moved = moved_since_overflow(daemon, mark)
            if 300 * sent > 2_000_000 or daemon.found("overflowed", after=mark):
                until = min(until, time.monotonic() + 30)
            if time.monotonic() > until and not moved:
                pytest.fail(f"{300 * sent} keys, {number} edits, no watermark:\n{daemon.log}")
    [(last,)] = scene.sql("SELECT clock_timestamp()")
    daemon.wait_for("watermark_moved", last_processed=not_before(last), deadline=60)
    scene.wait_converged()
    told = [one for one in daemon.records[mark:] if one.level != "DEBUG"]
    print(f"{300 * flood.sent} keys; {(largest - size) / 1e6:.0f} MB more; {len(told)} lines")
    assert largest - size < GROWTH
    assert len(told) < 100, daemon.log
    assert documents(scene) == before
