"""Scenes: a database cloned from a template, a configuration and daemons, for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from playground.postgres import PostgresServer
from playground.search import SearchServer
from tests.kit.scene import (
    SCHEMAS,
    Scene,
    Served,
    Template,
    create_movies,
    create_roles,
    create_template,
    open_scene,
)


@pytest.fixture(scope="session")
def roles(postgres_server: PostgresServer) -> None:
    """The roles of the daemon and of the application."""
    create_roles(postgres_server)


@pytest.fixture(scope="session")
def movies_template(postgres_server: PostgresServer, roles: None) -> Template:
    """Three hundred films, with the documents of the example."""
    return create_movies(postgres_server)


@pytest.fixture(scope="session")
def depot_template(postgres_server: PostgresServer, roles: None) -> Template:
    """The depot: composite keys, two kinds of documents."""
    folder = SCHEMAS / "depot"
    return create_template(
        postgres_server, "Depot", folder / "documents.yaml", folder / "schema.sql"
    )


@pytest.fixture(scope="session")
def ledger_template(postgres_server: PostgresServer, roles: None) -> Template:
    """The ledger: partitions, stamps without a zone, no notifications."""
    folder = SCHEMAS / "ledger"
    return create_template(
        postgres_server, "ledger", folder / "documents.yaml", folder / "schema.sql"
    )


@pytest.fixture
def scene(
    postgres_server: PostgresServer,
    search_server: SearchServer,
    movies_template: Template,
    tmp_path: Path,
) -> Iterator[Scene]:
    """The movies, of which nothing is indexed yet."""
    with open_scene(postgres_server, search_server, movies_template, tmp_path) as scene:
        yield scene


@pytest.fixture(scope="module")
def served(
    postgres_server: PostgresServer,
    search_server: SearchServer,
    movies_template: Template,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    """The movies with a daemon that serves, for all tests of a module that leave it so."""
    folder = tmp_path_factory.mktemp("served")
    with open_scene(postgres_server, search_server, movies_template, folder) as scene:
        yield scene, scene.serve()
