"""What ends a run, or keeps it from beginning: in words, and whether it passes by itself."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from listener import ListenerError, failures, triggers
from listener.capture.notifications import AlreadyActive
from listener.config.settings import ConfigError
from listener.coordinator.retry import GaveUp
from listener.documents.files import QueryFileError
from listener.documents.topology import Reassemble
from listener.failures import Failure, failure_of, mend_of
from listener.resync.full_load import AliasTaken
from listener.resync.ownership import ForeignState
from listener.runtime.lifecycle import Stopped
from listener.search.index_config import IndexError_
from listener.state.file import StateError
from listener.state.heartbeat import Matter


class Status(IntEnum):
    """Exit statuses of run, --once and load."""

    OK = 0
    PARKED = 1
    USAGE = 2
    GAVE_UP = 3
    ACTIVE = 4
    DEFECT = 70


class Refused(ListenerError):
    """The configuration and the servers do not fit; the message says what to mend, and `matters`
    each thing of it."""

    def __init__(self, told: str, matters: tuple[Matter, ...] = ()) -> None:
        super().__init__(told)
        self.matters = matters


class NotYet(ListenerError):
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

TO_MEND: Final[tuple[type[Exception], ...]] = (*REFUSALS, *failures.SERVER_ERRORS)
"""What a daemon that has served waits for a person to mend: a right that was revoked, too."""

GIVEN_UP: Final[tuple[type[Exception], ...]] = (GaveUp, NotYet, *failures.SERVER_ERRORS)
"""A server is away, or was for too long."""

EXPECTED: Final[tuple[type[BaseException], ...]] = (
    *REFUSALS,
    AlreadyActive,
    GaveUp,
    Reassemble,
    Stopped,
)
"""What may end a thread and is no defect."""


def matters_of(error: BaseException) -> tuple[Matter, ...]:
    """What a person must mend before a run can begin, one by one where they are known."""
    known = error.matters if isinstance(error, Refused) else ()
    failure = to_mend(error)
    return known or (Matter.of(failure.reason, failure.mend),)


def to_mend(error: BaseException) -> Failure:
    """What ends a run, as a person's matter; the server's name first, where it is its error."""
    if isinstance(error, failures.SERVER_ERRORS):
        failure = failure_of(error)
        return Failure(None, failure.named, passes=False, mend=failure.mend)
    return Failure(None, str(error), passes=False, mend=mend_of(error))


def describe(error: BaseException) -> str:
    """One line for what ends a run."""
    return to_mend(error).told
