"""PostgreSQL goes away and comes back under eight writers, and its sessions of the daemon end.

The plain cases, with one writer, are in tests/process/test_outages_postgres.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from playground.daemon import ListenerProcess
from tests.kit.databases import parked, sessions, through_proxy
from tests.kit.recovery import Recovery
from tests.kit.scene import Scene
from tests.kit.writers import Writers


@pytest.fixture
def behind(scene: Scene) -> Iterator[Scene]:
    """A scene whose daemon reaches PostgreSQL through a proxy, the application directly."""
    with through_proxy(scene):
        yield scene


def restart(scene: Scene) -> None:
    """In good order: every session is told."""
    scene.postgres.stop("fast")


def crash(scene: Scene) -> None:
    """SIGKILL for all of its processes."""
    scene.postgres.kill()


@pytest.mark.parametrize("way", [restart, crash])
def test_server_away(scene: Scene, way: Callable[[Scene], None]) -> None:
    """Twice: the daemon waits, and goes on from its watermark."""
    daemon = scene.serve()
    with Writers(scene) as writers:
        for _ in range(2):
            writers.wait()
            mark = daemon.mark()
            with writers.outage():
                way(scene)
                daemon.wait_for("connection_lost", after=mark, role="listening")
                daemon.wait_for("waiting", after=mark, server="PostgreSQL")
                scene.postgres.start()
            recovery = Recovery(f"PostgreSQL: {way.__name__}")
            daemon.wait_for("caught_up", after=mark)
            recovery.works_again()
            writers.wait()
    recovery.converged(scene)
    finish(scene, daemon)


def terminate(scene: Scene) -> None:
    """An administrator ends every session of the daemon."""
    scene.admin(f"SELECT pg_terminate_backend(pid) FROM ({sessions()}) AS s")


def cut(scene: Scene) -> None:
    """The network resets every connection of the daemon."""
    scene.proxy.cut()


@pytest.mark.parametrize("way", [terminate, cut])
def test_sessions_end(behind: Scene, way: Callable[[Scene], None]) -> None:
    """Three times, under writes, each as soon as the last one is got over."""
    scene = behind
    daemon = scene.serve()
    with Writers(scene) as writers:
        for session in range(2, 5):
            writers.wait(20)
            mark = daemon.mark()
            recovery = Recovery(f"sessions: {way.__name__}")
            way(scene)
            daemon.wait_for("listening", session=session)
            daemon.wait_for("caught_up", after=mark)
            recovery.works_again()
    recovery.converged(scene)
    finish(scene, daemon)


def test_network_silent(behind: Scene) -> None:
    """Connections stay open and say nothing: found dead, new ones waited for; nobody else waits."""
    scene = behind
    daemon = scene.serve()
    with Writers(scene) as writers:
        writers.wait()
        mark = daemon.mark()
        scene.proxy.stall()
        lost = daemon.wait_for("connection_lost", after=mark, role="listening", deadline=60)
        daemon.wait_for("waiting", after=lost, server="PostgreSQL")
        assert daemon.found("connection_dead", after=mark), daemon.log
        writers.wait()
        scene.proxy.unstall()
        recovery = Recovery("PostgreSQL: network silent")
        daemon.wait_for("caught_up", after=lost)
        recovery.works_again()
        writers.wait()
    recovery.converged(scene)
    finish(scene, daemon)


def finish(scene: Scene, daemon: ListenerProcess) -> None:
    """The history is the same, nothing was put aside, and it ends in order."""
    assert not daemon.found("history_changed")
    assert parked(scene) == 0
    daemon.stop()
    scene.assert_converged()
