"""What people read of a benchmark: the lines of the terminal and the page."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import report
from benchmarks.results import Figure, Goal, Result

AT_MOST = Goal("ratio", "<=", 1.3)
MACHINE = {
    "processor": "Example 3000",
    "cores": 2,
    "memory_gb": 25.3,
    "kernel": "6.1",
    "python": "3.11.7",
    "postgresql": "18.6",
    "fsync": "on",
    "elasticsearch": "8.19.0",
    "heap": "1g",
    "psycopg": "3.3.9",
    "elasticsearch_py": "8.19.3",
    "commit": "0123456789",
}


def entry(*figures: Figure, notes: tuple[str, ...] = (), **changed: Any) -> dict[str, Any]:
    """A scenario of results.json."""
    return {
        "title": "A title",
        "at": "2026-11-24T18:29:30+00:00",
        "seconds": 75.4,
        "rounds": 5,
        "quick": False,
        "load_before": 0.06,
        "machine": MACHINE,
        **Result(list(figures), notes=list(notes)).as_json(),
        **changed,
    }


def page(**entries: dict[str, Any]) -> list[str]:
    """The lines of the page."""
    return report.markdown(entries).splitlines()


# -- numbers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1, "1"),
        (20.0, "20"),
        (8.1234, "8.12"),
        (0.99951, "1"),
        (0.000123456, "0.000123"),
        (99.96, "100"),
        (120.4, "120"),
        (999.6, "1,000"),
        (18234.5, "18,200"),
        (1_234_567, "1,230,000"),
        (-0.0256, "-0.0256"),
    ],
)
def test_a_number_has_three_digits_that_mean_something(value: float, text: str) -> None:
    """And never an exponent."""
    assert report.number(value) == text


@pytest.mark.parametrize(
    ("value", "goal", "text"),
    [
        (1.3004, Goal("ratio", "<=", 1.3), "1.3004"),
        (1.2996, Goal("ratio", "<=", 1.3), "1.3"),
        (0.8496, Goal("ratio", ">=", 0.85), "0.8496"),
        (1.41, Goal("ratio", "<=", 1.3), "1.41"),
        (1.3004, None, "1.3"),
    ],
)
def test_a_number_never_contradicts_its_verdict(value: float, goal: Goal | None, text: str) -> None:
    """A goal of 1.3 that is missed beside "1.3" would look like a mistake."""
    assert report.beside(value, goal) == text


# -- lines -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("figure", "line"),
    [
        (Figure("idle WAL", "bytes/minute", [512.0]), "idle WAL: 512 bytes/minute"),
        (Figure("16x against 1x", "x", [0.98]), "16x against 1x: 0.98x"),
        (Figure("writes of a document", "", [1.0, 2.0]), "writes of a document: 1.5 (1 to 2)"),
        (
            Figure("by id, p50", "ms", [10.0, 12.0, 11.0], [10.0, 9.0, 11.0], AT_MOST),
            "by id, p50: 11 ms (10 to 12); floor 10 ms (9 to 11), ratio 1.1x; "
            "goal <= 1.3x floor: reached",
        ),
        (
            Figure("memory", "MB", [131.0], goal=Goal("value", "<=", 120.0)),
            "memory: 131 MB; goal <= 120 MB: MISSED",
        ),
    ],
)
def test_a_line_says_all_of_a_figure(figure: Figure, line: str) -> None:
    """Median, spread, floor, ratio, goal."""
    assert report.line(figure) == line


# -- the page --------------------------------------------------------------------------------------


def test_goals_come_first_and_the_rest_by_scenario() -> None:
    """A figure is in one of the tables, with what it has."""
    lines = page(
        load=entry(
            Figure("rate", "documents/s", [16000.0], [20000.0], Goal("ratio", ">=", 0.85)),
            Figure("memory", "MB", [81.0, 79.0], goal=Goal("value", "<=", 120.0)),
            Figure("size", "MB/s", [16.1], [18.2]),
            Figure("took", "s", [2.0]),
            notes=("One note,\nwith a break.",),
        )
    )
    goals = lines.index("## Goals: 1 of 2 reached")
    scenario = lines.index("## load")
    assert goals < scenario
    assert (
        "| rate | 16,000 documents/s | 20,000 documents/s | 0.8x | ≥ 0.85x floor | **no** |"
        in (lines[goals:scenario])
    )
    assert "| memory | 80 MB (79 to 81) |  |  | ≤ 120 MB | yes |" in lines[goals:scenario]
    assert "| size | 16.1 MB/s | 18.2 MB/s | 0.885x |" in lines[scenario:]
    assert "| took | 2 s |  |  |" in lines[scenario:]
    assert "![A title](load.png)" in lines[scenario:]
    assert "- One note, with a break." in lines[scenario:]
    assert not any(line.startswith("| rate") for line in lines[scenario:])


def test_no_columns_that_are_empty_all_the_way() -> None:
    """Where a scenario has no floor; and no table of goals where there is none."""
    lines = page(idle=entry(Figure("CPU", "%", [0.3])))
    assert "| figure | measured |" in lines
    assert not any(line.startswith("## Goals") for line in lines)


def test_where_all_figures_have_goals_a_scenario_keeps_its_plot_and_notes() -> None:
    """And has no empty table."""
    lines = page(load=entry(Figure("m", "MB", [1.0], goal=Goal("value", "<=", 2.0)), notes=("N.",)))
    section = lines[lines.index("## load") :]
    assert [line for line in section if line] == [
        "## load",
        "A title.",
        "![A title](load.png)",
        "- N.",
    ]


def test_when_and_on_what_it_ran() -> None:
    """Time in UTC, duration, rounds, how busy the machine was, commit, versions."""
    text = "\n".join(page(load=entry(at="2026-11-24T20:29:30+02:00")))
    row = "| [load](#load) | 2026-11-24 18:29 | 1 min 15 s | 5 | 0.06 | `0123456789` |"
    assert row in text
    assert (
        "Example 3000, 2 cores, 25.3 GB of memory, Linux 6.1, PostgreSQL 18.6, fsync on, "
        "Elasticsearch 8.19.0, heap 1g, Python 3.11.7, psycopg 3.3.9, elasticsearch-py 8.19.3."
    ) in text
    assert "different" not in text
    assert "uncommitted" not in text


def test_rounds_are_those_that_there_were() -> None:
    """Not those that were asked for: the largest data may be measured once."""
    lines = page(growth=entry(Figure("a", "s", [1.0, 2.0]), Figure("b", "s", [9.0])))
    assert any("| 1 min 15 s | 1 to 2 |" in line for line in lines)


def test_a_quick_run_is_visible_everywhere() -> None:
    """Above, in its row, at its goals, at its scenario; the other one is left alone."""
    figure = Figure("memory", "MB", [80.0], goal=Goal("value", "<=", 120.0))
    text = "\n".join(page(load=entry(figure, quick=True, rounds=1), memory=entry(figure)))
    assert "**Quick runs (load) say that the benchmark works, and nothing about speed.**" in text
    assert "| 1, quick |" in text
    assert "| memory (quick) | 80 MB |" in text
    assert "| memory | 80 MB |" in text
    assert "A title (a quick run)." in text


def test_scenarios_of_different_commits_and_machines_do_not_look_like_one_run() -> None:
    """Each has its commit; a machine has a letter where there are several."""
    other = {**MACHINE, "commit": "abcdef012+", "postgresql": "16.1"}
    lines = page(load=entry(), storms=entry(machine=other), idle=entry())
    text = "\n".join(lines)
    assert "**The scenarios ran at 2 different commits: see below.**" in text
    assert "**A commit with a + had uncommitted changes.**" in text
    assert "**They ran on different machines or versions: see below.**" in text
    assert [line[-14:] for line in lines if line.startswith("| [")] == [
        "123456789` | A |"[-14:],
        "bcdef012+` | B |"[-14:],
        "123456789` | A |"[-14:],
    ]
    assert "Machine A: Example 3000" in text
    assert "Machine B: Example 3000, 2 cores, 25.3 GB of memory, Linux 6.1, PostgreSQL 16.1" in text


def test_a_machine_may_say_less_or_more() -> None:
    """Results of an older or newer version of the benchmark stay readable."""
    text = "\n".join(page(load=entry(machine={"cores": 4, "disk": "fast"})))
    assert "4 cores, disk fast." in text
    assert "`unknown`" in text


def test_a_name_cannot_break_a_table() -> None:
    """Neither by a bar nor by a line's end."""
    assert "| a\\|b c | 1 s |" in page(load=entry(Figure("a|b\nc", "s", [1.0])))


def test_every_row_of_a_table_has_as_many_cells_as_its_head() -> None:
    """Over all shapes at once."""
    goal = Goal("value", "<=", 2.0)
    figures = (
        Figure("a", "s", [1.0]),
        Figure("b", "s", [1.0, 2.0], [1.0]),
        Figure("c", "s", [3.0], [1.0, 2.0], goal),
        Figure("d", "s", [1.0], goal=goal),
    )
    lines = page(load=entry(*figures), idle=entry(figures[0], machine={"cores": 1}, quick=True))
    width = 0
    for line in lines:
        if not line.startswith("|"):
            width = 0
            continue
        width = width or line.count("|")
        assert line.count("|") == width, line


def test_nothing_run_yet() -> None:
    """A page all the same."""
    assert "No scenario has been run." in page()
