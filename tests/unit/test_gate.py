"""The gate: after a lost answer it stays shut until the next generation is in force."""

from __future__ import annotations

import pytest

from listener.indexing.gate import Gate
from listener.search.versions import Versions, generation_of


def open_gate(generation: int = 1) -> Gate:
    """One whose generation is in force."""
    gate = Gate(1, Versions())
    gate.begin(generation)
    gate.open()
    return gate


def test_no_version_before_the_first_generation() -> None:
    """It would be below every version that is stored."""
    gate = Gate(1, Versions())
    assert gate.generation == 0
    with pytest.raises(RuntimeError):
        gate.draw()


def test_each_version_is_above_all_before() -> None:
    """Also the first one of a new generation."""
    gate = open_gate(3)
    drawn = [gate.draw(), gate.draw()]
    gate.begin(4)
    drawn.append(gate.draw())
    assert drawn == sorted(set(drawn))
    assert [generation_of(one) for one in drawn] == [3, 3, 4]


@pytest.mark.parametrize("generation", [2, 3])
def test_a_generation_only_rises(generation: int) -> None:
    """Else versions would be drawn twice."""
    gate = open_gate(3)
    with pytest.raises(ValueError, match="only rises"):
        gate.begin(generation)
    assert generation_of(gate.draw()) == 3


def test_shut_until_the_next_generation_has_its_aliases() -> None:
    """Its number alone refuses nothing: the lost request still finds the former alias."""
    gate = open_gate()
    assert not gate.lost
    gate.lose()
    gate.begin(2)
    assert gate.lost
    gate.open()
    assert not gate.lost


def test_the_highest_generation_that_was_seen() -> None:
    """Whatever is seen later."""
    gate = open_gate()
    assert gate.above == 0
    for generation in (7, 9, 8):
        gate.saw(generation)
    assert gate.above == 9


def test_no_kind_has_an_index_at_first() -> None:
    """The fence opens them."""
    assert Gate(2, Versions()).targets == [None, None]
