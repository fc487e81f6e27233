"""`listener health`."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from listener.cli.health import judge, look
from listener.config import Config
from listener.state.heartbeat import Heartbeat, write_heartbeat

NOW = 1_764_000_000.0
MOMENT = datetime.fromtimestamp(NOW, UTC)


def beat(ago: float, fetch_delay: float = 1) -> Heartbeat:
    """A heartbeat some seconds before NOW."""
    return Heartbeat(at=NOW - ago, fetch_delay=fetch_delay, state="serving", last_processed=MOMENT)


@pytest.mark.parametrize(
    ("ago", "fetch_delay", "healthy"),
    [
        (0, 1, True),
        (10, 1, True),
        (10.1, 1, False),
        (10.1, 5, True),
        (15, 5, True),
        (15.1, 5, False),
        (-10, 1, True),
        (-10.1, 1, False),
    ],
)
def test_three_ticks_and_at_least_ten_seconds(
    ago: float, fetch_delay: float, healthy: bool
) -> None:
    """The limit follows the daemon's own tick; a heartbeat from the future is no sign of life."""
    assert judge(beat(ago, fetch_delay), NOW)[0] is healthy


def test_sentences() -> None:
    """State, reason and the watermark's age."""
    assert judge(beat(0), NOW + 2)[1] == ("serving; watermark 2025-11-24T16:00:00+00:00, 2.0 s old")
    ahead = beat(0).model_copy(update={"last_processed": MOMENT + timedelta(hours=1)})
    assert "0.0 s old" in judge(ahead, NOW)[1]  # the database's clock is not ours
    waiting = Heartbeat(at=NOW, fetch_delay=1, state="waiting for PostgreSQL", reason="refused")
    assert judge(waiting, NOW) == (True, "waiting for PostgreSQL (refused); no watermark yet")
    assert judge(waiting, NOW + 60) == (
        False,
        "the last heartbeat was 60 s ago (limit 10 s): waiting for PostgreSQL (refused)",
    )
    assert "60 s ahead of the clock" in judge(waiting, NOW - 60)[1]


@pytest.mark.parametrize("state", ["guarded", "braked", "held"])
def test_what_waits_for_a_person_is_red(state: str) -> None:
    """Nobody looks at a green light."""
    waiting = beat(0).model_copy(update={"state": state, "reason": "too many"})
    assert judge(waiting, NOW) == (False, f"{state} (too many)")


def config(tmp_path: Path) -> Config:
    """A configuration whose state file is in `tmp_path`."""
    watch = {"table": "a", "key": "id"}
    document = {"index": "a", "index_config_file": "x", "query_file": "x", "watch": [watch]}
    return Config.model_validate(
        {
            "pipeline": "a",
            "state_file_name": tmp_path / "state.yaml",
            "postgres": {"dbname": "d", "user": "u"},
            "documents": [{**document, **watch}],
        }
    )


def test_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """None, fresh, old."""
    assert look(config(tmp_path)) == 1
    assert "no heartbeat in" in capsys.readouterr().out
    write_heartbeat(
        tmp_path / "state.yaml", Heartbeat(at=time.time(), fetch_delay=1, state="loading")
    )
    assert look(config(tmp_path)) == 0
    assert capsys.readouterr().out == "loading; no watermark yet\n"
    write_heartbeat(
        tmp_path / "state.yaml", Heartbeat(at=time.time() - 100, fetch_delay=1, state="loading")
    )
    assert look(config(tmp_path)) == 1
    assert "the last heartbeat was 100 s ago" in capsys.readouterr().out
