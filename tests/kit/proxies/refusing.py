"""A proxy that knows requests: it refuses, loses, or only half answers the one that it is told.

Or it answers in Elasticsearch's place, as an ingress without a backend does, or a portal.
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self

Fault = Literal["refused", "lost", "unanswered"]
"""503 without carrying it out; the connection cut before it; or cut after it was carried out."""


class RefusingProxy:
    """Before Elasticsearch, in threads of its own. One fault at a time."""

    def __init__(self, target_port: int) -> None:
        self._target = target_port
        self._lock = threading.Lock()
        self._begins: Callable[[str], bool] | None = None
        self._left: int | None = None
        self._fault: Fault = "refused"
        self._then: Callable[[], None] | None = None
        self._hit: str | None = None
        self._page: tuple[int, dict[str, str], bytes] | None = None
        self._paged: Callable[[str], bool] = lambda _: True
        self.pages = 0
        """How many requests were answered by a page."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """What the configuration names."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def arm(
        self,
        number: int,
        fault: Fault,
        *,
        begins: Callable[[str], bool],
        then: Callable[[], None] | None = None,
    ) -> None:
        """Do this to the `number`-th request, counted from the first one that `begins` accepts (its
        method and path), which is 1. `then` is called before anybody hears of it.
        """
        with self._lock:
            self._begins, self._left, self._fault, self._then = begins, number, fault, then
            self._hit = None

    def answer_instead(
        self,
        status: int,
        headers: dict[str, str],
        body: bytes,
        *,
        paged: Callable[[str], bool] = lambda _: True,
    ) -> None:
        """Answer so each request that `paged` accepts (its method and path), until `disarm`."""
        with self._lock:
            self._page, self._paged = (status, headers, body), paged

    @property
    def hit(self) -> str | None:
        """The request that met the fault; None: none did, so far."""
        with self._lock:
            return self._hit

    def disarm(self) -> None:
        """No fault any more."""
        with self._lock:
            self._left = self._page = None

    def _page_for(self, line: str) -> tuple[int, dict[str, str], bytes] | None:
        with self._lock:
            if self._page is None or not self._paged(line):
                return None
            self.pages += 1
            return self._page

    def _meets(self, line: str) -> Fault | None:
        with self._lock:
            if self._left is None:
                return None
            if self._begins is not None:
                if not self._begins(line):
                    return None
                self._begins = None
            self._left -= 1
            if self._left:
                return None
            self._left, self._hit = None, line
            then, self._then = self._then, None
        if then is not None:
            then()
        return self._fault

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self) -> None:
                size = int(self.headers.get("content-length") or 0)
                body = self.rfile.read(size)
                page = proxy._page_for(f"{self.command} {self.path}")
                if page is not None:
                    self.answer(*page)
                    return
                fault = proxy._meets(f"{self.command} {self.path}")
                if fault == "refused":
                    self.answer(503, {"content-type": "application/json"}, b'{"error":"refused"}')
                    return
                if fault == "lost":
                    self.close_connection = True
                    return
                status, headers, answer = self.ask(body)
                if fault == "unanswered":
                    self.close_connection = True
                    return
                self.answer(status, headers, answer)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = forward

            def ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
                connection = http.client.HTTPConnection("127.0.0.1", proxy._target, timeout=60)
                try:
                    given = {k: v for k, v in self.headers.items() if k.lower() != "host"}
                    connection.request(self.command, self.path, body or None, given)
                    found = connection.getresponse()
                    return found.status, dict(found.headers.items()), found.read()
                finally:
                    connection.close()

            def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response_only(status)
                for name, value in headers.items():
                    if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                        self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                return

        return Handler
