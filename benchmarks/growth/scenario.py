"""Growth: is time linear in the data, and memory flat?

For each size a daemon is started on an empty index. Timed is its full load, from the creation of
the new index to the swap of the alias, both as Elasticsearch shows them; then one UPDATE of all
films, from the commit to the last operation of the index; then CPU for a while in which nothing
happens. The daemon's most resident memory is that of its process (VmHWM), taken anew for each part.
There is no floor but the smallest size of the same run. Sizes go up and down again, so that each
has its turn early and late; the largest is measured once. A first round at the smallest size is
thrown away: servers that have just started are slow.
"""

from __future__ import annotations

import http.client
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread
from typing import Final

from benchmarks import processes
from benchmarks.growth.plot import MEMORY
from benchmarks.results import Figure, Goal, Result
from benchmarks.stage import Daemon, Site, Stage

_MEMORY: Final = MEMORY
_COMPARED_HERE: Final = 4  # times the movies; beyond that this process would need gigabytes
_LOOK: Final = 0.005
_DEADLINE: Final = 900.0


@dataclass(frozen=True, slots=True)
class _Size:
    """`scale` times the movies, of which a quick run keeps so many films."""

    name: str
    scale: int
    rounds: int
    films: int | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    """One round of one size."""

    films: int
    load: float
    load_memory: float
    storm: float
    written: int
    storm_memory: float
    idle: float
    idle_memory: float


_FULL: Final = (_Size("1x", 1, 2), _Size("4x", 4, 2), _Size("16x", 16, 1))
_QUICK: Final = (_Size("1x", 1, 1, 3_000), _Size("2x", 1, 1, 6_000))


def run(stage: Stage) -> Result:
    """Measure all sizes, then compare the others with the smallest."""
    sizes = _QUICK if stage.quick else _FULL
    idle = 1.0 if stage.quick else 20.0
    if not stage.quick:
        _measure(stage, sizes[0], 0.0)
    found: dict[str, list[_Found]] = {size.name: [] for size in sizes}
    for number in range(min(stage.rounds, max(size.rounds for size in sizes))):
        for size in sizes if number % 2 == 0 else reversed(sizes):
            if number < size.rounds:
                one = _measure(stage, size, idle)
                found[size.name].append(one)
                stage.say(
                    f"{size.name}: {one.films} films, load {one.load:.1f} s, storm {one.storm:.1f}"
                    f" s, memory {max(one.load_memory, one.storm_memory):.0f} MB"
                )
    result = Result(notes=_notes(stage, idle))
    first = found[sizes[0].name]
    for size in sizes:
        result.figures += _figures(size.name, found[size.name])
    for size in sizes[1:]:
        result.figures += _compared(size.name, found[size.name], sizes[0].name, first)
    for size in sizes:
        for name in _Found.__slots__:
            result.samples[f"{size.name} {name}"] = [
                float(getattr(one, name)) for one in found[size.name]
            ]
    return result


def _notes(stage: Stage, idle: float) -> list[str]:
    return [
        "Load: from the creation of the new index to the swap of the alias, looked at by 5 ms. "
        "Storm: one UPDATE of all films, from its commit to the last operation of the index.",
        "Larger data are copies of the films, their links and their people, with ids of their own; "
        "the genres are shared. "
        + ("This run was of a few thousand films." if stage.quick else "16x is measured once."),
        "Memory is the daemon's VmHWM, begun anew for each part; one daemon goes through all of "
        "them. There is no floor: the smallest size is what the others are compared with.",
        f"Idle is the daemon's CPU over {idle:g} s, by hundredths of a second, after the storm and "
        "the comparison.",
        "Index = query at the end of each storm: by the tests' own comparison up to "
        f"{_COMPARED_HERE}x, beyond that by `listener verify`, since the first holds all documents "
        "in memory.",
    ]


# -- measuring -------------------------------------------------------------------------------------


def _measure(stage: Stage, size: _Size, idle: float) -> _Found:
    with stage.site(size.scale) as site:
        films = _films(site, size.films)
        with _watched(site) as watch, site.serve() as daemon:
            load, load_memory = watch.seconds(), processes.peak(daemon.pid)
            processes.forget_peak(daemon.pid)
            before = site.written()
            site.sql("UPDATE content.film_work SET title = title || '.'")
            committed = time.monotonic()
            settled = site.wait_written(before, films, deadline=_DEADLINE, compare=False)
            storm_memory = processes.peak(daemon.pid)
            if size.scale <= _COMPARED_HERE:
                site.assert_converged()
            else:
                site.run("verify")
            return _Found(
                films=films,
                load=load,
                load_memory=load_memory,
                storm=settled.at - committed,
                written=settled.operations,
                storm_memory=storm_memory,
                idle=_idle(daemon, idle),
                idle_memory=processes.resident(daemon.pid),
            )


def _films(site: Site, keep: int | None) -> int:
    """How many films there are, all but `keep` of them removed."""
    if keep is not None:
        site.sql(
            "DELETE FROM content.film_work WHERE id NOT IN"
            f" (SELECT id FROM content.film_work ORDER BY id LIMIT {keep})"
        )
    return int(site.sql("SELECT count(*) FROM content.film_work")[0][0])


def _idle(daemon: Daemon, seconds: float) -> float:
    """Per cent of one core, over so many seconds without a write."""
    before, began = daemon.cpu(), time.monotonic()
    Event().wait(seconds)  # the wait is what is measured
    return 100 * (daemon.cpu() - before).total / (time.monotonic() - began)


class _LoadWatch(Thread):
    """Sees the new index come, and the alias: the begin and the end of a full load."""

    def __init__(self, site: Site) -> None:
        super().__init__(daemon=True)
        self._site = site
        self._given_up = Event()
        self._times: list[float] = []

    def run(self) -> None:
        """Look at the one, then at the other."""
        search = self._site.stage.search
        connection = http.client.HTTPConnection("127.0.0.1", search.port, timeout=30)
        # the alias's own name is not in the pattern: an index has a hash and a time behind it
        for path in (
            f"/_cat/indices/{self._site.index}-*?h=index",
            f"/_alias/{self._site.index}",
        ):
            while not self._given_up.is_set() and not self._there(connection, path):
                self._given_up.wait(_LOOK)
            self._times.append(time.monotonic())
        connection.close()

    @staticmethod
    def _there(connection: http.client.HTTPConnection, path: str) -> bool:
        connection.request("GET", path, headers={"Accept": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        return answer.status == 200 and bool(json.loads(content))

    def seconds(self) -> float:
        """Between the two. The daemon has loaded when this is asked, so it has seen both."""
        self.join(5)
        begun, ended = self._times
        return ended - begun

    def give_up(self) -> None:
        """Where the load has failed there is nothing to see."""
        self._given_up.set()
        self.join(5)


@contextmanager
def _watched(site: Site) -> Iterator[_LoadWatch]:
    watch = _LoadWatch(site)
    watch.start()
    try:
        yield watch
    finally:
        watch.give_up()


# -- figures ---------------------------------------------------------------------------------------


def _figures(size: str, found: Sequence[_Found]) -> list[Figure]:
    films = f"{found[0].films:,} films ({size})"
    memory = Goal("value", "<=", _MEMORY)
    return [
        Figure(f"full load of {films}", "s", [one.load for one in found]),
        Figure(f"full load of {films}, rate", "documents/s", _load_rates(found)),
        Figure(
            f"most memory in a full load of {films}",
            "MB",
            [one.load_memory for one in found],
            goal=memory,
        ),
        Figure(f"one UPDATE of {films}, until the last is in", "s", [one.storm for one in found]),
        Figure(f"one UPDATE of {films}, rate", "documents/s", _storm_rates(found)),
        Figure(
            f"one UPDATE of {films}, writes of a document",
            "",
            [one.written / one.films for one in found],
        ),
        Figure(
            f"most memory in one UPDATE of {films}",
            "MB",
            [one.storm_memory for one in found],
            goal=memory,
        ),
        Figure(f"memory after it, idle, {films}", "MB", [one.idle_memory for one in found]),
        Figure(f"idle CPU, {films}", "% of one core", [one.idle for one in found]),
    ]


def _compared(
    size: str, found: Sequence[_Found], small: str, first: Sequence[_Found]
) -> list[Figure]:
    """Rates and memory of a size as parts of the smallest size's; 1x would be perfect."""

    def times(name: str, values: Sequence[float], others: Sequence[float]) -> Figure:
        least = statistics.median(others)
        return Figure(f"{name}, {size} against {small}", "x", [one / least for one in values])

    return [
        times("documents/s in a full load", _load_rates(found), _load_rates(first)),
        times("documents/s in one UPDATE of all films", _storm_rates(found), _storm_rates(first)),
        times("most memory, load and UPDATE", _memory(found), _memory(first)),
    ]


def _load_rates(found: Sequence[_Found]) -> list[float]:
    return [one.films / one.load for one in found]


def _storm_rates(found: Sequence[_Found]) -> list[float]:
    return [one.films / one.storm for one in found]


def _memory(found: Sequence[_Found]) -> list[float]:
    return [max(one.load_memory, one.storm_memory) for one in found]
