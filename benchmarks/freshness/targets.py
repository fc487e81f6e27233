"""What is timed: listener, and the floor in its two modes. Each has its database and its index.

The floors share a second copy of the database, on which no daemon runs and which has no triggers:
there the transaction notifies by itself, on a channel of the floor's. In the daemon's own database
it would react to the floor's edits too, and write beside it. PostgreSQL delivers notifications
within one database, so neither side wakes the other one.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from benchmarks.freshness import edits
from benchmarks.freshness.watch import ARRIVES_WITHIN
from benchmarks.stage import Site
from playground.daemon import PROJECT
from playground.demo_edits import Edit, Editor
from playground.demo_index import Document, Index, arrival

HOST: Final = "127.0.0.1"
_ALL: Final = "(ARRAY(SELECT id FROM content.film_work))"
_BULK: Final = 2000
Committed = tuple[float, dict[str, Document | None]]
"""When COMMIT had returned (time.perf_counter), and what the index must hold from then on."""


@dataclass(slots=True)
class Target:
    """Changes films in one database and sees them in one index."""

    name: str
    editor: Editor
    index: Index
    searching: Index | None
    """Another connection to the index; None where changes are not looked for by search."""
    channel: str | None = None
    """Of the floor: the daemon's database has triggers, which notify."""
    _films: Iterator[str] = field(init=False)

    def __post_init__(self) -> None:
        self._films = edits.films(self.editor)

    def change(self) -> Committed:
        """Change a film that was not changed before, in one transaction."""
        return self.commit(edits.title(next(self._films), self.channel))

    def commit(self, edit: Edit) -> Committed:
        """Any edit in one transaction."""
        expected = self.editor.commit(edit)
        return time.perf_counter(), expected

    def by_id(self, committed: Committed) -> float:
        """Milliseconds from the commit until all of it can be read by id.

        Of many documents one is waited for before the others are asked for too: to read them all
        again and again would take more from the servers than the edit does.
        """
        since, expected = committed
        first = dict(itertools.islice(expected.items(), 1))
        rest = {one: expected[one] for one in expected if one not in first}
        for part in (first, rest) if rest else (first,):
            seconds = arrival(self.index.get, part, since=since, seconds=ARRIVES_WITHIN)
        return 1000 * seconds

    def searchable(self, committed: Committed) -> float:
        """Milliseconds from the commit until searches find all of it."""
        assert self.searching is not None
        since, expected = committed
        return 1000 * arrival(self.searching.search, expected, since=since, seconds=ARRIVES_WITHIN)


@dataclass(frozen=True, slots=True)
class Targets:
    """The three that alternate."""

    listener: Target
    put: Target
    """The floor for what is read by id: a plain PUT."""
    refresh: Target
    """The floor for searches: a PUT that refreshes, as listener does when it is idle."""


@contextlib.contextmanager
def targets_of(site: Site, floor: Site) -> Iterator[Targets]:
    """All three, warm; `site` has its daemon, `floor` has none."""
    _fill(floor)
    with contextlib.ExitStack() as stack:

        def target(name: str, place: Site, mode: str | None = None) -> Target:
            editor = stack.enter_context(contextlib.closing(Editor(place.dsn, 1)))
            index, searching = (
                stack.enter_context(
                    contextlib.closing(Index(HOST, place.stage.search.port, place.index))
                )
                for _ in range(2)
            )
            if mode is None:
                return Target(name, editor, index, searching)
            channel, refresh = f"floor_{mode}", mode == "refresh"
            stack.enter_context(_notify_put(floor, editor, channel, refresh=refresh))
            return Target(name, editor, index, searching if refresh else None, channel)

        yield Targets(
            target("listener", site),
            target("floor", floor, "put"),
            target("floor with refresh", floor, "refresh"),
        )


def _fill(floor: Site) -> None:
    """The floor's index: with the settings, mapping and documents that listener's has."""
    request = floor.stage.search.request
    config = json.loads((PROJECT / "sql/movies/index_config.json").read_text("utf-8"))
    status, answer = request("PUT", f"/{floor.index}", config)
    assert status == 200, answer
    query = Path(_query_file(floor)).read_text("utf-8").replace("%(ids)s", _ALL)
    rows = floor.sql(f"SET TIME ZONE 'UTC'; SELECT q.id::text, q.document::text FROM ({query}) q")
    for start in range(0, len(rows), _BULK):
        lines = "".join(
            f'{{"index":{{"_id":"{film}"}}}}\n{document}\n'
            for film, document in rows[start : start + _BULK]
        )
        status, answer = request("POST", f"/{floor.index}/_bulk", lines.encode())
        assert status == 200, answer
        assert not answer["errors"], answer
    request("POST", f"/{floor.index}/_refresh")


def _query_file(site: Site) -> str:
    return str(site.options["documents"][0]["query_file"])


@contextlib.contextmanager
def _notify_put(floor: Site, editor: Editor, channel: str, *, refresh: bool) -> Iterator[None]:
    """The floor's process, which listens already; ended by a notification without a payload."""
    port = str(floor.stage.search.port)
    arguments = [floor.dsn, HOST, port, floor.index, channel, _query_file(floor)]
    with process(
        "benchmarks.floors.notify_put", *arguments, *(["--refresh"] if refresh else [])
    ) as running:
        answer_of(running)
        yield
        editor.connection.execute("SELECT pg_notify(%s, '')", (channel,))
        answer_of(running)


@contextlib.contextmanager
def process(module: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A module as a process of its own; it must end with 0 once its input has ended."""
    running = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
    )
    try:
        yield running
        stdin, _ = pipes(running)
        stdin.close()
        status = running.wait(ARRIVES_WITHIN)
        assert status == 0, f"{module} ended with {status}"
    finally:
        running.kill()
        running.wait()
        for pipe in pipes(running):
            pipe.close()


def answer_of(running: subprocess.Popen[str]) -> dict[str, float | str]:
    """The next line of JSON that the process prints."""
    line = pipes(running)[1].readline()
    assert line, "the process ended without an answer"
    answer: dict[str, float | str] = json.loads(line)
    return answer


def pipes(running: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    """Its input and output."""
    assert running.stdin is not None
    assert running.stdout is not None
    return running.stdin, running.stdout
