"""PostgreSQL of the playground: restarts, crashes, owners that die."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from playground.leftovers import end_leftover, remember
from playground.postgres import PostgresServer
from playground.system import PlaygroundError, command_line, wait_gone

OWNER = """
import os, sys
from playground.leftovers import end_leftover, remember
from playground.postgres import PostgresServer
server = PostgresServer(*sys.argv[1:])
server.start()
print(server.pid, server.directory, flush=True)
os._exit(1)
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PostgresServer]:
    with PostgresServer(tmp_path / "pg", settings={"work_mem": "3MB"}) as running:
        yield running


def leave_a_server(*arguments: str) -> tuple[int, Path]:
    """Starts a server in a process that dies at once; the server's id and directory."""
    command = [sys.executable, "-c", OWNER, *arguments]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    assert done.returncode == 1
    pid, directory = done.stdout.split()
    return int(pid), Path(directory)


def rows(server: PostgresServer) -> list[tuple[int]]:
    return server.execute("SELECT n FROM kept ORDER BY n", "shop")


def test_data_and_port_survive_restart_and_crash(server: PostgresServer) -> None:
    """What is committed is there after a restart and after a SIGKILL, at the same address."""
    dsn = server.dsn("shop")
    server.create_database("shop")
    server.execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)", "shop")
    server.restart()
    assert rows(server) == [(1,)]
    server.execute("INSERT INTO kept VALUES (2)", "shop")
    with psycopg.connect(dsn) as connection:
        server.kill()
        assert not server.running
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(dsn)
    server.start()
    assert server.dsn("shop") == dsn
    assert rows(server) == [(1,), (2,)]


def test_settings_and_addresses(server: PostgresServer) -> None:
    """Settings arrive; TCP asks for the password, the socket does not; psql works."""
    assert server.execute("SHOW work_mem") == [("3MB",)]
    assert server.execute("SHOW fsync") == [("on",)]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(server.dsn(password="wrong"))
    with psycopg.connect(server.socket_dsn()) as connection:
        assert connection.info.encoding == "utf-8"
    command = [str(server.psql), "-X", "-A", "-t", "-c", "SELECT lower('ДА')", server.dsn()]
    done = subprocess.run(command, check=True, capture_output=True, encoding="utf-8")
    assert done.stdout == "да\n"


def test_a_second_owner_is_refused(server: PostgresServer) -> None:
    """While one owner's server runs, another object cannot start or end one in the directory."""
    with (
        pytest.raises(PlaygroundError, match="another process"),
        PostgresServer(server.directory),
    ):
        pass
    assert server.execute("SELECT 1") == [(1,)]


def test_leftover_of_a_dead_owner_is_ended(tmp_path: Path) -> None:
    """An owner that dies leaves its server; the next start in the directory ends that one first."""
    left, _ = leave_a_server(str(tmp_path / "pg"))
    assert "postgres" in command_line(left)
    with PostgresServer(tmp_path / "pg") as server:
        assert wait_gone(left, 0)
        assert server.pid != left
        assert server.execute("SELECT 1") == [(1,)]


def test_temporary_leftover_is_swept() -> None:
    """A temporary directory whose owner has died goes when the next one is made, server and all."""
    left, directory = leave_a_server()
    server = PostgresServer()
    try:
        assert wait_gone(left, 0)
        assert not directory.exists()
        assert server.directory.exists()
    finally:
        server.close()
    assert not server.directory.exists()


def test_a_foreign_process_is_left_alone(tmp_path: Path) -> None:
    """A pid file may name a process that has nothing to do with us by now."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as foreign:
        remember(tmp_path, foreign.pid, signal.SIGTERM)
        assert not end_leftover(tmp_path)
        assert foreign.poll() is None
        foreign.communicate(b"\n")
    assert foreign.returncode == 0


def test_database_fixture(postgres_server: PostgresServer, database: str) -> None:
    """The shared server gives each test an empty database."""
    query = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    assert postgres_server.execute(query, database) == [(0,)]


def test_a_program_that_there_is_not(server: PostgresServer) -> None:
    """The error names the program and where it was looked for."""
    with pytest.raises(PlaygroundError, match="no program pg_nothing"):
        server.binary("pg_nothing")
