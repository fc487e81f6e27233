"""Elasticsearch answers later than the daemon waits: said, held, and nothing is sent twice."""

from __future__ import annotations

from datetime import datetime

import pytest

from playground.daemon import ListenerProcess
from tests.kit.proxies.wire import assert_sent_once, wired
from tests.kit.recovery import Back, assert_nothing_moved
from tests.kit.scene import Scene
from tests.kit.writers import Writers

TIMEOUT = 1
"""Seconds that the daemon waits for an answer."""


def held_edit(scene: Scene) -> datetime:
    """An edit whose stamp the watermark must not pass."""
    [(stamp,)] = scene.sql(
        "UPDATE content.film_work SET title = 'Held' WHERE id = md5('film 291')::uuid "
        "RETURNING updated_at"
    )
    assert isinstance(stamp, datetime)
    return stamp


def timeouts(daemon: ListenerProcess, after: int, count: int) -> None:
    """Wait until so many requests have timed out, each of which is said."""
    mark = after
    for _ in range(count):
        waiting = daemon.wait_for("waiting", after=mark, server="Elasticsearch")
        assert "timed out" in waiting["reason"]
        mark = waiting.number + 1


def test_every_answer_is_too_late(scene: Scene) -> None:
    """It says so at each try and holds the watermark, with one request at a time; once answers
    come in time it converges, though all those requests were carried out too."""
    scene.set(elasticsearch={"request_timeout": TIMEOUT})
    with wired(scene) as wire:
        daemon = scene.serve()
        with Writers(scene) as writers:
            writers.wait()
            mark = daemon.mark()
            wire.delay = 1.3 * TIMEOUT
            stamp = held_edit(scene)
            timeouts(daemon, mark, 4)
            writers.wait()
            assert_nothing_moved(scene, daemon, stamp)
            wire.delay = 0
            Back(scene).converged(daemon, "answers later than the timeout")
            writers.wait()
        scene.wait_converged()
        assert_sent_once(wire)
        assert not daemon.found("load_started", after=mark)
        assert not daemon.found("parked")
        daemon.stop()
        scene.assert_converged()


def test_a_start_while_answers_are_too_late(scene: Scene) -> None:
    """A daemon that starts then says so, and makes no pile of indexes that nobody knows."""
    scene.set(elasticsearch={"request_timeout": TIMEOUT})
    with wired(scene) as wire:
        wire.delay = 1.3 * TIMEOUT
        daemon = scene.start()
        timeouts(daemon, 0, 3)
        wire.delay = 0
        daemon.wait_for("loaded")
        scene.wait_converged()
        assert_sent_once(wire)
        daemon.stop()
        scene.assert_converged()


@pytest.mark.parametrize(
    "head", ["PUT /{index}-", "POST /_aliases", "PUT /{control}/_doc/", "PUT /_index_template/"]
)
def test_answers_are_lost_while_an_index_is_made(scene: Scene, head: str) -> None:
    """What makes an index, an alias or a generation is carried out unheard, three times each: all
    of it is done again, and nothing is left behind."""
    scene.set(elasticsearch={"request_timeout": TIMEOUT})
    with wired(scene) as wire:
        daemon = scene.serve()
        [first] = scene.behind()
        mark = daemon.mark()
        wire.lose(head.format(index=scene.index, control=f"{scene.prefix}-control"), times=3)
        scene.request("DELETE", f"/{first}")
        scene.sql("UPDATE content.film_work SET title = 'New' WHERE id = md5('film 1')::uuid")
        wire.wait_lost()
        back = Back(scene)
        daemon.wait_for("loaded", after=mark)
        back.converged(daemon, f"answers lost: {head.split()[1]}, load included")
        scene.wait_converged()
        daemon.stop()
        scene.assert_converged()
        assert scene.physical() == scene.behind()
