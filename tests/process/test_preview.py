"""`preview` shows what changed files would do, and writes nothing in use."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from playground.daemon import ListenerProcess
from playground.system import wait_until
from tests.kit.lengths import one_short
from tests.kit.scene import Scene
from tests.kit.wrong_index import lie

FILM = "00000000-0000-4000-8000-00000000dead"

GATE = """
    CREATE FUNCTION content.gate(value text) RETURNS text VOLATILE LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_lock_shared(17), pg_advisory_unlock_shared(17);
        RETURN value;
    END $$"""
"""A query that calls it waits while the lock is held: a look at its plan does not."""


def preview(scene: Scene, *arguments: str, expect: int) -> ListenerProcess:
    """`listener preview` of the first document, to its end. Nothing of it is left."""
    process = scene.start("preview", scene.index, *arguments, folder="preview")
    process.expect_exit(expect, 60)
    assert scratches(scene) == []
    return process


def scratches(scene: Scene) -> list[str]:
    """The scratch indexes of the first document that are there."""
    return sorted(scene.request("GET", f"/{scene.index}.scratch-*?expand_wildcards=all"))


def sessions(scene: Scene) -> int:
    """How many sessions of previews are there."""
    [[count]] = scene.admin(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND application_name LIKE 'listener: preview%'"
    )
    return int(count)


def edit(scene: Scene, option: str, old: str, new: str) -> None:
    """Let the first document use a changed copy of this file."""
    document = scene.options["documents"][0]
    text = Path(document[option]).read_text("utf-8")
    assert old in text, (option, old)
    path = scene.folder / f"changed-{Path(document[option]).name}"
    path.write_text(text.replace(old, new), "utf-8")
    document[option] = str(path)


def everything(scene: Scene) -> Any:
    """What must not change: where the alias leads to, and each document with its version."""
    versions = scene.request(
        "POST", f"/{scene.index}/_search", {"size": 1000, "version": True, "sort": ["id"]}
    )["hits"]["hits"]
    return scene.behind(), versions


def test_before_anything_is_there(scene: Scene) -> None:
    """No schema of listener, no index: all are new, and nothing is made."""
    found = preview(scene, expect=1)
    assert "300 ids of the database, no index yet" in found.output
    assert "new: 300" in found.output
    found = preview(scene, "--json", expect=1)
    report = json.loads(found.output)
    assert (report["new"], report["refused"], report["tried"]) == (300, 0, 300)
    assert scene.physical() == []
    assert scene.admin("SELECT 1 FROM pg_namespace WHERE nspname = 'listener'") == []


def test_what_would_become_of_documents(scene: Scene) -> None:
    """Beside a daemon: no difference; then one of each sort, by id and over all."""
    daemon = scene.serve()
    before, documents = everything(scene), deepcopy(scene.options["documents"])
    assert "unchanged: 300" in preview(scene, expect=0).output
    rows = scene.sql("SELECT id::text, title FROM content.film_work ORDER BY id LIMIT 3")
    (first, title), (second, _), (third, _) = rows
    edit(scene, "query_file", "'title', film.title", "'title', film.title || '!', 'more', 1")
    edit(
        scene,
        "query_file",
        "WHERE film.id = ANY(%(ids)s)",
        f"WHERE film.id = ANY(%(ids)s) AND film.id <> '{second}'",
    )
    edit(scene, "index_config_file", '"updated_at"', '"more": {"type": "integer"}, "updated_at"')
    found = preview(scene, expect=1)

    assert "changed: 299" in found.output
    assert f"gone: 1 ({second})" in found.output
    assert "new: 0" in found.output
    assert '+ mappings.properties.more: {"type": "integer"}' in found.output
    found = preview(scene, first, second, FILM, "no-uuid", "--json", expect=2)
    told = [json.loads(line) for line in found.output.splitlines()]
    assert [one["state"] for one in told] == ["changed", "gone", "absent", "absent"]
    assert told[0]["document"]["title"] == f"{title}!"
    assert told[0]["differences"] == [
        {"path": "title", "change": "changed", "before": title, "after": f"{title}!"},
        {"path": "more", "change": "added", "after": 1},
    ]
    assert "no row can have this id: an id is id (uuid), such as 0" in told[3]["reason"]
    found = preview(scene, first.upper(), expect=2 if first.upper() != first else 1)
    assert first.upper() == first or f"it is written {first}" in found.output
    found = preview(scene, third, expect=1)

    assert "+ more: 1" in found.output
    found = preview(scene, "--sample", "40", "--json", expect=1)
    report = json.loads(found.output)

    assert 35 <= report["changed"] <= 40
    assert everything(scene) == before
    daemon.stop()
    scene.set(documents=documents)
    scene.assert_converged()


def test_an_index_that_is_wrong(scene: Scene) -> None:
    """Few differences are looked at again; what the query does not return is gone, whatever its id
    is. Only what differs is tried, and one in 50 of the others."""
    scene.once()
    lie(scene)
    report = json.loads(preview(scene, "--json", expect=1).output)
    counts = {name: report[name] for name in ("new", "changed", "gone", "refused", "unchanged")}
    assert counts == {"new": 1, "changed": 1, "gone": 2, "refused": 0, "unchanged": 298}
    assert sorted(report["examples"]["gone"]) == [FILM, "no-uuid-at-all"]
    assert report["tried"] == 2 + 6
    [field] = report["fields"]
    assert (field["field"], field["count"], field["before"]) == ("title", 1, "wrong")
    assert (report["definition"], report["loads_anew"]) == ([], False)
    scene.start("verify", "--repair").expect_exit(0, 60)
    preview(scene, expect=0)
    scene.assert_converged()


@pytest.mark.parametrize("alone", one_short((False, True), False))
def test_what_the_mapping_refuses(scene: Scene, alone: bool) -> None:
    """One counted reason with the value and the line that mends it; also what is not there yet."""
    if alone:
        scene.once()
    edit(scene, "index_config_file", '"title": {', '"title": {"type": "integer"}, "unused": {')
    found = preview(scene, expect=1)

    assert "refused: 300" in found.output
    assert found.output.count("failed to parse field [title] of type [integer]") == 1
    assert 'in the mapping: "title"' in found.output


def test_a_preview_that_was_killed(scene: Scene) -> None:
    """What it left is removed by the next one, and one that is at work keeps its own."""
    scene.once()
    scene.admin(GATE)
    edit(scene, "query_file", "'title', film.title", "'title', content.gate(film.title)")
    with scene.superuser() as connection:
        connection.execute("SELECT pg_advisory_lock(17)")
        waiting = scene.start("preview", scene.index, folder="waiting")
        wait_until(lambda: len(scratches(scene)) == 1, seconds=30, what="a scratch index")
        killed = scene.start("preview", scene.index, folder="killed")
        wait_until(lambda: len(scratches(scene)) == 2, seconds=30, what="two scratch indexes")
        killed.kill()
        connection.execute("SELECT pg_advisory_unlock(17)")
    wait_until(lambda: sessions(scene) < 2, seconds=30, what="its session")
    scene.start("preview", scene.index, folder="next").expect_exit(0, 60)
    waiting.expect_exit(0, 60)
    assert scratches(scene) == []
    scene.assert_converged()
