"""What people read: a line a figure for the terminal, and the Markdown page of the results.

The page says when and on what each scenario ran, since scenarios can be run one by one: what was
taken at another time, commit or machine must not look like one run. Goals come first, the rest
follows by scenario.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from benchmarks.results import Figure, Goal

_SIGNIFICANT: Final = 3
_MOST: Final = 9
_SIGNS: Final = {"<=": "≤", ">=": "≥"}

_HEAD: Final = """\
# Results

Written by `make bench`. [The page about the benchmark](../benchmarks.md) says how it is run and how
these tables are read; `results.json` has every round.
"""


# -- one figure ------------------------------------------------------------------------------------


def line(figure: Figure) -> str:
    """One figure, for a terminal."""
    text = f"{figure.name}: {_measured(figure)}"
    if figure.floor:
        text += f"; floor {_with_spread(figure.floor, figure.unit)}, ratio {_ratio(figure)}"
    if figure.goal is not None:
        reached = "reached" if figure.met else "MISSED"
        text += f"; goal {figure.goal.is_} {_bound(figure.goal, figure.unit)}: {reached}"
    return text


def number(value: float, digits: int = _SIGNIFICANT) -> str:
    """Three significant digits, with commas between thousands and no zeros that say nothing."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits - 1}e}")
    if abs(rounded) >= 1000:
        return f"{rounded:,.0f}"
    text = f"{rounded:.{_MOST}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def beside(value: float, goal: Goal | None) -> str:
    """A number with as many digits as show on which side of its goal it is."""
    digits = _SIGNIFICANT
    if goal is not None:
        met = goal.met(value)
        while digits < _MOST and goal.met(float(f"{value:.{digits - 1}e}")) != met:
            digits += 1
    return number(value, digits)


def _measured(figure: Figure) -> str:
    goal = figure.goal if figure.goal and figure.goal.of == "value" else None
    return _with_spread(figure.values, figure.unit, beside(figure.value, goal))


def _ratio(figure: Figure) -> str:
    if figure.ratio is None:
        return ""
    goal = figure.goal if figure.goal and figure.goal.of == "ratio" else None
    return f"{beside(figure.ratio, goal)}x"


def _with_spread(values: Sequence[float], unit: str, median: str | None = None) -> str:
    """The median with its unit; least and most where there are several."""
    text = _unit(median or number(statistics.median(values)), unit)
    if len(values) > 1:
        text += f" ({number(min(values))} to {number(max(values))})"
    return text


def _unit(text: str, unit: str) -> str:
    """`x` says "times" and belongs to the number; all others stand beside it."""
    return f"{text}x" if unit == "x" else f"{text} {unit}".rstrip()


def _bound(goal: Goal, unit: str) -> str:
    if goal.of == "ratio":
        return f"{number(goal.bound)}x floor"
    return _unit(number(goal.bound), unit)


# -- the page --------------------------------------------------------------------------------------


def markdown(results: Mapping[str, Any]) -> str:
    """The page: `results` is the content of results.json, scenarios by name."""
    if not results:
        return f"{_HEAD}\nNo scenario has been run.\n"
    parts = [_HEAD, _warnings(results), _runs(results), _machines(results), _goals(results)]
    parts += [_scenario(name, entry) for name, entry in results.items()]
    return "\n".join(part for part in parts if part)


def _warnings(results: Mapping[str, Any]) -> str:
    """What keeps the page from being read as one run."""
    lines = []
    quick = [name for name, entry in results.items() if entry["quick"]]
    if quick:
        lines.append(
            f"Quick runs ({_names(quick)}) say that the benchmark works, and nothing about speed."
        )
    commits = list(dict.fromkeys(_commit(entry) for entry in results.values()))
    if len(commits) > 1:
        lines.append(f"The scenarios ran at {len(commits)} different commits: see below.")
    if any(commit.endswith("+") for commit in commits):
        lines.append("A commit with a + had uncommitted changes.")
    if len(_kinds(results)) > 1:
        lines.append("They ran on different machines or versions: see below.")
    return "".join(f"**{one}**\n" for one in lines)


def _runs(results: Mapping[str, Any]) -> str:
    several = len(_kinds(results)) > 1
    head = ["scenario", "when (UTC)", "took", "rounds", "load before", "commit"]
    rows = []
    for name, entry in results.items():
        row = [
            f"[{name}](#{_anchor(name)})",
            _when(entry["at"]),
            _took(entry["seconds"]),
            f"{_rounds(entry)}{', quick' if entry['quick'] else ''}",
            number(entry["load_before"]),
            f"`{_commit(entry)}`",
        ]
        rows.append([*row, _letter(results, entry)] if several else row)
    text = _table([*head, "machine"] if several else head, rows)
    return f"## What was run\n\n{text}"


def _machines(results: Mapping[str, Any]) -> str:
    kinds = _kinds(results)
    lines = []
    for kind in kinds:
        told = _machine(kind)
        lines.append(f"Machine {_letter(results, kind)}: {told}" if len(kinds) > 1 else told)
    return "\n".join(f"{one}\n" for one in lines)


def _machine(kind: Mapping[str, Any]) -> str:
    """One machine and its versions, in a sentence; what is not known is left out."""
    named = {
        "processor": "{}",
        "cores": "{} cores",
        "memory_gb": "{} GB of memory",
        "kernel": "Linux {}",
        "postgresql": "PostgreSQL {}",
        "fsync": "fsync {}",
        "elasticsearch": "Elasticsearch {}",
        "heap": "heap {}",
        "python": "Python {}",
        "psycopg": "psycopg {}",
        "elasticsearch_py": "elasticsearch-py {}",
    }
    known = [text.format(kind[name]) for name, text in named.items() if name in kind]
    known += [f"{name} {value}" for name, value in kind.items() if name not in named]
    return ", ".join(known) + "."


def _goals(results: Mapping[str, Any]) -> str:
    rows, reached = [], 0
    for entry in results.values():
        for figure in _figures(entry):
            if figure.goal is None:
                continue
            reached += bool(figure.met)
            goal = f"{_SIGNS[figure.goal.is_]} {_bound(figure.goal, figure.unit)}"
            rows.append(
                [
                    figure.name + (" (quick)" if entry["quick"] else ""),
                    *_numbers(figure),
                    goal,
                    "yes" if figure.met else "**no**",
                ]
            )
    if not rows:
        return ""
    head = ["figure", "measured", "floor", "ratio", "goal", "reached"]
    return f"## Goals: {reached} of {len(rows)} reached\n\n{_table(head, rows)}"


def _scenario(name: str, entry: Mapping[str, Any]) -> str:
    parts = [f"## {name}\n", f"{entry['title']}{' (a quick run)' if entry['quick'] else ''}.\n"]
    rest = [one for one in _figures(entry) if one.goal is None]
    if rest:
        floors = any(one.floor for one in rest)
        head = ["figure", "measured", "floor", "ratio"] if floors else ["figure", "measured"]
        parts.append(_table(head, [[one.name, *_numbers(one)][: len(head)] for one in rest]))
    parts.append(f"![{entry['title']}]({name}.png)\n")
    if entry["notes"]:
        parts.append("".join(f"- {' '.join(note.split())}\n" for note in entry["notes"]))
    return "\n".join(parts)


def _numbers(figure: Figure) -> list[str]:
    floor = _with_spread(figure.floor, figure.unit) if figure.floor else ""
    return [_measured(figure), floor, _ratio(figure)]


def _figures(entry: Mapping[str, Any]) -> list[Figure]:
    """The figures of a scenario's JSON."""
    return [
        Figure(
            one["name"],
            one["unit"],
            one["values"],
            one["floor"],
            Goal(**one["goal"]) if one["goal"] else None,
        )
        for one in entry["figures"]
    ]


# -- where and when --------------------------------------------------------------------------------


def _commit(entry: Mapping[str, Any]) -> str:
    return str(entry["machine"].get("commit", "unknown"))


def _kind(machine: Mapping[str, Any]) -> dict[str, Any]:
    """The machine and its versions, without the commit: that has a column of its own."""
    return {name: value for name, value in machine.items() if name != "commit"}


def _kinds(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The different machines, in the order in which they appear."""
    found: list[dict[str, Any]] = []
    for entry in results.values():
        kind = _kind(entry["machine"])
        if kind not in found:
            found.append(kind)
    return found


def _letter(results: Mapping[str, Any], of: Mapping[str, Any]) -> str:
    """A, B, C: of a machine, or of an entry's machine."""
    return chr(ord("A") + _kinds(results).index(_kind(of.get("machine", of))))


def _when(at: str) -> str:
    return datetime.fromisoformat(at).astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def _rounds(entry: Mapping[str, Any]) -> str:
    """Those that its figures have: a scenario may do with fewer than it was asked for."""
    counts = {len(one["values"]) for one in entry["figures"]} or {entry["rounds"]}
    least, most = min(counts), max(counts)
    return str(most) if least == most else f"{least} to {most}"


def _took(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _names(names: Iterable[str]) -> str:
    return ", ".join(names)


def _anchor(name: str) -> str:
    return name.lower().replace(" ", "-")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(_cell(one) for one in row)} |\n" for row in lines)


def _cell(text: str) -> str:
    """On one line, and without the sign that ends a cell."""
    return " ".join(text.split()).replace("|", "\\|")
