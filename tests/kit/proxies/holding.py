"""A proxy before either server that holds messages of one kind until it is told to go on."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from typing import Final

import pytest

from playground.daemon import DEADLINE
from playground.proxy import TcpProxy

BULK: Final = b"POST /_bulk"
"""How each write to Elasticsearch begins."""
FLUSH_CHECK: Final = b"pg_current_wal_flush_lsn() >= "
"""What the daemon asks PostgreSQL between the read of a batch and its request."""

_CHUNK = 65_536
_PARSE = re.compile(rb"P.{4}([^\0]+)\0[^\0]*" + re.escape(FLUSH_CHECK), re.DOTALL)


class HoldingProxy(TcpProxy):
    """A proxy that holds messages of one kind, or their answers, while the rest flows.

    What is held stays with the proxy, and so does all that follows on its connection. `cut` throws
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
                pytest.fail(f"nothing came to the proxy within {deadline:g} s")

    @property
    def statuses(self) -> list[int]:
        """Status of each item in the answers that passed since the proxy was closed."""
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
