"""`listener health`: whether the daemon on this machine gives signs of life, for HEALTHCHECK."""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime
from typing import Final

from listener.config import Config
from listener.observations.events import Observe
from listener.runtime.lifecycle import Stop
from listener.state.heartbeat import (
    NEED_A_PERSON,
    Heartbeat,
    heartbeat_path,
    read_heartbeat,
)

TICKS: Final = 3
AT_LEAST: Final = 10.0
"""Seconds: a busy machine may well hold up three short ticks."""


def arguments(_parser: argparse.ArgumentParser) -> None:
    """This command has no arguments of its own."""


def run(config: Config, _observe: Observe, _stop: Stop, _given: argparse.Namespace) -> int:
    """As `look`."""
    return look(config)


def look(config: Config) -> int:
    """Print one line, return 0 or 1.

    It asks whether the process works, not whether the servers do: a daemon that waits for
    PostgreSQL is healthy, and restarting it would not help. Nor would it help one that waits for a
    person: to mend what it is held for, or what so many documents are refused for, or to decide on
    deletes. But that must be noticed, so it is not healthy.
    """
    heartbeat = read_heartbeat(config.state_file_name)
    if heartbeat is None:
        print(
            f"no heartbeat in {heartbeat_path(config.state_file_name)}: no daemon has started "
            "with this state_file_name"
        )
        return 1
    healthy, sentence = judge(heartbeat, time.time())
    print(sentence)
    return 0 if healthy else 1


def judge(heartbeat: Heartbeat, now: float) -> tuple[bool, str]:
    """Whether the heartbeat is young enough at `now` (seconds since 1970), and a line on it."""
    limit = max(TICKS * heartbeat.fetch_delay, AT_LEAST)
    age = now - heartbeat.at
    told = heartbeat.state + (f" ({heartbeat.reason})" if heartbeat.reason else "")
    if abs(age) > limit:
        # From the future: the clock was set back, and the daemon has not written since.
        when = f"{age:.0f} s ago" if age > 0 else f"{-age:.0f} s ahead of the clock"
        return False, f"the last heartbeat was {when} (limit {limit:g} s): {told}"
    if heartbeat.state in NEED_A_PERSON:
        return False, told  # a person must decide, and a green light is not looked at
    if heartbeat.last_processed is None:
        return True, f"{told}; no watermark yet"
    behind = (datetime.fromtimestamp(now, UTC) - heartbeat.last_processed).total_seconds()
    moment = heartbeat.last_processed.astimezone(UTC).isoformat()
    return True, f"{told}; watermark {moment}, {max(behind, 0):.1f} s old"
