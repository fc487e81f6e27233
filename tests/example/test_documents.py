"""The document query and the mapping files of the example."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.example.queries import documents, mapped, run

Connection = psycopg.Connection[tuple[Any, ...]]


def insert(connection: Connection, table: str, **values: object) -> UUID:
    """Insert a row with an id of its own and return the id."""
    row_id = uuid4()
    values = {"id": row_id, **values}
    names, marks = ", ".join(values), ", ".join(f"%({name})s" for name in values)
    connection.execute(f"INSERT INTO content.{table} ({names}) VALUES ({marks})".encode(), values)
    return row_id


def film(connection: Connection, title: str = "A film", **values: object) -> UUID:
    """A film without links."""
    return insert(connection, "film_work", title=title, type="movie", **values)


def person(connection: Connection, name: str) -> UUID:
    """A person without links."""
    return insert(connection, "person", full_name=name)


def cast(connection: Connection, film_id: UUID, person_id: UUID, role: str) -> None:
    """Link a person to a film."""
    insert(connection, "person_film_work", film_work_id=film_id, person_id=person_id, role=role)


def test_one_row_for_each_id_that_exists(connection: Connection) -> None:
    """All films at once, ids asked for twice, ids that do not exist: one row a film, else none."""
    ids = [row[0] for row in connection.execute("SELECT id FROM content.film_work")]
    assert set(documents(connection, ids)) == set(ids)
    assert set(documents(connection, [ids[0], uuid4(), ids[0]])) == {ids[0]}
    assert documents(connection, []) == {}


def test_a_bare_film(connection: Connection) -> None:
    """A film without links has empty arrays, and its text comes through as it is."""
    title = '100 % "real"\n<film> \\ человек'
    film_id = film(connection, title, rating=8.1, creation_date="1999-12-31", description=None)
    connection.execute(
        "UPDATE content.film_work SET updated_at = '2024-05-06 07:08:09.123456+02' WHERE id = %s",
        [film_id],
    )
    assert documents(connection, [film_id])[film_id] == {
        "id": str(film_id),
        "title": title,
        "description": None,
        "rating": 8.1,
        "type": "movie",
        "creation_date": "1999-12-31",
        "genres": [],
        "actors": [],
        "writers": [],
        "directors": [],
        "actors_names": [],
        "writers_names": [],
        "directors_names": [],
        "updated_at": "2024-05-06T05:08:09.123456+00:00",
    }


def test_roles(connection: Connection) -> None:
    """Actors, writers and directors stand apart; who has two roles is in both; others are out."""
    film_id = film(connection)
    both, writer, producer = (person(connection, name) for name in ("Both", "Ann", "Paul"))
    for person_id, role in (
        (both, "director"),
        (both, "writer"),
        (writer, "writer"),
        (producer, "producer"),
    ):
        cast(connection, film_id, person_id, role)
    document = documents(connection, [film_id])[film_id]
    assert document["actors"] == document["actors_names"] == []
    assert document["directors"] == [{"id": str(both), "name": "Both"}]
    assert document["writers"] == [
        {"id": str(writer), "name": "Ann"},
        {"id": str(both), "name": "Both"},
    ]
    assert document["writers_names"] == ["Ann", "Both"]
    assert document["directors_names"] == ["Both"]


def test_a_person_linked_twice_in_a_role_appears_once(connection: Connection) -> None:
    """Even where no constraint keeps the second link out."""
    connection.execute(
        "ALTER TABLE content.person_film_work"
        " DROP CONSTRAINT person_film_work_film_work_id_person_id_role_key"
    )
    film_id, person_id = film(connection), person(connection, "Twice")
    cast(connection, film_id, person_id, "actor")
    cast(connection, film_id, person_id, "actor")
    document = documents(connection, [film_id])[film_id]
    assert document["actors"] == [{"id": str(person_id), "name": "Twice"}]
    assert document["actors_names"] == ["Twice"]


def test_the_order_of_arrays_is_fixed(connection: Connection) -> None:
    """By name, and by id where names are equal, whatever the order of the rows."""
    film_id = film(connection)
    people = sorted((name, str(person(connection, name))) for name in "cABbBa")
    for name, person_id in people[::2] + people[1::2]:
        cast(connection, film_id, UUID(person_id), "actor")
        insert(
            connection,
            "genre_film_work",
            film_work_id=film_id,
            genre_id=insert(connection, "genre", name=name),
        )
    document = documents(connection, [film_id])[film_id]
    assert [(one["name"], one["id"]) for one in document["actors"]] == people
    assert document["actors_names"] == ["A", "B", "B", "a", "b", "c"]
    assert document["genres"] == ["A", "B", "B", "a", "b", "c"]


@pytest.mark.parametrize(
    ("file", "link", "column"),
    [
        ("genre_films.sql", "genre_film_work", "genre_id"),
        ("person_films.sql", "person_film_work", "person_id"),
    ],
)
def test_mapping_files(connection: Connection, file: str, link: str, column: str) -> None:
    """A key leads to each of its films once; an unknown key leads nowhere."""
    query = f"SELECT {column}, array_agg(DISTINCT film_work_id) FROM content.{link} GROUP BY 1"
    expected = {key: set(films) for key, films in connection.execute(query.encode())}
    some = sorted(expected)[:20]
    for key in some:
        assert mapped(connection, file, [key, uuid4()]) == expected[key]
    assert mapped(connection, file, some) == set().union(*(expected[key] for key in some))
    assert mapped(connection, file, [uuid4()]) == set()


@pytest.mark.parametrize("file", ["film.sql", "genre_films.sql", "person_films.sql"])
def test_single_ids_are_found_by_index(connection: Connection, file: str) -> None:
    """Neither the query nor a mapping reads a large table from end to end for one id."""
    plan = "\n".join(row[0] for row in run(connection, file, [uuid4()], prefix=b"EXPLAIN "))
    for table in ("film_work", "person", "person_film_work", "genre_film_work"):
        assert f"Seq Scan on {table}" not in plan, plan
