"""Parameters of which one stands for all in `make test`; the others are `long`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def one_short(values: Iterable[object], short: object) -> list[Any]:
    """Parameters of a test: this one is of every run, the others are of `make test-faults`."""
    found = [one if one == short else pytest.param(one, marks=pytest.mark.long) for one in values]
    assert short in found, short
    return found
