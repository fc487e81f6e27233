"""The plot of the storms."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def plot(result: Mapping[str, Any], path: Path) -> None:
    """Documents a second, seconds after the last commit, and writes of a document, by round."""
    import matplotlib as mpl  # noqa: PLC0415

    mpl.use("Agg")
    from matplotlib import pyplot  # noqa: PLC0415

    samples = result["samples"]
    rounds = list(range(1, len(samples["all_rate"]) + 1))
    figure, (first, second, third) = pyplot.subplots(1, 3, figsize=(9, 4.6), dpi=100)
    floor = result["figures"][0]["floor"]
    first.bar([n - 0.2 for n in rounds], samples["all_rate"], 0.4, label="listener")
    first.bar([n + 0.2 for n in rounds], floor, 0.4, label="floor", color="0.7")
    first.axhline(
        0.8 * sorted(floor)[len(floor) // 2], color="tab:red", linestyle="--", linewidth=1,
        label="goal",
    )  # fmt: skip
    first.set_title("all films in one statement", fontsize=9)
    first.set_ylabel("documents/s")
    names = {"few": "small commits, 4 clients", "many": "small commits, 8 clients"}
    for name, label in names.items():
        late = samples[f"{name}_late"]
        second.plot(rounds[: len(late)], late, "o-", label=label)
    second.plot(rounds, samples["renames_late"], "o-", label="genre renamed 20 times")
    second.axhline(0.3, color="tab:red", linestyle="--", linewidth=1, label="goal, 4 clients")
    second.set_title("last commit → all right", fontsize=9)
    second.set_ylabel("seconds")
    written = {"all": "one statement", **names, "renames": "genre renamed 20 times"}
    for name, label in written.items():
        times = samples[f"{name}_written"]
        third.plot(rounds[: len(times)], times, "o-", label=label)
    third.axhline(3, color="tab:red", linestyle="--", linewidth=1, label="goal, genre")
    third.set_title("a document written", fontsize=9)
    third.set_ylabel("times")
    for axis in (first, second, third):
        axis.set_xticks(rounds)
        axis.set_xlabel("round")
        axis.set_ylim(bottom=0)
        axis.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.2))
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)
