"""An Elasticsearch that has no room or refuses documents: nothing is lost, nothing is skipped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from playground.postgres import PostgresServer
from playground.search import SearchServer
from tests.kit.scene import Scene, Template, open_scene
from tests.kit.servers import own_search


@pytest.fixture(scope="module")
def narrow_search() -> Iterator[SearchServer]:
    """An Elasticsearch that answers 413 to large bodies and 429 to much at a time."""
    settings = {"http.max_content_length": "40kb", "indexing_pressure.memory.limit": "30kb"}
    with own_search(settings=settings) as server:
        yield server


@pytest.fixture
def narrow(
    postgres_server: PostgresServer,
    narrow_search: SearchServer,
    movies_template: Template,
    tmp_path: Path,
) -> Iterator[Scene]:
    """The movies before a narrow Elasticsearch."""
    with open_scene(postgres_server, narrow_search, movies_template, tmp_path) as scene:
        yield scene


def rejections(scene: Scene) -> int:
    """How many requests the server had no room for."""
    [node] = scene.request("GET", "/_nodes/stats/indexing_pressure")["nodes"].values()
    total = node["indexing_pressure"]["memory"]["total"]
    return int(total["coordinating_rejections"] + total["primary_rejections"])


def test_bodies_that_are_too_large_or_too_many(narrow: Scene) -> None:
    """What is too large is halved, a 429 for another reason is read again: everything arrives,
    nothing is parked."""
    daemon = narrow.start()
    daemon.wait_for("loaded", deadline=90)
    narrow.sql("UPDATE content.film_work SET title = title || ' again'")
    narrow.wait_converged(90)
    assert rejections(narrow) > 0  # the 429s
    assert not daemon.found("parked")
    assert not daemon.found("held")
    daemon.stop()
    narrow.assert_converged()


def index_config(scene: Scene, **fields: object) -> None:
    """Use an index_config.json of the test's own: some fields of the example replaced."""
    document = scene.options["documents"][0]
    body = json.loads(Path(document["index_config_file"]).read_text("utf-8"))
    body["mappings"]["properties"].update(fields)
    for name, value in fields.items():
        if value is None:
            del body["mappings"]["properties"][name]
    path = scene.folder / "index_config.json"
    path.write_text(json.dumps(body), "utf-8")
    document["index_config_file"] = str(path)


def test_a_bad_document_is_parked_and_comes_back(scene: Scene) -> None:
    """One document that the mapping refuses stops nobody; a good version of it clears it."""
    index_config(scene, title={"type": "date", "format": "yyyy"})
    scene.admin("UPDATE content.film_work SET title = '1999'")
    daemon = scene.serve()
    ((film, other),) = scene.sql(
        "SELECT (array_agg(id ORDER BY id))[1]::text, (array_agg(id ORDER BY id))[2]::text "
        "FROM content.film_work"
    )
    scene.sql(f"UPDATE content.film_work SET title = 'no year' WHERE id = '{film}'")
    parked = daemon.wait_for("parked", id=film)
    assert "document_parsing_exception" in parked["reason"]
    scene.sql(f"UPDATE content.film_work SET title = '2001' WHERE id = '{other}'")
    moved = daemon.wait_for("watermark_moved", after=daemon.mark())
    daemon.wait_for("watermark_moved", after=moved)
    assert scene.admin("SELECT id, count FROM listener.parked") == [(film, 1)]
    daemon.stop()
    # still parked: --once says so by its status, and does not send it again by itself
    scene.once(expect=1)
    daemon = scene.start()
    daemon.wait_for("watermark_moved")
    scene.sql(f"UPDATE content.film_work SET title = '2002' WHERE id = '{film}'")
    scene.wait_converged()
    daemon.stop()
    assert scene.admin("SELECT id FROM listener.parked") == []
    scene.once(expect=0)
    scene.assert_converged()


def test_a_row_that_fails_the_query_is_parked_alone(scene: Scene) -> None:
    """The others of its batch are indexed."""
    document = scene.options["documents"][0]
    text = Path(document["query_file"]).read_text("utf-8")
    path = scene.folder / "film.sql"
    fails = "CASE WHEN film.title = 'bad' THEN (1 / (length(film.title) - 3))::text"
    path.write_text(text.replace("film.title", f"{fails} ELSE film.title END"), "utf-8")
    assert path.read_text("utf-8") != text
    document["query_file"] = str(path)
    daemon = scene.serve()
    scene.sql(
        "UPDATE content.film_work SET title = CASE WHEN id = (SELECT min(id::text)::uuid "
        "FROM content.film_work) THEN 'bad' ELSE title || '!' END"
    )
    parked = daemon.wait_for("parked")
    assert "division by zero" in parked["reason"]
    daemon.wait_for("watermark_moved", after=parked)
    assert len(daemon.found("parked")) == 1
    scene.sql("UPDATE content.film_work SET title = 'good' WHERE title = 'bad'")
    scene.wait_converged()
    daemon.stop()


def test_a_mapping_that_refuses_everything_holds(scene: Scene) -> None:
    """All of a load are not emptied into parked documents: its index is not searched, and the
    reason is said."""
    scene.set(max_parked=100)
    index_config(scene, title=None)
    daemon = scene.start()
    held = daemon.wait_for("swap_held")
    assert "strict_dynamic_mapping_exception" in held["reason"]
    assert held["refused"] == 300
    assert scene.admin("SELECT count(*) FROM listener.parked") == [(100,)]
    assert not daemon.found("loaded")
    scene.wait_health(1, "held: the new index")
    daemon.stop()
    # mended: a changed mapping is a new load
    from tests.kit.scene import movies  # noqa: PLC0415

    scene.options["documents"] = movies(scene.prefix)
    daemon = scene.start()
    daemon.wait_for("loaded")
    scene.wait_converged()
    daemon.stop()
