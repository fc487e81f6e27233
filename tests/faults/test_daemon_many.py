"""Several daemons of one pipeline, each with a state.yaml of its own, killed at will."""

from __future__ import annotations

import random
import re
import shutil
from datetime import datetime
from pathlib import Path

import pytest
import yaml

from playground.daemon import ListenerProcess, Record
from playground.system import wait_until
from tests.kit.probes import Probes
from tests.kit.scene import Scene
from tests.kit.writers import Writers


def state_of(scene: Scene, folder: str) -> Path:
    """The state.yaml of a daemon that was started with this folder."""
    return scene.folder / folder / "state" / "state.yaml"


def watermark(path: Path) -> datetime | None:
    """The watermark in a state.yaml."""
    moment: datetime | None = yaml.safe_load(path.read_text("utf-8"))["last_processed"]
    return moment


def wait_saved(path: Path) -> None:
    """Wait until another watermark stands in a state.yaml."""
    before = watermark(path)
    wait_until(lambda: watermark(path) != before, seconds=20, what="another watermark")


def first(daemon: ListenerProcess, *events: str, after: int = 0) -> Record:
    """Wait for the first of several events."""
    return daemon.wait_until(
        lambda records: next((one for one in records if one.event in events), None),
        what=" or ".join(events),
        after=after,
    )


@pytest.mark.parametrize("whose", ["of before", "copied while it ran", "none"])
def test_two_state_files(scene: Scene, whose: str) -> None:
    """The one that takes over has an older file than the one that is killed, or none: the
    watermark comes from the control document, and it is said; of two of one life the smaller."""
    other = state_of(scene, "other")
    other.parent.mkdir(parents=True)
    scene.serve().stop()
    if whose == "of before":
        shutil.copy(scene.state_file, other)
    daemon = scene.start()
    daemon.wait_for("caught_up")
    if whose == "copied while it ran":
        wait_saved(scene.state_file)
        shutil.copy(scene.state_file, other)
        shutil.copy(other, scene.folder / "copy.yaml")
    with Writers(scene, pace=0.1) as writers:
        writers.wait()
        follower = scene.start(folder="other")
        follower.wait_for("standing_by")
        writers.wait()
        if whose == "copied while it ran":
            copied = watermark(scene.folder / "copy.yaml")
            wait_until(
                lambda: datetime.fromisoformat(scene.control["last_processed"]) != copied,
                seconds=30,
                what="another watermark in the control document",
            )
        daemon.kill()
        remote = datetime.fromisoformat(scene.control["last_processed"])
        caught_up = follower.wait_for("caught_up")
        writers.wait()
        if whose == "copied while it ran":
            # of the same life: both are true, and the smaller one is safe
            mine = watermark(scene.folder / "copy.yaml")
            assert mine is not None
            assert mine != remote, "else nothing is chosen"
            assert datetime.fromisoformat(caught_up["last_processed"]) == min(mine, remote)
            print(f"state.yaml {whose}: {mine}, control document {remote}: the smaller one")
        else:
            taken = follower.wait_for("state_from_control")
            why = "older" if whose == "of before" else "there is no state.yaml"
            assert why in taken["reason"]
            print(f"state.yaml {whose}: {taken.message}")
        # back again: now it is the first one whose file is the older one
        daemon = scene.start()
        daemon.wait_for("standing_by")
        follower.kill()
        taken = daemon.wait_for("state_from_control", reason=re.compile("older"))
        print(f"state.yaml of the first one: {taken.message}")
        daemon.wait_for("caught_up")
    scene.wait_converged()
    for process in (daemon, follower):
        assert not process.found("load_started"), process.log
        assert not process.found("history_changed"), process.log
    daemon.stop()
    scene.assert_converged()


@pytest.mark.parametrize("number", range(2))
def test_two_started_in_the_same_second(scene: Scene, number: int) -> None:
    """Both find a database without triggers and no index: one loads, the other stands by."""
    with Writers(scene, pace=0.1, may_wait=True) as writers:
        pair = [scene.start(folder=f"machine{one}") for one in range(2)]
        outcome = [first(one, "caught_up", "standing_by", "ended").event for one in pair]
        assert sorted(outcome) == ["caught_up", "standing_by"], scene.processes.logs
        active, other = pair if outcome[0] == "caught_up" else reversed(pair)
        active.wait_for("loaded")
        writers.wait()
        active.kill()
        other.wait_for("caught_up")
        writers.wait()
    scene.wait_converged()
    assert len(scene.physical()) == 1
    assert not other.found("load_started"), other.log
    other.stop()
    scene.assert_converged()


def test_state_of_another_cluster_beside_an_active_daemon(scene: Scene) -> None:
    """It is refused at the start, not when the active one is gone and this one is needed."""
    daemon = scene.serve()
    other = state_of(scene, "other")
    other.parent.mkdir(parents=True)
    text = scene.state_file.read_text("utf-8")
    other.write_text(re.sub(r"system_identifier: .*", "system_identifier: '1'", text), "utf-8")
    follower = scene.start(folder="other")
    ended = first(follower, "ended", "standing_by")
    assert ended.event == "ended", follower.log
    follower.expect_exit(2)
    assert "another PostgreSQL cluster" in ended["reason"]
    assert "listener load" in ended["reason"]
    daemon.stop()
    scene.assert_converged()


def test_two_with_one_state_file(scene: Scene) -> None:
    """Two daemons of one folder: the one that stands by leaves the state alone."""
    daemon = scene.serve()
    with Writers(scene, pace=0.1) as writers:
        for _ in range(2):
            follower = scene.start()
            follower.wait_for("standing_by")
            writers.wait()
            wait_saved(scene.state_file)
            daemon.kill()
            daemon = follower
            daemon.wait_for("caught_up")
            writers.wait()
    scene.wait_converged()
    for process in scene.processes.started[1:]:
        assert not process.found("load_started"), process.log
        assert not process.found("history_changed"), process.log
    daemon.stop()
    scene.assert_converged()


def test_three_daemons_killed_at_random(scene: Scene) -> None:
    """Twelve kills from a fixed seed, of whichever, at whatever it is doing; then it converges."""
    choice = random.Random(5)
    probes = Probes(scene, 12)
    three = [scene.start(folder=f"machine{one}") for one in range(3)]
    wait_until(
        lambda: any(one.found("loaded") for one in three), seconds=60, what="somebody has loaded"
    )
    with Writers(scene, may_wait=True) as writers:
        for _ in range(12):
            writers.wait(choice.randrange(80, 300))
            probes.edit()
            active = next((one for one in three if one.found("caught_up")), three[0])
            place = three.index(active) if choice.random() < 0.7 else choice.randrange(3)
            three[place].kill()
            writers.wait(choice.randrange(10, 100))
            three[place] = scene.start(folder=f"machine{place}")
    scene.wait_converged(60)
    for one in three:
        first(one, "caught_up", "standing_by")
    assert sum(bool(one.found("caught_up")) for one in three) == 1, scene.processes.logs
    every = scene.processes.started
    print(
        f"{len(every)} lives: {sum(bool(one.found('caught_up')) for one in every)} took over, "
        f"{sum(len(one.found('history_changed')) for one in every)} comparisons for a doubtful "
        f"history, {sum(len(one.found('load_started')) for one in every)} loads begun"
    )
    for left in range(3):
        active = next(one for one in three if one.running and one.found("caught_up"))
        active.stop()
        three.remove(active)
        scene.sql(f"DELETE FROM content.film_work WHERE id = md5('probe insert{left + 1}')::uuid")
        if three:
            wait_until(
                lambda: any(one.found("caught_up") for one in three),
                seconds=30,
                what="the next one takes over",
            )
            scene.wait_converged()
    scene.once()
    scene.assert_converged()
