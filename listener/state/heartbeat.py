"""The heartbeat: a sign of life beside the state file, for `listener health`.

It is worth nothing after a minute, and so is written without waiting for the disk.
"""

from __future__ import annotations

import contextlib
import time
from datetime import datetime
from pathlib import Path

from pydantic import ConfigDict

from listener.state.file import StateError, replace
from listener.state.model import Moment, Record


class Heartbeat(Record):
    """A sign of life. `at` is this machine's clock, in seconds since 1970.

    `state` is a word or two (serving, loading, waiting for PostgreSQL). With `guarded`, `braked`
    and `held` a person must act, and `listener health` fails. `reason` says why it is not serving.
    Fields that a newer release adds are ignored.
    """

    model_config = ConfigDict(extra="ignore")

    at: float
    fetch_delay: float
    state: str
    last_processed: Moment | None = None
    reason: str | None = None


def heartbeat_path(path: Path) -> Path:
    """The heartbeat's file beside the state file `path`."""
    return path.with_name(path.name + ".heartbeat")


def write_heartbeat(path: Path, heartbeat: Heartbeat) -> None:
    """Replace the heartbeat beside the state file `path`. Raises StateError as `write` does."""
    replace(heartbeat_path(path), heartbeat.model_dump_json() + "\n", durable=False)


def beat(
    path: Path,
    *,
    fetch_delay: float,
    what: str,
    last_processed: datetime | None = None,
    reason: str | None = None,
) -> None:
    """Write a heartbeat of now; a disk that cannot be written to is told when the state is."""
    with contextlib.suppress(StateError):
        write_heartbeat(
            path,
            Heartbeat(
                at=time.time(),
                fetch_delay=fetch_delay,
                state=what,
                last_processed=last_processed,
                reason=reason,
            ),
        )


def read_heartbeat(path: Path) -> Heartbeat | None:
    """The heartbeat beside the state file `path`; None where there is none that can be read."""
    try:
        return Heartbeat.model_validate_json(heartbeat_path(path).read_text("utf-8"))
    except (OSError, ValueError):
        return None
