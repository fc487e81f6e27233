"""Another table bears a watched one's name for a while, and no audit sees it meanwhile."""

from __future__ import annotations

import contextlib

import pytest

from tests.kit.scene import OWNER, Scene

SWAPS = {
    "table": (
        "ALTER TABLE content.genre RENAME TO kept;"
        "CREATE TABLE content.genre (LIKE content.kept INCLUDING ALL);"
        "INSERT INTO content.genre SELECT * FROM content.kept",
        "UPDATE content.kept SET name = 'Written apart'",
        "DROP TABLE content.genre; ALTER TABLE content.kept RENAME TO genre",
    ),
    "schema": (
        "CREATE SCHEMA apart; ALTER TABLE content.genre SET SCHEMA apart;"
        "CREATE TABLE content.genre (LIKE apart.genre INCLUDING ALL);"
        "INSERT INTO content.genre SELECT * FROM apart.genre",
        "UPDATE apart.genre SET name = 'Written apart'",
        "DROP TABLE content.genre; ALTER TABLE apart.genre SET SCHEMA content",
    ),
}


@pytest.mark.parametrize("kind", SWAPS)
def test_swapped_and_swapped_back(scene: Scene, kind: str) -> None:
    """What was written to the table under its other name is in no document, since the query read
    the other table; the triggers are as they were. The next look sees that it was renamed."""
    scene.set(audit_every=3600)
    daemon = scene.serve()
    away, write, back = SWAPS[kind]
    with contextlib.closing(scene.connect(OWNER)) as owner:
        owner.execute(away.encode())
        mark = daemon.mark()
        owner.execute(write.encode())
        daemon.wait_for("indexed", after=mark)
        moved = daemon.wait_for("watermark_moved", after=daemon.mark())
        daemon.wait_for("watermark_moved", after=moved)
        owner.execute(back.encode())
    daemon.stop()
    assert scene.differences(), "nothing was missed"
    again = scene.start()
    again.wait_for("history_changed", reason=lambda reason: "altered" in reason)
    again.wait_for("reconciled")
    scene.wait_converged()
