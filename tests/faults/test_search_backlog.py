"""A mapping that refuses every document: the brake keeps a backlog from being parked away."""

from __future__ import annotations

import json
from pathlib import Path

from playground.system import wait_until
from tests.kit.recovery import Back, not_before
from tests.kit.scene import Scene
from tests.kit.writers import Writers

BACKLOG = 2000
MORE_FILMS = f"""
    INSERT INTO content.film_work (id, title, description, type)
    SELECT md5('more ' || n)::uuid, 'More ' || n, '1999', 'movie'
    FROM generate_series(1, {BACKLOG}) AS n"""
MORE = f"id IN (SELECT md5('more ' || n)::uuid FROM generate_series(1, {BACKLOG}) AS n)"


def years(scene: Scene) -> None:
    """The description is a year, says the mapping."""
    document = scene.options["documents"][0]
    body = json.loads(Path(document["index_config_file"]).read_text("utf-8"))
    body["mappings"]["properties"]["description"] = {"type": "date", "format": "yyyy"}
    path = scene.folder / "index_config.json"
    path.write_text(json.dumps(body), "utf-8")
    document["index_config_file"] = str(path)
    scene.admin("UPDATE content.film_work SET description = '1999'")


def test_a_backlog_that_is_refused(scene: Scene) -> None:
    """Of 2,000 changes that are refused, fewer than a hundred are parked before it holds; a
    restart parks no more than as many again. Once the rows are mended everything is in the index
    and nothing parked."""
    years(scene)
    scene.sql(MORE_FILMS)
    daemon = scene.serve()
    mark = daemon.mark()
    scene.sql(f"UPDATE content.film_work SET description = 'no year' WHERE {MORE}")
    [(stamp,)] = scene.sql(f"SELECT min(updated_at) FROM content.film_work WHERE {MORE}")
    held = daemon.wait_for("held", after=mark)
    assert "document_parsing_exception" in held["reason"]
    held = daemon.wait_for("held", after=held)
    daemon.wait_for("held", after=held)
    # none at all where the first witness was one of them: then it holds for that
    assert parked(scene) < 100
    assert not daemon.found("watermark_moved", last_processed=not_before(stamp))
    daemon.stop()
    assert scene.state["last_processed"] <= stamp
    daemon = scene.start()
    held = daemon.wait_for("held")
    daemon.wait_for("held", after=held)
    assert parked(scene) < 200
    with Writers(scene) as writers:
        writers.wait()
        scene.sql(f"UPDATE content.film_work SET description = '2001' WHERE {MORE}")
        Back(scene).converged(daemon, f"a backlog of {BACKLOG} refused changes, mended")
        writers.wait()
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()
    assert parked(scene) == 0


def test_a_backlog_that_is_refused_beside_good_documents(scene: Scene) -> None:
    """Good documents between the bad ones begin the count anew, but more than `max_parked` hold
    the watermark all the same; and the good ones still get through."""
    most = 300
    years(scene)
    scene.sql(MORE_FILMS)
    scene.set(max_parked=most, batch_documents=100)
    daemon = scene.serve()
    mark = daemon.mark()
    with Writers(scene) as writers:
        writers.wait()
        for number in range(0, BACKLOG, 50):
            scene.sql(
                "UPDATE content.film_work SET description = 'no year' WHERE id IN (SELECT "
                f"md5('more ' || n)::uuid FROM generate_series({number + 1}, {number + 50}) AS n)"
            )
        [(stamp,)] = scene.sql(
            f"SELECT updated_at FROM content.film_work WHERE id = md5('more {BACKLOG}')::uuid"
        )
        held = daemon.wait_for("held", after=mark)
        scene.sql(GOOD)
        wait_until(lambda: good(scene), seconds=30, what="a good document in the index")
        daemon.wait_for("held", after=held)
        assert 0 < parked(scene) <= most
        assert not daemon.found("watermark_moved", last_processed=not_before(stamp))
        scene.sql(f"UPDATE content.film_work SET description = '2001' WHERE {MORE}")
        Back(scene).converged(daemon, f"{BACKLOG} refused changes beside good ones, mended")
        writers.wait()
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()
    assert parked(scene) == 0


GOOD = """
    INSERT INTO content.film_work (id, title, description, type)
    VALUES (md5('good')::uuid, 'Good', '1984', 'movie')"""


def good(scene: Scene) -> bool:
    """Whether the good document is there."""
    [(key,)] = scene.sql("SELECT md5('good')::uuid::text")
    status, _ = scene.search.request("GET", f"/{scene.index}/_doc/{key}")
    return status == 200


def parked(scene: Scene) -> int:
    """How many documents are put aside."""
    [(count,)] = scene.admin("SELECT count(*) FROM listener.parked")
    return int(count)
