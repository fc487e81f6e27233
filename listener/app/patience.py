"""The patience of a start: it looks again while a server is not up yet, and says so."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import psycopg
from psycopg import errors

from listener import search, triggers
from listener.app.status import NotYet
from listener.config import Config
from listener.failures import SERVER_ERRORS, Failure, failure_of, mend_of
from listener.observations.events import Observe, ServerName
from listener.runtime.backoff import Backoff
from listener.runtime.lifecycle import Stop, Stopped
from listener.state.heartbeat import Matter, waiting_for
from listener.state.pulse import Pulse

T = TypeVar("T")


class Patience:
    """Looks at the two servers, and waits between two looks."""

    def __init__(
        self, config: Config, *, pulse: Pulse, observe: Observe, stop: Stop, once: bool
    ) -> None:
        """`once`: as of Daemon."""
        self._config = config
        self._pulse = pulse
        self._observe = observe
        self._stop = stop
        self._once = once

    def of_postgres(self, look: Callable[[], T]) -> T:
        """A look at PostgreSQL. Raises Stopped, and what does not pass or, with --once, lasts."""
        schema = self._config.postgres.db_schema

        def looked() -> T:
            try:
                return look()
            except triggers.Busy as error:  # another daemon installs, or a table is locked
                raise NotYet(str(error)) from error
            except triggers.TriggerError as error:
                if error.__cause__ is not None and _removed(error.__cause__, schema):
                    raise NotYet(str(error)) from error
                raise
            except psycopg.Error as error:
                if _removed(error, schema):
                    failure = failure_of(error)
                    raise NotYet(failure.reason, mend=failure.mend) from error
                raise

        return self._patient(ServerName.POSTGRES, (psycopg.OperationalError, NotYet), looked)

    def of_elasticsearch(self, look: Callable[[], T]) -> T:
        """The same of Elasticsearch."""

        def looked() -> T:
            try:
                return look()
            except search.Refused as error:
                failure = failure_of(error)
                if failure.passes:
                    raise NotYet(failure.reason, mend=failure.mend) from error
                raise

        return self._patient(ServerName.ELASTICSEARCH, (search.Away, NotYet), looked)

    def waits(self) -> Backoff:
        """The pauses of one row of failures."""
        limits = self._config.backoff
        return Backoff(limits.start, limits.factor, limits.limit)

    def wait(
        self, failure: Failure, waits: Backoff, matters: tuple[Matter, ...] | None = None
    ) -> None:
        """Tell of a failure, and wait before the next look. `matters`: what waits for a person;
        None: the reason says it, where it does not pass. Raises Stopped."""
        told = failure if failure.passes else replace(failure, reason=failure.named)
        seconds = told.next_wait(waits, self._observe)
        reason, mend = failure.reason, failure.mend
        if matters is None:
            matters = () if failure.passes else (Matter.of(reason, mend),)
        self._pulse.tell(waiting_for(failure.waits_for), reason, mend, matters=matters)
        if self._stop.wait(seconds):
            raise Stopped("stop was requested")

    def _patient(
        self, server: ServerName, exceptions: tuple[type[Exception], ...], look: Callable[[], T]
    ) -> T:
        """Look, and wait for a server that is not up yet; --once gives up after `give_up_after`."""
        began, waits = time.monotonic(), self.waits()
        while True:
            try:
                return look()
            except exceptions as error:
                lasts = time.monotonic() - began
                if self._once and lasts >= self._config.backoff.give_up_after:
                    raise
                reason = " ".join(str(error).split())
                failure = Failure(server, reason, passes=True, mend=mend_of(error))
                if isinstance(error, SERVER_ERRORS):
                    failure = failure_of(error)
            self.wait(failure, waits)


def _removed(error: BaseException, schema: str) -> bool:
    """Whether listener's schema, or a part of it, is removed at this moment, perhaps while triggers
    are installed: the next look sees that it is gone. A schema whose name only begins like that
    one would be waited for without end.
    """
    gone = (errors.UndefinedTable, errors.InvalidSchemaName, errors.UndefinedFunction)
    named = rf'"{re.escape(schema)}[".]|(?<![\w".]){re.escape(schema)}\.'
    return isinstance(error, gone) and re.search(named, str(error)) is not None
