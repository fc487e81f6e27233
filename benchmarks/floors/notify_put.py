"""The floor of freshness: NOTIFY -> SELECT one document -> PUT, and nothing else.

The payload of a notification is a film's id; an empty one ends it. No triggers, no polls, no
versions, nothing survives a failure: what is left is what PostgreSQL and Elasticsearch cost.
"""

from __future__ import annotations

import argparse
import http.client
import json
import uuid
from pathlib import Path

import psycopg
from psycopg import sql


def main() -> None:
    """Say when it listens, then write until the end, then say how often it wrote."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("dsn", "host", "port", "index", "channel", "query_file"):
        parser.add_argument(name)
    parser.add_argument("--refresh", action="store_true", help="let searches see it at once")
    given = parser.parse_args()
    query = Path(given.query_file).read_text("utf-8")
    statement = f"SELECT q.document::text FROM ({query}\n) AS q".encode()
    suffix = "?refresh=true" if given.refresh else ""
    search = http.client.HTTPConnection(given.host, int(given.port))
    listening = psycopg.connect(given.dsn, autocommit=True)
    reading = psycopg.connect(given.dsn, autocommit=True)
    reading.execute("SET TIME ZONE 'UTC'")
    listening.execute(sql.SQL("LISTEN {}").format(sql.Identifier(given.channel)))
    print(json.dumps({"listening": given.channel}), flush=True)
    written = 0
    for notify in listening.notifies():
        film = notify.payload
        if not film:
            break
        rows = reading.execute(statement, {"ids": [uuid.UUID(film)]}, prepare=True).fetchall()
        body, path = rows[0][0].encode(), f"/{given.index}/_doc/{film}{suffix}"
        search.request("PUT", path, body, {"Content-Type": "application/json"})
        answer = search.getresponse()
        if answer.status not in (200, 201):
            raise SystemExit(f"{path}: {answer.status} {answer.read()!r}")
        answer.read()
        written += 1
    print(json.dumps({"written": written}), flush=True)


if __name__ == "__main__":
    main()
