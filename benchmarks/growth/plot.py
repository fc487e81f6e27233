"""The plot of growth: time, memory and idle CPU over the number of documents."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Picture
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, NullFormatter

MEMORY: Final = 120.0
"""MB: the bound for all but an idle daemon."""


def plot(result: Mapping[str, Any], path: Path) -> None:
    """Three panels over the number of documents: time, memory, idle CPU."""
    samples = result["samples"]
    sizes = [name.removesuffix(" films") for name in samples if name.endswith(" films")]
    films = [samples[f"{size} films"][0] for size in sizes]

    def lines(axes: Axes, named: Mapping[str, str]) -> None:
        for name, label in named.items():
            rounds = [samples[f"{size} {name}"] for size in sizes]
            drawn = axes.plot(films, [statistics.median(one) for one in rounds], label=label)
            for x, values in zip(films, rounds, strict=True):
                axes.plot([x] * len(values), values, "o", color=drawn[0].get_color(), ms=4)
        axes.set_xscale("log")
        axes.set_xticks(films, minor=False)
        axes.xaxis.set_major_formatter(EngFormatter(places=0, sep=""))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("documents")
        axes.grid(alpha=0.3)

    picture = Picture(figsize=(9, 3.4), dpi=100, layout="constrained")
    FigureCanvasAgg(picture)
    time_axes, memory_axes, idle_axes = picture.subplots(1, 3)

    lines(time_axes, {"load": "full load", "storm": "one UPDATE of all"})
    start = statistics.median(samples[f"{sizes[0]} load"])
    time_axes.plot(
        films, [start * one / films[0] for one in films], "k:", lw=1, label="linear", zorder=0
    )
    time_axes.set_yscale("log")
    time_axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    time_axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    time_axes.yaxis.set_minor_formatter(NullFormatter())
    time_axes.set_title("time, s")

    lines(
        memory_axes,
        {"load_memory": "full load", "storm_memory": "one UPDATE of all", "idle_memory": "idle"},
    )
    memory_axes.axhline(MEMORY, color="k", ls="--", lw=1, label="goal")
    memory_axes.set_ylim(0, None)
    memory_axes.set_title("most resident memory, MB")

    lines(idle_axes, {"idle": "idle"})
    idle_axes.set_ylim(0, max(1.0, *(max(samples[f"{size} idle"]) * 1.2 for size in sizes)))
    idle_axes.set_title("idle CPU, % of one core")

    time_axes.legend(fontsize="small")
    memory_axes.legend(fontsize="small")
    picture.savefig(path)
