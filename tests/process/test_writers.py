"""The eight writers of the outage tests notice what they are there to notice."""

from __future__ import annotations

import psycopg
import pytest

from tests.kit.scene import OWNER, Scene
from tests.kit.writers import Writers

WRITER = "SELECT pid FROM pg_stat_activity WHERE application_name = 'writer 3'"


def test_writers_do_not_disturb_each_other(scene: Scene) -> None:
    """All kinds of edits from all writers, and none fails."""
    with Writers(scene, pace=0.005) as writers:
        writers.wait(500)
    assert writers.longest > 0


def test_a_lost_connection_is_a_failure(scene: Scene) -> None:
    """Nobody said that the server would go away."""
    with pytest.raises(pytest.fail.Exception, match="1 failed"):
        _lose_one(scene)


def test_the_outage_of_the_server_is_none(scene: Scene) -> None:
    """A restart that was said before excuses connections, and nothing else."""
    with Writers(scene) as writers:
        writers.wait()
        with writers.outage():
            scene.postgres.restart()
        writers.wait()


def test_waiting_for_the_daemon_is_seen(scene: Scene) -> None:
    """A lock that is held by a session with the daemon's name, as long as somebody waits."""
    with pytest.raises(pytest.fail.Exception, match="waits for listener: test"):
        _block_some(scene)


def _lose_one(scene: Scene) -> None:
    with Writers(scene) as writers:
        writers.wait()
        assert scene.admin(f"SELECT pg_terminate_backend(pid) FROM ({WRITER}) AS s") == [(True,)]
        with pytest.raises(pytest.fail.Exception, match="writer 3"):
            writers.wait()


def _block_some(scene: Scene) -> None:
    dsn = scene.postgres.dsn(scene.database)
    with Writers(scene) as writers:
        writers.wait()
        with psycopg.connect(dsn, application_name="listener: test") as holder:
            holder.execute(f"SET ROLE {OWNER}".encode())
            holder.execute("LOCK TABLE content.film_work IN SHARE MODE")
            while not writers.blocked:
                assert scene.admin("SELECT pg_sleep(0.05)")
        writers.wait()
