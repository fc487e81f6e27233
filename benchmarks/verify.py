"""`python -m benchmarks.verify --documents 1000000`: a comparison of many small documents.

Loads them with the real listener, compares, spoils a thousand documents each way, and has them
mended.
Prints seconds, documents a second, and the peak resident memory of each process.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import yaml

from playground.cluster import PASSWORD, SUPERUSER
from playground.daemon import PROJECT
from playground.postgres import PostgresServer
from playground.search import SearchServer

SPOILED = 1000
_LOOK = 0.02

_SCHEMA = """
    CREATE SCHEMA bench;
    CREATE TABLE bench.item (id bigint PRIMARY KEY, name text NOT NULL, price integer NOT NULL);
    INSERT INTO bench.item SELECT n, 'Item ' || md5(n::text), n % 1000
    FROM generate_series(1, {}) AS n;
    ANALYZE bench.item"""
_QUERY = """
    SELECT item.id, json_build_object('id', item.id, 'name', item.name, 'price', item.price)
        AS document
    FROM bench.item AS item WHERE item.id = ANY(%(ids)s)"""
_INDEX = {
    "settings": {"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": "1s"},
    "mappings": {
        "dynamic": "strict",
        "properties": {
            "id": {"type": "long"},
            "name": {"type": "keyword"},
            "price": {"type": "integer"},
        },
    },
}


@dataclass(frozen=True)
class Run:
    """One run of the listener: how it ended, how long it took, the most memory it had, in MB."""

    status: int
    seconds: float
    peak: float
    output: str


def peak_of(pid: int) -> float:
    """VmHWM of a process, in MB; 0 where it is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text("ascii")
    except OSError:
        return 0.0
    found = re.search(r"VmHWM:\s+(\d+) kB", text)
    return int(found[1]) / 1000 if found else 0.0


def run(config: Path, *arguments: str) -> Run:
    """`listener ARGUMENTS`, watched.

    Not by its resource usage at the end: that of a child counts this process at its fork, too.
    """
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "listener", "--config", str(config), *arguments],
            cwd=PROJECT,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        peak, pause = 0.0, Event()
        while process.poll() is None:
            peak = max(peak, peak_of(process.pid))
            pause.wait(_LOOK)
        seconds = time.monotonic() - began
        output.seek(0)
        return Run(process.returncode, seconds, peak, output.read())


@contextlib.contextmanager
def servers(documents: int) -> Iterator[tuple[PostgresServer, SearchServer]]:
    """Both servers, with the rows and without an index."""
    with contextlib.ExitStack() as stack:
        postgres = PostgresServer(settings={"shared_buffers": "256MB", "max_wal_size": "4GB"})
        stack.callback(postgres.close)
        search = SearchServer(heap="1g")
        stack.callback(search.close)
        postgres.start()
        search.start()
        postgres.create_database("bench")
        postgres.execute(_SCHEMA.format(documents), "bench")
        yield postgres, search


def configure(folder: Path, postgres: PostgresServer, search: SearchServer) -> Path:
    """The configuration and its files."""
    (folder / "item.sql").write_text(_QUERY, "utf-8")
    (folder / "items.json").write_text(json.dumps(_INDEX), "utf-8")
    options = {
        "pipeline": "bench",
        "postgres": {
            "host": "127.0.0.1",
            "port": postgres.port,
            "dbname": "bench",
            "user": SUPERUSER,
            "password": PASSWORD,
        },
        "elasticsearch": {"urls": [search.url]},
        "triggers": {"install": "auto"},
        "documents": [
            {
                "index": "items",
                "index_config_file": "items.json",
                "query_file": "item.sql",
                "table": "bench.item",
                "key": "id",
                "watch": [{"table": "bench.item", "key": "id"}],
            }
        ],
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(options), "utf-8")
    return path


def spoil(search: SearchServer, documents: int) -> None:
    """A thousand documents missing, a thousand stale, a thousand orphaned, all over the index."""
    step = documents // (2 * SPOILED)
    lines: list[object] = []
    for number in range(SPOILED):
        missing, stale = 2 * number * step + 1, (2 * number + 1) * step + 1
        lines += [
            {"delete": {"_id": str(missing)}},
            {"index": {"_id": str(stale)}},
            {"id": stale, "name": "spoiled", "price": -1},
            {"index": {"_id": str(documents + 1 + number)}},
            {"id": documents + 1 + number, "name": "orphaned", "price": -1},
        ]
    body = "\n".join(json.dumps(line) for line in lines) + "\n"
    status, answer = search.request("POST", "/items/_bulk?refresh=true", body.encode())
    if status >= 300 or answer["errors"]:
        raise SystemExit(f"the documents could not be spoiled: {status} {str(answer)[:300]}")


def told(name: str, documents: int, one: Run) -> None:
    """A line of the table."""
    print(
        f"{name:<34} exit {one.status}  {one.seconds:7.1f} s  {documents / one.seconds:9,.0f} "
        f"documents/s  peak {one.peak:6.1f} MB",
        flush=True,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 0 when everything was found and mended."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verify", description=__doc__)
    parser.add_argument("--documents", type=int, default=100_000, help="at least 10,000")
    count = parser.parse_args(arguments).documents
    if count < 10 * SPOILED:
        parser.error("--documents: at least 10000")
    with servers(count) as (postgres, search), tempfile.TemporaryDirectory() as folder:
        config = configure(Path(folder), postgres, search)
        print(f"{count:,} documents; Python {sys.version.split()[0]}", flush=True)
        none = run(config, "triggers", "print")
        print(f"a command that does almost nothing: peak {none.peak:.1f} MB", flush=True)
        found: list[Run] = []
        for name, words, status in (
            ("load", ["load"], 0),
            ("verify, nothing wrong", ["verify"], 0),
            ("verify, 1,000 wrong each way", ["verify"], 1),
            ("verify --repair", ["verify", "--repair"], 0),
            ("verify, all mended", ["verify"], 0),
        ):
            if status == 1:
                spoil(search, count)
            one = run(config, *words)
            found.append(one)
            told(name, count, one)
            if one.status != status:
                print(one.output)
                return 1
        for line in found[2].output.splitlines():
            if line.startswith(("items:", "  ")):
                print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
