"""An older state of the database comes back: a dump, a copy of the database, a volume."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from playground.account import run_as, service_account
from playground.daemon import ListenerProcess
from playground.postgres import PostgresServer
from playground.search import SearchServer
from playground.system import children_of, send, wait_until
from tests.kit.databases import own_server, parked, through_proxy, wait_indexed
from tests.kit.recovery import Recovery
from tests.kit.scene import OWNER, Scene, Template, open_scene
from tests.kit.writers import Writers

LATER = """
    INSERT INTO content.film_work (id, title, type)
    SELECT md5('later ' || n)::uuid, 'Later ' || n, 'movie' FROM generate_series(1, 40) AS n;
    DELETE FROM content.film_work WHERE id = md5('film 295')::uuid;
    UPDATE content.genre SET name = 'Later' WHERE id = md5('genre 5')::uuid;
    UPDATE content.film_work SET title = 'Later' WHERE id = md5('film 296')::uuid"""
"""Done after the copy was taken, and indexed: undone by it, and no stamp tells so."""


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[PostgresServer, Template]]:
    """A server whose data may be replaced."""
    with own_server() as found:
        yield found


@pytest.fixture
def restorable(
    server: tuple[PostgresServer, Template], search_server: SearchServer, tmp_path: Path
) -> Iterator[Scene]:
    """A scene on that server, behind a proxy."""
    with open_scene(server[0], search_server, server[1], tmp_path) as scene, through_proxy(scene):
        yield scene


def dump(scene: Scene, folder: Path) -> str:
    """Dump the database, and restore it under another name: that name."""
    dsn, file, name = scene.postgres.dsn(scene.database), folder / "dump", f"{scene.database}_r"
    pg_dump, pg_restore = scene.postgres.binary("pg_dump"), scene.postgres.binary("pg_restore")
    subprocess.run([pg_dump, "--format=custom", f"--file={file}", dsn], check=True)
    scene.postgres.create_database(name)
    target = f"--dbname={scene.postgres.dsn(name)}"
    subprocess.run([pg_restore, target, "--exit-on-error", str(file)], check=True)
    scene.admin(f"ALTER DATABASE {name} OWNER TO {OWNER}")
    return name


def copy(scene: Scene, folder: Path) -> str:
    """A copy on the file level: tables, triggers and their oids are the same. Its name."""
    name = f"{scene.database}_c"
    statement = f"CREATE DATABASE {name} TEMPLATE {scene.database} OWNER {OWNER}"
    close(scene)
    scene.postgres.execute(statement)
    scene.postgres.execute(f"ALTER DATABASE {scene.database} ALLOW_CONNECTIONS true")
    return name


def close(scene: Scene) -> None:
    """Nobody may connect to the database, and nobody is connected."""
    scene.postgres.execute(f"ALTER DATABASE {scene.database} ALLOW_CONNECTIONS false")
    there = f"FROM pg_stat_activity WHERE datname = '{scene.database}'"
    wait_until(
        lambda: scene.postgres.execute(f"SELECT pg_terminate_backend(pid) {there}") == [],
        seconds=20,
        what="nobody is connected",
    )


def put_in_place(scene: Scene, name: str) -> None:
    """The database gets this content: what stands under `name` takes its name."""
    close(scene)
    scene.postgres.execute(f"ALTER DATABASE {scene.database} RENAME TO {name}_gone")
    scene.postgres.execute(f"ALTER DATABASE {name} RENAME TO {scene.database}")
    scene.postgres.drop_database(f"{name}_gone")


WAYS = pytest.mark.parametrize("take", [dump, copy], ids=["dump", "copy"])


@WAYS
def test_restored_while_it_runs(
    restorable: Scene, take: Callable[[Scene, Path], str], tmp_path: Path
) -> None:
    """Another database under the same name, with the same nonce: compared, both ways."""
    scene = restorable
    daemon = scene.serve()
    with Writers(scene) as writers:
        writers.wait()
        with writers.outage():
            name = take(scene, tmp_path)
        writers.wait()
        scene.sql(LATER)
        wait_indexed(scene, "later 1")
        mark = daemon.mark()
        with writers.outage():
            put_in_place(scene, name)
        recovery = Recovery(f"{take.__name__} restored, daemon runs")
        changed = daemon.wait_for("history_changed", after=mark)
        daemon.wait_for("reconciled", after=changed)
        recovery.works_again()
        writers.wait()
    recovery.converged(scene)
    check(scene, daemon)


@WAYS
def test_restored_while_it_is_down(
    restorable: Scene, take: Callable[[Scene, Path], str], tmp_path: Path
) -> None:
    """A saved state of another database: 2, and a person says that it is the right one."""
    scene = restorable
    daemon = scene.serve()
    name = take(scene, tmp_path)
    scene.sql(LATER)
    wait_indexed(scene, "later 1")
    daemon.kill()
    put_in_place(scene, name)
    daemon = scene.start()
    daemon.expect_exit(2)
    reason = daemon.wait_for("ended")["reason"]
    assert "another database of this cluster" in reason
    assert "listener load" in reason
    scene.start("load").expect_exit(0)
    scene.assert_converged()
    daemon = scene.serve()
    scene.sql("DELETE FROM content.film_work WHERE id = md5('film 9')::uuid")
    scene.wait_converged()
    check(scene, daemon)


@pytest.mark.parametrize("daemon_is", ["running", "cut off", "down"])
def test_volume_put_back(restorable: Scene, daemon_is: str) -> None:
    """The same cluster, timeline, database and tables, of an earlier hour.

    `running`: the WAL is behind the place that the daemon has seen. `cut off`, `down`: the daemon
    comes when the WAL has long passed that place; what tells it then is the nonce.
    """
    scene = restorable
    server = scene.postgres
    daemon = scene.serve()
    with Writers(scene) as writers:
        writers.wait()
        with writers.outage():
            mark = daemon.mark()
            server.stop()
            taken = server.directory / "taken"
            run_as(service_account(), ["cp", "-a", f"{server.data_directory}", f"{taken}"])
            server.start()
        daemon.wait_for("caught_up", after=mark)
        scene.sql(LATER)
        wait_indexed(scene, "later 1")
        writers.wait()
        mark = daemon.mark()
        if daemon_is == "down":
            daemon.kill()
        with writers.outage():
            if daemon_is == "cut off":
                scene.proxy.stop()
            seen = server.execute("SELECT pg_current_wal_lsn()::text")[0][0]
            server.stop()
            shutil.rmtree(server.data_directory)
            taken.rename(server.data_directory)
            server.start()
        if daemon_is != "running":
            while server.execute(f"SELECT pg_switch_wal() < '{seen}'")[0][0]:
                writers.wait(20)
        recovery = Recovery(f"volume restored, daemon {daemon_is}")
        if daemon_is == "cut off":
            scene.proxy.start()
        elif daemon_is == "down":
            daemon, mark = scene.start(), 0
        changed = daemon.wait_for("history_changed", after=mark)
        rule = "the WAL is at" if daemon_is == "running" else "the nonce"
        assert daemon.found("history_changed", after=mark, reason=re.compile(rule)), daemon.log
        daemon.wait_for("reconciled", after=changed)
        recovery.works_again()
        writers.wait()
    recovery.converged(scene)
    check(scene, daemon)


def test_snapshot_put_back(restorable: Scene) -> None:
    """A snapshot of a volume at work: no session of the daemon ended for it.

    What tells it, once the WAL has passed the place that the daemon had seen, is the nonce that
    each audit leaves.
    """
    scene = restorable
    server = scene.postgres
    scene.set(audit_every=1)
    daemon = scene.serve()
    taken = snapshot(server)  # before the writers: whoever stands still may hold their locks
    with Writers(scene) as writers:
        writers.wait()
        [(nonce,)] = scene.admin("SELECT nonce FROM listener.meta")
        wait_until(
            lambda: scene.admin("SELECT nonce FROM listener.meta") != [(nonce,)],
            seconds=20,
            what="another nonce is left in the database",
        )
        scene.sql(LATER)
        wait_indexed(scene, "later 1")
        mark = daemon.mark()
        with writers.outage():
            scene.proxy.stop()
            seen = server.execute("SELECT pg_current_wal_lsn()::text")[0][0]
            server.kill()
            shutil.rmtree(server.data_directory)
            taken.rename(server.data_directory)
            server.start()
        while server.execute(f"SELECT pg_switch_wal() < '{seen}'")[0][0]:
            writers.wait(20)
        recovery = Recovery("snapshot restored, daemon cut off")
        scene.proxy.start()
        changed = daemon.wait_for("history_changed", after=mark, reason=re.compile("the nonce"))
        daemon.wait_for("reconciled", after=changed)
        recovery.works_again()
        writers.wait()
    recovery.converged(scene)
    check(scene, daemon)


def snapshot(server: PostgresServer) -> Path:
    """A copy of the files as they are at one moment, of a server that goes on afterwards."""
    taken = server.directory / "snapshot"
    family = [server.pid]
    try:
        for member in family:  # nobody who stands still starts another
            send(member, signal.SIGSTOP)
            family += children_of(member)
        run_as(service_account(), ["cp", "-a", f"{server.data_directory}", f"{taken}"])
    finally:
        for member in family:
            send(member, signal.SIGCONT)
    return taken


def check(scene: Scene, daemon: ListenerProcess) -> None:
    """Nothing later is left; nothing was put aside; it goes on."""
    assert scene.search_for("Later") == []
    assert parked(scene) == 0
    daemon.stop()
    scene.assert_converged()
