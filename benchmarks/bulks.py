"""Watching an index take bulks, from outside, and the floor `bulk` watched in the same way.

Elasticsearch counts the operations of an index as it does them. Both listener and the floor are
timed by the same look at these counters, over one connection, every few milliseconds: so what a
look costs, and how late it sees the last operation, is the same for both.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import Any, Final

from benchmarks.stage import Site
from playground.daemon import PROJECT
from playground.system import LOOPBACK

LOOK: Final = 0.01
"""Seconds between two looks at the counters of a storm or load that takes seconds."""
QUIET: Final = 1.0
"""Seconds without an operation after which nothing more is expected."""
_WITHIN: Final = 600.0
_COUNTED: Final = (
    "indices.*.primaries.indexing.index_total,indices.*.primaries.indexing.delete_total"
)


class Ask:
    """Requests over one connection that stays open."""

    def __init__(self, site: Site) -> None:
        self._connection = http.client.HTTPConnection(LOOPBACK, site.stage.search.port, timeout=60)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __call__(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and decoded answer."""
        data = None if body is None else json.dumps(body)
        self._connection.request(method, path, data, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else None

    def operations(self, indexes: str) -> dict[str, int]:
        """Index and delete operations so far by index; `indexes` is a name, an alias or a pattern.

        Repeats count, too.
        """
        status, answer = self("GET", f"/{indexes}/_stats/indexing?filter_path={_COUNTED}")
        if status != 200:
            return {}
        return {
            name: sum(found["primaries"]["indexing"].values())
            for name, found in answer.get("indices", {}).items()
        }

    def total(self, indexes: str) -> int:
        """All of them together."""
        return sum(self.operations(indexes).values())


@dataclass(frozen=True, slots=True)
class Seen:
    """What the counters showed: moments of time.monotonic(), operations since the beginning."""

    first: float
    """When the first operations were seen."""
    by_first: int
    """How many they were."""
    last: float
    """When the last one was seen."""
    operations: int

    @property
    def pace(self) -> float:
        """Operations a second from the first that was seen to the last."""
        return (self.operations - self.by_first) / max(self.last - self.first, 1e-9)


def settle(
    ask: Ask,
    indexes: str,
    since: int,
    least: int,
    *,
    look: float = LOOK,
    quiet: float = QUIET,
    at_look: Callable[[], None] | None = None,
) -> Seen:
    """Look until `least` operations were done since `since`, and none for `quiet` seconds.

    `at_look` is called after each look. Raises TimeoutError.
    """
    pause, began = Event(), time.monotonic()
    first = last = began
    by_first = seen = 0
    while True:
        total = ask.total(indexes) - since
        now = time.monotonic()
        if total != seen:
            if not seen:
                first, by_first = now, total
            last, seen = now, total
        elif seen >= least and now - last > quiet:
            return Seen(first, by_first, last, seen)
        if now - began > _WITHIN:
            raise TimeoutError(f"{seen} of {least} operations in {_WITHIN:g} s")
        if at_look is not None:
            at_look()
        pause.wait(look)


@dataclass(frozen=True, slots=True)
class Floor:
    """One run of the floor: its own words, and what the counters showed meanwhile."""

    documents: int
    bytes: int
    began: float
    seconds: float
    cpu: float
    seen: Seen

    @property
    def rate(self) -> float:
        """Documents a second from the begin of its first read to its last operation."""
        return self.documents / (self.seen.last - self.began)


def make_index(site: Site, name: str, refresh_interval: str) -> str:
    """An index with the settings and mapping of listener's; its whole name. Gone with the site."""
    document = site.options["documents"][0]
    with open(document["index_config_file"], encoding="utf-8") as file:  # noqa: PTH123
        body = json.load(file)
    body["settings"]["refresh_interval"] = refresh_interval
    whole = f"{site.name}-{name}"
    status, answer = site.stage.search.request("PUT", f"/{whole}", body)
    if status != 200:
        raise RuntimeError(f"{whole} was not made: {answer}")
    return whole


def run_floor(site: Site, ask: Ask, index: str, version: int, documents: int) -> Floor:
    """Run it once, watched.

    Its index is refreshed when the time is taken, as listener's is at the end of a load: else
    Elasticsearch would write out what the floor left in memory while listener is measured.
    """
    since = ask.total(index)
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "benchmarks.floors.bulk"),
            *("--dsn", site.dsn, "--search", f"{LOOPBACK}:{site.stage.search.port}"),
            *("--index", index, "--version", str(version)),
        ],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
    )

    def alive() -> None:
        if process.poll() not in (None, 0):
            raise RuntimeError(f"the floor ended with {process.returncode}")

    try:
        # its last answer follows its last operation, so little silence is enough
        seen = settle(ask, index, since, documents, quiet=0.1, at_look=alive)
        told = json.loads(process.communicate(timeout=60)[0])
        status, answer = ask("POST", f"/{index}/_refresh")
        if status != 200:
            raise RuntimeError(f"{index} was not refreshed: {answer}")
    finally:
        process.kill()
        process.wait()
    if told["documents"] != documents or seen.operations != documents:
        raise RuntimeError(f"the floor sent {told}, and {seen.operations} operations were done")
    return Floor(
        documents=documents,
        bytes=told["bytes"],
        began=told["began"],
        seconds=told["seconds"],
        cpu=told["cpu"],
        seen=seen,
    )
