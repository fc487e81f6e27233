"""Elasticsearch goes back: a snapshot is restored, its data folder put back, a shard made anew.

The index has the same name and mostly the same UUID then. After each of them index = query again
without a command, and without a load where the index is ours and complete.
"""

from __future__ import annotations

import http.client
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from playground.daemon import ListenerProcess
from playground.postgres import PostgresServer
from playground.search import SearchServer
from playground.system import wait_until
from tests.kit.recovery import not_before
from tests.kit.scene import Scene, Template, open_scene
from tests.kit.servers import own_search

MANY = 1200
"""More rows than a comparison deletes without asking, where it does not trust the database."""


@pytest.fixture(scope="module")
def server() -> Iterator[SearchServer]:
    """A server of this module's own, which may be put back."""
    with own_search(settings={"path.repo": ["repo"]}) as server:
        yield server


@pytest.fixture
def scene(
    postgres_server: PostgresServer,
    server: SearchServer,
    movies_template: Template,
    tmp_path: Path,
) -> Iterator[Scene]:
    """A scene on that server. Audits are frequent, for a fault shows at one."""
    with open_scene(postgres_server, server, movies_template, tmp_path) as scene:
        scene.set(audit_every=1, overlap=0.1)
        yield scene


def more_films(scene: Scene) -> None:
    """So many that their removal needs a person's word, if anything does."""
    scene.sql(
        "INSERT INTO content.film_work (id, title, type, created_at, updated_at) "
        f"SELECT md5('more ' || n)::uuid, 'More ' || n, 'movie', now(), now() "
        f"FROM generate_series(1, {MANY}) AS n"
    )


def edits(scene: Scene) -> None:
    """An insert, updates, and many deletes: all that an older index does not know."""
    scene.sql("UPDATE content.film_work SET title = 'Edited' WHERE id = md5('film 7')::uuid")
    scene.sql("DELETE FROM content.film_work WHERE id = md5('film 8')::uuid")
    scene.sql("DELETE FROM content.film_work WHERE title LIKE 'More %'")
    scene.sql(
        "INSERT INTO content.film_work (id, title, type, created_at, updated_at) "
        "VALUES (md5('new')::uuid, 'New', 'movie', now(), now())"
    )


def pass_over(scene: Scene, daemon: ListenerProcess) -> None:
    """Wait until the watermark is well past the edits: no sweep from it would bring them."""
    [(moment,)] = scene.sql("SELECT clock_timestamp() + interval '1 second'")
    scene.wait_converged()
    daemon.wait_for("watermark_moved", last_processed=not_before(moment))


def snapshot(scene: Scene, indices: str) -> Callable[[bool], None]:
    """Make a snapshot; what it returns restores it, into the index as it is or after a DELETE."""
    scene.request(
        "PUT", f"/_snapshot/{scene.prefix}", {"type": "fs", "settings": {"location": scene.prefix}}
    )
    path = f"/_snapshot/{scene.prefix}/one"
    body = {"indices": indices, "include_global_state": False}
    scene.request("PUT", f"{path}?wait_for_completion=true", body)
    names = list(scene.request("GET", f"/{indices}?expand_wildcards=all"))

    def restore(deleted: bool) -> None:
        now = scene.request("GET", f"/{indices}?expand_wildcards=all")
        for name in now:
            if deleted or name not in names:
                scene.request("DELETE", f"/{name}")
            else:
                scene.request("POST", f"/{name}/_close")
        scene.request("POST", f"{path}/_restore?wait_for_completion=true", body)

    return restore


def put_back(server: SearchServer, kept: Path) -> None:
    """The data folder as it was copied."""
    server.stop()
    shutil.rmtree(server.directory / "data")
    shutil.copytree(kept, server.directory / "data", symlinks=True, copy_function=copied)
    own(server.directory / "data", server)
    server.start()


def copied(source: str, target: str) -> str:
    """Copy a file with its owner."""
    return str(shutil.copy2(source, target))


def own(folder: Path, server: SearchServer) -> None:
    """Give the folder to the account that the server runs as."""
    owner = (server.directory / "logs").stat()
    for path in (folder, *folder.rglob("*")):
        shutil.chown(path, owner.st_uid, owner.st_gid)


def copy(server: SearchServer, kept: Path) -> None:
    """Copy the data folder of a server that is stopped for it."""
    server.stop()
    shutil.copytree(server.directory / "data", kept, symlinks=True)
    server.start()


def answers(server: SearchServer) -> bool:
    """Whether it knows its indexes again."""
    try:
        return server.request("GET", "/_cluster/health")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def assert_mended(scene: Scene, daemon: ListenerProcess) -> None:
    """Index = query, by a comparison and no load."""
    scene.wait_converged(60)
    assert not daemon.found("load_started"), daemon.log
    daemon.stop()
    scene.assert_converged()


@pytest.mark.parametrize("deleted", [False, True], ids=["closed", "deleted"])
@pytest.mark.parametrize("everything", [False, True], ids=["index", "all"])
def test_a_snapshot_is_restored_while_the_daemon_is_stopped(
    scene: Scene, deleted: bool, everything: bool
) -> None:
    """The data alone, or the control document too: compared, and deletes need nobody's word."""
    more_films(scene)
    scene.serve().stop()
    restore = snapshot(scene, f"{scene.prefix}*" if everything else f"{scene.index}-*")
    scene.serve(converge=False)
    edits(scene)
    pass_over(scene, scene.processes.started[-1])
    scene.processes.started[-1].stop()
    restore(deleted)
    daemon = scene.start()
    daemon.wait_for("index_went_back")
    daemon.wait_for("reconciled")
    assert not daemon.found("deletes_guarded"), daemon.log
    assert_mended(scene, daemon)


@pytest.mark.parametrize("deleted", [False, True], ids=["closed", "deleted"])
def test_a_snapshot_is_restored_while_the_daemon_runs(scene: Scene, deleted: bool) -> None:
    """Found at an audit; what is written meanwhile is not lost either."""
    more_films(scene)
    daemon = scene.serve()
    restore = snapshot(scene, f"{scene.index}-*")
    edits(scene)
    pass_over(scene, daemon)
    restore(deleted)
    scene.sql("UPDATE content.film_work SET title = 'After' WHERE id = md5('film 9')::uuid")
    scene.wait_converged(60)
    assert not daemon.found("deletes_guarded"), daemon.log
    daemon.stop()
    scene.assert_converged()


@pytest.mark.parametrize("way", ["snapshot", "folder"])
def test_the_state_is_lost_too(scene: Scene, server: SearchServer, way: str) -> None:
    """A container without a volume: the control document that is left went back with all the rest.
    The database knows it as a former one of its own, so deletes need nobody's word."""
    more_films(scene)
    scene.serve().stop()
    kept = scene.folder / "kept"
    if way == "snapshot":
        restore = snapshot(scene, f"{scene.prefix}*")
    else:
        copy(server, kept)
    daemon = scene.serve(converge=False)
    edits(scene)
    pass_over(scene, daemon)
    daemon.stop()
    if way == "snapshot":
        restore(True)
    else:
        put_back(server, kept)
    scene.state_file.unlink()
    daemon = scene.start()
    daemon.wait_for("index_went_back")
    daemon.wait_for("caught_up", deadline=60)
    assert not daemon.found("history_changed"), daemon.log
    assert not daemon.found("deletes_guarded"), daemon.log
    assert_mended(scene, daemon)


def test_a_standby_begins_from_the_older_control_document(scene: Scene) -> None:
    """It has no state.yaml, and the journal was pruned since: compared, and nobody is asked."""
    more_films(scene)
    first = scene.serve()
    standby = scene.start(folder="standby")
    standby.wait_for("standing_by")
    restore = snapshot(scene, f"{scene.prefix}*")
    edits(scene)
    pass_over(scene, first)
    first.kill()
    scene.admin("UPDATE listener.meta SET pruned_below = clock_timestamp()")
    restore(True)
    standby.wait_for("caught_up", deadline=60)
    assert not standby.found("deletes_guarded"), standby.log
    assert_mended(scene, standby)


def test_the_database_went_back_as_well(scene: Scene) -> None:
    """Its rows and listener's came with a dump: it may be half restored, though its count is above
    the control document's."""
    more_films(scene)
    scene.serve().stop()
    restore = snapshot(scene, f"{scene.prefix}*")
    scene.serve().stop()
    scene.admin(
        "SET session_replication_role = replica; "
        "DELETE FROM content.film_work WHERE title LIKE 'More %'"
    )
    scene.admin("UPDATE listener.meta SET file = 1")  # as a row that was not written to this table
    restore(True)
    scene.state_file.unlink()
    daemon = scene.start()
    daemon.wait_for("deletes_guarded")
    [told] = daemon.found("history_changed")
    assert "the nonce" in told.message, daemon.log
    daemon.stop()


@pytest.mark.parametrize("runs", [False, True], ids=["stopped", "running"])
def test_the_data_folder_is_put_back(scene: Scene, server: SearchServer, runs: bool) -> None:
    """Everything in the cluster is older then, and agrees with itself."""
    more_films(scene)
    daemon = scene.serve()
    kept = scene.folder / "kept"
    copy(server, kept)
    edits(scene)
    pass_over(scene, daemon)
    if runs:
        put_back(server, kept)
        scene.wait_converged(90)
        assert not daemon.found("deletes_guarded"), daemon.log
        daemon.stop()
        scene.assert_converged()
        return
    daemon.stop()
    put_back(server, kept)
    daemon = scene.start()
    daemon.wait_for("caught_up")
    assert_mended(scene, daemon)


def test_only_the_restart_tells(scene: Scene, server: SearchServer) -> None:
    """A copy in which all is that the last look saw, put back before the next one: history and
    number of operations are what they were. What came after that look is read once more."""
    scene.set(audit_every=3600)
    scene.serve()
    kept = scene.folder / "kept"
    scene.processes.started[-1].stop()
    copy(server, kept)
    daemon = scene.serve(converge=False)
    first = daemon.wait_for("watermark_moved")
    daemon.wait_for("watermark_moved", after=first)  # the first tick's audit was the last look
    edits(scene)
    pass_over(scene, daemon)
    daemon.kill()
    control = scene.control
    put_back(server, kept)
    place = f"/{scene.prefix}-control/_doc/{scene.prefix}"
    while scene.request("GET", place)["_seq_no"] < 200:  # as if the control document were elsewhere
        scene.request("PUT", place, control)
    daemon = scene.start()
    daemon.wait_for("search_restarted")
    assert_mended(scene, daemon)
    assert not daemon.found("index_went_back"), daemon.log


def test_an_empty_shard_takes_the_place_of_a_lost_one(scene: Scene, server: SearchServer) -> None:
    """`allocate_empty_primary`: the index has its UUID, and nothing in it."""
    daemon = scene.serve()
    [name] = scene.behind()
    uuid = scene.request("GET", f"/{name}")[name]["settings"]["index"]["uuid"]
    server.stop()
    [shard] = (server.directory / "data").rglob(f"{uuid}/0")
    shutil.rmtree(shard)
    server.start_process()
    wait_until(lambda: answers(server), seconds=90, what="an answer, though a shard is lost")
    command = {"index": name, "shard": 0, "node": "playground", "accept_data_loss": True}
    scene.request("POST", "/_cluster/reroute", {"commands": [{"allocate_empty_primary": command}]})
    server.wait_ready()
    daemon.wait_for("index_went_back", deadline=60)
    scene.wait_converged(60)
    daemon.stop()
    scene.assert_converged()


def test_a_load_under_way_goes_back(scene: Scene, server: SearchServer) -> None:
    """Its index is put back to before pages that state.yaml calls written: once more."""
    more_films(scene)
    scene.set(page_size=8, batch_documents=8)
    daemon = scene.start()
    daemon.wait_for("load_progress")
    daemon.kill()
    kept = scene.folder / "kept"
    copy(server, kept)
    daemon = scene.start()
    before = daemon.wait_for("load_started")
    daemon.wait_for("load_progress", after=before, documents=lambda n: n > before["documents"] + 50)
    daemon.kill()
    put_back(server, kept)
    scene.set(page_size=500, batch_documents=500)
    daemon = scene.serve()
    daemon.stop()
    scene.assert_converged()
