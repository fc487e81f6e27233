"""The proxy: forwards, refuses, resets, and falls silent."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from playground.proxy import TcpProxy
from playground.system import PlaygroundError, free_port, wait_until

SECONDS = 10.0


class Echo:
    """A server that sends back what it gets, and says which bytes have reached it."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.seen = b""
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self._threads:
            thread.join(SECONDS)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            try:
                while chunk := client.recv(1000):
                    self.seen += chunk
                    client.sendall(chunk)
            except ConnectionError:
                return


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[TcpProxy]:
    with TcpProxy("127.0.0.1", echo.port) as running:
        yield running


def connect(proxy: TcpProxy) -> socket.socket:
    return socket.create_connection((proxy.host, proxy.port), timeout=SECONDS)


def exchange(client: socket.socket, text: bytes) -> bytes:
    client.sendall(text)
    answer = b""
    while len(answer) < len(text):
        answer += client.recv(1000)
    return answer


def test_forwards_both_ways_and_counts(proxy: TcpProxy) -> None:
    """Bytes pass, an end of stream passes, and the connection is counted while it is open."""
    with connect(proxy) as client:
        assert exchange(client, b"hello") == b"hello"
        assert proxy.connections == 1
        client.shutdown(socket.SHUT_WR)
        assert client.recv(10) == b""
    wait_until(lambda: proxy.connections == 0, seconds=SECONDS, what="the connection has ended")
    assert proxy.accepted == 1


def test_stop_cuts_and_refuses_restart_takes_the_same_port(proxy: TcpProxy) -> None:
    """A stopped proxy resets who is connected and refuses who comes; restarted, it serves again."""
    port = proxy.port
    with connect(proxy) as client:
        exchange(client, b"hello")
        proxy.stop()
        with pytest.raises(ConnectionResetError):
            client.recv(10)
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    assert proxy.connections == 0
    proxy.stop()  # twice is harmless
    proxy.start()
    assert proxy.port == port
    with connect(proxy) as client:
        assert exchange(client, b"again") == b"again"


def test_cut_leaves_the_port_open(proxy: TcpProxy) -> None:
    """A cut ends the connections that are there and no others."""
    with connect(proxy) as first:
        exchange(first, b"hello")
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            first.recv(10)
        with connect(proxy) as second:
            assert exchange(second, b"again") == b"again"


def test_stall_holds_bytes_and_loses_none(proxy: TcpProxy, echo: Echo) -> None:
    """In a stall nothing arrives, from old connections or new ones; afterwards everything does."""
    with connect(proxy) as old:
        assert exchange(old, b"before") == b"before"
        proxy.stall()
        old.sendall(b"held")
        with connect(proxy) as new:
            new.sendall(b"held")
            proxy.wait_accepted(2)
            new.settimeout(0.2)
            with pytest.raises(TimeoutError):
                new.recv(10)
            assert echo.seen == b"before"
            proxy.unstall()
            new.settimeout(SECONDS)
            assert new.recv(10) == b"held"
        assert old.recv(10) == b"held"


def test_a_stall_outlives_a_restart(proxy: TcpProxy, echo: Echo) -> None:
    """The stall belongs to the proxy, not to its open port."""
    proxy.stall()
    proxy.restart()
    with connect(proxy) as client:
        client.sendall(b"held")
        proxy.wait_accepted(1)
        assert echo.seen == b""
        proxy.unstall()
        assert client.recv(10) == b"held"


def test_delay_holds_each_chunk(proxy: TcpProxy) -> None:
    """A delay of a tenth of a second, there and back, is at least felt by an impatient client."""
    proxy.delay = 0.1
    with connect(proxy) as client:
        client.settimeout(0.05)
        client.sendall(b"x")
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.settimeout(SECONDS)
        assert client.recv(1) == b"x"


def test_a_target_that_is_down_ends_the_connection() -> None:
    """Who connects to a proxy without a target is cut off, and does not wait for ever."""
    with TcpProxy("127.0.0.1", free_port()) as proxy:
        # the reset may arrive as early as in connect
        with pytest.raises(ConnectionResetError), connect(proxy) as client:
            client.recv(1)
        with pytest.raises(PlaygroundError, match="not 2"):
            proxy.wait_accepted(2, timeout=0.01)
