"""Memory of the process: one heap for all threads, few collections, and what is free given back.

glibc would keep freed memory after a storm of changes.
"""

from __future__ import annotations

import ctypes
import gc
from typing import Final

_TRIM: Final = getattr(ctypes.CDLL(None), "malloc_trim", None)
"""Where there is none (musl, macOS), nothing is given back."""
_COLLECT_AFTER: Final = 50_000
"""Objects made and not freed, since the last look at the youngest ones; Python's own is 700."""
_M_ARENA_MAX: Final = -8
"""M_ARENA_MAX of glibc's malloc.h, for `mallopt`: how many heaps there may be."""


def give_back() -> None:
    """Give back what is free at present; some milliseconds."""
    if _TRIM is not None:
        _TRIM(0)


def one_heap() -> None:
    """All threads share one heap: glibc's heaps of their own keep memory that others could use
    (measured: 20 MB of a daemon that had caught up with a million changes)."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)


def rare_collections() -> None:
    """Collect cycles seldom, and never look at what the start has made: a load makes hundreds of
    thousands of tuples, none of them in a cycle. What makes large cycles collects them (`sink`).
    """
    gc.freeze()  # without a collection before it: that takes longer than `health` should
    gc.set_threshold(_COLLECT_AFTER, 20, 10)
    gc.enable()
