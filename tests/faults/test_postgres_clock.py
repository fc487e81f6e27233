"""The clock of PostgreSQL is set back and forward: the watermark is a moment of that clock.

Every table is polled only (`notify: off`), so that nothing but the rule of the watermark finds the
rows. The clock is that of the server's process; the machine's own is left alone.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from playground.clock import ClockedServer
from playground.search import SearchServer
from playground.system import wait_until
from tests.kit.databases import fresh, own_server, parked
from tests.kit.recovery import Recovery
from tests.kit.scene import Scene, Template, open_scene
from tests.kit.statements import WITHOUT_NOTIFY
from tests.kit.writers import Writers

ClockedTemplate = tuple[ClockedServer, Template]


@pytest.fixture(scope="module")
def server() -> Iterator[ClockedTemplate]:
    """A server with a clock of its own."""
    clocked = ClockedServer()
    with own_server(server=clocked) as (_, template):
        yield clocked, template


@pytest.fixture
def polled(server: ClockedTemplate, search_server: SearchServer, tmp_path: Path) -> Iterator[Scene]:
    """A scene on that server, right on time, in which nothing is notified."""
    server[0].set_clock(0)
    with open_scene(server[0], search_server, server[1], tmp_path) as scene:
        for watch in scene.options["documents"][0]["watch"]:
            watch["notify"] = "off"
        yield scene


@pytest.mark.parametrize("held", [pytest.param(False, id="free"), pytest.param(True, id="held")])
def test_set_back_and_forward_while_it_runs(
    server: ClockedTemplate, polled: Scene, held: bool
) -> None:
    """By two minutes and back again, by an hour and back again, under writes.

    `held`: a foreign transaction holds the watermark meanwhile; what is new is found all the same.
    """
    clocked, scene = server[0], polled
    daemon = scene.serve()
    # as if it had been installed long ago: what the journal lacks is compared, and rightly so
    scene.admin("UPDATE listener.meta SET pruned_below = pruned_below - interval '1 day'")
    with Writers(scene) as writers, scene.superuser("postgres") as foreign:
        if held:
            foreign.execute("BEGIN")
            foreign.execute("SELECT pg_current_xact_id()")
        for offset in (-120, 0, 3600, 0):
            writers.wait()
            mark = daemon.mark()
            by = clocked.offset - offset
            clocked.set_clock(offset)
            fresh(scene, f"clock {offset} from {clocked.offset + by}")
            if by > 0:
                stepped = daemon.wait_for("clock_stepped_back", after=mark)
                assert abs(stepped["seconds"] - by) < 5
        writers.wait()
        foreign.execute("ROLLBACK")
    recovery = Recovery("clock set back and forward")
    recovery.converged(scene)
    assert not daemon.found("history_changed")  # sweeps find it all: nothing need be compared
    daemon.wait_for("watermark_moved", after=daemon.mark())
    assert parked(scene) == 0
    daemon.stop()
    scene.assert_converged()


def test_set_back_by_less_than_a_pause(server: ClockedTemplate, polled: Scene) -> None:
    """The daemon stands still, as it does while Elasticsearch is away, and the clock goes back.

    When it looks again the clock shows a later time than before, but not by as much as passed.
    """
    clocked, scene = server[0], polled
    daemon = scene.serve()
    watermark = scene.state["last_processed"]
    daemon.signal(signal.SIGSTOP)
    clocked.set_clock(-6)  # more than twice the overlap
    scene.admin(WITHOUT_NOTIFY)
    later = f"SELECT clock_timestamp() > '{watermark}'::timestamptz + '3 s'"
    wait_until(
        lambda: bool(scene.admin(later)[0][0]), seconds=20, what="the watermark is past again"
    )
    mark = daemon.mark()
    daemon.signal(signal.SIGCONT)
    recovery = Recovery("clock set back between two ticks")
    daemon.wait_for("clock_stepped_back", after=mark)
    recovery.converged(scene)
    assert parked(scene) == 0
    daemon.stop()
    scene.assert_converged()


@pytest.mark.parametrize("notify", ["off", "doorbell"])
def test_ahead_for_a_moment_between_two_ticks(
    server: ClockedTemplate, polled: Scene, notify: str
) -> None:
    """No tick sees the clock go. What was stamped then is found with the next audit, long before
    the clock has come to it."""
    clocked, scene = server[0], polled
    for watch in scene.options["documents"][0]["watch"]:
        watch["notify"] = notify
    scene.set(fetch_delay=8, audit_every=10)
    daemon = scene.serve()
    daemon.wait_for("watermark_moved", after=daemon.mark())
    clocked.set_clock(3600)
    scene.admin(
        "UPDATE content.film_work SET title = 'ahead' WHERE id = md5('film 1')::uuid;"
        "DELETE FROM content.film_work WHERE id = md5('film 2')::uuid;"
        "UPDATE content.genre SET name = 'ahead'"
    )
    clocked.set_clock(0)
    mark = daemon.mark()
    scene.wait_converged(60)
    assert not daemon.found("clock_stepped_back", after=mark), "a tick came between"
    assert not daemon.found("reconcile_started", after=mark), "all of it is found by its stamps"
    daemon.stop()
    scene.assert_converged()


@pytest.mark.parametrize("back", [30, 600])
def test_set_back_while_it_is_down(server: ClockedTemplate, polled: Scene, back: int) -> None:
    """The watermark lies in the future: what was stamped meanwhile is older than it."""
    clocked, scene = server[0], polled
    daemon = scene.serve()
    daemon.stop()
    clocked.set_clock(-back)
    scene.admin(WITHOUT_NOTIFY)
    clocked.set_clock(-back + 15)  # and the edits are longer ago than any overlap
    daemon = scene.start()
    recovery = Recovery(f"clock set back by {back} s, daemon starts")
    daemon.wait_for("reconciled")
    recovery.converged(scene)
    assert parked(scene) == 0
    daemon.stop()
    scene.assert_converged()


def test_set_back_while_it_is_down_for_longer(server: ClockedTemplate, polled: Scene) -> None:
    """The watermark lies in the past again, but not before what was stamped meanwhile.

    Only our own clock tells that the server's took a step.
    """
    clocked, scene = server[0], polled
    daemon = scene.serve()
    daemon.stop()
    watermark = scene.state["last_processed"]
    clocked.set_clock(-6)  # more than twice the overlap
    scene.admin(WITHOUT_NOTIFY)
    wait_until(
        lambda: bool(scene.admin(f"SELECT clock_timestamp() > '{watermark}'")[0][0]),
        seconds=20,
        what="the watermark is past again",
    )
    daemon = scene.start()
    recovery = Recovery("clock set back by 6 s, daemon starts later")
    changed = daemon.wait_for("history_changed")
    assert "set back" in changed["reason"]
    recovery.converged(scene)
    assert parked(scene) == 0
    daemon.stop()
    scene.assert_converged()


def test_forward_while_it_is_down(server: ClockedTemplate, polled: Scene) -> None:
    """An hour ahead, and back again once it runs: what was stamped in the future stays found."""
    clocked, scene = server[0], polled
    daemon = scene.serve()
    daemon.stop()
    clocked.set_clock(3600)
    daemon = scene.start()
    daemon.wait_for("watermark_moved")
    with Writers(scene) as writers:
        writers.wait()
        mark = daemon.mark()
        clocked.set_clock(0)
        daemon.wait_for("clock_stepped_back", after=mark)
        writers.wait()
    Recovery("clock set back by an hour").converged(scene)
    daemon.stop()
    scene.assert_converged()


def test_stamped_before_the_clock_was_set_back(server: ClockedTemplate, polled: Scene) -> None:
    """Rows of the future are not read at every tick; one that is committed late is read once more,
    and so is what the clock comes to."""
    clocked, scene = server[0], polled
    clocked.set_clock(3600)
    daemon = scene.serve()
    late = scene.connect()
    with late.transaction():
        late.execute("UPDATE content.film_work SET title = 'Late' WHERE id = md5('film 1')::uuid")
        late.execute("DELETE FROM content.film_work WHERE id = md5('film 2')::uuid")
        scene.sql("UPDATE content.film_work SET title = 'Soon' WHERE id = md5('film 3')::uuid")
        scene.wait_converged()
        mark = daemon.mark()
        clocked.set_clock(0)
        daemon.wait_for("clock_stepped_back", after=mark)
        daemon.wait_for("caught_up", after=mark)
        scene.sql("UPDATE content.film_work SET title = 'Then' WHERE id = md5('film 4')::uuid")
        scene.wait_converged()
        daemon.wait_for("watermark_held", after=mark)
    scene.wait_converged()
    moved = daemon.wait_for("watermark_moved", after=daemon.mark())
    mark = daemon.mark()
    for _ in range(3):
        moved = daemon.wait_for("watermark_moved", after=moved)
    assert not daemon.found("swept", after=mark), daemon.log
    assert parked(scene) == 0
    daemon.stop()
    scene.assert_converged()
