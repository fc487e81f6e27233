"""No statement of an application fails or waits for long because we take a lock on its table.

Each test holds a transaction open that is in our way, for several of our tries; beside it, writers
with a `lock_timeout` go on. They wait behind us, never for longer than that.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any, Final

import psycopg
import pytest

from listener import postgres, triggers
from listener.changes import Watch
from listener.observations.events import CheckWarning, Observation, Waiting
from listener.runtime.lifecycle import Stop
from listener.triggers import locks
from playground.proxy import TcpProxy
from tests.kit.triggers import SCHEMA, Bench

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "triggers.md"
FORMER: Final = Path(__file__).parent / "former" / "version_1.sql"
FILM: Final = Watch("public", "film", ("id",), "updated_at")
LINK: Final = Watch("public", "link", ("film",))
PART: Final = Watch("public", "part", ("id",), "changed")

_TABLES = """
CREATE TABLE film (id integer PRIMARY KEY, updated_at timestamptz);
CREATE TABLE link (film integer);
CREATE TABLE part (id integer) PARTITION BY RANGE (id);
CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (0) TO (10);
CREATE TABLE part2 PARTITION OF part FOR VALUES FROM (10) TO (99) PARTITION BY RANGE (id);
CREATE TABLE part21 PARTITION OF part2 FOR VALUES FROM (10) TO (20);
INSERT INTO film VALUES (1); INSERT INTO link VALUES (1); INSERT INTO part VALUES (1), (11);
"""
WRITES: Final = {
    "film": "UPDATE film SET id = id WHERE id = 1",
    "link": "UPDATE link SET film = film WHERE film = 1",
    "part": "UPDATE part SET id = id WHERE id = 1",
    "part21": "UPDATE part21 SET id = id WHERE id = 11",
}
OPENED: Final = {
    "film": "INSERT INTO film VALUES (2)",
    "link": "INSERT INTO link VALUES (2)",
    "part": "INSERT INTO part VALUES (2), (12)",
    "part21": "INSERT INTO part21 VALUES (12)",
}
"""Rows that no other writer waits for."""


@contextmanager
def writers(bench: Bench, *tables: str, timeout: str = "500ms") -> Iterator[list[str]]:
    """One writer a table, one statement after the other; what failed, and what was warned of."""
    stop = threading.Event()
    failed: list[str] = []

    def write(table: str) -> None:
        with psycopg.connect(
            bench.server.socket_dsn(bench.name),
            autocommit=True,
            options=f"-c lock_timeout={timeout} -c client_min_messages=warning",
        ) as conn:
            conn.add_notice_handler(lambda notice: failed.append(str(notice.message_primary)))
            while not stop.is_set():
                try:
                    conn.execute(WRITES[table].encode())
                except psycopg.Error as error:
                    failed.append(str(error))
                stop.wait(0.01)

    threads = [threading.Thread(target=write, args=(table,)) for table in tables]
    for thread in threads:
        thread.start()
    try:
        yield failed
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def behind(
    bench: Bench, opened: str, tables: tuple[str, ...], work: Callable[[Any], object]
) -> list[str]:
    """Do the work while a transaction is open that is in its way, for two tries; what failed.

    `work` is called with where to tell what happens.
    """
    tried = threading.Event()
    ended: list[BaseException | None] = []

    def observe(what: Observation) -> None:
        if isinstance(what, Waiting) and what.attempt >= 2:
            tried.set()

    def run() -> None:
        try:
            work(observe)
            ended.append(None)
        except BaseException as error:
            ended.append(error)
            tried.set()

    writer = bench.connect()
    writer.execute(b"BEGIN; " + opened.encode())
    with writers(bench, *tables) as failed:
        thread = threading.Thread(target=run)
        thread.start()
        found = tried.wait(30)
        writer.execute("COMMIT")
        thread.join(60)
    assert ended == [None]
    assert found, "nothing was in the way"
    return failed


@pytest.fixture
def tables(bench: Bench) -> Bench:
    """Three tables with rows, nothing installed."""
    bench.run(_TABLES)
    return bench


def install(bench: Bench, *watches: Watch) -> Callable[[Any], object]:
    """Install for these watches, on a connection of its own."""
    conn = bench.connect()
    bench.watches = watches
    return lambda observe: bench.install(*watches, conn=conn, observe=observe)


@pytest.mark.parametrize(
    ("opened", "watch"),
    [("film", FILM), ("link", LINK), ("part", PART), ("part21", PART)],
    ids=["stamped", "journal", "tree", "part"],
)
def test_install_beside_writers(tables: Bench, opened: str, watch: Watch) -> None:
    """Triggers, and the stamp column of the partitioned table, which is new."""
    beside = ("part", "part21") if watch is PART else (watch.table,)
    assert behind(tables, OPENED[opened], beside, install(tables, watch)) == []
    assert tables.status() == ()


@pytest.mark.parametrize("opened", ["film", "part21"])
def test_remove_beside_writers(tables: Bench, opened: str) -> None:
    """Triggers, functions, the index of a partitioned table, our own schema."""
    tables.install(FILM, LINK, PART)
    conn = tables.connect()

    def work(observe: Any) -> None:
        triggers.remove(conn, SCHEMA, observe=observe, stop=Stop())

    assert behind(tables, OPENED[opened], ("film", "link", "part", "part21"), work) == []
    assert tables.value("SELECT to_regnamespace('listener')") is None


def test_another_version_beside_writers(tables: Bench) -> None:
    """A function is replaced while no statement runs the former one."""
    tables.install(FILM, PART)
    name = tables.value(
        "SELECT f.proname FROM pg_trigger g JOIN pg_proc f ON f.oid = g.tgfoid "
        "WHERE g.tgrelid = 'part'::regclass AND f.proname LIKE 'listener%_update'"
    )
    tables.run(f"ALTER FUNCTION listener.{name}() SECURITY INVOKER")
    found = behind(tables, OPENED["part21"], ("part", "part21"), install(tables, FILM, PART))
    assert found == []
    assert tables.status() == ()


def test_an_upgrade_of_the_schema_beside_writers(tables: Bench) -> None:
    """All writers write into the journal; one of them is open."""
    psql(tables, FORMER.read_text("utf-8"))
    work = install(tables, FILM, LINK)
    assert behind(tables, OPENED["link"], ("film", "link"), work) == []
    assert tables.status() == ()
    assert tables.value("SELECT is_called FROM listener.lost") is False


def psql(bench: Bench, script: str) -> str:
    """As an administrator runs a script; what it prints."""
    command = [str(bench.server.psql), bench.server.socket_dsn(bench.name), "-XqAtv"]
    ran = subprocess.run(
        [*command, "ON_ERROR_STOP=1"], input=script, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


def test_the_printed_script_beside_writers(tables: Bench) -> None:
    """It tries again by itself: whoever runs it has nothing to repeat."""
    tables.watches = (FILM, PART)
    script = triggers.script(tables.plan())
    writer = tables.connect()
    writer.execute(b"BEGIN; " + OPENED["part21"].encode())
    pid = writer.info.backend_pid
    with writers(tables, "film", "part", "part21") as failed:
        thread = threading.Thread(target=psql, args=(tables, script))
        thread.start()
        looker = tables.connect()
        waits = "SELECT count(*) FROM pg_stat_activity WHERE query ~ 'LOCK TABLE' AND wait_event = "
        seen = 0
        while thread.is_alive() and seen < 2:
            row = looker.execute(f"{waits}'PgSleep'".encode()).fetchone()
            seen += row is not None and row[0] > 0
        assert thread.is_alive(), f"nothing was in the way of {pid}"
        writer.execute("COMMIT")
        thread.join(60)
    assert failed == []
    assert tables.status() == ()


def test_the_printed_script_obeys_timeouts(tables: Bench) -> None:
    """Those that are there when it is run: it may have been printed long before."""
    tables.watches = (FILM, PART)
    script = triggers.script(tables.plan())
    asked = script.replace("COMMIT;", "SELECT 'at most', current_setting('lock_timeout');\nCOMMIT;")
    for setting, most in (("60ms", "15ms"), ("0x28", "10ms"), ("3", "1ms"), ("1h", "50ms")):
        tables.run(f"ALTER DATABASE {tables.name} SET lock_timeout = '{setting}'")
        said = psql(tables, f"SET lock_timeout = 0; {asked}")
        tables.run(f"ALTER DATABASE {tables.name} RESET lock_timeout")
        assert set(re.findall(r"at most\|(\w+)", said)) == {most}
        assert tables.status() == ()
        tables.remove()
        tables.run("ALTER TABLE part DROP COLUMN changed")


def test_the_emergency_exit_beside_writers(tables: Bench) -> None:
    """The command of the documentation, as it stands there."""
    tables.install(FILM, LINK, PART)
    [command] = re.findall(r"```sh\n(until psql.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    place = tables.admin.info
    environment = {
        "PATH": f"{tables.server.psql.parent}:{os.environ['PATH']}",
        "PGHOST": place.host,
        "PGPORT": str(place.port),
        "PGUSER": place.user,
        "PGDATABASE": tables.name,
    }
    writer = tables.connect()
    writer.execute(b"BEGIN; " + OPENED["link"].encode())
    with (
        writers(tables, "film", "link", "part", "part21") as failed,
        subprocess.Popen(
            ["bash", "-c", command], env=environment, stderr=subprocess.PIPE, text=True
        ) as ran,
    ):
        assert ran.stderr is not None
        said = [ran.stderr.readline() for _ in range(2)]
        writer.execute("COMMIT")
        assert ran.wait(60) == 0
    assert "timeout" in said[0], said
    assert failed == []
    assert tables.value("SELECT to_regnamespace('listener')") is None


def test_a_table_of_many_parts_is_done_in_pieces(tables: Bench) -> None:
    """No transaction of ours makes triggers on more than some of them, since its writers wait; what
    could have been missed meanwhile is compared, though the piece came late and was empty."""
    for number in range(30):
        tables.run(
            f"CREATE TABLE more{number} PARTITION OF part "
            f"FOR VALUES FROM ({100 + number}) TO ({101 + number})"
        )
    tables.watches = (PART,)
    steps = [step for step in tables.plan() if step.title.startswith("triggers of")]
    assert len(steps) == 3
    for step in steps[1:]:
        on_parts = [one for one in step.statements if one.startswith("CREATE TRIGGER")]
        assert 0 < len(on_parts) <= 20 * 4
        assert step.statements[-1].startswith("UPDATE")
        assert "WHERE" not in step.statements[-1]
        assert len(step.tables) <= 20
    tables.install()
    assert tables.status() == ()
    tables.run("CREATE TABLE late PARTITION OF part FOR VALUES FROM (500) TO (501)")
    late = [step for step in tables.plan() if step.title.startswith("triggers of")]
    assert [len(step.tables) for step in late] == [1]
    assert "WHERE EXISTS" in late[0].statements[-1]


def test_the_least_timeout_that_can_be_read(tables: Bench) -> None:
    """Of a role, of the database; nobody else's counts, nor one that is off."""
    assert locks.bound(tables.admin) == locks.LONGEST
    role = tables.new_role()
    tables.run(f"ALTER ROLE {role} SET lock_timeout = '0.2s'")
    assert locks.bound(tables.admin) == 50
    tables.run(f"ALTER ROLE {role} IN DATABASE {tables.name} SET lock_timeout = 40")
    assert locks.bound(tables.admin) == 10
    tables.run(
        f"ALTER ROLE {role} RESET ALL; ALTER ROLE {role} IN DATABASE {tables.name} RESET ALL"
    )
    tables.run(f"ALTER DATABASE {tables.name} SET statement_timeout = 0")
    assert locks.bound(tables.admin) == locks.LONGEST
    tables.run(f"ALTER DATABASE {tables.name} SET deadlock_timeout = '120ms'")
    assert locks.bound(tables.admin) == 30
    tables.run(f"DROP ROLE {role}")


@pytest.mark.parametrize(
    "setting",
    [
        "80",
        "80ms",
        " 80 ms ",
        "0.08s",
        "80400us",
        "8e1",
        "8E+1ms",
        "0x50",
        "0120",
        "0x50.0",
        "0x50ms",
    ],
)
def test_durations(tables: Bench, setting: str) -> None:
    """As PostgreSQL reads them: whatever it accepts."""
    tables.run(f"ALTER DATABASE {tables.name} SET lock_timeout = '{setting}'")
    assert locks.bound(tables.admin) == 20
    assert tables.value("SHOW lock_timeout") == "0", "the own one is as before"


def test_a_timeout_of_a_transaction(tables: Bench) -> None:
    """It ends the whole session of the writer that waits."""
    if tables.version < 17:
        pytest.skip("PostgreSQL 17 brought it")
    tables.run(f"ALTER DATABASE {tables.name} SET transaction_timeout = '80ms'")
    assert locks.bound(tables.admin) == 20


def test_a_timeout_of_a_function(tables: Bench) -> None:
    """What it writes waits behind us too."""
    tables.run(
        "CREATE FUNCTION f() RETURNS void LANGUAGE sql SET lock_timeout = '80ms' SET work_mem = 64 "
        "AS 'UPDATE film SET id = id'"
    )
    assert locks.bound(tables.admin) == 20


# -- indexes ---------------------------------------------------------------------------------------


class Aside:
    """One statement on a connection of its own, in a thread."""

    def __init__(self, bench: Bench, statement: str) -> None:
        self.error: psycopg.Error | None = None
        self._bench = bench
        self._conn = bench.connect()
        self.pid = self._conn.info.backend_pid
        self._statement = statement
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._conn.execute(self._statement.encode())
        except psycopg.Error as error:
            self.error = error

    def waits(self) -> bool:
        """Whether it has come to a lock that it does not get. Fails when it never does."""
        while not self._bench.value(f"SELECT cardinality(pg_blocking_pids({self.pid})) > 0"):
            if not self._thread.is_alive():
                return False
        return True

    def end(self) -> None:
        """It goes through."""
        self._thread.join(60)
        assert not self._thread.is_alive()
        assert self.error is None, self.error


def without_index(bench: Bench) -> None:
    """Everything is there but our index."""
    bench.install(FILM)
    found = bench.value("SELECT relname FROM pg_class WHERE relname LIKE 'listener_at_%'")
    bench.run(f"DROP INDEX {found}")
    assert bench.slow()


def test_an_index_of_the_application_is_not_waited_for(tables: Bench) -> None:
    """Ours is not begun: else theirs would wait for ours, and PostgreSQL would end theirs."""
    without_index(tables)
    writer = tables.connect()
    writer.execute("BEGIN; UPDATE film SET id = id")
    theirs = Aside(tables, "CREATE INDEX CONCURRENTLY theirs ON film ((id + 1))")
    assert theirs.waits()
    tables.seen.clear()
    tables.install(hurry=True, patience=0.5, conn=tables.connect())
    [said] = [one.what for one in tables.seen if isinstance(one, CheckWarning)]
    assert "index on public.film" in said
    assert f"process {theirs.pid}, postgres" in said

    def observe(what: Observation) -> None:
        if isinstance(what, Waiting):
            writer.execute("COMMIT")

    tables.install(conn=tables.connect(), observe=observe)
    theirs.end()
    assert tables.slow() == ()
    assert tables.value("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE INDEX CONCURRENTLY theirs ON film ((id + 1))",
        "TRUNCATE film",
        "ALTER TABLE film ADD COLUMN more text",
        "ANALYZE film",
    ],
)
def test_an_index_gives_way(tables: Bench, statement: str) -> None:
    """Who comes while ours is being made would wait for it, and it for him: ours ends."""
    without_index(tables)
    writer = tables.connect()
    writer.execute("BEGIN; UPDATE film SET id = id")
    failed: list[str] = []

    def run() -> None:
        try:
            tables.install(conn=conn)
        except triggers.TriggerError as error:
            failed.extend(error.problems)

    conn = tables.connect()
    ours = threading.Thread(target=run)
    ours.start()
    while not tables.value(f"SELECT cardinality(pg_blocking_pids({conn.info.backend_pid})) > 0"):
        assert ours.is_alive()
    theirs = Aside(tables, statement)
    ours.join(30)
    writer.execute("COMMIT")
    theirs.end()
    ours.join(30)
    [said] = failed
    assert re.search(rf"given up, for process {theirs.pid} waited behind it: try again", said)
    tables.install()
    assert tables.slow() == ()
    assert tables.value("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0


def test_no_connection_left_to_give_way(tables: Bench) -> None:
    """The index is made, and it is told that it gives way to nobody."""
    role = tables.new_role()
    tables.run(
        f"ALTER ROLE {role} CONNECTION LIMIT 1; GRANT CREATE ON DATABASE {tables.name} TO {role};"
        f"ALTER TABLE film OWNER TO {role}; GRANT USAGE, CREATE ON SCHEMA public TO {role}"
    )
    conn = tables.connect(role)
    tables.install(FILM, conn=conn)
    assert tables.slow() == ()
    [said] = [one for one in tables.seen if isinstance(one, CheckWarning)]
    assert "index on public.film" in said.what
    assert "too many connections for role" in said.what
    assert "gives way to nobody" in said.what
    assert "one more connection" in said.mend
    conn.close()
    tables.run(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")


def test_the_connection_that_gives_way_is_lost(tables: Bench) -> None:
    """While the index is made: told at once, and the index goes on."""
    without_index(tables)
    writer = tables.connect()
    writer.execute("BEGIN; UPDATE film SET id = id")

    def observe(what: Observation) -> None:
        tables.seen.append(what)
        if isinstance(what, CheckWarning):
            writer.execute("COMMIT")

    ours = threading.Thread(
        target=tables.install, kwargs={"conn": tables.connect(), "observe": observe}
    )
    ours.start()
    while not tables.value(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        f"WHERE datname = '{tables.name}' AND application_name = 'listener: gives way'"
    ):
        assert ours.is_alive()
    ours.join(30)
    assert not ours.is_alive()
    [said] = [one for one in tables.seen if isinstance(one, CheckWarning)]
    # the server's last word, or that there was none, as the network has it
    assert re.search("terminating connection|consuming input failed", said.what), said.what
    assert tables.slow() == ()


class Late(postgres.Session):
    """A connection that is cancelled just after its index was made."""

    late = 0

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        if params == ("lock_timeout", "0"):
            self.late += 1
            if self.late == 2:  # the first one is the installer's beginning
                super().execute("SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(60)")
        return super().execute(query, params, **options)


def test_a_cancel_that_comes_when_the_index_is_made(tables: Bench) -> None:
    """It is not for what follows, and the index stays."""
    without_index(tables)
    conn = Late.connect(tables.server.socket_dsn(tables.name), autocommit=True)
    with conn:
        tables.install(conn=conn)
        assert conn.late == 4  # once more, and the installer's end
        assert conn.execute("SHOW lock_timeout").fetchone() == ("0",)
    assert tables.slow() == ()


def test_the_watch_beside_an_index_is_never_answered(tables: Bench) -> None:
    """A stalled proxy acknowledges what is sent and lives on: whoever lost his own connection goes
    on with that."""
    without_index(tables)
    writer = tables.connect()
    writer.execute("BEGIN; UPDATE film SET id = id")
    with TcpProxy("127.0.0.1", tables.server.port) as proxy:
        place = {"conninfo": tables.server.dsn(tables.name, port=proxy.port)}
        conn = postgres.open_session(place, "test")
        ended: list[BaseException] = []

        def run() -> None:
            try:
                tables.install(conn=conn)
            except psycopg.Error as error:
                ended.append(error)

        ours = threading.Thread(target=run)
        ours.start()
        while not tables.value(
            f"SELECT cardinality(pg_blocking_pids({conn.info.backend_pid})) > 0"
        ):
            assert ours.is_alive()
        [beside] = [one for one in postgres.sessions() if one.name == "listener: gives way"]
        proxy.stall()
        while beside.busy_since is None or monotonic() - beside.busy_since < 0.3:
            assert ours.is_alive()
        conn.cut()  # as the watchdog does
        ours.join(10)
        alive = ours.is_alive()
    ours.join(10)
    assert not alive
    assert isinstance(ended[0], psycopg.OperationalError)
    writer.execute("COMMIT")


def test_the_printed_script_does_not_wait_for_an_index(tables: Bench) -> None:
    """It tries the lock of the table, each time for a moment, before its own index."""
    without_index(tables)
    [step] = tables.plan()
    lines = triggers.script((step,)).splitlines()
    lock = next(i for i, one in enumerate(lines) if "IN SHARE UPDATE EXCLUSIVE MODE" in one)
    create = next(i for i, one in enumerate(lines) if one.startswith("CREATE INDEX CONCURRENTLY"))
    assert lines[lock + 1 : create].count("COMMIT;") == 1
