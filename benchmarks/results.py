"""What a scenario has measured: figures with their floors and goals, and samples to plot."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Goal:
    """`of` the value itself, or of its ratio to the floor: at most or at least `bound`."""

    of: Literal["value", "ratio"]
    is_: Literal["<=", ">="]
    bound: float

    def met(self, number: float) -> bool:
        """Whether this number reaches it."""
        return number <= self.bound if self.is_ == "<=" else number >= self.bound


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table.

    `values` are of the rounds, one each; `floor` those of the floor, measured in alternation with
    them. Where they are made of samples (a percentile), a round's samples make one value.
    """

    name: str
    unit: str
    values: Sequence[float]
    floor: Sequence[float] = ()
    goal: Goal | None = None

    @property
    def value(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.values)

    @property
    def ratio(self) -> float | None:
        """The median of the rounds against that of the floor's."""
        return self.value / statistics.median(self.floor) if self.floor else None

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None where there is none."""
        if self.goal is None:
            return None
        number = self.value if self.goal.of == "value" else self.ratio
        assert number is not None, f"{self.name}: a goal for a ratio, and no floor"
        return self.goal.met(number)

    def as_json(self) -> dict[str, Any]:
        """Itself, and what follows from it."""
        return {**asdict(self), "value": self.value, "ratio": self.ratio, "met": self.met}


@dataclass(slots=True)
class Result:
    """What one scenario brought."""

    figures: list[Figure] = field(default_factory=list)
    samples: dict[str, list[float]] = field(default_factory=dict)
    """Single measurements by name, for plots and for other percentiles."""
    notes: list[str] = field(default_factory=list)
    """How it was measured, in a sentence each, and what a reader must know."""

    def as_json(self) -> dict[str, Any]:
        """For the file."""
        return {
            "figures": [one.as_json() for one in self.figures],
            "samples": {
                name: [round(value, 6) for value in values] for name, values in self.samples.items()
            },
            "notes": self.notes,
        }


def percentile(samples: Sequence[float], share: float) -> float:
    """The nearest-rank percentile; `share` from 0 to 1.

    Raises ValueError where there are no samples.
    """
    ordered = sorted(samples)
    if not ordered:
        raise ValueError("no samples")
    rank = math.ceil(round(share * len(ordered), 9))  # 0.07 * 100 is a little more than 7
    return ordered[min(len(ordered), max(1, rank)) - 1]


def percentiles(samples: Sequence[float]) -> Mapping[str, float]:
    """p50, p95, p99 and max."""
    return {
        "p50": percentile(samples, 0.5),
        "p95": percentile(samples, 0.95),
        "p99": percentile(samples, 0.99),
        "max": max(samples),
    }
