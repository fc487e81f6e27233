"""The guard at the swap: what a mistake in a query or a mapping would lose stays in the alias."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from playground.daemon import ListenerProcess
from playground.system import wait_until
from tests.kit.lengths import one_short
from tests.kit.persons import add_persons
from tests.kit.scene import Scene

FILMS = 300


def own_files(scene: Scene) -> tuple[Path, Path]:
    """Copies of the query and mapping of the first document, that a test may change."""
    document = scene.options["documents"][0]
    paths = []
    for name in ("query_file", "index_config_file"):
        copy = scene.folder / Path(document[name]).name
        shutil.copy(document[name], copy)
        document[name] = copy.name
        paths.append(copy)
    return paths[0], paths[1]


def returns_nothing(query: Path) -> None:
    """A condition that no film fulfils."""
    text = query.read_text("utf-8").rstrip()
    assert text.endswith("WHERE film.id = ANY(%(ids)s)") or ";" not in text
    query.write_text(f"{text} AND film.rating > 1000\n", "utf-8")


def refuses_all(mapping: Path) -> None:
    """A title is a number, says the mapping."""
    body = json.loads(mapping.read_text("utf-8"))
    body["mappings"]["properties"]["title"] = {"type": "integer"}
    mapping.write_text(json.dumps(body), "utf-8")


def count(scene: Scene, index: str) -> int:
    """How many documents people find."""
    scene.request("POST", f"/{index}/_refresh")
    found: int = scene.request("GET", f"/{index}/_count")["count"]
    return found


def is_held(scene: Scene, process: ListenerProcess, old: str) -> None:
    """The alias is as it was, and the reason names both numbers and the command."""
    held = process.wait_for("swap_held", index=scene.index)
    assert (held["before"], held["written"]) == (FILMS, 0)
    assert f"the new index has 0 documents, and the one in use {FILMS}" in held.message
    assert f"listener load {scene.index} --accept" in held.message
    assert scene.behind() == [old]
    assert count(scene, scene.index) == FILMS


def nothing_is_swapped(scene: Scene, why: str, *named: str) -> None:
    """A person's word, where it is for nothing that waits for one, loads nothing."""
    before = scene.physical()
    accept = scene.start("load", *named, "--accept")
    accept.expect_exit(2)
    assert why in accept.log
    assert scene.physical() == before


def test_a_query_that_returns_nothing(scene: Scene) -> None:
    """`--once` and a daemon keep the alias as it is, name what is lost, and say so to `health`;
    the old index is fed. With the query put back all is as it was, and nothing is loaded."""
    query, _ = own_files(scene)
    good = query.read_text("utf-8")
    scene.serve().stop()
    [old] = scene.behind()
    returns_nothing(query)
    nothing_is_swapped(scene, f"nothing is held: {scene.index} has no new index", scene.index)
    is_held(scene, scene.once(expect=2), old)
    daemon = scene.start()
    is_held(scene, daemon, old)
    assert daemon.wait_for("swap_held")["lost"] == FILMS
    daemon.wait_for("watermark_moved", after=daemon.mark())
    scene.wait_health(1, f"listener load {scene.index} --accept")
    query.write_text(good, "utf-8")
    nothing_is_swapped(scene, "the files have changed since", scene.index)
    table = scene.start("indexes")
    table.expect_exit(0)
    assert "is held: restart the daemon: the files have changed since" in table.output
    assert "--accept" not in table.output
    daemon.stop()
    daemon = scene.serve()
    assert not daemon.found("load_started"), daemon.log
    assert scene.physical() == [old]
    nothing_is_swapped(scene, f"nothing is held: {scene.index} has no new index")
    assert count(scene, scene.index) == FILMS
    scene.wait_health(0)
    daemon.stop()
    scene.assert_converged()


def test_a_load_of_everything_without_a_daemon(scene: Scene) -> None:
    """It forgets what was saved. Where its index is held, the one in use has what was committed
    since then, too; with the query put back it stays, and nothing is loaded or compared again."""
    query, _ = own_files(scene)
    good = query.read_text("utf-8")
    scene.serve().stop()
    [old] = scene.behind()
    scene.admin(  # longer ago than sweeps reach back from the load's start
        "ALTER TABLE content.film_work DISABLE TRIGGER USER;"
        "UPDATE content.film_work SET title = 'Changed while no daemon ran';"
        "ALTER TABLE content.film_work ENABLE TRIGGER USER;"
    )
    returns_nothing(query)
    load = scene.start("load")
    load.expect_exit(2)
    is_held(scene, load, old)
    assert load.wait_for("reconciled")["stale"] == FILMS, load.log
    assert not scene.once(expect=2).found("reconcile_started")
    query.write_text(good, "utf-8")
    once = scene.once(expect=0)
    assert not once.found("load_started"), once.log
    assert not once.found("reconcile_started"), once.log
    assert scene.physical() == [old]
    scene.assert_converged()


@pytest.mark.parametrize("films", one_short((77, FILMS), 77))
def test_a_mapping_that_refuses_every_document(scene: Scene, tmp_path: Path, films: int) -> None:
    """Fewer than the brake counts, and more: the load comes to its end and is held, the old index
    is fed, and another document is loaded and swapped meanwhile. A person may accept it."""
    _, mapping = own_files(scene)
    scene.set(max_parked=200)
    persons = add_persons(scene, tmp_path)
    scene.sql(
        "DELETE FROM content.film_work WHERE id NOT IN "
        f"(SELECT id FROM content.film_work ORDER BY id LIMIT {films})"
    )
    scene.serve().stop()
    [old] = scene.behind()
    refuses_all(mapping)
    other = tmp_path / "persons.sql"
    other.write_text(f"{other.read_text('utf-8')}\n-- changed", "utf-8")
    daemon = scene.start()
    held = daemon.wait_for("swap_held", index=scene.index)
    assert (held["before"], held["written"], held["refused"]) == (films, 0, films)
    assert "title" in held.message
    daemon.wait_for("loaded", index=persons)
    assert scene.behind() == [old]
    [(film,)] = scene.sql(
        "UPDATE content.film_work SET title = 'Still fed' WHERE id = (SELECT id FROM "
        "content.film_work ORDER BY id LIMIT 1) RETURNING id::text"
    )
    wait_until(
        lambda: [one["_id"] for one in scene.search_for("fed")] == [film],
        seconds=20,
        what="a change in the old index",
    )
    assert not daemon.found("held"), daemon.log
    scene.wait_health(1, "--accept")
    daemon.stop()
    accepted = scene.start("load", scene.index, "--accept")
    accepted.expect_exit(1)
    assert scene.behind() != [old]
    assert count(scene, scene.index) == 0


def test_a_first_load_without_documents(scene: Scene) -> None:
    """It is told, and the status says so; nothing is held, for nothing was searched before."""
    query, _ = own_files(scene)
    returns_nothing(query)
    once = scene.once(expect=1)
    assert once.wait_for("loaded_nothing")["documents"] == FILMS
    assert count(scene, scene.index) == 0
    scene.start("load").expect_exit(1)
    daemon = scene.start()
    daemon.wait_for("caught_up")
    scene.wait_health(0)
    daemon.stop()
    scene.assert_converged()


def test_a_load_beside_a_daemon(scene: Scene, tmp_path: Path) -> None:
    """The daemon is asked; its progress is shown until the swap. Only what was named is loaded,
    and nothing is loaded once more by the next start."""
    persons = add_persons(scene, tmp_path)
    daemon = scene.serve()
    [films], [former] = scene.behind(), scene.behind(persons)
    load = scene.start("load", persons)
    load.expect_exit(0)
    assert scene.behind() == [films]
    [new] = scene.behind(persons)
    assert new != former
    assert "asked the active daemon" in load.output
    assert f"are searched now, in {new}" in load.output
    misspelt = scene.start("load", persons[:-1])
    misspelt.expect_exit(2)
    assert f"did you mean '{persons}'?" in misspelt.log
    scene.wait_converged()
    daemon.stop()
    daemon = scene.serve()
    assert not daemon.found("load_started"), daemon.log
    daemon.stop()
    scene.assert_converged()


def test_files_that_the_daemon_does_not_know(scene: Scene) -> None:
    """It would load the old ones: it must be started anew."""
    query, _ = own_files(scene)
    daemon = scene.serve()
    query.write_text(f"{query.read_text('utf-8')}\n-- edited\n", "utf-8")
    load = scene.start("load", scene.index)
    load.expect_exit(2)
    assert "Start it anew" in load.log
    assert len(daemon.found("load_started")) == 1
    daemon.stop()


@pytest.mark.parametrize("way", one_short(("beside", "alone", "verify"), "beside"))
def test_a_person_accepts(scene: Scene, way: str) -> None:
    """The index that waits is swapped in, beside a daemon and without one: it is not loaded again,
    and index = query. `verify` is no such word: it compares the index in use with the query that
    made it, and finds nothing to delete."""
    query, _ = own_files(scene)
    scene.serve().stop()
    text = query.read_text("utf-8").rstrip()
    query.write_text(f"{text} AND film.id <= md5('film 1')::uuid AND false\n", "utf-8")
    daemon = scene.start()
    waiting = daemon.wait_for("swap_held")["physical"]
    daemon.wait_for("watermark_moved", after=daemon.mark())
    if way == "alone":
        daemon.stop()
    if way == "verify":
        scene.start("verify", "--repair", "--allow-deletes").expect_exit(0)
        daemon.wait_for("watermark_moved", after=daemon.mark())
        assert scene.behind() != [waiting]
    accepted = scene.start("load", scene.index, "--accept")
    accepted.expect_exit(1)  # there is no document
    assert scene.behind() == [waiting]
    if way != "alone":
        daemon.wait_for("watermark_moved", after=daemon.wait_for("loaded"))
        scene.wait_health(0)
        daemon.stop()
    scene.assert_converged()
    again = scene.once(expect=0)
    assert not again.found("load_started")
