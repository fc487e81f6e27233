"""What our triggers cost those who write: the same table and indexes without them, and with each.

Seven databases of one table of 100,000 rows: without triggers, and with those that `listener
triggers install` makes for each way of polling and each `notify`. In alternation: small commits by
8 clients (pgbench), and one UPDATE, one COPY and one DELETE of 100,000 rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from benchmarks.results import Figure, Goal, Result
from benchmarks.stage import Site, Stage
from benchmarks.writers.variants import (
    POLLS,
    VARIANTS,
    Poll,
    Variant,
    databases,
    heard,
    least,
    tidy,
)
from benchmarks.writers.work import CLIENTS, COMMITS, Commit, copied, copy, delete, small, update

_ROWS: Final = 100_000
_QUICK_ROWS: Final = 12_000  # more than a NOTIFY may tell, so that the same paths are taken
_SECONDS: Final = 4
_STATEMENT: Final[dict[Poll, float]] = {"updated_at": 1.6, "journal": 1.35}
_OFF: Final[dict[Commit, float]] = {"CPU-bound": 0.7, "commit of 1 ms": 0.9}
_DOORBELL: Final = 0.95
_UNKEPT: Final = ", nobody keeps the bell"
_LEAST: Final = ", a trigger that is one INSERT"
_AS_FRESH: Final = 0.05
"""Seconds between the polls of a daemon that is about as fresh under such a load as by the bell."""

# What an application does: it maintains updated_at where there is one to poll, and where there is
# none the journal is polled. The table is the same.
_SETS: Final[dict[Poll, bool]] = {"updated_at": True, "journal": False}

_NOTES: Final = (
    "Ratios are against the same statement on the same table with the same indexes (one on"
    " updated_at) without our triggers. Polled by updated_at, the application sets that column"
    " itself, as it does where there is one; polled by the journal, it does not.",
    f"Small commits: UPDATE of one random row, prepared, by pgbench with {CLIENTS} clients on the"
    " socket; pgbench's own CPU counts on both sides.",
    "CPU-bound: synchronous_commit off, so that no commit waits for the disk. Commit of 1 ms:"
    " commit_delay 1000, commit_siblings 0, fsync on: whoever writes the log for a group of commits"
    " waits 1 ms first. The large statements run with synchronous_commit off.",
    "One session listens and reads all notifications, and no daemon runs (it would take one of two"
    " cores, which is not the triggers' cost), but for the figures that say so. It keeps the"
    " doorbell while the commits are small, by the daemon's own code and as that does when it rings"
    " so often; `nobody keeps the bell` is how it is while no daemon runs.",
    "A trigger that is one INSERT: into a table like the journal, and nothing more. It has no goal:"
    " no journal can be cheaper.",
    "Doorbell against off, beside daemons: both index within some hundredths of a second, `off` by"
    f" a fetch_delay of {_AS_FRESH} s. What is compared is the whole, Elasticsearch's work"
    " included.",
    "Between two measurements the table is vacuumed, the journal emptied and a checkpoint made;"
    " autovacuum is off.",
)

Samples = dict[tuple[str, Variant | None, bool], list[float]]
"""By what was done, where, and whether the statement sets updated_at."""
Bells = dict[Commit, tuple[list[float], list[float]]]
"""Transactions a second by `doorbell` and by `off`."""


def run(stage: Stage) -> Result:
    """All of it."""
    rows, seconds = (_QUICK_ROWS, 1) if stage.quick else (_ROWS, _SECONDS)
    samples: Samples = defaultdict(list)
    daemon: tuple[list[float], list[float]] = ([], [])
    with (
        stage.without_autovacuum(),
        least(stage, rows) as one_insert,
        databases(stage, rows) as sites,
    ):
        data = copied(rows)
        for variant, site in sites.items():
            if not stage.quick:  # the first round starts with tables that are like the later ones
                _large(site, variant, data, defaultdict(list))
        if not stage.quick:
            _large(one_insert, None, data, defaultdict(list))
        for turn in range(stage.rounds):
            stage.say(f"round {turn + 1} of {stage.rounds}")
            order = list(sites.items())
            for variant, site in order if turn % 2 == 0 else reversed(order):
                rings = variant is not None and variant.notify == "doorbell"
                with heard(site):
                    _large(site, variant, data, samples)
                    if rings and not stage.quick:
                        _small(site, variant, rows, seconds, samples, how=_UNKEPT)
                with heard(site, keep=rings):
                    _small(site, variant, rows, seconds, samples)
                if variant is None and not stage.quick:
                    with heard(one_insert):
                        _large(one_insert, None, data, defaultdict(list))
                        _small(one_insert, None, rows, seconds, samples, how=_LEAST)
        latency = [
            1000 / small(sites[None], rows, min(seconds, 2), commit, sets=False, clients=1)
            for commit in COMMITS
        ]
        if latency[1] < 1:
            raise RuntimeError(f"a commit takes {latency[1]:.2f} ms: commit_delay does nothing")
        stage.say("beside a daemon")
        watched = Variant("updated_at", "rows")
        daemon = _beside_daemon(stage, sites[None], sites[watched], rows, seconds)
        polls = POLLS[:1] if stage.quick else POLLS
        bells = {poll: _bells(stage, poll, sites, rows, seconds) for poll in polls}
    return _result(rows, samples, latency, daemon, bells)


def _large(site: Site, variant: Variant | None, data: bytes, samples: Samples) -> None:
    # Both everywhere, so that all tables have the same past. Where updated_at is polled and the
    # application leaves it alone, the stamp is what ends HOT updates: a figure without a goal.
    for sets in (True, False):
        tidy(site)
        samples["UPDATE", variant, sets].append(update(site, sets=sets))
    tidy(site)
    samples["COPY", variant, False].append(copy(site, data))
    tidy(site)
    samples["DELETE", variant, False].append(delete(site))


def _small(
    site: Site,
    variant: Variant | None,
    rows: int,
    seconds: int,
    samples: Samples,
    *,
    how: str = "",
) -> None:
    for sets in (True, False) if variant is None else (_SETS[variant.poll],):
        tidy(site)
        for commit in COMMITS:
            tps = small(site, rows, seconds, commit, sets=sets)
            samples[commit + how, variant, sets].append(tps)


def _beside_daemon(
    stage: Stage, bare: Site, watched: Site, rows: int, seconds: int
) -> tuple[list[float], list[float]]:
    """Small commits, CPU-bound, while a real daemon indexes them; and without triggers."""
    mine: list[float] = []
    floor: list[float] = []
    tidy(watched)
    with watched.serve():
        for _ in range(stage.rounds):
            floor.append(small(bare, rows, seconds, "CPU-bound", sets=True))
            before = watched.written()
            mine.append(small(watched, rows, seconds, "CPU-bound", sets=True))
            watched.wait_written(before, 1)  # and index = query
    return mine, floor


def _bells(
    stage: Stage, poll: Poll, sites: Mapping[Variant | None, Site], rows: int, seconds: int
) -> Bells:
    """Small commits by `doorbell` and by `off`, each beside a daemon of its own.

    It answers the bell and, where that rings often, keeps it: then nobody rings. By `off` it polls
    about as often: else it would leave its work until the commits are counted.
    """
    commits = list(COMMITS)[: 1 if stage.quick else None]
    found: Bells = {commit: ([], []) for commit in commits}
    doorbell, off = (sites[Variant(poll, notify)] for notify in ("doorbell", "off"))
    off.options["fetch_delay"] = _AS_FRESH
    off.write()
    tidy(doorbell)
    tidy(off)
    with doorbell.serve(), off.serve():
        for turn in range(stage.rounds):
            pairs = list(enumerate((doorbell, off)))
            for commit in commits:
                for place, site in pairs if turn % 2 == 0 else reversed(pairs):
                    before = site.written()
                    tps = small(site, rows, seconds, commit, sets=_SETS[poll])
                    found[commit][place].append(tps)
                    site.wait_written(before, 1, compare=False)
        doorbell.assert_converged()
        off.assert_converged()
    return found


def _result(
    rows: int,
    samples: Samples,
    latency: list[float],
    daemon: tuple[list[float], list[float]],
    bells: Mapping[Poll, Bells],
) -> Result:
    result = Result(notes=list(_NOTES))
    add = result.figures.append
    for work in ("UPDATE", "COPY", "DELETE"):
        for variant in VARIANTS:
            sets = work == "UPDATE" and _SETS[variant.poll]
            goal = None
            if work != "DELETE":  # without triggers it does next to nothing: see the page
                goal = Goal("ratio", "<=", _STATEMENT[variant.poll])
            mine, floor = samples[work, variant, sets], samples[work, None, sets]
            add(Figure(f"{work} of {rows:,} rows, {variant.label}", "s", mine, floor, goal))
    for variant in VARIANTS:
        sets = not _SETS[variant.poll]
        mine, floor = samples["UPDATE", variant, sets], samples["UPDATE", None, sets]
        does = "sets updated_at" if sets else "leaves updated_at alone"
        add(Figure(f"UPDATE of {rows:,} rows that {does}, {variant.label}", "s", mine, floor))
    for commit in COMMITS:
        for variant in VARIANTS:
            sets = _SETS[variant.poll]
            goal = Goal("ratio", ">=", _OFF[commit]) if variant.notify == "off" else None
            mine, floor = samples[commit, variant, sets], samples[commit, None, sets]
            add(Figure(f"small commits, {commit}, {variant.label}", "tps", mine, floor, goal))
        least_of_all = samples.get((commit + _LEAST, None, False))
        if least_of_all:
            floor = samples[commit, None, False]
            add(Figure(f"small commits, {commit}{_LEAST}", "tps", least_of_all, floor))
        for poll in POLLS:
            mine, floor = (
                samples[commit, Variant(poll, notify), _SETS[poll]]
                for notify in ("doorbell", "off")
            )
            name = f"small commits, {commit}, {poll}, doorbell against off"
            add(Figure(name, "tps", mine, floor, Goal("ratio", ">=", _DOORBELL)))
            unkept = samples.get((commit + _UNKEPT, Variant(poll, "doorbell"), _SETS[poll]))
            if unkept:
                add(Figure(name + _UNKEPT, "tps", unkept, floor))
    add(Figure("small commits, CPU-bound, updated_at, rows, beside a daemon", "tps", *daemon))
    for poll, found in bells.items():
        for commit, (mine, floor) in found.items():
            name = f"small commits, {commit}, {poll}, doorbell against off, beside daemons"
            add(Figure(name, "tps", mine, floor, Goal("ratio", ">=", _DOORBELL)))
    for commit, milliseconds in zip(COMMITS, latency, strict=True):
        add(Figure(f"one client, {commit}, a transaction takes", "ms", [milliseconds]))
    return result
