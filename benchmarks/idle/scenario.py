"""What a daemon costs while nothing changes: CPU, WAL, transactions, Elasticsearch requests.

The movies are loaded, a daemon has caught up, and nobody writes for a minute, `fetch_delay` as in
config.yaml. The floor is the same server without a daemon. Read from outside: /proc, the server's
log position and counters, and a relay before Elasticsearch (a process of its own) that counts.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from threading import Event
from typing import Final
from urllib.parse import urlsplit

from benchmarks.results import Figure, Goal, Result
from benchmarks.stage import Daemon, Site, Stage

_MINUTE: Final = 60.0
_SECONDS: Final = 60.0
_FLOOR_SECONDS: Final = 15.0
_QUICK_FLOOR: Final = 2.0
_QUICK: Final = 6.0
_SETTLE: Final = 5.0
_CPU: Final = 0.5  # % of one core

_NOTES: Final = (
    "The heartbeat: each fetch_delay (1 s) the daemon draws the time, burns a transaction id (the"
    " proof that the watermark may move) and sends itself a NOTIFY (the barrier): two commit"
    " records in the log. It writes the watermark to state.yaml and, more seldom, to its control"
    " document (a GET and a PUT). Each minute it audits triggers, aliases and mappings.",
    "WAL, transactions and requests are what is counted in a quiet time of a round, as a minute's."
    " Floor: no daemon, the same server. Transactions are those of the database (the daemon's"
    " statements are one each, but for few); autovacuum is off.",
)

_KINDS: Final = """
    SELECT "resource_manager/record_type", count, combined_size
    FROM pg_get_wal_stats(%(since)s, %(until)s, true)
    WHERE count > 0
    ORDER BY count DESC
"""


@dataclass(slots=True)
class _Reading:
    """Where the counters stand."""

    at: float
    wal: str
    transactions: int
    requests: Counter[str]


class _Relay:
    """The process that counts requests."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.port = int(self._line())

    def counts(self) -> Counter[str]:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return Counter(json.loads(self._line()))

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@contextlib.contextmanager
def _relay(stage: Stage) -> Iterator[_Relay]:
    target = urlsplit(stage.search.url)
    command = [sys.executable, "-m", "benchmarks.idle.relay", str(target.hostname)]
    with subprocess.Popen(
        [*command, str(target.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield _Relay(process)
        finally:
            process.terminate()


def run(stage: Stage) -> Result:
    """Rounds of a quiet time without and with a daemon."""
    seconds = _QUICK if stage.quick else _SECONDS
    rounds = min(stage.rounds, 3)
    cpu: list[float] = []
    mine: list[Mapping[str, float]] = []
    floor: list[Mapping[str, float]] = []
    kinds: Counter[str] = Counter()
    requests: Counter[str] = Counter()
    with stage.without_autovacuum(), _relay(stage) as relay, stage.site() as site:
        url = f"http://127.0.0.1:{relay.port}"
        site.options["elasticsearch"] = {**site.options["elasticsearch"], "urls": [url]}
        site.write()
        stage.postgres.execute("CREATE EXTENSION IF NOT EXISTS pg_walinspect")
        with site.serve():
            pass  # the load, and the first audit
        for turn in range(rounds):
            stage.say(f"round {turn + 1} of {rounds}")
            since, until = _quiet(site, relay, _QUICK_FLOOR if stage.quick else _FLOOR_SECONDS)
            floor.append(_a_minute(site, since, until))
            with site.serve() as daemon:
                percent, since, until = _watched(site, relay, daemon, seconds)
                site.assert_converged()
            cpu.append(percent)
            mine.append(_a_minute(site, since, until))
            kinds += _records(site, since, until)
            requests += until.requests - since.requests
    minutes = rounds * seconds / _MINUTE
    result = _result(cpu, mine, floor)
    result.notes += [
        f"WAL records a minute: {_listed(kinds, minutes)}.",
        f"Elasticsearch requests a minute: {_listed(requests, minutes)}.",
    ]
    return result


def _watched(
    site: Site, relay: _Relay, daemon: Daemon, seconds: float
) -> tuple[float, _Reading, _Reading]:
    Event().wait(
        1.0 if site.stage.quick else _SETTLE
    )  # quiet, too: what follows a start is no heartbeat
    before = daemon.cpu()
    since, until = _quiet(site, relay, seconds)
    used = daemon.cpu() - before
    return 100 * used.total / (until.at - since.at), since, until


def _quiet(site: Site, relay: _Relay, seconds: float) -> tuple[_Reading, _Reading]:
    since = _read(site, relay)
    Event().wait(seconds)  # nothing: that is the load
    return since, _read(site, relay)


def _read(site: Site, relay: _Relay) -> _Reading:
    found = site.stage.postgres.execute(
        "SELECT pg_current_wal_insert_lsn()::text, xact_commit + xact_rollback"
        f" FROM pg_stat_database WHERE datname = '{site.name}'"
    )
    return _Reading(time.monotonic(), found[0][0], int(found[0][1]), relay.counts())


def _a_minute(site: Site, since: _Reading, until: _Reading) -> dict[str, float]:
    minutes = (until.at - since.at) / _MINUTE
    moved = site.stage.postgres.execute(f"SELECT '{until.wal}'::pg_lsn - '{since.wal}'::pg_lsn")
    return {
        "wal": float(moved[0][0]) / minutes,
        "transactions": (until.transactions - since.transactions) / minutes,
        "requests": (until.requests - since.requests).total() / minutes,
        "others": sum(
            count
            for kind, count in (until.requests - since.requests).items()
            if not _of_the_heartbeat(site, kind)
        )
        / minutes,
    }


def _of_the_heartbeat(site: Site, kind: str) -> bool:
    """The control document is read and written; the audit looks at the indexes, at what leads to
    them, and at the nodes. No bulk, no refresh: what a change would bring."""
    method, _, path = kind.partition(" ")
    control = f"/{site.name}-control"
    if path.startswith(f"{control}/_doc/"):
        return True
    looks = {f"/{site.index}", f"/{site.index}/_settings", f"{control}/_settings"}
    looks.add("/_cluster/state/nodes")
    ours = path.startswith(f"/{site.index}") and path.endswith("/_stats/docs")
    return method == "GET" and (path in looks or ours or "/_alias/" in path)


def _records(site: Site, since: _Reading, until: _Reading) -> Counter[str]:
    if since.wal == until.wal:
        return Counter()
    found = site.stage.postgres.execute(_KINDS, params={"since": since.wal, "until": until.wal})
    return Counter({str(kind): int(count) for kind, count, _ in found})


def _result(
    cpu: list[float], mine: list[Mapping[str, float]], floor: list[Mapping[str, float]]
) -> Result:
    def figure(name: str, unit: str, key: str, goal: Goal | None = None) -> Figure:
        return Figure(name, unit, [one[key] for one in mine], goal=goal)

    without = ", ".join(
        f"{round(max(one[key] for one in floor))} {name}"
        for key, name in (("wal", "bytes of WAL"), ("transactions", "transactions"))
    )
    return Result(
        figures=[
            Figure("daemon CPU, idle", "% of a core", cpu, goal=Goal("value", "<=", _CPU)),
            figure("WAL, idle", "bytes a minute", "wal"),
            figure("database transactions, idle", "a minute", "transactions"),
            figure("Elasticsearch requests, idle", "a minute", "requests"),
            figure(
                "requests that are not the heartbeat's or the audit's, idle",
                "a minute",
                "others",
                Goal("value", "<=", 0),
            ),
        ],
        notes=[*_NOTES, f"Without a daemon, at most: {without} a minute."],
    )


def _listed(counts: Counter[str], minutes: float) -> str:
    found = [f"{kind} {count / minutes:.3g}" for kind, count in counts.most_common(12)]
    return ", ".join(found) or "none"
