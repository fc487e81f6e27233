"""Comparisons that are asked for while one is under way: one after another, never one instead."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from playground.proxy import TcpProxy
from tests.kit.scene import Scene
from tests.kit.wrong_index import lie

FILMS = 5000
WATCH = "content.person_film_work(film_work_id)"
LOST = (
    "INSERT INTO listener.journal (updated_at, watch, kind, reason) VALUES (clock_timestamp(), "
    f"'{WATCH}', 'reconcile', '42703 as a lost column leaves it'); "
    f"""SELECT pg_notify('listener', '{{"v":1,"w":"{WATCH}","reconcile":true}}')"""
)


@pytest.fixture
def slow(scene: Scene) -> Iterator[Scene]:
    """Some thousand films, and an Elasticsearch far away: a comparison of some seconds."""
    scene.sql(
        "INSERT INTO content.film_work (id, title, type) "
        f"SELECT md5('film ' || n)::uuid, 'Film ' || n, 'movie' FROM generate_series(301, {FILMS})"
        " AS n"
    )
    with TcpProxy("127.0.0.1", scene.search.port) as proxy:
        scene.set(elasticsearch={"urls": [f"http://127.0.0.1:{proxy.port}"]})
        scene.proxy = proxy
        yield scene


def test_one_row_after_another(slow: Scene) -> None:
    """Each row asks for a comparison that began after it. One for each would never end: those that
    come while one is under way are answered by one more."""
    daemon = slow.serve()
    slow.proxy.delay = 0.2
    mark = daemon.mark()
    rows = 0
    first = None
    while first is None:
        slow.admin(LOST)
        rows += 1
        swept = daemon.wait_for("swept", after=mark, table="journal")
        mark = swept.number + 1
        first = next(iter(daemon.found("reconciled")), None)
        assert rows < 40, f"no comparison came to an end:\n{daemon.log}"
    assert rows > 3, "too fast for this test"
    begun = daemon.found("reconcile_started")
    slow.proxy.delay = 0
    daemon.wait_for("reconciled", after=first)
    slow.wait_converged()
    moved = daemon.wait_for("watermark_moved", after=daemon.mark())
    assert len(daemon.found("reconcile_started")) <= len(begun) + 2 <= 4
    daemon.wait_for("watermark_moved", after=moved)
    daemon.stop()
    slow.assert_converged()


def test_repair_twice_at_once(slow: Scene) -> None:
    """Two people ask for it at the same time, beside a daemon: both see it done."""
    daemon = slow.serve()
    lie(slow)
    slow.proxy.delay = 0.02
    first = slow.start("verify", "--repair", folder="second")
    second = slow.start("verify", "--repair", folder="third")
    first.expect_exit(0, 90)
    second.expect_exit(0, 90)
    slow.proxy.delay = 0
    slow.wait_converged()
    assert len(daemon.found("reconciled")) <= 2, daemon.log
    daemon.stop()
    slow.assert_converged()


def test_killed_in_the_middle(slow: Scene) -> None:
    """The next start begins it anew: the watermark has not passed what asked for it."""
    daemon = slow.serve()
    before = slow.state["last_processed"]
    lie(slow)
    slow.proxy.delay = 0.2
    slow.admin(LOST)
    daemon.wait_for("reconcile_started")
    daemon.kill()
    slow.proxy.delay = 0
    daemon = slow.start()
    daemon.wait_for("reconciled")
    slow.wait_converged()
    daemon.wait_for("watermark_moved")
    daemon.stop()
    assert slow.state["last_processed"] > before
    slow.assert_converged()
