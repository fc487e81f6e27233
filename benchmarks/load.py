"""Full load: `listener run` on an empty Elasticsearch, against the floor `bulk`.

Each round has a database of its own. The floor goes first once without being counted, so that
PostgreSQL's memory is warm; then the floor into a new index and a fresh `listener run` alternate.
The first rounds do not count: what Elasticsearch's virtual machine compiles in them takes more of
the processors than the loads do.

Both are timed by the same looks at the counters of the index that they fill, a hundredth of a
second apart: documents a second from the first operation seen to the last one (the operations of
that first look are left out). That leaves out how a process starts, and the refresh and the swap of
the alias at the end of listener's load; the whole of it, from the start of the process to an alias
that can be searched, is a figure of its own.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any, Final

from benchmarks.bulks import LOOK, Ask, Floor, Seen, make_index, run_floor
from benchmarks.processes import Cpu
from benchmarks.results import Figure, Goal, Result
from benchmarks.stage import Daemon, Site, Stage

_WITHIN: Final = 600.0
_UNCOUNTED: Final = 3


@dataclass(frozen=True, slots=True)
class _Load:
    """One load of listener's."""

    seen: Seen
    appeared: float
    """When the index was first seen (time.monotonic())."""
    served: float
    """When its alias was first seen."""
    started: float
    """When the process was started."""
    cpu: Cpu
    """From the moment the index was seen until the daemon called it loaded."""


def run(stage: Stage) -> Result:
    """Alternate, and make figures of it."""
    loads: list[_Load] = []
    floors: list[Floor] = []
    uncounted = 0 if stage.quick else _UNCOUNTED
    for number in range(1 - uncounted, stage.rounds + 1):
        with stage.site() as site:
            ask = Ask(site)
            documents = int(site.sql("SELECT count(*) FROM content.film_work")[0][0])
            run_floor(site, ask, make_index(site, "warm", "-1"), 1, documents)
            if number % 2:
                loads.append(_load(site, ask, documents))
                floors.append(_floor(site, ask, documents))
            else:
                floors.append(_floor(site, ask, documents))
                loads.append(_load(site, ask, documents))
            ask.close()
        turn = f"round {number}" if number > 0 else "warming up"
        stage.say(
            f"{turn}: {loads[-1].seen.pace:,.0f} documents/s, floor {floors[-1].seen.pace:,.0f}"
        )
    return _result(loads[uncounted:], floors[uncounted:])


def _floor(site: Site, ask: Ask, documents: int) -> Floor:
    return run_floor(site, ask, make_index(site, "floor", "-1"), 1, documents)


def _load(site: Site, ask: Ask, documents: int) -> _Load:
    """A fresh `run`; the daemon is stopped at the end, its index compared and dropped."""
    started = time.monotonic()
    daemon = site.start("run")
    indexes = f"{site.index}-*"
    pause = Event()
    while not ask.operations(indexes):
        _go_on(daemon, started)
        pause.wait(LOOK)
    appeared, before = time.monotonic(), daemon.cpu()
    first = last = appeared
    by_first = seen = 0
    while True:
        total, now = ask.total(indexes), time.monotonic()
        if total != seen:
            if not seen:
                first, by_first = now, total
            last, seen = now, total
        elif seen >= documents and ask("HEAD", f"/_alias/{site.index}")[0] == 200:
            break
        _go_on(daemon, started)
        pause.wait(LOOK)
    served = time.monotonic()
    daemon.process.wait_for("loaded")
    cpu = daemon.cpu() - before
    daemon.process.stop()
    site.assert_converged()
    return _Load(
        seen=Seen(first, by_first, last, seen),
        appeared=appeared,
        served=served,
        started=started,
        cpu=cpu,
    )


def _go_on(daemon: Daemon, started: float) -> None:
    if not daemon.process.running or time.monotonic() - started > _WITHIN:
        raise RuntimeError(f"the load did not end; the log:\n{daemon.process.log}")


def _result(loads: list[_Load], floors: list[Floor]) -> Result:
    size = floors[0].bytes / floors[0].documents
    paces, of_floor = [one.seen.pace for one in loads], [one.seen.pace for one in floors]
    return Result(
        figures=[
            Figure("full load", "documents/s", paces, of_floor, Goal("ratio", ">=", 0.85)),
            Figure(
                "full load, bytes",
                "MB/s",
                [one * size / 1e6 for one in paces],
                [one * size / 1e6 for one in of_floor],
            ),
            Figure(
                "daemon CPU a document in a full load",
                "us",
                [one.cpu.total * 1e6 / one.seen.operations for one in loads],
                [one.cpu * 1e6 / one.documents for one in floors],
                Goal("value", "<=", 15),
            ),
            Figure(
                "of that in the kernel",
                "us",
                [one.cpu.system * 1e6 / one.seen.operations for one in loads],
            ),
            Figure(
                "index made → last document written",
                "s",
                [one.seen.last - one.appeared for one in loads],
                [one.seen.last - one.began for one in floors],
            ),
            Figure(
                "last document written → alias swapped",
                "s",
                [one.served - one.seen.last for one in loads],
            ),
            Figure(
                "process started → alias swapped",
                "s",
                [one.served - one.started for one in loads],
            ),
            Figure(
                "written how often in a load",
                "operations/document",
                [one.seen.operations / floors[0].documents for one in loads],
            ),
        ],
        notes=[
            f"The first {_UNCOUNTED} rounds do not count (a quick run has none): Elasticsearch's "
            "virtual machine compiles in them.",
            f"{floors[0].documents:,} documents of {size:.0f} bytes with their action lines. "
            "Documents a second count from the first operation that was seen in the index's "
            f"counters to the last one, looked at every {LOOK * 1000:.0f} ms, for listener and "
            "the floor alike; the documents of the first look are left out.",
            "The floor's index has the same mapping and settings, refresh_interval -1 included; "
            "the time until its last document counts from its first read.",
            "CPU: all threads, user and system, from the moment the new index was seen until the "
            "alias was swapped: refresh, swap and ticks included, the start of the process not. "
            "The floor's is that of its script, from its first read to its last answer.",
        ],
    )


def plot(result: Mapping[str, Any], path: Path) -> None:
    """Documents a second and CPU a document, round by round, beside the floor."""
    import matplotlib as mpl  # noqa: PLC0415

    mpl.use("Agg")
    from matplotlib import pyplot  # noqa: PLC0415

    by_name = {one["name"]: one for one in result["figures"]}
    panels = [
        ("full load", "documents/s", 0.85),
        ("daemon CPU a document in a full load", "CPU a document, us", None),
    ]
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 4), dpi=100)
    for axis, (name, label, share) in zip(axes, panels, strict=True):
        one = by_name[name]
        rounds = range(1, len(one["values"]) + 1)
        axis.bar([n - 0.2 for n in rounds], one["values"], 0.4, label="listener")
        axis.bar([n + 0.2 for n in rounds], one["floor"], 0.4, label="floor", color="0.7")
        goal = one["goal"]["bound"] if share is None else share * one["value"] / one["ratio"]
        axis.axhline(goal, color="tab:red", linewidth=1, linestyle="--", label="goal")
        axis.set_xticks(list(rounds))
        axis.set_xlabel("round")
        axis.set_ylabel(label)
        axis.set_title(name, fontsize=10)
        axis.legend(fontsize=8, loc="lower right")
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)
