"""A relay that counts HTTP requests, for the scenario `idle`: a process of its own.

`python -m benchmarks.idle.relay HOST PORT` prints its port; each line on standard input is answered
by one line of JSON: how many requests of each kind there were so far.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import sys
import threading
from collections import Counter
from typing import Final

_CHUNK: Final = 65_536
_REQUEST: Final = re.compile(rb"(GET|POST|PUT|DELETE|HEAD) (\S+) HTTP/1\.1\r\n")


class _Relay:
    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.lock = threading.Lock()
        self.counts: Counter[str] = Counter()

    def serve(self, listener: socket.socket) -> None:
        while True:
            client, _ = listener.accept()
            server = socket.create_connection(self.target)
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for source, sink, counts in ((client, server, True), (server, client, False)):
                threading.Thread(
                    target=self._pump, args=(source, sink, counts), daemon=True
                ).start()

    def _pump(self, source: socket.socket, sink: socket.socket, counts: bool) -> None:
        rest = b""
        with contextlib.suppress(OSError):
            while chunk := source.recv(_CHUNK):
                if counts:
                    rest = self._count(rest + chunk)
                sink.sendall(chunk)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _count(self, data: bytes) -> bytes:
        """What may be the beginning of a request line stays for the next chunk."""
        end = 0
        for found in _REQUEST.finditer(data):
            end = found.end()
            path = found[2].partition(b"?")[0].decode("ascii", "replace")
            with self.lock:
                self.counts[f"{found[1].decode()} {path}"] += 1
        return data[end:][-1024:]


def main() -> None:
    """Until standard input ends."""
    relay = _Relay((sys.argv[1], int(sys.argv[2])))
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=relay.serve, args=(listener,), daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    for _ in sys.stdin:
        with relay.lock:
            print(json.dumps(relay.counts), flush=True)


if __name__ == "__main__":
    main()
