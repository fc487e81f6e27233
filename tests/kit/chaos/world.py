"""The world in which faults happen: two servers, daemons, and the ways between them."""

from __future__ import annotations

import contextlib
import http.client
import shutil
import signal
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from playground.daemon import ListenerProcess, NotAsExpected
from playground.postgres import PostgresServer
from playground.proxy import TcpProxy
from playground.standby import StandbyServer
from playground.system import PlaygroundError
from tests.kit.chaos.weather import Weather
from tests.kit.scene import Scene

_LOCK_TIMEOUT = "500ms"
"""So long may a statement of a test that locks a table keep the writers in its queue: shorter than
`deadlock_timeout`, so that it is never a writer that a deadlock ends."""


class Interrupted(Exception):
    """The world ends: every wait in it stops."""


class NotInTime(Exception):
    """What was waited for did not come."""


class Seat:
    """A place where a daemon runs: a folder with a state of its own, and ways to both servers."""

    def __init__(
        self,
        name: str,
        scene: Scene,
        lock: threading.RLock,
        ended: Callable[[str, ListenerProcess], None] | None = None,
        over: threading.Event | None = None,
    ) -> None:
        """`lock` guards the options of the scene; once `over` is set, nothing is started. `ended`
        is told each life that is over."""
        self.name = name
        self.folder = scene.folder / name
        self.state_file = self.folder / "state" / "state.yaml"
        self.to_postgres = TcpProxy("127.0.0.1", scene.postgres.port)
        self.to_search = Weather(scene.search.port)
        self.lives = 0
        self.most_memory = 0
        """Most resident bytes of all its lives, as far as `measure` has seen."""
        self.deaths: list[str] = []
        """How it ended each time that no test had ended it."""
        self._scene = scene
        self._lock = lock
        self._over = over or threading.Event()
        self._ended = ended
        self._process: ListenerProcess | None = None

    @property
    def process(self) -> ListenerProcess:
        """Its present life, or the last one."""
        assert self._process is not None, f"{self.name} was never started"
        return self._process

    @property
    def running(self) -> bool:
        """Whether it lives (a frozen one does)."""
        return self._process is not None and self._process.running

    @property
    def leads(self) -> bool:
        """Whether it was, by its log, the active daemon a moment ago."""
        process = self._process
        if process is None or not process.running:
            return False
        for record in reversed(process.records):
            if record.event in ("listening", "standing_by"):
                return record.event == "listening"
        return False

    @property
    def came_up(self) -> bool:
        """Whether its start is behind it: it has come to serve, or to stand by. What does not fit
        from then on is waited for; at a start it ends the daemon."""
        process = self._process
        return (
            self.running
            and process is not None
            and (bool(process.found("listening")) or bool(process.found("standing_by")))
        )

    def command(self, *arguments: str) -> ListenerProcess:
        """`listener` with these arguments, from this place."""
        with self._lock:
            if self._over.is_set():
                raise Interrupted
            self._scene.set(
                postgres={"port": self.to_postgres.port},
                elasticsearch={"urls": [f"http://127.0.0.1:{self.to_search.port}"]},
            )
            return self._scene.start(*arguments, folder=self.name)

    def start(self) -> None:
        """Start the daemon; when it runs, does nothing."""
        if self.running:
            return
        if self._process is not None:
            last = [one.message for one in self._process.records[-3:]]
            self.deaths.append(f"status {self._process.exit_status(10)}: {last}")
        self._forget()
        self.lives += 1
        self._process = self.command()

    def kill(self, *, excused: bool = False) -> None:
        """SIGKILL. Safe when it has ended, which is a death of its own unless `excused`."""
        self.measure()
        if self._process is not None and not self.running and not excused:
            self.deaths.append(
                f"status {self._process.exit_status(10)}: {self._process.log[-500:]}"
            )
        self._forget()

    def stop(self, seconds: float = 40) -> None:
        """SIGTERM, and the end with status 0. Raises NotInTime with its last lines."""
        self.measure()
        if self._process is not None:
            self._process.signal(signal.SIGCONT)
            self._process.signal(signal.SIGTERM)
            try:
                status = self._process.exit_status(seconds)
            except NotAsExpected as error:
                self._forget()
                raise NotInTime(f"{self.name} did not stop: {str(error)[-2000:]}") from error
            young = status == -signal.SIGTERM and not self._process.records
            if status and not young:  # before its first line it does not handle signals yet
                raise NotInTime(f"{self.name}: status {status}: {self._process.log[-2000:]}")
        self._forget()

    def measure(self) -> None:
        """Look at its resident memory."""
        if self.running:
            self.most_memory = max(self.most_memory, resident(self.process.pid))

    def calm(self) -> None:
        """Nothing is in its ways."""
        self.to_postgres.start()
        self.to_postgres.unstall()
        self.to_search.calm()

    def bury(self, process: ListenerProcess) -> None:
        """End a process, and give it to `ended`, which keeps its log."""
        process.kill()
        with contextlib.suppress(ValueError):
            self._scene.processes.started.remove(process)
        if self._ended is not None:
            self._ended(self.name, process)

    def _forget(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            self.bury(process)


def resident(pid: int) -> int:
    """Most bytes that a process has had resident so far; 0 where the system does not tell."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


@dataclass
class World:
    """Faults see this and nothing else. All of it may be used from several threads."""

    scene: Scene
    seats: list[Seat]
    bulk: str
    """A table (`id` uuid, `title`, `type`) whose rows `md5('bulk N')::uuid` no writer touches."""
    big: tuple[str, ...]
    """Statements that each change more than 10,000 documents; `{text}` is something new."""
    bulk_rows: int = 12_000
    """How many rows of the bulk there are, as long as none is deleted."""
    outage: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext
    """While PostgreSQL itself is away: the writers' lost connections are excused."""
    locking: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext
    """While triggers come and go: writers may wait for the daemon that installs them."""
    alone: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext
    """No writer is at work in it."""
    standby: StandbyServer | None = None
    replication: TcpProxy | None = None
    """The standby's way to the primary."""
    retire: Callable[[PostgresServer], None] = PostgresServer.close
    """What becomes of a primary that was replaced."""
    tell: Callable[[str], None] = print
    """Takes what a fault did, and how that went, for the record."""
    over: threading.Event = field(default_factory=threading.Event)
    """Set: every wait ends by Interrupted."""

    def rest(self, seconds: float) -> None:
        """Let the world go on for a while."""
        if self.over.wait(seconds):
            raise Interrupted

    def wait(self, ready: Callable[[], bool], *, seconds: float, what: str = "") -> bool:
        """Wait until it is so. Not in time: raises NotInTime where `what` names it, else False."""
        until = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > until:
                if what:
                    raise NotInTime(f"{what}: not within {seconds:g} s")
                return False
            self.rest(0.05)
        return True

    # -- daemons ---------------------------------------------------------------------------------

    @property
    def active(self) -> Seat:
        """The daemon that leads; where none does, one that runs."""
        leading = [seat for seat in self.seats if seat.leads]
        running = [seat for seat in self.seats if seat.running]
        return (leading or running or self.seats)[0]

    @property
    def follower(self) -> Seat:
        """Another one than the active; where there is but one, that."""
        active = self.active
        return next((seat for seat in self.seats if seat is not active), active)

    def all_up(self) -> None:
        """Wait until each daemon has finished its start. A start ends the process where something
        does not fit, so faults that alter what a start looks at call this first. Raises NotInTime.
        """
        self.wait(
            lambda: all(seat.came_up for seat in self.seats),
            seconds=60,
            what="daemons that serve or stand by",
        )

    # -- the database ----------------------------------------------------------------------------

    def lead_to(self, server: PostgresServer) -> None:
        """From now on everybody goes to this server."""
        self.scene.postgres = server
        for seat in self.seats:
            seat.to_postgres.target = ("127.0.0.1", server.port)
            seat.to_postgres.cut()

    def connect(self, **options: str) -> psycopg.Connection[tuple[Any, ...]]:
        """A connection of the superuser to the database, in autocommit."""
        return psycopg.connect(
            self.scene.postgres.dsn(self.scene.database),
            autocommit=True,
            connect_timeout=5,
            application_name="chaos",
            options=" ".join(f"-c {name}={value}" for name, value in options.items()),
        )

    def alter(self, statement: str, *, tries: int = 20) -> bool:
        """A statement that locks a table: tried until it gets the lock soon. Whether it did."""
        for _ in range(tries):
            try:
                with self.connect(lock_timeout=_LOCK_TIMEOUT, statement_timeout="20s") as session:
                    session.execute(statement.encode())
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
                self.rest(0.1)
            else:
                return True
        return False

    # -- the index -------------------------------------------------------------------------------

    def ask(self, method: str, path: str, body: object = None) -> bool:
        """A request straight to Elasticsearch, which may be refused or fail. Whether it did not."""
        try:
            return self.scene.search.request(method, path, body)[0] < 300
        except (OSError, http.client.HTTPException):
            return False

    def answer(self, method: str, path: str) -> dict[str, Any]:
        """The answer to a request; empty where there is none."""
        try:
            status, answer = self.scene.search.request(method, path)
        except (OSError, http.client.HTTPException):
            return {}
        return answer if status == 200 else {}

    @property
    def aliases(self) -> list[str]:
        """The alias of each document."""
        return [str(document["index"]) for document in self.scene.options["documents"]]

    # -- after a fault ---------------------------------------------------------------------------

    def heal(self) -> None:
        """Whatever was broken is whole: servers and daemons run, and see each other."""
        scene = self.scene
        for seat in self.seats:
            seat.calm()
            if seat.running:
                seat.process.signal(signal.SIGCONT)
        if not scene.postgres.running:
            with self.outage():
                scene.postgres.start()
        scene.search.start()
        for name in self.answer("GET", "/restored-*"):  # a snapshot under another name
            self.ask("DELETE", f"/{name}")
        with self.connect() as session:
            for (name,) in session.execute("SELECT gid FROM pg_prepared_xacts").fetchall():
                session.execute(f"ROLLBACK PREPARED '{name}'".encode())
        unblock(self)
        for seat in self.seats:
            away = seat.state_file.parent.with_name("state.away")
            if away.exists():
                give_back(seat, away)
            seat.start()
        if self.replication is not None:
            self.replication.start()
            self.replication.unstall()
        if self.standby is not None and not self.standby.running:
            with contextlib.suppress(PlaygroundError):
                self.standby.start()


def unblock(world: World) -> None:
    """All indexes are open, and take writes."""
    prefix = world.scene.prefix
    hidden = "expand_wildcards=all"
    for name in world.answer("GET", f"/{prefix}-*?expand_wildcards=closed"):
        world.ask("POST", f"/{name}/_open")  # by name: wildcards are refused
    names = ("write", "read_only", "read_only_allow_delete")
    blocks = {f"index.blocks.{name}": None for name in names}
    world.ask("PUT", f"/{prefix}-*/_settings?{hidden}", blocks)
    settings = {"cluster.blocks.read_only": None, "cluster.routing.allocation.enable": None}
    world.ask("PUT", "/_cluster/settings", {"persistent": settings})


def give_back(seat: Seat, away: Path) -> None:
    """The folder of the state is there again."""
    folder = seat.state_file.parent
    for _ in range(10):  # a daemon may make the folder anew at the same moment
        if folder.is_dir():
            shutil.rmtree(folder, ignore_errors=True)
        else:
            folder.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            away.rename(folder)
            return
    raise NotInTime(f"{folder} is not to be had")
