"""Fixtures for all tests: real servers, the real daemon, the comparison of index and query."""

from __future__ import annotations

pytest_plugins = [
    "tests.plugins.servers",
    "tests.plugins.daemon",
    "tests.plugins.convergence",
    "tests.plugins.scenes",
]
