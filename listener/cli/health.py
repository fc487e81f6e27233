"""`listener health`: whether anything waits for a person; with --live, signs of life alone."""

from __future__ import annotations

import argparse
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from listener.config import Config
from listener.observations.events import Observe
from listener.observations.printable import one_line
from listener.runtime.lifecycle import Stop
from listener.state.file import StateError, replace
from listener.state.heartbeat import (
    NEED_A_PERSON,
    DaemonState,
    Heartbeat,
    heartbeat_path,
    read_heartbeat,
)

TICKS: Final = 3
AT_LEAST: Final = 10.0
"""Seconds: a busy machine may well hold up three short ticks."""
_START: Final = "Mend: start it anew (`listener run`); its log says more"
_MOST: Final = 3
"""So many matters are told in the line."""
_RESTART: Final = "Mend: restart it, and report what its log says"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument(
        "--live",
        action="store_true",
        help="signs of life alone: 1 only where a restart helps, for orchestrators that restart",
    )


def run(config: Config, _observe: Observe, _stop: Stop, given: argparse.Namespace) -> int:
    """As `look`, or `look_for_life`."""
    return look_for_life(config) if given.live else look(config)


def look(config: Config) -> int:
    """Print one line. Returns 0 where nothing waits for a person, else 1.

    A server that is away is no person's matter at once: the daemon waits for it, and goes on by
    itself. After five minutes it is, for it may never come back.
    """
    heartbeat = read_heartbeat(config.state_file_name)
    if heartbeat is None:
        print(_none(config))
        return 1
    well, line = judge(heartbeat, time.time())
    if lifeless(heartbeat) is not None:
        # whatever it said last, it may be able to say no more
        line = _unwritable(config.state_file_name) or line
    if heartbeat.host not in ("", socket.gethostname()):
        well = False
        line = (
            f"this is of another machine, {heartbeat.host}: ask there, for two daemons must not "
            f"share a state_file_name; it says: {line}"
        )
    print(one_line(line))
    return 0 if well else 1


def look_for_life(config: Config) -> int:
    """Print one line. Returns 1 where a restart helps, else 0: the process is gone, was frozen, or
    its work is stuck. Restarts help against nothing else, and each costs a catch-up.
    """
    path = config.state_file_name
    heartbeat = read_heartbeat(path)
    dead = _none(config) if heartbeat is None else lifeless(_with_signs(path, heartbeat))
    if dead is None:
        print("alive")
        return 0
    unknown = _unwritable(path)
    print(one_line(unknown or dead))
    return 1 if unknown is None else 0


def _none(config: Config) -> str:
    path = heartbeat_path(config.state_file_name)
    return f"no heartbeat in {path}: no daemon has started with this state_file_name. {_START}"


def _unwritable(path: Path) -> str | None:
    """Why no heartbeat can be written, so that an old one says nothing; None: it can."""
    probe = heartbeat_path(path).with_suffix(".probe")
    try:
        replace(probe, "probe", durable=False)
    except StateError as error:
        return f"not known: {error}"
    probe.unlink(missing_ok=True)
    return None


def _with_signs(path: Path, heartbeat: Heartbeat) -> Heartbeat:
    """The heartbeat; as young as its file, which a daemon touches while the disk is full."""
    try:
        touched = heartbeat_path(path).stat().st_mtime
    except OSError:
        return heartbeat
    return heartbeat.model_copy(update={"at": max(heartbeat.at, touched)})


def lifeless(heartbeat: Heartbeat, now: float | None = None) -> str | None:
    """Why this is no sign of life at `now` (seconds since 1970); None: it is one."""
    age = (time.time() if now is None else now) - heartbeat.at
    limit = max(TICKS * heartbeat.fetch_delay, AT_LEAST)
    if heartbeat.state == DaemonState.ENDED:
        return f"the daemon has ended, {max(age, 0):.0f} s ago. {_START}"
    if abs(age) > limit:
        # From the future: the clock was set back, and the daemon has not written since.
        when = f"{age:.0f} s ago" if age > 0 else f"{-age:.0f} s ahead of the clock"
        return f"the last heartbeat was {when} (limit {limit:g} s): {_told(heartbeat)}. {_START}"
    if heartbeat.stuck_for is not None:
        return f"stuck: its work gave no sign for {heartbeat.stuck_for:.0f} s. {_RESTART}"
    return None


def judge(heartbeat: Heartbeat, now: float) -> tuple[bool, str]:
    """Whether nothing waits for a person at `now` (seconds since 1970), and a line on it."""
    matters = "; also: ".join(str(one) for one in heartbeat.matters[:_MOST])
    if len(heartbeat.matters) > _MOST:
        matters += f"; and {len(heartbeat.matters) - _MOST} more"
    dead = lifeless(heartbeat, now)
    if heartbeat.state == DaemonState.ENDED and matters:
        return False, f"ended: {matters}"  # why, not only that
    if dead is not None:
        return False, dead
    if matters:
        known = matters.startswith(heartbeat.state)  # what is waited for names itself
        return False, matters if known else f"{heartbeat.state}: {matters}"
    if heartbeat.state in NEED_A_PERSON:
        return False, _told(heartbeat)
    if heartbeat.last_processed is None:
        return True, f"{_told(heartbeat)}; no watermark yet"
    behind = (datetime.fromtimestamp(now, UTC) - heartbeat.last_processed).total_seconds()
    moment = heartbeat.last_processed.astimezone(UTC).isoformat()
    return True, f"{_told(heartbeat)}; watermark {moment}, {max(behind, 0):.1f} s old"


def _told(heartbeat: Heartbeat) -> str:
    return heartbeat.state + (f" ({heartbeat.reason})" if heartbeat.reason else "")
