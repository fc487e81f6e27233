"""A cluster of three nodes loses one, and another one, and two: the daemon works on, or waits."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from playground.daemon import ListenerProcess
from playground.postgres import PostgresServer
from playground.search import SearchServer
from playground.search_cluster import SearchCluster
from tests.kit.recovery import Back, not_before
from tests.kit.scene import Scene, Template, open_scene
from tests.kit.writers import Writers

MORE_FILMS = """
    INSERT INTO content.film_work (id, title, type)
    SELECT md5('more ' || n)::uuid, 'More ' || n, 'movie' FROM generate_series(1, 300) AS n"""
MORE = "id IN (SELECT md5('more ' || n)::uuid FROM generate_series(1, 300) AS n)"


@pytest.fixture(scope="module")
def cluster() -> Iterator[SearchCluster]:
    """Three nodes."""
    with SearchCluster(3) as cluster:
        yield cluster


@pytest.fixture
def clustered(
    postgres_server: PostgresServer,
    cluster: SearchCluster,
    movies_template: Template,
    tmp_path: Path,
) -> Iterator[Scene]:
    """The movies with one replica; the daemon knows all three nodes."""
    revive_all(cluster)
    with open_scene(postgres_server, cluster.nodes[0], movies_template, tmp_path) as scene:
        document = scene.options["documents"][0]
        body = json.loads(Path(document["index_config_file"]).read_text("utf-8"))
        body["settings"]["number_of_replicas"] = 1
        path = tmp_path / "index_config.json"
        path.write_text(json.dumps(body))
        document["index_config_file"] = str(path)
        scene.set(elasticsearch={"urls": cluster.urls})
        yield scene
        revive_all(cluster)


def revive_all(cluster: SearchCluster) -> None:
    """Whatever a test has left."""
    for node in cluster.nodes:
        if node.running:
            node.resume()
        else:
            node.start_process()
    cluster.wait_whole()


def kill_under_writes(
    scene: Scene, cluster: SearchCluster, daemon: ListenerProcess, node: SearchServer, what: str
) -> None:
    """SIGKILL; the other two take over, and the killed one comes back."""
    node.kill()
    scene.search = cluster.alive[0]
    Back(scene).converged(daemon, f"{what} killed, two of three nodes left")
    node.start()
    cluster.wait_whole()
    Back(scene).converged(daemon, f"{what} is back")


def test_primary_and_master_are_killed(clustered: Scene, cluster: SearchCluster) -> None:
    """The node of the primary copy, then the elected master: all that is committed while a node is
    away is in the index before it comes back."""
    daemon = clustered.serve()
    [index] = clustered.behind()
    with Writers(clustered) as writers:
        writers.wait()
        kill_under_writes(clustered, cluster, daemon, cluster.primary_of(index), "primary's node")
        writers.wait()
        kill_under_writes(clustered, cluster, daemon, cluster.master(), "master")
        writers.wait()
    clustered.wait_converged()
    assert clustered.behind() == [index], "no outage of one node asks for a load"
    assert not daemon.found("parked")
    assert not daemon.found("held")
    daemon.stop()
    clustered.assert_converged()


def test_a_node_is_frozen_with_requests_in_its_hands(
    clustered: Scene, cluster: SearchCluster
) -> None:
    """The primary's node stops for longer than the others wait for it. When it wakes up it passes
    on what it was sent before, past the aliases, which it had looked up already: the tombstones
    keep away what was deleted meanwhile (so this holds for as long as `gc_deletes`)."""
    clustered.sql(MORE_FILMS)
    clustered.set(elasticsearch={"request_timeout": 2})
    daemon = clustered.serve()
    [index] = clustered.behind()
    node = cluster.primary_of(index)
    clustered.search = next(one for one in cluster.nodes if one is not node)
    with Writers(clustered) as writers:
        writers.wait()
        mark = daemon.mark()
        node.pause()
        frozen = Back(clustered)
        clustered.sql(f"UPDATE content.film_work SET title = 'Frozen' WHERE {MORE}")
        daemon.wait_for("waiting", after=mark, server="Elasticsearch")
        clustered.sql(f"DELETE FROM content.film_work WHERE {MORE}")
        frozen.converged(daemon, "primary's node frozen, two of three nodes left")
        writers.wait()
        node.resume()
        cluster.wait_whole()
        Back(clustered).converged(daemon, "the frozen node wakes up")
        writers.wait()
    clustered.wait_converged()
    assert clustered.behind() == [index]
    assert not daemon.found("parked")
    daemon.stop()
    clustered.assert_converged()


def test_two_of_three_are_killed(clustered: Scene, cluster: SearchCluster) -> None:
    """No majority, no master: refused (503, or 502 by a node that asks another), everything waits,
    and goes on when one of them is back."""
    daemon = clustered.serve()
    [index] = clustered.behind()
    with Writers(clustered) as writers:
        writers.wait()
        mark = daemon.mark()
        first, second, left = cluster.nodes
        first.kill()
        second.kill()
        clustered.search = left
        [(stamp,)] = clustered.sql(
            "UPDATE content.film_work SET title = 'Held' WHERE id = md5('film 291')::uuid "
            "RETURNING updated_at"
        )
        refused = daemon.wait_for("waiting", after=mark, reason=re.compile("50[23]"))
        assert not daemon.found("watermark_moved", last_processed=not_before(stamp))
        print(refused.message)
        second.start()
        Back(clustered).converged(daemon, "no master for a while")
        writers.wait()
        first.start()
    cluster.wait_whole()
    clustered.wait_converged()
    assert clustered.behind() == [index]
    assert not daemon.found("parked")
    daemon.stop()
    clustered.assert_converged()
