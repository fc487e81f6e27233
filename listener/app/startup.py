"""The start: what is looked at, installed and refused before any thread begins."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial
from typing import Final

import psycopg

from listener import postgres, search, triggers
from listener.app.patience import Patience
from listener.app.status import REFUSALS, TO_MEND, Refused, matters_of, to_mend
from listener.capture.lock import lock_holder
from listener.checks import Finding, check_files, check_search, check_server, preflight
from listener.config import Config
from listener.documents import topology
from listener.documents.definition import Definition
from listener.documents.in_use import definitions_fed
from listener.documents.topology import Assembly, KeptDefinitions, QueriesWrong
from listener.failures import SERVER_ERRORS
from listener.observations import events
from listener.observations.events import Observe
from listener.observations.surprises import SURPRISES, told
from listener.resync.ownership import refuse_foreign
from listener.runtime.lifecycle import Stop
from listener.search.owners import Database
from listener.sql import files
from listener.state import file, identity
from listener.state.control import ControlDocument
from listener.state.heartbeat import DaemonState, Matter
from listener.state.pulse import Pulse

_LOOKS: Final = 3
"""How often triggers are installed where they were altered again before the next look at them."""


class Startup:
    """Of one process, which may start its parts more than once. It is the Judge of resync."""

    def __init__(
        self,
        config: Config,
        *,
        pulse: Pulse,
        observe: Observe,
        stop: Stop,
        once: bool,
        force: bool,
    ) -> None:
        """`once`, `force`: as of Daemon."""
        self._config = config
        self._pulse = pulse
        self._observe = observe
        self._stop = stop
        self._patience = Patience(config, pulse=pulse, observe=observe, stop=stop, once=once)
        self._force = force
        self._database: Database | None = None
        self._kept = KeptDefinitions()
        """Definitions of indexes in use, which the files do not say any more."""
        self._parts: Assembly | None = None
        """What the parts at work were built for."""
        self._found: Sequence[Finding] = ()
        """What the start has found of the user's SQL files, and told."""
        self._told: Sequence[Finding] = ()
        """What the last look for a session found and told, while that session is held for it."""

    def prepare(self, client: search.Client, *, served: bool) -> Assembly:
        """Triggers and checks; waits for servers that are not up yet.

        `served`: for a daemon that has served before a person's mistake is no reason to end. Raises
        Refused, and what else is in REFUSALS, where a person must mend something; errors of both
        clients that do not pass, or lasted for too long with --once; Stopped.
        """
        if not self._force:
            file.read(self._config.state_file_name)  # raises now where it is damaged
        self._parts = self._prepare_again(client) if served else self._prepare(client)
        return self._parts

    def _prepare(self, client: search.Client) -> Assembly:
        """Triggers and checks. Raises Refused where anything is wrong that a person must mend."""
        try:
            self._refuse_broken_files()
            # nothing is made in a database for a pipeline that would then be refused
            key = self._patience.of_postgres(self._first)
            if key is not None:
                self._patience.of_elasticsearch(partial(self._look_before, client, key))
            definitions = self._patience.of_elasticsearch(
                partial(definitions_fed, client, self._config)
            )
            parts = self._patience.of_postgres(partial(self._look_at_postgres, definitions))
            self._patience.of_elasticsearch(partial(self._look_at_elasticsearch, client))
        except SURPRISES as error:
            if isinstance(error, REFUSALS):
                raise
            raise Refused(told(error)) from error
        return parts

    def _refuse_broken_files(self) -> None:
        """Files that no server is needed for to refuse them; the others are looked at beside them,
        as far as the database answers. Nothing is installed for what is refused."""
        found = check_files(self._config.documents)
        if not any(one.severity == "error" for one in found):
            return
        with (
            contextlib.suppress(*SERVER_ERRORS),
            postgres.connect(self._config.postgres, "listener: start") as connection,
        ):
            found += preflight.look_at_statements(self._config, connection)
        self._judge(found)

    def _prepare_again(self, client: search.Client) -> Assembly:
        """The same for a daemon that has served before: a migration that does not fit the
        configuration is no reason to end; hold until a person mends the one or the other."""
        waits = self._patience.waits()
        while True:
            try:
                return self._prepare(client)
            except TO_MEND as error:
                failure, matters = to_mend(error), matters_of(error)
            self._patience.wait(failure, waits, matters)

    def _first(self) -> tuple[str, int, str] | None:
        """What tells a database that has no tables of ours yet; None where it has."""
        schema = self._config.postgres.db_schema
        with postgres.connect(self._config.postgres, "listener: start") as connection:
            if _installed(connection, schema):
                return None
            try:
                self._database = identity.database(connection, schema)
            except psycopg.Error:  # the look at PostgreSQL says what is lacking
                return None
        return self._database.key

    def _look_at_postgres(self, definitions: Sequence[Definition]) -> Assembly:
        config = self._config
        with postgres.connect(config.postgres, "listener: start") as connection:
            self._judge(check_server(connection))
            self._kept = topology.fitting(config, connection, definitions)
            self._judge(self._install(connection))
            parts = topology.assemble(config, connection, self._kept)
            self._found = preflight.look_at_database(config, connection, parts)
            self._judge(self._found)
            self._refuse_foreign_state(connection, parts)
            self._database = identity.database(connection, config.postgres.db_schema)
            return parts

    def _install(self, connection: postgres.Connection) -> list[Finding]:
        """Install the triggers where that is ours to do. How they differ then."""
        auto = self._config.triggers.install == "auto"
        for looks_left in reversed(range(_LOOKS)):
            # an active daemon may watch other tables, until it ends: its triggers are not ours yet
            standby = auto and self._is_standby(connection)
            if auto and not standby:
                triggers.install(
                    connection,
                    topology.installation_of(self._config, self._kept.fit),
                    observe=self._observe,
                    stop=self._stop,
                    hurry=True,
                    waiting=partial(self._pulse.tell, DaemonState.WAITING_FOR_POSTGRES),
                )
            found = preflight.look_at_triggers(
                self._config, connection, kept=self._kept.fit, standby=standby
            )
            altered = auto and any(one.severity == "error" for one in found)
            if not (altered and looks_left):
                break
        return found

    def _is_standby(self, connection: postgres.Connection) -> bool:
        schema = self._config.postgres.db_schema
        return lock_holder(connection, schema) is not None and _installed(connection, schema)

    def _refuse_foreign_state(self, connection: postgres.Connection, parts: Assembly) -> None:
        """Refuse a state.yaml of another database now. Else a standby would refuse it only when
        it takes over. With `force` the file is not read, since it is to be replaced.
        """
        saved = None if self._force else file.read(self._config.state_file_name)
        if saved is not None:
            facts = identity.read(connection, parts.watches, self._config.postgres.db_schema)
            refuse_foreign("state.yaml", saved.identity, facts.key, self._config.pipeline)

    def _look_before(self, client: search.Client, key: tuple[str, int, str]) -> None:
        """Refuse what belongs to another database, or to another schema of ours in this one."""
        found = check_search(
            client, self._config, names=False, database=self._database, take=self._force
        )
        self._judge([one for one in found if one.severity == "error"])
        name, index = self._config.pipeline, self._config.elasticsearch.control_index
        saved = None if self._force else ControlDocument(client, index, name).read().state
        if saved is not None:
            refuse_foreign("the control document", saved.identity, key, name)

    def _look_at_elasticsearch(self, client: search.Client) -> None:
        self._judge(
            check_search(
                client, self._config, names=False, database=self._database, take=self._force
            ),
            self._found,
        )

    def _judge(self, findings: Sequence[Finding], told: Sequence[Finding] = ()) -> None:
        """Tell the findings, but for those `told`; what refuses a daemon ends the start."""
        for one in findings:
            if one in told:
                continue
            if one.refuses:
                self._observe(events.CheckFailed(one.what, one.mend))
            else:
                self._observe(events.CheckWarning(one.what, one.mend))
        errors = [one for one in findings if one.refuses]
        if errors:
            raise Refused(
                f"{errors[0].what}: {errors[0].mend}"
                if len(errors) == 1
                else f"{len(errors)} things to mend, each named above; `listener check` looks "
                "again",
                tuple(Matter(reason=one.what, mend=one.mend) for one in errors),
            )

    def judge_queries(self, connection: postgres.Connection, *, again: bool) -> None:
        """For a session that finds that the queries mean something else. Raises QueriesWrong.

        Not `again`: for the first one, which tells no warning that the start has told. While it
        holds each thing is told once; `held` says at each try why.
        """
        assert self._parts is not None
        found = preflight.look_at_database(self._config, connection, self._parts)
        told, self._told = self._told if again else self._found, found
        try:
            self._judge(found, told)
        except Refused as error:
            raise QueriesWrong(str(error)) from error
        self._told = ()


def _installed(connection: postgres.Connection, schema: str) -> bool:
    """Whether our own tables are there."""
    found = connection.execute(files.load("watermark/installed"), {"schema": schema})
    return found.fetchone() is not None
