"""Index = query, as an assertion with a deadline."""

from __future__ import annotations

import time
from pathlib import Path
from threading import Event

import pytest

from playground.convergence import differences

_EVERY = 0.05


def wait_converged(config: Path, dsn: str, url: str, *, deadline: float = 30.0) -> None:
    """Compare again and again until there is no difference; fail with the last ones."""
    until = time.monotonic() + deadline
    pause = Event()
    while found := differences(config, dsn, url):
        if time.monotonic() > until:
            pytest.fail(f"not converged within {deadline:g} s:\n{found.report()}")
        pause.wait(_EVERY)
