"""Carrying steps out, on one connection: bounded waits for locks, one installer at a time."""

from __future__ import annotations

import contextlib
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final

import psycopg
from psycopg import sql

from listener import ListenerError
from listener.observations.events import CheckWarning, MakingIndex, Observe, ServerName, Waiting
from listener.postgres import Connection, describe
from listener.runtime.backoff import Backoff
from listener.runtime.lifecycle import Stop, Stopped
from listener.triggers import locks
from listener.triggers.catalog import Busy, TriggerError, rows
from listener.triggers.refused import way_out
from listener.triggers.steps import Step

_LOCK_CLASS: Final = 0x4C53544E
"""First half of the advisory lock's key, so that no other program has the same one."""

_LOCKED: Final = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.QueryCanceled,
)
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 1.0
"""Seconds between two tries: many times as long as a try lasts, so that others hardly notice."""
_HURRY: Final = 2.0
"""Seconds in a hurry for an index, which no writer waits behind (it is made CONCURRENTLY), and for
another installer to end."""


class Execution:
    """Runs steps on one connection, and waits for locks in short tries."""

    def __init__(
        self,
        conn: Connection,
        observe: Observe,
        stop: Stop,
        patience: float,
        *,
        hurry: bool = False,
        waiting: Callable[[str], object] = lambda _: None,
    ) -> None:
        """`patience`: seconds of waiting for one step. `hurry`: an index and another installer get
        less. `waiting` is called with the reason before each wait. Raises ValueError where the
        connection is not in autocommit.
        """
        if not conn.autocommit:
            raise ValueError("triggers are installed on a connection in autocommit")
        self._conn = conn
        self._observe = observe
        self._stop = stop
        self._patience = patience
        self._hurry = hurry
        self._waiting = waiting
        self._longest = locks.FIRST
        self._schema = ""
        self.statements = 0
        """How many were carried out."""

    @contextlib.contextmanager
    def alone(self, schema: str) -> Iterator[None]:
        """Hold the lock of this schema's installer; no timeouts of the role meanwhile."""
        conn = self._conn
        self._schema = schema
        key = (_LOCK_CLASS, zlib.crc32(schema.encode()) - (1 << 31))
        tries = _Tries(self, f"the schema {schema}", most=self._limit)
        while True:
            row = conn.execute("SELECT pg_catalog.pg_try_advisory_lock(%s, %s)", key).fetchone()
            if row is not None and row[0]:
                break
            tries.wait(f"another process installs or removes triggers{self._installer(key)}")
        former: list[tuple[str, str]] = []
        try:
            for name in ("statement_timeout", "lock_timeout"):
                row = conn.execute("SELECT pg_catalog.current_setting(%s)", (name,)).fetchone()
                assert row is not None
                former.append((name, row[0]))
                self._set(name, "0")
            self._longest = locks.bound(conn)
            yield
        finally:
            if not conn.closed:
                for setting in former:
                    self._set(*setting)
                conn.execute("SELECT pg_catalog.pg_advisory_unlock(%s, %s)", key)

    def run(self, step: Step) -> None:
        """Carry one step out. Raises TriggerError where PostgreSQL refuses it, and Stopped."""
        tries = _Tries(self, step.title, most=float("inf") if step.transaction else self._limit)
        while True:
            try:
                self._once(step, tries.attempt)
            except _NotFree as error:
                tries.wait(f"{error}{self._holders(step)}")
            except _LOCKED as error:
                if not step.transaction:
                    self._undo(step)
                    raise TriggerError(
                        f"{step.title}: {describe(error)}{self._older()}: try again when it "
                        "has ended"
                    ) from error
                tries.wait(describe(error) + self._holders(step))
            except psycopg.errors.InsufficientPrivilege as error:
                if step.mend is not None:
                    raise TriggerError(*(f"{one}: {step.mend}" for one in step.reasons)) from error
                way = way_out(self._conn, step, self._schema, error)
                raise TriggerError(f"{step.title}: {describe(error)}: {way}") from error
            except psycopg.OperationalError:
                raise
            except psycopg.Error as error:
                raise TriggerError(f"{step.title}: {describe(error)}") from error
            else:
                self.statements += len(step.statements)
                return

    def _once(self, step: Step, attempt: int) -> None:
        if not step.transaction:
            self._concurrently(step)
            return
        short = locks.lasts(attempt, self._longest)
        with self._conn.transaction():
            self._conn.execute(sql.SQL(f"SET LOCAL lock_timeout = {short}"))
            self._lock(step, short)
            for statement in step.statements:
                self._conn.execute(sql.SQL(statement))

    @property
    def _limit(self) -> float:
        """How long an index, or another installer, may be waited for, in seconds."""
        return _HURRY if self._hurry else self._patience

    def _concurrently(self, step: Step) -> None:
        """Build an index CONCURRENTLY: it waits for every older transaction, one after the other.

        Raises _NotFree where it is not begun: while it would wait for the lock of the table, it
        would be in the way of another index's build, and PostgreSQL would end that build.
        """
        try:
            with self._conn.transaction(force_rollback=True):
                for _, name in step.tables:
                    self._conn.execute(sql.SQL(f"{locks.lock([name], locks.INDEX)} NOWAIT"))
        except psycopg.errors.LockNotAvailable as error:
            raise _NotFree(describe(error)) from error
        except psycopg.errors.InsufficientPrivilege:
            pass  # an owner may have revoked its own rights: then without
        self._observe(MakingIndex(step.title))
        self._set("lock_timeout", f"{self._limit:g}s")
        way = locks.Way()

        def tell(reason: str) -> None:
            what = (
                f"{step.title}: no second connection beside it ({reason}), so it gives way to "
                "nobody: a migration that waits for it may be ended, as the victim of a deadlock"
            )
            mend = "Leave its role one more connection, or install when no migration runs"
            self._observe(CheckWarning(what, mend))

        try:
            with locks.giving_way(self._conn, self._longest / 1000, tell) as way:
                for statement in step.statements:
                    self._conn.execute(sql.SQL(statement))
        except psycopg.errors.QueryCanceled as error:
            if way.asked is None:
                raise
            self._undo(step)
            raise TriggerError(
                f"{step.title}: given up, for process {way.asked} waited behind it: try again "
                "when that has ended"
            ) from error
        finally:
            if not self._conn.closed:
                self._wait_for_locks()

    def _wait_for_locks(self) -> None:
        """No limit any more. A cancel of the statement before may hit this one instead."""
        try:
            self._set("lock_timeout", "0")
        except psycopg.errors.QueryCanceled:
            self._set("lock_timeout", "0")

    def _set(self, name: str, value: str) -> None:
        self._conn.execute("SELECT pg_catalog.set_config(%s, %s, false)", (name, value))

    def _undo(self, step: Step) -> None:
        """Take back what was cut short, if that can be done at once; else the next call does."""
        if step.undo is not None:
            with contextlib.suppress(*_LOCKED), self._conn.transaction():
                self._conn.execute(sql.SQL(f"SET LOCAL lock_timeout = {self._longest}"))
                self._conn.execute(sql.SQL(step.undo))

    def _older(self) -> str:
        """The transactions that an index waits for, as far as this role may see."""
        found = [
            f"process {pid}, {who or 'another role'}, since {since:%H:%M:%S}"
            for pid, who, since in self._seen("older")
        ]
        return f"; open for longer: {'; '.join(found)}" if found else ""

    def _lock(self, step: Step, short: int) -> None:
        """All tables of a step at once, and as strongly as any of its statements needs it.

        Taken one by one, or weakly first, a lock could hold a transaction up that holds the next
        lock. One limit is for all of them together.
        """
        mode = step.lock_mode
        if mode is None:
            return
        statement = locks.lock([name for _, name in step.tables], mode)
        try:
            with self._conn.transaction():
                self._conn.execute(
                    sql.SQL(f"SET LOCAL statement_timeout = {short + short // 4 + 1}")
                )
                self._conn.execute(sql.SQL(statement))
                self._conn.execute("SET LOCAL statement_timeout = 0")
        except psycopg.errors.InsufficientPrivilege:
            return  # an owner may have revoked its own rights: then without

    def _installer(self, key: tuple[int, int]) -> str:
        """The session that holds the installer's lock, as far as this role may see."""
        found = self._seen("installer", classid=key[0], objid=key[1])
        return "".join(
            f" (process {pid}" + (f", since {since:%H:%M:%S})" if since is not None else ")")
            for pid, since in found
        )

    def _holders(self, step: Step) -> str:
        """The sessions that may be in the way, as far as this role may see."""
        found = [
            f"process {pid}, {who or 'another role'}, {state or 'state unknown'}"
            + (f", since {since:%H:%M:%S}" if since is not None else "")
            if pid is not None
            else "a prepared transaction"
            for pid, who, state, since in self._seen(
                "holders", oids=[oid for oid, _ in step.tables]
            )
        ]
        return f"; locks are held by {'; '.join(found)}" if found else ""

    def _seen(self, query: str, **parameters: object) -> list[tuple[Any, ...]]:
        """What is for a message only: nothing where it may not be read, or takes too long."""
        try:
            return rows(self._conn, query, **parameters)
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.QueryCanceled):
            return []

    def pause(self, seconds: float, attempt: int, reason: str) -> None:
        """Wait, and tell of it at the first try, the second, the fourth and so on. Raises
        Stopped."""
        self._waiting(reason)
        if attempt & (attempt - 1) == 0:
            self._observe(Waiting(ServerName.POSTGRES, attempt, seconds, reason))
        if self._stop.wait(seconds):
            raise Stopped

    def deadline(self, most: float) -> float:
        """When patience ends that begins now, after `most` seconds at the latest; of the monotonic
        clock."""
        return time.monotonic() + min(self._patience, most)


class _NotFree(ListenerError):
    """Another session holds a lock that an index would have to wait for."""


class _Tries:
    """Growing waits for one thing."""

    def __init__(self, execution: Execution, what: str, *, most: float = float("inf")) -> None:
        self._execution = execution
        self._what = what
        self._deadline = execution.deadline(most)
        self._backoff = Backoff(_FIRST_WAIT, 1.5, _LONGEST_WAIT)

    @property
    def attempt(self) -> int:
        """How many tries failed."""
        return self._backoff.attempt

    def wait(self, reason: str) -> None:
        """Wait before the next try. Raises Busy at the deadline, Stopped."""
        seconds = self._backoff.next_wait()
        if time.monotonic() + seconds > self._deadline:
            raise Busy(
                f"{self._what}: {reason}, after {self.attempt} tries: end what is in the way, "
                "then try again"
            )
        self._execution.pause(seconds, self.attempt, f"{self._what}: {reason}")
