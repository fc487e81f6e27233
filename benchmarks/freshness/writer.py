"""Another client of the database: small commits at a steady rate, until its input ends.

`python -m benchmarks.freshness.writer DSN RATE`. Each commit changes one film, and the daemon has
to index it; they are films that are not measured (`films_of_others`). Prints what it has done.
"""

from __future__ import annotations

import itertools
import json
import sys
import threading
import time

import psycopg

_FILMS = """
    SELECT id FROM content.film_work ORDER BY md5(id::text) DESC LIMIT 2000
"""
_CHANGE = "UPDATE content.film_work SET rating = %s WHERE id = %s"


def main() -> None:
    """Write."""
    dsn, rate = sys.argv[1], float(sys.argv[2])
    ended = threading.Event()

    def watch() -> None:
        sys.stdin.read()
        ended.set()

    with psycopg.connect(dsn, autocommit=True) as connection:
        films = [row[0] for row in connection.execute(_FILMS).fetchall()]
        threading.Thread(target=watch, daemon=True).start()
        print(json.dumps({"films": len(films)}), flush=True)
        began = time.perf_counter()
        for number in itertools.count():
            if ended.wait(max(0.0, began + number / rate - time.perf_counter())):
                break
            connection.execute(_CHANGE, (number % 997 / 100, films[number % len(films)]))
        seconds = time.perf_counter() - began
    print(json.dumps({"commits": number, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
