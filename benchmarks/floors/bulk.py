"""Floor of storms and loads: the documents of all films, read and sent as fast as a script can.

`python -m benchmarks.floors.bulk --dsn DSN --search HOST:PORT --index INDEX --version N` reads
pages of ids in the order of the key, reads the documents by the document query as it stands in
sql/movies, and sends them as bulks whose bytes are those that listener sends. Two bulks are in
flight, the next page is read meanwhile. It checks nothing but the server's word that there were no
errors, and it keeps nothing, so it could not go on after any fault.

Prints JSON: documents, bytes, `began` and `ended` (the monotonic clock, the same for all
processes), seconds, and the CPU seconds of this process in that time, its start left out.
"""

from __future__ import annotations

import argparse
import http.client
import json
import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psycopg

DOCUMENTS: Final = 2000
BYTES: Final = 5_000_000
IN_FLIGHT: Final = 2
QUERY: Final = Path(__file__).resolve().parents[2] / "sql" / "movies" / "film.sql"

_SESSION: Final = (
    b"SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET extra_float_digits = 1; "
    b"SET client_encoding = 'UTF8'"
)
_PAGE: Final = (
    b"SELECT t.id::text FROM content.film_work AS t WHERE t.id > $1::text::uuid "
    b"ORDER BY t.id LIMIT %d" % DOCUMENTS
)
_FIRST: Final = b"00000000-0000-0000-0000-000000000000"
_NO_ROOM: Final = 429
_TRIES: Final = 100
_PAUSE: Final = 0.02
_HEADERS: Final = {"accept": "application/json", "content-type": "application/x-ndjson"}
_PATH: Final = "/_bulk?timeout=10s&filter_path=errors"


def bulks(
    connection: psycopg.Connection[object], index: str, version: int
) -> Iterator[tuple[int, bytes]]:
    """Number of documents and body of each. Below psycopg's cursors, where values are bytes."""
    query = QUERY.read_text("utf-8").replace("%(ids)s", "$1::text[]::uuid[]")
    documents = f"SELECT q.id::text, q.document::text FROM (\n{query}\n) AS q".encode()
    head = b'{"index":{"_index":"%s","_id":"' % index.encode()
    tail = b'","version":%d,"version_type":"external_gte"}}\n' % version
    base = connection.pgconn
    after = _FIRST
    while True:
        found = base.exec_params(_PAGE, [after])
        ids = [found.get_value(row, 0) or b"" for row in range(found.ntuples)]
        if not ids:
            return
        after = ids[-1]
        found = base.exec_params(documents, [b"{" + b",".join(ids) + b"}"])
        if found.ntuples != len(ids):
            raise SystemExit(f"{found.ntuples} documents of {len(ids)}: {found.error_message!r}")
        value = found.get_value
        parts: list[bytes] = []
        count = size = 0
        for row in range(found.ntuples):
            body = value(row, 1) or b""
            parts += (head, value(row, 0) or b"", tail, body, b"\n")  # the query makes no newlines
            count += 1
            size += len(body)
            if size > BYTES:
                yield count, b"".join(parts)
                parts, count, size = [], 0, 0
        if parts:
            yield count, b"".join(parts)


class Senders:
    """Threads with a connection each; `give` waits until one of them is free."""

    def __init__(self, host: str, port: int) -> None:
        self._free = threading.Semaphore(IN_FLIGHT)
        self._bodies: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._errors: list[str] = []
        self._threads = [
            threading.Thread(target=self._send, args=(host, port), daemon=True)
            for _ in range(IN_FLIGHT)
        ]
        for thread in self._threads:
            thread.start()

    def give(self, body: bytes) -> None:
        """Send it, as soon as less than two are in flight."""
        self._free.acquire()
        self._bodies.put(body)

    def close(self) -> None:
        """Wait for the last answers. Raises SystemExit where one was not what it should be."""
        for _ in self._threads:
            self._bodies.put(None)
        for thread in self._threads:
            thread.join()
        if self._errors:
            raise SystemExit(self._errors[0])

    def _send(self, host: str, port: int) -> None:
        connection = http.client.HTTPConnection(host, port, timeout=60)
        while (body := self._bodies.get()) is not None:
            for _ in range(_TRIES):
                connection.request("POST", _PATH, body, _HEADERS)
                answer = connection.getresponse()
                text = answer.read()
                if answer.status != _NO_ROOM:
                    break
                time.sleep(_PAUSE)  # the heap is full of what the scenario before has left
            if answer.status != 200 or text != b'{"errors":false}':
                self._errors.append(f"a bulk was answered with {answer.status}: {text[:500]!r}")
            self._free.release()
        connection.close()


def main() -> None:
    """Send all of it once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--search", required=True, metavar="HOST:PORT")
    parser.add_argument("--index", required=True)
    parser.add_argument("--version", required=True, type=int)
    given = parser.parse_args()
    host, _, port = given.search.partition(":")
    with psycopg.connect(given.dsn, autocommit=True) as connection:
        connection.execute(_SESSION)
        senders = Senders(host, int(port))
        documents = size = 0
        began, used = time.monotonic(), time.process_time()
        for count, body in bulks(connection, given.index, given.version):
            senders.give(body)
            documents += count
            size += len(body)
        senders.close()
        ended = time.monotonic()
        cpu = time.process_time() - used
    print(
        json.dumps(
            {
                "documents": documents,
                "bytes": size,
                "began": began,
                "ended": ended,
                "seconds": ended - began,
                "cpu": cpu,
            }
        )
    )


if __name__ == "__main__":
    main()
