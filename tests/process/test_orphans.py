"""Documents that the query does not return though their row is there."""

from __future__ import annotations

from pathlib import Path

from tests.kit.scene import Scene


def test_rows_that_the_query_leaves_out(scene: Scene, tmp_path: Path) -> None:
    """Both sides of a comparison bring such a document; it counts once, so that as many as may be
    deleted are deleted."""
    films = scene.options["documents"][0]
    query = Path(films["query_file"]).read_text("utf-8")
    films["query_file"] = str(tmp_path / "films.sql")
    Path(films["query_file"]).write_text(
        f"SELECT q.id, q.document FROM (\n{query}\n) AS q WHERE q.document->>'title' <> 'hidden'",
        "utf-8",
    )
    scene.admin(
        "INSERT INTO content.film_work (id, title, type) SELECT gen_random_uuid(), 'many', 'movie' "
        "FROM generate_series(1, 700)"
    )
    scene.serve().stop()
    scene.admin(
        "ALTER TABLE content.film_work DISABLE TRIGGER ALL;"
        "UPDATE content.film_work SET title = 'hidden' WHERE title = 'many';"
        "ALTER TABLE content.film_work ENABLE TRIGGER ALL"
    )
    daemon = scene.start()
    reconciled = daemon.wait_for("reconciled")
    assert (reconciled["missing"], reconciled["stale"], reconciled["orphaned"]) == (0, 0, 700)
    assert not daemon.found("deletes_guarded")
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()
