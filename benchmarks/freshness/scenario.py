"""Freshness: from the end of COMMIT to the document in the index.

A client commits an edit and then asks Elasticsearch, a millisecond apart, until it answers with
the whole document as the query gave it inside of that transaction: by id, then by search. The
floor is `floors/notify_put.py`, with an index of the same documents, settings and mapping; single
edits of listener, of the floor and of the floor that refreshes take turns, a third of a second
apart, so that each has its own once a second.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks.freshness.edits import cascades, told
from benchmarks.freshness.targets import Target, Targets, answer_of, pipes, process, targets_of
from benchmarks.freshness.watch import Watcher
from benchmarks.results import Figure, Goal, Result, percentile, percentiles
from benchmarks.stage import Stage

_AS_PUT: Final = {"p50": Goal("ratio", "<=", 1.3), "p99": Goal("ratio", "<=", 2.0)}
_STREAM: Final = {"p50": Goal("value", "<=", 10.0), "p99": Goal("value", "<=", 50.0)}
_GENRE: Final = {"p50": Goal("value", "<=", 20.0)}
_OTHERS: Final = 200
"""Commits a second of the other client."""


@dataclass(frozen=True, slots=True)
class _Size:
    """How many edits a series has."""

    warm: int
    single: int
    near: int
    stream: int
    searched: int
    busy: int
    busy_apart: float
    cascades: int
    cascade_apart: float


_FULL: Final = _Size(
    40,
    single=500,
    near=500,
    stream=800,
    searched=400,
    busy=500,
    busy_apart=0.4,
    cascades=20,
    cascade_apart=2.0,
)
_QUICK: Final = _Size(
    2,
    single=5,
    near=8,
    stream=20,
    searched=4,
    busy=2,
    busy_apart=0.4,
    cascades=2,
    cascade_apart=0.3,
)


@dataclass(slots=True)
class _Series:
    """Milliseconds of one target, by round."""

    by_id: list[list[float]] = field(default_factory=list)
    search: list[list[float]] = field(default_factory=list)


def run(stage: Stage) -> Result:
    """All series."""
    size = _QUICK if stage.quick else _FULL
    result = Result(notes=_notes(size))
    with stage.site() as site, stage.site() as floor, site.serve():
        with targets_of(site, floor) as targets:
            everyone = [targets.listener, targets.put, targets.refresh]
            _singles(everyone, size.warm, 0.3, rounds=1)
            stage.say(f"{size.single} changes, 1 s apart")
            single = _singles(everyone, size.single, 1.0, stage.rounds)
            _report(result, "single change, 1 s apart", targets, single, _AS_PUT)
            for name, count, apart, goals in (
                ("100 ms apart", size.near, 0.1, {}),
                (_for_seconds(size.stream, 0.05), size.stream, 0.05, _STREAM),
            ):
                stage.say(f"{count} changes, {1000 * apart:.0f} ms apart")
                _steady(result, stage, targets, name, count=count, apart=apart, goals=goals)
            name = f"{_for_seconds(size.searched, 0.05)}, searched too"
            stage.say(name)
            _steady(result, stage, targets, name, count=size.searched, apart=0.05, goals={})
            stage.say("edits of other tables")
            _cascades(result, everyone, size)
            stage.say(f"{size.busy} changes, beside {_OTHERS} other commits/s")
            with process("benchmarks.freshness.writer", site.dsn, str(_OTHERS)) as writer:
                answer_of(writer)
                busy = _singles(everyone, size.busy, size.busy_apart, stage.rounds)
                pipes(writer)[0].close()
                other = answer_of(writer)
            name = f"beside {_OTHERS} other commits/s"
            _report(result, name, targets, busy, {})
            rate = float(other["commits"]) / float(other["seconds"])
            result.figures.append(Figure(f"{name}: commits of the other client", "1/s", [rate]))
        # compares index and query; of the floor's documents each one has been compared above
        site.wait_written(site.written(), 0)
    return result


# -- the series ------------------------------------------------------------------------------------


def _singles(
    targets: Sequence[Target], count: int, apart: float, rounds: int
) -> dict[str, _Series]:
    """In turns; the first one changes with the rounds: each is slowed by the one before."""
    found = {target.name: _Series() for target in targets}
    rounds = min(rounds, count)
    turns = _paced(count * len(targets), apart / len(targets))
    for number in range(rounds):
        first = number % len(targets)
        order = [*targets[first:], *targets[:first]]
        for series in found.values():
            series.by_id.append([])
            series.search.append([])
        share = count // rounds + (number < count % rounds)
        # not strict: the turns go on in the next round
        for target, _ in zip(itertools.chain(*[order] * share), turns, strict=False):
            committed = target.change()
            found[target.name].by_id[-1].append(target.by_id(committed))
            if target.searching is not None:
                found[target.name].search[-1].append(target.searchable(committed))
    return found


def _steady(
    result: Result,
    stage: Stage,
    targets: Targets,
    name: str,
    *,
    count: int,
    apart: float,
    goals: Mapping[str, Goal],
) -> None:
    """Without a pause of listener's, so the floors come half before it and half after it.

    Searches are left out where reads by id have a goal: they would load the servers.
    """
    floors = [targets.put] if goals else [targets.put, targets.refresh]
    found = {target.name: _Series([[]], [[]]) for target in (targets.listener, *floors)}
    lost = 0
    for target in (*floors, targets.listener, *floors):
        share = count if target is targets.listener else count // 2
        search = None
        if target.searching is not None and not goals:
            search = Watcher(target.searching.search)
        by_id = Watcher(target.index.get, search)
        for _ in _paced(share, apart):
            since, expected = target.change()
            by_id.expect(expected, since)
        by_id.finish()
        found[target.name].by_id[0] += by_id.samples
        if search is not None:
            search.finish()
            found[target.name].search[0] += search.samples
        if target is targets.listener:
            lost = by_id.lost
    listener = found[targets.listener.name]
    listener.by_id = _chunks(listener.by_id[0], stage.rounds)
    _report(result, name, targets, found, goals)
    share_in = 100 * (1 - lost / count)
    every = Goal("value", ">=", 100.0) if goals else None
    result.figures.append(Figure(f"commit → by id, {name}: arrived", "%", [share_in], goal=every))


def _cascades(result: Result, targets: Sequence[Target], size: _Size) -> None:
    """One of each kind in turn, by each target in turn; the last document of an edit counts."""
    plans = [
        cascades(target.editor, size.cascades, max(0, place - 1))
        for place, target in enumerate(targets)
    ]
    names = [kind.name for kind in plans[0]]
    found = {name: {target.name: _Series([[]], [[]]) for target in targets} for name in names}
    pace = _paced(size.cascades * len(names) * len(targets), size.cascade_apart / len(targets))
    for number in range(size.cascades):
        for kind, name in enumerate(names):
            for target, plan in zip(targets, plans, strict=True):
                next(pace)
                committed = target.commit(told(plan[kind].edits[number], target.channel))
                series = found[name][target.name]
                series.by_id[0].append(target.by_id(committed))
                if target.searching is not None:
                    series.search[0].append(target.searchable(committed))
    for name, of_all in found.items():
        goals = _GENRE if name.startswith("genre") else {}
        mine, put, refresh = of_all.values()
        result.figures += _figures(f"commit → by id, {name}", mine.by_id, put.by_id, goals)
        result.figures += _figures(f"commit → searchable, {name}", mine.search, refresh.search, {})
        for target_name, series in of_all.items():
            result.samples[f"{name}, by id: {target_name}"] = series.by_id[0]
            if series.search[0]:
                result.samples[f"{name}, searchable: {target_name}"] = series.search[0]


def _paced(count: int, apart: float) -> Iterator[int]:
    """Numbers, this many seconds apart on average; after a late one the next come sooner.

    Up to a tenth sooner or later, by chance but in each run the same: else edits could always fall
    into, or always miss, what the daemon and Elasticsearch themselves do once a second.
    """
    chance = random.Random(count)  # noqa: S311
    due = time.perf_counter()
    for number in range(count):
        wait = due - time.perf_counter()
        if wait > 0:
            time.sleep(wait)
        yield number
        due += apart * chance.uniform(0.9, 1.1)


# -- the figures -----------------------------------------------------------------------------------


def _report(
    result: Result,
    name: str,
    targets: Targets,
    found: Mapping[str, _Series],
    goals: Mapping[str, Goal],
) -> None:
    """The figures and samples of one series."""
    listener = found[targets.listener.name]
    put = found[targets.put.name]
    result.figures += _figures(f"commit → by id, {name}", listener.by_id, put.by_id, goals)
    refresh = found.get(targets.refresh.name)
    if refresh is not None:
        result.figures += _figures(
            f"commit → searchable, {name}", listener.search, refresh.search, goals
        )
        for_itself = percentiles(list(itertools.chain(*refresh.by_id)))
        result.figures += [
            Figure(f"floor with refresh → by id, {name}: {share}", "ms", [for_itself[share]])
            for share in ("p50", "p99")
        ]
    for target, series in found.items():
        result.samples[f"{name}, by id: {target}"] = list(itertools.chain(*series.by_id))
        searched = list(itertools.chain(*series.search))
        if searched:
            result.samples[f"{name}, searchable: {target}"] = searched


def _figures(
    name: str,
    rounds: Sequence[Sequence[float]],
    floor: Sequence[Sequence[float]],
    goals: Mapping[str, Goal],
) -> list[Figure]:
    """Four percentiles. The median of each round shows the spread; the tail needs all samples."""
    whole = percentiles(list(itertools.chain(*rounds)))
    below: Mapping[str, Any] = percentiles(list(itertools.chain(*floor))) if floor else {}
    figures = []
    for share, value in whole.items():
        values, floors = [value], [below[share]] if floor else []
        if share == "p50":
            values = [percentile(one, 0.5) for one in rounds]
            floors = [percentile(one, 0.5) for one in floor]
        figures.append(Figure(f"{name}: {share}", "ms", values, floors, goals.get(share)))
    return figures


def _chunks(samples: Sequence[float], parts: int) -> list[list[float]]:
    """Consecutive parts of about the same size."""
    parts = min(parts, len(samples))
    bounds = [len(samples) * number // parts for number in range(parts + 1)]
    return [list(samples[start:end]) for start, end in itertools.pairwise(bounds)]


def _for_seconds(count: int, apart: float) -> str:
    return f"{1 / apart:.0f} commits/s for {count * apart:.0f} s"


def _notes(size: _Size) -> list[str]:
    return [
        "Times are from the return of COMMIT to the first answer of Elasticsearch that has the "
        "whole new document; it is asked a millisecond apart, over a connection that stays open.",
        "Floor by id: NOTIFY, SELECT, PUT. Floor of searches: the same with ?refresh=true. Each in "
        "a process of its own, on a copy of the database without triggers, into an index with the "
        "same settings and documents. Without versions, polls, or any care for failures.",
        f"{size.single} changes a second apart of listener and of each floor, in turns a third of "
        "a second apart. Series at 100 ms and 20 a second: floors half before, half after. "
        "`searched too`: searches for each film load the servers as well.",
        "p50 is the median of the rounds' medians; p95, p99 and max are of all samples.",
        "Where edits follow each other, listener keeps refreshes apart by ten times their "
        "duration, on purpose: the floor refreshes for each document, so searches see it sooner.",
        "Edits that touch several films: until the last of them. The floor is told of each film by "
        "a notification of its own, and PUTs one after the other.",
        f"The other client changes {_OTHERS} films a second that listener has to index too.",
    ]
