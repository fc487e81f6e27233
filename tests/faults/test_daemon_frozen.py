"""A daemon that SIGSTOP froze wakes up: alone it goes on; after a takeover it can write nothing."""

from __future__ import annotations

import signal
import time

import pytest

from playground.daemon import ListenerProcess
from playground.proxy import TcpProxy
from playground.system import wait_until
from tests.kit.proxies.holding import BULK, HoldingProxy
from tests.kit.scene import Scene
from tests.kit.writers import Writers

OUR_SESSIONS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'listener:%'"""
FILM = "md5('film 291')::uuid"
"""Without links: no other table tells of its deletion."""


@pytest.mark.parametrize("connections", ["alive", "dead"])
def test_frozen_and_awake_without_a_rival(scene: Scene, connections: str) -> None:
    """It goes on where it was, on the old connections or on new ones, from its own watermark."""
    with TcpProxy("127.0.0.1", scene.search.port) as proxy:
        scene.set(elasticsearch={"urls": [f"http://127.0.0.1:{proxy.port}"]})
        daemon = scene.serve()
        with Writers(scene) as writers:
            writers.wait()
            mark = daemon.mark()
            daemon.signal(signal.SIGSTOP)
            if connections == "dead":
                assert scene.admin(OUR_SESSIONS)
                proxy.cut()
            writers.wait(300)
            daemon.signal(signal.SIGCONT)
            if connections == "dead":
                listening = daemon.wait_for("listening", after=mark, session=2)
                daemon.wait_for("caught_up", after=listening)
            writers.wait()
        scene.wait_converged()
        daemon.wait_for("watermark_moved", after=daemon.mark())
        for event in ("load_started", "history_changed", "standing_by", "fenced"):
            assert not daemon.found(event, after=mark), daemon.log
        daemon.stop()
    scene.assert_converged()


def test_frozen_alone_does_not_pin_the_queue(scene: Scene) -> None:
    """A LISTEN session that reads nothing keeps all notifications of all databases in the queue,
    until writers fail. Nobody stands by: the server itself ends it."""
    listening = (
        "SELECT wait_event FROM pg_stat_activity WHERE datname = current_database() "
        "AND application_name = 'listener: notifications'"
    )
    daemon = scene.serve()
    mark = daemon.mark()
    daemon.signal(signal.SIGSTOP)
    with scene.superuser() as connection:
        while connection.execute(listening).fetchall() != [("ClientWrite",)]:
            # as many bytes as the buffers of two sockets hold
            connection.execute(
                "SELECT pg_notify('listener', md5(random()::text) || repeat('x', 7900)) "
                "FROM generate_series(1, 50)"
            )
        began = time.monotonic()
        scene.sql("UPDATE content.film_work SET title = 'Missed' WHERE title LIKE 'Film 2%'")
        scene.sql("DELETE FROM content.film_work WHERE id = md5('film 9')::uuid")
        wait_until(
            lambda: connection.execute(listening).fetchall() == [],
            seconds=60,
            every=0.1,
            what="the server gives the session up",
        )
        print(f"a session that reads nothing was given up after {time.monotonic() - began:.0f} s")
        daemon.signal(signal.SIGCONT)
        daemon.wait_for("caught_up", after=mark)
        scene.wait_converged()
        assert connection.execute("SELECT pg_notification_queue_usage()").fetchone() == (0.0,)
    daemon.stop()
    scene.assert_converged()


def forget_tombstones(scene: Scene) -> None:
    """Wait until Elasticsearch remembers no deletion from before this call.

    A document of the index is deleted and then written again below the version of its deletion:
    that is a conflict for as long as the deletion is remembered.
    """

    def scratch(method: str, version: int) -> int:
        path = f"/{scene.index}/_doc/scratch?version_type=external_gte&version={version}"
        status, _ = scene.search.request(method, path, {} if method == "PUT" else None)
        return status

    assert scratch("PUT", 10) == 201
    assert scratch("DELETE", 20) == 200
    assert scratch("PUT", 15) == 409
    wait_until(
        lambda: scratch("PUT", 15) == 201, seconds=30, every=0.1, what="the deletion is forgotten"
    )
    assert scratch("DELETE", 30) == 200


def wrote_nothing(daemon: ListenerProcess, mark: int, end: int) -> None:
    """All that it sent in this part of its log was refused."""
    answers = [one for one in daemon.records[mark:end] if one.event == "indexed"]
    assert answers, daemon.log
    for one in answers:
        assert one["written"] == one["deleted"] == 0, daemon.log
        assert one["retried"] > 0


@pytest.mark.parametrize("way", ["sent by the network", "sent when awake"])
def test_zombie_after_tombstones_are_forgotten(scene: Scene, way: str) -> None:
    """Frozen with a row in its hands for longer than gc_deletes; meanwhile that row is deleted.

    No version protects a deletion that Elasticsearch has forgotten (`gc_deletes`, 2 s here instead
    of 60, set on the index when the follower serves): only the fence does. The request is either
    held by the network, or so large that its end is still to be sent by the process itself.
    """
    scene.set(batch_bytes=50_000_000)
    direct = scene.options["elasticsearch"]["urls"]
    with HoldingProxy(scene.search.port, BULK) as gate:
        scene.set(elasticsearch={"urls": [f"http://127.0.0.1:{gate.port}"]})
        zombie = scene.serve()
        gate.close()
        # 20 MB are more than the buffers of two sockets hold
        large = 200_000 if way == "sent when awake" else 1
        scene.sql(
            f"UPDATE content.film_work SET title = 'Old', description = repeat('x', {large}) "
            f"WHERE id = {FILM} OR id IN "
            "(SELECT md5('film ' || n)::uuid FROM generate_series(1, 100) AS n)"
        )
        gate.wait_held()
        mark = zombie.mark()
        zombie.signal(signal.SIGSTOP)
        assert scene.admin(OUR_SESSIONS)
        scene.set(elasticsearch={"urls": direct})
        follower = scene.start(folder="follower")
        follower.wait_for("caught_up")
        # now: a session that begins would load such an index anew
        scene.request("PUT", f"/{scene.index}/_settings", {"index.gc_deletes": "2s"})
        scene.sql(
            f"DELETE FROM content.film_work WHERE id = {FILM}; "
            "DELETE FROM content.film_work WHERE id = md5('film 7')::uuid"
        )
        scene.wait_converged()
        forget_tombstones(scene)
        scene.assert_converged()

        gate.open()
        zombie.signal(signal.SIGCONT)
        standing = zombie.wait_for("standing_by", after=mark)
        refused = zombie.wait_for("indexed", after=mark)
        zombie.wait_for("fenced", after=mark)
        scene.assert_converged()
        wrote_nothing(zombie, mark, max(standing.number, refused.number) + 1)
        assert set(gate.statuses) == {404}, gate.statuses
        assert scene.search.request("GET", f"/{scene.index}/_doc/scratch")[0] == 404

        mark = zombie.mark()
        follower.stop()
        zombie.wait_for("caught_up", after=mark)
        scene.sql("DELETE FROM content.film_work WHERE id = md5('film 8')::uuid")
        scene.wait_converged()
        zombie.stop()
    scene.assert_converged()
