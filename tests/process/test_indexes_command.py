"""`listener indexes`: what is whose and for what, and that only what nobody uses is dropped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.kit.persons import add_persons
from tests.kit.scene import Scene


def listed(scene: Scene) -> dict[str, dict[str, Any]]:
    """All indexes of the pipeline, by name."""
    process = scene.start("indexes", "--json")
    process.expect_exit(0)
    rows = [json.loads(line) for line in process.output.splitlines()]
    return {row["name"]: row for row in rows}


def before(scene: Scene) -> None:
    """Nothing was started in this database yet: that is no error."""
    assert listed(scene) == {}
    for arguments, told in (
        (["indexes"], "there is no index of this pipeline yet"),
        (["indexes", "--drop-all"], "nothing is left over"),
        (["load", "--drop-old"], "nothing is left over"),
    ):
        process = scene.start(*arguments)
        process.expect_exit(0)
        assert told in process.output


def test_what_is_listed_and_dropped(scene: Scene, tmp_path: Path) -> None:
    """The index in use, the former one, which stays while `rollback` can go back to it, what is
    left of a document that was taken out; another program's index of such a name is neither listed
    nor dropped."""
    before(scene)
    persons = add_persons(scene, tmp_path)
    scene.serve().stop()
    [former], [people] = scene.behind(), scene.behind(persons)
    scene.start("load", scene.index).expect_exit(0)
    [films] = scene.behind()
    foreign = f"{scene.index}-00000000-20260101t000000000000z"
    scene.request("PUT", f"/{foreign}")
    scene.sql("UPDATE content.film_work SET title = 'Mine' WHERE id = md5('film 1')::uuid")
    scene.options["documents"].pop()
    rows = listed(scene)
    assert {name: row["role"] for name, row in rows.items()} == {
        films: "in use",
        former: "former",
        people: "left over",
    }
    assert rows[films]["documents"] == 300
    assert rows[films]["bytes"] > 1000
    assert rows[films]["of_the_files"] is True
    assert rows[people]["of_the_files"] is None
    assert rows[people]["searched_by"] == [persons]
    table = scene.start("indexes")
    table.expect_exit(0)
    [line] = [one for one in table.output.splitlines() if one.startswith(films)]
    assert "in use" in line
    assert "(the files')" in line

    for name, why in (
        (films, "people search it"),
        (former, "`listener rollback"),
        (people, f"the alias {persons} leads to it"),
        (foreign, "no index of the pipeline"),
    ):
        refused = scene.start("indexes", "--drop", people, name)
        refused.expect_exit(2)
        assert why in refused.log
    assert {former, people, foreign} < set(scene.request("GET", f"/{scene.prefix}-*"))
    scene.start("indexes", "--drop-all").expect_exit(0)
    scene.start("load", "--drop-old").expect_exit(0)
    assert former in scene.physical()
    scene.set(keep_former=0)
    scene.once()
    dropped = scene.start("indexes", "--drop-all")
    dropped.expect_exit(0)
    assert f"deleted {former}" in dropped.output
    assert f"kept {people}" in dropped.output
    assert scene.physical() == sorted([films, foreign])
    action = {"remove": {"index": people, "alias": persons}}
    scene.request("POST", "/_aliases", {"actions": [action]})
    scene.start("indexes", "--drop", people).expect_exit(0)
    assert set(listed(scene)) == {films}
    scene.once()
    scene.assert_converged()
