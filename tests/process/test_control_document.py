"""A control document that somebody else has written, or a newer release: never the end of a daemon,
and never believed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.kit.lengths import one_short
from tests.kit.scene import Scene

EDITS = """
    UPDATE content.film_work SET title = 'Edited' WHERE id = md5('film {}')::uuid;
    DELETE FROM content.film_work WHERE id = md5('film {}')::uuid"""


def put(scene: Scene, content: Any) -> None:
    """Somebody writes there."""
    scene.request("PUT", f"/{scene.prefix}-control/_doc/{scene.prefix}?refresh=true", content)


def damaged(scene: Scene) -> list[tuple[Any, bool]]:
    """Documents, and whether that is told as damage."""
    whole = scene.control
    [(name, mark)] = whole["identity"]["marks"].items()
    started = {"index": scene.index, "started_at": whole["last_processed"]}

    def marked(**other: Any) -> Any:
        return {**whole, "identity": {**whole["identity"], "marks": {name: {**mark, **other}}}}

    return [
        ({**whole, "generation": 3_999_998}, True),
        (marked(shards={"0": "history process --5"}), True),
        (marked(settled="0001-01-01T00:00:00+14:00"), True),
        ({**whole, "loads": [{**started, "physical": f"{scene.index}-x/_doc/../.."}]}, True),
        ({}, True),
        ({"user": "somebody", "generation": [1]}, True),
        ({**whole, "generation": "7"}, True),
        ({**whole, "generation": -1, "added": {}}, True),
        ({**whole, "generation": 2**60}, True),
        ({**whole, "last_processed": "yesterday"}, True),
        ({**whole, "identity": {**whole["identity"], "wal_lsn": "far"}}, True),
        ({**whole, "version": 2}, True),
        ({**whole, "added": 1, "identity": {**whole["identity"], "added": [2]}}, False),
    ]


@pytest.mark.parametrize("every", one_short((1, 4), 4))
def test_whatever_stands_there_at_a_start(scene: Scene, every: int) -> None:
    """state.yaml decides; it is told, and written anew."""
    scene.once()
    for number, (content, told) in enumerate(damaged(scene)[::every]):
        put(scene, content)
        scene.admin(EDITS.format(2 * number + 1, 2 * number + 2))
        once = scene.once()
        assert bool(once.found("control_damaged")) == told, once.log
        assert not once.found("load_started")
        assert not once.found("history_changed")
        scene.assert_converged()
        assert 0 < scene.control["generation"] < 1000
        assert "added" not in json.dumps(scene.control)


@pytest.mark.parametrize("readable", [True, False])
def test_with_no_state_file(scene: Scene, readable: bool) -> None:
    """What a newer release wrote is enough to go on from; what nobody can read is loaded anew."""
    scene.once()
    put(scene, {**scene.control, "added" if readable else "version": "2"})
    scene.state_file.unlink()
    scene.admin(EDITS.format(1, 2))
    once = scene.once()
    assert bool(once.found("load_started")) != readable
    scene.assert_converged()


def test_while_a_daemon_serves(scene: Scene) -> None:
    """Its generation is gone: it takes one above whatever owns the aliases, and goes on. An alias
    with a number that no generation can be is nobody's."""
    scene.set(audit_every=0.3)
    daemon = scene.serve()
    for number, content in enumerate(
        ({}, {"generation": True}, {**scene.control, "generation": "1"}, {"generation": 5_000_000})
    ):
        before = scene.control["generation"]
        if number == 3:
            name = f"{scene.index}.w99999999999999999999999"
            behind = scene.behind()[0]
            scene.request(
                "POST", "/_aliases", {"actions": [{"add": {"index": behind, "alias": name}}]}
            )
        mark = daemon.mark()
        put(scene, content)
        raised = daemon.wait_for("generation_raised", after=mark)
        daemon.wait_for("caught_up", after=raised)
        assert before < scene.control["generation"] < 1000
        scene.admin(EDITS.format(2 * number + 1, 2 * number + 2))
        scene.wait_converged()
    assert len(daemon.found("control_damaged")) == 4
    daemon.stop()
    scene.assert_converged()


@pytest.mark.long
def test_a_control_index_that_is_closed(scene: Scene) -> None:
    """Held with the request that opens it, at a start and at work, and then it goes on; what only
    compares or shows says it, too."""
    scene.set(audit_every=0.3)
    daemon = scene.serve()
    index = f"{scene.prefix}-control"
    for again in (False, True):
        if again:
            daemon.stop()
        mark = 0 if again else daemon.mark()
        scene.request("POST", f"/{index}/_close")
        if again:
            daemon = scene.start()
            held = daemon.wait_for("held")
        else:
            scene.sql("SELECT 1")
            held = daemon.wait_for("control_not_saved", after=mark)
        assert f"POST /{index}/_open" in held["reason"]
        scene.request("POST", f"/{index}/_open")
        scene.admin(EDITS.format(1 + 2 * again, 2 + 2 * again))
        daemon.wait_for("watermark_moved", after=held)
        scene.wait_converged()
    daemon.stop()
    scene.request("DELETE", f"/{index}")
    scene.request("PUT", f"/{index}", {"mappings": {"_source": {"enabled": False}}})
    for command in ("parked", "health", "check", "verify"):
        process = scene.start(command)
        assert process.exit_status() in (0, 1, 2), process.log
        assert "Traceback" not in process.log
    daemon = scene.start()
    held = daemon.wait_for("held")
    assert f"DELETE /{index}" in held["reason"]
    scene.request("DELETE", f"/{index}")
    daemon.wait_for("caught_up")
    scene.wait_converged()
    assert not daemon.found("load_started")
    daemon.stop()
    scene.assert_converged()
