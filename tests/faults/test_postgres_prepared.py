"""Prepared transactions: they hold the watermark, over restarts too, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from playground.search import SearchServer
from tests.kit.databases import fresh, indexed, own_scene, parked
from tests.kit.recovery import Recovery
from tests.kit.scene import Scene
from tests.kit.writers import Writers

GID = "two of us"
OWN = """
    INSERT INTO content.film_work (id, title, type)
    SELECT md5('own ' || n)::uuid, 'Own ' || n, 'movie' FROM generate_series(1, 3) AS n;
    INSERT INTO content.genre_film_work (film_work_id, genre_id)
    VALUES (md5('own 3')::uuid, md5('genre 3')::uuid)"""
"""Films that no writer edits: they would wait for the prepared transaction, as they should."""
PREPARE = f"""
    BEGIN;
    UPDATE content.film_work SET title = 'Prepared' WHERE id = md5('own 1')::uuid;
    DELETE FROM content.film_work WHERE id = md5('own 2')::uuid;
    DELETE FROM content.genre_film_work WHERE film_work_id = md5('own 3')::uuid;
    INSERT INTO content.film_work (id, title, type)
    VALUES (md5('prepared')::uuid, 'Prepared', 'movie');
    INSERT INTO content.person_film_work (film_work_id, person_id, role)
    VALUES (md5('prepared')::uuid, md5('person 9')::uuid, 'actor');
    PREPARE TRANSACTION '{GID}'"""
"""Rows of stamped tables, and of tables that the journal polls."""
NAMED = re.compile(f"prepared transaction {GID} of process_application")


@pytest.fixture
def polled(search_server: SearchServer, tmp_path: Path) -> Iterator[Scene]:
    """A server that allows prepared transactions, where nothing is notified, as they demand."""
    with own_scene(search_server, tmp_path, {"max_prepared_transactions": 10}) as scene:
        for watch in scene.options["documents"][0]["watch"]:
            watch["notify"] = "off"
        scene.sql(OWN)
        yield scene


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_prepared_for_long(polled: Scene, end: str) -> None:
    """Others stay fresh, the watermark waits and says for whom, over restarts of both."""
    scene = polled
    daemon = scene.serve()
    with Writers(scene) as writers:
        writers.wait()
        scene.sql(PREPARE)
        daemon.wait_for("watermark_held", holder=NAMED)
        daemon.stop()
        held = scene.state["last_processed"]
        daemon = scene.start()
        fresh(scene, "while it is prepared")
        with writers.outage():
            mark = daemon.mark()
            scene.postgres.restart()
        daemon.wait_for("caught_up", after=mark)
        fresh(scene, "after a restart of the server")
        daemon.kill()
        assert scene.state["last_processed"] == held
        daemon = scene.start()
        fresh(scene, "after a kill of the daemon")
        daemon.wait_for("watermark_held", holder=NAMED)
        assert not daemon.found("watermark_moved")
        assert not indexed(scene, "prepared")
        assert indexed(scene, "own 2")
        scene.sql(f"{end} PREPARED '{GID}'")
        recovery = Recovery(f"{end} PREPARED")
        daemon.wait_for("watermark_moved")
        recovery.works_again()
    recovery.converged(scene)
    assert indexed(scene, "prepared") == (end == "COMMIT")
    assert indexed(scene, "own 2") == (end == "ROLLBACK")
    assert parked(scene) == 0
    daemon.stop()
    scene.assert_converged()
