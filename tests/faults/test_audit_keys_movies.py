"""Every key column of the movies renamed, dropped, retyped: no statement of the application fails.

Where the key is gone the configuration must change: the daemon stays, holds and says so; with the
new configuration it converges. Where the key comes back it converges by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from playground.postgres import PostgresServer
from playground.search import SearchServer
from tests.kit.migrations import Migrated, own_files, rewrite
from tests.kit.scene import Template, open_scene


@pytest.fixture(scope="module")
def movies(
    postgres_server: PostgresServer,
    search_server: SearchServer,
    movies_template: Template,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Migrated]:
    """The movies with a daemon that looks three times a second."""
    folder = tmp_path_factory.mktemp("keys")
    with open_scene(postgres_server, search_server, movies_template, folder) as scene:
        scene.set(audit_every=0.3)
        own_files(scene)
        query = scene.options["documents"][0]["query_file"]
        rewrite(query, "    film.id,\n", "    film.id AS id,\n")  # whatever it is called
        yield Migrated(scene, scene.serve(), scene.connect())


@dataclass(frozen=True)
class Column:
    """A key column: `watch` is its place in the configuration, `files` are the SQL files that name
    it, and how (`{}` is its name)."""

    table: str
    name: str
    watch: int
    files: tuple[tuple[str, str], ...]
    edits: tuple[str, ...]
    document: bool = False


LINKS = """DELETE FROM {table} WHERE ctid = (SELECT max(ctid) FROM {table});
    UPDATE {table} SET created_at = now() WHERE ctid = (SELECT max(ctid) FROM {table})"""

COLUMNS = [
    Column(
        "content.film_work",
        "id",
        0,
        (("film.sql", "film.{}"),),
        (
            "UPDATE content.film_work SET title = 'T{}' WHERE title = (SELECT max(title) FROM "
            "content.film_work)",
            "INSERT INTO content.film_work (title, type) VALUES ('Added {}', 'movie')",
            "DELETE FROM content.film_work WHERE title = (SELECT min(title) FROM "
            "content.film_work)",
        ),
        document=True,
    ),
    Column(
        "content.genre",
        "id",
        1,
        (("film.sql", "g.{}"),),
        (
            "UPDATE content.genre SET name = 'G{}' WHERE name = (SELECT max(name) FROM "
            "content.genre)",
            "INSERT INTO content.genre (name) VALUES ('A new one {}')",
            "DELETE FROM content.genre WHERE name = (SELECT min(name) FROM content.genre)",
        ),
    ),
    Column(
        "content.person",
        "id",
        2,
        (("film.sql", "x.{}"),),
        (
            "UPDATE content.person SET full_name = 'P{}' WHERE full_name = (SELECT max(full_name) "
            "FROM content.person)",
            "INSERT INTO content.person (full_name) VALUES ('A new one {}')",
            "DELETE FROM content.person WHERE full_name = (SELECT min(full_name) "
            "FROM content.person)",
        ),
    ),
    Column(
        "content.genre_film_work",
        "film_work_id",
        3,
        (
            ("film.sql", "WHERE link.{} = film.id\n) AS genre"),
            ("genre_films.sql", "link.{} AS"),
        ),
        (LINKS.format(table="content.genre_film_work"),),
    ),
    Column(
        "content.person_film_work",
        "film_work_id",
        4,
        (
            ("film.sql", "WHERE link.{} = film.id\n        GROUP"),
            ("person_films.sql", "link.{} AS"),
        ),
        (LINKS.format(table="content.person_film_work"),),
    ),
]


def reconfigured(movies: Migrated, column: Column, old: str, new: str) -> None:
    """What a person does: the new name into the configuration and into the SQL files."""
    document = movies.scene.options["documents"][0]
    document["watch"][column.watch]["key"] = new
    if column.document:
        document["key"] = new
    files = {
        part[name].rsplit("-", 1)[1]: part[name]
        for part in (document, *document["watch"])
        for name in part
        if name.endswith("_file")
    }
    for name, text in column.files:
        rewrite(files[name], text.format(old), text.format(new))


@pytest.mark.parametrize("column", COLUMNS, ids=lambda one: f"{one.table}.{one.name}")
def test_renamed_then_dropped(movies: Migrated, column: Column) -> None:
    """Held with the column's name, twice; the configuration follows, and it converges, twice."""
    table, name = column.table, column.name
    mark = movies.daemon.mark()
    movies.migrate(f"ALTER TABLE {table} RENAME {name} TO ident")
    movies.write(*column.edits)
    held = movies.held(mark, table, f"key column {name} does not exist")
    movies.write(*column.edits)
    movies.migrate(f"ALTER TABLE {table} RENAME ident TO {name}")
    movies.compared(held)
    movies.settled(*column.edits)

    mark = movies.daemon.mark()
    movies.migrate(f"ALTER TABLE {table} RENAME {name} TO ident")
    movies.held(mark, table, f"key column {name} does not exist")
    movies.write(*column.edits)
    reconfigured(movies, column, name, "ident")
    movies.restarted()
    movies.settled(*column.edits)

    mark = movies.daemon.mark()
    movies.migrate(
        f"ALTER TABLE {table} ADD COLUMN {name} uuid DEFAULT gen_random_uuid()",
        f"UPDATE {table} SET {name} = ident",
        f"ALTER TABLE {table} DROP COLUMN ident CASCADE",
        f"ALTER TABLE {table} ALTER {name} SET NOT NULL",
    )
    if name == "id":
        movies.migrate(f"ALTER TABLE {table} ADD PRIMARY KEY ({name})")
    movies.write(*column.edits)
    movies.held(mark, table, "key column ident does not exist")
    movies.write(*column.edits)
    reconfigured(movies, column, "ident", name)
    movies.restarted()
    movies.settled(*column.edits)


RETYPED = {
    "content.film_work": (
        "content.film_work ALTER id DROP DEFAULT",
        "content.film_work ALTER id TYPE {}",
        "content.genre_film_work ALTER film_work_id TYPE {}",
        "content.person_film_work ALTER film_work_id TYPE {}",
        "content.film_work ALTER id SET DEFAULT gen_random_uuid()",
    ),
    "content.genre": (
        "content.genre ALTER id DROP DEFAULT",
        "content.genre ALTER id TYPE {}",
        "content.genre_film_work ALTER genre_id TYPE {}",
        "content.genre ALTER id SET DEFAULT gen_random_uuid()",
    ),
    "content.person": (
        "content.person ALTER id DROP DEFAULT",
        "content.person ALTER id TYPE {}",
        "content.person_film_work ALTER person_id TYPE {}",
        "content.person ALTER id SET DEFAULT gen_random_uuid()",
    ),
}


def retype(movies: Migrated, table: str, kind: str) -> None:
    """With the columns that reference it, and without its foreign keys (dropped before)."""
    for constraint, place in movies.scene.admin(
        "SELECT conname, conrelid::regclass::text FROM pg_constraint WHERE contype = 'f' "
        f"AND confrelid = '{table}'::regclass"
    ):
        movies.migrate(f"ALTER TABLE {place} DROP CONSTRAINT {constraint}")
    movies.migrate(*(f"ALTER TABLE {one.format(_typed(one, kind))}" for one in RETYPED[table]))


def _typed(statement: str, kind: str) -> str:
    name = statement.split()[2]
    return f"{kind} USING {name}::text::{kind}"


@pytest.mark.parametrize("table", RETYPED)
def test_retyped(movies: Migrated, table: str) -> None:
    """To text: by itself, the stages are built anew. To a type that cannot be a key (of the same
    text): held, until it is one again."""
    edits = next(one.edits for one in COLUMNS if one.table == table)
    mark = movies.daemon.mark()
    retype(movies, table, "text")
    movies.write(*edits)
    movies.compared(mark)
    movies.settled(*edits)
    mark = movies.daemon.mark()
    retype(movies, table, "name")
    movies.write(*edits)
    held = movies.held(mark, table, "key column id is of type name")
    movies.write(*edits)
    assert "take another column" in held["reason"]
    retype(movies, table, "uuid")
    movies.compared(held)
    movies.settled(*edits)


@pytest.mark.parametrize("column", COLUMNS[3:], ids=lambda one: one.table)
def test_link_retyped_alone(movies: Migrated, column: Column) -> None:
    """Its key is the document's id, and the two have different types now: held, with the way out,
    until they agree again."""
    table, edits = column.table, column.edits
    for (constraint,) in movies.scene.admin(
        "SELECT conname FROM pg_constraint WHERE contype = 'f' "
        f"AND conrelid = '{table}'::regclass AND confrelid = 'content.film_work'::regclass"
    ):
        movies.migrate(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}")
    mark = movies.daemon.mark()
    movies.migrate(f"ALTER TABLE {table} ALTER film_work_id TYPE text")
    movies.write(*edits)
    held = movies.daemon.wait_for(
        "held", after=mark, reason=lambda text: "give a mapping_file" in text
    )
    movies.write(*edits)
    movies.migrate(f"ALTER TABLE {table} ALTER film_work_id TYPE uuid USING film_work_id::uuid")
    movies.compared(held)
    movies.settled(*edits)
