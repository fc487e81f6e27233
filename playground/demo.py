"""`make demo`: real servers, the real daemon, edits by plain SQL, and how soon the index has them.

Starts PostgreSQL and Elasticsearch, makes the movies database as the compose deployment does, runs
the daemon and waits for its full load. Then it commits edits as any user of the database would, and
asks Elasticsearch, without a pause, when it has them. On a terminal everything stays up until
Ctrl-C. The exit status is 0 when every edit arrived, 1 when one did not, and 128 + the number of
the signal that ended it early.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from playground.demo_daemon import ROOT, Daemon, DaemonFailed
from playground.demo_edits import Edit, Editor, Kind
from playground.demo_index import Document, Index, NotArrived, arrival, differences
from playground.postgres import PostgresServer
from playground.search import SearchServer
from playground.system import LOOPBACK, PlaygroundError

DATABASE: Final = "movies"
ROLE: Final = "listener"
PASSWORD: Final = "listener"  # noqa: S105 - of a server that listens on the loopback address only
INDEX: Final = "movies"
LOAD_WITHIN: Final = 300.0
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


class Demo:
    """The parts of the demo, once they run. What was started is stopped by `stack`."""

    def __init__(self, stack: contextlib.ExitStack, console: Console) -> None:
        self._stack = stack
        self._console = console
        self._postgres = stack.enter_context(contextlib.closing(PostgresServer()))
        self._search = stack.enter_context(contextlib.closing(SearchServer()))
        state = stack.enter_context(tempfile.TemporaryDirectory(prefix="listener-demo-"))
        self._settings = {
            "POSTGRES_HOST": LOOPBACK,
            "POSTGRES_PORT": str(self._postgres.port),
            "LISTENER_DB": DATABASE,
            "LISTENER_DB_USER": ROLE,
            "LISTENER_DB_PASSWORD": PASSWORD,
            "ELASTICSEARCH_URL": self._search.url,
            "LISTENER_STATE_FILE_NAME": str(Path(state, "state.yaml")),
            "LISTENER_LOGGING_LEVEL": "DEBUG",
        }
        self._touched: set[str] = set()

    @property
    def dsn(self) -> str:
        """Where the database is, for a user of it."""
        return self._postgres.dsn(DATABASE, user=ROLE, password=PASSWORD)

    def index(self) -> Index:
        """The index, for a user of it."""
        return Index(LOOPBACK, self._search.port, INDEX)

    # -- before the edits ------------------------------------------------------------------------

    def start_servers(self) -> None:
        """Both servers, and the movies in PostgreSQL."""
        with self._step("PostgreSQL") as told:
            self._postgres.start()
            version = self._postgres.execute("SHOW server_version")[0][0]
            told.append(f"{version} on {LOOPBACK}:{self._postgres.port}")
        with self._step("Elasticsearch") as told:
            self._search.start()
            told.append(f"{self._search.version} on {LOOPBACK}:{self._search.port}")
        with self._step("movies") as told:
            told.append(self._fill())

    def _fill(self) -> str:
        """Role, database and content: the script that PostgreSQL's image runs in compose."""
        environment = {
            **os.environ,
            **self._settings,
            "PATH": f"{self._postgres.psql.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "PGHOST": str(self._postgres.socket_directory),
            "PGPORT": str(self._postgres.port),
            "POSTGRES_USER": "postgres",
            "POSTGRES_DB": "postgres",
        }
        done = subprocess.run(
            ["bash", str(ROOT / "sql" / "001_init_user_db.sh")],
            check=False,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            raise PlaygroundError(f"sql/001_init_user_db.sh failed:\n{done.stdout}")
        return done.stdout.splitlines()[-1].removeprefix("movies: ")

    def start_daemon(self) -> Daemon:
        """The daemon, with its full load behind it."""
        self._say("listener: python -m listener --config config.yaml run")
        daemon = self._stack.enter_context(Daemon(self._settings))
        bar = Progress(
            TextColumn("full load"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("documents"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        with bar:
            task = bar.add_task("load", total=None)
            for told in daemon.observations(LOAD_WITHIN):
                if told["event"] == "load_progress":
                    bar.update(task, completed=told["documents"], total=told["total"])
                    if not self._console.is_terminal:
                        self._say(f"  {told['message']}")
                elif told["event"] == "loaded":
                    break
        rate = told["documents"] / told["seconds"]
        self._say(
            f"full load: {told['documents']:,} documents in {told['seconds']:.1f} s "
            f"({rate:,.0f} documents/s)"
        )
        return daemon

    # -- the edits -------------------------------------------------------------------------------

    def edit(self, editor: Editor, index: Index, seconds: float) -> list[Row]:
        """Make all edits; raises NotArrived where one is not in the index in time."""
        with self._console.status("warm-up …"):
            for edit in editor.warm_up():
                self._measure(editor, index, "warm-up", edit, seconds)
        return [self._row(editor, index, kind, seconds) for kind in editor.kinds()]

    def _row(self, editor: Editor, index: Index, kind: Kind, seconds: float) -> Row:
        with self._console.status(f"{kind.name} …"):
            taken = [self._measure(editor, index, kind.name, edit, seconds) for edit in kind.edits]
        indexed, searchable = zip(*taken, strict=True)
        return Row(
            kind.name,
            len(kind.edits[0].films),
            (statistics.median(indexed), max(indexed)),
            (statistics.median(searchable), max(searchable)),
        )

    def _measure(
        self, editor: Editor, index: Index, name: str, edit: Edit, seconds: float
    ) -> tuple[float, float]:
        time.sleep(PAUSE)
        self._touched.update(edit.films)
        expected = editor.commit(edit)
        began = time.perf_counter()
        try:
            indexed = arrival(index.get, expected, since=began, seconds=seconds)
            searchable = arrival(index.search, expected, since=began, seconds=seconds)
        except NotArrived as error:
            raise NotArrived(f"{name}: {error}") from None
        return indexed * 1000, searchable * 1000

    def compare(self, editor: Editor, index: Index) -> str:
        """Index equals query, for all edited documents and for the number of them all."""
        expected = editor.documents(sorted(self._touched))
        found: dict[str, Document] = index.get(list(expected))
        wrong = differences(expected, found)
        films, documents = editor.films(), index.count()
        if wrong or films != documents:
            raise NotArrived(
                f"index and query differ in {len(wrong)} of {len(expected)} edited documents "
                f"({', '.join(wrong[:3])}); {films} films, {documents} documents"
            )
        return (
            f"index = query: {len(expected)} edited documents compared, "
            f"{documents:,} documents for {films:,} films"
        )

    # -- by hand ---------------------------------------------------------------------------------

    def stay(self, daemon: Daemon, film: str, title: str) -> None:
        """Show how to try it by hand, then what the daemon does, until a signal comes."""
        daemon.skip()  # what it has told of the edits above
        psql = shlex.quote(shutil.which("psql") or str(self._postgres.psql))
        update = f"UPDATE content.film_work SET title = 'Edited by hand' WHERE id = '{film}'"
        url = f"{self._search.url}/{INDEX}"
        self._say(
            f"\nIt all keeps running. Edit a film (now {title!r}), and look at its document:\n\n"
            f'{psql} {self.dsn} -c "{update}"\n\n'
            f"curl '{url}/_doc/{film}?pretty&_source_excludes=actors'\n\n"
            f"Or search: curl '{url}/_search?pretty&q=title:edited&_source=title,genres'\n"
            f"Or work at the prompt: {psql} {self.dsn}\n\n"
            "What the daemon does is shown here. Ctrl-C stops everything."
        )
        quiet = {"watermark_moved", "refreshed"}
        for told in daemon.observations():
            if told["event"] not in quiet:
                self._say(f"{told['at'][11:23]} {told['message']}")

    @contextlib.contextmanager
    def _step(self, name: str) -> Iterator[list[str]]:
        began = time.monotonic()
        told: list[str] = []
        with self._console.status(f"{name} …"):
            yield told
        self._say(f"{name}: {'; '.join(told)} ({time.monotonic() - began:.1f} s)")

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


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


def run(console: Console, times: int, seconds: float) -> None:
    """The whole demo; whatever ends it, everything is stopped."""
    with contextlib.ExitStack() as stack:
        demo = Demo(stack, console)
        demo.start_servers()
        daemon = demo.start_daemon()
        editor = stack.enter_context(contextlib.closing(Editor(demo.dsn, times)))
        index = stack.enter_context(contextlib.closing(demo.index()))
        rows = demo.edit(editor, index, seconds)
        same = demo.compare(editor, index)
        console.print(table_of(rows, times))
        console.print(same, highlight=False)
        if console.is_terminal and sys.stdin.isatty():
            film, title = editor.some_film()
            editor.close()
            index.close()
            try:
                demo.stay(daemon, film, title)
            except Interrupted:
                console.print("stopping", highlight=False)


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
