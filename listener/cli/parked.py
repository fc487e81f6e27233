"""`listener parked`: documents that were put aside, and why; with --retry send them again."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Final

from psycopg import errors

from listener import postgres, triggers
from listener.app.daemon import Daemon
from listener.app.exit_status import status_of
from listener.app.status import Status
from listener.capture import journal
from listener.config import Config
from listener.documents import topology
from listener.indexing.parked_table import ParkedDocument, ParkedTable, explain
from listener.observations.events import Observe
from listener.observations.printable import shown
from listener.observations.surprises import Unfit
from listener.postgres import Connection
from listener.resync.active import ActiveDaemon
from listener.resync.retried import retried
from listener.runtime.lifecycle import Stop, Stopped
from listener.search.write_aliases import made_for

SOME: Final = 1
VERDICT_PATIENCE: Final = 30.0
"""Seconds of waiting for the active daemon's verdicts."""
_LOOK: Final = 0.2


def arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("ids", nargs="*", metavar="ID", help="only these documents")
    parser.add_argument("--index", metavar="NAME", help="only documents of this index")
    parser.add_argument(
        "--retry",
        action="store_true",
        help="read them and send them again: asks the active daemon to, or does it where there "
        "is none",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(config: Config, observe: Observe, stop: Stop, given: argparse.Namespace) -> int:
    """Print what is parked: 0 nothing, 1 something, 2 configuration, 3 a server is away."""

    def work() -> int:
        with postgres.connect(config.postgres, "listener: parked") as connection:
            triggers.refuse_other_pipeline(connection, config.postgres.db_schema, config.pipeline)
            chosen = _Choice(config, connection, given.index, given.ids)
            found = chosen.read()
            if not found and not given.json:
                named = given.ids or given.index is not None
                print("none of these is parked" if named else "nothing is parked")
                return int(Status.OK)
            if not given.retry:
                _tell(found, config, as_json=given.json)
                return SOME if found else int(Status.OK)
            return _Retry(config, observe, stop, connection, chosen).run(found)

    return status_of(work)


class _Choice:
    """What of the table is asked for."""

    def __init__(
        self, config: Config, connection: Connection, index: str | None, ids: Sequence[str]
    ) -> None:
        known = [document.index for document in config.documents]
        self.table = ParkedTable(config.postgres.db_schema)
        self._connection = connection
        self._index = index
        self._ids = frozenset(ids)
        try:
            names = {one.index for one in self.table.read(connection)}
        except (errors.UndefinedTable, errors.InvalidSchemaName) as error:
            raise Unfit(
                f"there is no table {config.postgres.db_schema}.parked in this database: "
                "`listener triggers install` makes it"
            ) from error
        if index is not None and index not in names.union(known):
            raise Unfit(f"no index {index!r}: the configuration has {', '.join(known)}")

    def read(self) -> list[ParkedDocument]:
        """The chosen documents as they stand in the table now."""
        return [
            one
            for one in self.table.read(self._connection)
            if (self._index is None or one.index == self._index)
            and (not self._ids or one.id in self._ids)
        ]


def _tell(found: Sequence[ParkedDocument], config: Config, *, as_json: bool) -> None:
    if as_json:
        for one in found:
            print(
                json.dumps(
                    {
                        "index": one.index,
                        "id": one.id,
                        "reason": one.reason,
                        "explanation": explain(one.reason),
                        "first_at": _in_utc(one.first_at),
                        "last_at": _in_utc(one.last_at),
                        "count": one.count,
                    },
                    ensure_ascii=False,
                )
            )
        return
    known = [document.index for document in config.documents]
    for index, documents in groupby(found, key=lambda one: one.index):
        group = list(documents)
        foreign = "" if index in known else " (an index of an earlier configuration)"
        if any(made_for(alias).fullmatch(index) for alias in known):
            foreign = " (not in use: it is being loaded, or kept to go back to)"
        print(f"{index}{foreign}: {len(group)} parked")
        for one in group:
            print(f"  {shown(one.id)}")
            print(f"    refused {_times(one)}")
            print(f"    {shown(one.reason)}")
            text = explain(one.reason)
            if text:
                print(f"    {text}")
    print("each is tried again when one of its rows changes; all of them: listener parked --retry")


def _times(one: ParkedDocument) -> str:
    if one.count == 1:
        return f"once, {_in_utc(one.first_at)}"
    return f"{one.count} times, first {_in_utc(one.first_at)}, last {_in_utc(one.last_at)}"


def _in_utc(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


class _Retry:
    """Has parked documents tried again, and tells what came of it."""

    def __init__(
        self,
        config: Config,
        observe: Observe,
        stop: Stop,
        connection: Connection,
        chosen: _Choice,
    ) -> None:
        self._config = config
        self._observe = observe
        self._stop = stop
        self._connection = connection
        self._chosen = chosen
        self._schema = config.postgres.db_schema

    def run(self, found: Sequence[ParkedDocument]) -> int:
        """0: none of these is parked any more; 1: some are; 3: they were not tried in time."""
        parts = topology.assemble(self._config, self._connection)
        daemon = ActiveDaemon(self._connection, self._schema, parts.watches[0].id)
        watch_of = {
            one.index: parts.speaker(kind.number)
            for one in found
            for kind in parts.files
            # or of an index that is loaded for it
            if one.index == kind.index or made_for(kind.index).fullmatch(one.index)
        }
        before = [one for one in found if one.index in watch_of]
        self._forget([one for one in found if one.index not in watch_of])
        with self._connection.transaction():
            for index, group in groupby(before, key=lambda one: one.index):
                ids = [one.id for one in group]
                journal.ask_retry(self._connection, self._schema, watch_of[index], index, ids)
            daemon.ring()
        if not before:
            return int(Status.OK)
        if daemon.at_work():
            print(f"asked the active daemon to try {len(before)} again")
            self._wait(before)
        else:
            status = Daemon(self._config, observe=self._observe, stop=self._stop, once=True).run()
            if status not in (Status.OK, Status.PARKED):
                return int(status)
        return self._result(before)

    def _forget(self, leftovers: Iterable[ParkedDocument]) -> None:
        for index, group in groupby(leftovers, key=lambda one: one.index):
            ids = [one.id for one in group]
            self._chosen.table.clear(self._connection, index, ids)
            print(f"{index}: {len(ids)} forgotten: no document of the configuration has this index")

    def _wait(self, before: Sequence[ParkedDocument]) -> None:
        deadline = time.monotonic() + VERDICT_PATIENCE
        while retried(before, self._chosen.read()).untried and time.monotonic() < deadline:
            if self._stop.wait(_LOOK):
                print("the daemon goes on with it; `listener parked` shows what is still refused")
                raise Stopped("stop was requested")

    def _result(self, before: Sequence[ParkedDocument]) -> int:
        found = retried(before, self._chosen.read())
        tried, still = len(before) - found.untried, len(found.still)
        print(f"{tried} tried again: {found.cleared} parked no longer, {still} still refused")
        for one in found.still:
            print(f"  {one.index} {shown(one.id)}: {shown(one.reason)}")
        if found.untried:
            print(
                f"{found.untried} not tried yet: the daemon has not come to them in "
                f"{VERDICT_PATIENCE:g} s. Its log says what it waits for, `listener health` too; "
                "it will try them then.",
                file=sys.stderr,
            )
            return int(Status.GAVE_UP)
        return SOME if still else int(Status.OK)
