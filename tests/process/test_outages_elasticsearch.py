"""Elasticsearch goes away: stopped, killed, frozen, or it refuses to write for a while."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from playground.proxy import TcpProxy
from tests.kit.lengths import one_short
from tests.kit.scene import Scene
from tests.kit.writer import Writer


@pytest.fixture
def proxy(scene: Scene) -> Iterator[TcpProxy]:
    """What the daemon reaches Elasticsearch through."""
    with TcpProxy("127.0.0.1", scene.search.port) as proxy:
        scene.set(elasticsearch={"urls": [f"http://127.0.0.1:{proxy.port}"]})
        yield proxy


@pytest.mark.parametrize("way", one_short(("stopped", "killed"), "killed"))
def test_server_goes_away_under_writes(scene: Scene, way: str) -> None:
    """While it is away everything is held and said; afterwards all of it arrives."""
    daemon = scene.serve()
    with Writer(scene) as writer:
        writer.wait()
        mark = daemon.mark()
        if way == "stopped":
            scene.search.stop()
        else:
            scene.search.kill()
        waiting = daemon.wait_for("waiting", after=mark, server="Elasticsearch")
        daemon.wait_for("waiting", after=waiting, server="Elasticsearch")
        writer.wait()
        scene.search.start()
        daemon.wait_for("recovered", after=mark, server="Elasticsearch")
        writer.wait()
    scene.wait_converged()
    assert not daemon.found("overflowed", after=mark), "the pending set was large enough"
    # another process holds the shards now: from the last look at them on all is read once more
    sweeps = daemon.found("swept", after=mark)
    assert not sweeps or daemon.found("search_restarted", after=mark), daemon.log
    assert not daemon.found("load_started", after=mark)
    daemon.stop()
    scene.assert_converged()


@pytest.mark.long
def test_frozen_under_writes(scene: Scene) -> None:
    """A server that takes connections and answers nothing: requests end at their timeout.

    What it was sent before may still be carried out when it wakes up: the versions keep old
    content from coming back.
    """
    scene.set(elasticsearch={"request_timeout": 1})
    daemon = scene.serve()
    with Writer(scene) as writer:
        for _ in range(2):
            writer.wait()
            mark = daemon.mark()
            scene.search.pause()
            daemon.wait_for("waiting", after=mark, server="Elasticsearch")
            writer.wait()
            scene.search.resume()
            daemon.wait_for("recovered", after=mark, server="Elasticsearch")
        writer.wait()
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()


def test_connections_cut_under_writes(scene: Scene, proxy: TcpProxy) -> None:
    """The network resets connections in the middle of requests, again and again."""
    daemon = scene.serve()
    with Writer(scene) as writer:
        for _ in range(5):
            writer.wait(10)
            proxy.cut()
        mark = daemon.mark()
        proxy.stop()
        daemon.wait_for("waiting", after=mark, server="Elasticsearch")
        proxy.start()
        daemon.wait_for("recovered", after=mark, server="Elasticsearch")
        writer.wait(10)
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()


def test_more_changes_than_memory_holds(scene: Scene, proxy: TcpProxy) -> None:
    """The pending set overflows while the server is away: a sweep from the watermark follows."""
    scene.set(pending_limit=20)
    daemon = scene.serve()
    mark = daemon.mark()
    proxy.stop()
    scene.sql("UPDATE content.film_work SET title = 'Before' WHERE id = md5('film 1')::uuid")
    daemon.wait_for("waiting", after=mark, server="Elasticsearch")
    scene.sql("UPDATE content.film_work SET title = title || '!', rating = 1")
    scene.sql("UPDATE content.person SET full_name = full_name || '!'")
    scene.sql("DELETE FROM content.film_work WHERE rating = 1 AND type = 'tv_show'")
    daemon.wait_for("overflowed", after=mark)
    proxy.start()
    daemon.wait_for("swept", after=mark)
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()


def test_starts_before_the_server(scene: Scene) -> None:
    """The daemon waits for an Elasticsearch that is not up yet, and says so at each try."""
    scene.search.stop()
    daemon = scene.start()
    first = daemon.wait_for("waiting", server="Elasticsearch")
    daemon.wait_for("waiting", server="Elasticsearch", after=first)
    scene.search.start()
    daemon.wait_for("loaded")
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()


def test_full_load_over_an_outage(scene: Scene, proxy: TcpProxy) -> None:
    """A load goes on where it was when the server comes back, in the same index.

    Audits are due meanwhile: one that cannot reach the server ends no session, and no load.
    """
    scene.set(page_size=20, audit_every=0.1)
    daemon = scene.start()
    progress = daemon.wait_for("load_progress", documents=lambda count: count >= 60)
    proxy.stop()
    for _ in range(6):  # as long as some ticks
        progress = daemon.wait_for("waiting", after=progress, server="Elasticsearch")
    scene.sql("DELETE FROM content.film_work WHERE id = md5('film 1')::uuid")
    proxy.start()
    daemon.wait_for("loaded")
    scene.wait_converged()
    assert len(daemon.found("load_started")) == 1, daemon.log
    assert len(scene.physical()) == 1
    daemon.stop()
    scene.assert_converged()


@pytest.mark.parametrize(
    "block", one_short(("read_only_allow_delete", "write"), "read_only_allow_delete")
)
def test_blocked_index_holds_everything(scene: Scene, block: str) -> None:
    """A full disk, or an administrator: each item is refused, and none is parked."""
    daemon = scene.serve()
    mark = daemon.mark()
    scene.request("PUT", f"/{scene.index}/_settings", {f"index.blocks.{block}": True})
    scene.sql("UPDATE content.film_work SET title = 'Held' WHERE id = md5('film 1')::uuid")
    scene.sql("DELETE FROM content.film_work WHERE id = md5('film 2')::uuid")
    held = daemon.wait_until(
        lambda records: next((one for one in records if one.event in ("held", "waiting")), None),
        what="held or waiting",
        after=mark,
    )
    daemon.wait_until(
        lambda records: next((one for one in records if one.event in ("held", "waiting")), None),
        what="the next try",
        after=held,
    )
    daemon.stop()
    # what was not taken holds the watermark too
    [(stamp,)] = scene.sql(
        "SELECT updated_at FROM content.film_work WHERE id = md5('film 1')::uuid"
    )
    assert scene.state["last_processed"] <= stamp
    daemon = scene.start()
    daemon.wait_for("listening")
    scene.request("PUT", f"/{scene.index}/_settings", {f"index.blocks.{block}": None})
    scene.wait_converged()
    assert not daemon.found("parked")
    daemon.stop()
    scene.assert_converged()


def test_index_deleted_while_a_request_has_no_answer(scene: Scene, proxy: TcpProxy) -> None:
    """The next generation finds no index to point to: a new session finds out, and loads it."""
    daemon = scene.serve()
    [index] = scene.physical()
    mark = daemon.mark()
    proxy.stop()
    scene.sql("UPDATE content.film_work SET title = title || ' unanswered'")
    daemon.wait_for("waiting", after=mark, server="Elasticsearch")
    scene.request("DELETE", f"/{index}")
    proxy.start()
    daemon.wait_for("loaded", after=mark)
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()
