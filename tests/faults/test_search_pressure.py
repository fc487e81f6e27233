"""Elasticsearch has no room (429) or no copy to write to (503), for a while: all of it arrives."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from playground.postgres import PostgresServer
from playground.search import SearchServer
from tests.kit.flood import Flood
from tests.kit.recovery import Back, assert_nothing_moved
from tests.kit.scene import Scene, Template, open_scene
from tests.kit.servers import own_search
from tests.kit.writers import Writers


@pytest.fixture(scope="module")
def busy_search() -> Iterator[SearchServer]:
    """An Elasticsearch that writes one thing at a time, and lets one more wait."""
    settings = {"thread_pool.write.size": 1, "thread_pool.write.queue_size": 1}
    with own_search(heap="400m", settings=settings) as server:
        yield server


@pytest.fixture
def busy(
    postgres_server: PostgresServer,
    busy_search: SearchServer,
    movies_template: Template,
    tmp_path: Path,
) -> Iterator[Scene]:
    """The movies before it."""
    with open_scene(postgres_server, busy_search, movies_template, tmp_path) as scene:
        yield scene


def test_write_queue_is_full(busy: Scene) -> None:
    """429 by es_rejected_execution_exception: said, waited for, read again; also while a load is
    under way."""
    with Flood(busy.search, f"{busy.prefix}-others"):
        daemon = busy.start()
        daemon.wait_for("loaded", deadline=60)
        with Writers(busy) as writers:
            mark = daemon.mark()
            for _ in range(3):
                waiting = daemon.wait_for(
                    "waiting", after=mark, reason=re.compile("es_rejected_execution"), deadline=60
                )
                mark = waiting.number + 1
            writers.wait()
    back = Back(busy)
    back.converged(daemon, "429, a full write queue")
    busy.wait_converged()
    assert not daemon.found("parked")
    assert not daemon.found("held")
    assert len(daemon.found("load_started")) == 1
    daemon.stop()
    busy.assert_converged()


@contextlib.contextmanager
def nowhere(scene: Scene) -> Iterator[None]:
    """The index is lost while shards are not allocated: the new one has no primary copy."""
    enable = "cluster.routing.allocation.enable"
    scene.request("PUT", "/_cluster/settings", {"persistent": {enable: "none"}})
    try:
        [index] = scene.behind()
        scene.request("DELETE", f"/{index}")
        yield
    finally:
        scene.request("PUT", "/_cluster/settings", {"persistent": {enable: None}})


def test_no_copy_to_write_to(scene: Scene) -> None:
    """503 after the ten seconds that a bulk may wait: said and held; then it goes on by itself."""
    daemon = scene.serve()
    with Writers(scene) as writers:
        writers.wait()
        mark = daemon.mark()
        with nowhere(scene):
            [(stamp,)] = scene.sql(
                "UPDATE content.film_work SET title = 'Held' WHERE id = md5('film 291')::uuid "
                "RETURNING updated_at"
            )
            daemon.wait_for("waiting", after=mark, reason=re.compile("unavailable_shards"))
            assert_nothing_moved(scene, daemon, stamp)
        back = Back(scene)
        daemon.wait_for("loaded", after=mark)
        back.converged(daemon, "503, no primary copy; load included")
        writers.wait()
    scene.wait_converged()
    assert not daemon.found("parked")
    assert not daemon.found("held")
    # one index was made for it, whatever had to be tried again
    started = {one["physical"] for one in daemon.found("load_started", after=mark)}
    assert sorted(started) == scene.physical() == scene.behind()
    daemon.stop()
    scene.assert_converged()
