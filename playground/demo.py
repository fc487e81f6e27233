"""`make demo`: real servers, the real daemon, edits by plain SQL, and how soon the index has them.

Starts PostgreSQL and Elasticsearch, makes the movies database as the compose deployment does, runs
the daemon and waits for its full load. Then it commits edits as any user of the database would, and
asks Elasticsearch again and again when it has them. On a terminal everything stays up until Ctrl-C.
The exit status is 0 when every edit arrived, 1 when one did not, and 128 + the number of the signal
that ended it early.
"""

from __future__ import annotations

import argparse
import contextlib
import shlex
import shutil
import signal
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Final

from rich.console import Console
from rich.table import Table

from playground.demo_daemon import Daemon, DaemonFailed
from playground.demo_edits import Edit, Editor, Kind
from playground.demo_index import Index, NotArrived, arrival, differences
from playground.demo_scene import Scene
from playground.system import PlaygroundError

PAUSE: Final = 1.0
"""Seconds between two edits: each is measured by itself. Where many follow each other, the daemon
keeps refreshes apart, and searches may see them later (docs/architecture.md)."""


class Interrupted(BaseException):
    """A signal asks the demo to end."""

    def __init__(self, number: int) -> None:
        self.number = number


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table; times are medians and maxima, in milliseconds."""

    name: str
    documents: int
    indexed: tuple[float, float]
    searchable: tuple[float, float]


class Measurement:
    """Commits edits, watches for them in the index, and remembers which films they touched."""

    def __init__(self, editor: Editor, index: Index, console: Console, seconds: float) -> None:
        """`seconds`: in which an edit must be in the index."""
        self._editor = editor
        self._index = index
        self._console = console
        self._seconds = seconds
        self._touched: set[str] = set()

    def rows(self) -> list[Row]:
        """Make all edits. Raises NotArrived where one is not in the index in time."""
        self._row(Kind("warm-up", tuple(self._editor.warm_up())))
        return [self._row(kind) for kind in self._editor.kinds()]

    def compare(self) -> str:
        """Index equals query, for all edited documents and for the number of them all."""
        expected = self._editor.documents(sorted(self._touched))
        wrong = differences(expected, self._index.get(list(expected)))
        films, documents = self._editor.films(), self._index.count()
        if wrong or films != documents:
            raise NotArrived(
                f"index and query differ in {len(wrong)} of {len(expected)} edited documents "
                f"({', '.join(wrong[:3])}); {films} films, {documents} documents"
            )
        return (
            f"index = query: {len(expected)} edited documents compared, "
            f"{documents:,} documents for {films:,} films"
        )

    def _row(self, kind: Kind) -> Row:
        with self._console.status(f"{kind.name} …"):
            taken = [self._measure(kind.name, edit) for edit in kind.edits]
        indexed, searchable = zip(*taken, strict=True)
        return Row(
            kind.name,
            len(kind.edits[0].films),
            (statistics.median(indexed), max(indexed)),
            (statistics.median(searchable), max(searchable)),
        )

    def _measure(self, name: str, edit: Edit) -> tuple[float, float]:
        time.sleep(PAUSE)
        self._touched.update(edit.films)
        expected = self._editor.commit(edit)
        began = time.perf_counter()
        try:
            indexed = arrival(self._index.get, expected, since=began, seconds=self._seconds)
            searchable = arrival(self._index.search, expected, since=began, seconds=self._seconds)
        except NotArrived as error:
            raise NotArrived(f"{name}: {error}") from None
        return indexed * 1000, searchable * 1000


def table_of(rows: Sequence[Row], times: int) -> Table:
    """What was measured."""
    table = Table(
        caption=f"from the end of COMMIT; median of {times} edits, a second apart (worst)"
    )
    table.add_column("edit", no_wrap=True)
    table.add_column("documents", justify="right")
    table.add_column("indexed, ms", justify="right")
    table.add_column("searchable, ms", justify="right")
    for row in rows:
        table.add_row(
            row.name,
            str(row.documents),
            *(f"{middle:.1f} ({worst:.1f})" for middle, worst in (row.indexed, row.searchable)),
        )
    return table


def stay(scene: Scene, daemon: Daemon, film: str, title: str) -> None:
    """Show how to try it by hand, then what the daemon does, until a signal comes."""
    daemon.skip()  # what it has told of the edits above
    psql = shlex.quote(shutil.which("psql") or str(scene.postgres.psql))
    update = f"UPDATE content.film_work SET title = 'Edited by hand' WHERE id = '{film}'"
    scene.say(
        f"\nIt all keeps running. Edit a film (now {title!r}), and look at its document:\n\n"
        f'{psql} {scene.dsn} -c "{update}"\n\n'
        f"curl '{scene.url}/_doc/{film}?pretty&_source_excludes=actors'\n\n"
        f"Or search: curl '{scene.url}/_search?pretty&q=title:edited&_source=title,genres'\n"
        f"Or work at the prompt: {psql} {scene.dsn}\n\n"
        "What the daemon does is shown here. Ctrl-C stops everything."
    )
    for told in daemon.observations():
        if told["event"] not in ("watermark_moved", "refreshed"):
            scene.say(f"{told['at'][11:23]} {told['message']}")


def run(console: Console, times: int, seconds: float) -> None:
    """The whole demo; whatever ends it, everything is stopped."""
    with contextlib.ExitStack() as stack:
        scene = Scene(stack, console)
        scene.start_servers()
        daemon = scene.start_daemon()
        with (
            contextlib.closing(Editor(scene.dsn, times)) as editor,
            contextlib.closing(scene.index()) as index,
        ):
            measurement = Measurement(editor, index, console, seconds)
            console.print(table_of(measurement.rows(), times))
            scene.say(measurement.compare())
            film, title = editor.some_film()
        if console.is_terminal and sys.stdin.isatty():
            try:
                stay(scene, daemon, film, title)
            except Interrupted:
                scene.say("stopping")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and return its exit status."""
    options = _parser().parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        run(Console(), options.times, options.seconds)
    except (PlaygroundError, DaemonFailed, NotArrived) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except Interrupted as error:
        return 128 + error.number
    return 0


def _interrupt(number: int, _frame: FrameType | None) -> None:
    raise Interrupted(number)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m playground.demo",
        description="PostgreSQL, Elasticsearch and listener at work on the movies example.",
    )
    parser.add_argument(
        "--times", type=int, default=5, metavar="N", help="edits of each kind (default: 5)"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=10.0,
        help="in which an edit must be in the index (default: 10)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
