"""What ends a run, or keeps it from beginning: in words, and whether it passes by itself."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import psycopg

from listener import postgres, search, triggers
from listener.capture.notifications import AlreadyActive
from listener.config.settings import ConfigError
from listener.coordinator.retry import GaveUp
from listener.documents.queries import QueryFileError
from listener.documents.topology import Reassemble
from listener.resync.full_load import AliasTaken
from listener.resync.ownership import ForeignState
from listener.runtime.lifecycle import Stopped
from listener.search.index_config import IndexError_
from listener.state.file import StateError


class Status(IntEnum):
    """Exit statuses of run, --once and load."""

    OK = 0
    PARKED = 1
    USAGE = 2
    GAVE_UP = 3
    ACTIVE = 4
    DEFECT = 70


class Refused(Exception):
    """The configuration and the servers do not fit; the message says what to mend."""


class NotYet(Exception):
    """A server answers that it cannot answer yet, or what is not so at the next look."""


REFUSALS: Final[tuple[type[Exception], ...]] = (
    AliasTaken,
    ConfigError,
    ForeignState,
    IndexError_,
    QueryFileError,
    Refused,
    StateError,
    triggers.TriggerError,
)
"""What a person must mend before a run can begin, or go on."""

TO_MEND: Final[tuple[type[Exception], ...]] = (*REFUSALS, psycopg.Error, *search.Error)
"""What a daemon that has served waits for a person to mend: a right that was revoked, too."""

SERVER_ERRORS: Final[tuple[type[Exception], ...]] = (GaveUp, NotYet, psycopg.Error, *search.Error)

EXPECTED: Final[tuple[type[BaseException], ...]] = (
    *REFUSALS,
    AlreadyActive,
    GaveUp,
    Reassemble,
    Stopped,
)
"""What may end a thread and is no defect."""


def of_server(error: Exception) -> str:
    """One line for an error of a server."""
    if isinstance(error, psycopg.Error):
        return postgres.describe(error)
    return search.describe(error)


def describe(error: BaseException) -> str:
    """One line for what ends a run; the server's name first, where it is a server's error."""
    if isinstance(error, psycopg.Error):
        return f"PostgreSQL: {of_server(error)}"
    if isinstance(error, search.Error):
        return f"Elasticsearch: {of_server(error)}"
    return str(error)


def passes(error: Exception) -> bool:
    """Whether an error of a server may pass by itself."""
    if isinstance(error, psycopg.Error):
        return postgres.is_passing(error)
    return isinstance(error, NotYet) or search.is_passing(error)
