"""The odd schema: keys and contents that are what somebody typed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from playground.postgres import PostgresServer
from playground.search import SearchServer
from tests.kit.scene import Served, Template, create_template, open_scene

_ODD = Path(__file__).parent / "odd"


@pytest.fixture(scope="session")
def odd_template(postgres_server: PostgresServer, roles: None) -> Template:
    """Text keys, `json` as it was written, numbers and moments without a word in JSON."""
    return create_template(postgres_server, "odd", _ODD / "documents.yaml", _ODD / "schema.sql")


@pytest.fixture(scope="module")
def odd(
    postgres_server: PostgresServer,
    search_server: SearchServer,
    odd_template: Template,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    """The odd schema with a daemon that serves."""
    folder = tmp_path_factory.mktemp("odd")
    with open_scene(postgres_server, search_server, odd_template, folder) as scene:
        yield scene, scene.serve()
