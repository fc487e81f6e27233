"""The scenarios by name, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks import load, memory
from benchmarks.definitions import plot as definitions_plot
from benchmarks.definitions import scenario as definitions
from benchmarks.freshness import plot as freshness_plot
from benchmarks.freshness import scenario as freshness
from benchmarks.growth import plot as growth_plot
from benchmarks.growth import scenario as growth
from benchmarks.idle import plot as idle_plot
from benchmarks.idle import scenario as idle
from benchmarks.results import Result
from benchmarks.stage import Stage
from benchmarks.storms import plot as storms_plot
from benchmarks.storms import scenario as storms
from benchmarks.writers import plot as writers_plot
from benchmarks.writers import scenario as writers

Plot = Callable[[Mapping[str, Any], Path], None]
"""Draws the JSON of a result (`Result.as_json`) into a PNG file."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """Something to measure."""

    name: str
    title: str
    run: Callable[[Stage], Result]
    plot: Plot


SCENARIOS: Final = {
    one.name: one
    for one in (
        Scenario("freshness", "From commit to index", freshness.run, freshness_plot.plot),
        Scenario("storms", "Storms of changes", storms.run, storms_plot.plot),
        Scenario("load", "Full load", load.run, load.plot),
        Scenario("memory", "Memory of the daemon", memory.run, memory.plot),
        Scenario("writers", "What the writers pay", writers.run, writers_plot.plot),
        Scenario("idle", "A quiet database", idle.run, idle_plot.plot),
        Scenario("definitions", "A changed definition", definitions.run, definitions_plot.plot),
        Scenario("growth", "Growth of the data", growth.run, growth_plot.plot),
    )
}
