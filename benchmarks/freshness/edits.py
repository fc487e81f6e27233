"""The edits whose way into the index is timed. The films are the same ones in every run."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from typing import Any, Final, LiteralString

from playground.demo_edits import FILMS_OF_A_GENRE, Edit, Editor, Kind

FILMS_OF_A_PERSON: Final = 10
"""Persons of about so many films are renamed."""
_TAKEN: Final = 5000


def films(editor: Editor) -> Iterator[str]:
    """Different films in an order without meaning: long documents and short ones.

    `freshness_writer` takes others, from the far end of the same order.
    """
    rows = _rows(editor, "SELECT id FROM content.film_work ORDER BY md5(id::text) LIMIT %s", _TAKEN)
    return iter([str(film) for (film,) in rows])


def title(film: str, channel: str | None) -> Edit:
    """A film gets another title; with a channel, the transaction notifies by itself."""
    change: LiteralString = (
        "UPDATE content.film_work SET title = title || ' (edited)' WHERE id = %s"
    )
    if channel is None:
        return Edit(((change, (film,)),), (film,))
    tell: LiteralString = "SELECT pg_notify(%s, %s)"
    return Edit(((change, (film,)), (tell, (channel, film))), (film,))


def told(edit: Edit, channel: str | None) -> Edit:
    """The same edit; with a channel, the transaction notifies of each film by itself."""
    if channel is None:
        return edit
    tell: LiteralString = "SELECT pg_notify(%s, film) FROM unnest(%s::text[]) AS film"
    return Edit((*edit.statements, (tell, (channel, list(edit.films)))), edit.films)


def cascades(editor: Editor, times: int, turn: int = 0) -> list[Kind]:
    """What comes from other tables than the film's own; `times` of each.

    `turn`: 0 for the first call on a database, 1 for the next one: each has edits of its own.
    """
    chosen = films(editor)
    first = turn * times
    mine = list(itertools.islice(chosen, first, first + times))
    return [
        _genre(editor, times, turn),
        _persons(editor, times),
        _links_in(editor, mine, first),
        _links_out(editor, times, first),
    ]


def _genre(editor: Editor, times: int, turn: int) -> Kind:
    genre, name = _rows(
        editor,
        "SELECT genre.id, genre.name FROM content.genre AS genre "
        "JOIN content.genre_film_work AS link ON link.genre_id = genre.id "
        "GROUP BY genre.id ORDER BY abs(count(*) - %s), genre.name LIMIT 1",
        FILMS_OF_A_GENRE,
    )[0]
    touched = _ids(
        editor, "SELECT film_work_id FROM content.genre_film_work WHERE genre_id = %s", genre
    )
    change: LiteralString = "UPDATE content.genre SET name = %s WHERE id = %s"
    edits = [Edit(((change, (f"{name} {turn} {n}", genre)),), touched) for n in range(1, times + 1)]
    return Kind(f"genre rename of {len(touched)} films, last of them", tuple(edits))


def _persons(editor: Editor, times: int) -> Kind:
    persons = _rows(
        editor,
        "SELECT link.person_id FROM content.person_film_work AS link GROUP BY link.person_id "
        "ORDER BY abs(count(DISTINCT link.film_work_id) - %s), link.person_id LIMIT %s",
        FILMS_OF_A_PERSON,
        times,
    )
    change: LiteralString = (
        "UPDATE content.person SET full_name = full_name || ' Jr.' WHERE id = %s"
    )
    edits = []
    for (person,) in persons:
        touched = _ids(
            editor,
            "SELECT DISTINCT film_work_id FROM content.person_film_work WHERE person_id = %s",
            person,
        )
        edits.append(Edit(((change, (person,)),), touched))
    return Kind(f"person rename of {FILMS_OF_A_PERSON} films, last of them", tuple(edits))


def _links_in(editor: Editor, chosen: list[str], first: int) -> Kind:
    change: LiteralString = (
        "INSERT INTO content.person_film_work (film_work_id, person_id, role) "
        "VALUES (%s, %s, 'director')"
    )
    # no person directs in this data, so none of these links is there already
    persons = _rows(
        editor,
        "SELECT id FROM content.person ORDER BY id LIMIT %s OFFSET %s",
        len(chosen),
        first,
    )
    return Kind(
        "link inserted",
        tuple(
            Edit(((change, (film, person)),), (film,))
            for film, (person,) in zip(chosen, persons, strict=True)
        ),
    )


def _links_out(editor: Editor, times: int, first: int) -> Kind:
    change: LiteralString = "DELETE FROM content.person_film_work WHERE id = %s"
    links = _rows(
        editor,
        "SELECT id, film_work_id FROM content.person_film_work "
        "ORDER BY md5(id::text) LIMIT %s OFFSET %s",
        times,
        first,
    )
    return Kind(
        "link deleted",
        tuple(Edit(((change, (link,)),), (str(film),)) for link, film in links),
    )


def _ids(editor: Editor, query: LiteralString, value: uuid.UUID) -> tuple[str, ...]:
    return tuple(str(film) for (film,) in _rows(editor, query, value))


def _rows(editor: Editor, query: LiteralString, *values: Any) -> list[tuple[Any, ...]]:
    return editor.connection.execute(query, values).fetchall()
