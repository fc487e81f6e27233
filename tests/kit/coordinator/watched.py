"""The watches of a floor, and the moments of its sweeps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from listener.changes import Watch
from tests.kit.session import WATERMARK

FILM = Watch("public", "film", ("id",))
"""Leads to films by its ids."""
PERSON = Watch("public", "person", ("id",), updated_at="updated_at", notify="doorbell")
"""Leads to films and to actors through mapping files."""
OVERLAP: Final = timedelta(seconds=2)
START: Final = WATERMARK - OVERLAP
"""Where a sweep begins, if the watermark is as it was left and nothing is loaded."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a sweep was asked for, as of Sweep.pages."""

    since: datetime
    silent: bool = False
    recent: timedelta | None = None
    ahead: bool = False
