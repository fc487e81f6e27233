"""The heartbeat: a sign of life beside the state file, for `listener health`.

It is worth nothing after a minute, and so is written without waiting for the disk.
"""

from __future__ import annotations

import contextlib
import time
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from pydantic import ConfigDict

from listener.observations.events import ServerName
from listener.state.file import StateError, replace
from listener.state.model import Moment, Record


class DaemonState(StrEnum):
    """What the daemon does, in a word or two for people."""

    SERVING = "serving"
    LOADING = "loading"
    STANDING_BY = "standing by"
    WAITING_FOR_POSTGRES = "waiting for PostgreSQL"
    WAITING_FOR_ELASTICSEARCH = "waiting for Elasticsearch"
    GUARDED = "guarded"
    BRAKED = "braked"
    HELD = "held"


NEED_A_PERSON: Final = frozenset({DaemonState.GUARDED, DaemonState.BRAKED, DaemonState.HELD})
"""States in which a person must act; `listener health` fails."""


class Heartbeat(Record):
    """A sign of life. `at` is this machine's clock, in seconds since 1970.

    `state` is a DaemonState, or one that only a newer release knows. `reason` says why it is not
    serving. Fields that a newer release adds are ignored.
    """

    model_config = ConfigDict(extra="ignore")

    at: float
    fetch_delay: float
    state: str
    last_processed: Moment | None = None
    reason: str | None = None


def waiting_for(server: ServerName | None) -> DaemonState:
    """The state until the next try. None: it is a person that must mend something."""
    if server is None:
        return DaemonState.HELD
    if server is ServerName.POSTGRES:
        return DaemonState.WAITING_FOR_POSTGRES
    return DaemonState.WAITING_FOR_ELASTICSEARCH


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
    state: DaemonState,
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
                state=state,
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
