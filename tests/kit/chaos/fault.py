"""What a fault is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from tests.kit.chaos.world import World

Run = Callable[[World, Random], None]
"""Breaks something and mends it; returns when it is mended, within some seconds."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault. Two of them may overlap unless both hold the same part of the world."""

    name: str
    run: Run
    holds: frozenset[str]
    """What it breaks: `daemons`, `postgres` (the server), `search` (the server), `ways`, `index`,
    `rows`, `triggers`, `cards` (the tables of that schema)."""
    rare: bool = False
    """It is costly: once where others come three times."""


def fault(run: Run, *holds: str, rare: bool = False) -> Fault:
    """A fault named like its function."""
    return Fault(str(getattr(run, "__name__", "")), run, frozenset(holds), rare)
