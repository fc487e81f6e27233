"""Where every scenario plays: servers, movies at a scale, a configuration, the real daemon."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any, Final

import psycopg
import yaml

from benchmarks import processes
from playground import convergence, leftovers
from playground.daemon import PROJECT, ListenerProcess, Processes, processes_of_a_test
from playground.places import temporary_place
from playground.postgres import PostgresServer
from playground.search import SearchServer

ROLE: Final = "listener"
PASSWORD: Final = "listener"
Options = dict[str, Any]
Connection = psycopg.Connection[tuple[Any, ...]]

_LOADED_WITHIN: Final = 900.0
_ROOM_WITHIN: Final = 180.0
_TEMPLATE: Final = "movies_{}x"
_LOOK: Final = 0.02

# Copies with ids of their own; persons are copied, genres are shared. The ids are made so that the
# same copy has the same id in every run.
_COPY: Final = """
    INSERT INTO content.film_work (id, title, description, creation_date, rating, type)
    SELECT md5('{n}' || id)::uuid, title, description, creation_date, rating, type
    FROM content.film_work_origin;
    INSERT INTO content.person (id, full_name)
    SELECT md5('{n}' || id)::uuid, full_name FROM content.person_origin;
    INSERT INTO content.genre_film_work (id, film_work_id, genre_id)
    SELECT md5('{n}' || id)::uuid, md5('{n}' || film_work_id)::uuid, genre_id
    FROM content.genre_film_work_origin;
    INSERT INTO content.person_film_work (id, film_work_id, person_id, role)
    SELECT md5('{n}' || id)::uuid, md5('{n}' || film_work_id)::uuid,
        md5('{n}' || person_id)::uuid, role
    FROM content.person_film_work_origin;
"""
_QUICK_FILMS: Final = 6_000
_CUT: Final = (
    "DELETE FROM content.film_work WHERE id NOT IN"
    " (SELECT id FROM content.film_work ORDER BY id LIMIT {films})"
)
_COPIED: Final = ("film_work", "person", "genre_film_work", "person_film_work")


@dataclass(slots=True)
class Stage:
    """Both servers. `quick` asks a scenario to take seconds instead of minutes, with few films."""

    postgres: PostgresServer
    search: SearchServer
    quick: bool
    rounds: int
    """How often what is measured and its floor alternate."""
    _number: int = 0
    _templates: set[int] = field(default_factory=set)

    def say(self, text: str) -> None:
        """Progress, on standard output."""
        print(f"    {text}", flush=True)

    @contextlib.contextmanager
    def site(self, scale: int = 1, **options: Any) -> Iterator[Site]:
        """A database of its own with the movies, `scale` times as many, and a configuration.

        `options` are of config.yaml's top level and replace what stands there. Everything is gone
        at the end: database, indexes, files, daemons.
        """
        self._number += 1
        name = f"bench{self._number}"
        template = self._template(scale)
        with contextlib.ExitStack() as stack:
            # should this process be killed, the next one clears it away, with its daemon
            folder, lock = temporary_place("bench")
            stack.callback(lock.release)
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            self.postgres.execute(f"CREATE DATABASE {name} TEMPLATE {template} OWNER {ROLE}")
            stack.callback(self.postgres.drop_database, name)
            stack.callback(self._drop_indexes, name)
            daemons = stack.enter_context(processes_of_a_test())
            self.postgres.execute("CHECKPOINT")
            yield Site(self, name, folder, daemons, options)

    @contextlib.contextmanager
    def without_autovacuum(self) -> Iterator[None]:
        """It would run into some of the measurements."""
        self.postgres.execute("ALTER SYSTEM SET autovacuum = off")
        self.postgres.execute("SELECT pg_reload_conf()")
        try:
            yield
        finally:
            self.postgres.execute("ALTER SYSTEM RESET autovacuum")
            self.postgres.execute("SELECT pg_reload_conf()")

    def _drop_indexes(self, prefix: str) -> None:
        """Where the server is stopped they go with it: a scenario that is cut short ends so."""
        with contextlib.suppress(OSError):
            self.search.delete_by_prefix(prefix)

    def _template(self, scale: int) -> str:
        name = _TEMPLATE.format(scale)
        if scale in self._templates:
            return name
        if scale == 1:
            self._fill(name)
        else:
            origin = self._template(1)
            self.say(f"making the movies {scale}x")
            self.postgres.execute(f"CREATE DATABASE {name} TEMPLATE {origin} OWNER {ROLE}")
            with psycopg.connect(self.postgres.dsn(name), autocommit=True) as connection:
                connection.execute(f"SET ROLE {ROLE}".encode())
                for table in _COPIED:
                    connection.execute(
                        f"CREATE TABLE content.{table}_origin AS TABLE content.{table}".encode()
                    )
                for number in range(1, scale):
                    connection.execute(_COPY.format(n=number).encode())
                for table in _COPIED:
                    connection.execute(f"DROP TABLE content.{table}_origin".encode())
                connection.execute(b"RESET ROLE")
                connection.execute(b"VACUUM ANALYZE")
        self._templates.add(scale)
        return name

    def _fill(self, name: str) -> None:
        """Role, database and content, by the script that the compose deployment runs."""
        environment = {
            **os.environ,
            "LISTENER_DB": name,
            "LISTENER_DB_USER": ROLE,
            "LISTENER_DB_PASSWORD": PASSWORD,
            "PATH": f"{self.postgres.psql.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "PGHOST": str(self.postgres.socket_directory),
            "PGPORT": str(self.postgres.port),
        }
        subprocess.run(
            ["bash", str(PROJECT / "sql" / "001_init_user_db.sh")],
            check=True,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        if self.quick:
            self.postgres.execute(_CUT.format(films=_QUICK_FILMS), name)
        self.postgres.execute("VACUUM ANALYZE", name)


class Site:
    """One installation of listener: a database, a configuration, and the daemons on it."""

    def __init__(
        self, stage: Stage, name: str, folder: Path, daemons: Processes, options: Options
    ) -> None:
        self.stage = stage
        self.name = name
        self.index = f"{name}-movies"
        self._daemons = daemons
        self.folder = folder
        self.config = folder / "config.yaml"
        example: Options = yaml.safe_load((PROJECT / "config.yaml").read_text("utf-8"))
        for document in example["documents"]:
            document["index"] = self.index
            for part in (document, *document["watch"]):
                for option in list(part):
                    if option.endswith("_file"):
                        part[option] = str(PROJECT / part[option])
        self.options: Options = {
            "pipeline": name,
            "state_file_name": "state/state.yaml",
            "postgres": {
                "host": "127.0.0.1",
                "port": stage.postgres.port,
                "dbname": name,
                "user": ROLE,
                "password": PASSWORD,
            },
            "elasticsearch": {"urls": [stage.search.url], "control_index": f"{name}-control"},
            "logging": {"level": "INFO", "format": "json"},
            "triggers": {"install": "auto"},
            "documents": example["documents"],
            **options,
        }
        self.write()

    @property
    def dsn(self) -> str:
        """The database, as its owner."""
        return self.stage.postgres.dsn(self.name, user=ROLE, password=PASSWORD)

    def write(self) -> None:
        """Write config.yaml again, after `options` were changed."""
        self.config.write_text(yaml.safe_dump(self.options), "utf-8")

    def watches(self, **options: Any) -> None:
        """Give every watched table these options (None removes one)."""
        for document in self.options["documents"]:
            for watch in document["watch"]:
                watch.update(options)
                for name in [name for name, value in watch.items() if value is None]:
                    del watch[name]
        self.write()

    def connect(self) -> Connection:
        """A connection of the owner, in autocommit; close it."""
        return psycopg.connect(self.dsn, autocommit=True)

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Run statements as the owner; the last rows."""
        with self.connect() as connection:
            cursor = connection.execute(statement.encode())
            while cursor.nextset():
                pass
            return cursor.fetchall() if cursor.description else []

    def run(self, *arguments: str) -> ListenerProcess:
        """A command of listener that must end with 0; raises where it does not."""
        process = self._daemons.start(self.config, *arguments)
        process.expect_exit(0, deadline=_LOADED_WITHIN)
        return process

    def start(self, *arguments: str) -> Daemon:
        """A command of listener that was just started; it ends with the site at the latest."""
        return Daemon(self, self._start(*arguments))

    def _start(self, *arguments: str) -> ListenerProcess:
        process = self._daemons.start(self.config, *arguments)
        leftovers.remember(self.folder, process.pid, signal.SIGTERM)
        return process

    @contextlib.contextmanager
    def serve(self) -> Iterator[Daemon]:
        """A daemon that has loaded everything and caught up; it is stopped at the end."""
        event = "caught_up" if self._has_index() else "loaded"
        process = self._start("run")
        process.wait_for(event, deadline=_LOADED_WITHIN)
        process.wait_for("caught_up", deadline=_LOADED_WITHIN)
        yield Daemon(self, process)
        process.stop()

    def _has_index(self) -> bool:
        return self.stage.search.request("GET", f"/{self.index}")[0] == 200

    # -- the index -------------------------------------------------------------------------------

    def written(self) -> int:
        """How many index and delete operations the index has done, retries and repeats too."""
        _, answer = self.stage.search.request("GET", f"/{self.index}/_stats/indexing")
        total = answer["_all"]["primaries"]["indexing"]
        return int(total["index_total"]) + int(total["delete_total"])

    def wait_written(
        self, since: int, least: int, *, deadline: float = 300.0, compare: bool = True
    ) -> Settled:
        """Wait until the index has done `least` operations more than `since`, and is quiet.

        It is quiet when a second has brought none; then index and query are compared, so that what
        is timed is never something half done. The time is that of the last operation seen. Without
        `compare` the caller compares, as where the documents are too many for this process.
        """
        pause, until = Event(), time.monotonic() + deadline
        seen, changed = since, time.monotonic()
        while True:
            now = time.monotonic()
            total = self.written()
            if total != seen:
                seen, changed = total, now
            elif seen - since >= least and now - changed > 1.0:
                if compare:
                    self.assert_converged()
                return Settled(changed, seen - since)
            if now > until:
                raise TimeoutError(f"{seen - since} of {least} operations in {deadline:g} s")
            pause.wait(_LOOK)

    def assert_converged(self) -> None:
        """Index = query, both ways, contents and ids.

        Where the search was refused with a 429 (the heap is full of what earlier rounds have left)
        all of it is read once more.
        """
        until, pause = time.monotonic() + _ROOM_WITHIN, Event()
        while True:
            self.stage.search.request("POST", f"/{self.index}/_refresh")
            found = convergence.differences(
                self.config, self.stage.postgres.dsn(self.name), self.stage.search.url
            )
            no_room = any(": 429 " in one for one in found.broken)
            if not no_room or time.monotonic() > until:
                break
            pause.wait(1.0)
        if found:
            raise RuntimeError(f"index and query differ: {found.report()}")


@dataclass(frozen=True, slots=True)
class Settled:
    """When the last operation was seen (time.monotonic()), and how many there were."""

    at: float
    operations: int


@dataclass(frozen=True, slots=True)
class Daemon:
    """The running daemon and what it costs."""

    site: Site
    process: ListenerProcess

    @property
    def pid(self) -> int:
        """Of its process."""
        return self.process.pid

    def cpu(self) -> processes.Cpu:
        """CPU seconds so far."""
        return processes.cpu(self.pid)


@contextlib.contextmanager
def stage_of(*, quick: bool, rounds: int) -> Iterator[Stage]:
    """Start both servers as `make demo` does: fsync on, one shard, 1 GB heap."""
    with contextlib.ExitStack() as stack:
        postgres = PostgresServer(settings={"shared_buffers": "512MB", "max_wal_size": "8GB"})
        stack.callback(postgres.close)
        search = SearchServer(heap="1g")
        stack.callback(search.close)
        postgres.start()
        search.start()
        yield Stage(postgres, search, quick, rounds)
