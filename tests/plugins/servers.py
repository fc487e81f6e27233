"""Real servers as pytest fixtures: one PostgreSQL and one Elasticsearch for the whole run.

A test gets a database of its own (`database`) and a prefix of its own for whatever it creates in
Elasticsearch (`index_prefix`). A test may stop, kill or pause the shared servers: the next test
that asks for them finds them up.
"""

from __future__ import annotations

import platform
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from playground import blueprint
from playground.cluster import wheel_version
from playground.postgres import PostgresServer
from playground.search import SearchServer
from playground.server import Server

_SEARCH = "es8"


def pytest_report_header() -> str:
    """The versions that the results hold for."""
    search = blueprint.load(_SEARCH)
    return (
        f"servers: Python {platform.python_version()}, PostgreSQL wheel {wheel_version()}, "
        f"{search.product.capitalize()} {search.version}"
    )


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A running PostgreSQL, shared by all tests."""
    # the machine does not fail: what a killed server has written, the kernel still has
    server = PostgresServer(settings={"fsync": "off"})
    try:
        server.start()
        yield server
    finally:
        server.close()


def _with_icu() -> Path | None:
    """Programs of a PostgreSQL of this machine that is built with ICU: the wheel is not."""
    places = [Path(one) for one in [shutil.which("pg_config")] if one]
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_config"), reverse=True)
    for place in places:
        told = subprocess.run([place, "--configure"], capture_output=True, text=True, check=False)
        # since version 16 it is built with ICU unless told otherwise
        if "--with-icu" in told.stdout and (place.parent / "initdb").exists():
            return place.parent
    return None


@pytest.fixture(scope="session")
def icu_server() -> Iterator[PostgresServer]:
    """A second PostgreSQL, built with ICU: for collations that take different texts for one."""
    programs = _with_icu()
    if programs is None:
        pytest.skip("no PostgreSQL of this machine is built with ICU (Debian's are)")
    server = PostgresServer(bin_directory=programs, settings={"fsync": "off"})
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def search_server() -> Iterator[SearchServer]:
    """A running Elasticsearch, shared by all tests."""
    # the quick compiler only: half the time of a start, and no benchmark runs here. With half of
    # this heap some hundred tests leave so much in it that requests are answered with 429
    server = SearchServer(_SEARCH, heap="1g", jvm_options=["-XX:TieredStopAtLevel=1"])
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def database(postgres_server: PostgresServer) -> Iterator[str]:
    """The name of an empty database in UTF8, dropped at the end of the test."""
    revive(postgres_server)
    name = f"test_{secrets.token_hex(5)}"
    postgres_server.create_database(name)
    yield name
    revive(postgres_server)
    postgres_server.drop_database(name)


@pytest.fixture
def index_prefix(search_server: SearchServer) -> Iterator[str]:
    """A prefix for names in Elasticsearch; what bears it is deleted at the end of the test.

    That is indexes with their aliases, and index templates.
    """
    revive(search_server)
    prefix = f"test-{secrets.token_hex(5)}"
    yield prefix
    revive(search_server)
    search_server.delete_by_prefix(prefix)


def revive(server: Server) -> None:
    """Brings a shared server up again that a test has left paused, stopped or killed."""
    if server.running:
        server.resume()
    else:
        server.start()
