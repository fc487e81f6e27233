"""The daemon's way to Elasticsearch, with bad weather: late, lost and refused answers."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket

from playground.proxy import TcpProxy

BULK = b"POST /_bulk"
"""How each write begins."""

_CHUNK = 65_536
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_REFUSALS = {429: b"Too Many Requests", 503: b"Service Unavailable"}


class Weather(TcpProxy):
    """A proxy before Elasticsearch. What the base class does (cut, stall, delay) it does, too."""

    def __init__(self, target_port: int) -> None:
        super().__init__("127.0.0.1", target_port)
        self.refusing: int | None = None
        """429 or 503: the proxy answers writes so, as a balancer does; they go no further."""
        self.losing = 0
        """So many more writes are carried out, and their answers lost."""
        self._mute: set[socket.socket] = set()

    def calm(self) -> None:
        """Fair weather: everything passes, also what was held."""
        self.refusing, self.losing, self.delay = None, 0, 0.0
        self.start()
        self.unstall()

    async def _pump(self, source: socket.socket, target: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        answers = source.getpeername()[1] == self.target[1]
        client = target if answers else source
        try:
            while True:
                chunk = await loop.sock_recv(source, _CHUNK)
                if self.delay:
                    await asyncio.sleep(self.delay)
                await self._flowing.wait()
                if not chunk:
                    with contextlib.suppress(OSError):
                        target.shutdown(socket.SHUT_WR)
                    return
                if answers:
                    if client in self._mute:
                        continue
                elif chunk.startswith(BULK):
                    if self.refusing is not None:
                        await self._refuse(source, chunk, self.refusing)
                        continue
                    if self.losing > 0:
                        self.losing -= 1
                        self._mute.add(client)
                await loop.sock_sendall(target, chunk)
        finally:
            self._mute.discard(client)

    async def _refuse(self, client: socket.socket, request: bytes, status: int) -> None:
        """Take the whole request, whose first bytes are here, and answer it."""
        loop = asyncio.get_running_loop()
        while b"\r\n\r\n" not in request:
            request += await _some(loop, client)
        head, _, body = request.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        left = (int(length[1]) if length else 0) - len(body)
        while left > 0:
            left -= len(await _some(loop, client))
        text = b"<html>%d %s</html>" % (status, _REFUSALS[status])
        await loop.sock_sendall(
            client,
            b"HTTP/1.1 %d %s\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s"
            % (status, _REFUSALS[status], len(text), text),
        )


async def _some(loop: asyncio.AbstractEventLoop, client: socket.socket) -> bytes:
    chunk = await loop.sock_recv(client, _CHUNK)
    if not chunk:
        raise ConnectionResetError("gone in the middle of a request")
    return chunk
