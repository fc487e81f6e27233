"""state.yaml cannot be written: a full disk, a read-only one, a folder that is gone.

The daemon stays up, indexes, says why, and saves again when it is mended; the old file stays whole.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import resource
import shutil
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from playground.daemon import ListenerProcess
from playground.system import wait_until
from tests.kit.scene import Scene
from tests.kit.writers import Writers


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A disk of 64 kB of our own. Skips where we may not mount one."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"no right to mount: {mounted.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


class Disk:
    """Breaks and mends the folder of a scene's state.yaml in one way."""

    def __init__(self, scene: Scene, way: str) -> None:
        self._folder = scene.state_file.parent
        self._way = way
        self.reason = re.compile(
            re.escape(str(scene.state_file))
            + ".*"
            + re.escape(f"({errno.errorcode[errno.ENOSPC if way == 'full' else errno.EROFS]})")
        )

    def break_(self) -> None:
        """From now on nothing can be written."""
        if self._way == "read-only":
            self._remount("ro")
            return
        ballast = os.open(self._folder / "ballast", os.O_WRONLY | os.O_CREAT)
        try:
            with contextlib.suppress(OSError):
                while True:
                    os.write(ballast, b"\0" * 4096)
        finally:
            os.close(ballast)

    def mend(self) -> None:
        """As before."""
        if self._way == "read-only":
            self._remount("rw")
        else:
            (self._folder / "ballast").unlink()

    def _remount(self, mode: str) -> None:
        # refused as busy while a file is just being written
        wait_until(
            lambda: (
                subprocess.run(
                    ["mount", "-o", f"remount,{mode}", str(self._folder)],
                    capture_output=True,
                    check=False,
                ).returncode
                == 0
            ),
            seconds=10,
            what=f"{self._folder} is {mode}",
        )


def saved(scene: Scene) -> datetime:
    """The watermark in state.yaml."""
    moment: datetime = scene.state["last_processed"]
    return moment


def health(scene: Scene) -> int:
    """What `listener health` says."""
    return scene.start("health").exit_status()


def works_on(scene: Scene, daemon: ListenerProcess, writers: Writers) -> None:
    """It indexes, and the watermark in its memory goes on."""
    mark = daemon.mark()
    writers.wait()
    moved = daemon.wait_for("indexed", after=mark)
    daemon.wait_for("watermark_moved", after=moved)


@pytest.mark.parametrize("way", ["full", "read-only"])
def test_disk_under_the_state(scene: Scene, way: str) -> None:
    """Broken while the daemon runs, mended; broken again, killed, started on the broken disk."""
    disk = Disk(scene, way)
    with small_disk(scene.state_file.parent):
        daemon = scene.serve()
        with Writers(scene, pace=0.1) as writers:
            disk.break_()
            before = scene.state_file.read_bytes()
            told = daemon.wait_for("state_not_saved", reason=disk.reason)
            works_on(scene, daemon, writers)
            wait_until(lambda: health(scene) == 1, seconds=30, what="health turns red")
            assert scene.state_file.read_bytes() == before
            assert len(daemon.found("state_not_saved")) == 1, "one line, not one a second"
            disk.mend()
            daemon.wait_for("state_saved_again", after=told)
            wait_until(lambda: health(scene) == 0, seconds=30, what="health turns green")
            assert scene.state_file.read_bytes() != before

            mark = daemon.mark()
            disk.break_()
            daemon.wait_for("state_not_saved", after=mark)
            works_on(scene, daemon, writers)
            behind = saved(scene)
            daemon.kill()
            daemon = scene.start()
            daemon.wait_for("state_not_saved", reason=disk.reason)
            daemon.wait_for("caught_up")
            works_on(scene, daemon, writers)
        scene.wait_converged()
        assert not daemon.found("load_started"), daemon.log
        assert saved(scene) == behind
        disk.mend()
        daemon.wait_for("state_saved_again")
        daemon.stop()
        assert saved(scene) > behind
        scene.assert_converged()


def test_file_size_limit_under_the_state(scene: Scene) -> None:
    """A limit of the process (`ulimit -f`): the same, for whoever may not mount a disk."""
    daemon = scene.serve()
    before = scene.state_file.read_bytes()
    with Writers(scene, pace=0.1) as writers:
        _, hard = resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (0, hard))
        told = daemon.wait_for("state_not_saved", reason=re.compile("EFBIG"))
        works_on(scene, daemon, writers)
        behind = saved(scene)
        assert not list(scene.state_file.parent.glob(".*.tmp"))
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (hard, hard))
        daemon.wait_for("state_saved_again", after=told)
        assert saved(scene) > behind
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (0, hard))
        daemon.wait_for("state_not_saved", after=told)
        works_on(scene, daemon, writers)
        daemon.kill()
        assert scene.state_file.read_bytes() != before
        daemon = scene.start()
        daemon.wait_for("caught_up")
    scene.wait_converged()
    assert not daemon.found("load_started"), daemon.log
    daemon.stop()
    scene.assert_converged()


def test_folder_of_the_state_is_removed(scene: Scene) -> None:
    """It is made again, with a whole state.yaml; removed once more and killed at once, the next
    start finds neither folder nor file and goes on from the control document."""
    daemon = scene.serve()
    folder = scene.state_file.parent
    with Writers(scene, pace=0.1) as writers:
        shutil.rmtree(folder)
        wait_until(scene.state_file.exists, seconds=20, what="state.yaml is written anew")
        works_on(scene, daemon, writers)
        daemon.kill()
        shutil.rmtree(folder)
        writers.wait(30)
        daemon = scene.start()
        daemon.wait_for("state_from_control")
        daemon.wait_for("caught_up")
    scene.wait_converged()
    assert not daemon.found("load_started"), daemon.log
    daemon.stop()
    assert scene.state_file.exists()
    scene.assert_converged()


def test_folder_of_the_state_becomes_a_file(scene: Scene) -> None:
    """Somebody puts a file in its place: said, and mended when it is gone."""
    daemon = scene.serve()
    folder = scene.state_file.parent
    # aside first: the daemon may be writing in it
    folder.rename(folder.with_name("aside"))
    wait_until(lambda: _put_in_place(folder), seconds=10, what="a file is in the folder's place")
    told = daemon.wait_for("state_not_saved", reason=re.compile(re.escape(str(folder))))
    scene.sql("DELETE FROM content.film_work WHERE id = md5('film 9')::uuid")
    scene.wait_converged()
    folder.unlink()
    daemon.wait_for("state_saved_again", after=told)
    daemon.stop()
    assert scene.state["last_processed"] is not None
    scene.assert_converged()


def _put_in_place(folder: Path) -> bool:
    """The daemon makes the folder again whenever it can: be faster once."""
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError), folder.open("x"):
        return True
    return False
