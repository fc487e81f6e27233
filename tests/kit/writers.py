"""Eight applications that write at once, none of which may fail or wait because of the daemon."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import psycopg
import pytest

from tests.kit.scene import APPLICATION, PASSWORD, Connection, Scene

_PACE = 0.05
"""Seconds between two transactions of one writer."""
_PAUSE = "; -- and some milliseconds later:\n"
"""By the test's clock: pg_sleep sleeps for an hour where the server's is put back by one."""
_LOOK = 0.1
"""Seconds between two looks at which session waits for which."""
_FILMS, _PERSONS, _GENRES, _LINKS = 300, 120, 12, 4
"""What tests/schemas/movies/content.sql makes."""
_BLOCKED = """
    SELECT waiting.application_name, waiting.query, holder.application_name, holder.query
    FROM pg_stat_activity AS waiting
    CROSS JOIN LATERAL unnest(pg_blocking_pids(waiting.pid)) AS blocking(pid)
    JOIN pg_stat_activity AS holder ON holder.pid = blocking.pid
    JOIN pg_locks AS wanted ON wanted.pid = waiting.pid AND NOT wanted.granted
    WHERE waiting.datname = current_database() AND waiting.wait_event_type = 'Lock'
      AND waiting.application_name LIKE 'writer %' AND holder.application_name LIKE 'listener%'
      -- commits that NOTIFY come one after another: to wait for a barrier's commit is no fault
      AND NOT (wanted.locktype = 'object' AND wanted.classid = 'pg_database'::regclass
               AND wanted.objid = 0 AND clock_timestamp() - wanted.waitstart < interval '1 s')"""


@dataclass(slots=True)
class _Outage:
    """When the server under test was away; `end` None: it still is."""

    begin: float
    end: float | None = None

    def explains(self, opened: float, failed: float) -> bool:
        """Whether a connection opened then may be gone now because of this outage."""
        return failed >= self.begin and (self.end is None or opened <= self.end)


class Writers:
    """Edits of all kinds from `count` threads, each a transaction, from the block's start to its
    end. Each writer has films, persons and genres of its own, so none can fail or wait because
    of another: at the end no statement may have failed, and none may have waited for a lock of
    the daemon. Excused are only connections that were lost within `outage()`, of PostgreSQL's own.

    They go to `scene.postgres`, whichever server that is when they connect.
    """

    def __init__(
        self, scene: Scene, count: int = 8, *, pace: float = _PACE, may_wait: bool = False
    ) -> None:
        """`may_wait`: the daemon mends triggers meanwhile, for which CREATE TRIGGER locks."""
        self._scene = scene
        self._pace = pace
        self._may_wait = may_wait
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._outages: list[_Outage] = []
        self._committed = [0] * count
        self._lost = 0
        self._longest = 0.0, ""
        self._failures: list[str] = []
        self._blocked: list[str] = []
        self._error: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._guarded, args=(number,), name=f"writer {number}")
            for number in range(count)
        ]
        self._watcher = threading.Thread(target=self._watch, name="who waits for whom")

    @property
    def committed(self) -> int:
        """How many transactions are committed."""
        with self._changed:
            return sum(self._committed)

    @property
    def blocked(self) -> list[str]:
        """Writers that were seen waiting for the daemon, and for which lock."""
        with self._changed:
            return list(self._blocked)

    @property
    def longest(self) -> float:
        """Seconds that the longest statement took that succeeded."""
        with self._changed:
            return self._longest[0]

    def wait(self, more: int = 100, deadline: float = 60) -> None:
        """Wait until so many more transactions are committed, one of each writer at least."""
        until = time.monotonic() + deadline
        with self._changed:
            before = list(self._committed)
            while sum(self._committed) < sum(before) + more or any(
                now == then for now, then in zip(self._committed, before, strict=True)
            ):
                left = until - time.monotonic()
                if left <= 0 or self._error is not None or self._failures:
                    pytest.fail(
                        f"writers: {before} -> {self._committed}, not {more} more\n"
                        f"{self._error!r}\n{self._told()}\n{self._scene.processes.logs}"
                    )
                self._changed.wait(min(left, 1.0))

    @contextlib.contextmanager
    def outage(self) -> Iterator[None]:
        """PostgreSQL itself goes away in this block, and is back at its end: connections may be
        lost or refused. Anything else is a failure here too."""
        outage = _Outage(time.monotonic())
        with self._changed:
            self._outages.append(outage)
        try:
            yield
        finally:
            outage.end = time.monotonic()

    def __enter__(self) -> Self:
        for thread in (self._watcher, *self._threads):
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in (*self._threads, self._watcher):
            thread.join()
        print(self._told())
        if kind is not None:
            return
        if self._error is not None:
            raise self._error
        if self._failures or (self._blocked and not self._may_wait):
            pytest.fail(f"{self._told()}\n{self._scene.processes.logs}")

    def _told(self) -> str:
        seconds, statement = self._longest
        lines = [
            f"{len(self._committed)} writers: {sum(self._committed)} transactions committed, "
            f"{len(self._failures)} failed, {self._lost} connections lost with the server, "
            f"longest {1000 * seconds:.0f} ms: {statement[:80]}"
        ]
        lines += [f"  failed: {one}" for one in self._failures[:5]]
        if self._blocked:
            lines.append(f"  {len(self._blocked)} times a writer was seen waiting for the daemon:")
            lines += [f"    {one}" for one in self._blocked[:5]]
        return "\n".join(lines)

    # -- a writer --------------------------------------------------------------------------------

    def _guarded(self, number: int) -> None:
        try:
            self._run(number)
        except BaseException as error:
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _run(self, number: int) -> None:
        choice = random.Random(number)
        connection: Connection | None = None
        opened = time.monotonic()
        while not self._stop.wait(self._pace):
            statement = "connect"
            try:
                if connection is None:
                    opened = time.monotonic()
                    connection = self._connect(number)
                statement = self._edit(choice, number)
                began = time.monotonic()
                first, *more = statement.split(_PAUSE)
                connection.execute(first.encode())
                for part in more:
                    self._stop.wait(choice.randrange(40) / 1000)
                    connection.execute(part.encode())
            except psycopg.Error as error:
                if connection is not None:
                    connection.close()
                    connection = None
                self._failed(number, statement, error, opened)
            else:
                took = time.monotonic() - began
                with self._changed:
                    self._committed[number] += 1
                    self._longest = max(self._longest, (took, statement))
                    self._changed.notify_all()
        if connection is not None:
            connection.close()

    def _connect(self, number: int) -> Connection:
        return psycopg.connect(
            host="127.0.0.1",
            port=self._scene.postgres.port,
            dbname=self._scene.database,
            user=APPLICATION,
            password=PASSWORD,
            autocommit=True,
            connect_timeout=5,
            application_name=f"writer {number}",
            # no lock may be held against them for so long
            options="-c lock_timeout=5s -c statement_timeout=20s",
        )

    def _failed(self, number: int, statement: str, error: psycopg.Error, opened: float) -> None:
        # 57P01..57P03: shut down, crashed, starting; none: the connection broke or was refused
        gone = isinstance(error, psycopg.OperationalError) and (
            error.sqlstate is None or error.sqlstate.startswith(("57P", "08"))
        )
        now = time.monotonic()
        with self._changed:
            if gone and any(outage.explains(opened, now) for outage in self._outages):
                self._lost += 1
                return
            self._failures.append(f"writer {number}: {error!r} ({error.sqlstate}): {statement}")
            self._changed.notify_all()

    def _edit(self, choice: random.Random, number: int) -> str:
        count = len(self._committed)

        def own(many: int) -> int:
            return choice.randrange(number, many, count) + 1

        film = f"md5('film {own(_FILMS)}')::uuid"
        person = f"md5('person {own(_PERSONS)}')::uuid"
        genre = f"md5('genre {own(_GENRES)}')::uuid"
        link = f"md5('person link {own(_FILMS)} {choice.randrange(_LINKS) + 1}')::uuid"
        text = f"Text {number} {choice.randrange(1_000_000)}"
        there = f"WHERE EXISTS (SELECT FROM content.film_work WHERE id = {film})"
        return choice.choice(
            [
                f"UPDATE content.film_work SET title = '{text}' WHERE id = {film}",
                f"UPDATE content.film_work SET rating = {choice.randrange(100)} WHERE id = {film}",
                f"UPDATE content.person SET full_name = '{text}' WHERE id = {person}",
                f"UPDATE content.genre SET name = '{text}' WHERE id = {genre}",
                f"DELETE FROM content.film_work WHERE id = {film}",
                "INSERT INTO content.film_work (id, title, type) "
                f"VALUES ({film}, '{text}', 'movie') "
                "ON CONFLICT (id) DO UPDATE SET title = excluded.title",
                "INSERT INTO content.genre_film_work (film_work_id, genre_id) "
                f"SELECT {film}, {genre} {there} ON CONFLICT DO NOTHING",
                f"DELETE FROM content.genre_film_work WHERE film_work_id = {film}",
                f"UPDATE content.person_film_work AS moved SET film_work_id = {film} {there} "
                f"AND id = {link} AND NOT EXISTS (SELECT FROM content.person_film_work AS other "
                f"WHERE (other.film_work_id, other.person_id, other.role) "
                f"= ({film}, moved.person_id, moved.role))",
                f"DELETE FROM content.person_film_work WHERE id = {link}",
                "INSERT INTO content.person_film_work (id, film_work_id, person_id, role) "
                f"SELECT {link}, {film}, {person}, 'writer' {there} ON CONFLICT DO NOTHING",
                f"BEGIN; UPDATE content.film_work SET title = '{text}' WHERE id = {film}{_PAUSE}"
                f"UPDATE content.person SET full_name = '{text}' WHERE id = {person}; COMMIT",
            ]
        )

    # -- waiting for locks -----------------------------------------------------------------------

    def _watch(self) -> None:
        connection: Connection | None = None
        while not self._stop.wait(_LOOK):
            try:
                if connection is None:
                    dsn = self._scene.postgres.dsn(self._scene.database)
                    connection = psycopg.connect(dsn, autocommit=True, connect_timeout=5)
                rows = connection.execute(_BLOCKED).fetchall()
            except psycopg.Error:  # it is the server that is away: the writers say whether it may
                if connection is not None:
                    connection.close()
                    connection = None
                continue
            with self._changed:
                self._blocked += [
                    f"{who}: {what[:80]} waits for {holder}: {doing[:80]}"
                    for who, what, holder, doing in rows
                ]
        if connection is not None:
            connection.close()
