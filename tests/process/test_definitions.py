"""Changed files: each index follows the database by its own definition until another one takes
its place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from playground.daemon import ListenerProcess
from playground.proxy import TcpProxy
from tests.kit.edited import Edited
from tests.kit.persons import add_persons
from tests.kit.scene import OWNER, Scene
from tests.kit.writer import Writer

_LATE = """
    CREATE FUNCTION content.late() RETURNS text LANGUAGE plpgsql STABLE
    AS 'BEGIN RETURN (SELECT n.x FROM content.nowhere AS n); END'"""
"""What no look at a statement sees: it fails when it runs."""


@pytest.fixture
def far(scene: Scene) -> Iterator[Edited]:
    """Small pages, and an Elasticsearch that can be far away: a load of some seconds."""
    with TcpProxy("127.0.0.1", scene.search.port) as proxy:
        scene.set(elasticsearch={"urls": [f"http://127.0.0.1:{proxy.port}"]}, page_size=8)
        scene.proxy = proxy
        yield Edited(scene)


def load_of(edited: Edited, documents: int) -> ListenerProcess:
    """A daemon in whose load so many documents are in the new index."""
    daemon = edited.scene.start()
    daemon.wait_for("load_progress", documents=lambda count: count >= documents)
    assert not daemon.found("loaded"), "too fast for this test"
    return daemon


def test_a_field_is_renamed_under_edits(far: Edited) -> None:
    """The load is killed twice. At each settle point the index in use equals its own query; nothing
    is parked of either, and after the swap the new one equals the new query."""
    scene = far.scene
    scene.serve().stop()
    [old] = scene.behind()
    far.rename_title()
    scene.proxy.delay = 0.03
    for documents in (40, 120):
        daemon = load_of(far, documents)
        with Writer(scene, documents):
            daemon.wait_for("load_progress", after=daemon.mark())
        far.wait_as_before()
        assert scene.behind() == [old]
        assert not daemon.found("loaded"), "too fast for this test"
        daemon.kill()
    with Writer(scene) as writer:
        daemon = scene.start()
        daemon.wait_for("load_progress")
        scene.proxy.delay = 0
        daemon.wait_for("loaded")
        writer.wait()
    scene.wait_converged()
    [new] = scene.behind()
    assert new != old
    started = [one for p in scene.processes.started for one in p.found("load_started")]
    assert {one["physical"] for one in started} == {old, new}
    assert not any(p.found("parked") for p in scene.processes.started)
    daemon.stop()
    scene.assert_converged()


def test_a_query_that_fails_touches_nothing(scene: Scene, tmp_path: Path) -> None:
    """Its load is held and says so. The index in use goes on by the query before; a load of another
    document is made and swapped meanwhile. Put right, it is loaded."""
    edited = Edited(scene)
    scene.serve().stop()
    [old] = scene.behind()
    scene.admin(_LATE)
    edited.edit("'title', film.title", "'title', film.title || content.late()")
    persons = add_persons(scene, tmp_path)
    daemon = scene.start()
    held = daemon.wait_for("held")
    assert "nowhere" in held["reason"]
    daemon.wait_for("loaded", index=persons)
    for number in range(3):
        scene.sql(
            f"UPDATE content.film_work SET title = 'Goes on {number}' "
            f"WHERE id = md5('film {number + 1}')::uuid"
        )
        scene.sql(f"DELETE FROM content.film_work WHERE id = md5('film {number + 20}')::uuid")
        edited.wait_as_before()
    assert scene.behind() == [old]
    scene.wait_health(1, "nowhere")
    scene.admin(
        "CREATE TABLE content.nowhere AS SELECT ''::text AS x; "
        f"GRANT ALL ON content.nowhere TO {OWNER}"
    )
    daemon.wait_for("loaded", index=scene.index)
    scene.wait_converged()
    assert scene.behind() != [old]
    daemon.wait_for("watermark_moved", after=daemon.mark())
    daemon.stop()
    scene.assert_converged()


def test_a_column_is_dropped_together_with_new_files(scene: Scene) -> None:
    """The query of the index in use fails from then on: it stands, and does not keep the new one
    from taking its place."""
    edited = Edited(scene)
    scene.serve().stop()
    [old] = scene.behind()
    edited.edit("'rating', film.rating", "'rating', NULL")
    with scene.superuser() as owner:
        owner.execute("ALTER TABLE content.film_work DROP COLUMN rating")
    daemon = scene.start()
    daemon.wait_for("loaded")
    scene.wait_converged()
    assert scene.behind() != [old]
    scene.sql("UPDATE content.film_work SET title = 'Later' WHERE id = md5('film 1')::uuid")
    scene.wait_converged()
    daemon.wait_for("watermark_moved", after=daemon.mark())
    daemon.stop()
    scene.assert_converged()
