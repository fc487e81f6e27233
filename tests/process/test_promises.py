"""What docs/outages.md says and no other test shows."""

from __future__ import annotations

import re

import pytest

from tests.kit.lengths import one_short
from tests.kit.scene import Scene

MANY = (
    "INSERT INTO content.film_work (id, title, type) SELECT gen_random_uuid(), 'many', 'movie' "
    "FROM generate_series(1, 1200)"
)
"""More than a comparison may delete by itself."""


def test_a_truncate_may_empty_the_index(scene: Scene) -> None:
    """It is as plain a word as a DELETE: nobody is asked, however many documents go."""
    scene.admin(MANY)
    daemon = scene.serve()
    mark = daemon.mark()
    scene.sql("TRUNCATE content.film_work CASCADE")
    daemon.wait_for("reconciled", after=mark, orphaned=1500)
    scene.wait_converged()
    daemon.wait_for("watermark_moved", after=daemon.mark())
    assert not daemon.found("deletes_guarded"), daemon.log
    assert scene.request("GET", f"/{scene.index}/_count")["count"] == 0
    daemon.stop()
    scene.assert_converged()


@pytest.mark.parametrize(
    "statement",
    one_short(
        ("ADD COLUMN more text DEFAULT 'x'", "ADD COLUMN more int", "DROP COLUMN created_at"),
        "DROP COLUMN created_at",
    ),
)
def test_columns_come_and_go(scene: Scene, statement: str) -> None:
    """The audit sees it, and both sides are compared, whatever the documents show."""
    scene.set(audit_every=0.3)
    daemon = scene.serve()
    mark = daemon.mark()
    scene.admin(f"ALTER TABLE content.film_work {statement}")
    daemon.wait_for("reconciled", after=mark)
    scene.sql("UPDATE content.film_work SET title = 'After' WHERE id = md5('film 1')::uuid")
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()


def test_the_request_that_deletes_a_version_of_somebody_else(scene: Scene) -> None:
    """The reason holds it; sent, and repaired a minute later, the document is ours again."""
    daemon = scene.serve()
    [(film,)] = scene.sql("SELECT md5('film 1')::uuid::text")
    scene.request(
        "PUT",
        f"/{scene.index}/_doc/{film}?version={9 * 10**18}&version_type=external_gte",
        {"id": film, "title": "By hand"},
    )
    mark = daemon.mark()
    scene.sql("UPDATE content.film_work SET title = 'Ours' WHERE id = md5('film 1')::uuid")
    parked = daemon.wait_for("parked", after=mark)
    request = re.search(r"DELETE (/\S+/_doc/ID)", parked["reason"])
    assert request, parked["reason"]
    path = request[1].removesuffix("ID") + film
    scene.request("DELETE", path)
    scene.request("POST", f"/{scene.index}/_close")  # "a minute later": the tombstone is forgotten
    scene.request("POST", f"/{scene.index}/_open")
    scene.start("verify", "--repair", folder="second").expect_exit(0)
    scene.wait_converged()
    assert scene.admin("SELECT count(*) FROM listener.parked") == [(0,)]
    daemon.stop()
    scene.assert_converged()


def test_a_static_table_s_rows_change(scene: Scene) -> None:
    """Nothing tells of it, so the daemon goes on with what it has; `verify --repair` mends it."""
    scene.admin(
        "CREATE TABLE content.suffix (text text); INSERT INTO content.suffix VALUES ('!');"
        "GRANT SELECT ON content.suffix TO PUBLIC"
    )
    [document] = scene.options["documents"]
    (scene.folder / "suffixed.sql").write_text(
        "SELECT f.id, json_build_object('title', f.title || s.text, 'type', f.type) AS document "
        "FROM content.film_work AS f CROSS JOIN content.suffix AS s WHERE f.id = ANY(%(ids)s)"
    )
    document["query_file"] = str(scene.folder / "suffixed.sql")
    document["static"] = ["content.suffix"]
    scene.set(audit_every=0.3)
    daemon = scene.serve(converge=False)
    daemon.wait_for("loaded")
    scene.admin("UPDATE content.suffix SET text = '?'")
    scene.start("verify").expect_exit(1)
    repair = scene.start("verify", "--repair")
    repair.expect_exit(0)
    scene.start("verify").expect_exit(0)
    daemon.stop()
