"""The figures of the scenario `storms`: names, floors, goals, and how each was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from benchmarks.bulks import LOOK, Floor
from benchmarks.results import Figure, Goal, Result

FINE: Final = 0.004
"""Seconds between two looks where some hundredths are what is measured."""
RENAMES: Final = 20
LONG_ENOUGH: Final = 200.0
"""Seconds after which no further storm of 8 clients begins: the disk decides how long one lasts."""
WATCHED: Final = 40
"""Documents of the genre whose versions are followed."""


def result(
    values: Mapping[str, list[float]],
    floors: Sequence[Floor],
    *,
    films: int,
    third: int,
    many: int,
    few: int,
) -> Result:
    """`values`: by name, one a round. `third`: films of the genre that is renamed. `many` and
    `few`: how many small commits there were."""
    of_floor = [one.rate for one in floors]
    of_all = "one statement over all films"
    figures = [
        Figure(of_all, "documents/s", values["all_rate"], of_floor, Goal("ratio", ">=", 0.8)),
        Figure(
            f"{of_all}: commit → last document right",
            "s",
            values["all_seconds"],
            [one.seen.last - one.began for one in floors],
        ),
        Figure(f"{of_all}: commit → first documents", "s", values["all_first"]),
        Figure(f"{of_all}: a document written", "times", values["all_written"]),
        Figure(
            "daemon CPU a document in a storm",
            "us",
            values["all_cpu"],
            [one.cpu * 1e6 / one.documents for one in floors],
            Goal("value", "<=", 25),
        ),
        Figure("of that in the kernel", "us", values["all_kernel"]),
    ]
    for name, count, clients, goal in (
        ("few", few, 4, Goal("value", "<=", 0.3)),
        ("many", many, 8, None),
    ):
        of = f"{count:,} commits by {clients} clients"
        figures += [
            Figure(f"{of}: last commit → all right", "s", values[f"{name}_late"], (), goal),
            Figure(f"{of}: last commit → its document right", "s", values[f"{name}_last"]),
            Figure(f"{of}: pace", "commits/s", values[f"{name}_pace"]),
            Figure(f"{of}: written", "documents/s", values[f"{name}_rate"]),
            Figure(f"{of}: writes a commit", "times", values[f"{name}_a_commit"]),
            Figure(f"{of}: a document written", "times", values[f"{name}_written"]),
        ]
    of = f"genre of {third:,} films renamed {RENAMES} times"
    figures += [
        Figure(
            f"{of}: a document written",
            "times",
            values["renames_written"],
            (),
            Goal("value", "<=", 3),
        ),
        Figure(
            f"{of}: the most often written",
            "times",
            values["renames_most"],
            (),
            Goal("value", "<=", 3),
        ),
        Figure(f"{of}: last commit → all right", "s", values["renames_late"]),
        Figure(f"{of}: all of the renames", "s", values["renames_seconds"]),
        Figure(f"{of}: written", "documents/s", values["renames_rate"], of_floor),
    ]
    late = max(values["few_looking"]) * 1000
    return Result(
        figures,
        {name: list(found) for name, found in values.items()},
        [
            f"{films:,} films. The last write is seen in the index's counters, read "
            f"every {LOOK * 1000:.0f} ms (after small commits {FINE * 1000:.0f} ms), when they "
            "answer; floor and listener are watched alike. The floor's time begins with its "
            "first read, listener's with the end of the commit.",
            "The floor writes over an index that has all films already, as listener does, with the "
            "same mapping and settings.",
            "What the renames write is held against the same floor. Small commits have none: their "
            "pace is that of the commits.",
            "CPU: user and system of all threads of the daemon, from before the statement until a "
            "second after the last write, idling included; the floor's from first read to last "
            "answer.",
            "`all right` is the last operation of the index: index and query were equal after it. "
            "`its document right` is when the last commit of every client could be read by id. "
            f"Looks began up to {late:.0f} ms after the last commit; where all was done by then, "
            "the moment of the first look counts.",
            f"{many:,} commits by 8 clients take long where a commit does: no further round "
            f"of them began after {LONG_ENOUGH:.0f} s.",
            f"`the most often written`: of {WATCHED} documents of the genre, each version that "
            f"could be seen by id every {LOOK * 1000:.0f} ms.",
        ],
    )
