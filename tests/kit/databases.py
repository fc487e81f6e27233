"""A PostgreSQL of a test's own, the daemon's way to it, and what the test looks for."""

from __future__ import annotations

import contextlib
import hashlib
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

from playground.cluster import Setting
from playground.postgres import PostgresServer
from playground.proxy import TcpProxy
from playground.search import SearchServer
from playground.system import wait_until
from tests.kit.scene import Scene, Template, create_movies, create_roles, open_scene


@contextlib.contextmanager
def own_server(
    settings: Mapping[str, Setting] | None = None, server: PostgresServer | None = None
) -> Iterator[tuple[PostgresServer, Template]]:
    """A PostgreSQL for one module or test alone, with the roles and the movies."""
    with server or PostgresServer(settings=settings) as running:
        create_roles(running)
        yield running, create_movies(running)


@contextlib.contextmanager
def own_scene(
    search: SearchServer, folder: Path, settings: Mapping[str, Setting] | None = None
) -> Iterator[Scene]:
    """A scene on a PostgreSQL of its own. `scene.proxy` is the daemon's way to it."""
    with (
        own_server(settings) as (server, template),
        open_scene(server, search, template, folder) as scene,
        through_proxy(scene),
    ):
        yield scene


@contextlib.contextmanager
def through_proxy(scene: Scene) -> Iterator[TcpProxy]:
    """The daemon reaches PostgreSQL through a proxy; the application goes directly."""
    with TcpProxy("127.0.0.1", scene.postgres.port) as proxy:
        scene.proxy = proxy
        scene.set(postgres={"port": proxy.port})
        yield proxy


def indexed(scene: Scene, name: str) -> bool:
    """Whether the document with the id `md5(name)::uuid` is in the index."""
    doc_id = uuid.UUID(hashlib.md5(name.encode(), usedforsecurity=False).hexdigest())
    return scene.search.request("GET", f"/{scene.index}/_doc/{doc_id}")[0] == 200


def wait_indexed(scene: Scene, name: str) -> None:
    """Wait until it is."""
    wait_until(
        lambda: indexed(scene, name), seconds=30, what=f"the document {name!r} is in the index"
    )


def fresh(scene: Scene, when: str) -> None:
    """What is committed now is indexed, also while a transaction holds the watermark back."""
    scene.sql(
        "INSERT INTO content.film_work (id, title, type) "
        f"VALUES (md5('{when}')::uuid, 'Fresh {when}', 'movie')"
    )
    wait_indexed(scene, when)


def parked(scene: Scene) -> int:
    """How many documents were put aside."""
    return int(scene.admin("SELECT count(*) FROM listener.parked")[0][0])


def sessions() -> str:
    """SQL: the processes of the daemon in this database, by the name of the session."""
    return (
        "SELECT pid, application_name FROM pg_stat_activity WHERE datname = current_database() "
        "AND application_name LIKE 'listener: %'"
    )
