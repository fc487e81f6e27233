"""The daemon starts, loads, follows, and stops."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from listener import identity
from listener.daemon import Daemon, Status
from listener.lifecycle import Stop
from listener.observations import Observation, Waiting
from listener.settings import load
from tests.process.scene import Scene


def test_first_start_loads_and_follows(scene: Scene) -> None:
    """An empty Elasticsearch is filled; then an edit arrives by NOTIFY, not by a sweep."""
    daemon = scene.serve()
    loaded = daemon.wait_for("loaded")
    assert loaded["documents"] == 300
    mark = daemon.mark()
    scene.sql("UPDATE content.film_work SET title = 'Edited' WHERE id = md5('film 7')::uuid")
    daemon.wait_for("indexed", after=mark, written=1)
    scene.wait_converged()
    assert not daemon.found("swept", after=mark)
    daemon.stop()
    scene.assert_converged()


def test_sigint_stops_and_saves(scene: Scene) -> None:
    """Ctrl-C ends it with 0, everything stopped, the watermark saved."""
    daemon = scene.serve()
    moved = daemon.wait_for("watermark_moved")
    daemon.signal(signal.SIGINT)
    daemon.expect_exit(0)
    assert daemon.found("stopped_all", status=0)
    assert scene.state["last_processed"].isoformat() >= moved["last_processed"].replace(" ", "T")
    scene.assert_converged()


def test_edits_while_it_was_down_then_once(scene: Scene) -> None:
    """`--once` brings edits and deletes that nobody heard, and ends with 0."""
    scene.serve().stop()
    scene.sql("UPDATE content.film_work SET title = 'Edited' WHERE id = md5('film 7')::uuid")
    scene.sql("DELETE FROM content.film_work WHERE id = md5('film 8')::uuid")
    scene.sql("UPDATE content.genre SET name = 'Renamed' WHERE id = md5('genre 3')::uuid")
    once = scene.once()
    assert once.found("swept")
    assert not once.found("load_started")
    scene.assert_converged()


def test_our_schema_is_removed_while_it_starts(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was there when the start began to look: no reason to end, the next look makes it anew."""
    scene.serve().stop()
    read, told = identity.read, list[Observation]()

    def removed(*arguments: Any) -> Any:
        monkeypatch.setattr(identity, "read", read)
        scene.admin("DROP SCHEMA listener CASCADE")
        return read(*arguments)

    monkeypatch.setattr(identity, "read", removed)
    status = Daemon(load(scene.config), observe=told.append, stop=Stop(), once=True).run()
    assert status is Status.OK, told
    [waiting] = [one for one in told if isinstance(one, Waiting)]
    assert '"listener.meta" does not exist' in waiting.reason
    scene.assert_converged()
