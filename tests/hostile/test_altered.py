"""Whatever a database can be made to hold, the daemon stays up, and is right when it is mended.

The ones that ended it once; all of them: tests/faults/test_database_altered.py.
"""

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


QUICK = ("key to bigint", "mapped key to bigint", "meta is empty", "journal of other times")


@pytest.mark.parametrize("name", QUICK)
def test_altered_under_the_daemon(
    postgres_server: PostgresServer,
    search_server: SearchServer,
    template: Template,
    tmp_path: Path,
    name: str,
) -> None:
    """Polled: a poll meets the keys before the audit sees what was altered."""
    with open_stall(postgres_server, search_server, template, tmp_path, "off") as stall:
        alter(stall, CASES[name])
