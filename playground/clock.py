"""A PostgreSQL whose clock can be set. The machine's own clock is left alone.

libfaketime, loaded before the C library, answers when the server asks for the time. It comes with
the wheel of that name, of which nothing else is used.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from playground.cluster import Setting
from playground.places import cache_directory
from playground.postgres import PostgresServer
from playground.system import FileLock, PlaygroundError, wait_until

WHEEL = "libfaketime"
_NEAR = 1.0


class ClockedServer(PostgresServer):
    """A PostgreSQL that is `offset` seconds ahead of the machine (behind it, where negative)."""

    def __init__(self, *, settings: Mapping[str, Setting] | None = None) -> None:
        super().__init__(settings=settings)
        self._file = self.directory / "clock"
        self._library = _library()
        self.offset = 0.0
        self._write()

    def set_clock(self, offset: float) -> None:
        """Sets the clock; returns when the server tells that time."""
        self.offset = offset
        self._write()
        ask = "SELECT extract(epoch FROM clock_timestamp())::float8"
        wait_until(
            lambda: abs(float(self.execute(ask)[0][0]) - time.time() - offset) < _NEAR,
            seconds=20,
            what=f"the server's clock is {offset:+g} s from ours",
        )

    def _write(self) -> None:
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{self.offset:+f}\n")
        fresh.chmod(0o644)
        fresh.rename(self._file)  # the server never reads half of it

    def _environment(self) -> dict[str, str]:
        return {
            **super()._environment(),
            "LD_PRELOAD": os.fspath(self._library),
            "FAKETIME_TIMESTAMP_FILE": os.fspath(self._file),
            "FAKETIME_NO_CACHE": "1",  # a new offset is in force at once
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # timeouts go on as they were
            "NO_FAKE_STAT": "1",
        }


def _library() -> Path:
    """The library, where the servers' account can read it. Raises PlaygroundError."""
    found = importlib.util.find_spec(WHEEL)
    if found is None or found.origin is None:
        raise PlaygroundError(f"the wheel {WHEEL} is missing: pip install {WHEEL}")
    source = next(Path(found.origin).parent.rglob("libfaketime.so*"), None)
    if source is None:
        raise PlaygroundError(f"the wheel {WHEEL} has no library for this system")
    kept = cache_directory() / f"{WHEEL}-{importlib.metadata.version(WHEEL)}.so"
    with FileLock(cache_directory() / f"{WHEEL}.lock"):
        if not kept.exists():
            half = kept.with_suffix(".half")
            shutil.copyfile(source, half)
            half.chmod(0o755)
            half.rename(kept)
    return kept
