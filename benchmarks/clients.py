"""Clients of small commits, in a process of their own.

`python -m benchmarks.clients --dsn DSN --clients N --commits M` makes M commits, each of which
updates one film by its key, in N connections at once. Each client has films of its own, so none
waits for another's row; it goes through them again and again. `rating` becomes the number of the
commit, so that a document shows which commit it is of.

Prints JSON: commits, films that were changed, `began` and `ended` (the monotonic clock, the same
for all processes) of the first and the last commit, and each client's last film with its number.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from typing import Final

import psycopg
from psycopg.pq import ExecStatus

_UPDATE: Final = b"UPDATE content.film_work SET rating = $2::text::float8 WHERE id = $1::text::uuid"


class Client(threading.Thread):
    """One connection; below psycopg's cursors, since the processors are wanted for others."""

    def __init__(
        self, dsn: str, films: list[str], numbers: range, start: threading.Barrier
    ) -> None:
        super().__init__()
        self._connection = psycopg.connect(dsn, autocommit=True)
        self._connection.pgconn.prepare(b"u", _UPDATE)
        self._films, self._numbers, self._start = films, numbers, start
        self.ended = 0.0
        self.last = ("", 0)
        self.error = ""

    def run(self) -> None:
        """All its commits, one after the other."""
        execute = self._connection.pgconn.exec_prepared
        films = [film.encode() for film in self._films]
        self._start.wait()
        for turn, number in enumerate(self._numbers):
            answer = execute(b"u", [films[turn % len(films)], b"%d" % number])
            if answer.status != ExecStatus.COMMAND_OK:
                self.error = answer.error_message.decode(errors="replace")
                return
        self.ended = time.monotonic()
        self.last = (
            self._films[(len(self._numbers) - 1) % len(films)],
            self._numbers[-1],
        )
        self._connection.close()


def main() -> None:
    """Run them, and tell when the last commit had returned."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--clients", required=True, type=int)
    parser.add_argument("--commits", required=True, type=int)
    parser.add_argument("--first", default=1, type=int, help="number of the first commit")
    given = parser.parse_args()
    with psycopg.connect(given.dsn) as connection:
        rows = connection.execute("SELECT id::text FROM content.film_work ORDER BY md5(id::text)")
        films = [row[0] for row in rows.fetchall()]
    began = 0.0

    def now() -> None:
        nonlocal began
        began = time.monotonic()

    start = threading.Barrier(given.clients, action=now)
    end = given.first + given.commits
    clients = [
        Client(
            given.dsn,
            films[number :: given.clients],
            range(given.first + number, end, given.clients),
            start,
        )
        for number in range(given.clients)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    for client in clients:
        if client.error:
            raise SystemExit(client.error)
    print(
        json.dumps(
            {
                "commits": given.commits,
                "films": min(given.commits, len(films)),
                "began": began,
                "ended": max(client.ended for client in clients),
                "last": [client.last for client in clients],
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    main()
