"""A document, or what it is made of, taken out of the configuration and put back: what happened
meanwhile is in the index."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from playground.daemon import ListenerProcess
from playground.proxy import TcpProxy
from tests.kit.lengths import one_short
from tests.kit.persons import add_persons
from tests.kit.scene import Options, Scene

CHANGES = """
    UPDATE content.person SET full_name = 'Meanwhile' WHERE id = md5('person 2')::uuid;
    DELETE FROM content.person WHERE id = md5('person 3')::uuid;
    INSERT INTO content.person (id, full_name) VALUES (md5('meanwhile')::uuid, 'Meanwhile')"""


def put_in(scene: Scene, document: Options) -> None:
    """Into the configuration again."""
    scene.options["documents"].append(document)


def feed(scene: Scene, statements: str, *, folder: str = "") -> ListenerProcess:
    """A daemon without the document, and changes that it sees: its watermark passes them."""
    daemon = scene.start(folder=folder)
    daemon.wait_for("caught_up")
    scene.admin(statements)
    mark = daemon.mark()
    daemon.wait_for("watermark_moved", after=mark)
    daemon.wait_for("watermark_moved", after=daemon.mark())
    daemon.stop()
    return daemon


@pytest.mark.parametrize(
    "case",
    one_short(("kept", "state lost", "control lost", "truncated", "former release"), "kept"),
)
def test_out_and_in_again(scene: Scene, tmp_path: Path, case: str) -> None:
    """What its index has missed is not to be found by any sweep: it is loaded anew."""
    scene.set(overlap=0.05)  # no sweep reaches back to what is changed meanwhile
    add_persons(scene, tmp_path)
    scene.serve().stop()
    place = f"/{scene.prefix}-control/_doc/{scene.prefix}?refresh=true"
    persons = scene.options["documents"].pop()
    known = scene.state["identity"]["indexes"][persons["index"]]
    feed(scene, "TRUNCATE content.person CASCADE" if case == "truncated" else CHANGES)
    saved = json.dumps([scene.control, scene.state], default=str)
    if case == "state lost":
        scene.state_file.unlink()
    elif case == "control lost":
        scene.request("DELETE", f"/{scene.prefix}-control")
    elif case == "former release":  # which did not forget
        content = scene.control
        content["identity"]["indexes"][persons["index"]] = known
        scene.request("PUT", place, content)
        scene.state_file.unlink()
    put_in(scene, persons)
    daemon = scene.start()
    if case == "truncated":  # an index that is empty takes nobody's place without a person's word
        daemon.wait_for("swap_held", index=persons["index"])
        scene.start("load", persons["index"], "--accept").expect_exit(0)
    daemon.wait_for("loaded", index=persons["index"])
    scene.wait_converged()
    assert not daemon.found("load_started", index=scene.index), daemon.log
    assert persons["index"] not in saved
    daemon.stop()
    scene.assert_converged()


@pytest.mark.long
def test_out_on_one_machine_and_in_on_another(scene: Scene, tmp_path: Path) -> None:
    """A standby that still has the former configuration, and a state.yaml of then, takes over."""
    add_persons(scene, tmp_path)
    scene.serve().stop()
    persons = scene.options["documents"].pop()
    feed(scene, CHANGES, folder="second")
    put_in(scene, persons)
    daemon = scene.start()
    daemon.wait_for("loaded", index=persons["index"])
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()


@pytest.mark.long
def test_taken_out_while_it_is_loaded(scene: Scene, tmp_path: Path) -> None:
    """The load that was begun does not go on: rows of its pages were deleted meanwhile, and the
    journal that said so is pruned."""
    persons = add_persons(scene, tmp_path)
    with TcpProxy("127.0.0.1", scene.search.port) as proxy:
        scene.set(elasticsearch={"urls": [f"http://127.0.0.1:{proxy.port}"]}, page_size=8)
        proxy.delay = 0.02
        daemon = scene.start()
        daemon.wait_for("load_progress", index=persons, deadline=60)
        daemon.kill()
        assert persons in [load["index"] for load in scene.state["loads"]]
        proxy.delay = 0
        document = scene.options["documents"].pop()
        feed(scene, "DELETE FROM content.person")
        scene.admin(
            "DELETE FROM listener.journal; "
            "UPDATE listener.meta SET pruned_below = "
            f"'{scene.state['last_processed'].isoformat()}'::timestamptz - interval '1 ms'"
        )
        put_in(scene, document)
        daemon = scene.start()
        daemon.wait_for("loaded", index=persons)
        scene.wait_converged()
        assert scene.request("GET", f"/{persons}/_count")["count"] == 0
        daemon.stop()
    scene.assert_converged()


@pytest.mark.long
def test_an_index_renamed_and_named_back(scene: Scene) -> None:
    """The index of the first name is still there, as it was when it was left."""
    scene.serve().stop()
    first = scene.index
    scene.options["documents"][0]["index"] = f"{scene.prefix}-other"
    daemon = scene.serve()
    scene.sql("UPDATE content.film_work SET title = 'Meanwhile' WHERE id = md5('film 7')::uuid")
    scene.sql("DELETE FROM content.film_work WHERE id = md5('film 8')::uuid")
    scene.wait_converged()
    daemon.wait_for("watermark_moved", after=daemon.mark())
    daemon.stop()
    scene.options["documents"][0]["index"] = first
    daemon = scene.start()
    daemon.wait_for("loaded", index=first)
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()


def test_a_query_changed_and_changed_back_while_it_is_loaded(scene: Scene, tmp_path: Path) -> None:
    """Until the new index is complete the old one is fed with documents of the new query, also
    where the former mapping file does not lead: back again it is not taken for what it was."""
    films = scene.options["documents"][0]
    query, mapping = tmp_path / "films.sql", tmp_path / "persons_of.sql"
    [watch] = [one for one in films["watch"] if one["table"] == "content.person"]
    shutil.copy(films["query_file"], query)
    shutil.copy(watch["mapping_file"], mapping)
    films["query_file"], watch["mapping_file"] = str(query), str(mapping)
    scene.serve().stop()
    texts = query.read_text("utf-8"), mapping.read_text("utf-8")
    query.write_text(texts[0].replace("'title', film.title", "'title', upper(film.title)"), "utf-8")
    mapping.write_text("SELECT id FROM content.film_work WHERE cardinality(%(keys)s) >= 0", "utf-8")
    with TcpProxy("127.0.0.1", scene.search.port) as proxy:
        scene.set(elasticsearch={"urls": [f"http://127.0.0.1:{proxy.port}"]}, page_size=8)
        daemon = scene.start()
        daemon.wait_for("load_started")
        proxy.delay = 0.05
        daemon.wait_for("load_progress")
        scene.sql("UPDATE content.person SET full_name = 'Now' WHERE id = md5('person 1')::uuid")
        daemon.wait_for("indexed", written=lambda count: count > 200)
        assert not daemon.found("loaded"), "too fast for this test"
        daemon.kill()
        proxy.delay = 0
        query.write_text(texts[0], "utf-8")
        mapping.write_text(texts[1], "utf-8")
        daemon = scene.start()
        daemon.wait_for("caught_up")
        scene.wait_converged()
        daemon.stop()
    scene.assert_converged()
