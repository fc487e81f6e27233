"""A transaction pooler before PostgreSQL, as PgBouncer is one: between transactions a client has no
backend, and its next statement may run on another one.

It speaks enough of the protocol for that, and logs in to the server by the unix socket.
"""

from __future__ import annotations

import socket
import struct
import threading
from typing import Self

Message = tuple[bytes, bytes]


def _exactly(source: socket.socket, size: int) -> bytes:
    parts = b""
    while len(parts) < size:
        more = source.recv(size - len(parts))
        if not more:
            raise EOFError
        parts += more
    return parts


def _message(source: socket.socket) -> Message:
    """Kind and the whole message."""
    head = _exactly(source, 5)
    return head[:1], head + _exactly(source, struct.unpack("!i", head[1:])[0] - 4)


class Pooler:
    """`size` backends of one database, shared by all clients that connect to `port`.

    Clients are told a process of its own, as PgBouncer does.
    """

    def __init__(self, path: str, user: str, database: str, *, size: int = 3) -> None:
        self._free: list[socket.socket] = []
        self._changed = threading.Condition()
        self._greeting = b""
        for _ in range(size):
            self._free.append(self._log_in(path, user, database))
        self.backends = tuple(self._free)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.statements = 0
        """How many messages asked a backend for something."""
        self._threads: list[threading.Thread] = []

    def _log_in(self, path: str, user: str, database: str) -> socket.socket:
        server = socket.socket(socket.AF_UNIX)
        server.connect(path)
        words = b"\0".join(
            [b"user", user.encode(), b"database", database.encode(), b"application_name", b"pool"]
        )
        body = struct.pack("!i", 196608) + words + b"\0\0"
        server.sendall(struct.pack("!i", len(body) + 4) + body)
        greeting = b""
        while True:
            kind, whole = _message(server)
            if kind == b"E":
                raise RuntimeError(whole.decode(errors="replace"))
            if kind in b"RS":
                greeting += whole
            if kind == b"Z":
                self._greeting = greeting
                return server

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        for one in self.backends:
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            try:
                while True:
                    size = struct.unpack("!i", _exactly(client, 4))[0]
                    code = struct.unpack("!i", _exactly(client, size - 4)[:4])[0]
                    if code == 196608:
                        break
                    client.sendall(b"N")  # neither TLS nor GSS
                client.sendall(
                    self._greeting + b"K" + struct.pack("!iii", 12, 4711, 0) + b"Z\0\0\0\x05I"
                )
                while self._transaction(client):
                    pass
            except (EOFError, OSError):
                return

    def _transaction(self, client: socket.socket) -> bool:
        """One, on whatever backend is free; the longest idle one is next."""
        kind, whole = _message(client)
        if kind == b"X":
            return False
        self.statements += 1
        with self._changed:
            self._changed.wait_for(lambda: bool(self._free), 10)
            server = self._free.pop(0)
        try:
            while True:
                server.sendall(whole)
                if kind in b"QS":
                    status = self._answer(server, client)
                    if status == b"I":
                        return True
                kind, whole = _message(client)
        finally:
            with self._changed:
                self._free.append(server)
                self._changed.notify_all()

    def _answer(self, server: socket.socket, client: socket.socket) -> bytes:
        while True:
            kind, whole = _message(server)
            client.sendall(whole)
            if kind == b"Z":
                return whole[5:]

    def settings(self) -> list[bytes]:
        """What the backends' sessions were told to be, and what they hold; empty: nothing."""
        query = (
            b"SELECT name FROM pg_settings WHERE source = 'session' UNION ALL "
            b"SELECT 'LISTEN ' || c FROM pg_listening_channels() AS c UNION ALL "
            b"SELECT 'lock ' || objid FROM pg_locks WHERE pid = pg_backend_pid() "
            b"AND locktype = 'advisory' UNION ALL SELECT 'temporary ' || relname FROM pg_class "
            b"WHERE relnamespace = pg_my_temp_schema() UNION ALL "
            b"SELECT 'prepared ' || name FROM pg_prepared_statements\0"
        )
        found: list[bytes] = []
        for backend in self.backends:
            backend.sendall(b"Q" + struct.pack("!i", len(query) + 4) + query)
            while True:
                kind, whole = _message(backend)
                if kind == b"D":
                    found.append(whole[11:])
                if kind == b"E":
                    raise RuntimeError(whole.decode(errors="replace"))
                if kind == b"Z":
                    break
        return found
