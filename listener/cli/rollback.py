"""`listener rollback`: people search the former index again, in one step."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from listener import postgres, search
from listener.app.daemon import Daemon
from listener.app.exit_status import status_of
from listener.app.status import Status
from listener.capture import journal
from listener.config import Config
from listener.config.documents import not_configured
from listener.documents.in_use import definitions_in_use
from listener.documents.topology import assemble, fitting
from listener.observations.events import Observe
from listener.observations.surprises import Unfit
from listener.postgres import Connection
from listener.resync.active import ActiveDaemon
from listener.resync.survey import Asked
from listener.runtime.lifecycle import Stop, Stopped
from listener.search.indexes import Indexes
from listener.state.control import ControlDocument

_LOOK_EVERY: Final = 0.2
_NONE: Final = (
    "no former index is kept. One is kept after a swap, for as long as keep_former says, where it "
    "was followed up to then"
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("index", metavar="INDEX", help="the alias that is to lead to it")


def run(config: Config, observe: Observe, stop: Stop, given: argparse.Namespace) -> int:
    """Go back: 0 done, 1 done and some documents are parked, 2 configuration, or there is no former
    index, 3 a server is away, or the active daemon does not come to it."""

    def work() -> int:
        with ExitStack() as stack:
            return _Rollback(config, observe, stop, stack).run(given.index)

    return status_of(work)


@dataclass(frozen=True, slots=True)
class _Wish:
    """`physical`: the former index of the alias. `watch`: by which the journal names it."""

    alias: str
    physical: str
    watch: str


class _Rollback:
    def __init__(self, config: Config, observe: Observe, stop: Stop, stack: ExitStack) -> None:
        self._config = config
        self._observe = observe
        self._stop = stop
        self._client = search.connect(config.elasticsearch)
        stack.callback(self._client.close)
        self._stack = stack
        self._schema = config.postgres.db_schema
        self._indexes = Indexes(self._client, config.pipeline)
        self._control = ControlDocument(
            self._client, config.elasticsearch.control_index, config.pipeline
        )

    def run(self, alias: str) -> int:
        """Go back with this alias."""
        known = [document.index for document in self._config.documents]
        if alias not in known:
            raise Unfit(not_configured(alias, known))
        physical = self._former(alias) or self._kept(alias)
        if physical is None:
            return self._none(alias)
        connection = self._stack.enter_context(
            postgres.connect(self._config.postgres, "listener: rollback")
        )
        definitions = definitions_in_use(self._client, self._config)
        parts = assemble(self._config, connection, fitting(self._config, connection, definitions))
        wish = _Wish(alias, physical, parts.speaker(known.index(alias)))
        daemon = ActiveDaemon(connection, self._schema, parts.watches[0].id)
        status = self._beside(connection, daemon, wish) if daemon.at_work() else None
        if status is None:
            status = self._here(wish)
        if status == Status.ACTIVE:  # another one has begun since
            again = self._beside(connection, daemon, wish)
            status = status if again is None else again
        done = self._leads_to(alias, physical)  # whatever waits for a person elsewhere
        if status not in (Status.OK, Status.PARKED) and not done:
            return status
        return self._told(alias, physical, status)

    def _former(self, alias: str) -> str | None:
        """By its write alias: a swap is seen there before it is written down."""
        found = self._indexes.former(alias)
        return None if found is None else found.name

    def _kept(self, alias: str) -> str | None:
        """The former index by what is saved."""
        state = self._control.read().state
        kept = None if state is None else state.kept.get(alias)
        return None if kept is None else kept.physical

    def _beside(self, connection: Connection, daemon: ActiveDaemon, wish: _Wish) -> int | None:
        """Have the active daemon do it. None: it has ended before. OK: it is done, or there is
        nothing to go back to; what the alias leads to tells."""
        for active in self._looks(daemon):
            if self._kept(wish.alias) == wish.physical:
                break
            if self._former(wish.alias) != wish.physical:
                return int(Status.OK)
            if not active:
                return None
        else:
            return _late(wish, f"has not written down yet that it keeps {wish.physical}")
        with connection.transaction():
            journal.ask_rollback(connection, self._schema, wish.watch, wish.alias, wish.physical)
            daemon.ring()
        print(f"asked the active daemon to go back to {wish.physical}", flush=True)
        for active in self._looks(daemon):
            if self._kept(wish.alias) != wish.physical:
                return int(Status.OK)
            if not active:
                return None
        return _late(wish, "has not come to it yet, and goes back when it does")

    def _looks(self, daemon: ActiveDaemon) -> Iterator[bool]:
        """One look after the other, as long as the daemon has time: whether one was active just
        before. What is not done then, no daemon does any more. Raises Stopped."""
        until = time.monotonic() + self._config.backoff.give_up_after
        while time.monotonic() <= until:
            yield daemon.at_work()
            if self._stop.wait(_LOOK_EVERY):
                raise Stopped("stop was requested")
            daemon.ring()

    def _here(self, wish: _Wish) -> int:
        """No daemon is active: catch up, and go back."""
        daemon = Daemon(
            self._config,
            observe=self._observe,
            stop=self._stop,
            once=True,
            asked=Asked(rollback={wish.alias: wish.physical}),
        )
        return int(daemon.run())

    def _leads_to(self, alias: str, physical: str) -> bool:
        behind = self._indexes.behind(alias)
        return behind is not None and behind.name == physical

    def _told(self, alias: str, physical: str, status: int) -> int:
        """How it ended, by what the alias leads to."""
        if not self._leads_to(alias, physical):
            return self._none(alias)
        print(f"{alias}: people search {physical} again")
        state = self._control.read().state
        if state is not None and alias in state.rolled_back:
            print(
                f"the files of {alias} are not in force now: put them right, or `listener load "
                f"{alias}` loads them again"
            )
        if state is not None and alias in state.kept:
            print(f"`listener rollback {alias}` once more goes forth again")
        return status

    def _none(self, alias: str) -> int:
        state = self._control.read().state
        why = None if state is None else state.unkept.get(alias)
        told = _NONE if why is None else f"the former index was given up: {why}"
        print(f"listener: {alias}: not rolled back: {told}", file=sys.stderr)
        return int(Status.USAGE)


def _late(wish: _Wish, why: str) -> int:
    print(
        f"{wish.alias}: the active daemon {why}; its log says what it waits for, "
        "`listener health` too",
        file=sys.stderr,
    )
    return int(Status.GAVE_UP)
