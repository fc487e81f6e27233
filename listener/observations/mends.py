"""Mends: how what is wrong, and what mends it, are told as one line. Pure."""

from __future__ import annotations

from typing import Final

_ENDS: Final = (".", "?", "!", "…")


def with_mend(reason: str, mend: str) -> str:
    """The reason, and what mends it; the reason alone where `mend` is empty."""
    if not mend:
        return reason
    reason = reason.rstrip(" ;,:")  # as servers end theirs
    end = "" if reason.endswith(_ENDS) else "."
    return f"{reason}{end} Mend: {mend}"
