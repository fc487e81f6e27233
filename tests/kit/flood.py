"""Other clients of Elasticsearch, which fill its queue of writes."""

from __future__ import annotations

import http.client
import threading
from types import TracebackType
from typing import Self

from playground.search import SearchServer

_ROWS = b'{"index":{}}\n{"text":"somebody else is busy here, too"}\n' * 100


class Flood:
    """They write all the time into an index of their own, which is gone at the end."""

    def __init__(self, server: SearchServer, index: str, clients: int = 2) -> None:
        self._server = server
        self._index = index
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def __enter__(self) -> Self:
        self._ask("PUT", f"/{self._index}", {"settings": {"number_of_shards": 4}})
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._ask("DELETE", f"/{self._index}")

    def _run(self) -> None:
        while not self._stop.is_set():
            self._ask("POST", f"/{self._index}/_bulk", _ROWS)

    def _ask(self, method: str, path: str, body: object = None) -> None:
        try:
            self._server.request(method, path, body)
        except (OSError, http.client.HTTPException):
            self._stop.wait(0.1)
