"""How many examples, from which seed; and how many there were of each property.

`make test` runs a few hundred of each property, always the same ones. FUZZ_EXAMPLES=10000 (which
`make fuzz` sets) runs so many random ones; `--hypothesis-seed` repeats them.
"""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Callable
from typing import Final, ParamSpec

from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy

from listener.changes import KEY_TYPES, KeyType

P = ParamSpec("P")

WANTED: Final = int(os.environ.get("FUZZ_EXAMPLES", "0"))
"""Examples of each property; 0: a few, for `make test`."""
_FEW: Final = 300
EXECUTED: Final[Counter[str]] = Counter()
"""Examples by property, those included that Hypothesis runs to shrink a failure."""

TYPES: Final[tuple[KeyType, ...]] = tuple(KEY_TYPES.values())


def fuzz(
    *strategies: SearchStrategy[object], share: float = 1.0
) -> Callable[[Callable[P, None]], Callable[..., None]]:
    """A property: its arguments are of these strategies. `share`: of the usual number of
    examples, where one is dear."""
    count = max(10, int((WANTED or _FEW) * share))

    def wrap(test: Callable[P, None]) -> Callable[..., None]:
        @functools.wraps(test)
        def counted(*arguments: P.args, **named: P.kwargs) -> None:
            EXECUTED[test.__name__] += 1
            test(*arguments, **named)

        chosen = settings(
            max_examples=count,
            derandomize=not WANTED,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        return chosen(given(*strategies)(counted))

    return wrap
