"""Real servers: one PostgreSQL and one Elasticsearch for the whole run, and others on demand.

A test gets a database of its own (`database`) and a prefix of its own for whatever it creates in
Elasticsearch (`index_prefix`). A test may stop, kill or pause the shared servers: the next test
that asks for them finds them up.
"""

from __future__ import annotations

import contextlib
import platform
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import pytest

from playground import blueprint
from playground.cluster import Setting, wheel_version
from playground.postgres import PostgresServer
from playground.search import SearchServer
from playground.search import Setting as SearchSetting
from playground.server import Server

S = TypeVar("S", bound=Server)

_SEARCH = "es8"

QUICK = ("-XX:TieredStopAtLevel=1",)
"""Java's quick compiler only: a server starts in half the time, and no benchmark runs here."""


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
    with own_postgres({"fsync": "off"}) as server:
        yield server


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
    with started(PostgresServer(bin_directory=programs, settings={"fsync": "off"})) as server:
        yield server


@pytest.fixture(scope="module")
def logical_server() -> Iterator[PostgresServer]:
    """A PostgreSQL for one module that can be both sides of a subscription."""
    with own_postgres({"wal_level": "logical", "wal_retrieve_retry_interval": "200ms"}) as server:
        yield server


@pytest.fixture(scope="session")
def search_server() -> Iterator[SearchServer]:
    """A running Elasticsearch, shared by all tests."""
    # with half of this heap some hundred tests leave so much in it that requests are answered
    # with 429
    with own_search(_SEARCH, heap="1g") as server:
        yield server


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


@contextlib.contextmanager
def started(server: S) -> Iterator[S]:
    """Start a server for this block, and remove it at the end, also where it did not start."""
    with contextlib.closing(server):
        server.start()
        yield server


def own_postgres(
    settings: Mapping[str, Setting] | None = None,
) -> contextlib.AbstractContextManager[PostgresServer]:
    """A PostgreSQL that no other test uses."""
    return started(PostgresServer(settings=settings))


def own_search(
    name: str = _SEARCH,
    *,
    heap: str = "512m",
    settings: Mapping[str, SearchSetting] | None = None,
) -> contextlib.AbstractContextManager[SearchServer]:
    """An Elasticsearch or OpenSearch that no other test uses; `name` as `SearchServer` has it."""
    return started(SearchServer(name, heap=heap, settings=settings, jvm_options=QUICK))


def revive(server: Server) -> None:
    """Brings a shared server up again that a test has left paused, stopped or killed."""
    if server.running:
        server.resume()
    else:
        server.start()
