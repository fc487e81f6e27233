"""PostgreSQL refuses the daemon: no connection left, a right revoked, another password."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from playground.daemon import ListenerProcess
from playground.postgres import PostgresServer
from playground.search import SearchServer
from playground.system import wait_until
from tests.kit.databases import own_server, parked, sessions, through_proxy
from tests.kit.recovery import Recovery
from tests.kit.scene import APPLICATION, OWNER, PASSWORD, Scene, Template, open_scene
from tests.kit.writers import Writers

CROWDED = re.compile("connection slots are reserved|too many clients")
EATER, READER = "process_eater", "process_reader"


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[PostgresServer, Template]]:
    """A server with few connections: three for superusers, 21 for all others."""
    with own_server({"max_connections": 24, "superuser_reserved_connections": 3}) as found:
        with psycopg.connect(found[0].dsn(), autocommit=True) as connection:
            for role in (EATER, READER):
                connection.execute(
                    sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                        sql.Identifier(role), sql.Literal(PASSWORD)
                    )
                )
        yield found


@pytest.fixture
def refusing(
    server: tuple[PostgresServer, Template], search_server: SearchServer, tmp_path: Path
) -> Iterator[Scene]:
    """A scene on that server, behind a proxy."""
    with open_scene(server[0], search_server, server[1], tmp_path) as scene, through_proxy(scene):
        yield scene


@pytest.fixture
def reading(refusing: Scene) -> Scene:
    """The daemon's role may read, and owns nothing: whom a right can be taken from."""
    scene = refusing
    scene.set(triggers={"install": "manual"}, postgres={"user": READER})
    scene.admin(
        f"REVOKE CONNECT ON DATABASE {scene.database} FROM PUBLIC; "
        f"GRANT CONNECT ON DATABASE {scene.database} TO {READER}, {APPLICATION}; "
        f"GRANT USAGE ON SCHEMA content TO {READER}; "
        f"GRANT SELECT ON ALL TABLES IN SCHEMA content TO {READER}"
    )
    dsn = f"host=127.0.0.1 port={scene.postgres.port} dbname={scene.database} user={OWNER}"
    scene.start(
        "triggers", "install", "--dsn", dsn, environment={"PGPASSWORD": PASSWORD}
    ).expect_exit(0)
    return scene


class Eater:
    """Another application that takes every connection that is left, and keeps it."""

    def __init__(self, scene: Scene) -> None:
        self._dsn = scene.postgres.dsn("postgres", user=EATER, password=PASSWORD)
        self._taken: list[psycopg.Connection[tuple[object, ...]]] = []

    def eat(self) -> None:
        """Take what is left; returns when one more was refused."""
        with contextlib.suppress(psycopg.OperationalError):
            while True:
                self._taken.append(psycopg.connect(self._dsn))

    def leave(self) -> None:
        """Give everything back."""
        for connection in self._taken:
            connection.close()
        self._taken.clear()

    def __enter__(self) -> Eater:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()


def test_no_connection_left_at_the_start(refusing: Scene) -> None:
    """It says so, waits, and begins when there is one."""
    scene = refusing
    scene.serve().stop()  # the triggers are there: their first installation locks tables
    with Writers(scene) as writers, Eater(scene) as eater:
        writers.wait()
        eater.eat()
        daemon = scene.start()
        first = daemon.wait_for("waiting", server="PostgreSQL", reason=CROWDED)
        daemon.wait_for("waiting", server="PostgreSQL", reason=CROWDED, after=first)
        eater.leave()
        recovery = Recovery("too many connections, daemon starts")
        daemon.wait_for("caught_up")
        recovery.works_again()
        writers.wait()
    recovery.converged(scene)
    finish(scene, daemon)


@pytest.mark.parametrize("name", ["notifications", "watermark", "documents"])
def test_a_connection_lost_and_none_left(refusing: Scene, name: str) -> None:
    """It has its connections, loses one, and another application is faster."""
    scene = refusing
    daemon = scene.serve()
    end = (
        f"SELECT pg_terminate_backend(pid) FROM ({sessions()}) AS s "
        f"WHERE application_name = 'listener: {name}'"
    )
    with Writers(scene) as writers, Eater(scene) as eater:
        writers.wait()
        eater.eat()
        mark = daemon.mark()

        def outrun() -> bool:
            scene.admin(end)
            eater.eat()
            return bool(daemon.found("waiting", after=mark, reason=CROWDED))

        wait_until(outrun, seconds=30, what="the other application is faster")
        writers.wait(200)
        eater.leave()
        recovery = Recovery(f"too many connections, {name} lost")
        daemon.wait_for("watermark_moved", after=daemon.mark())
        recovery.works_again()
        writers.wait()
    recovery.converged(scene)
    finish(scene, daemon)


REVOKED = {
    "a table of the query": ("SELECT ON content.genre", "permission denied for table genre"),
    "the document's table": (
        "SELECT ON content.film_work",
        "permission denied for table film_work",
    ),
    "the journal": ("SELECT ON listener.journal", "lacks privileges in the schema listener"),
    "the schema": ("USAGE ON SCHEMA content", "permission denied for schema content"),
    "our schema": ("USAGE ON SCHEMA listener", "permission denied for schema listener"),
    "the database": ("CONNECT ON DATABASE {database}", "permission denied for database"),
}


@pytest.mark.parametrize("what", REVOKED)
def test_a_right_is_revoked(reading: Scene, what: str) -> None:
    """Everything is held, nothing put aside and nothing deleted; granted again, it goes on."""
    scene = reading
    right, told = REVOKED[what]
    right = right.format(database=scene.database)
    daemon = scene.serve()
    with Writers(scene) as writers:
        writers.wait()
        mark = daemon.mark()
        scene.admin(f"REVOKE {right} FROM {READER}")
        if what in ("the journal", "our schema", "the database"):
            scene.proxy.cut()  # no statement of a daemon that only listens needs it
        refused = daemon.wait_until(
            lambda records: next((one for one in records if told in one.message), None),
            what=told,
            after=mark,
        )
        assert refused.event in ("waiting", "held")
        writers.wait(200)
        scene.admin(f"GRANT {right} TO {READER}")
        recovery = Recovery(f"right on {what} granted again")
        daemon.wait_for("watermark_moved", after=daemon.mark())
        recovery.works_again()
        writers.wait()
    recovery.converged(scene)
    assert not daemon.found("parked")
    finish(scene, daemon)


@pytest.mark.parametrize("way", ["changed back", "told in the file"])
def test_another_password(refusing: Scene, way: str, tmp_path: Path) -> None:
    """Sessions go on; new ones are refused until the two agree again. No restart is needed."""
    scene = refusing
    file = tmp_path / "password"
    file.write_text(PASSWORD)
    scene.set(postgres={"password_file": str(file)})
    del scene.options["postgres"]["password"]
    daemon = scene.serve()
    with Writers(scene) as writers:
        writers.wait()
        change_password(scene, "another")
        writers.wait()
        mark = daemon.mark()
        scene.proxy.cut()
        refused = re.compile("password authentication failed")
        first = daemon.wait_for("waiting", after=mark, reason=refused)
        daemon.wait_for("waiting", after=first, reason=refused)
        if way == "changed back":
            change_password(scene, PASSWORD)
        else:
            file.write_text("another")
        recovery = Recovery(f"password {way}")
        daemon.wait_for("caught_up", after=mark)
        recovery.works_again()
        writers.wait()
    recovery.converged(scene)
    finish(scene, daemon)
    change_password(scene, PASSWORD)


def change_password(scene: Scene, password: str) -> None:
    """Of the daemon's role."""
    with scene.superuser() as connection:
        connection.execute(
            sql.SQL("ALTER ROLE {} PASSWORD {}").format(
                sql.Identifier(OWNER), sql.Literal(password)
            )
        )


def finish(scene: Scene, daemon: ListenerProcess) -> None:
    """Nothing was put aside, and it ends in order."""
    assert parked(scene) == 0
    daemon.stop()
    scene.assert_converged()
