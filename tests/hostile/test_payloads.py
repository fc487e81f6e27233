"""Whoever may connect can NOTIFY: what is not ours changes nothing but a counter."""

from __future__ import annotations

from tests.faults.search_kit import not_before
from tests.hostile import strangers
from tests.hostile.conftest import Served
from tests.plugins.daemon import ListenerProcess
from tests.process.scene import Scene

THING = "odd.thing(id)"
PAIR = "odd.pair(high,name,low)"

NOT_OURS = {
    "nothing": "",
    "a word": "hello",
    "bytes": "\x01\x02\x1b[31m\x7f\u0085\u2028\ufeff{}",
    "a string": '"x"',
    "an array": "[1]",
    "null": "null",
    "truncated": '{"v": 1, "w": "odd.thing(id)", "k": ["thing 1"',
    "more behind it": '{"v": 1, "w": "odd.thing(id)", "k": ["thing 1"]} {}',
    "deeply nested": "[" * 7900,
    "deeply nested objects": '{"v":' * 1500,
    "deeply nested keys": '{"v": 1, "w": "odd.thing(id)", "k": ' + "[" * 3900 + "]" * 3900 + "}",
    "7,900 digits": "1" * 7900,
    "a version of 5,000 digits": '{"v": ' + "1" * 5000 + ', "w": "odd.thing(id)", "k": []}',
    "a version beyond all numbers": '{"v": 1e400, "w": "odd.thing(id)", "k": []}',
    "version 0": '{"v": 0, "w": "odd.thing(id)", "k": ["thing 1"]}',
    "version 2": '{"v": 2, "w": "odd.thing(id)", "k": ["thing 1"]}',
    "version 1.0": '{"v": 1.0, "w": "odd.thing(id)", "k": ["thing 1"]}',
    "version true": '{"v": true, "w": "odd.thing(id)", "k": ["thing 1"]}',
    "version '1'": '{"v": "1", "w": "odd.thing(id)", "k": ["thing 1"]}',
    "no version": '{"w": "odd.thing(id)", "k": ["thing 1"]}',
    "NaN": '{"v": 1, "w": "odd.thing(id)", "k": NaN}',
    "NaN beside it": '{"v": 1, "w": "odd.thing(id)", "k": ["thing 1"], "x": NaN}',
    "Infinity as version": '{"v": Infinity, "w": "odd.thing(id)", "k": ["thing 1"]}',
    "two of one name": '{"v": 1, "w": "odd.thing(id)", "k": ["thing 1"], "k": ["thing 2"]}',
    "two versions": '{"v": 2, "w": "odd.thing(id)", "k": ["thing 1"], "v": 1}',
    "one field too many": '{"v": 1, "w": "odd.thing(id)", "k": ["thing 1"], "d": {"title": "x"}}',
    "keys and a sweep": '{"v": 1, "w": "odd.thing(id)", "k": ["thing 1"], "sweep": true}',
    "a sweep of 1": '{"v": 1, "w": "odd.thing(id)", "sweep": 1}',
    "no sweep": '{"v": 1, "w": "odd.thing(id)", "sweep": false}',
    "a table that nobody watches": '{"v": 1, "w": "pg_catalog.pg_authid(oid)", "k": ["10"]}',
    "another key of a table": '{"v": 1, "w": "odd.thing(tag)", "k": ["tag 1"]}',
    "SQL as a table": """{"v": 1, "w": "odd.thing(id); DROP TABLE odd.thing", "k": ["1"]}""",
    "a table as a list": '{"v": 1, "w": ["odd.thing(id)"], "k": ["thing 1"]}',
    "a number as key": '{"v": 1, "w": "odd.thing(id)", "k": [1]}',
    "null as key": '{"v": 1, "w": "odd.thing(id)", "k": [null]}',
    "an object as key": '{"v": 1, "w": "odd.thing(id)", "k": [{"thing 1": 1}]}',
    "two parts for one column": '{"v": 1, "w": "odd.thing(id)", "k": [["thing 1", "2"]]}',
    "no part": '{"v": 1, "w": "odd.thing(id)", "k": [[]]}',
    "NUL in a key": '{"v": 1, "w": "odd.thing(id)", "k": ["a\\u0000"]}',
    "half a character in a key": '{"v": 1, "w": "odd.thing(id)", "k": ["\\ud800"]}',
    "text for a number": f'{{"v": 1, "w": "{PAIR}", "k": [["one", "a", "b"]]}}',
    "SQL for a number": f'{{"v": 1, "w": "{PAIR}", "k": [["1 OR 1=1", "a", "b"]]}}',
    "a number out of range": f'{{"v": 1, "w": "{PAIR}", "k": [["9223372036854775808", "a", "b"]]}}',
    "a number of 5,000 digits": f'{{"v": 1, "w": "{PAIR}", "k": [["{"9" * 5000}", "a", "b"]]}}',
    "1e2": f'{{"v": 1, "w": "{PAIR}", "k": [["1e2", "a", "b"]]}}',
    "digits of another script": f'{{"v": 1, "w": "{PAIR}", "k": [["\u0661", "a", "b"]]}}',
    "one good key among bad ones": '{"v": 1, "w": "odd.thing(id)", "k": ["thing 1", 2]}',
    "a barrier of nobody": '{"v": 1, "barrier": "00000000000000000000000000000000"}',
    "an empty barrier": '{"v": 1, "barrier": ""}',
    "a long barrier": '{"v": 1, "barrier": "' + "a" * 7000 + '"}',
    "a barrier of a number": '{"v": 1, "barrier": 1}',
    "a barrier of all": '{"v": 1, "barrier": true}',
}
"""None of these may lead to as much as a read."""


def documents(scene: Scene) -> list[int]:
    """How many documents there are of each kind, those of no search included."""
    names = [one["index"] for one in scene.options["documents"]]
    scene.request("POST", f"/{','.join(names)}/_refresh")
    return [scene.request("GET", f"/{name}/_count")["count"] for name in names]


def ignored(daemon: ListenerProcess) -> int:
    """How many payloads were ignored, as far as it was told."""
    return max((int(one["count"]) for one in daemon.found("bad_payload")), default=0)


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
