"""The servers of the suite: a PostgreSQL of its own, since prepared transactions need a setting."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from playground.postgres import PostgresServer
from playground.search import SearchServer
from tests.kit.scene import SCHEMAS, Template, create_movies, create_roles, create_template

STOCK: Final = SCHEMAS / "stock"


@dataclass(frozen=True, slots=True)
class Servers:
    """Both servers, and a template database for each schema."""

    postgres: PostgresServer
    search: SearchServer
    templates: Mapping[str, Template]


@contextlib.contextmanager
def open_servers(search: SearchServer) -> Iterator[Servers]:
    """Start PostgreSQL and fill the templates."""
    with PostgresServer(settings={"max_prepared_transactions": 20}) as postgres:
        create_roles(postgres)
        movies = create_movies(postgres)
        stock = create_template(postgres, "stock", STOCK / "documents.yaml", STOCK / "schema.sql")
        yield Servers(postgres, search, {"movies": movies, "stock": stock})
