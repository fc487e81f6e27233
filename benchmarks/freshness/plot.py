"""The plot of freshness: how many of the changes had arrived after so many milliseconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

_COLOURS: Final = {
    "listener": "tab:blue",
    "floor": "tab:gray",
    "floor with refresh": "tab:orange",
}
_CASCADE_COLOURS: Final = ("tab:blue", "tab:red", "tab:green", "tab:purple")


def plot(result: Mapping[str, Any], path: Path) -> None:
    """Cumulative distributions, a panel a series; the cascades share the last one."""
    panels: dict[str, dict[str, Sequence[float]]] = {}
    cascades: dict[str, Sequence[float]] = {}
    for name, samples in result["samples"].items():
        series, _, target = name.rpartition(": ")
        if series.startswith(("genre", "person", "link")):
            if target == "listener" and series.endswith("by id"):
                cascades[series.partition(", ")[0]] = samples
        else:
            panels.setdefault(series, {})[target] = samples
    rows = (len(panels) + 2) // 2
    figure, axes = plt.subplots(
        rows, 2, figsize=(9, 2.7 * rows), sharey=True, constrained_layout=True, squeeze=False
    )
    places = iter(axes.flat)
    for series, targets in panels.items():
        _panel(next(places), series, targets, list(map(_COLOURS.get, targets)))
    if cascades:
        _panel(
            next(places),
            "other edits of listener, by id, last document",
            cascades,
            _CASCADE_COLOURS,
        )
    for place in places:
        place.set_visible(False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _panel(
    place: Any, title: str, lines: Mapping[str, Sequence[float]], colours: Sequence[str | None]
) -> None:
    for (name, samples), colour in zip(lines.items(), colours, strict=False):
        ordered = sorted(samples)
        shares = [100 * number / len(ordered) for number in range(1, len(ordered) + 1)]
        place.step(
            [ordered[0], *ordered], [0, *shares], where="post", label=name, color=colour, lw=1.4
        )
    place.set_xscale("log")
    place.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    place.xaxis.set_minor_formatter(NullFormatter())
    place.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    place.set_title(title, fontsize=10)
    place.set_xlabel("ms after the commit")
    place.set_ylabel("arrived, %")
    place.grid(visible=True, which="both", alpha=0.25)
    place.legend(fontsize=8, loc="lower right")
