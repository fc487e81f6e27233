"""PostgreSQL goes away: restarted, killed, its LISTEN session ended, its network silent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from playground.proxy import TcpProxy
from tests.kit.lengths import one_short
from tests.kit.scene import Scene
from tests.kit.statements import WITHOUT_NOTIFY
from tests.kit.writer import Writer

LISTEN_SESSIONS = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'listener: notifications'"""


@pytest.fixture
def proxy(scene: Scene) -> Iterator[TcpProxy]:
    """What the daemon reaches PostgreSQL through; the tests' own edits go directly."""
    with TcpProxy("127.0.0.1", scene.postgres.port) as proxy:
        scene.set(postgres={"port": proxy.port})
        yield proxy


@pytest.mark.parametrize("way", one_short(("restarted", "killed"), "killed"))
def test_server_goes_away_under_writes(scene: Scene, way: str) -> None:
    """The daemon comes back by itself, with the same history, and nothing is lost."""
    daemon = scene.serve()
    with Writer(scene) as writer:
        for session in (2, 3):
            writer.wait()
            mark = daemon.mark()
            if way == "restarted":
                scene.postgres.stop("fast")
            else:
                scene.postgres.kill()
            daemon.wait_for("connection_lost", after=mark, role="listening")
            scene.postgres.start()
            listening = daemon.wait_for("listening", session=session)
            daemon.wait_for("caught_up", after=listening)
        writer.wait()
    scene.wait_converged()
    assert not daemon.found("history_changed"), daemon.log
    daemon.stop()
    scene.assert_converged()


def test_no_notify_reaches_the_daemon(scene: Scene, proxy: TcpProxy) -> None:
    """The LISTEN session is ended, and what is written before the next one is found by polling.

    While the proxy holds all bytes back, no session of the daemon can be made, so no NOTIFY has
    anybody to go to: what arrives came by sweeps.
    """
    daemon = scene.serve()
    mark = daemon.mark()
    proxy.stall()
    ended = scene.admin(f"SELECT pg_terminate_backend(pid) FROM ({LISTEN_SESSIONS}) AS s")
    assert ended == [(True,)]
    scene.admin(WITHOUT_NOTIFY)
    assert scene.admin(LISTEN_SESSIONS) == []
    assert not daemon.found("indexed", after=mark)
    proxy.unstall()
    daemon.wait_for("connection_lost", after=mark, role="listening")
    daemon.wait_for("caught_up", after=mark)
    scene.wait_converged()
    for table, least in (
        ("content.film_work(id)", 100),
        ("content.genre(id)", 100),
        ("content.person(id)", 100),
        ("journal", 250),
    ):
        assert daemon.found(
            "swept", after=mark, table=table, rows=lambda rows, least=least: rows >= least
        ), f"{table}\n{daemon.log}"
    mark = daemon.mark()
    scene.sql("UPDATE content.film_work SET title = 'Heard' WHERE id = md5('film 1')::uuid")
    scene.wait_converged()
    assert not daemon.found("swept", after=mark)
    daemon.stop()
    scene.assert_converged()


def test_connections_cut_under_writes(scene: Scene, proxy: TcpProxy) -> None:
    """The network resets all connections, again and again."""
    daemon = scene.serve()
    with Writer(scene) as writer:
        for session in (2, 3, 4):
            writer.wait()
            proxy.cut()
            daemon.wait_for("listening", session=session)
            writer.wait(5)
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()


@pytest.mark.long
def test_silent_connections_are_given_up(scene: Scene, proxy: TcpProxy) -> None:
    """Connections that stay open and say nothing: the barrier's deadline finds it out.

    New connections go another way (a second port), as after a fail-over of the network.
    """
    with TcpProxy("127.0.0.1", scene.postgres.port) as other:
        scene.set(postgres={"host": ["127.0.0.1"] * 2, "port": [proxy.port, other.port]})
        daemon = scene.serve()
        mark = daemon.mark()
        proxy.stall()
        scene.admin(WITHOUT_NOTIFY)
        listening = daemon.wait_for("listening", after=mark, deadline=60)
        daemon.wait_for("caught_up", after=listening, deadline=60)
        scene.wait_converged()
        daemon.stop()
    scene.assert_converged()


def test_starts_before_the_server(scene: Scene) -> None:
    """The daemon waits for a PostgreSQL that is not up yet, and says so at each try."""
    scene.postgres.stop()
    daemon = scene.start()
    first = daemon.wait_for("waiting", server="PostgreSQL")
    daemon.wait_for("waiting", server="PostgreSQL", after=first)
    scene.postgres.start()
    daemon.wait_for("loaded")
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()
