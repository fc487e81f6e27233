"""Writers of both schemas that can be held at a settle point, with a memory of what they wrote."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg

from tests.kit.chaos.world import NotInTime
from tests.kit.scene import Connection, Scene
from tests.kit.writers import Writers
from tests.kit.writes.statements import SLICES, Write
from tests.kit.writes.vocabulary import VOCABULARY
from tests.soak.cards_writes import CARDS

_HEAVY = {"many films": 0.03, "many items": 0.03, "refill": 0.2, "update all films": 0.2}
"""How often, of the times that others come once."""
_AUDITED = 8.0
"""Seconds in which an audit, which comes every two, has mended the triggers."""
_KEPT = 4_000
"""Transactions of one writer that are remembered."""


class Gate:
    """Lets writers pass, or holds them; who holds it waits until nobody is behind it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._closed = 0
        self._inside: dict[int, float] = {}
        self._over = False

    def enter(self, number: int) -> bool:
        """Go through, as soon as that may be. False: it is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._over or not self._closed)
            if not self._over:
                self._inside[number] = time.monotonic()
            return not self._over

    def leave(self, number: int) -> None:
        """Come back."""
        with self._changed:
            self._inside.pop(number, None)
            self._changed.notify_all()

    def end(self) -> None:
        """From now on nobody passes, and nobody waits."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    @contextlib.contextmanager
    def closed(self, seconds: float) -> Iterator[None]:
        """Nobody is inside in this block. Raises NotInTime with who does not come back."""
        with self._changed:
            self._closed += 1
        try:
            with self._changed:
                empty = self._changed.wait_for(lambda: self._over or not self._inside, seconds)
                busy = sorted(self._inside)
            if not empty:
                raise NotInTime(f"writers {busy} are busy for {seconds:g} s")
            yield
        finally:
            with self._changed:
                self._closed -= 1
                self._changed.notify_all()


class SoakWriters(Writers):
    """Writers of slices 0 to `count` - 1 in both schemas, alone or in transactions that stay open.

    As with the base class, no statement may fail but for outages, and none may wait for a daemon.
    """

    def __init__(self, scene: Scene, seed: int, count: int, *, pace: float) -> None:
        assert 1 <= count <= SLICES
        super().__init__(scene, count, pace=pace, may_wait=True)
        self.gate = Gate()
        self.rows = 0
        """How many writes were committed; a transaction has one or several."""
        self.history: list[deque[tuple[str, str]]] = [deque(maxlen=_KEPT) for _ in range(count)]
        """By writer: when a transaction ended, and what it was."""
        self._seed = seed
        self._excused = False
        self._repaired = 0.0
        """When the audit has put right what was altered under an excuse."""

    @property
    def trouble(self) -> list[str]:
        """What went wrong so far, and may not."""
        with self._changed:
            found = list(self._failures)
            if self._error is not None:
                found.append(f"a writer ended: {self._error!r}")
            return found if self._excused else found + self._blocked

    @property
    def told(self) -> str:
        """One line, and what went wrong."""
        with self._changed:
            return self._told()

    def start(self) -> None:
        """Begin to write. A second time it does nothing."""
        for thread in (self._watcher, *self._threads):
            if thread.ident is None:
                thread.start()

    def end(self) -> None:
        """Stop without a word on how it went: that is said by `trouble`."""
        self._stop.set()
        self.gate.end()
        for thread in (*self._threads, self._watcher):
            if thread.ident is not None:
                thread.join(30)

    @contextlib.contextmanager
    def may_wait(self) -> Iterator[None]:
        """Triggers come and go: until `settled`, who waits for the daemon's locks does so for
        that (and no longer than the daemon's lock_timeout)."""
        with self._changed:
            self._excused = True
        try:
            yield
        finally:
            self._repaired = time.monotonic() + _AUDITED

    def settled(self) -> None:
        """All is as it should be: from now on nobody may wait; where the audit may be about to
        mend triggers still, from the next settle point on."""
        with self._changed:
            self._excused = time.monotonic() < self._repaired
            self._blocked.clear()

    def _run(self, number: int) -> None:
        choice = random.Random(f"{self._seed} writer {number}")
        kinds = [*(list(schema.values()) for schema in VOCABULARY.values()), list(CARDS)]
        connection: Connection | None = None
        opened = time.monotonic()
        while not self._stop.wait(self._pace * choice.uniform(0.5, 1.5)):
            if not self.gate.enter(number):
                break
            writes = [_draw(choice, choice.choice(kinds)) for _ in range(_size(choice))]
            names = ", ".join(write.name for write in writes)
            began = time.monotonic()
            try:
                if connection is None:
                    opened = time.monotonic()
                    connection = self._connect(number)
                end = _carry_out(connection, choice, number, writes)
            except psycopg.Error as error:
                end = f"failed: {str(error).strip()[:200]}"
                if connection is not None:
                    connection.close()
                    connection = None
                self._failed(number, names, error, opened)
            else:
                took = time.monotonic() - began
                with self._changed:
                    self._committed[number] += end == "committed"
                    self.rows += len(writes) * (end == "committed")
                    if len(writes) == 1:
                        self._longest = max(self._longest, (took, names))
                    self._changed.notify_all()
            finally:
                self.gate.leave(number)
            moment = datetime.now(UTC).isoformat(timespec="milliseconds")
            self.history[number].append((moment, f"{end}: {names}"))
        if connection is not None:
            connection.close()


def _size(choice: random.Random) -> int:
    """How many writes the next transaction has."""
    return choice.choice([1] * 18 + [2, 3])


def _draw(choice: random.Random, kinds: list[Write]) -> Write:
    while True:
        write = choice.choice(kinds)
        if not write.alone and not write.rare and choice.random() < _HEAVY.get(write.name, 1):
            return write


def _carry_out(
    connection: Connection, choice: random.Random, number: int, writes: list[Write]
) -> str:
    """One write by itself, several in a transaction that stays open between them."""
    if len(writes) == 1:
        writes[0].run(connection, choice, number)
        return "committed"
    connection.execute(b"BEGIN")
    for write in writes:
        if choice.random() < 0.2:
            connection.execute(b"SAVEPOINT undone")
            write.run(connection, choice, number)
            connection.execute(b"ROLLBACK TO undone")
        write.run(connection, choice, number)
        connection.execute(f"SELECT pg_sleep({choice.choice([0, 0.02, 0.2, 1])})".encode())
    end = choice.choice(["COMMIT"] * 9 + ["ROLLBACK"])
    connection.execute(end.encode())
    return "committed" if end == "COMMIT" else "rolled back"
