"""What a process costs, from /proc: CPU time and resident memory."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICK: Final = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cpu:
    """Seconds of CPU."""

    user: float
    system: float

    @property
    def total(self) -> float:
        """Both."""
        return self.user + self.system

    def __sub__(self, other: Cpu) -> Cpu:
        return Cpu(self.user - other.user, self.system - other.system)


def cpu(pid: int) -> Cpu:
    """What a process has used so far, all threads, to a hundredth of a second."""
    text = Path(f"/proc/{pid}/stat").read_text("utf-8")
    fields = text.rpartition(")")[2].split()
    return Cpu(int(fields[11]) * _TICK, int(fields[12]) * _TICK)


def resident(pid: int) -> float:
    """Resident memory now, in MB (10^6 bytes)."""
    return _kilobytes(pid, "VmRSS") * 1024 / 1e6


def peak(pid: int) -> float:
    """The most resident memory since the start or since `forget_peak`, in MB."""
    return _kilobytes(pid, "VmHWM") * 1024 / 1e6


def forget_peak(pid: int) -> None:
    """Let `peak` speak of what comes from now on."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", "ascii")


def _kilobytes(pid: int, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text("utf-8"), re.M)
    if found is None:
        raise ProcessLookupError(f"process {pid} has no {name}: it has ended")
    return int(found[1])
