"""A proxy before Elasticsearch that delays, loses and records requests and answers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

from playground.proxy import TcpProxy
from playground.system import wait_until
from tests.kit.scene import Scene

_CHUNK = 65_536
_ACTION = re.compile(
    rb'\{"(?:index|delete)":(\{[^\n]*?"version":\d+,"version_type":"[a-z_]+"\})\}\n'
)


class Wire(TcpProxy):
    """A proxy before Elasticsearch that holds one direction, or the clients of one moment.

    What it holds is delivered later, even where the client has long given up: the delayed packets
    of a network, or of a node that was frozen.
    """

    def __init__(self, target_port: int) -> None:
        super().__init__("127.0.0.1", target_port)
        self._answers = asyncio.Event()
        self._holding = False
        self._capturing = False
        self._captured: list[asyncio.Event] = []
        self._delivered = 0
        self._lose, self._left = b"", 0
        self._mute: set[int] = set()
        self._seen = threading.Condition()
        self._requests: list[bytearray] = []

    # -- for the test ----------------------------------------------------------------------------

    def hold_answers(self) -> None:
        """Requests go on to the server and are carried out; their answers wait here."""
        self._holding = True
        self._call(self._set_answers())

    def release_answers(self) -> None:
        """What was held goes on, to the clients that still wait for it."""
        self._holding = False
        self._call(self._set_answers())

    def capture(self) -> None:
        """Cut all connections; a client that connects from now on is accepted, and held."""
        self._capturing = True
        self.cut()

    def let_pass(self) -> None:
        """Clients that connect from now on pass; the captured ones stay where they are."""
        self._capturing = False

    def wait_captured(self, count: int = 1, seconds: float = 10) -> None:
        """Wait until so many clients are captured."""
        wait_until(lambda: len(self._captured) >= count, seconds=seconds, what="captured clients")

    def deliver(self) -> None:
        """Bring to the server what the captured clients have sent, though they are gone; returns
        when it has answered all of it."""
        self._delivered = 0
        count = len(self._captured)
        self._call(self._deliver())
        wait_until(lambda: self._delivered >= count, seconds=10, what="delivered requests")

    def lose(self, head: str, times: int) -> None:
        """The next requests that begin so are carried out, and their answers lost."""
        self._lose, self._left = head.encode(), times

    def wait_lost(self, seconds: float = 30) -> None:
        """Wait until as many answers are lost as was asked for."""
        wait_until(lambda: self._left == 0, seconds=seconds, what="lost answers", every=0.02)

    @property
    def sent(self) -> bytes:
        """All that clients have sent through this wire."""
        with self._seen:
            return b"\n".join(bytes(one) for one in self._requests)

    def actions(self) -> Counter[tuple[str, str, int]]:
        """How often each alias, id and version was sent."""
        found: Counter[tuple[str, str, int]] = Counter()
        for match in _ACTION.finditer(self.sent):
            action: dict[str, Any] = json.loads(match[1])
            found[action["_index"], action["_id"], action["version"]] += 1
        return found

    # -- its thread ------------------------------------------------------------------------------

    async def _begin(self, listener: socket.socket) -> None:
        self._answers = asyncio.Event()
        await self._set_answers()
        await super()._begin(listener)

    async def _set_answers(self) -> None:
        if self._holding:
            self._answers.clear()
        else:
            self._answers.set()

    async def _deliver(self) -> None:
        for gate in self._captured:
            gate.set()
        self._captured.clear()

    async def _serve(self, client: socket.socket) -> None:
        if self._capturing:
            gate = asyncio.Event()
            self._captured.append(gate)
            await gate.wait()
            await super()._serve(client)
            self._delivered += 1
            return
        await super()._serve(client)

    async def _pump(self, source: socket.socket, target: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        answers = source.getpeername()[1] == self.target[1]
        client = id(target) if answers else id(source)
        self._mute.discard(client)  # the id of a socket that is gone may come again
        kept = bytearray()
        if not answers:
            with self._seen:
                self._requests.append(kept)
        while True:
            chunk = await loop.sock_recv(source, _CHUNK)
            if answers:
                if self.delay:
                    await asyncio.sleep(self.delay)
                await self._answers.wait()
                if client in self._mute and chunk:
                    continue
            else:
                if self._left and chunk.startswith(self._lose):
                    self._mute.add(client)
                    self._left -= 1
                with self._seen:
                    kept += chunk
            await self._flowing.wait()
            if not chunk:
                with contextlib.suppress(OSError):
                    target.shutdown(socket.SHUT_WR)
                return
            await loop.sock_sendall(target, chunk)


@contextlib.contextmanager
def wired(scene: Scene) -> Iterator[Wire]:
    """Put a wire between the daemon and Elasticsearch."""
    with Wire(scene.search.port) as wire:
        scene.set(elasticsearch={"urls": [f"http://127.0.0.1:{wire.port}"]})
        yield wire


def assert_sent_once(wire: Wire) -> None:
    """No bytes were sent twice: what was not answered was read again under a newer version."""
    actions = wire.actions()
    assert len(actions) >= 300, "the load at least"
    assert max(actions.values()) == 1, actions.most_common(3)
