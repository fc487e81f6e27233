"""A mapping file that fails on one key: no document is known that could be parked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.kit.scene import OWNER, Scene

GENRE = "md5('genre 3')::uuid"


@pytest.fixture
def fragile(scene: Scene) -> Scene:
    """The movies, with a mapping that divides by zero for one genre."""
    scene.admin(
        "CREATE FUNCTION content.weight(genre uuid) RETURNS integer IMMUTABLE LANGUAGE sql AS "
        f"$$ SELECT 1 / (CASE WHEN genre = {GENRE} THEN 0 ELSE 1 END) $$; "
        f"ALTER FUNCTION content.weight(uuid) OWNER TO {OWNER}"
    )
    document = scene.options["documents"][0]
    [watch] = [
        one
        for one in document["watch"]
        if one["table"] == "content.genre" and "mapping_file" in one
    ]
    text = Path(watch["mapping_file"]).read_text("utf-8").strip().removesuffix(";")
    path = scene.folder / "genre_films.sql"
    path.write_text(f"{text} AND content.weight(genre_id) = 1", "utf-8")
    watch["mapping_file"] = str(path)
    return scene


def test_a_forged_key_costs_a_sweep(fragile: Scene) -> None:
    """Anybody may send it: others go on, the watermark too, and nothing is compared."""
    daemon = fragile.serve()
    mark = daemon.mark()
    [(genre,)] = fragile.sql(f"SELECT ({GENRE})::text")
    payload = json.dumps({"v": 1, "w": "content.genre(id)", "k": [genre]})
    fragile.sql(f"SELECT pg_notify('listener', '{payload}')")
    fragile.sql("UPDATE content.film_work SET title = title || '!'")
    fragile.wait_converged()
    moved = daemon.wait_for("watermark_moved", after=daemon.mark())
    daemon.wait_for("watermark_moved", after=moved)
    for event in ("held", "reconcile_started", "mapping_failed"):
        assert not daemon.found(event, after=mark)
    daemon.stop()
    fragile.assert_converged()


@pytest.mark.parametrize("notify", ["rows", "off"])
def test_a_row_leads_to_a_comparison(fragile: Scene, notify: str) -> None:
    """Its films are found by comparing; other genres of the same statement as ever."""
    for watch in fragile.options["documents"][0]["watch"]:
        watch["notify"] = notify
    daemon = fragile.serve()
    mark = daemon.mark()
    fragile.sql("UPDATE content.genre SET name = name || ' anew'")
    failed = daemon.wait_for("mapping_failed", after=mark)
    assert "division by zero" in failed["reason"]
    daemon.wait_for("reconciled", after=mark)
    fragile.wait_converged()
    daemon.wait_for("watermark_moved", after=daemon.mark())
    assert not daemon.found("held", after=mark)
    assert fragile.state["reconcile"] == {}
    daemon.stop()
    fragile.assert_converged()


@pytest.mark.long
def test_killed_before_the_comparison(fragile: Scene) -> None:
    """What was left out is known to the next one; --once too."""
    daemon = fragile.serve()
    mark = daemon.mark()
    fragile.sql("UPDATE content.genre SET name = name || ' anew'")
    daemon.wait_for("mapping_failed", after=mark)
    daemon.kill()
    fragile.once()
    fragile.assert_converged()
    fragile.sql("UPDATE content.genre SET name = name || ' once more'")
    fragile.once()
    fragile.assert_converged()
