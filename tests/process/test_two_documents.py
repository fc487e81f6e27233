"""Two documents in one pipeline: what holds the one does not stop the other."""

from __future__ import annotations

from pathlib import Path

from playground.proxy import TcpProxy
from tests.process.scene import Scene

INDEX = """{"mappings": {"dynamic": "strict", "properties": {
    "name": {"type": "text"}, "born": {"type": "date"}}}}"""
QUERY = """
    SELECT id, json_build_object('name', full_name, 'born', birth_date) AS document
    FROM content.person WHERE id = ANY(%(ids)s)"""


def add_persons(scene: Scene, folder: Path) -> str:
    """A second document, of a table that the first one reads too; its index."""
    (folder / "persons.json").write_text(INDEX, "utf-8")
    (folder / "persons.sql").write_text(QUERY, "utf-8")
    films = scene.options["documents"][0]
    [watch] = [dict(one) for one in films["watch"] if one["table"] == "content.person"]
    del watch["mapping_file"]
    index = f"{scene.prefix}-persons"
    scene.options["documents"].append(
        {
            "index": index,
            "index_config_file": str(folder / "persons.json"),
            "query_file": str(folder / "persons.sql"),
            "table": "content.person",
            "key": "id",
            "watch": [watch],
        }
    )
    return index


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


def test_a_load_that_is_killed_before_the_first_page_of_the_second(
    scene: Scene, tmp_path: Path
) -> None:
    """Its index has live changes by then and no page: nothing is left of it beside the next one."""
    persons = add_persons(scene, tmp_path)
    with TcpProxy("127.0.0.1", scene.search.port) as proxy:
        scene.set(elasticsearch={"urls": [f"http://127.0.0.1:{proxy.port}"]}, page_size=8)
        proxy.delay = 0.05
        daemon = scene.start()
        daemon.wait_for("load_progress", index=scene.index)
        scene.sql("UPDATE content.person SET full_name = 'Live' WHERE id = md5('person 1')::uuid")
        daemon.wait_for("indexed", index=persons, written=1)
        daemon.kill()
        [begun] = [one["physical"] for one in daemon.found("load_started", index=persons)]
        assert not daemon.found("load_progress", index=persons), "too fast for this test"
        assert persons not in [load["index"] for load in scene.state["loads"]]
        proxy.delay = 0
        again = scene.serve()
        assert scene.behind(persons) != [begun]
        assert sorted(scene.request("GET", f"/{persons}-*")) == scene.behind(persons)
        again.stop()
    scene.assert_converged()
