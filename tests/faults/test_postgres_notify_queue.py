"""The queue of NOTIFY fills up, because a session that LISTENs stays in a transaction.

When it is full, every COMMIT of a transaction that sent a NOTIFY fails.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from playground.search import SearchServer
from playground.system import wait_until
from tests.kit.databases import fresh, own_scene, parked, wait_indexed
from tests.kit.recovery import Recovery
from tests.kit.scene import Scene
from tests.kit.writers import Writers

USAGE = "SELECT pg_notification_queue_usage()"


@pytest.fixture
def small(search_server: SearchServer, tmp_path: Path) -> Iterator[Scene]:
    """A server whose queue has the smallest size that there is: half a megabyte."""
    with own_scene(search_server, tmp_path, {"max_notify_queue_pages": 64}) as scene:
        scene.admin(f"GRANT pg_read_all_stats TO {scene.options['postgres']['user']}")
        yield scene


class Sleeper:
    """A session of another application that LISTENs, and stays in a transaction."""

    def __init__(self, scene: Scene) -> None:
        self.connection = psycopg.connect(
            scene.postgres.dsn("postgres"), application_name="sleeper", autocommit=True
        )
        self.connection.execute("LISTEN elsewhere")
        self.connection.execute("BEGIN")
        self.connection.execute("SELECT 1")

    def wake_up(self) -> None:
        """Read what has come."""
        self.connection.execute("ROLLBACK")

    def __enter__(self) -> Sleeper:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()


def fill(scene: Scene, share: float) -> None:
    """Another database's notifications, until the queue is as full as that."""
    with psycopg.connect(scene.postgres.dsn("postgres"), autocommit=True) as connection:
        while usage(connection) < share:
            connection.execute("SELECT pg_notify('elsewhere', repeat('x', 4000))")


def usage(connection: psycopg.Connection[tuple[object, ...]]) -> float:
    """How full the queue is."""
    row = connection.execute(USAGE).fetchone()
    assert row is not None
    return float(str(row[0]))


def test_a_session_holds_the_queue(small: Scene) -> None:
    """It is told who does, with the command that ends it; no statement of the application fails."""
    scene = small
    daemon = scene.serve()
    with Writers(scene) as writers, Sleeper(scene) as sleeper:
        writers.wait()
        mark = daemon.mark()
        fill(scene, 0.6)
        told = daemon.wait_for("notify_queue_fills", after=mark)
        assert told["percent"] >= 25
        assert "sleeper" in told["holder"]
        assert f"pg_terminate_backend({sleeper.connection.info.backend_pid})" in told.message
        writers.wait(20)  # whoever looked at the queue while it was less full is done
        fill(scene, 0.97)
        writers.wait(1000)  # more than the rest of the queue takes
        scene.sql(
            "INSERT INTO content.film_work (id, title, type) "
            "VALUES (md5('unheard')::uuid, 'Unheard', 'movie'); "
            "TRUNCATE content.genre_film_work"
        )
        wait_indexed(scene, "unheard")
        daemon.wait_for("reconciled", after=told)
        sleeper.wake_up()
        recovery = Recovery("NOTIFY queue full")
        daemon.wait_for("notify_queue_drained", after=told)
        daemon.wait_for("watermark_moved", after=daemon.mark())
        writers.wait()
    recovery.converged(scene)
    wait_until(
        lambda: float(scene.admin(USAGE)[0][0]) == 0, seconds=20, what="the queue is empty again"
    )
    assert parked(scene) == 0
    daemon.stop()
    scene.assert_converged()


def test_the_queue_is_full(small: Scene) -> None:
    """Not even a barrier can be sent. Our triggers send nothing, so the application is not hurt;
    the daemon says what it waits for, polls, and needs nobody's help afterwards.
    """
    scene = small
    daemon = scene.serve()
    with Writers(scene) as writers, Sleeper(scene) as sleeper:
        writers.wait()
        mark = daemon.mark()
        fill(scene, 0.6)
        writers.wait(20)
        with pytest.raises(psycopg.errors.ProgramLimitExceeded):
            fill(scene, 2)
        daemon.wait_for("held", after=mark, reason=re.compile("too many notifications"))
        writers.wait(200)
        fresh(scene, "while the queue is full")
        sleeper.wake_up()
        recovery = Recovery("NOTIFY queue overfull")
        daemon.wait_for("watermark_moved", after=daemon.mark())
        recovery.works_again()
        writers.wait()
    recovery.converged(scene)
    assert parked(scene) == 0
    daemon.stop()
    scene.assert_converged()
