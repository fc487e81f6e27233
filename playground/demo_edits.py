"""The edits of the demo: plain SQL, as somebody types it into psql.

None of it knows of listener. Each edit says which films it concerns, so that the demo knows which
documents to look at.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, LiteralString

import psycopg

from playground.demo_index import Document

Connection = psycopg.Connection[tuple[Any, ...]]

FILMS_OF_A_GENRE: Final = 56
"""The genre of about so many films is renamed."""

_QUERY: Final = Path(__file__).resolve().parent.parent / "sql" / "movies" / "film.sql"


@dataclass(frozen=True, slots=True)
class Edit:
    """One transaction: its statements, and the films whose documents must follow."""

    statements: tuple[tuple[LiteralString, Sequence[Any]], ...]
    films: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """A row of the demo's table: the same kind of edit a few times, on other rows each time."""

    name: str
    edits: tuple[Edit, ...]


class Editor:
    """Thinks of edits, and commits them over a connection of a user of the database."""

    def __init__(self, dsn: str, times: int) -> None:
        self.connection: Connection = psycopg.connect(dsn, autocommit=True)
        # the text of a time stamp in JSON depends on the session's time zone
        self.connection.execute("SET TIME ZONE 'UTC'")
        self._times = times
        self._films = self._some_films()

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def warm_up(self) -> list[Edit]:
        """Edits that nobody measures: Java is slow where it has not been before."""
        return [self._title("(warm-up)") for _ in range(3)]

    def kinds(self) -> list[Kind]:
        """All that the table shows."""
        numbers = range(1, self._times + 1)
        return [
            Kind("film: title changed", tuple(self._title(f"Edited ({n})") for n in numbers)),
            self._genre(),
            Kind("actor added", tuple(self._actor(f"New Actor {n}") for n in numbers)),
            Kind("link moved to another film", tuple(self._move() for _ in numbers)),
            Kind("film deleted", tuple(self._delete() for _ in numbers)),
        ]

    def commit(self, edit: Edit) -> dict[str, Document | None]:
        """Do it in one transaction; returns when COMMIT has.

        The answer is what the document query returned inside of it, for each film of the edit: what
        the index must hold from now on. None: no such document.
        """
        with self.connection.transaction():
            for statement, values in edit.statements:
                self.connection.execute(statement, values)
            return self.documents(edit.films)

    def documents(self, films: Sequence[str]) -> dict[str, Document | None]:
        """What the document query returns for these films."""
        rows = self.connection.execute(
            _QUERY.read_bytes(), {"ids": [uuid.UUID(film) for film in films]}
        ).fetchall()
        found: dict[str, Document | None] = dict.fromkeys(films)
        found.update((str(film), document) for film, document in rows)
        return found

    def films(self) -> int:
        """How many films there are."""
        return int(self._rows("SELECT count(*) FROM content.film_work")[0][0])

    def some_film(self) -> tuple[str, str]:
        """Id and title of a film that no edit has touched."""
        film = next(self._films)
        return film, self._rows("SELECT title FROM content.film_work WHERE id = %s", film)[0][0]

    # -- the edits -------------------------------------------------------------------------------

    def _title(self, suffix: str) -> Edit:
        film = next(self._films)
        statement: LiteralString = (
            "UPDATE content.film_work SET title = title || ' ' || %s WHERE id = %s"
        )
        return Edit(((statement, (suffix, film)),), (film,))

    def _genre(self) -> Kind:
        genre, name = self._rows(
            "SELECT genre.id, genre.name FROM content.genre AS genre "
            "JOIN content.genre_film_work AS link ON link.genre_id = genre.id "
            "GROUP BY genre.id ORDER BY abs(count(*) - %s), genre.name LIMIT 1",
            FILMS_OF_A_GENRE,
        )[0]
        films = tuple(
            str(film)
            for (film,) in self._rows(
                "SELECT film_work_id FROM content.genre_film_work WHERE genre_id = %s", genre
            )
        )
        statement: LiteralString = "UPDATE content.genre SET name = %s WHERE id = %s"
        edits = tuple(
            Edit(((statement, (f"{name} {n}", genre)),), films) for n in range(1, self._times + 1)
        )
        return Kind(f"genre renamed ({len(films)} films)", edits)

    def _actor(self, name: str) -> Edit:
        film = next(self._films)
        person = str(uuid.uuid4())
        added: LiteralString = "INSERT INTO content.person (id, full_name) VALUES (%s, %s)"
        linked: LiteralString = (
            "INSERT INTO content.person_film_work (film_work_id, person_id, role) "
            "VALUES (%s, %s, 'actor')"
        )
        return Edit(((added, (person, name)), (linked, (film, person))), (film,))

    def _move(self) -> Edit:
        """Both films are concerned: one loses an actor, the other one gets him."""
        loses, gets = next(self._films), next(self._films)
        link = self._rows(
            "SELECT link.id FROM content.person_film_work AS link WHERE link.film_work_id = %s "
            "AND NOT EXISTS (SELECT FROM content.person_film_work AS other WHERE "
            "other.film_work_id = %s AND other.person_id = link.person_id) LIMIT 1",
            loses,
            gets,
        )[0][0]
        statement: LiteralString = (
            "UPDATE content.person_film_work SET film_work_id = %s WHERE id = %s"
        )
        return Edit(((statement, (gets, link)),), (loses, gets))

    def _delete(self) -> Edit:
        film = next(self._films)
        return Edit((("DELETE FROM content.film_work WHERE id = %s", (film,)),), (film,))

    def _some_films(self) -> Iterator[str]:
        """Different films of several actors, the youngest first."""
        rows = self._rows(
            "SELECT film.id FROM content.film_work AS film WHERE (SELECT count(*) "
            "FROM content.person_film_work AS link WHERE link.film_work_id = film.id) > 2 "
            "ORDER BY film.creation_date DESC, film.id LIMIT %s",
            10 * (self._times + 1),
        )
        return iter([str(film) for (film,) in rows])

    def _rows(self, query: LiteralString, *values: Any) -> list[tuple[Any, ...]]:
        return self.connection.execute(query, values).fetchall()
