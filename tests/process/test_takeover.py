"""Two processes of one pipeline, and rows that a crash takes back: never backwards."""

from __future__ import annotations

import signal

import pytest

from playground.proxy import TcpProxy
from playground.system import wait_until
from tests.kit.scene import Scene
from tests.kit.writer import Writer
from tests.kit.writers import Writers

OUR_SESSIONS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'listener:%'"""


def test_standby_takes_over_at_once(scene: Scene) -> None:
    """It says that it stands by, sends nothing meanwhile, and goes on when the other is killed."""
    active = scene.serve()
    with Writers(scene) as writers:
        standby = scene.start(folder="standby")
        standing = standby.wait_for("standing_by")
        [(database,)] = scene.admin(
            f"SELECT datname FROM pg_stat_activity WHERE pid = {standing['pid']}"
        )
        assert database == scene.database
        writers.wait()
        assert not standby.found("indexed")
        assert not standby.found("generation_raised")
        active.kill()
        standby.wait_for("caught_up")
        writers.wait()
    scene.wait_converged()
    assert not standby.found("load_started"), standby.log
    standby.stop()
    scene.assert_converged()


@pytest.mark.long
def test_process_that_slept_through_a_takeover(scene: Scene) -> None:
    """A daemon is frozen, loses its sessions and is replaced; awake again, it overwrites nothing.

    Frozen while it is busy, it holds documents that it has read and not sent yet.
    """
    sleeper = scene.serve()
    with Writer(scene) as writer:
        for _ in range(2):
            writer.wait()
            sleeper.signal(signal.SIGSTOP)
            scene.admin(OUR_SESSIONS)
            follower = scene.start(folder="follower")
            follower.wait_for("caught_up")
            writer.wait()
            mark = sleeper.mark()
            sleeper.signal(signal.SIGCONT)
            sleeper.wait_for("standing_by", after=mark)
            sleeper.wait_for("fenced", after=mark)
            writer.wait()
            follower.stop()
            sleeper.wait_for("caught_up", after=mark)
    scene.wait_converged()
    sleeper.stop()
    scene.assert_converged()


def test_delayed_request_of_a_dead_generation(scene: Scene) -> None:
    """Bulks that a network held back for the whole takeover arrive in the end: all are refused.

    They hold the old title of a film, and the deletion of one that is there again.
    """
    direct = scene.options["elasticsearch"]["urls"]
    with TcpProxy("127.0.0.1", scene.search.port) as proxy:
        scene.set(elasticsearch={"urls": [f"http://127.0.0.1:{proxy.port}"]})
        sleeper = scene.serve()
        proxy.stall()
        scene.sql("UPDATE content.film_work SET title = 'Old' WHERE id = md5('film 291')::uuid")
        scene.sql("DELETE FROM content.film_work WHERE id = md5('film 292')::uuid")
        wait_until(
            lambda: (
                scene.admin(
                    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() "
                    "AND application_name = 'listener: documents' AND state = 'idle' "
                    "AND query_start > (SELECT max(updated_at) FROM listener.journal)"
                )
                != []
            ),
            seconds=10,
            what="both are read",
        )
        sleeper.signal(signal.SIGSTOP)
        scene.admin(OUR_SESSIONS)
        scene.set(elasticsearch={"urls": direct})
        follower = scene.start(folder="follower")
        follower.wait_for("caught_up")
        scene.sql("UPDATE content.film_work SET title = 'New' WHERE id = md5('film 291')::uuid")
        scene.sql(
            "INSERT INTO content.film_work (id, title, type) "
            "VALUES (md5('film 292')::uuid, 'Again', 'movie')"
        )
        scene.wait_converged()
        mark = sleeper.mark()
        proxy.unstall()
        sleeper.signal(signal.SIGCONT)
        sleeper.wait_for("standing_by", after=mark)
        sleeper.wait_for("indexed", after=mark, retried=lambda count: count > 0)
        scene.assert_converged()
        follower.stop()
        sleeper.wait_for("caught_up", after=mark)
        scene.wait_converged()
        sleeper.stop()
    scene.assert_converged()


def test_commit_that_a_crash_takes_back(scene: Scene) -> None:
    """`synchronous_commit = off`: a visible row may be lost by a crash, but not once it is indexed.

    The WAL writer is kept from flushing by itself, so only the daemon's own flush saves the row.
    """
    scene.admin("ALTER SYSTEM SET wal_writer_delay = '10s'")
    scene.admin("ALTER SYSTEM SET wal_writer_flush_after = '2GB'")
    try:
        scene.postgres.restart()
        daemon = scene.serve()
        application = scene.connect()
        application.execute("SET synchronous_commit = off")
        for number in range(1, 4):
            mark = daemon.mark()
            application.execute(
                "UPDATE content.film_work SET title = 'Fleeting' "
                f"WHERE id = md5('film {number}')::uuid".encode()
            )
            daemon.wait_for("indexed", after=mark, written=1)
            scene.postgres.kill()
            scene.postgres.start()
            daemon.wait_for("caught_up", after=mark)
            scene.wait_converged()
            assert not daemon.found("history_changed"), daemon.log
            application = scene.connect()
            application.execute("SET synchronous_commit = off")
        rows = scene.sql("SELECT count(*) FROM content.film_work WHERE title = 'Fleeting'")
        assert rows == [(3,)]
        daemon.stop()
        scene.assert_converged()
    finally:
        if not scene.postgres.running:
            scene.postgres.start()
        scene.admin("ALTER SYSTEM RESET ALL")
        scene.postgres.restart()
