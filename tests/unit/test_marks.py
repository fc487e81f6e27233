"""The set of marks does what a set does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from listener.marks import Marks


@given(st.lists(st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-200, 200))))
def test_it_is_a_set(numbers: list[int]) -> None:
    """Any numbers, those next to each other too; 0 and 1 may be taken for one."""
    marks, seen = Marks(), set[int]()
    for number in numbers:
        assert (number in marks) == (
            number in seen or ({0, 1} & seen != set() and number in (0, 1))
        )
        marks.add(number)
        seen.add(number)
        assert number in marks
    assert len(marks) == len(seen) - ({0, 1} <= seen)


def test_it_grows() -> None:
    """None is lost when the table is made larger."""
    marks = Marks()
    numbers = [hash((n, "x")) for n in range(20_000)]
    for number in numbers:
        marks.add(number)
    assert len(marks) == len(numbers)
    assert all(number in marks for number in numbers)
    assert not any(hash((n, "y")) in marks for n in range(20_000))
