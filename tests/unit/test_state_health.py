"""`listener health`."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from listener import cli
from listener.cli.health import judge, lifeless, look, look_for_life
from listener.config import Config
from listener.state.heartbeat import Heartbeat, Matter, heartbeat_path, write_heartbeat

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
        "the last heartbeat was 60 s ago (limit 10 s): waiting for PostgreSQL (refused). Mend: "
        "start it anew (`listener run`); its log says more",
    )
    assert "60 s ahead of the clock" in judge(waiting, NOW - 60)[1]


@pytest.mark.parametrize("state", ["guarded", "braked", "held"])
def test_what_waits_for_a_person_is_red(state: str) -> None:
    """Nobody looks at a green light. So it was in former releases, which told no more."""
    waiting = beat(0).model_copy(update={"state": state, "reason": "too many"})
    assert judge(waiting, NOW) == (False, f"{state} (too many)")


PARKED = Matter(reason="1 document is parked", mend="what `listener parked` says")
HELD = Matter.of("403 write block", "PUT /films/_settings")


def test_matters_make_one_line() -> None:
    """Each with what mends it, whatever the state is."""
    serving = beat(0).model_copy(update={"matters": (PARKED,)})
    assert judge(serving, NOW) == (
        False,
        "serving: 1 document is parked. Mend: what `listener parked` says",
    )
    held = serving.model_copy(update={"state": "held", "matters": (HELD, PARKED)})
    assert judge(held, NOW)[1] == (
        "held: 403 write block. Mend: PUT /films/_settings; also: 1 document is parked. Mend: what "
        "`listener parked` says"
    )
    many = serving.model_copy(update={"matters": (HELD, HELD, HELD, PARKED, PARKED)})
    assert judge(many, NOW)[1].endswith("/films/_settings; and 2 more")


def test_what_mends_is_told_once() -> None:
    """Where nothing is known to, `check` looks. Of a daemon that is frozen, or elsewhere, what a
    person does with it is told, and not what mended it before."""
    assert str(Matter.of("no such column.")) == ("no such column. Mend: what `listener check` says")
    waiting = Heartbeat(
        at=NOW, fetch_delay=1, state="held", reason="403 block", mend="PUT x", matters=(HELD,)
    )
    for line in (judge(waiting, NOW)[1], judge(waiting, NOW + 60)[1]):
        assert line.count("Mend: ") == 1, line


@pytest.mark.parametrize(
    ("update", "said", "live"),
    [
        ({"matters": (HELD,), "state": "held"}, "held: 403", True),
        ({"stuck_for": 400.0}, "stuck: its work gave no sign for 400 s", False),
        ({"state": "ended"}, "the daemon has ended, 0 s ago. Mend: start it", False),
        ({"state": "ended", "matters": (HELD,)}, "ended: 403 write block", False),
        ({"at": NOW - 11}, "the last heartbeat was 11 s ago", False),
        ({"at": NOW - 11, "matters": (HELD,)}, "the last heartbeat was 11 s ago", False),
    ],
)
def test_what_a_restart_mends(update: dict[str, object], said: str, live: bool) -> None:
    """Signs of life are missing. All of it is red; what waits for a person is alive."""
    found = beat(0).model_copy(update=update)
    assert (lifeless(found, NOW) is None) is live
    well, line = judge(found, NOW)
    assert not well
    assert line.startswith(said)


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
    assert look(config(tmp_path)) == look_for_life(config(tmp_path)) == 1
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


def test_another_machines_heartbeat(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two daemons share a folder. It says nothing of the one here; and no restart mends that."""
    beat = Heartbeat(at=time.time(), fetch_delay=1, state="serving", host="elsewhere")
    write_heartbeat(tmp_path / "state.yaml", beat)
    assert look(config(tmp_path)) == 1
    assert "this is of another machine, elsewhere: ask there" in capsys.readouterr().out
    assert look_for_life(config(tmp_path)) == 0


def test_a_disk_that_cannot_be_written_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A full one takes no heartbeat, but the file's time tells. Of a read-only one nothing can be
    known; a restart would mend neither."""
    path = tmp_path / "state.yaml"
    write_heartbeat(path, Heartbeat(at=time.time() - 100, fetch_delay=1, state="serving"))
    assert look_for_life(config(tmp_path)) == 0
    os.utime(heartbeat_path(path), (time.time() - 90,) * 2)
    assert look_for_life(config(tmp_path)) == 1
    assert "the last heartbeat was 90 s ago" in capsys.readouterr().out
    assert [one.name for one in tmp_path.iterdir()] == ["state.yaml.heartbeat"]
    not_a_folder = tmp_path / "state.yaml.heartbeat" / "below" / "state.yaml"
    unwritable = config(tmp_path).model_copy(update={"state_file_name": not_a_folder})
    assert look_for_life(unwritable) == 0
    assert capsys.readouterr().out.startswith("not known: cannot write ")
    assert look(unwritable) == 1


def test_a_configuration_with_a_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The daemon at work has the former one. A restart would only end it."""
    path = tmp_path / "config.yaml"
    path.write_text("pipelin: a\n")
    assert cli.main(["--config", str(path), "health"]) == 2
    assert cli.main(["--config", str(path), "health", "--live"]) == 0
    assert capsys.readouterr().err.count("no such option") == 2
