"""A foreign write transaction stays open for minutes beside 200 commits a second: scans do not
repeat themselves. SCAN_MINUTES=10 is the length that was promised; 1 is what fits with the others.
"""

from __future__ import annotations

import os
import time

import pytest

from tests.kit.scene import Scene

MINUTES = float(os.environ.get("SCAN_MINUTES", "1"))
RATE = 200


@pytest.mark.timeout(120 + 90 * MINUTES)
@pytest.mark.parametrize("mode", ["rows", "doorbell", "off"])
def test_minutes_beside_a_foreign_transaction(scene: Scene, mode: str) -> None:
    """At most one and a half documents are sent for each change."""
    for watch in scene.options["documents"][0]["watch"]:
        watch["notify"] = mode
    daemon = scene.serve()
    application = scene.connect()
    commits = int(RATE * 60 * MINUTES)
    with scene.superuser("postgres") as foreign, foreign.transaction():
        foreign.execute("SELECT pg_current_xact_id()")
        held = daemon.wait_for("watermark_held")
        mark = daemon.mark()
        began = time.monotonic()
        for number in range(commits):
            ahead = began + number / RATE - time.monotonic()
            if ahead > 0:  # the pace of an application, not a wait for anything
                time.sleep(ahead)
            application.execute(
                f"UPDATE content.film_work SET rating = {number % 90} "
                f"WHERE id = md5('film {number * 7 % 300 + 1}')::uuid".encode()
            )
        lasted = time.monotonic() - began
        scene.wait_converged()
        assert not daemon.found("watermark_moved", after=held)
    daemon.wait_for("watermark_moved", after=held)
    daemon.wait_for("watermark_moved", after=daemon.mark())
    scene.wait_converged()
    sent = sum(
        one["written"] + one["deleted"] + one["retried"]
        for one in daemon.found("indexed", after=mark)
    )
    print(f"notify {mode}: {commits:,} commits in {lasted:.0f} s, {sent:,} documents sent")
    assert sent <= 1.5 * commits
    daemon.stop()
    scene.assert_converged()
