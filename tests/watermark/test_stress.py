"""Writers at random, for seconds: the right rule loses nothing, a wrong one soon does."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from listener.postgres import Connection
from tests.kit.triggers import Bench
from tests.watermark import follower as kit
from tests.watermark.follower import KINDS, Follower
from tests.watermark.rules import RIGHT, WRONG

database_for_all = kit.database_for_all
bench = kit.bench

WRITERS = 4
SECONDS = 1.0
ROUNDS = 12
SEED = 20260101
SEEN_BY_CHANCE = (
    "stamp now()",
    "clock_timestamp() without the id",
    "no wait for xmin > L",
    "updated_at > last",
)


class Writer:
    """One session of an application; its ids are its own."""

    def __init__(self, conn: Connection, seed: int) -> None:
        self._conn = conn
        self._random = random.Random(seed)
        self._next = seed * 1_000_000
        self._mine: list[int] = []

    def run(self, stop: threading.Event) -> None:
        """Transactions, one after another."""
        while not stop.is_set():
            mine, self._mine = self._mine, list(self._mine)
            try:
                with self._conn.transaction():
                    if self._random.random() < 0.3:
                        self._pause()
                    for _ in range(self._random.randint(1, 3)):
                        self._statement()
                    if self._random.random() < 0.3:
                        self._pause()
                    if self._random.random() < 0.1:
                        raise psycopg.Rollback
                    mine = self._mine
            finally:
                self._mine = mine

    def _pause(self) -> None:
        self._conn.execute("SELECT pg_sleep(%s)", [self._random.uniform(0.005, 0.06)])

    def _statement(self) -> None:
        dice = self._random.random()
        if dice < 0.5 or not self._mine:
            self._insert()
        elif dice < 0.7:
            self._conn.execute(
                "UPDATE t SET n = n + 10 WHERE id = %s", [self._random.choice(self._mine)]
            )
        elif dice < 0.8:
            key = self._mine.pop(self._random.randrange(len(self._mine)))
            self._conn.execute("DELETE FROM t WHERE id = %s", [key])
        elif dice < 0.9:
            self._conn.execute(
                "INSERT INTO t (id, n) VALUES (%s, 5) ON CONFLICT (id) DO UPDATE SET n = t.n + 1",
                [self._random.choice(self._mine)],
            )
        else:
            with self._conn.transaction():
                self._insert()

    def _insert(self) -> None:
        self._next += 1
        n = -2 if self._random.random() < 0.2 else self._random.randint(1, 9)
        self._conn.execute("INSERT INTO t (id, n) VALUES (%s, %s)", [self._next, n])
        self._mine.append(self._next)


@contextmanager
def at_work(writers: list[Writer]) -> Iterator[None]:
    """All of them write inside."""
    stop = threading.Event()
    threads = [threading.Thread(target=writer.run, args=[stop]) for writer in writers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def stress(follower: Follower, writers: list[Writer]) -> int:
    """One round; how many rows are wrong when all have stopped."""
    until = time.monotonic() + SECONDS
    with at_work(writers):
        while time.monotonic() < until:
            follower.tick()
    follower.settle()
    return len(follower.lost())


def writers_of(bench: Bench) -> list[Writer]:
    """Always the same ones."""
    return [Writer(bench.connect(), SEED % 1000 + number) for number in range(WRITERS)]


@pytest.mark.parametrize("kind", KINDS)
def test_the_rule_loses_nothing(bench: Bench, kind: str) -> None:
    """One round of each kind."""
    follower = Follower(bench, RIGHT, kind)
    writers = writers_of(bench)
    assert stress(follower, writers) == 0
    print(f"{bench.value('SELECT count(*) FROM t')} rows, none lost")


@pytest.mark.parametrize("name", SEEN_BY_CHANCE)
def test_a_wrong_rule_loses_rows(bench: Bench, name: str) -> None:
    """In the first round, as a rule."""
    follower = Follower(bench, WRONG[name], "timestamptz")
    writers = writers_of(bench)
    for number in range(ROUNDS):
        lost = stress(follower, writers)
        if lost:
            print(f"{name}: {lost} rows lost in round {number + 1}")
            return
    pytest.fail(f"{name}: nothing lost in {ROUNDS} rounds")
