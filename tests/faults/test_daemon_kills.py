"""SIGKILL at named points of the way from a row to the saved watermark; every start goes on.

No hook in the daemon: a gate before a server holds the message at which the point begins, or the
folder of state.yaml shows it. Deletes, updates and inserts are in flight at each kill: rows that
are edited once and never again, beside eight writers.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from playground.daemon import ListenerProcess
from playground.system import wait_until
from tests.kit.probes import Probe, Probes
from tests.kit.proxies.holding import BULK, FLUSH_CHECK, HoldingProxy
from tests.kit.recovery import phases
from tests.kit.scene import Scene
from tests.kit.writers import Writers

KILLS = 5
"""At each point."""
PACE = 0.1
"""Of each writer: a start must catch up with all of them."""

Strike = Callable[[ListenerProcess, Probes], Probe | None]
"""Edit probes, kill the daemon at a point; the probe whose change state.yaml must not cover."""


def saved(scene: Scene) -> datetime:
    """The watermark in state.yaml."""
    moment: datetime = scene.state["last_processed"]
    return moment


def kill_again_and_again(scene: Scene, strike: Strike, seed: int) -> None:
    """KILLS strikes under writers, then index = query."""
    probes = Probes(scene, 2 * KILLS)
    daemon = scene.serve()
    with Writers(scene, pace=PACE) as writers:
        for phase in phases(seed, KILLS, 40):
            writers.wait(phase)
            probe = strike(daemon, probes)
            if probe is not None:
                assert saved(scene) <= probe.stamp, f"not acknowledged, but covered\n{daemon.log}"
            daemon = scene.start()
            daemon.wait_for("caught_up")
    scene.wait_converged()
    for process in scene.processes.started[1:]:
        assert not process.found("load_started"), process.log
        assert not process.found("history_changed"), process.log
    daemon.stop()
    scene.assert_converged()


def ticks(scene: Scene, seconds: float) -> None:
    """Wait until the daemon has ticked for so long: whatever it might wrongly save is saved."""
    path = scene.state_file.with_name("state.yaml.heartbeat")

    def beat() -> float:
        found = re.search(r'"told_at":([\d.]+)', path.read_text("utf-8"))
        return float(found[1]) if found else 0.0

    until = beat() + seconds
    wait_until(lambda: beat() > until, seconds=20, what="a heartbeat of later")


@contextlib.contextmanager
def gate_before(scene: Scene, server: str) -> Iterator[HoldingProxy]:
    """Lead the daemon's way to this server through a gate."""
    if server == "PostgreSQL":
        with HoldingProxy(scene.postgres.port, FLUSH_CHECK) as gate:
            scene.set(postgres={"port": gate.port})
            yield gate
    else:
        with HoldingProxy(scene.search.port, BULK) as gate:
            scene.set(elasticsearch={"urls": [f"http://127.0.0.1:{gate.port}"]})
            yield gate


@pytest.mark.parametrize("point", ["read, not sent", "sent, not received", "answer on its way"])
def test_killed_before_the_verdict(scene: Scene, point: str) -> None:
    """Documents are read; their request is not sent, or lost, or answered to nobody."""
    server = "PostgreSQL" if point == "read, not sent" else "Elasticsearch"
    with gate_before(scene, server) as gate:
        reached = []

        def strike(daemon: ListenerProcess, probes: Probes) -> Probe | None:
            gate.close(answers=point == "answer on its way")
            # the daemon asks PostgreSQL only where what it read is not on disk yet. A writer's
            # commit may have flushed the probe by then, and another batch is held
            probe = probes.edit(flushed=point != "read, not sent")
            gate.wait_held()
            if point == "read, not sent" and probes.is_indexed(probe):
                daemon.kill()
                gate.cut()
                gate.open()
                return None
            reached.append(probe)
            if probe.number % 2:
                ticks(scene, 1.2)  # longer than two saves are apart
            daemon.kill()
            gate.cut()
            gate.open()
            return probe

        kill_again_and_again(scene, strike, seed=len(point))
        assert reached, "no batch with a probe was held"


def test_request_outlives_its_daemon(scene: Scene) -> None:
    """The network delivers the request when its daemon is dead: before, while or after the next
    one starts. It may be carried out, but must not win over what the next one writes."""
    with gate_before(scene, "Elasticsearch") as gate:
        direct = [scene.search.url]
        through = scene.options["elasticsearch"]["urls"]
        probes = Probes(scene, 3)
        daemon = scene.serve()
        with Writers(scene, pace=PACE) as writers:
            for number, phase in enumerate(phases(7, 3, 40)):
                writers.wait(phase)
                gate.close()
                probes.edit()
                gate.wait_held()
                daemon.kill()
                scene.set(elasticsearch={"urls": direct})
                if number == 0:
                    gate.open()
                daemon = scene.start()
                if number == 1:
                    daemon.wait_for("generation_raised")
                    gate.open()
                daemon.wait_for("caught_up")
                gate.open()
                daemon.stop()  # the next one must come through the gate again
                scene.set(elasticsearch={"urls": through})
                daemon = scene.start()
                daemon.wait_for("caught_up")
        scene.wait_converged()
        daemon.stop()
        scene.assert_converged()


def test_killed_between_verdict_and_state(scene: Scene) -> None:
    """All is in the index, and state.yaml does not know it: it is read once more."""
    missed: list[int] = []

    def strike(daemon: ListenerProcess, probes: Probes) -> None:
        mark = daemon.mark()
        probe = probes.edit()
        daemon.wait_for("indexed", after=mark, deleted=lambda count: count > 0)
        daemon.kill()
        if saved(scene) > probe.stamp:
            missed.append(probe.number)  # the save came between: killed after the point

    kill_again_and_again(scene, strike, seed=11)
    print(f"killed between verdict and state: {KILLS - len(missed)} of {KILLS}")
    assert len(missed) < KILLS


@pytest.mark.parametrize("point", ["state.yaml half written", "state.yaml just written"])
def test_killed_around_the_save(scene: Scene, point: str) -> None:
    """Within the replacement of state.yaml, or after it and before the control document's."""
    leftovers: list[str] = []
    half = re.compile(r"\.state\.yaml\.[0-9a-f]{8}-\d+\.tmp")

    def writing(folder: Path) -> list[str]:
        return [entry.name for entry in os.scandir(folder) if half.fullmatch(entry.name)]

    def strike(daemon: ListenerProcess, probes: Probes) -> None:
        folder = scene.state_file.parent
        before = scene.state_file.stat().st_ino
        probes.edit()
        # no wait between two looks: the moment is short
        wait_until(
            lambda: (
                bool(writing(folder))
                if point == "state.yaml half written"
                else scene.state_file.stat().st_ino != before
            ),
            seconds=20,
            every=0.0,
            what=point,
        )
        daemon.signal(signal.SIGKILL)
        daemon.kill()
        leftovers.extend(writing(folder))
        scene.state_file.read_text("utf-8")

    kill_again_and_again(scene, strike, seed=13)
    print(f"{point}: {len(leftovers)} half-written files were left behind by {KILLS} kills")
    assert not writing(scene.state_file.parent)
