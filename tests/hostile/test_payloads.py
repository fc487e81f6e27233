"""Whoever may connect can NOTIFY: what is not ours changes nothing but a counter."""

from __future__ import annotations

from playground.daemon import ListenerProcess
from tests.kit import strangers
from tests.kit.recovery import not_before
from tests.kit.scene import Scene, Served
from tests.kit.strangers import NOT_OURS, PAIR, THING, documents, ignored


def watermark_passes(scene: Scene, daemon: ListenerProcess) -> None:
    """Wait until the watermark is beyond now."""
    [(now,)] = scene.sql("SELECT clock_timestamp()")
    daemon.wait_for("watermark_moved", last_processed=not_before(now))


def test_payloads_that_are_not_ours(odd: Served) -> None:
    """Each is counted; none is read, indexed, parked or repeated in the log."""
    scene, daemon = odd
    before = ignored(daemon)
    # the refresh after this edit is the last one, also of what came before this test
    edited = daemon.mark()
    scene.sql("UPDATE odd.thing SET tag = 'before all' WHERE id = 'thing 1'")
    indexed = daemon.wait_for("indexed", after=edited, written=1)
    if not indexed["refreshed"]:  # by the request itself
        daemon.wait_for("refreshed", after=indexed)
    mark = daemon.mark()
    stranger = scene.connect()
    for payload in NOT_OURS.values():
        strangers.send(stranger, [payload])
    daemon.wait_for("bad_payload", count=lambda count: count >= before + len(NOT_OURS))
    assert ignored(daemon) == before + len(NOT_OURS)
    watermark_passes(scene, daemon)
    told = {one.event for one in daemon.records[mark:]}
    assert told <= {"bad_payload", "watermark_moved"}, daemon.log
    scene.sql("UPDATE odd.thing SET tag = 'after all' WHERE id = 'thing 1'")
    scene.wait_converged()
    assert daemon.running


FORGED = (
    [str(number) for number in range(1500)]
    + ["", " ", "\n", "a\nb", "_id", "'; DROP TABLE odd.thing; --", "x" * 512, "x" * 513, "é" * 300]
    + ["y" * 3000, "%(ids)s", '["a", 1]', "{}", "\\", "\u202e", "current version [7]"]
    + ["pipeline with id [x] does not exist", "\x7f", "\U0001f3ac" * 128, "NULL"]
)
"""Keys that a row could have; none has."""


def test_keys_that_no_row_has(odd: Served) -> None:
    """They are read, and deleted where nothing is: no document, no parked one, no trace."""
    scene, daemon = odd
    before = documents(scene)
    told = ignored(daemon)
    mark = daemon.mark()
    stranger = scene.connect()
    for start in range(0, len(FORGED), 50):
        part = FORGED[start : start + 50]
        strangers.send(
            stranger,
            [
                *(strangers.keys(THING, part[n : n + 10]) for n in range(0, 50, 10)),
                *(strangers.keys("odd.label(name)", part[n : n + 10]) for n in range(0, 50, 10)),
                strangers.keys(PAIR, [[str(n), one[:50], "low"] for n, one in enumerate(part)]),
            ],
        )
    watermark_passes(scene, daemon)
    assert ignored(daemon) == told
    assert {one.event for one in daemon.records[mark:]} <= {
        "indexed",
        "refreshed",
        "watermark_moved",
    }
    assert not sum(one["written"] + one["retried"] for one in daemon.found("indexed", after=mark))
    assert documents(scene) == before
    assert not scene.admin("SELECT * FROM listener.parked")
    scene.assert_converged()
