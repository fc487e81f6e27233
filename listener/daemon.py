"""The daemon: builds the stages, starts and stops them, and turns what ends it into a status."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from enum import IntEnum
from functools import partial
from typing import TypeVar

import elasticsearch
import psycopg
from psycopg import errors

from listener import (
    __version__,
    assembly,
    elastic,
    identity,
    observations,
    postgres,
    preflight,
    sqlfiles,
    state,
    triggers,
)
from listener.assembly import Assembly, QueriesWrong, Reassemble
from listener.backoff import Backoff, backoff
from listener.checks import Finding, check_search
from listener.config import Config
from listener.control import ControlDocument
from listener.guard import GaveUp
from listener.history import ForeignState, refuse_foreign
from listener.indexes import Database, IndexError_
from listener.lifecycle import Stop, Stopped, wait_any
from listener.loader import AliasTaken
from listener.notifications import AlreadyActive, lock_holder
from listener.observations import Observe
from listener.postgres import Pooled
from listener.rendering import QueryFileError
from listener.settings import ConfigError
from listener.stages import Stages
from listener.state import StateError
from listener.surprises import SURPRISES, told


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


class _NotYet(Exception):
    """A server answers that it cannot answer yet, or what is not so at the next look."""


T = TypeVar("T")

REFUSALS = (
    AliasTaken,
    ConfigError,
    ForeignState,
    IndexError_,
    QueryFileError,
    Refused,
    StateError,
    triggers.TriggerError,
)


_TO_MEND: tuple[type[Exception], ...] = (*REFUSALS, psycopg.Error, *elastic.Error)
"""What a daemon that has served waits for a person to mend: a right that was revoked, too."""

SERVER_ERRORS: tuple[type[Exception], ...] = (GaveUp, _NotYet, psycopg.Error, *elastic.Error)


def _of_server(error: Exception) -> str:
    if isinstance(error, psycopg.Error):
        return postgres.describe(error)
    return elastic.describe(error)


def _passes(error: Exception) -> bool:
    if isinstance(error, psycopg.Error):
        return postgres.is_passing(error)
    return isinstance(error, _NotYet) or elastic.is_passing(error)


def _installed(connection: postgres.Connection, schema: str) -> bool:
    """Whether our own tables are there."""
    found = connection.execute(sqlfiles.load("watermark/installed"), {"schema": schema})
    return found.fetchone() is not None


class Daemon:
    """One run of a pipeline: for ever, once, or a full load."""

    def __init__(
        self,
        config: Config,
        *,
        observe: Observe,
        stop: Stop,
        once: bool = False,
        force: bool = False,
        repair: bool | None = None,
    ) -> None:
        """`once`: catch up and return. `force`: load everything anew, whatever was saved. `repair`:
        compare everything and mend it; True: delete any number of documents for it.
        """
        self._config = config
        self._observe = observe
        self._stop = stop
        self._halt = Stop()
        """What the stages listen to: requested by signals (`stop`), errors, and the end of work."""
        self._once = once
        self._force = force
        self._repair = repair
        self._served = False
        """Whether stages were started once: what does not fit from then on is waited for."""
        self._database: Database | None = None
        self._found: Sequence[Finding] = ()
        """What the start has found of the user's SQL files, and told."""
        self._told: Sequence[Finding] = ()
        """The same of the last session, while it holds for that."""
        self._ended = threading.Lock()
        self._reason: BaseException | None = None

    def run(self) -> Status:
        """Work until done or stopped. Returns when everything has stopped."""
        mode = "full load" if self._force else "once" if self._once else "daemon"
        self._observe(observations.Started(__version__, self._config.pipeline, mode))
        status = self._outcome(self._work)
        if status is Status.ACTIVE and self._once and not self._force and self._repair is None:
            status = self._outcome(self._beside_active)
        self._observe(observations.StoppedAll(int(status)))
        return status

    def _outcome(self, work: Callable[[], Status]) -> Status:
        """Do it; errors become what is told, and the exit status that they mean."""
        try:
            return work()
        except Stopped:
            return Status.GAVE_UP if self._once else Status.OK
        except Pooled as error:
            reason, status = self._describe(error), Status.USAGE
        except SERVER_ERRORS as error:
            reason, status = self._describe(error), Status.GAVE_UP
        except AlreadyActive as error:
            reason, status = f"already active: {error}", Status.ACTIVE
            if self._once and not self._force and self._repair is None:
                self._observe(observations.BesideActive(str(error)))
                return status
        except REFUSALS as error:
            reason, status = self._describe(error), Status.USAGE
        except Exception as error:
            reason, status = f"{type(error).__name__}: {error}", Status.DEFECT
            if error is not self._reason:  # else it was told where it happened
                self._observe(observations.Crashed(threading.current_thread().name, reason))
            return status
        self._observe(observations.Ended(reason))
        return status

    @staticmethod
    def _describe(error: BaseException) -> str:
        if isinstance(error, psycopg.Error):
            return f"PostgreSQL: {_of_server(error)}"
        if isinstance(error, elastic.Error):
            return f"Elasticsearch: {_of_server(error)}"
        return str(error)

    # -- before the threads ----------------------------------------------------------------------

    def _patient(
        self, server: str, exceptions: tuple[type[Exception], ...], look: Callable[[], T]
    ) -> T:
        """Do it, with patience for a server that is not up yet; --once gives up some time."""

        met: list[Exception] = []

        def looked() -> T:
            met.clear()
            try:
                return look()
            except exceptions as error:
                met.append(error)
                raise

        def on_wait(attempt: int, seconds: float, told: str) -> None:
            error = met[0] if met else None
            if error is not None and isinstance(error, (psycopg.Error, *elastic.Error)):
                told = _of_server(error)
            passes = error is None or _passes(error)
            if passes:
                self._observe(observations.Waiting(server, attempt, seconds, told))
            else:
                self._observe(observations.Held(f"{server}: {told}", seconds))
            state.beat(
                self._config.state_file_name,
                fetch_delay=self._config.fetch_delay,
                what=f"waiting for {server}" if passes else "held",
                reason=told,
            )

        waits = self._config.backoff
        decorate = backoff(
            start=waits.start,
            factor=waits.factor,
            limit=waits.limit,
            exceptions=exceptions,
            stop=self._stop,
            on_wait=on_wait,
            give_up_after=waits.give_up_after if self._once else None,
        )
        return decorate(looked)()

    def _prepare(self, client: elastic.Client) -> Assembly:
        """Triggers and checks. Raises Refused where anything is wrong that a person must mend."""
        try:
            # nothing is made in a database for a pipeline that would then be refused
            key = self._of_postgres(self._first)
            if key is not None:
                self._of_elasticsearch(partial(self._look_before, client, key))
            parts = self._of_postgres(self._look_at_postgres)
            self._of_elasticsearch(partial(self._look_at_elasticsearch, client))
        except SURPRISES as error:
            if isinstance(error, REFUSALS):
                raise
            raise Refused(told(error)) from error
        return parts

    def _prepare_again(self, client: elastic.Client) -> Assembly:
        """The same for a daemon that has served before: a migration that does not fit the
        configuration is no reason to end; hold until a person mends the one or the other."""
        limits = self._config.backoff
        waits = Backoff(limits.start, limits.factor, limits.limit)
        while True:
            try:
                return self._prepare(client)
            except _TO_MEND as error:
                reason = self._describe(error)
            seconds = waits.next_wait()
            self._observe(observations.Held(reason, seconds))
            state.beat(
                self._config.state_file_name,
                fetch_delay=self._config.fetch_delay,
                what="held",
                reason=reason,
            )
            if self._stop.wait(seconds):
                raise Stopped("stop was requested")

    def _of_postgres(self, look: Callable[[], T]) -> T:
        def looked() -> T:
            try:
                return look()
            except (errors.UndefinedTable, errors.InvalidSchemaName) as error:
                # somebody removes our schema while we look: the next look sees that it is gone
                if f'"{self._config.postgres.db_schema}' in str(error):
                    raise _NotYet(postgres.describe(error)) from error
                raise

        return self._patient("PostgreSQL", (psycopg.OperationalError, _NotYet), looked)

    def _of_elasticsearch(self, look: Callable[[], None]) -> None:
        def looked() -> None:
            try:
                look()
            except elasticsearch.ApiError as error:
                if elastic.is_passing(error):
                    raise _NotYet(elastic.describe(error)) from error
                raise

        self._patient("Elasticsearch", (elasticsearch.TransportError, _NotYet), looked)

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

    def _look_at_postgres(self) -> Assembly:
        config = self._config
        with postgres.connect(config.postgres, "listener: start") as connection:
            self._judge(preflight.look_at_server(connection))
            auto = config.triggers.install == "auto"
            # an active daemon may watch other tables, until it ends: its triggers are not ours yet
            standby = auto and self._is_standby(connection)
            if auto and not standby:
                triggers.install(
                    connection,
                    assembly.watches_of(config),
                    config.postgres.db_schema,
                    config.triggers,
                    config.postgres.user,
                    claim=triggers.Claim(config.pipeline),
                    observe=self._observe,
                    stop=self._stop,
                    hurry=True,
                )
            self._judge(preflight.look_at_triggers(config, connection, standby=standby))
            parts = assembly.assemble(config, connection)
            self._found = preflight.look_at_database(config, connection, parts)
            self._judge(self._found)
            self._refuse_foreign_state(connection, parts)
            self._database = identity.database(connection, config.postgres.db_schema)
            return parts

    def _is_standby(self, connection: postgres.Connection) -> bool:
        schema = self._config.postgres.db_schema
        return lock_holder(connection, schema) is not None and _installed(connection, schema)

    def _refuse_foreign_state(self, connection: postgres.Connection, parts: Assembly) -> None:
        """At once, and not only when a standby is needed. `force`: it is to be replaced."""
        saved = None if self._force else state.read(self._config.state_file_name)
        if saved is not None:
            facts = identity.read(connection, parts.watches, self._config.postgres.db_schema)
            refuse_foreign("state.yaml", saved.identity, facts.key, self._config.pipeline)

    def _look_before(self, client: elastic.Client, key: tuple[str, int, str]) -> None:
        """Refuse what belongs to another database, or to another schema of ours in this one."""
        found = check_search(
            client, self._config, names=False, database=self._database, take=self._force
        )
        self._judge([one for one in found if one.severity == "error"])
        name, index = self._config.pipeline, self._config.elasticsearch.control_index
        saved = None if self._force else ControlDocument(client, index, name).read().state
        if saved is not None:
            refuse_foreign("the control document", saved.identity, key, name)

    def _look_at_elasticsearch(self, client: elastic.Client) -> None:
        self._judge(
            check_search(
                client, self._config, names=False, database=self._database, take=self._force
            )
        )

    def _judge(self, findings: Sequence[Finding], told: Sequence[Finding] = ()) -> None:
        """Tell the findings, but for those that are `told`; errors end the start."""
        for one in findings:
            if one in told:
                continue
            if one.severity == "error":
                self._observe(observations.CheckFailed(one.what, one.mend))
            else:
                self._observe(observations.CheckWarning(one.what, one.mend))
        errors = [one for one in findings if one.severity == "error"]
        if errors:
            raise Refused(
                f"{errors[0].what}: {errors[0].mend}"
                if len(errors) == 1
                else f"{len(errors)} things to mend, each named above; `listener check` looks again"
            )

    def _judge_again(self, parts: Assembly, connection: postgres.Connection, again: bool) -> None:
        """For a session that finds that the queries mean something else. Raises QueriesWrong.

        Not `again`: for the first one, which tells no warning that the start has told. While it
        holds each thing is told once; `held` says at each try why.
        """
        found = preflight.look_at_database(self._config, connection, parts)
        told, self._told = self._told if again else self._found, found
        try:
            self._judge(found, told)
        except Refused as error:
            raise QueriesWrong(str(error)) from error
        self._told = ()

    # -- the stages ------------------------------------------------------------------------------

    def _work(self) -> Status:
        """Build the stages and run them; once more where the tables have changed their types."""
        client = elastic.connect(self._config.elasticsearch)
        while True:
            try:
                return self._run_stages(client)
            except Reassemble as error:
                self._observe(observations.Reassembled(str(error)))
                self._halt, self._reason = Stop(), None

    def _run_stages(self, client: elastic.Client) -> Status:
        config = self._config
        if not self._force:
            state.read(config.state_file_name)  # a damaged one is told at once
        parts = self._prepare_again(client) if self._served else self._prepare(client)
        stages = Stages(
            config=config,
            parts=parts,
            client=client,
            saved=partial(state.read, config.state_file_name),
            once=self._once,
            force=self._force,
            repair=self._repair,
            judge=partial(self._judge_again, parts),
            observe=self._observe,
            stop=self._halt,
            fatal=self.fatal,
        )
        relay = threading.Thread(target=self._relay, name="relay", daemon=True)
        relay.start()
        try:
            stages.start()
            self._served = True
            if self._once:
                stages.coordinator.run_once()
            else:
                self._halt.wait()
        finally:
            self._halt.request()
            if self._stop.requested:
                self._observe(observations.Stopping("a signal asked for it"))
            # in a thread: a main thread that blocks without a limit may not see a second signal
            stopping = threading.Thread(target=stages.stop, name="stopping", daemon=True)
            stopping.start()
            while stopping.is_alive():
                stopping.join(0.2)
            relay.join()
        if self._reason is not None:
            raise self._reason
        if self._once and self._stop.requested:
            return Status.GAVE_UP
        if self._once and stages.loads.guarded:
            return Status.USAGE
        return Status.PARKED if self._once and stages.pipeline.parked else Status.OK

    def _relay(self) -> None:
        """A signal's stop is everybody's stop."""
        wait_any(self._stop, self._halt)
        self._halt.request()

    def fatal(self, error: BaseException) -> None:
        """A thread cannot go on: stop everything. The first error counts."""
        with self._ended:
            if self._reason is None:
                self._reason = error
        if not isinstance(error, (*REFUSALS, AlreadyActive, GaveUp, Reassemble, Stopped)):
            name = threading.current_thread().name
            self._observe(observations.Crashed(name, f"{type(error).__name__}: {error}"))
        self._halt.request()

    def _beside_active(self) -> Status:
        """--once beside an active daemon writes nothing: it waits for that one's watermark."""
        config = self._config
        with postgres.connect(config.postgres, "listener: once") as connection:
            row = connection.execute("SELECT pg_catalog.clock_timestamp()").fetchone()
        assert row is not None
        wanted: datetime = row[0]
        control = ControlDocument(
            elastic.connect(config.elasticsearch),
            config.elasticsearch.control_index,
            config.pipeline,
        )
        deadline = time.monotonic() + max(config.backoff.give_up_after, 15)
        while time.monotonic() < deadline:
            try:
                found = control.read().state
            except elastic.Error:
                found = None
            if found is not None and found.last_processed and found.last_processed >= wanted:
                return Status.OK
            if self._stop.wait(0.25):
                break
        return Status.ACTIVE
