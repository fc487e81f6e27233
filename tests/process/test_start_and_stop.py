"""The daemon starts, loads, follows, and stops."""

from __future__ import annotations

import signal
import zlib
from typing import Any

import pytest

from listener.app.daemon import Daemon
from listener.app.status import Status
from listener.checks import preflight
from listener.config.settings import load
from listener.observations.events import CheckFailed, Observation, Waiting
from listener.runtime.lifecycle import Stop
from listener.state import identity
from listener.state.heartbeat import DaemonState, read_heartbeat
from playground.system import wait_until
from tests.kit.lengths import one_short
from tests.kit.scene import Scene


def test_first_start_loads_and_follows(scene: Scene) -> None:
    """An empty Elasticsearch is filled; then an edit arrives by NOTIFY, not by a sweep."""
    daemon = scene.serve()
    loaded = daemon.wait_for("loaded")
    assert loaded["documents"] == 300
    mark = daemon.mark()
    scene.sql("UPDATE content.film_work SET title = 'Edited' WHERE id = md5('film 7')::uuid")
    daemon.wait_for("indexed", after=mark, written=1)
    scene.wait_converged()
    assert not daemon.found("swept", after=mark)
    daemon.stop()
    scene.assert_converged()


def test_sigint_stops_and_saves(scene: Scene) -> None:
    """Ctrl-C ends it with 0, everything stopped, the watermark saved."""
    daemon = scene.serve()
    moved = daemon.wait_for("watermark_moved")
    daemon.signal(signal.SIGINT)
    daemon.expect_exit(0)
    assert daemon.found("stopped_all", status=0)
    assert scene.state["last_processed"].isoformat() >= moved["last_processed"].replace(" ", "T")
    scene.assert_converged()


def test_edits_while_it_was_down_then_once(scene: Scene) -> None:
    """`--once` brings edits and deletes that nobody heard, and ends with 0."""
    scene.serve().stop()
    scene.sql("UPDATE content.film_work SET title = 'Edited' WHERE id = md5('film 7')::uuid")
    scene.sql("DELETE FROM content.film_work WHERE id = md5('film 8')::uuid")
    scene.sql("UPDATE content.genre SET name = 'Renamed' WHERE id = md5('genre 3')::uuid")
    once = scene.once()
    assert once.found("swept")
    assert not once.found("load_started")
    scene.assert_converged()


def test_our_schema_is_removed_while_it_starts(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was there when the start began to look: no reason to end, the next look makes it anew."""
    scene.serve().stop()
    read, told = identity.read, list[Observation]()

    def removed(*arguments: Any) -> Any:
        monkeypatch.setattr(identity, "read", read)
        scene.admin("DROP SCHEMA listener CASCADE")
        return read(*arguments)

    monkeypatch.setattr(identity, "read", removed)
    status = Daemon(load(scene.config), observe=told.append, stop=Stop(), once=True).run()
    assert status is Status.OK, told
    [waiting] = [one for one in told if isinstance(one, Waiting)]
    assert '"listener.meta" does not exist' in waiting.reason
    scene.assert_converged()


@pytest.mark.parametrize("often", one_short((1, 9), 1))
def test_triggers_are_altered_while_it_starts(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, often: int
) -> None:
    """Right after they were installed: they are mended once more. Where that does not last, the
    start ends, and says so."""
    scene.serve().stop()
    look, told, left = preflight.look_at_triggers, list[Observation](), [often]

    def altered(*arguments: Any, **options: Any) -> Any:
        if left[0]:
            left[0] -= 1
            scene.admin("ALTER TABLE content.genre DISABLE TRIGGER USER")
        return look(*arguments, **options)

    monkeypatch.setattr(preflight, "look_at_triggers", altered)
    status = Daemon(load(scene.config), observe=told.append, stop=Stop(), once=True).run()
    if often > 1:
        assert status is Status.USAGE
        assert "disabled" in str([one for one in told if isinstance(one, CheckFailed)])
        return
    assert status is Status.OK, told
    scene.sql("UPDATE content.genre SET name = 'Renamed' WHERE id = md5('genre 3')::uuid")
    scene.once()
    scene.assert_converged()


def hang(scene: Scene) -> Any:
    """A session that holds the installer's lock, as a frozen daemon does, perhaps for ever."""
    hangs = scene.connect()
    schema = zlib.crc32(b"listener") - (1 << 31)
    hangs.execute("SELECT pg_advisory_lock(%s, %s)", (0x4C53544E, schema))
    return hangs


def beats(scene: Scene, reason: str) -> None:
    """Wait for a heartbeat with this reason, and for a later one: health stays green meanwhile."""
    seen = set[float]()

    def two() -> bool:
        beat = read_heartbeat(scene.state_file)
        if beat is not None and reason in str(beat.reason):
            assert beat.state == DaemonState.WAITING_FOR_POSTGRES, beat
            seen.add(beat.told_at)
        return len(seen) > 1

    wait_until(two, what=f"two heartbeats that say {reason}", seconds=30)


def test_a_start_beside_an_installer_that_hangs(scene: Scene) -> None:
    """The start names it, gives signs of life, and goes on as soon as it ends."""
    hangs = hang(scene)
    daemon = scene.start()
    beats(scene, f"removes triggers (process {hangs.info.backend_pid}")
    waiting = daemon.wait_for("waiting")
    hangs.close()
    daemon.wait_for("caught_up", after=waiting)
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()


def test_a_session_beside_an_installer_that_hangs(scene: Scene) -> None:
    """It is waited for as a server that is away is: no person is called for."""
    daemon = scene.serve()
    hangs = hang(scene)
    cut = daemon.mark()
    scene.admin("ALTER TABLE content.genre DISABLE TRIGGER USER")
    scene.admin(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        f"WHERE datname = '{scene.database}' AND application_name LIKE 'listener:%'"
    )
    beats(scene, f"removes triggers (process {hangs.info.backend_pid}")
    scene.sql("UPDATE content.genre SET name = 'Renamed' WHERE id = md5('genre 3')::uuid")
    daemon.wait_until(
        lambda records: next((one for one in records if "end what is in" in one.message), None),
        what="a try that was given up",
    )
    hangs.close()
    daemon.wait_for("caught_up", after=cut)
    scene.wait_converged()
    assert not daemon.found("held")
    daemon.stop()
    scene.assert_converged()


def test_a_start_behind_a_long_transaction(scene: Scene) -> None:
    """While it waits to make a trigger it gives signs of life, and names what is in its way."""
    writer = scene.connect()
    writer.execute("BEGIN; UPDATE content.genre SET name = name || '!'")
    daemon = scene.start()
    beats(scene, f"locks are held by process {writer.info.backend_pid}")
    writer.execute("COMMIT")
    daemon.wait_for("caught_up")
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()
