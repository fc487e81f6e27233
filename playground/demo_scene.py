"""Where the demo plays: both servers, the movies in one of them, and the daemon between them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from playground.demo_daemon import ROOT, Daemon, inherited
from playground.demo_index import Index
from playground.postgres import PostgresServer
from playground.search import SearchServer
from playground.system import LOOPBACK, PlaygroundError

DATABASE: Final = "movies"
ROLE: Final = "listener"
PASSWORD: Final = "listener"  # noqa: S105 - of a server that listens on the loopback address only
INDEX: Final = "movies"
LOAD_WITHIN: Final = 300.0


class Scene:
    """Starts one part after the other and says so; `stack` stops them, whatever happens."""

    def __init__(self, stack: contextlib.ExitStack, console: Console) -> None:
        self._stack = stack
        self._console = console
        self.postgres = stack.enter_context(contextlib.closing(PostgresServer()))
        self.search = stack.enter_context(contextlib.closing(SearchServer()))
        state = stack.enter_context(tempfile.TemporaryDirectory(prefix="listener-demo-"))
        self._settings = {
            "POSTGRES_HOST": LOOPBACK,
            "POSTGRES_PORT": str(self.postgres.port),
            "LISTENER_DB": DATABASE,
            "LISTENER_DB_USER": ROLE,
            "LISTENER_DB_PASSWORD": PASSWORD,
            "ELASTICSEARCH_URL": self.search.url,
            "LISTENER_STATE_FILE_NAME": str(Path(state, "state.yaml")),
            "LISTENER_LOGGING_LEVEL": "DEBUG",
        }

    @property
    def dsn(self) -> str:
        """Where the database is, for a user of it."""
        return self.postgres.dsn(DATABASE, user=ROLE, password=PASSWORD)

    @property
    def url(self) -> str:
        """Where the index is, for a user of it."""
        return f"{self.search.url}/{INDEX}"

    def index(self) -> Index:
        """A connection to the index; close it."""
        return Index(LOOPBACK, self.search.port, INDEX)

    def start_servers(self) -> None:
        """Both servers, and the movies in PostgreSQL."""
        with self._step("PostgreSQL") as told:
            self.postgres.start()
            version = self.postgres.execute("SHOW server_version")[0][0]
            told.append(f"{version} on {LOOPBACK}:{self.postgres.port}")
        with self._step("Elasticsearch") as told:
            self.search.start()
            told.append(f"{self.search.version} on {LOOPBACK}:{self.search.port}")
        with self._step("movies") as told:
            told.append(self._fill())

    def start_daemon(self) -> Daemon:
        """The daemon, with its full load behind it."""
        self.say("listener: python -m listener --config config.yaml run")
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
                        self.say(f"  {told['message']}")
                elif told["event"] == "loaded":
                    break
        rate = told["documents"] / told["seconds"]
        self.say(
            f"full load: {told['documents']:,} documents in {told['seconds']:.1f} s "
            f"({rate:,.0f} documents/s)"
        )
        return daemon

    def say(self, text: str) -> None:
        """Print it as it stands."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _fill(self) -> str:
        """Role, database and content: the script that PostgreSQL's image runs in compose."""
        programs = str(self.postgres.psql.parent)
        environment = {
            **inherited(),
            **self._settings,
            "PATH": os.pathsep.join([programs, os.environ.get("PATH", os.defpath)]),
            "PGHOST": str(self.postgres.socket_directory),
            "PGPORT": str(self.postgres.port),
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

    @contextlib.contextmanager
    def _step(self, name: str) -> Iterator[list[str]]:
        began = time.monotonic()
        told: list[str] = []
        with self._console.status(f"{name} …"):
            yield told
        self.say(f"{name}: {'; '.join(told)} ({time.monotonic() - began:.1f} s)")
