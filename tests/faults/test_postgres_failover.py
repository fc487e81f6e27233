"""PostgreSQL fails over to a standby that lags: what only the old primary had must go."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from playground.daemon import ListenerProcess
from playground.proxy import TcpProxy
from playground.search import SearchServer
from playground.standby import StandbyServer
from playground.system import wait_until
from tests.kit.databases import own_scene, parked, sessions, wait_indexed
from tests.kit.recovery import Recovery
from tests.kit.scene import Scene
from tests.kit.writers import Writers

ONLY_THERE = """
    INSERT INTO content.film_work (id, title, type)
    SELECT md5('lost ' || n)::uuid, 'Lost ' || n, 'movie' FROM generate_series(1, {count}) AS n;
    UPDATE content.film_work SET title = 'Lost' WHERE id = md5('film 291')::uuid;
    DELETE FROM content.film_work WHERE id = md5('film 292')::uuid"""
"""Committed on the old primary, indexed, and never replicated."""
LOST = "lost 1"
READ_ONLY = re.compile("read-only")
TIMELINE = re.compile("timeline 2 instead of 1")


@dataclass
class Pair:
    """A primary in `scene.postgres`, its standby, and the line between them."""

    scene: Scene
    standby: StandbyServer
    replication: TcpProxy

    def fall_behind(self, count: int) -> None:
        """Rows that only the primary has, in the index."""
        self.standby.wait_caught_up()
        self.replication.stall()
        self.scene.sql(ONLY_THERE.format(count=count))

    def point_daemon(self) -> None:
        """From now on the daemon's way leads to the standby."""
        self.scene.proxy.target = ("127.0.0.1", self.standby.port)

    def promote(self) -> None:
        """The standby takes writes, and the application goes there."""
        self.standby.promote()
        self.scene.postgres = self.standby


@pytest.fixture
def pair(search_server: SearchServer, tmp_path: Path) -> Iterator[Pair]:
    """Two servers, and a daemon's way through a proxy whose target can be switched."""
    with ExitStack() as stack:
        scene = stack.enter_context(own_scene(search_server, tmp_path))
        replication = stack.enter_context(TcpProxy("127.0.0.1", scene.postgres.port))
        standby = stack.enter_context(StandbyServer(scene.postgres, port=replication.port))
        yield Pair(scene, standby, replication)


@pytest.mark.parametrize("way", ["one address", "two hosts"])
def test_found_while_it_runs(pair: Pair, way: str) -> None:
    """The daemon loses the primary, meets the standby before its promotion, and waits for it.

    It is led there by an address that moves, or by a list of both servers.
    """
    scene = pair.scene
    if way == "two hosts":
        ports = [scene.postgres.port, pair.standby.port]
        scene.set(postgres={"host": ["127.0.0.1"] * 2, "port": ports})
    daemon = scene.serve()
    with Writers(scene) as writers:
        writers.wait()
        pair.fall_behind(40)
        writers.wait()
        wait_indexed(scene, LOST)
        with writers.outage():
            mark = daemon.mark()
            scene.postgres.kill()
            daemon.wait_for("connection_lost", after=mark, role="listening")
            pair.point_daemon()
            read_only = daemon.wait_for("waiting", after=mark, reason=READ_ONLY)
            daemon.wait_for("waiting", after=read_only, reason=READ_ONLY)
            assert daemon.running
            pair.promote()
        recovery = Recovery(f"failover, daemon runs, {way}")
        changed = daemon.wait_for("history_changed", after=mark, reason=TIMELINE)
        daemon.wait_for("reconciled", after=changed)
        recovery.works_again()
        writers.wait()
    recovery.converged(scene)
    check(scene, daemon)


def test_found_at_the_start(pair: Pair) -> None:
    """The daemon is down during the failover, and starts while the standby takes no writes."""
    scene = pair.scene
    daemon = scene.serve()
    with Writers(scene) as writers:
        writers.wait()
        pair.fall_behind(40)
        wait_indexed(scene, LOST)
        daemon.kill()
        writers.wait()
        with writers.outage():
            scene.postgres.kill()
            pair.point_daemon()
            daemon = scene.start()
            daemon.wait_for("waiting", reason=READ_ONLY)
            pair.promote()
        recovery = Recovery("failover, daemon starts")
        changed = daemon.wait_for("history_changed", reason=TIMELINE)
        daemon.wait_for("reconciled", after=changed)
        recovery.works_again()
        writers.wait()
    recovery.converged(scene)
    check(scene, daemon)


def test_more_is_lost_than_may_be_deleted(pair: Pair) -> None:
    """The guard: everything else goes on, and the message names the command that ends it."""
    scene = pair.scene
    daemon = scene.serve()
    pair.fall_behind(1200)
    wait_indexed(scene, LOST)
    scene.postgres.kill()
    pair.point_daemon()
    pair.promote()
    guarded = daemon.wait_for("deletes_guarded")
    assert guarded["orphaned"] == 1200
    assert "listener verify --repair --allow-deletes" in guarded.message
    scene.sql("UPDATE content.film_work SET title = 'Fresh' WHERE id = md5('film 7')::uuid")
    wait_until(
        lambda: len(scene.search_for("Fresh")) == 1, seconds=20, what="the edit is in the index"
    )
    found = scene.differences()
    assert (len(found.orphaned), len(found.missing), len(found.stale)) == (1200, 0, 0)
    scene.start("verify", "--repair", "--allow-deletes").expect_exit(0, 60)
    scene.wait_converged()
    check(scene, daemon)


def check(scene: Scene, daemon: ListenerProcess) -> None:
    """Nothing is left of the old primary; nothing was put aside; it goes on."""
    assert scene.search_for("Lost") == []
    assert parked(scene) == 0
    assert len(scene.physical()) == 1  # no load was needed
    daemon.stop()
    scene.assert_converged()


def test_the_old_primary_lives_on(pair: Pair) -> None:
    """Two primaries for a while: of the daemon's connections only the LISTEN session is ended.

    Those that stay open lead to the old primary, which still answers. What is indexed from now on
    must come from the new one.
    """
    scene = pair.scene
    old = scene.postgres
    daemon = scene.serve()
    pair.fall_behind(40)
    wait_indexed(scene, LOST)
    mark = daemon.mark()
    pair.point_daemon()
    pair.promote()
    old.execute(
        f"SELECT pg_terminate_backend(pid) FROM ({sessions()}) AS s "
        "WHERE application_name = 'listener: notifications'",
        scene.database,
    )
    recovery = Recovery("failover, the old primary lives")
    changed = daemon.wait_for("history_changed", after=mark, reason=TIMELINE)
    daemon.wait_for("reconciled", after=changed)
    scene.sql("UPDATE content.film_work SET title = 'New' WHERE id = md5('film 7')::uuid")
    recovery.converged(scene)
    check(scene, daemon)
