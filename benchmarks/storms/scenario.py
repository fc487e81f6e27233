"""Storms: many changes at once, until the last document is right.

- One statement updates all films; the floor `bulk` writes all films again into another index that
  has them already, in alternation, while the daemon has nothing to do. Its first rounds do not
  count: Elasticsearch's virtual machine compiles.
- Many commits of one row each, by clients in a process of their own (`clients`).
- A genre of a third of all films is renamed 20 times in a row.

The moment of the last write is seen in the index's own counters of operations; from these follows
how often a document was written. After each storm, outside of the timing, index and query are
compared, so the last operation is the one that made the last document right.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from benchmarks.bulks import LOOK, Ask, Floor, Seen, make_index, run_floor, settle
from benchmarks.results import Result
from benchmarks.stage import Daemon, Site, Stage
from benchmarks.storms.figures import FINE, LONG_ENOUGH, RENAMES, WATCHED, result
from playground.daemon import PROJECT

_GENRE: Final = "00000000-0000-4000-8000-000000000003"
_LINKS: Final = f"""
    INSERT INTO content.genre (id, name) VALUES ('{_GENRE}', 'Third');
    INSERT INTO content.genre_film_work (film_work_id, genre_id)
    SELECT one.id, '{_GENRE}' FROM
        (SELECT id, row_number() OVER (ORDER BY id) AS n FROM content.film_work) AS one
    WHERE one.n % 3 = 0
"""

_UNCOUNTED: Final = 5
"""Alternations of the statement before the first that counts."""

Values = dict[str, list[float]]


@dataclass(slots=True)
class _Storms:
    """The site's daemon, what is asked of Elasticsearch, and the values of all rounds by name."""

    site: Site
    daemon: Daemon
    ask: Ask
    films: int
    values: Values = field(default_factory=dict)
    commits: int = 0
    spent: float = 0.0
    """Seconds that the storms of 8 clients have taken."""

    def add(self, **values: float) -> None:
        """One round's."""
        for name, value in values.items():
            self.values.setdefault(name, []).append(value)

    def total(self) -> int:
        """Operations of the index so far."""
        return self.ask.total(self.site.index)

    def settle(
        self, since: int, least: int, look: float = LOOK, at_look: Callable[[], None] | None = None
    ) -> Seen:
        """See `bulks.settle`."""
        return settle(self.ask, self.site.index, since, least, look=look, at_look=at_look)


def run(stage: Stage) -> Result:
    """All storms on one site, round by round."""
    with stage.site() as site:
        site.sql(_LINKS)
        site.sql("ANALYZE content.genre_film_work")
        films = int(site.sql("SELECT count(*) FROM content.film_work")[0][0])
        third = [
            str(row[0])
            for row in site.sql(
                "SELECT film_work_id FROM content.genre_film_work "
                f"WHERE genre_id = '{_GENRE}' ORDER BY 1"
            )
        ]
        many, few = (2_000, 1_000) if stage.quick else (100_000, 10_000)
        with site.serve() as daemon:
            ask = Ask(site)
            storms = _Storms(site, daemon, ask, films)
            floors: list[Floor] = []
            index = make_index(site, "floor", "1s")
            run_floor(site, ask, index, 1, films)  # what follows writes over it
            _statement(storms, 0)  # both have been over their index once
            # and some times more, until Elasticsearch's virtual machine has compiled what it runs
            uncounted = 0 if stage.quick else _UNCOUNTED
            # first, while both indexes have the same past: the other storms scatter one of them
            for number in range(1 - uncounted, stage.rounds + 1):
                if number == 1:
                    storms.values.clear()
                    floors.clear()
                # the second one finds the servers warmer, and what the storm before left
                for kind in ("storm", "floor") if number % 2 else ("floor", "storm"):
                    if kind == "storm":
                        _statement(storms, number)
                    else:
                        floors.append(run_floor(site, ask, index, uncounted + number + 1, films))
                _compare(storms)
                _say_statement(stage, storms, floors, number)
            for number in range(1, stage.rounds + 1):
                _commits(storms, "few", few, 4)
                _compare(storms)
                if storms.spent < LONG_ENOUGH:
                    began = time.monotonic()
                    _commits(storms, "many", many, 8)
                    _compare(storms)
                    storms.spent += time.monotonic() - began
                _renames(storms, third, number)
                _compare(storms)
                _say(stage, storms, number)
            site.assert_converged()
            ask.close()
    return result(storms.values, floors, films=storms.films, third=len(third), many=many, few=few)


def _compare(storms: _Storms) -> None:
    """Index = query after each storm; a quick run compares once, at its end."""
    if not storms.site.stage.quick:
        storms.site.assert_converged()


def _statement(storms: _Storms, number: int) -> None:
    """One statement that updates all films."""
    site = storms.site
    with site.connect() as connection:
        connection.execute(b"SELECT 1")
        since, before = storms.total(), storms.daemon.cpu()
        connection.execute(f"UPDATE content.film_work SET rating = {-number - 1}".encode())
        committed = time.monotonic()
    seen = storms.settle(since, storms.films)
    cpu = storms.daemon.cpu() - before
    storms.add(
        all_seconds=seen.last - committed,
        all_rate=storms.films / (seen.last - committed),
        all_first=seen.first - committed,
        all_written=seen.operations / storms.films,
        all_cpu=cpu.total * 1e6 / storms.films,
        all_kernel=cpu.system * 1e6 / storms.films,
    )


def _commits(storms: _Storms, name: str, commits: int, clients: int) -> None:
    """Commits of one row each, by clients at once."""
    # Elasticsearch keeps what it needs to answer by id before a refresh from the first time on that
    # it is asked
    _ratings(storms, ["none"])
    since = storms.total()
    found = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.clients", "--dsn", storms.site.dsn),
            *("--clients", str(clients), "--commits", str(commits)),
            *("--first", str(storms.commits + 1)),
        ],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    # the process still has to end after its last commit: looks begin some hundredths late
    looking = time.monotonic()
    told = json.loads(found.stdout)
    storms.commits += commits
    wanted: dict[str, int] = dict(told["last"])
    right: list[float] = []

    def look_at_last() -> None:
        if not right and _ratings(storms, list(wanted)) == wanted:
            right.append(time.monotonic())

    look_at_last()
    seen = storms.settle(since, 0, FINE, look_at_last)
    if not right:
        raise RuntimeError("the documents of the last commits are not right")
    ended = told["ended"]
    last = seen.last if seen.operations > seen.by_first else looking
    storms.add(
        **{
            f"{name}_pace": commits / (ended - told["began"]),
            f"{name}_late": last - ended,
            f"{name}_last": right[0] - ended,
            f"{name}_looking": looking - ended,
            f"{name}_rate": seen.operations / (last - told["began"]),
            f"{name}_a_commit": seen.operations / commits,
            f"{name}_written": seen.operations / told["films"],
        }
    )


def _ratings(storms: _Storms, ids: list[str]) -> dict[str, int]:
    """What documents show by id, before a refresh."""
    path = f"/{storms.site.index}/_mget?_source_includes=rating&filter_path=docs._id,docs._source"
    _, answer = storms.ask("POST", path, {"ids": ids})
    return {
        one["_id"]: int(one["_source"]["rating"] or 0) for one in answer["docs"] if "_source" in one
    }


def _renames(storms: _Storms, third: list[str], number: int) -> None:
    """A genre of a third of all films gets 20 names in a row."""
    versions: dict[str, set[int]] = {}
    watched = third[:: max(1, len(third) // WATCHED)]
    path = f"/{storms.site.index}/_mget?_source=false&filter_path=docs._id,docs._version"

    def follow() -> None:
        _, answer = storms.ask("POST", path, {"ids": watched})
        for one in answer["docs"]:
            versions.setdefault(one["_id"], set()).add(one["_version"])

    follow()
    since = storms.total()
    with storms.site.connect() as connection:
        connection.execute(b"SELECT 1")
        began = time.monotonic()
        for turn in range(RENAMES):
            connection.execute(
                f"UPDATE content.genre SET name = 'Third {number} {turn}' "
                f"WHERE id = '{_GENRE}'".encode()
            )
        committed = time.monotonic()
    seen = storms.settle(since, len(third), LOOK, follow)
    storms.add(
        renames_seconds=committed - began,
        renames_late=seen.last - committed,
        renames_rate=seen.operations / (seen.last - began),
        renames_written=seen.operations / len(third),
        renames_most=max(len(one) for one in versions.values()) - 1,
    )


def _say_statement(stage: Stage, storms: _Storms, floors: list[Floor], number: int) -> None:
    last = {name: values[-1] for name, values in storms.values.items()}
    turn = f"round {number}" if number > 0 else "warming up"
    stage.say(
        f"{turn}: all films {last['all_rate']:,.0f} documents/s (floor "
        f"{floors[-1].rate:,.0f}), {last['all_cpu']:.1f} us each"
    )


def _say(stage: Stage, storms: _Storms, number: int) -> None:
    last = {name: values[-1] for name, values in storms.values.items()}
    stage.say(
        f"round {number}: commits {last['few_late']:.2f} s and {last['many_late']:.2f} s after the "
        f"last; renames {last['renames_written']:.2f} times"
    )
