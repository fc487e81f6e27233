"""What sweeps have handed on: no row twice, none left out, and never more than a limit."""

from __future__ import annotations

import pytest

from listener.capture import handed_on as module
from listener.capture import xids
from listener.capture.handed_on import HandedOn

OLDEST = 100
ROUND = 1 << 32
"""So many ids there are of 32 bits."""


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> HandedOn:
    """Room for four rows, and for three that lie ahead."""
    monkeypatch.setattr(module, "MEMORY", 4)
    monkeypatch.setattr(module, "AHEAD", 3)
    return HandedOn()


def ahead(memory: HandedOn, *numbers: int, xmin: int = OLDEST) -> list[int]:
    """Which of these rows are handed on, that lie ahead."""
    return [one for one in numbers if memory.is_first_ahead(("film", one), str(xmin), OLDEST)]


def test_each_row_once(memory: HandedOn) -> None:
    """What tells two rows apart is all of the tuple: one key may be stamped by two transactions."""
    assert memory.is_first(("film", "1", "10:00:00", "7"), 10)
    assert not memory.is_first(("film", "1", "10:00:00", "7"), 10)
    assert memory.is_first(("film", "1", "10:00:00", "8"), 10)
    assert memory.is_first(("person", "1", "10:00:00", "7"), 10)


def test_the_oldest_are_forgotten_for_younger_ones(memory: HandedOn) -> None:
    """They are read no more while the watermark stands; what is young is known still."""
    rows = [("film", str(number)) for number in range(6)]
    for second, row in enumerate(rows):
        assert memory.is_first(row, second)
    for second in (2, 3, 4, 5):
        assert not memory.is_first(rows[second], second)
    assert memory.is_first(rows[0], 0)


def test_a_full_memory_hands_on_once_more(memory: HandedOn) -> None:
    """Where nothing is older than a row it is not remembered: indexed twice, but never left out.
    Those that are known stay known."""
    rows = [("film", str(number)) for number in range(6)]
    assert all(memory.is_first(row, 10) for row in rows)
    assert [memory.is_first(row, 10) for row in rows] == [False] * 4 + [True] * 2
    assert memory.is_first(("film", "older"), 9)
    assert not memory.is_first(rows[0], 10)


def test_what_is_below_the_watermark_is_forgotten(memory: HandedOn) -> None:
    """It makes room."""
    for second in range(4):
        memory.is_first(("film", second), second)
    memory.forget_before(2)
    assert [memory.is_first(("film", second), second) for second in range(4)] == [
        *(True, True, False, False),
    ]


def test_rows_that_lie_ahead(memory: HandedOn) -> None:
    """Each once, apart from those of now: a row is read again when the clock has come to its
    stamp."""
    assert ahead(memory, 1, 2, 1) == [1, 2]
    assert memory.is_first(("film", 1), 10)
    memory.forget_before(20)
    assert ahead(memory, 1, 2) == []


def test_a_limit_ahead(memory: HandedOn) -> None:
    """Where all marks are of one age, what is beyond the limit is not remembered: it may be handed
    on once more, and is not left out. Those that are known stay known."""
    assert ahead(memory, 1, 2, 3) == [1, 2, 3]
    assert ahead(memory, 4, 4) == [4, 4]
    assert ahead(memory, 1, 2, 3) == []


def test_the_oldest_ahead_are_forgotten_for_younger_ones(memory: HandedOn) -> None:
    """Those of the earliest transactions, which fewest of the later looks take for new."""
    later = OLDEST + module._NEIGHBOURS
    assert ahead(memory, 1, 2) == [1, 2]
    assert ahead(memory, 3, 4, xmin=later) == [3, 4]
    assert ahead(memory, 3, 4, xmin=later) == []
    assert ahead(memory, 1, 2) == [1, 2]


def test_rows_ahead_of_old_transactions_take_no_room(memory: HandedOn) -> None:
    """No later look takes them for new, so they need not be remembered; and drive out none."""
    assert ahead(memory, 1, 2, 3) == [1, 2, 3]
    assert ahead(memory, 4, 5, 4, xmin=OLDEST - 1) == [4, 5, 4]
    assert ahead(memory, 1, 2, 3) == []


def test_what_lay_ahead_can_be_forgotten_alone(memory: HandedOn) -> None:
    """Where its look was not complete, what it met was not handed on."""
    memory.is_first(("film", 1), 10)
    ahead(memory, 1, 2)
    memory.forget_ahead()
    assert ahead(memory, 1, 2) == [1, 2]
    assert not memory.is_first(("film", 1), 10)


@pytest.mark.parametrize(
    ("xid", "near", "whole"),
    [
        (100, 100, 100),
        (99, 100, 99),
        (3, ROUND - 4, ROUND + 3),  # they went round
        (ROUND - 4, ROUND + 3, ROUND - 4),
        (100 + ROUND // 2 - 1, 100, 100 + ROUND // 2 - 1),
        (100 + ROUND // 2, 100, 100 - ROUND // 2),
    ],
)
def test_transactions_go_round(xid: int, near: int, whole: int) -> None:
    """Of 32 bits: the nearest one to any that is known whole is meant."""
    assert xids.whole(str(xid), near) == whole
