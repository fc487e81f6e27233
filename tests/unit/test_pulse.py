"""The pulse: signs of life, and what they say where the work gives none."""

from __future__ import annotations

import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from listener.config import Config
from listener.state import pulse
from listener.state.heartbeat import DaemonState, Heartbeat, Matter, heartbeat_path, read_heartbeat
from listener.state.pulse import Pulse

MATTER = Matter(reason="no such column", mend="the query")


class Life:
    """A pulse with a clock of its own, whose thread is not started."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
        self.now = 1000.0
        self.statements: list[float | None] = []
        """Since when the sessions of this process wait for the server."""
        self.locked_out = False
        """Whether what they wait for is a lock."""
        clock = SimpleNamespace(monotonic=lambda: self.now, time=lambda: 5.0)
        monkeypatch.setattr(pulse, "time", clock)
        monkeypatch.setattr(
            pulse, "sessions", lambda: [self._session(one) for one in self.statements]
        )
        self.path = folder / "state.yaml"
        self.pulse = Pulse(_config(self.path, **options))

    def _session(self, since: float | None) -> SimpleNamespace:
        return SimpleNamespace(
            busy_since=since,
            waits_for_lock=self.locked_out,
            name="listener: watermark",
            info=SimpleNamespace(backend_pid=7),
        )

    def beat(self) -> Heartbeat:
        """What its thread writes now."""
        self.pulse._write(self.now)
        beat = read_heartbeat(self.path)
        assert beat is not None
        return beat


def _config(path: Path, **options: Any) -> Config:
    watch = {"table": "a", "key": "id"}
    files = {"index_config_file": "x", "query_file": "x"}
    return Config.model_validate(
        {
            "pipeline": "a",
            "state_file_name": path,
            "postgres": {"dbname": "d", "user": "u"},
            "documents": [{"index": "a", **files, **watch, "watch": [watch]}],
            **options,
        }
    )


@pytest.fixture
def life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Life:
    """With the defaults."""
    return Life(tmp_path, monkeypatch)


def test_what_is_told_is_written(life: Life) -> None:
    """At once, with the machine's name."""
    life.pulse.tell(DaemonState.HELD, "no column", matters=(MATTER,))
    beat = read_heartbeat(life.path)
    assert beat is not None
    assert (beat.at, beat.state, beat.reason, beat.matters) == (5, "held", "no column", (MATTER,))
    assert (beat.host, beat.stuck_for) == (socket.gethostname(), None)


def test_an_outage_becomes_a_persons_matter(life: Life) -> None:
    """After five minutes, whichever server it is, and until it is over."""
    life.pulse.tell(DaemonState.WAITING_FOR_POSTGRES, "refused")
    life.now += 200
    life.pulse.tell(DaemonState.WAITING_FOR_ELASTICSEARCH, "403 of a WAF", "the proxy")
    assert life.beat().matters == ()
    life.now += 101
    [told] = life.beat().matters
    assert str(told) == "waiting for Elasticsearch for 5 min: 403 of a WAF. Mend: the proxy"
    life.pulse.tell(DaemonState.SERVING)
    assert life.beat().matters == ()


def test_work_that_is_stuck(life: Life) -> None:
    """No sign of it for five minutes. A statement that takes long is none of that: the next start
    would run it again."""
    life.pulse.tell(DaemonState.SERVING)
    life.now += 301
    life.statements = [None, life.now - 1]
    assert life.beat().stuck_for == 301
    life.statements = [life.now - 200]
    assert life.beat().stuck_for is None
    life.statements = []
    life.now += 299
    assert life.beat().stuck_for is None


def test_a_statement_that_waits_for_a_lock(life: Life) -> None:
    """It may be held for ever. Other long statements come to an end."""
    life.pulse.tell(DaemonState.SERVING)
    life.now += 301
    life.statements = [life.now - 301]
    assert life.beat().matters == ()
    life.locked_out = True
    [told] = life.beat().matters
    assert str(told) == (
        "listener: watermark (PostgreSQL process 7) has waited for a lock for 5 min. Mend: end "
        "what SELECT pg_blocking_pids(7) names"
    )
    life.statements = [life.now - 299]
    assert life.beat().matters == ()


@pytest.mark.parametrize("options", [{"fetch_delay": 1000}, {"backoff": {"limit": 1500}}], ids=str)
def test_rests_that_are_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    """Between ticks or tries it may be silent for longer."""
    life = Life(tmp_path, monkeypatch, **options)
    life.pulse.tell(DaemonState.SERVING)
    life.now += 2999
    assert life.beat().stuck_for is None
    life.now += 2
    assert life.beat().stuck_for == 3001


def test_why_the_one_before_ended(tmp_path: Path) -> None:
    """A daemon that is started again and again is red all the time."""
    config = _config(tmp_path / "state.yaml")
    states = []
    for _ in range(2):
        one = Pulse(config)
        one.start()
        beat = read_heartbeat(config.state_file_name)
        assert beat is not None
        states.append((beat.state, beat.matters))
        one.end((MATTER,))
        beat = read_heartbeat(config.state_file_name)
        assert beat is not None
        assert (beat.state, beat.matters) == ("ended", (MATTER,))
    assert states == [("starting", ()), ("starting", (MATTER,))]


def test_no_daemon_writes_nothing(life: Life, tmp_path: Path) -> None:
    """`run --once` and `load` may be beside a daemon that has died: its last words stand."""
    life.pulse.tell(DaemonState.SERVING)
    before = heartbeat_path(life.path).read_bytes()
    for path in (life.path, tmp_path / "never.yaml"):
        once = Pulse(_config(path), daemon=False)
        life.now += 5
        once.start()
        once.tell(DaemonState.LOADING, "loads", matters=(MATTER,))
        once._write(life.now)
        once.end((MATTER,))
    assert heartbeat_path(life.path).read_bytes() == before
    assert not heartbeat_path(tmp_path / "never.yaml").exists()


def test_a_full_disk(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is touched, which needs no room."""
    life.pulse.tell(DaemonState.SERVING)
    touched: list[Path] = []
    monkeypatch.setattr(pulse, "os", SimpleNamespace(utime=touched.append))
    heartbeat_path(life.path).unlink()
    heartbeat_path(life.path).mkdir()  # it cannot be replaced
    life.pulse.tell(DaemonState.SERVING)
    assert touched == [heartbeat_path(life.path)]
