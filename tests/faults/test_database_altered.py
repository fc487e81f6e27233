"""Whatever a database can be made to hold, the daemon stays up, and is right when it is mended."""

from __future__ import annotations

from pathlib import Path

import pytest

from playground.postgres import PostgresServer
from playground.search import SearchServer
from tests.kit.altered import CASES, alter, open_stall, stall_template
from tests.kit.scene import Template


@pytest.fixture(scope="module")
def template(postgres_server: PostgresServer, roles: None) -> Template:
    """The stall."""
    return stall_template(postgres_server)


@pytest.mark.parametrize("notify", ["rows", "doorbell", "off"])
@pytest.mark.parametrize("name", CASES)
def test_altered_under_the_daemon(  # noqa: PLR0917
    postgres_server: PostgresServer,
    search_server: SearchServer,
    template: Template,
    tmp_path: Path,
    name: str,
    notify: str,
) -> None:
    """Each way of hearing of changes meets it first; `verify` beside it ends with a status."""
    with open_stall(postgres_server, search_server, template, tmp_path, notify) as stall:
        alter(stall, CASES[name], "verify")
