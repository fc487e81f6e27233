"""Two documents in one pipeline: what holds the one does not stop the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from playground.proxy import TcpProxy
from tests.kit.persons import add_persons, give_up_load
from tests.kit.scene import Scene


def test_a_query_that_fails_holds_its_own_document(scene: Scene, tmp_path: Path) -> None:
    """A column is gone: its document waits and says so, the other one goes on; then both do."""
    add_persons(scene, tmp_path)
    daemon = scene.serve()
    mark = daemon.mark()
    with scene.superuser() as owner:
        owner.execute("ALTER TABLE content.person RENAME birth_date TO born")
        scene.sql("UPDATE content.person SET full_name = 'Held' WHERE id = md5('person 1')::uuid")
        held = daemon.wait_for("held", after=mark)
        assert "birth_date" in held["reason"]
        for number in range(20):
            after = daemon.mark()
            scene.sql(
                f"UPDATE content.film_work SET title = 'Goes on {number}' "
                f"WHERE id = md5('film {number + 200}')::uuid"
            )
            daemon.wait_for("indexed", after=after, index=scene.index, written=1)
        assert not daemon.found("recovered", after=held), daemon.log
        moved = daemon.found("watermark_moved", after=held)
        assert not moved, "the change of a person is not in the index"
        owner.execute("ALTER TABLE content.person RENAME born TO birth_date")
    daemon.wait_for("recovered", after=held)
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()


@pytest.mark.long
def test_a_load_that_is_killed_before_the_first_page_of_the_second(
    scene: Scene, tmp_path: Path
) -> None:
    """Its index has live changes by then and no page: nothing is left of it beside the next one."""
    persons = add_persons(scene, tmp_path)
    with TcpProxy("127.0.0.1", scene.search.port) as proxy:
        scene.set(elasticsearch={"urls": [f"http://127.0.0.1:{proxy.port}"]}, page_size=8)
        proxy.delay = 0.05
        begun = give_up_load(scene, persons)
        proxy.delay = 0
        again = scene.serve()
        assert scene.behind(persons) != [begun]
        assert sorted(scene.request("GET", f"/{persons}-*")) == scene.behind(persons)
        again.stop()
    scene.assert_converged()
