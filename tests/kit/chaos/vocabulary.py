"""All kinds of faults, by name."""

from __future__ import annotations

from typing import Final

from tests.kit.chaos import daemons, databases, operations, restores, rows, searches
from tests.kit.chaos.fault import Fault

FAULTS: Final[dict[str, Fault]] = {
    one.name: one
    for module in (daemons, databases, searches, restores, rows, operations)
    for one in module.FAULTS
}
