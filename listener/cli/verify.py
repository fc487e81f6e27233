"""`listener verify`: index against query, both ways; with --repair mend what differs."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

from listener import postgres, search
from listener.app.daemon import Daemon
from listener.app.exit_status import status_of
from listener.app.status import Status
from listener.capture import journal
from listener.config import Config
from listener.documents.in_use import definitions_in_use
from listener.documents.topology import Assembly, assemble, fitting
from listener.indexing.parked_table import ParkedTable
from listener.observations.events import Observe
from listener.postgres import Connection
from listener.resync.active import ActiveDaemon
from listener.resync.survey import Asked
from listener.resync.verify import Verification, Verified
from listener.runtime.lifecycle import Stop
from listener.state.control import ControlDocument

DIFFERENT: Final = 1


def arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument(
        "--repair",
        action="store_true",
        help="mend what differs: asks the active daemon to, or does it where there is none",
    )
    parser.add_argument(
        "--allow-deletes",
        action="store_true",
        help="with --repair: delete any number of documents that are not in the database",
    )


def run(config: Config, observe: Observe, stop: Stop, given: argparse.Namespace) -> int:
    """Print what differs: 0 nothing, 1 something, 2 configuration, 3 a server is away."""

    def work() -> int:
        with ExitStack() as stack:
            return _Verify(config, observe, stop, stack).run(given.repair, given.allow_deletes)

    return status_of(work)


class _Verify:
    def __init__(self, config: Config, observe: Observe, stop: Stop, stack: ExitStack) -> None:
        self._config = config
        self._observe = observe
        self._stop = stop
        schema = config.postgres.db_schema
        self._connection: Connection = stack.enter_context(
            postgres.connect(config.postgres, "listener: verify")
        )
        client = search.connect(config.elasticsearch)
        stack.callback(client.close)
        # each index is compared with what has made it, whatever the files say by now
        definitions = definitions_in_use(client, config)
        kept = fitting(config, self._connection, definitions)
        self._parts: Assembly = assemble(config, self._connection, kept)
        self._kinds = self._parts.made_by({one.index: one.hash for one in definitions})
        self._daemon = ActiveDaemon(self._connection, schema, self._parts.watches[0].id)
        self._verification = Verification(
            connection=self._connection,
            client=client,
            control=ControlDocument(client, config.elasticsearch.control_index, config.pipeline),
            parked=ParkedTable(schema),
            daemon=self._daemon,
            observe=observe,
            stop=stop,
        )

    def run(self, repair: bool, allow_deletes: bool) -> int:
        """Compare, tell, and mend where it was asked for."""
        began = time.monotonic()
        verdicts = self._compare()
        took = time.monotonic() - began
        if not repair:
            if not any(one.report.wrong for one in verdicts):
                return int(Status.OK)
            print("`listener verify --repair` mends it")
            return DIFFERENT
        to_repair = [one for one in verdicts if one.to_repair]
        if not to_repair:
            return int(Status.OK)
        for one in to_repair:
            if one.report.needs_word and not allow_deletes:
                print(
                    f"{one.kind.index}: {one.report.counts['orphaned']} documents are not in the "
                    f"database, more than the {one.report.deletes_allowed} that are deleted "
                    "without asking. Is this the right database, whole? If so, add "
                    "--allow-deletes. Nothing was mended.",
                    file=sys.stderr,
                )
                return DIFFERENT
        if self._daemon.at_work():
            self._ask(to_repair, allow_deletes)
            print("asked the active daemon to mend it; comparing again")
            self._verification.wait_for_repair(took)
        else:
            daemon = Daemon(
                self._config,
                observe=self._observe,
                stop=self._stop,
                once=True,
                asked=Asked(repair=allow_deletes),
            )
            status = daemon.run()
            if status not in (Status.OK, Status.PARKED):
                return int(status)
        again = self._compare()
        return DIFFERENT if any(one.report.wrong for one in again) else int(Status.OK)

    def _compare(self) -> list[Verified]:
        verdicts = []
        for kind in self._kinds:
            verdict = self._verification.run(kind)
            for line in verdict.report.lines():
                print(line, flush=True)
            verdicts.append(verdict)
        return verdicts

    def _ask(self, verdicts: Sequence[Verified], allow_deletes: bool) -> None:
        """Leave a request in the journal, which only listener can write to, and ring."""
        schema = self._config.postgres.db_schema
        asked = [self._parts.speaker(one.kind.document) for one in verdicts]
        with self._connection.transaction():
            journal.ask_repair(self._connection, schema, asked, allow_deletes=allow_deletes)
            self._daemon.ring()
