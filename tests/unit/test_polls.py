"""What rows that tell of lost changes ask for, all together."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from listener.capture import journal
from listener.coordinator.polls import Polls
from listener.resync.under_way import Wanted

AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("asked", [journal.REPAIR_ASKED, journal.REPAIR_ALLOWED])
def test_a_persons_word_is_not_lost_among_others(asked: str) -> None:
    """A trigger that fails for each statement may write its rows before and after it."""
    polls: Any = SimpleNamespace(_parts=SimpleNamespace(documents_of={"films": [0]}))
    lost: dict[int, tuple[datetime, Wanted]] = {}
    for reason in ("42P01 x", asked, "42P01 x"):
        Polls._note_lost(polls, lost, "films", AT, reason)
    assert lost == {0: (AT, Wanted("films: 42P01 x", asked == journal.REPAIR_ALLOWED, asked=True))}
