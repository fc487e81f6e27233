"""Returns freed memory to the system; glibc would keep it after a storm of changes."""

from __future__ import annotations

import ctypes
from typing import Final

_TRIM: Final = getattr(ctypes.CDLL(None), "malloc_trim", None)
"""Where there is none (musl, macOS), nothing is given back."""


def give_back() -> None:
    """Give back what is free at present; some milliseconds."""
    if _TRIM is not None:
        _TRIM(0)
