"""Closing lines: how many examples each property had, and the seed that repeats them."""

from __future__ import annotations

import pytest

from tests.fuzz import kit


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Only `make fuzz` is told: `make test` runs the same few each time."""
    if not kit.WANTED or not kit.EXECUTED:
        return
    terminalreporter.section("examples")
    for name, count in sorted(kit.EXECUTED.items()):
        terminalreporter.write_line(f"{count:9,}  {name}")
    seed = terminalreporter.config.getoption("hypothesis_seed", None)
    terminalreporter.write_line(
        f"{kit.EXECUTED.total():9,}  of {len(kit.EXECUTED)} properties, seed {seed}"
    )
