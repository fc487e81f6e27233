"""A proxy before a real search server: TLS, and a log-in that may change at any moment.

As a reverse proxy or a server with security has it. What it lets in goes to the server as it is.
"""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

_HOPS = ("connection", "transfer-encoding", "content-length", "keep-alive")


def basic(user: str, password: str) -> str:
    """The header of basic authentication, in UTF-8 as Elasticsearch reads it."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""


class LogInProxy:
    """Forwards a request to `port` of 127.0.0.1 where it has this `header` (None: every request).

    `header`, `former` (taken as well: a server on which both are valid for a while) and
    `certificate` (a PEM file with its key) may be changed at any time; `cut` makes clients connect
    anew, which is when they see another certificate.
    """

    def __init__(
        self, port: int, header: str | None = None, certificate: Path | None = None
    ) -> None:
        self.header = header
        self.former: str | None = None
        self.refused = 0
        """How many requests were refused."""
        self._target = port
        self._open: set[socket.socket] = set()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                proxy._open.add(self.request)
                super().setup()

            def finish(self) -> None:
                proxy._open.discard(self.request)
                super().finish()

            def log_message(self, format: str, *args: Any) -> None:
                """Be silent."""

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"] or 0))
                shown = self.headers["Authorization"]
                if proxy.header is not None and shown not in (proxy.header, proxy.former):
                    proxy.refused += 1
                    reason = {"type": "security_exception", "reason": "unable to authenticate"}
                    self.reply(
                        401,
                        [("Content-Type", "application/json")],
                        json.dumps({"error": reason}).encode(),
                    )
                    return
                server = http.client.HTTPConnection("127.0.0.1", proxy._target, timeout=60)
                try:
                    given = {
                        n: v
                        for n, v in self.headers.items()
                        if n.lower() not in (*_HOPS, "authorization")
                    }
                    server.request(self.command, self.path, body or None, given)
                    answer = server.getresponse()
                    self.reply(answer.status, answer.getheaders(), answer.read())
                finally:
                    server.close()

            def reply(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
                self.send_response(status)
                for name, value in headers:
                    if name.lower() not in _HOPS:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self._context: ssl.SSLContext | None = None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._server.socket = self._context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
            self.show(certificate)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}"

    def show(self, certificate: Path) -> None:
        """This certificate from now on, to all clients: they connect anew."""
        assert self._context is not None
        self._context.load_cert_chain(certificate)
        self.cut()

    def cut(self) -> None:
        """End all connections."""
        for one in list(self._open):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self.cut()
        self._server.server_close()
        self._thread.join()


class Certificates:
    """A CA of its own (`ca`), and certificates that it has signed, each a file with its key."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._number = 0
        self.ca = folder / "ca.pem"
        self._openssl(
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
            "-days",
            "30",
            "-subj",
            "/CN=CA of tests",
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
        )

    def signed(self, names: str, *, days: int = 30) -> Path:
        """A certificate for these names (`DNS:localhost,IP:127.0.0.1`)."""
        self._number += 1
        name = f"server{self._number}"
        extensions = self._folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={names}\nbasicConstraints=CA:FALSE\n")
        self._openssl(
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            f"{name}.key",
            "-out",
            f"{name}.csr",
            "-subj",
            "/CN=server of tests",
        )
        self._openssl(
            "x509",
            "-req",
            "-in",
            f"{name}.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-extfile",
            f"{name}.ext",
            "-out",
            f"{name}.crt",
            "-days",
            str(days),
        )
        path = self._folder / f"{name}.pem"
        path.write_bytes(
            b"".join((self._folder / f"{name}{end}").read_bytes() for end in (".crt", ".key"))
        )
        return path

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self._folder, check=True, capture_output=True)
