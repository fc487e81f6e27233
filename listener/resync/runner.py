"""The runner: which loads and comparisons have their turn, in which order.

Each waits for the proof of its start, and holds the saved watermark until it is complete. A load
fills a new index. A comparison mends the one in use.
"""

from __future__ import annotations

from typing import Final

from listener.failures import FAILURES
from listener.indexing.pipeline import Interrupted
from listener.postgres import Connection
from listener.resync.cancellation import Cancellation, Check
from listener.resync.comparison_run import ComparisonRun
from listener.resync.load_run import LoadRun
from listener.resync.under_way import UnderWay
from listener.search.index_config import IndexError_
from listener.triggers import TriggerError

_OF_ONE: Final[tuple[type[Exception], ...]] = (Interrupted, *FAILURES)
"""What concerns one load or comparison, perhaps, and no other."""


class Runner:
    """Runs in the loader's thread, or in the caller's with --once.

    Raises what LoadRun and ComparisonRun raise. After an error of a client call it again.
    """

    def __init__(self, under_way: UnderWay, loads: LoadRun, comparisons: ComparisonRun) -> None:
        self._under_way = under_way
        self._loads = loads
        self._comparisons = comparisons

    def turn(self, connection: Connection, cancellation: Cancellation) -> None:
        """All loads, and one turn of all comparisons: the daemon's way. Where one fails, the others
        have their turn before the error is raised.
        """
        failed: Exception | None = None
        for one in self._under_way.states:
            try:
                if one.load is not None and one.refusal is None:
                    self._loads.run(connection, one, one.load, cancellation)
                if one.comparing is not None:
                    self._comparisons.run(connection, one, one.comparing, cancellation)
            except (IndexError_, TriggerError):
                raise
            except _OF_ONE as error:
                failed = failed or error
        if failed is not None:
            raise failed

    def here(self, connection: Connection, check: Check) -> bool:
        """All comparisons, and all pages of all loads: the way of --once. Returns whether the start
        of each was proven.
        """
        proven = True
        for one in self._under_way.states:
            if one.comparing is not None:
                proven &= self._comparisons.here(connection, one, one.comparing, check)
        for one in self._under_way.states:
            if one.load is not None:
                proven &= self._loads.here(connection, one, one.load, check)
        return proven

    def finish_here(self, connection: Connection, check: Check) -> None:
        """Swap the aliases of all loads. Their pages are complete, but of one that a change of the
        journal has begun anew since.
        """
        for one in self._under_way.states:
            if one.load is not None and not one.load.done:
                self._loads.here(connection, one, one.load, check)
            if one.load is not None and one.refusal is None:
                swapped = self._loads.finish(connection, one, one.load, check)
                if not swapped and one.comparing is not None:
                    self._comparisons.here(connection, one, one.comparing, check)
