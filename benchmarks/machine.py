"""What the figures were measured on."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.stage import Stage
from playground.daemon import PROJECT


def load() -> float:
    """How busy the machine was in the last minute."""
    return round(os.getloadavg()[0], 2)


def describe(stage: Stage) -> dict[str, Any]:
    """Processor, cores, memory, and the versions of everything that takes part."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "postgresql": str(stage.postgres.execute("SHOW server_version")[0][0]),
        "fsync": str(stage.postgres.execute("SHOW fsync")[0][0]),
        "elasticsearch": stage.search.version,
        "heap": stage.search.heap,
        "psycopg": version("psycopg"),
        "elasticsearch_py": version("elasticsearch"),
        "commit": commit(),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


@functools.cache  # what a run measures is what stood there when it began, not its own results
def commit() -> str:
    """Of this checkout, with a + where files were changed since. Call it before results are
    written.
    """
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--abbrev=9"],
            capture_output=True,
            text=True,
            check=True,
            cwd=PROJECT,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()
