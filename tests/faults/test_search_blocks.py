"""Elasticsearch forbids to write, by a block or a closed index: all is held, and goes on alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from playground.daemon import ListenerProcess, Record
from tests.kit.recovery import Back, assert_nothing_moved
from tests.kit.scene import Scene
from tests.kit.writers import Writers

SETTINGS = {
    "full disk": "index.blocks.read_only_allow_delete",
    "write": "index.blocks.write",
    "read_only": "index.blocks.read_only",
    "cluster": "cluster.blocks.read_only",
}
COMMAND = re.compile(r"Mend: .*?(PUT|POST) (/\S+)(?: (\{.*\}))?")


def forbid(scene: Scene, name: str) -> None:
    """Forbid to write."""
    if name == "closed":
        scene.request("POST", f"/{scene.index}/_close")
    elif name == "cluster":
        scene.request("PUT", "/_cluster/settings", {"persistent": {SETTINGS[name]: True}})
    else:
        scene.request("PUT", f"/{scene.index}/_settings", {SETTINGS[name]: True})


def refusal(daemon: ListenerProcess, after: Record | int | None = None) -> Record:
    """The next line that says that a write was refused."""
    return daemon.wait_until(
        lambda records: next((one for one in records if one.event in ("held", "waiting")), None),
        what="held or waiting",
        after=after,
    )


def mend(scene: Scene, reason: str) -> None:
    """What a person does who reads the log: the command that it gives."""
    command = COMMAND.search(reason)
    assert command, reason
    method, path, body = command.groups()
    scene.request(method, path, json.loads(body) if body else None)


@pytest.fixture
def unblocked(scene: Scene) -> Iterator[Scene]:
    """A scene whose cluster is not left blocked."""
    yield scene
    scene.request("PUT", "/_cluster/settings", {"persistent": {SETTINGS["cluster"]: None}})


@pytest.mark.parametrize("name", [*SETTINGS, "closed"])
def test_forbidden_writes_hold_everything(unblocked: Scene, name: str) -> None:
    """The reason and the command that mends it are said at each try, the watermark stands and
    nothing is parked; a daemon that starts in between holds as well. By that command alone, the
    daemon goes on."""
    scene = unblocked
    scene.set(audit_every=0.5)
    daemon = scene.serve()
    with Writers(scene) as writers:
        writers.wait()
        mark: Record | int = daemon.mark()
        forbid(scene, name)
        [(stamp,)] = scene.sql(
            "UPDATE content.film_work SET title = 'Held' WHERE id = md5('film 291')::uuid "
            "RETURNING updated_at"
        )
        for _ in range(3):
            mark = refusal(daemon, mark)
            assert COMMAND.search(mark["reason"]), mark.message
        writers.wait()
        daemon.stop()
        assert_nothing_moved(scene, daemon, stamp)
        daemon = scene.start()
        refused = refusal(daemon)
        writers.wait()
        assert_nothing_moved(scene, daemon, stamp)
        mend(scene, refused["reason"])
        Back(scene).converged(daemon, name)
        writers.wait()
    scene.wait_converged()
    for process in scene.processes.started:
        assert not process.found("parked")
    assert not daemon.found("load_started")
    daemon.stop()
    scene.assert_converged()
