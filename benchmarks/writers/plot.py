"""The plot of the scenario `writers`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from benchmarks.writers.variants import NOTIFIES, POLLS

_COLORS: Final = {"rows": "#c44e52", "doorbell": "#dd8452", "off": "#4c72b0"}
_PANELS: Final = (
    (r"UPDATE of [\d,]+ rows", "one UPDATE", "time, x no triggers"),
    (r"COPY of [\d,]+ rows", "one COPY", "time, x no triggers"),
    ("small commits, CPU-bound", "small commits, CPU-bound", "tps, x no triggers"),
    ("small commits, commit of 1 ms", "small commits of 1 ms", "tps, x no triggers"),
)


def plot(result: Mapping[str, Any], path: Path) -> None:
    """A panel each for statements and small commits; a bar a variant."""
    figure, axes = plt.subplots(2, 2, figsize=(9, 7), dpi=100, layout="constrained")
    for axis, (pattern, title, label) in zip(axes.flat, _PANELS, strict=True):
        _panel(axis, result, pattern)
        axis.set_title(title, fontsize=11)
        axis.set_ylabel(label)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, title="notify")
    figure.suptitle("What the writers pay (dashed: goal for the bars below it)", fontsize=12)
    figure.savefig(path)
    plt.close(figure)


def _panel(axis: Axes, result: Mapping[str, Any], pattern: str) -> None:
    for place, poll in enumerate(POLLS):
        for turn, notify in enumerate(NOTIFIES):
            name = re.compile(f"{pattern}, {poll}, {notify}")
            one = next(one for one in result["figures"] if name.fullmatch(one["name"]))
            where = place + (turn - 1) * 0.27
            bar = axis.bar(
                where,
                one["ratio"],
                width=0.25,
                color=_COLORS[notify],
                label=notify if place == 0 else None,
            )
            axis.bar_label(bar, fmt="%.2f", fontsize=8)
            if one["goal"] is not None:
                bound = one["goal"]["bound"]
                axis.plot([where - 0.18, where + 0.18], [bound, bound], "k--", linewidth=1.2)
    axis.axhline(1, color="grey", linewidth=0.8)
    axis.set_xticks(range(len(POLLS)), [f"polled by {poll}" for poll in POLLS])
