"""Fixtures for all tests: real servers, the real daemon, scenes. They stand in `tests/kit`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("tests.kit")

settings.register_profile("listener", deadline=None)  # how long an example takes proves nothing
settings.load_profile("listener")

FAULTS = Path(__file__).parent / "faults"

pytest_plugins = [
    "tests.kit.servers",
    "tests.kit.daemon",
    "tests.kit.scenes",
    "tests.kit.blind",
    "tests.kit.triggers",
    "tests.soak.fixtures",
]


def pytest_sessionstart(session: pytest.Session) -> None:
    """Lines count where a test runs them itself, and not in the daemons that it starts.

    Counting made each daemon slower by two fifths, and a line that only a daemon reaches is one
    that no test looks at closely.
    """
    starts_workers = getattr(session.config.option, "numprocesses", None)
    if hasattr(session.config, "workerinput") or not starts_workers:
        os.environ.pop("COVERAGE_PROCESS_CONFIG", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of tests/faults is long."""
    for item in items:
        if item.path.is_relative_to(FAULTS):
            item.add_marker(pytest.mark.long)
