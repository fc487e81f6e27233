"""What the faults of the daemon itself need: a gate that holds named messages, and rows to lose."""

from __future__ import annotations

import asyncio
import random
import re
import socket
import statistics
import threading
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import pytest

from playground.proxy import TcpProxy
from tests.plugins.daemon import DEADLINE
from tests.process.scene import Scene

BULK: Final = b"POST /_bulk"
"""How each write to Elasticsearch begins."""
FLUSH_CHECK: Final = b"pg_current_wal_flush_lsn() >= "
"""What the daemon asks PostgreSQL between the read of a batch and its request."""

_CHUNK = 65_536
_PARSE = re.compile(rb"P.{4}([^\0]+)\0[^\0]*" + re.escape(FLUSH_CHECK), re.DOTALL)


class Gate(TcpProxy):
    """A proxy that holds messages of one kind, or their answers, while the rest flows.

    What is held stays with the gate, and so does all that follows on its connection. `cut` throws
    it away; `open` lets it go on, also after the death of its sender.
    """

    def __init__(self, port: int, pattern: bytes) -> None:
        """`pattern`: bytes by which a message of the client is known."""
        super().__init__("127.0.0.1", port)
        self._pattern = pattern
        self._names: dict[socket.socket, set[bytes]] = {}
        """By client, what the message is called once it is prepared."""
        self._closed = self._answers = False
        self._asked: set[socket.socket] = set()
        self._go = asyncio.Event()
        self._news = threading.Condition()
        self._held = 0
        self._answers_seen: dict[socket.socket, bytes] = {}

    def close(self, *, answers: bool = False) -> None:
        """From now on hold each such message, or (`answers`) let it pass and hold its answer."""
        self._call(self._set(closed=True, answers=answers))

    def open(self) -> None:
        """Let everything go on."""
        self._call(self._set(closed=False, answers=False))

    def wait_held(self, deadline: float = DEADLINE) -> None:
        """Wait until something is held."""
        with self._news:
            if not self._news.wait_for(lambda: self._held > 0, deadline):
                pytest.fail(f"nothing came to the gate within {deadline:g} s")

    @property
    def statuses(self) -> list[int]:
        """Status of each item in the answers that passed since the gate was closed."""
        with self._news:
            seen = b" ".join(self._answers_seen.values())
        return [int(found) for found in re.findall(rb'"status":(\d+)', seen)]

    async def _set(self, *, closed: bool, answers: bool) -> None:
        self._closed, self._answers = closed, answers
        with self._news:
            if closed:
                self._held = 0
                self._answers_seen = {}
        if closed:
            self._go.clear()
        else:
            self._go.set()

    async def _begin(self, listener: socket.socket) -> None:
        self._go = asyncio.Event()  # belongs to one loop, as the proxy's own does
        self._asked.clear()
        await super()._begin(listener)

    async def _pump(self, source: socket.socket, target: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        upwards = target.getpeername() == self.target
        client = source if upwards else target
        while True:
            chunk = await loop.sock_recv(source, _CHUNK)
            await self._flowing.wait()
            if upwards:
                wanted = self._is_wanted(client, chunk)
                if wanted:
                    self._asked.add(client)
                held = wanted and not self._answers
            else:
                wanted = client in self._asked
                held = wanted and self._answers
            if held and self._closed:
                with self._news:
                    self._held += 1
                    self._news.notify_all()
                await self._go.wait()
            if not chunk:
                target.shutdown(socket.SHUT_WR)
                return
            if wanted and not upwards:
                with self._news:
                    self._answers_seen[client] = self._answers_seen.get(client, b"") + chunk
            await loop.sock_sendall(target, chunk)

    def _is_wanted(self, client: socket.socket, chunk: bytes) -> bool:
        names = self._names.setdefault(client, set())
        names.update(match[1] for match in _PARSE.finditer(chunk))
        return self._pattern in chunk or any(b"\0" + name + b"\0" in chunk for name in names)


@dataclass(frozen=True, slots=True)
class Probe:
    """One transaction on three films that nobody else touches: update, delete, insert."""

    number: int
    stamp: datetime
    """When it was stamped, by the server's clock."""


class Probes:
    """Films that are edited once and never again: a change of theirs that is lost stays lost.

    (Those of the writers are written again and again, which would hide it.)
    """

    def __init__(self, scene: Scene, count: int) -> None:
        """Make them; before the daemon starts."""
        self._scene = scene
        self._count = count
        self._next = 0
        scene.sql(
            "INSERT INTO content.film_work (id, title, type) "
            "SELECT md5('probe ' || kind || n)::uuid, 'Probe ' || n, 'movie' "
            f"FROM generate_series(1, {count}) AS n, (VALUES ('update'), ('delete')) AS v (kind)"
        )

    def edit(self) -> Probe:
        """The next three, in one transaction."""
        self._next += 1
        assert self._next <= self._count, "too few probes"
        number = self._next
        self._scene.sql(
            "BEGIN; "
            "UPDATE content.film_work SET title = 'Probed' "
            f"WHERE id = md5('probe update{number}')::uuid; "
            f"DELETE FROM content.film_work WHERE id = md5('probe delete{number}')::uuid; "
            "INSERT INTO content.film_work (id, title, type) "
            f"VALUES (md5('probe insert{number}')::uuid, 'Probed', 'movie'); "
            "COMMIT"
        )
        [(stamp,)] = self._scene.sql(
            "SELECT min(updated_at) FROM content.film_work WHERE id IN "
            f"(md5('probe update{number}')::uuid, md5('probe insert{number}')::uuid)"
        )
        return Probe(number, stamp)


def phases(seed: int, count: int, most: int) -> list[int]:
    """Numbers of transactions to wait for, the same in every run."""
    choice = random.Random(seed)
    return [choice.randrange(8, most) for _ in range(count)]


def told(name: str, seconds: list[float]) -> str:
    """Median and worst of some seconds, to print."""
    return (
        f"{name}: median {statistics.median(seconds):.2f} s, worst {max(seconds):.2f} s "
        f"of {len(seconds)}"
    )
