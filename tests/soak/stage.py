"""The servers, databases and daemons of a run; all of them end with it."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from playground.cluster import Setting
from playground.daemon import PROJECT, ListenerProcess, Processes
from playground.postgres import PostgresServer
from playground.search import SearchServer
from playground.search import Setting as SearchSetting
from tests.kit.chaos import databases
from tests.kit.chaos.world import Seat, World
from tests.kit.scene import (
    APPLICATION,
    OWNER,
    SCHEMAS,
    Scene,
    create_roles,
    create_template,
    documents,
)
from tests.kit.servers import QUICK
from tests.soak.writers import SoakWriters

STOCK = SCHEMAS / "stock"
CARDS = PROJECT / "tests" / "soak" / "cards"
BULK = 12_000
"""Films that no writer touches, for statements of more than 10,000 keys."""

_POSTGRES: dict[str, Setting] = {
    "max_prepared_transactions": 20,
    "wal_keep_size": "256MB",  # a standby that was away for a moment finds the rest
}
_SEARCH: dict[str, SearchSetting] = {
    "thread_pool.write.size": 1,
    "thread_pool.write.queue_size": 12,
    "path.repo": ["repo"],
}
_REFILL = """
    INSERT INTO content.film_work (id, title, type)
    SELECT md5('bulk ' || n)::uuid, 'Bulk ' || n, 'movie' FROM generate_series(1, {count}) AS n
    ON CONFLICT DO NOTHING;
    INSERT INTO content.genre (id, name) VALUES (md5('bulk genre')::uuid, 'Bulk')
    ON CONFLICT DO NOTHING;
    INSERT INTO content.genre_film_work (film_work_id, genre_id)
    SELECT md5('bulk ' || n)::uuid, md5('bulk genre')::uuid FROM generate_series(1, {count}) AS n
    ON CONFLICT DO NOTHING"""
"""What only TRUNCATE removes."""
_BIG = (
    "UPDATE content.film_work SET title = 'Bulk {text}' WHERE title LIKE 'Bulk %'",
    "UPDATE content.genre SET name = 'Bulk {text}' WHERE id = md5('bulk genre')::uuid",
)


class Stage:
    """A world with writers, and the folder that has what is needed to understand a run."""

    def __init__(
        self, world: World, writers: SoakWriters, folder: Path, crashes: list[str]
    ) -> None:
        self.world = world
        self.writers = writers
        self.folder = folder
        self.crashes = crashes
        """What daemons said that no daemon may say."""


class _Logs:
    """Writes the log of each life that is over, and looks for defects in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.crashes: list[str] = []
        self._lock = threading.Lock()
        self._count = 0

    def end(self, name: str, process: ListenerProcess) -> None:
        """Keep the log of a process that has ended."""
        with self._lock:
            self._count += 1
            number = self._count
        moment = datetime.now(UTC).strftime("%H%M%S")
        path = self.folder / f"{number:04}-{moment}-{name}.log"
        command = " ".join(process.command[5:]) or "run"
        lines = [f"# {command}, pid {process.pid}, exit status {process.exit_status(10)}"]
        for one in process.records:
            content = dict(one.fields) or {"event": one.event, "message": one.message}
            lines.append(json.dumps(content, ensure_ascii=False, default=str))
            if one.event == "crashed" or (one.event == "text" and "Traceback" in one.message):
                self.crashes.append(f"{path.name}: {one.message}")
        lines.append(process.output)
        path.write_text("\n".join(lines), "utf-8")


@contextlib.contextmanager
def open_stage(
    folder: Path, seed: int, *, writers: int, pace: float, bulk: int = BULK
) -> Iterator[Stage]:
    """Everything is started, but for daemons and writers; everything is ended at the end."""
    with contextlib.ExitStack() as stack:
        search = SearchServer(heap="600m", settings=dict(_SEARCH), jvm_options=QUICK)
        stack.callback(search.close)
        postgres = PostgresServer(settings=dict(_POSTGRES))
        stack.callback(postgres.close)
        search.start()
        postgres.start()
        processes = Processes()
        scene = _scene(postgres, search, folder, processes, bulk)
        logs = _Logs(folder / "daemons")
        logs.folder.mkdir(parents=True, exist_ok=True)
        lock, over = threading.RLock(), threading.Event()
        seats = [Seat(name, scene, lock, logs.end, over) for name in ("one", "two")]
        for seat in seats:
            stack.callback(seat.to_postgres.stop)
            stack.callback(seat.to_search.stop)
            seat.calm()
        crew = SoakWriters(scene, seed, writers, pace=pace)
        stack.callback(crew.end)
        world = World(
            scene,
            seats,
            bulk="content.film_work",
            bulk_rows=bulk,
            big=_BIG,
            outage=crew.outage,
            locking=crew.may_wait,
            alone=lambda: crew.gate.closed(60),
            over=over,
        )

        def retire(server: PostgresServer) -> None:
            keep_log(server, folder)
            server.close()

        world.retire = retire
        stack.callback(_end, world, lock)
        databases.new_standby(world)
        yield Stage(world, crew, folder, logs.crashes)


def keep_log(server: PostgresServer | SearchServer, folder: Path) -> None:
    """Copy what a server said."""
    with contextlib.suppress(OSError):
        shutil.copy(server.log, folder / f"{server.kind}-{server.port}.log")


def refill(world: World) -> None:
    """Rows that a TRUNCATE took."""
    with world.connect() as session:
        session.execute(_REFILL.format(count=world.bulk_rows).encode())


def search_path(database: str, number: int) -> str:
    """The statement that gives the daemon's role one of two paths, 0 or 1."""
    schema = ("cards_first", "cards_second")[number]
    return f'ALTER ROLE {OWNER} IN DATABASE "{database}" SET search_path = {schema}'


def _end(world: World, lock: threading.RLock) -> None:
    """End all that is in the world now, whatever was there when it began."""
    world.over.set()
    with lock:  # from here on nobody starts a daemon
        pass
    for seat in world.seats:
        seat.kill()  # its log is kept, too
    for server in (world.scene.postgres, world.scene.search):
        keep_log(server, world.scene.folder)
    for process in list(world.scene.processes.started):
        process.kill()
    if world.standby is not None:
        world.standby.close()
    if world.replication is not None:
        world.replication.stop()
    world.scene.postgres.close()


def _scene(
    postgres: PostgresServer, search: SearchServer, folder: Path, processes: Processes, bulk: int
) -> Scene:
    """A database with both schemas, and the configuration of one pipeline for both."""
    create_roles(postgres)
    template = create_template(
        postgres,
        "content",
        PROJECT / "config.yaml",
        PROJECT / "sql" / "movies" / "schema.sql",
        SCHEMAS / "movies" / "content.sql",
        STOCK / "schema.sql",
        CARDS / "schema.sql",
    )
    prefix = f"soak-{secrets.token_hex(3)}"
    scene = Scene(postgres, search, template, prefix=prefix, folder=folder, processes=processes)
    postgres.create_database(scene.database, template.database)
    postgres.execute(f'ALTER DATABASE "{scene.database}" OWNER TO {OWNER}')
    postgres.execute(search_path(scene.database, 0))
    with psycopg.connect(postgres.dsn(scene.database)) as session:
        session.execute(
            f"GRANT USAGE ON SCHEMA stock, cards TO {APPLICATION}; "
            "GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA stock, cards "
            f"TO {APPLICATION}; {_REFILL.format(count=bulk)}".encode()
        )
    for schema in (STOCK, CARDS):
        scene.options["documents"] += documents(schema / "documents.yaml", prefix)
    scene.set(
        audit_every=2,
        page_size=1000,
        pending_limit=5000,
        elasticsearch={"request_timeout": 4},
        triggers={"install": "auto", "no_2pc": True, "retention": 60},
        backoff={"start": 0.05, "limit": 0.5, "give_up_after": 60},
    )
    return scene
