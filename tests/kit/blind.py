"""Rows written while listener's triggers see nothing: only a comparison can find them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from playground.daemon import ListenerProcess, Record
from playground.postgres import PostgresServer
from playground.search import SearchServer
from tests.kit.scene import OWNER, Scene, Template, open_scene

FILMS = "content.film_work"
LINKS = "content.person_film_work"

_OLD = "2001-01-01 00:00:00+00"
"""A stamp far below any watermark: what a row has that was not stamped."""


@dataclass
class Blind:
    """A scene of movies with its daemon, whose audit is frequent, and films that are still whole.

    No two tests write the same film, so that no test mends what another one spoiled.
    """

    scene: Scene
    daemon: ListenerProcess
    _films: int = 1
    _lonely: int = 291
    _links: int = 1

    def update(self) -> str:
        """Edits of a film that has links, and leaves its stamp old."""
        self._films += 1
        return (
            f"UPDATE content.film_work SET title = 'Blind {self._films}', updated_at = '{_OLD}' "
            f"WHERE id = md5('film {self._films}')::uuid;"
        )

    def delete(self) -> str:
        """Deletes a film that has no links (of those there are ten), so no other table tells."""
        self._lonely += 1
        assert self._lonely <= 301, "no lonely film is left"
        return f"DELETE FROM content.film_work WHERE id = md5('film {self._lonely - 1}')::uuid;"

    def move(self) -> str:
        """A link moves from one film to another: both documents are wrong."""
        self._links += 2
        return (
            f"UPDATE content.person_film_work SET film_work_id = md5('film {self._links}')::uuid, "
            f"role = 'writer {self._links}' "
            f"WHERE id = md5('person link {self._links + 1} 1')::uuid;"
        )

    def compared(self, after: Record | int, *, deadline: float = 30) -> None:
        """The audit saw it, or the start did; it was compared, and index = query."""
        reconciled = self.daemon.wait_for("reconciled", after=after, deadline=deadline)
        if not reconciled["missing"] + reconciled["stale"] + reconciled["orphaned"]:
            # it may have been one that was under way already
            self.daemon.wait_until(
                lambda records: next(
                    (
                        one
                        for one in records
                        if one.event == "reconciled"
                        and one["missing"] + one["stale"] + one["orphaned"]
                    ),
                    None,
                ),
                what="a comparison that found what was written blindly",
                after=after,
                deadline=deadline,
            )
        self.scene.wait_converged()

    def unseen(self) -> None:
        """What was written a moment ago is really blind: the index differs, a sweep mends nothing.

        For when the daemon does not run, or holds.
        """
        if not self.scene.differences():
            pytest.fail("nothing differs: what was to be written blindly was not")


def _blind(scene: Scene) -> Blind:
    scene.set(audit_every=0.3)
    return Blind(scene, scene.serve())


@pytest.fixture(scope="module")
def blind(
    postgres_server: PostgresServer,
    search_server: SearchServer,
    movies_template: Template,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Blind]:
    """The movies with a daemon that audits three times a second, for all tests of a module that
    leave it so."""
    folder = tmp_path_factory.mktemp("blind")
    with open_scene(postgres_server, search_server, movies_template, folder) as scene:
        yield _blind(scene)


@pytest.fixture
def blind_alone(scene: Scene) -> Blind:
    """The same for one test, which may leave its tables altered."""
    return _blind(scene)


def names(scene: Scene, table: str) -> dict[str, str]:
    """The triggers of a table by what they are for: insert, update, delete, truncate, stamp."""
    found = scene.admin(
        f"SELECT tgname FROM pg_trigger WHERE tgrelid = '{table}'::regclass AND NOT tgisinternal "
        "AND tgname LIKE '%listener%'"
    )
    by_use = {}
    for (name,) in found:
        use = "stamp" if name.startswith("~") else name.rsplit("_", 1)[1]
        by_use[use] = name
    return by_use


def emptied(function: str) -> str:
    """SQL that replaces a trigger function of listener by one that does nothing."""
    return (
        f"CREATE OR REPLACE FUNCTION listener.{function}() RETURNS trigger LANGUAGE plpgsql "
        "SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'BEGIN RETURN NULL; END';"
    )


def owner(scene: Scene, statement: str) -> None:
    """Run it as the owner of the tables: what it creates is the owner's."""
    with contextlib.closing(scene.connect(OWNER)) as connection:
        connection.execute(statement.encode())


def still_edited(blind: Blind) -> None:
    """Edits of each kind arrive by the usual way, without any comparison."""
    mark = blind.daemon.mark()
    blind.scene.sql(f"{blind.delete()} {blind.update()} {blind.move()}")
    blind.scene.wait_converged()
    assert not blind.daemon.found("reconcile_started", after=mark), blind.daemon.log
