"""The plot of a changed definition: what each thing took, beside its floor."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Picture

_PANELS: Final = {
    "none changed": "preview, none changed",
    "all changed": "preview, all changed",
    "last is in": "one UPDATE, former kept",
}


def plot(result: Mapping[str, Any], path: Path) -> None:
    """A panel for each: seconds of the rounds, of the floor, and the goal."""
    picture = Picture(figsize=(9, 3.4), dpi=100, layout="constrained")
    FigureCanvasAgg(picture)
    for axes, (part, title) in zip(picture.subplots(1, 3), _PANELS.items(), strict=True):
        [one] = [figure for figure in result["figures"] if part in figure["name"]]
        rounds = range(1, len(one["values"]) + 1)
        axes.bar([n - 0.2 for n in rounds], one["values"], 0.4, label="listener")
        axes.bar([n + 0.2 for n in rounds], one["floor"], 0.4, label="floor", color="0.7")
        goal = one["goal"]["bound"] * one["value"] / one["ratio"]
        axes.axhline(goal, color="tab:red", lw=1, ls="--", label="goal")
        axes.set_xticks(list(rounds))
        axes.set_xlabel("round")
        axes.set_ylabel("s")
        axes.set_title(title, fontsize=10)
    axes.legend(fontsize="small")
    picture.savefig(path)
