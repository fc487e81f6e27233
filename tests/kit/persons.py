"""A second document, of persons, for the movies; and a load of it that is given up."""

from __future__ import annotations

from pathlib import Path

from tests.kit.scene import Scene

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


def give_up_load(scene: Scene, persons: str) -> str:
    """Kill a first load when its second index has live changes and no page yet; that index.

    Elasticsearch must be far away, and pages small.
    """
    daemon = scene.start()
    daemon.wait_for("load_progress", index=scene.index)
    scene.sql("UPDATE content.person SET full_name = 'Live' WHERE id = md5('person 1')::uuid")
    daemon.wait_for("indexed", index=persons, written=1)
    daemon.kill()
    [begun] = [str(one["physical"]) for one in daemon.found("load_started", index=persons)]
    assert not daemon.found("load_progress", index=persons), "too fast for this test"
    assert persons not in [load["index"] for load in scene.state["loads"]]
    return begun
