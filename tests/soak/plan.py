"""The plan of a run: which faults follow each other, drawn from a seed alone."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.kit.chaos.fault import Fault
from tests.kit.chaos.operations import MODES

_ROUNDS = 3
"""A rare fault comes once in so many rounds; all others come once in each."""
_OVERLAP = 0.35
"""How often two faults are made to overlap."""


@dataclass(frozen=True, slots=True)
class Step:
    """One fault, or two at once; then, at times, a settle point."""

    number: int
    pause: float
    """Seconds before it."""
    faults: tuple[Fault, ...]
    lead: float
    """Seconds from the first fault to the second."""
    settle: bool
    notify: str | None
    """The mode that begins with this step, at a settle point of its own."""

    @property
    def names(self) -> str:
        """The faults, for people."""
        return " + ".join(fault.name for fault in self.faults)

    def choice(self, seed: int, place: int) -> random.Random:
        """What the fault at this place of the step draws from."""
        return random.Random(f"{seed} {self.number} {place}")


def plan(seed: int, kinds: Mapping[str, Fault], faults_a_phase: int) -> Iterator[Step]:
    """Steps without end. Every round has all kinds, in an order of its own; each phase of
    so many faults has one of the three `notify` modes, in turn."""
    choice = random.Random(seed)
    deck = _deck(choice, list(kinds.values()))
    modes = itertools.cycle(MODES)
    kept: list[Fault] = []
    count = until_settle = left = 0
    for number in itertools.count(1):
        mode = None
        if left <= 0:
            mode, left = next(modes), faults_a_phase
        faults = [kept.pop() if kept else next(deck)]
        if choice.random() < _OVERLAP and len(kinds) > 1:
            other = next(deck)
            if faults[0].holds & other.holds:
                kept.append(other)
            else:
                faults.append(other)
        count += len(faults)
        left -= len(faults)
        until_settle -= len(faults)
        settle = until_settle <= 0
        if settle:
            until_settle = choice.randint(3, 6)
        yield Step(
            number,
            choice.uniform(0, 2.5),
            tuple(faults),
            choice.uniform(0, 2),
            settle,
            mode,
        )


def _deck(choice: random.Random, faults: Sequence[Fault]) -> Iterator[Fault]:
    for number in itertools.count():
        some = [one for one in faults if not one.rare or number % _ROUNDS == 0]
        yield from choice.sample(some or faults, len(some or faults))
