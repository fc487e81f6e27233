"""Elasticsearch is killed with deletes on their way: nothing that was deleted comes back."""

from __future__ import annotations

import pytest

from playground.daemon import ListenerProcess
from tests.kit.proxies.wire import Wire, assert_sent_once, wired
from tests.kit.recovery import Back
from tests.kit.scene import Scene
from tests.kit.writers import Writers

MORE_FILMS = """
    INSERT INTO content.film_work (id, title, type)
    SELECT md5('more ' || n)::uuid, 'More ' || n, 'movie' FROM generate_series(1, 800) AS n"""
DELETE_THEM = """
    DELETE FROM content.film_work
    WHERE id IN (SELECT md5('more ' || n)::uuid FROM generate_series(1, 800) AS n)"""


def test_killed_with_deletes_in_flight(scene: Scene) -> None:
    """Hundreds of deletes are carried out, and nobody hears of it before the server is killed:
    they are sent again, under newer versions."""
    with wired(scene) as wire:
        scene.sql(MORE_FILMS)
        scene.set(batch_documents=100)
        daemon = scene.serve()
        with Writers(scene) as writers:
            writers.wait()
            mark = daemon.mark()
            wire.hold_answers()
            scene.sql(DELETE_THEM)
            scene.sql(f"{MORE_FILMS} WHERE n % 7 = 0")  # some of them again
            writers.wait()
            scene.search.kill()
            wire.cut()
            wire.release_answers()
            daemon.wait_for("waiting", after=mark, server="Elasticsearch")
            writers.wait()
            scene.search.start()
            Back(scene).converged(daemon, "SIGKILL with 800 deletes in flight")
            writers.wait()
        scene.wait_converged()
        assert_sent_once(wire)
        assert not daemon.found("parked")
        assert not daemon.found("load_started", after=mark)
        daemon.stop()
        scene.assert_converged()


def delayed(scene: Scene, wire: Wire, daemon: ListenerProcess) -> None:
    """The network keeps a request that indexes some films; it is given up, and sent again under
    a newer version; then the films are deleted."""
    mark = daemon.mark()
    wire.capture()
    scene.sql(
        "UPDATE content.film_work SET title = 'Delayed' "
        "WHERE id IN (SELECT md5('film ' || n)::uuid FROM generate_series(291, 300) AS n)"
    )
    wire.wait_captured()
    daemon.wait_for("waiting", after=mark, server="Elasticsearch")
    wire.let_pass()
    scene.wait_converged()
    scene.sql(
        "DELETE FROM content.film_work "
        "WHERE id IN (SELECT md5('film ' || n)::uuid FROM generate_series(291, 300) AS n)"
    )
    scene.wait_converged()


@pytest.mark.parametrize("way", ["restarted", "closed and opened", "gc_deletes"])
def test_delayed_request_after_tombstones_are_gone(scene: Scene, way: str) -> None:
    """A request of before arrives when Elasticsearch has forgotten what was deleted since: it may
    not bring anything back."""
    scene.set(elasticsearch={"request_timeout": 1})
    with wired(scene) as wire:
        daemon = scene.serve()
        if way == "gc_deletes":
            scene.request("PUT", f"/{scene.index}/_settings", {"index.gc_deletes": "1ms"})
        delayed(scene, wire, daemon)
        if way == "restarted":
            scene.search.restart()
        elif way == "closed and opened":
            scene.request("POST", f"/{scene.index}/_close")
            scene.request("POST", f"/{scene.index}/_open?wait_for_active_shards=1")
        wire.deliver()
        mark = daemon.mark()
        scene.sql("UPDATE content.film_work SET title = 'After' WHERE id = md5('film 1')::uuid")
        daemon.wait_for("indexed", after=mark, written=1)
        scene.assert_converged()
        daemon.stop()
        scene.assert_converged()
