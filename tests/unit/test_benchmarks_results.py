"""The benchmark's own arithmetic: medians, ratios, goals, percentiles."""

from __future__ import annotations

import json

import pytest

from benchmarks.results import Figure, Goal, Result, percentile, percentiles


@pytest.mark.parametrize(
    ("sign", "number", "met"),
    [
        ("<=", 9.9, True),
        ("<=", 10.0, True),
        ("<=", 10.1, False),
        (">=", 9.9, False),
        (">=", 10.0, True),
        (">=", 10.1, True),
    ],
)
def test_the_bound_of_a_goal_itself_reaches_it(sign: str, number: float, met: bool) -> None:
    """In both directions."""
    assert Goal("value", sign, 10.0).met(number) is met  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "median"), [([3.0], 3.0), ([9.0, 1.0, 2.0], 2.0), ([4.0, 1.0, 2.0, 100.0], 3.0)]
)
def test_a_figure_is_the_median_of_its_rounds(values: list[float], median: float) -> None:
    """So that one slow round does not make it."""
    assert Figure("x", "s", values).value == median


def test_a_ratio_is_median_against_median() -> None:
    """Not the median of the ratios by round, which would be 3 here."""
    figure = Figure("x", "ms", [1.0, 6.0, 9.0], floor=[4.0, 2.0, 3.0])
    assert figure.ratio == 2.0


def test_without_a_floor_there_is_no_ratio_and_without_a_goal_nothing_to_reach() -> None:
    """None, which is neither reached nor missed."""
    figure = Figure("x", "ms", [1.0])
    assert figure.ratio is None
    assert figure.met is None


@pytest.mark.parametrize(
    ("goal", "met"),
    [
        (Goal("value", "<=", 12.0), True),
        (Goal("value", "<=", 11.0), False),
        (Goal("ratio", "<=", 1.2), True),
        (Goal("ratio", "<=", 1.1), False),
        (Goal("ratio", ">=", 1.2), True),
        (Goal("ratio", ">=", 1.3), False),
    ],
)
def test_a_goal_is_for_the_value_or_for_its_ratio(goal: Goal, met: bool) -> None:
    """12 ms beside a floor of 10 ms."""
    assert Figure("x", "ms", [12.0], [10.0], goal).met is met


def test_a_goal_for_a_ratio_needs_a_floor() -> None:
    """A scenario that has none is wrong, and is told so by the figure's name."""
    figure = Figure("rename, by id", "ms", [12.0], goal=Goal("ratio", "<=", 2.0))
    with pytest.raises(AssertionError, match="rename, by id"):
        _ = figure.met


def test_the_json_of_a_result_has_what_follows_from_it() -> None:
    """Value, ratio and verdict are there for readers who have no Python; it survives the file."""
    result = Result(
        [Figure("a", "ms", [12.0, 14.0, 13.0], [10.0], Goal("ratio", "<=", 1.2))],
        {"single": [0.12345678]},
        ["A note."],
    )
    result.figures.append(Figure("b", "MB", [1.0]))
    found = json.loads(json.dumps(result.as_json()))
    first, second = found["figures"]
    assert (first["value"], first["ratio"], first["met"]) == (13.0, 1.3, False)
    assert first["goal"] == {"of": "ratio", "is_": "<=", "bound": 1.2}
    assert (second["ratio"], second["met"], second["goal"]) == (None, None, None)
    assert found["samples"] == {"single": [0.123457]}
    assert found["notes"] == ["A note."]


# -- percentiles -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.0, 1), (0.001, 1), (0.01, 1), (0.5, 50), (0.501, 51), (0.95, 95), (0.99, 99), (1.0, 100)],
)
def test_a_percentile_is_a_sample(share: float, expected: float) -> None:
    """The least one that so many are not above (nearest rank), out of 1 to 100 in any order."""
    assert percentile([float(one) for one in range(100, 0, -1)], share) == expected


def test_of_one_sample_every_percentile_is_it() -> None:
    """And the samples stay as they were."""
    assert set(percentiles([7.0]).values()) == {7.0}
    samples = [3.0, 1.0, 2.0]
    percentiles(samples)
    assert samples == [3.0, 1.0, 2.0]


def test_of_no_samples_there_is_no_percentile() -> None:
    """A series that brought nothing must not look like a quick one."""
    with pytest.raises(ValueError, match="no samples"):
        percentile([], 0.5)


def test_the_percentiles_that_are_reported() -> None:
    """Of 500 samples p99 leaves the worst five out, the maximum none."""
    found = percentiles([float(one) for one in range(1, 501)])
    assert found == {"p50": 250, "p95": 475, "p99": 495, "max": 500}


@pytest.mark.parametrize("per_cent", [50, 95, 99])
def test_a_reported_rank_is_not_one_too_high_by_rounding(per_cent: int) -> None:
    """Against whole numbers, for any number of samples."""
    for count in range(1, 1001):
        samples = range(1, count + 1)
        assert percentile(samples, per_cent / 100) == -(-per_cent * count // 100), count
