"""The upkeep of the triggers: mended where listener may, refused where a person must."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from listener import ListenerError, triggers
from listener.config import Config
from listener.documents.topology import Assembly, Reassemble, installation_of, watches_of
from listener.observations.events import Observe
from listener.postgres import Connection
from listener.runtime.lifecycle import Stop

_TOLD: Final = 3
"""Sentences of a cause that are told."""


class TriggersWrong(ListenerError):
    """The triggers are not as they should be, and only a person can mend that."""


class TriggerUpkeep:
    """Keeps the triggers of one pipeline as they should be."""

    def __init__(self, config: Config, parts: Assembly, observe: Observe, stop: Stop) -> None:
        self._config = config
        self._installation = replace(installation_of(config), watches=parts.watches)
        self._parts = parts
        self._observe = observe
        self._stop = stop

    def wrong(self, connection: Connection) -> tuple[str, ...]:
        """What is not as it should be, one sentence each."""
        try:
            return triggers.differences(connection, self._installation).wrong
        except triggers.TriggerError as error:
            return error.problems

    def ensure(self, connection: Connection, waiting: Callable[[str], object]) -> None:
        """Mend them where we may; see that the tables are still those of `parts`. `waiting` is
        called with the reason before each wait for a lock.

        Raises TriggersWrong with what a person must do; triggers.Busy, which passes by itself;
        Reassemble, Stopped, psycopg.Error.
        """
        parts = self._parts
        try:
            if self._installation.config.install == "auto":
                triggers.install(
                    connection,
                    self._installation,
                    observe=self._observe,
                    stop=self._stop,
                    hurry=True,
                    waiting=waiting,
                )
            found = triggers.differences(connection, self._installation)
        except triggers.Busy:
            raise
        except triggers.TriggerError as error:
            self._refuse_what_is_gone(connection)
            raise TriggersWrong(str(error)) from error
        for cause in found.causes:
            more = len(cause.reasons) - _TOLD
            told = "; ".join(cause.reasons[:_TOLD]) + (f" and {more} more" if more > 0 else "")
            mend = "run `listener triggers install`" if cause.mend is None else cause.mend
            raise TriggersWrong(told, mend=" ".join(mend.split()))
        if found.catalog.types() != {one.id: parts.types[one.id] for one in parts.watches}:
            raise Reassemble("the types of watched keys have changed")
        if found.catalog.zoneless() != parts.zoneless:
            raise Reassemble("the type of a stamp column has changed")

    def _refuse_what_is_gone(self, connection: Connection) -> None:
        """Raises Reassemble where the tables of the files are there, and others are not: what an
        index keeps does not fit the database any more, and holds nothing."""
        config = self._config
        schema = config.postgres.db_schema
        try:
            triggers.resolve(connection, watches_of(config), schema, config.triggers)
        except triggers.TriggerError:
            return
        try:
            triggers.resolve(connection, self._parts.watches, schema, config.triggers)
        except triggers.TriggerError as error:
            raise Reassemble(str(error)) from error
