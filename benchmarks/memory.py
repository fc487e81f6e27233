"""Resident memory of the daemon: idle, in a full load, in storms, and with Elasticsearch away.

A first daemon loads everything and then idles. A second one starts with nothing to load, idles,
meets a statement over all films, small commits by 8 clients, and a million changed rows while
Elasticsearch is stopped, a few thousand a statement, so that their keys are told one by one; then
Elasticsearch is back, and the daemon catches up. Peaks are the kernel's own (VmHWM, forgotten
between the parts); the curve is read ten times a second.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks import processes
from benchmarks.bulks import Ask, settle
from benchmarks.results import Figure, Goal, Result
from benchmarks.stage import Daemon, Site, Stage
from playground.daemon import PROJECT

_EVERY: Final = 0.1
_STATEMENT: Final = 5_000
"""Rows of one statement: few enough to be told by NOTIFY, key for key."""
_IDLE: Final = 3.0
"""Seconds in which an idle daemon is watched: three of its ticks."""
_ROUNDS: Final = 2


class Curve:
    """Resident memory over time, and the parts that follow each other."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.seconds: list[float] = []
        self.megabytes: list[float] = []
        self.parts: list[tuple[str, float]] = []

    def part(self, name: str) -> None:
        """A part begins."""
        self.parts.append((name, time.monotonic() - self.began))

    @contextmanager
    def follow(self, daemon: Daemon) -> Iterator[None]:
        """Read the memory of this daemon in a thread, until the block ends."""
        over = threading.Event()

        def read() -> None:
            while not over.is_set():
                try:
                    now = processes.resident(daemon.pid)
                except (OSError, ProcessLookupError):
                    return
                self.seconds.append(time.monotonic() - self.began)
                self.megabytes.append(now)
                over.wait(_EVERY)

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def run(stage: Stage) -> Result:
    """All of it, once or twice; the curve is that of the last time."""
    values: dict[str, list[float]] = {}
    changes = 100_000 if stage.quick else 1_000_000
    for number in range(min(stage.rounds, _ROUNDS)):
        curve = Curve()
        with stage.site() as site:
            found = {**_load(site, curve), **_storms(site, curve, changes)}
        for name, value in found.items():
            values.setdefault(name, []).append(value)
        stage.say(
            f"round {number + 1}: "
            + ", ".join(f"{name} {value:.0f}" for name, value in found.items())
            + " MB"
        )
    whole = [max(one) for one in zip(*(values[name] for name in _PEAKS), strict=True)]
    figures = [
        Figure(
            "memory idle, after a full load", "MB", values["loaded"], (), Goal("value", "<=", 80)
        ),
        Figure("memory idle, freshly started", "MB", values["fresh"], (), Goal("value", "<=", 80)),
        *(Figure(f"memory at most {_PEAKS[name]}", "MB", values[name]) for name in _PEAKS),
        Figure(
            f"memory at most through all of it, {changes:,} changes with Elasticsearch away too",
            "MB",
            whole,
            (),
            Goal("value", "<=", 120),
        ),
        Figure("memory when all is over", "MB", values["after"]),
    ]
    return Result(
        figures,
        {
            "seconds": curve.seconds,
            "megabytes": curve.megabytes,
            **{f"part: {name}": [second] for name, second in curve.parts},
        },
        [
            "Resident memory (VmRSS) and its peaks (VmHWM) of the daemon's only process, shared "
            "pages of libraries included. MB are 10^6 bytes.",
            f"Idle: the largest of what was read in {_IDLE:g} s without any change.",
            f"With Elasticsearch away: its process is stopped, {changes:,} rows are changed by "
            f"statements of {_STATEMENT:,} rows over all films again and again, and it is started.",
        ],
    )


_PEAKS: Final = {
    "load": "in a full load",
    "storm": "in a storm of all films",
    "commits": "under 8 clients of small commits",
    "away": "with Elasticsearch away",
    "back": "while it catches up",
}


def _load(site: Site, curve: Curve) -> dict[str, float]:
    """A first daemon, from its start to some seconds after its load."""
    curve.part("full load")
    daemon = site.start("run")
    with curve.follow(daemon):
        daemon.process.wait_for("loaded", deadline=900)
        peak = processes.peak(daemon.pid)
        curve.part("idle")
        loaded = _idle(daemon, curve)
        daemon.process.stop()
    return {"load": peak, "loaded": loaded}


def _storms(site: Site, curve: Curve, changes: int) -> dict[str, float]:
    """A second daemon, which finds an index that is complete."""
    films = int(site.sql("SELECT count(*) FROM content.film_work")[0][0])
    groups = -(-films // _STATEMENT)
    site.sql(
        "CREATE TABLE public.groups AS SELECT id, row_number() OVER (ORDER BY id) "
        f"% {groups} AS n FROM content.film_work; CREATE INDEX ON public.groups (n);"
        "ANALYZE public.groups"
    )
    found: dict[str, float] = {}
    curve.part("fresh start")
    with site.serve() as daemon, curve.follow(daemon):
        found["fresh"] = _idle(daemon, curve)
        ask = Ask(site)
        for name in ("storm", "commits"):
            curve.part(_LABELS[name])
            processes.forget_peak(daemon.pid)
            since = ask.total(site.index)
            if name == "storm":
                site.sql("UPDATE content.film_work SET rating = 1")
            else:
                _commits(site, changes // 100)
            settle(ask, site.index, since, films if name == "storm" else 1)
            found[name] = processes.peak(daemon.pid)
        ask.close()
        curve.part("search away")
        processes.forget_peak(daemon.pid)
        site.stage.search.stop()
        try:
            _change(site, changes, groups)
            found["away"] = processes.peak(daemon.pid)
        finally:
            curve.part("back")
            site.stage.search.start()
        ask = Ask(site)
        # all films have changed; the counters of the index began anew with its server
        settle(ask, site.index, 0, films)
        ask.close()
        found["back"] = processes.peak(daemon.pid)
        curve.part("idle again")
        found["after"] = _idle(daemon, curve)
        site.assert_converged()
    return found


_LABELS: Final = {"storm": "storm", "commits": "small commits"}


def _idle(daemon: Daemon, curve: Curve) -> float:
    """The most that was read while nothing changed."""
    threading.Event().wait(_IDLE)
    until = time.monotonic() - curve.began
    seen = [
        value
        for second, value in zip(curve.seconds, curve.megabytes, strict=False)
        if second > until - _IDLE / 2
    ]
    return max(seen, default=processes.resident(daemon.pid))


def _commits(site: Site, commits: int) -> None:
    """Commits of one row each, by 8 clients in a process of their own."""
    subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.clients", "--dsn", site.dsn),
            *("--clients", "8", "--commits", str(commits)),
        ],
        cwd=PROJECT,
        stdout=subprocess.DEVNULL,
        check=True,
    )


def _change(site: Site, changes: int, groups: int) -> None:
    """So many rows, group by group."""
    changed = turn = 0
    with site.connect() as connection:
        while changed < changes:
            changed += connection.execute(
                f"UPDATE content.film_work SET rating = {turn} WHERE id IN "
                f"(SELECT id FROM public.groups WHERE n = {turn % groups})".encode()
            ).rowcount
            turn += 1


def plot(result: Mapping[str, Any], path: Path) -> None:
    """Memory over time, with the parts."""
    import matplotlib as mpl  # noqa: PLC0415

    mpl.use("Agg")
    from matplotlib import pyplot  # noqa: PLC0415

    samples = result["samples"]
    figure, axis = pyplot.subplots(figsize=(9, 4.2), dpi=100)
    axis.plot(samples["seconds"], samples["megabytes"], ".", markersize=2)
    axis.axhline(120, color="tab:red", linestyle="--", linewidth=1, label="goal, at most")
    axis.axhline(80, color="tab:orange", linestyle="--", linewidth=1, label="goal, idle")
    for name, (second, *_) in (
        (name.removeprefix("part: "), value)
        for name, value in samples.items()
        if name.startswith("part: ")
    ):
        axis.axvline(second, color="0.8", linewidth=1)
        axis.text(second, 2, name, rotation=90, fontsize=7, va="bottom", ha="left", color="0.3")
    axis.set_ylim(0, max(130.0, *samples["megabytes"]) + 5)
    axis.set_xlim(left=0)
    axis.set_xlabel("seconds")
    axis.set_ylabel("resident memory, MB")
    axis.legend(fontsize=8, loc="upper left")
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)
