"""What became of parked documents that were to be tried again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from listener.indexing.parked_table import ParkedDocument


@dataclass(frozen=True, slots=True)
class Retried:
    """`cleared`: how many are parked no longer. `still`: those that were refused once more.
    `untried`: how many were not tried yet.
    """

    cleared: int
    still: tuple[ParkedDocument, ...]
    untried: int


def retried(before: Iterable[ParkedDocument], now: Iterable[ParkedDocument]) -> Retried:
    """Compare two looks at the table of parked documents. What is parked as often as it was before
    was not tried.
    """
    counts = {(one.index, one.id): one.count for one in before}
    left = [one for one in now if (one.index, one.id) in counts]
    still = tuple(one for one in left if one.count != counts[one.index, one.id])
    return Retried(len(counts) - len(left), still, len(left) - len(still))
