"""A TCP proxy that fails on demand: what a client sees when a network or a server goes away.

A server that is killed is one outage; this one gives the others: a refused port, a cut connection,
and the worst, a connection that stays open and says nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine
from typing import Any, Self

from playground.system import LOOPBACK, PlaygroundError, free_port

_CHUNK = 65_536
_RESET = struct.pack("ii", 1, 0)  # linger for no time: closing sends RST instead of FIN
_PATIENCE = 10.0


class TcpProxy:
    """Forwards a port of 127.0.0.1 to `target_host`:`target_port`.

    It runs in a thread of its own; all methods may be called from any thread, and they return when
    their effect is there. The port is chosen at once unless it is given, and stays over restarts.
    `delay` is the time in seconds that each chunk of bytes waits before it goes on; it may be
    changed at any moment.
    """

    def __init__(
        self, target_host: str, target_port: int, *, port: int | None = None, delay: float = 0.0
    ) -> None:
        self.target = (target_host, target_port)
        self.port = port or free_port()
        self.delay = delay
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._listener: socket.socket | None = None
        self._open: dict[asyncio.Task[None], list[socket.socket]] = {}
        self._stalled = False
        self._flowing = asyncio.Event()
        self._changed = threading.Condition()
        self._count = 0
        self._accepted = 0

    @property
    def host(self) -> str:
        """The address where clients connect."""
        return LOOPBACK

    @property
    def running(self) -> bool:
        """Whether the port is open."""
        return self._loop is not None

    @property
    def connections(self) -> int:
        """How many clients are connected now."""
        with self._changed:
            return self._count

    @property
    def accepted(self) -> int:
        """How many clients have connected since this object was made."""
        with self._changed:
            return self._accepted

    def wait_accepted(self, at_least: int, *, timeout: float = 10.0) -> None:
        """Waits until so many clients have connected. Raises PlaygroundError when they do not."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._accepted >= at_least, timeout):
                raise PlaygroundError(
                    f"{self._accepted} clients connected to port {self.port} within {timeout:g} s, "
                    f"not {at_least}"
                )

    def start(self) -> None:
        """Opens the port; when it is open, does nothing. Raises OSError when it is taken."""
        if self._loop is not None:
            return
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((LOOPBACK, self.port))
            listener.listen(128)
            listener.setblocking(False)
        except BaseException:
            listener.close()
            raise
        self._listener = listener
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name=f"proxy-{self.port}", daemon=True
        )
        self._thread.start()
        self._call(self._begin(listener))

    def stop(self) -> None:
        """Closes the port and resets every connection: from now on clients are refused."""
        if self._loop is None or self._thread is None:
            return
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = self._thread = None

    def restart(self) -> None:
        """`stop`, then `start` on the same port."""
        self.stop()
        self.start()

    def stall(self) -> None:
        """Holds all bytes, both ways, of existing connections too; new ones are accepted and held.

        Ends of connections are held as well: to both sides the network is silent.
        """
        self._stalled = True
        if self._loop is not None:
            self._call(self._obey())

    def unstall(self) -> None:
        """Lets the held bytes go on, none is lost."""
        self._stalled = False
        if self._loop is not None:
            self._call(self._obey())

    def cut(self) -> None:
        """Resets every connection that is open now; the port stays open for new ones."""
        if self._loop is not None:
            self._call(self._cut())

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE)

    async def _begin(self, listener: socket.socket) -> None:
        self._flowing = asyncio.Event()  # belongs to one loop, and the loop is new
        await self._obey()
        # a reader, no task: one that is cancelled may already hold a client that nobody closes
        asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    async def _end(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
        await self._cut()

    async def _cut(self) -> None:
        tasks = list(self._open)
        for sockets in self._open.values():
            for each in sockets:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _obey(self) -> None:
        if self._stalled:
            self._flowing.clear()
        else:
            self._flowing.set()

    def _accept(self, listener: socket.socket) -> None:
        try:
            client, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # it was gone before we looked
        client.setblocking(False)
        task = asyncio.get_running_loop().create_task(self._serve(client))
        self._open[task] = [client]
        self._note(opened=True)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        # here and not in the task, since a task that is cancelled at once never runs
        for each in self._open.pop(task):
            each.close()
        self._note(opened=False)

    def _note(self, *, opened: bool) -> None:
        with self._changed:
            self._count += 1 if opened else -1
            self._accepted += opened
            self._changed.notify_all()

    async def _serve(self, client: socket.socket) -> None:
        task = asyncio.current_task()
        assert task is not None
        await self._flowing.wait()
        server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._open[task].append(server)
        server.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(server, self.target)
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.TaskGroup() as both_ways:
                both_ways.create_task(self._pump(client, server))
                both_ways.create_task(self._pump(server, client))
        except* OSError:
            # one side has broken off: so must the other, once the network lets it know
            await self._flowing.wait()
            for each in (client, server):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    async def _pump(self, source: socket.socket, target: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            chunk = await loop.sock_recv(source, _CHUNK)
            if self.delay:
                await asyncio.sleep(self.delay)
            await self._flowing.wait()
            if not chunk:
                with contextlib.suppress(OSError):
                    target.shutdown(socket.SHUT_WR)
                return
            await loop.sock_sendall(target, chunk)
