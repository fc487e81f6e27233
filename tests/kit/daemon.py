"""The fixture that starts daemons."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from playground.daemon import Processes, processes_of_a_test


@pytest.fixture
def processes() -> Iterator[Processes]:
    """Starts daemons, ends them with the test, and fails where one of them crashed."""
    with processes_of_a_test() as processes:
        yield processes
