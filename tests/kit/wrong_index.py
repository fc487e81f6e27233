"""An index that is not what the query returns."""

from __future__ import annotations

from tests.kit.scene import Scene


def lie(scene: Scene) -> None:
    """Make the index wrong in all three ways, behind the daemon's back."""
    alias = scene.behind()[0]
    rows = scene.sql("SELECT id::text FROM content.film_work ORDER BY id LIMIT 3")
    ids = [row[0] for row in rows]
    scene.request("DELETE", f"/{alias}/_doc/{ids[0]}")
    scene.request("POST", f"/{alias}/_update/{ids[1]}", {"doc": {"title": "wrong"}})
    scene.request("PUT", f"/{alias}/_doc/00000000-0000-4000-8000-00000000dead", {"title": "gone"})
    scene.request("PUT", f"/{alias}/_doc/no-uuid-at-all", {"title": "odd"})
