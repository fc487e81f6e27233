"""`python -m benchmarks.parked`: what a few bad documents cost the others of a storm.

One UPDATE touches every row; from its commit to the last of its documents it takes so long. Storms
without a bad document alternate with storms in which some are refused by the mapping, and with
storms in which the document query fails for some. Prints the median of each, and the ratios.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from benchmarks import verify
from playground.daemon import ListenerProcess, Record, processes_of_a_test
from playground.postgres import PostgresServer
from playground.search import SearchServer

KINDS = ("none", "refused by the mapping", "refused by the query")
_QUERY = """
    SELECT item.id, json_build_object('id', item.id, 'name', item.name, 'price',
        CASE item.bad WHEN 1 THEN to_json('dear'::text) WHEN 2 THEN to_json(1 / (item.bad - 2))
        ELSE to_json(item.price) END) AS document
    FROM bench.item AS item WHERE item.id = ANY(%(ids)s)"""
_STORM = """
    UPDATE bench.item SET price = (price + 1) % 1000,
        bad = CASE WHEN id % {} = {} / 2 THEN {} ELSE 0 END"""
_DEADLINE = 300.0


@contextlib.contextmanager
def daemon_of(
    folder: Path, postgres: PostgresServer, search: SearchServer
) -> Iterator[ListenerProcess]:
    """A daemon that has loaded everything."""
    config = verify.configure(folder, postgres, search)
    (folder / "item.sql").write_text(_QUERY, "utf-8")
    options = yaml.safe_load(config.read_text("utf-8"))
    options |= {"logging": {"level": "DEBUG", "format": "json"}, "fetch_delay": 0.2}
    config.write_text(yaml.safe_dump(options), "utf-8")
    with processes_of_a_test() as processes:
        daemon = processes.start(config)
        daemon.wait_for("loaded", deadline=_DEADLINE)
        daemon.wait_for("watermark_moved")
        yield daemon
        daemon.stop()


def settle(daemon: ListenerProcess, since: int, documents: int) -> None:
    """Wait until so many documents were indexed or parked."""
    seen = done = 0

    def complete(records: list[Record]) -> Record | None:
        nonlocal seen, done
        for one in records[seen:]:
            if one.event == "indexed":
                done += one["written"] + one["deleted"]
            elif one.event == "parked":
                done += 1
        seen = len(records)
        return records[-1] if done >= documents else None

    daemon.wait_until(complete, what=f"{documents} documents", after=since, deadline=_DEADLINE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 0 where bad documents cost less than a tenth."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parked", description=__doc__)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--bad", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args(arguments)
    step = given.documents // given.bad
    seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    with (
        verify.servers(given.documents) as (postgres, search),
        tempfile.TemporaryDirectory() as folder,
    ):
        postgres.execute("ALTER TABLE bench.item ADD bad integer NOT NULL DEFAULT 0", "bench")
        with daemon_of(Path(folder), postgres, search) as daemon:
            for _ in range(given.rounds):
                for number, kind in enumerate(KINDS):
                    since = daemon.mark()
                    postgres.execute(_STORM.format(step, step, number), "bench")
                    began = time.monotonic()
                    settle(daemon, since, given.documents)
                    seconds[kind].append(time.monotonic() - began)
                    aside = len(daemon.found("parked", after=since))
                    print(f"{kind:<24} {seconds[kind][-1]:6.2f} s, {aside} parked", flush=True)
    medians = {kind: statistics.median(values) for kind, values in seconds.items()}
    ratios = {kind: medians[kind] / medians["none"] for kind in KINDS[1:]}
    print(
        json.dumps(
            {
                "documents": given.documents,
                "bad": given.bad,
                "rounds": given.rounds,
                "median_seconds": {kind: round(value, 3) for kind, value in medians.items()},
                "ratio": {kind: round(value, 3) for kind, value in ratios.items()},
            }
        )
    )
    return 0 if all(ratio < 1.1 for ratio in ratios.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
