"""The heartbeat: signs of life and what waits for a person, in a file beside the state file.

It is the one place for how a daemon is: the daemon writes it (`pulse`), and `listener health`
renders it. It is worth nothing after a minute, and so is written without waiting for the disk.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Final

from pydantic import ConfigDict

from listener.observations.events import ServerName
from listener.observations.mends import with_mend
from listener.state.file import replace
from listener.state.model import Moment, Record


class DaemonState(StrEnum):
    """What the daemon does, in a word or two for people."""

    STARTING = "starting"
    SERVING = "serving"
    LOADING = "loading"
    COMPARING = "comparing database and index"
    STANDING_BY = "standing by"
    WAITING_FOR_POSTGRES = "waiting for PostgreSQL"
    WAITING_FOR_ELASTICSEARCH = "waiting for Elasticsearch"
    GUARDED = "guarded"
    BRAKED = "braked"
    HELD = "held"
    ENDED = "ended"


NEED_A_PERSON: Final = frozenset({DaemonState.GUARDED, DaemonState.BRAKED, DaemonState.HELD})
"""States in which a person must act, also where a heartbeat of a former release says no more."""
WAITING: Final = frozenset(
    {DaemonState.WAITING_FOR_POSTGRES, DaemonState.WAITING_FOR_ELASTICSEARCH}
)
"""States that pass by themselves, as a rule."""

_ASK: Final = "what `listener check` says"


class Matter(Record):
    """What waits for a person: why, and what mends it, with the command where there is one."""

    reason: str
    mend: str

    @classmethod
    def of(cls, reason: str, mend: str = "") -> Matter:
        """`mend` empty: it is not known, and the command that looks for it is named."""
        return cls(reason=reason, mend=mend or _ASK)

    def __str__(self) -> str:
        return with_mend(self.reason, self.mend)


class Heartbeat(Record):
    """How a daemon is. `at` is its machine's clock, in seconds since 1970; `told_at` that of the
    last sign of its work.

    `state` is a DaemonState, or one that only a newer release knows. `reason` says why it is not
    serving, `mend` what mends that. `matters`: what waits for a person. `stuck_for`: for how many
    seconds its work has given no sign, where that is too long; None: it works, or waits for a
    server. `host`: the machine's name; "": a former release did not say. Fields that a newer
    release adds are ignored.
    """

    model_config = ConfigDict(extra="ignore")

    at: float
    told_at: float = 0.0
    fetch_delay: float
    state: str
    last_processed: Moment | None = None
    reason: str | None = None
    mend: str = ""
    matters: tuple[Matter, ...] = ()
    stuck_for: float | None = None
    host: str = ""


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


def read_heartbeat(path: Path) -> Heartbeat | None:
    """The heartbeat beside the state file `path`; None where there is none that can be read."""
    try:
        return Heartbeat.model_validate_json(heartbeat_path(path).read_text("utf-8"))
    except (OSError, ValueError):
        return None
