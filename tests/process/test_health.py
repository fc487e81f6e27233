"""`listener health` is 0 only where nothing waits for a person, and its line names what mends it.

`--live` goes on saying that the daemon lives: it is no reason to restart it.
"""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from tests.kit.persons import add_persons
from tests.kit.scene import Scene
from tests.kit.writers import Writers

MENDS = re.compile(r"Mend: (PUT|POST) (/\S+_(?:open|settings))(?: (\{.*?\}))?")


def asks_for(scene: Scene, said: str) -> str:
    """Wait until the line says this; it. The daemon is alive all the while."""
    told = scene.wait_health(1, said)
    scene.wait_health(0, "alive", live=True)
    return told


def test_each_index_and_each_document(scene: Scene, tmp_path: Path) -> None:
    """A parked document, a block, an index that is closed while the other goes on: told until it is
    mended by the request that the line names."""
    persons = add_persons(scene, tmp_path)
    scene.set(audit_every=0.5)
    daemon = scene.serve()
    scene.wait_health(0, "serving; watermark")

    scene.sql(
        "UPDATE content.person SET full_name = repeat('x', 40000) WHERE id = md5('person 1')::uuid"
    )
    assert "parked. Mend: what `listener parked` says" in asks_for(scene, "parked")
    scene.sql("UPDATE content.person SET full_name = 'short' WHERE id = md5('person 1')::uuid")
    scene.wait_health(0)

    [behind] = scene.behind(persons)
    with Writers(scene, pace=0.1) as writers:
        scene.request("POST", f"/{behind}/_close")
        told = asks_for(scene, "held: index_closed_exception")
        for _ in range(4):  # bulks of the other index succeed in between
            writers.wait(5)
            scene.wait_health(1, seconds=0)
        found = MENDS.search(told)
        assert found is not None, told
        scene.request(found[1], found[2])
        scene.wait_health(0)

    scene.request("PUT", f"/{scene.behind()[0]}/_settings", {"index.blocks.read": True})
    told = asks_for(scene, "no search and no comparison can read it")
    assert f'Mend: PUT /{scene.behind()[0]}/_settings {{"index.blocks.read": null}}' in told
    scene.request("PUT", f"/{scene.behind()[0]}/_settings", {"index.blocks.read": None})
    scene.wait_health(0)
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()


@pytest.mark.long
def test_rights_queries_and_triggers(scene: Scene) -> None:
    """Of the database: each is held, with PostgreSQL's words, until it is mended."""
    scene.set(audit_every=0.5, triggers={"install": "manual"})
    scene.start("triggers", "install").expect_exit(0)
    daemon = scene.serve()
    edit = "UPDATE content.film_work SET title = title || '!' WHERE id = md5('film 1')::uuid"
    scene.admin("ALTER TABLE content.film_work RENAME description TO plot")
    scene.sql(edit)
    told = asks_for(scene, "(SQLSTATE 42703)")
    assert "film.sql" in told
    scene.admin("ALTER TABLE content.film_work RENAME plot TO description")
    scene.wait_health(0)

    scene.admin("ALTER TABLE content.genre OWNER TO CURRENT_USER")
    scene.sql(edit)
    asks_for(scene, "permission denied for table genre (SQLSTATE 42501)")
    check = scene.start("check")
    check.expect_exit(2)
    grant = re.search(r"GRANT SELECT ON .*;", check.output)
    assert grant is not None, check.output
    scene.admin(grant[0])
    scene.wait_health(0)

    scene.admin("ALTER TABLE content.genre DISABLE TRIGGER USER")
    told = asks_for(scene, "is disabled")
    assert told.rstrip().endswith("Mend: run `listener triggers install`")
    scene.wait_health(1, "is disabled", seconds=0)
    scene.admin("ALTER TABLE content.genre OWNER TO process_owner")
    scene.start("triggers", "install").expect_exit(0)
    scene.wait_health(0)
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()


@pytest.mark.long
def test_signs_of_life(scene: Scene) -> None:
    """A frozen process and one that has ended are dead to both; of a start that was refused, the
    line says what was. A standby is well. `--once` is no daemon, and says nothing of one."""
    scene.once()
    scene.wait_health(1, "no heartbeat in", seconds=0)
    scene.wait_health(1, "no heartbeat in", live=True)
    daemon = scene.serve()
    standby = scene.start(folder="second")
    standby.wait_for("standing_by")
    scene.wait_health(0, "standing by", folder="second")
    standby.stop()
    daemon.signal(signal.SIGSTOP)
    scene.wait_health(1, "the last heartbeat was", live=True)
    scene.wait_health(1, "the last heartbeat was")
    daemon.signal(signal.SIGCONT)
    scene.wait_health(0, live=True)
    daemon.stop()
    scene.wait_health(1, "the daemon has ended")
    scene.once()
    scene.wait_health(1, "the daemon has ended", live=True, seconds=0)
    scene.set(triggers={"install": "manual"})
    scene.admin("ALTER TABLE content.genre DISABLE TRIGGER USER")
    for _ in range(2):
        scene.start().expect_exit(2)
        told = scene.wait_health(1, "Mend: run `listener triggers install`", seconds=0)
        assert "things of listener on content.genre are missing" in told
    scene.start("triggers", "install").expect_exit(0)
    daemon = scene.start()
    scene.wait_health(0, "serving")
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()
