"""The set of marks does what a set does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from listener.capture.hashset import Marks, TimedMarks


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


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 4000)), max_size=900),
    st.lists(st.integers(0, 4000), max_size=3),
)
def test_marks_by_time_are_those_of_their_second(
    rows: list[tuple[int, int]], edges: list[int]
) -> None:
    """Whatever is kept by the minute: nothing is known that was not added, and none is forgotten
    too early."""
    marks, seen = TimedMarks(), dict[tuple[int, int], None]()
    lost: set[tuple[int, int]] = set()
    for number, (one, second) in enumerate(rows):
        mark = hash((one, second))
        assert not marks.knows(mark, second) or (mark, second) in seen
        assert marks.add(mark, second) or (mark, second) in seen
        seen[mark, second] = None
        if number % 300 == 299 and edges:
            edge = edges.pop()
            marks.forget_before(edge)
            lost |= {row for row in seen if row[1] < edge}
    for mark, second in seen:
        assert marks.knows(mark, second) or (mark, second) in lost
