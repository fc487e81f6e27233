"""Two daemons of one pipeline: how soon the second one indexes when the first is gone or silent."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator

import pytest

from playground.daemon import ListenerProcess
from playground.proxy import TcpProxy
from tests.kit.recovery import told
from tests.kit.scene import Scene
from tests.kit.writers import Writers

REPEATS = 5


class Pair:
    """An active daemon and one that stands by, each with its own way to PostgreSQL."""

    def __init__(self, scene: Scene, ways: tuple[TcpProxy, TcpProxy]) -> None:
        self._scene = scene
        self._ways = ways
        self._turn = 0
        self._film = 0
        self.to_lock: list[float] = []
        self.to_index: list[float] = []
        self.to_converge: list[float] = []
        self.active = self._start(0)
        self.active.wait_for("caught_up")
        scene.wait_converged()
        self.active.wait_for("watermark_moved")
        self.other = self._start(1)
        self.other.wait_for("standing_by")

    @property
    def way(self) -> TcpProxy:
        """Between the active daemon and PostgreSQL."""
        return self._ways[self._turn]

    def _start(self, number: int) -> ListenerProcess:
        self._scene.set(postgres={"port": self._ways[number].port})
        return self._scene.start(folder=f"machine{number}")

    def time_takeover(self, deadline: float = 30) -> None:
        """The active daemon is gone from now on: the times until the other one has indexed."""
        began = time.monotonic()
        mark = self.other.mark()
        self._film += 2
        self._scene.sql(
            "UPDATE content.film_work SET title = 'Taken over' "
            f"WHERE id = md5('film {self._film}')::uuid; "
            f"DELETE FROM content.film_work WHERE id = md5('film {self._film + 1}')::uuid"
        )
        self.other.wait_for("listening", after=mark, deadline=deadline)
        self.to_lock.append(time.monotonic() - began)
        self.other.wait_for("indexed", after=mark, deadline=deadline)
        self.to_index.append(time.monotonic() - began)
        self._scene.wait_converged()
        self.to_converge.append(time.monotonic() - began)
        self.other.wait_for("caught_up", after=mark)

    def swap(self, *, restart: bool) -> None:
        """The one that took over is the active one; the former stands by from here on."""
        former = self.active
        self.active, self.other = self.other, former
        number, self._turn = self._turn, 1 - self._turn
        if restart:
            self.other = self._start(number)
            self.other.wait_for("standing_by")

    def tell(self, name: str) -> None:
        """Print the times."""
        print(told(f"{name} until the other daemon has the lock", self.to_lock))
        print(told(f"{name} until it has indexed", self.to_index))
        print(told(f"{name} until index = query", self.to_converge))


@pytest.fixture
def pair(scene: Scene) -> Iterator[Pair]:
    """Both daemons, the first of them active."""
    with contextlib.ExitStack() as stack:
        ways = [stack.enter_context(TcpProxy("127.0.0.1", scene.postgres.port)) for _ in range(2)]
        yield Pair(scene, (ways[0], ways[1]))


def test_takeover_after_sigkill(scene: Scene, pair: Pair) -> None:
    """The active daemon is killed, five times."""
    for _ in range(REPEATS):
        pair.active.kill()
        pair.time_takeover()
        pair.swap(restart=True)
    pair.tell("SIGKILL")
    busy = []
    with Writers(scene, pace=0.1) as writers:
        for _ in range(3):
            writers.wait(20)
            mark = pair.other.mark()
            pair.active.kill()
            began = time.monotonic()
            pair.other.wait_for("indexed", after=mark)
            busy.append(time.monotonic() - began)
            pair.other.wait_for("caught_up", after=mark)
            pair.swap(restart=True)
    print(told("SIGKILL under eight writers until the other daemon has indexed", busy))
    scene.wait_converged()


def test_takeover_after_a_lost_connection(scene: Scene, pair: Pair) -> None:
    """The active daemon lives, and loses its way to PostgreSQL; later it stands by."""
    for _ in range(REPEATS):
        mark = pair.active.mark()
        pair.way.stop()
        pair.time_takeover()
        assert pair.active.found("connection_lost", after=mark, role="listening")
        pair.way.start()
        standing = pair.active.wait_for("standing_by", after=mark)
        pair.active.wait_for("fenced", after=standing)
        pair.swap(restart=False)
    pair.tell("connection lost")
    scene.assert_converged()


def test_takeover_from_a_silent_connection(scene: Scene, pair: Pair) -> None:
    """The network between the active daemon and PostgreSQL says nothing any more, to either side.

    The server believes in that session for as long as TCP does, which may be for ever: the one
    that stands by sees that it gives no sign of life, and ends it.
    """
    mark = pair.active.mark()
    pair.way.stall()
    pair.time_takeover(deadline=60)
    pair.way.unstall()
    pair.active.wait_for("standing_by", after=mark, deadline=60)
    pair.tell("silent connection")
    scene.assert_converged()


def test_takeover_from_a_frozen_daemon(scene: Scene, pair: Pair) -> None:
    """SIGSTOP, under writers: it reads nothing, which would fill the server's queue in the end."""
    with Writers(scene, pace=0.1) as writers:
        writers.wait(50)
        mark = pair.active.mark()
        pair.active.signal(signal.SIGSTOP)
        ended = pair.other.wait_for("silent_holder_ended", deadline=60)
        pair.other.wait_for("caught_up", after=ended)
        writers.wait(50)
        pair.active.signal(signal.SIGCONT)
        standing = pair.active.wait_for("standing_by", after=mark)
        pair.active.wait_for("fenced", after=standing)
        writers.wait(50)
        # what it could not send is the other one's matter now
        scene.wait_health(0, folder="machine0")
    scene.wait_converged()
    pair.active.stop()
    scene.sql("DELETE FROM content.film_work WHERE id = md5('film 9')::uuid")
    scene.wait_converged()
