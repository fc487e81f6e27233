"""A watched table becomes the target of a logical subscription: its worker fires no statement
triggers, so what it writes from then on is told by row triggers, into the journal."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from playground.postgres import PostgresServer
from playground.search import SearchServer
from tests.kit.scene import Scene, Template, create_movies, create_roles, open_scene

GENRES = "content.genre"
LINKS = "content.genre_film_work"
TABLES = f"{GENRES}, {LINKS}"


@pytest.fixture(scope="module")
def template(logical_server: PostgresServer) -> Template:
    """Three hundred films."""
    create_roles(logical_server)
    return create_movies(logical_server)


class Publisher:
    """The other database of this server, whose genres and links the scene's database follows."""

    def __init__(self, server: PostgresServer, scene: Scene) -> None:
        self.server = server
        self.scene = scene

    def run(self, statement: str) -> None:
        """There."""
        self.server.execute(statement, "publisher")

    def subscribe(self) -> None:
        """The slot is made by hand: both databases are on one server."""
        self.run("SELECT pg_create_logical_replication_slot('sub', 'pgoutput')")
        self.scene.admin(
            f"CREATE SUBSCRIPTION sub CONNECTION '{self.server.socket_dsn('publisher')}' "
            "PUBLICATION pub WITH (create_slot = false, slot_name = 'sub', copy_data = false)"
        )

    def unsubscribe(self) -> None:
        """And the slot goes, too."""
        self.scene.admin(
            "ALTER SUBSCRIPTION sub DISABLE; ALTER SUBSCRIPTION sub SET (slot_name = NONE)"
        )
        self.scene.admin("DROP SUBSCRIPTION sub")
        pause = Event()
        while self.server.execute("SELECT active FROM pg_replication_slots WHERE active"):
            pause.wait(0.05)
        self.run("SELECT pg_drop_replication_slot('sub')")

    def write(self, statement: str) -> None:
        """There, and wait until it has arrived here."""
        self.run(statement)
        [(end,)] = self.server.execute("SELECT pg_current_wal_insert_lsn()::text", "publisher")
        deadline = time.monotonic() + 30
        pause = Event()
        while not self.server.execute(
            "SELECT 1 FROM pg_replication_slots WHERE slot_name = 'sub' "
            f"AND confirmed_flush_lsn >= '{end}'"
        ):
            assert time.monotonic() < deadline, (
                f"the subscription does not follow:\n{self.server.log.read_text()[-3000:]}"
            )
            pause.wait(0.05)


@pytest.fixture
def publisher(
    logical_server: PostgresServer, search_server: SearchServer, template: Template, tmp_path: Path
) -> Iterator[Publisher]:
    """The scene, and a copy of its database that publishes."""
    with open_scene(logical_server, search_server, template, tmp_path) as scene:
        logical_server.create_database("publisher", template.database)
        publisher = Publisher(logical_server, scene)
        try:
            publisher.run(f"CREATE PUBLICATION pub FOR TABLE {TABLES}")
            yield publisher
        finally:
            with contextlib.suppress(Exception):
                publisher.unsubscribe()
            logical_server.drop_database("publisher")


WRITES = (
    "UPDATE content.genre SET name = 'Sub ' || name WHERE id = md5('genre 3')::uuid",
    # moved away from one film, to another
    "UPDATE content.genre_film_work SET film_work_id = md5('film 291')::uuid "
    "WHERE id = md5('genre link 7 0')::uuid",
    "DELETE FROM content.genre_film_work WHERE id = md5('genre link 9 1')::uuid",
    "INSERT INTO content.genre_film_work (film_work_id, genre_id) "
    "VALUES (md5('film 292')::uuid, md5('genre 1')::uuid)",
    "DELETE FROM content.genre WHERE id = md5('genre 5')::uuid",
)


def test_with_notify_off(publisher: Publisher) -> None:
    """What the worker wrote before the audit saw the subscription is compared, and row triggers
    take over; what comes after needs no comparison, nor does a restart."""
    scene = publisher.scene
    scene.set(audit_every=600)
    for watch in scene.options["documents"][0]["watch"]:
        if watch["table"] in (GENRES, LINKS):
            watch["notify"] = "off"
    scene.once()
    publisher.subscribe()
    for statement in WRITES[:3]:
        publisher.write(statement)
    assert scene.differences(), "statement triggers told of it, or it has not come"
    scene.set(audit_every=0.3)
    daemon = scene.start()
    daemon.wait_for("history_changed")
    daemon.wait_for("reconciled", stale=lambda count: count > 0)
    scene.wait_converged()
    daemon.wait_for("watermark_moved")
    mark = daemon.mark()
    for statement in WRITES[3:]:
        publisher.write(statement)
        scene.wait_converged()
    assert not daemon.found("reconcile_started", after=mark), daemon.log
    # given up again: statement triggers come back, and what nobody told of is compared
    publisher.unsubscribe()
    daemon.wait_for("audit_failed", after=mark, what=re.compile("genre"))
    daemon.wait_for("reconciled", after=mark)
    mark = daemon.mark()
    scene.sql("DELETE FROM content.genre WHERE id = md5('genre 6')::uuid")
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()


def test_while_the_daemon_runs_with_notify_rows(publisher: Publisher) -> None:
    """Held with the line to change; with that line it starts, compares, and serves."""
    scene = publisher.scene
    scene.set(audit_every=0.3)
    daemon = scene.serve()
    mark = daemon.mark()
    publisher.subscribe()
    publisher.write(WRITES[1])
    publisher.write(WRITES[2])
    held = daemon.wait_for("held", after=mark, reason=re.compile("subscription"))
    assert "write `notify: off` instead of `notify: rows`" in held["reason"]
    assert daemon.running
    publisher.write(WRITES[0])
    daemon.stop()
    for watch in scene.options["documents"][0]["watch"]:
        if watch["table"] in (GENRES, LINKS):
            watch["notify"] = "off"
    daemon = scene.start()
    daemon.wait_for("history_changed")
    daemon.wait_for("reconciled")
    scene.wait_converged()
    daemon.wait_for("watermark_moved")
    mark = daemon.mark()
    publisher.write(WRITES[3])
    publisher.write(WRITES[4])
    scene.wait_converged()
    assert not daemon.found("reconcile_started", after=mark), daemon.log
    daemon.stop()
    scene.assert_converged()
