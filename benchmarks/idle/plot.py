"""The plot of the scenario `idle`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def plot(result: Mapping[str, Any], path: Path) -> None:
    """A small bar a figure, each on its own scale."""
    shown = result["figures"][:4]
    figure, axes = plt.subplots(1, len(shown), figsize=(9, 3.2), dpi=100, layout="constrained")
    for axis, one in zip(axes, shown, strict=True):
        values = one["values"]
        axis.bar([0], [one["value"]], width=0.5, color="#4c72b0")
        axis.plot([0] * len(values), values, "k.", markersize=4)
        axis.annotate(_short(one["value"]), (0, one["value"]), ha="center", va="bottom")
        if one["goal"] is not None:
            axis.axhline(one["goal"]["bound"], color="k", linestyle="--", linewidth=1.2)
        axis.set_title(one["name"].removesuffix(", idle"), fontsize=9)
        axis.set_ylabel(one["unit"])
        axis.set_xticks([])
        axis.set_xlim(-0.6, 0.6)
        axis.margins(y=0.2)
    figure.suptitle("A quiet database (dashed: goal; dots: rounds)", fontsize=11)
    figure.savefig(path)
    plt.close(figure)
