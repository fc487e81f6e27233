"""Fixtures for all tests: real servers, the real daemon, scenes. They stand in `tests/kit`."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.kit")

pytest_plugins = [
    "tests.kit.servers",
    "tests.kit.daemon",
    "tests.kit.scenes",
    "tests.kit.blind",
    "tests.kit.triggers",
    "tests.soak.fixtures",
]
