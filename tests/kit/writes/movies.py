"""Writes of the movies (tests/schemas/movies/content.sql).

Of what the template has, films up to 100, persons and genres *last*: their owners rename and
update them, TRUNCATE alone removes them, so everybody may link them without waiting. A slice's own
films, persons and genres come and go, and only that slice links them.
"""

from __future__ import annotations

import hashlib
import random
import uuid
from collections.abc import Sequence
from typing import Final

from tests.kit.writes.statements import SLICES, Copy, Statement, Write, text

_FILMS, _LASTING, _PERSONS, _GENRES = 300, 100, 120, 12
_EXTRA = 3
_MANY, _FLOOD = 600, 10_400
_ROLES: Final = ("actor", "writer", "director")

Choice = random.Random


def _id(name: str) -> str:
    return f"md5('{name}')::uuid"


def _uuid(name: str) -> str:
    return str(uuid.UUID(hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()))


def _numbers(number: int, first: int, last: int) -> list[int]:
    return [n for n in range(first, last + 1) if n % SLICES == number]


def _passing(number: int) -> list[str]:
    """Films that this slice may delete."""
    old = [f"film {n}" for n in _numbers(number, _LASTING + 1, _FILMS)]
    return old + [f"film of {number} {n}" for n in range(_EXTRA)]


def _films(number: int) -> list[str]:
    """All films that this slice writes."""
    return [f"film {n}" for n in _numbers(number, 1, _LASTING)] + _passing(number)


def _any_film(choice: Choice, number: int) -> str:
    """A film that this slice may link to persons and genres of its own."""
    lasting = f"film {choice.randrange(_LASTING) + 1}"
    return choice.choice([lasting, choice.choice(_passing(number))])


def _own(choice: Choice, kind: str, number: int) -> str:
    return f"{kind} of {number} {choice.randrange(_EXTRA)}"


def _lasting(choice: Choice, kind: str, number: int) -> str:
    count = _PERSONS if kind == "person" else _GENRES
    return f"{kind} {choice.choice(_numbers(number, 1, count))}"


def _link(choice: Choice, number: int) -> str:
    """A person link of this slice: one of the template, or one that it made."""
    film = choice.choice(_numbers(number, 1, 290))
    template = f"person link {film} {choice.randrange(4) + 1}"
    return choice.choice([template, f"person link of {number} {choice.randrange(_EXTRA * 2)}"])


def _there(table: str, name: str) -> str:
    return f"EXISTS (SELECT FROM content.{table} WHERE id = {_id(name)})"


def _ids(names: Sequence[str]) -> str:
    return ", ".join(_id(name) for name in names)


# -- films -----------------------------------------------------------------------------------------


def _insert(choice: Choice, number: int) -> list[Statement]:
    names = choice.sample(_films(number), 3)
    rows = ", ".join(f"({_id(n)}, {text(choice)}, 'movie')" for n in names)
    return [f"INSERT INTO content.film_work (id, title, type) VALUES {rows} ON CONFLICT DO NOTHING"]


def _upsert(choice: Choice, number: int) -> list[Statement]:
    names = choice.sample(_films(number), 3)
    rows = ", ".join(f"({_id(n)}, {text(choice)}, 'movie')" for n in names)
    return [
        f"INSERT INTO content.film_work (id, title, type) VALUES {rows} "
        "ON CONFLICT (id) DO UPDATE SET title = excluded.title, description = NULL"
    ]


def _update(choice: Choice, number: int) -> list[Statement]:
    change = choice.choice(
        [
            f"title = {text(choice)}",
            f"rating = {choice.randrange(100) / 10}, description = {text(choice)}",
            "rating = NULL",
            "title = title",
            f"creation_date = date '1900-01-01' + {choice.randrange(50_000)}",
            f"title = {text(choice)}, updated_at = '2001-01-01 00:00:00+00'",
        ]
    )
    names = choice.sample(_films(number), choice.choice([1, 1, 8]))
    return [f"UPDATE content.film_work SET {change} WHERE id IN ({_ids(names)})"]


def _delete(choice: Choice, number: int) -> list[Statement]:
    names = choice.sample(_passing(number), choice.choice([1, 1, 5]))
    return [f"DELETE FROM content.film_work WHERE id IN ({_ids(names)})"]


def _delete_insert(choice: Choice, number: int) -> list[Statement]:
    name = choice.choice(_passing(number))
    return [
        f"DELETE FROM content.film_work WHERE id = {_id(name)}",
        f"INSERT INTO content.film_work (id, title, type) "
        f"VALUES ({_id(name)}, {text(choice)}, 'tv_show')",
    ]


def _insert_delete(choice: Choice, number: int) -> list[Statement]:
    name = choice.choice(_passing(number))
    return [*_upsert(choice, number), f"DELETE FROM content.film_work WHERE id = {_id(name)}"]


def _merge(choice: Choice, number: int) -> list[Statement]:
    names = choice.sample(_passing(number), 4)
    rows = ", ".join(f"({_id(n)}, {text(choice)}, {k})" for k, n in enumerate(names))
    return [
        f"MERGE INTO content.film_work AS film USING (VALUES {rows}) AS new (id, title, n) "
        "ON film.id = new.id WHEN MATCHED AND n = 0 THEN DELETE "
        "WHEN MATCHED THEN UPDATE SET title = new.title "
        "WHEN NOT MATCHED THEN INSERT (id, title, type) VALUES (new.id, new.title, 'movie')"
    ]


def _copy(choice: Choice, number: int) -> list[Statement]:
    names = choice.sample(_passing(number), 4)
    rows = tuple((_uuid(n), f"Copied {choice.randrange(10**9)}", "movie") for n in names)
    return [
        f"DELETE FROM content.film_work WHERE id IN ({_ids(names)})",
        Copy("content.film_work", ("id", "title", "type"), rows),
    ]


def _new_key(choice: Choice, number: int) -> list[Statement]:
    old, new = choice.sample(_passing(number), 2)
    links = [
        f"DELETE FROM content.{table}_film_work WHERE film_work_id = {_id(old)}"
        for table in ("genre", "person")
    ]
    return [
        *links,
        f"UPDATE content.film_work SET id = {_id(new)}, title = {text(choice)} "
        f"WHERE id = {_id(old)} AND NOT {_there('film_work', new)} AND NOT EXISTS "
        f"(SELECT FROM content.genre_film_work WHERE film_work_id = {_id(old)}) AND NOT EXISTS "
        f"(SELECT FROM content.person_film_work WHERE film_work_id = {_id(old)})",
    ]


def _cte(choice: Choice, number: int) -> list[Statement]:
    gone, kept, new = choice.sample(_passing(number), 3)
    return [
        "WITH gone AS (DELETE FROM content.film_work "
        f"WHERE id = {_id(gone)} RETURNING title), unlinked AS "
        f"(DELETE FROM content.genre_film_work WHERE film_work_id = {_id(kept)}), added AS "
        f"(INSERT INTO content.film_work (id, title, type) SELECT {_id(new)}, title, 'movie' "
        "FROM gone ON CONFLICT (id) DO UPDATE SET title = excluded.title RETURNING title) "
        "UPDATE content.film_work SET description = 'after ' || (SELECT count(*) FROM added) "
        f"WHERE id = {_id(kept)}"
    ]


# -- links, persons, genres ------------------------------------------------------------------------


def _move(choice: Choice, number: int) -> list[Statement]:
    link = _link(choice, number)
    # a person of this slice in films of another slice: so no two slices write one row
    film = _any_film(choice, number) if " of " in link else choice.choice(_films(number))
    return [
        f"UPDATE content.person_film_work AS moved SET film_work_id = {_id(film)} "
        f"WHERE id = {_id(link)} AND {_there('film_work', film)} AND NOT EXISTS "
        "(SELECT FROM content.person_film_work AS other WHERE (film_work_id, person_id, role) = "
        f"({_id(film)}, moved.person_id, moved.role))"
    ]


def _cast(choice: Choice, number: int) -> list[Statement]:
    person = _own(choice, "person", number)
    link = f"person link of {number} {choice.randrange(_EXTRA * 2)}"
    film = _any_film(choice, number)
    return [
        f"INSERT INTO content.person (id, full_name) VALUES ({_id(person)}, {text(choice)}) "
        "ON CONFLICT DO NOTHING",
        "INSERT INTO content.person_film_work (id, film_work_id, person_id, role) "
        f"SELECT {_id(link)}, {_id(film)}, {_id(person)}, '{choice.choice(_ROLES)}' "
        f"WHERE {_there('film_work', film)} ON CONFLICT DO NOTHING",
    ]


def _uncast(choice: Choice, number: int) -> list[Statement]:
    return [f"DELETE FROM content.person_film_work WHERE id = {_id(_link(choice, number))}"]


def _role(choice: Choice, number: int) -> list[Statement]:
    return [
        f"UPDATE content.person_film_work AS one SET role = '{_ROLES[0]}' "
        f"WHERE id = {_id(_link(choice, number))} AND NOT EXISTS "
        "(SELECT FROM content.person_film_work AS other WHERE (film_work_id, person_id, role) = "
        f"(one.film_work_id, one.person_id, '{_ROLES[0]}'))"
    ]


def _genre_link(choice: Choice, number: int) -> list[Statement]:
    own = _own(choice, "genre", number)
    genre, film = choice.choice(
        [
            (own, _any_film(choice, number)),
            (f"genre {choice.randrange(_GENRES) + 1}", choice.choice(_films(number))),
        ]
    )
    return [
        f"INSERT INTO content.genre (id, name) VALUES ({_id(own)}, {text(choice)}) "
        "ON CONFLICT DO NOTHING",
        "INSERT INTO content.genre_film_work (film_work_id, genre_id) "
        f"SELECT {_id(film)}, {_id(genre)} WHERE {_there('film_work', film)} "
        f"AND {_there('genre', genre)} ON CONFLICT DO NOTHING",
    ]


def _genre_unlink(choice: Choice, number: int) -> list[Statement]:
    film = choice.choice(_passing(number))
    return [f"DELETE FROM content.genre_film_work WHERE film_work_id = {_id(film)}"]


def _rename(choice: Choice, number: int) -> list[Statement]:
    kind, column = choice.choice([("genre", "name"), ("person", "full_name")])
    name = choice.choice([_lasting(choice, kind, number), _own(choice, kind, number)])
    return [f"UPDATE content.{kind} SET {column} = {text(choice)} WHERE id = {_id(name)}"]


def _unseen(choice: Choice, number: int) -> list[Statement]:
    name = _lasting(choice, "genre", number)
    return [f"UPDATE content.genre SET description = {text(choice)} WHERE id = {_id(name)}"]


def _remove(choice: Choice, number: int) -> list[Statement]:
    kind = choice.choice(["genre", "person"])
    return [f"DELETE FROM content.{kind} WHERE id = {_id(_own(choice, kind, number))}"]


# -- many ------------------------------------------------------------------------------------------


def _many(choice: Choice, number: int) -> list[Statement]:
    return _mass(choice, f"many of {number}", _MANY)


def _flood(choice: Choice, number: int) -> list[Statement]:
    return _mass(choice, f"flood of {number}", _FLOOD)


def _mass(choice: Choice, name: str, count: int) -> list[Statement]:
    new = (
        "INSERT INTO content.film_work (id, title, type) "
        f"SELECT md5('{name} ' || n)::uuid, {text(choice)}, 'movie' "
        f"FROM generate_series(1, {count}) AS n "
        "ON CONFLICT (id) DO UPDATE SET title = excluded.title"
    )
    gone = (
        "DELETE FROM content.film_work WHERE id IN "
        f"(SELECT md5('{name} ' || n)::uuid FROM generate_series(1, {count}) AS n)"
    )
    return choice.choice([[new], [gone], [new, gone]])


def _all(choice: Choice, number: int) -> list[Statement]:
    return [
        f"UPDATE content.film_work SET title = {text(choice)} WHERE id IN ({_ids(_films(number))})"
    ]


def _refill(choice: Choice, number: int) -> list[Statement]:
    genres = ", ".join(f"({_id(f'genre {n}')}, {text(choice)})" for n in _numbers(number, 1, 12))
    persons = ", ".join(
        f"({_id(f'person {n}')}, {text(choice)})" for n in _numbers(number, 1, _PERSONS)
    )
    films = ", ".join(f"({_id(name)}, {text(choice)}, 'movie')" for name in _films(number))
    links: list[Statement] = []
    for _ in range(6):
        links += _genre_link(choice, number) + _cast(choice, number)
    return [
        f"INSERT INTO content.genre (id, name) VALUES {genres} ON CONFLICT DO NOTHING",
        f"INSERT INTO content.person (id, full_name) VALUES {persons} ON CONFLICT DO NOTHING",
        f"INSERT INTO content.film_work (id, title, type) VALUES {films} ON CONFLICT DO NOTHING",
        *links,
    ]


def _truncate(choice: Choice, number: int) -> list[Statement]:
    what = choice.choice(
        ["genre_film_work", "person_film_work", "genre CASCADE", "person CASCADE",
         "film_work CASCADE", "genre_film_work, content.person_film_work, content.film_work"]
    )  # fmt: skip
    return [f"TRUNCATE content.{what}", *choice.choice([[], _refill(choice, number)])]


MOVIES: Final = (
    Write("insert films", _insert),
    Write("upsert films", _upsert),
    Write("update films", _update),
    Write("delete films", _delete),
    Write("delete and insert a film", _delete_insert),
    Write("insert and delete films", _insert_delete),
    Write("merge films", _merge),
    Write("copy films", _copy),
    Write("change a film's key", _new_key),
    Write("writable CTE", _cte),
    Write("move a person link", _move),
    Write("cast a person", _cast),
    Write("delete a person link", _uncast),
    Write("change a role", _role),
    Write("link a genre", _genre_link),
    Write("delete genre links", _genre_unlink),
    Write("rename", _rename),
    Write("update what no document shows", _unseen),
    Write("delete a genre or person", _remove),
    Write("update all films", _all),
    Write("refill", _refill),
    Write("many films", _many),
    Write("flood of films", _flood, rare=True),
    Write("truncate", _truncate, alone=True),
)
