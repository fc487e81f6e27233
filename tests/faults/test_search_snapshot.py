"""A daemon that starts while a snapshot is made: no index may be deleted then."""

from __future__ import annotations

from pathlib import Path

from playground.postgres import PostgresServer
from playground.proxy import TcpProxy
from playground.search import SearchServer
from tests.kit.persons import add_persons, give_up_load
from tests.kit.scene import Template, open_scene


def test_start_while_a_snapshot_is_made(
    postgres_server: PostgresServer, movies_template: Template, tmp_path: Path
) -> None:
    """The index of a load that was given up stays and is named; everything else goes on."""
    with (
        SearchServer(settings={"path.repo": ["repo"]}) as search,
        open_scene(postgres_server, search, movies_template, tmp_path) as scene,
        TcpProxy("127.0.0.1", search.port) as proxy,
    ):
        persons = add_persons(scene, tmp_path)
        urls = [f"http://127.0.0.1:{proxy.port}"]
        scene.set(elasticsearch={"urls": urls}, page_size=8)
        proxy.delay = 0.05
        begun = give_up_load(scene, persons)
        proxy.delay = 0
        settings = {"location": "films", "max_snapshot_bytes_per_sec": "100b"}
        scene.request("PUT", "/_snapshot/slow", {"type": "fs", "settings": settings})
        scene.request("PUT", "/_snapshot/slow/one", {"indices": f"{persons}-*"})
        status, answer = search.request("DELETE", f"/{begun}")
        assert status == 400, answer
        assert "snapshot_in_progress" in str(answer)
        daemon = scene.start()
        daemon.wait_for("old_index_kept", physical=begun)
        daemon.wait_for("loaded", index=persons)
        scene.wait_converged()
        assert not daemon.found("held"), daemon.log
        daemon.stop()
        scene.request("DELETE", "/_snapshot/slow/one")
        scene.assert_converged()
