"""`listener rollback`: people search the former index again, in one step."""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import ExitStack
from typing import Final

from listener import postgres, search
from listener.app.daemon import Daemon
from listener.app.exit_status import status_of
from listener.app.status import Status
from listener.capture import journal
from listener.config import Config
from listener.documents.in_use import definitions_in_use
from listener.documents.topology import assemble, fitting
from listener.observations.events import Observe
from listener.observations.surprises import Unfit
from listener.resync.active import ActiveDaemon
from listener.resync.survey import Asked
from listener.runtime.lifecycle import Stop, Stopped
from listener.search.indexes import Indexes
from listener.state.control import ControlDocument
from listener.state.model import State

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


class _Rollback:
    def __init__(self, config: Config, observe: Observe, stop: Stop, stack: ExitStack) -> None:
        self._config = config
        self._observe = observe
        self._stop = stop
        self._client = search.connect(config.elasticsearch)
        stack.callback(self._client.close)
        self._stack = stack
        self._indexes = Indexes(self._client, config.pipeline)
        self._control = ControlDocument(
            self._client, config.elasticsearch.control_index, config.pipeline
        )

    def run(self, alias: str) -> int:
        """Go back with this alias."""
        known = [document.index for document in self._config.documents]
        if alias not in known:
            raise Unfit(
                f"no document of the configuration has the index {alias!r}: there are "
                f"{', '.join(known)}"
            )
        state = self._control.read().state
        kept = None if state is None else state.kept.get(alias)
        physical = self._former(alias) or (None if kept is None else kept.physical)
        if physical is None:
            return self._none(alias, state)
        connection = self._stack.enter_context(
            postgres.connect(self._config.postgres, "listener: rollback")
        )
        definitions = definitions_in_use(self._client, self._config)
        parts = assemble(self._config, connection, fitting(self._config, connection, definitions))
        schema = self._config.postgres.db_schema
        daemon = ActiveDaemon(connection, schema, parts.watches[0].id)
        status: int | None = None
        if daemon.at_work() and self._written_down(daemon, alias, physical):
            if self._kept(alias) != physical:
                if self._former(alias) == physical:
                    print(
                        f"{alias}: the active daemon has not written down yet that it keeps "
                        f"{physical}; its log says what it waits for, `listener health` too",
                        file=sys.stderr,
                    )
                    return int(Status.GAVE_UP)
                return self._none(alias, self._control.read().state)
            with connection.transaction():
                watch = parts.speaker(known.index(alias))
                journal.ask_rollback(connection, schema, watch, alias, physical)
                daemon.ring()
            print(f"asked the active daemon to go back to {physical}", flush=True)
            status = self._follow(daemon, alias, physical)
        if status is None:
            status = self._here(alias, physical)
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

    def _written_down(self, daemon: ActiveDaemon, alias: str, physical: str) -> bool:
        """Wait until the active daemon has saved that it keeps this index, or keeps it no more.
        False: no daemon is active any more."""
        until = time.monotonic() + self._config.backoff.give_up_after
        while self._kept(alias) != physical and self._former(alias) == physical:
            if not daemon.at_work():
                return False
            if time.monotonic() > until:
                break
            if self._stop.wait(_LOOK_EVERY):
                raise Stopped("stop was requested")
        return True

    def _here(self, alias: str, physical: str) -> int:
        """No daemon is active: catch up, and go back, unless that was done just now."""
        daemon = Daemon(
            self._config,
            observe=self._observe,
            stop=self._stop,
            once=True,
            asked=Asked(rollback={alias: physical}),
        )
        return int(daemon.run())

    def _follow(self, daemon: ActiveDaemon, alias: str, physical: str) -> int | None:
        """Until the daemon has done it, or cannot. None: it has ended before."""
        until = time.monotonic() + self._config.backoff.give_up_after
        while True:
            state = self._control.read().state
            kept = None if state is None else state.kept.get(alias)
            if kept is None or kept.physical != physical:
                return int(Status.OK)  # done, or given up: what the alias leads to tells
            if not daemon.at_work():
                return None
            if time.monotonic() > until:
                print(
                    f"{alias}: the active daemon has not come to it yet, and goes back when it "
                    "does; its log says what it waits for, `listener health` too",
                    file=sys.stderr,
                )
                return int(Status.GAVE_UP)
            if self._stop.wait(_LOOK_EVERY):
                raise Stopped("stop was requested")
            daemon.ring()

    def _leads_to(self, alias: str, physical: str) -> bool:
        behind = self._indexes.behind(alias)
        return behind is not None and behind.name == physical

    def _told(self, alias: str, physical: str, status: int) -> int:
        """How it ended, by what the alias leads to."""
        if not self._leads_to(alias, physical):
            return self._none(alias, self._control.read().state)
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

    def _none(self, alias: str, state: State | None) -> int:
        why = None if state is None else state.unkept.get(alias)
        told = _NONE if why is None else f"the former index was given up: {why}"
        print(f"listener: {alias}: not rolled back: {told}", file=sys.stderr)
        return int(Status.USAGE)
