"""Typical mistakes of a query or mapping file: each is caught before anything is written.

Each is made in the files of the movies, which are indexed. `check` or `preview` names it, and the
index stays as it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from playground.postgres import PostgresServer
from playground.search import SearchServer
from tests.kit.lengths import one_short
from tests.kit.scene import Scene, Template, open_scene


@pytest.fixture(scope="module")
def indexed(
    postgres_server: PostgresServer,
    search_server: SearchServer,
    movies_template: Template,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Scene]:
    """The movies, indexed. The tests change files, and nothing else."""
    folder = tmp_path_factory.mktemp("mistakes")
    with open_scene(postgres_server, search_server, movies_template, folder) as scene:
        scene.once()
        yield scene
        scene.assert_converged()


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake: `old` becomes `new` in a file of the document, or in the options.

    `says`: what is told of it, by `check` with exit status `check`, and by `preview` with status
    `preview`; None: that command passes.
    """

    option: str
    old: str
    new: str
    check: int
    says: tuple[str, ...]
    preview: int = 1
    previewed: tuple[str, ...] = ()


MISTAKES = {
    "a field that the mapping lacks": Mistake(
        "query_file",
        "'title', film.title",
        "'title', film.title, 'length', 90",
        2,
        (
            "error: {index}: ",
            "of 100 documents 100 would be refused: strict_dynamic_mapping_exception",
            '    mappings.properties: "length": {{"type": "long"}}',
        ),
        previewed=("refused: 300", "dynamic introduction of [length]"),
    ),
    "a field of a wrong type": Mistake(
        "index_config_file",
        '"title": {',
        '"title": {"type": "integer"}, "unused": {',
        2,
        (
            "of 100 documents 100 would be refused: ",
            "failed to parse field [title] of type [integer], as 'Film ",
            'in the mapping: "title": {{"type": "text"}}',
        ),
        previewed=("refused: 300", "failed to parse field [title]"),
    ),
    "a filter that leaves nothing": Mistake(
        "query_file",
        "WHERE film.id = ANY(%(ids)s)",
        "WHERE film.id = ANY(%(ids)s) AND film.rating > 1000",
        2,
        (
            "error: {index}: ",
            "it returns no document for any of 100 ids of content.film_work: it would empty",
        ),
        previewed=("gone: 300",),
    ),
    "a filter that leaves little": Mistake(
        "query_file",
        "WHERE film.id = ANY(%(ids)s)",
        "WHERE film.id = ANY(%(ids)s) AND film.id IN (SELECT f.id FROM content.film_work AS f\n"
        "ORDER BY f.id LIMIT 3)",
        0,
        ("of 100 ids of content.film_work ", " have no document", "if that is not meant: "),
        previewed=("gone: 297",),
    ),
    "a column that is not there": Mistake(
        "query_file",
        "'title', film.title",
        "'title', film.titel",
        2,
        ("line 12: column film.titel does not exist", "film.title", "\n1 errors, "),
        preview=2,
        previewed=("line 12", "film.titel", "film.title"),
    ),
    "a third column": Mistake(
        "query_file",
        "    film.id,\n    json_build_object",
        "    film.id, film.title,\n    json_build_object",
        2,
        ("exactly the columns id and document, and returns id, title, document", "\n1 errors, "),
        preview=2,
        previewed=("exactly the columns id and document, and returns id, title, document",),
    ),
    "a column of another name": Mistake(
        "query_file",
        ") AS document\n",
        ") AS doc\n",
        2,
        ("exactly the columns id and document, and returns id, doc", "\n1 errors, "),
        preview=2,
        previewed=("exactly the columns id and document, and returns id, doc",),
    ),
    "NULL in the place of some documents": Mistake(
        "query_file",
        ") AS document\n",
        ")::jsonb || CASE WHEN film.type = 'movie' THEN jsonb '{}' END AS document\n",
        2,
        ("NULL as the document", "json_build_object(…) AS document, which is never NULL"),
        previewed=("NULL as the document", "mend: json_build_object(…) AS document, which"),
    ),
    "a statement that is no SELECT": Mistake(
        "query_file",
        "SELECT\n",
        "DELETE FROM content.film_work AS film USING (SELECT 1) AS x RETURNING\n",
        2,
        ("write one SELECT",),
        preview=2,
        previewed=("write one SELECT",),
    ),
    "several fields that the mapping lacks": Mistake(
        "query_file",
        "'title', film.title",
        "'title', film.title, 'length', 90, 'studio', json_build_object('name', 'a')",
        2,
        (
            "the mapping lacks the fields length, studio (",
            '    mappings.properties: "length": {{"type": "long"}}, "studio": {{"properties": ',
        ),
        previewed=("refused: 300",),
    ),
    "words in the place of a date": Mistake(
        "index_config_file",
        '"title": {',
        '"title": {"type": "date"}, "unused": {',
        2,
        ("of 100 documents 100 would be refused: ", "\n1 errors, "),
        previewed=("refused: 300",),
    ),
    "a join that doubles rows": Mistake(
        "query_file",
        "WHERE film.id = ANY(%(ids)s)",
        "JOIN content.genre_film_work AS twice ON twice.film_work_id = film.id\n"
        "WHERE film.id = ANY(%(ids)s)",
        2,
        ("two rows for this id", "DISTINCT ON (id)"),
        previewed=("refused: 290", "two rows for this id", "mend: join so that an id has one row"),
    ),
    "a document that is no object": Mistake(
        "query_file",
        "json_build_object(\n        'id', film.id,",
        "json_build_array(\n        'id', film.id,",
        2,
        ("JSON that is no object", "json_build_object(…)"),
        previewed=("refused: 300", "JSON that is no object", "mend: json_build_object(…)"),
    ),
    "a LIMIT in the query": Mistake(
        "query_file",
        "WHERE film.id = ANY(%(ids)s)",
        "WHERE film.id = ANY(%(ids)s) ORDER BY film.id LIMIT 20",
        2,
        ("when asked for alone, and not among 100 ids", "no LIMIT"),
        previewed=("only when asked for alone",),
    ),
    "a document that depends on the others": Mistake(
        "query_file",
        "'title', film.title",
        "'title', film.title || (rank() OVER (ORDER BY film.title))::text",
        2,
        ("is another one when other ids are asked for, too", "PARTITION BY"),
        previewed=("changed: 300",),
    ),
    "an id of something else": Mistake(
        "query_file",
        "    film.id,\n    json_build_object",
        "    film.title AS id,\n    json_build_object",
        2,
        ("the query returned an id that was not asked for, Film ", "restricted to %(ids)s"),
        preview=2,
        previewed=("an id that was not asked for, Film ", "restricted to %(ids)s"),
    ),
    "a date as people write it": Mistake(
        "query_file",
        "'creation_date', film.creation_date",
        "'creation_date', to_char(film.creation_date, 'DD.MM.YYYY')",
        2,
        ("failed to parse field [creation_date] of type [date]", "as '"),
        previewed=("refused: 300", 'value "'),
    ),
    "a number in the place of a text": Mistake(
        "query_file",
        "'title', film.title",
        "'title', CASE WHEN film.type = 'movie' THEN 1 ELSE 0 END",
        0,
        (),
        previewed=("changed: 300", "title: 300; "),
    ),
    "a query that fails for some rows": Mistake(
        "query_file",
        "'title', film.title",
        "'title', film.title || left((1 / (film.rating * 10)::integer)::text, 0)",
        0,
        (),
        previewed=("refused: 2 ", "2: division by zero (SQLSTATE 22012)", "mend: let the query"),
    ),
    "a forgotten mapping file": Mistake(
        "watch",
        "genre",
        "",
        2,
        (
            "none of 12 keys of content.genre (id) is the id of a document",
            "    mapping_file: FILE.sql # keys to ids of {index}",
        ),
        preview=0,
    ),
    "a mapping file of another kind": Mistake(
        "watch",
        "genre",
        "SELECT g.id FROM content.genre AS g WHERE g.id = ANY(%(keys)s)",
        2,
        ("none of the 12 ids that it returns for 12 keys of content.genre (id)",),
        preview=0,
    ),
    "a mapping file that returns nothing": Mistake(
        "watch",
        "genre",
        "SELECT film_work_id AS id FROM content.genre_film_work WHERE film_work_id = ANY(%(keys)s)",
        0,
        ("it returns no id for any of 12 keys of content.genre",),
        preview=0,
    ),
    "a view in the place of the table": Mistake(
        "table", "content.film_work", "content.film_view", 2, ("ids_file",), preview=2
    ),
    "a join field": Mistake(
        "index_config_file",
        '"updated_at"',
        '"tree": {"type": "join", "relations": {"film": "part"}}, "updated_at"',
        2,
        ("join",),
        preview=2,
    ),
}


def make(scene: Scene, mistake: Mistake) -> None:
    """Make it in a copy of the file, or in the options."""
    document = scene.options["documents"][0]
    if mistake.option == "table":
        scene.admin(
            "CREATE OR REPLACE VIEW content.film_view AS SELECT * FROM content.film_work; "
            "GRANT SELECT ON content.film_view TO PUBLIC"
        )
        document["table"] = mistake.new
        return
    if mistake.option == "watch":
        [watch] = [one for one in document["watch"] if one["table"].endswith(mistake.old)]
        if mistake.new:
            path = scene.folder / "mapping.sql"
            path.write_text(mistake.new, "utf-8")
            watch["mapping_file"] = str(path)
        else:
            del watch["mapping_file"]
        return
    text = Path(document[mistake.option]).read_text("utf-8")
    assert mistake.old in text
    path = scene.folder / f"mistake-{Path(document[mistake.option]).name}"
    path.write_text(text.replace(mistake.old, mistake.new, 1), "utf-8")
    document[mistake.option] = str(path)


@pytest.mark.parametrize("name", one_short(MISTAKES, "a field that the mapping lacks"))
def test_it_is_caught(indexed: Scene, name: str) -> None:
    """By `check`, with the line that mends it; and by `preview`, which shows what would be."""
    mistake, scene = MISTAKES[name], indexed
    before = documents_of(scene)
    kept = deepcopy(scene.options["documents"])
    try:
        make(scene, mistake)
        check = scene.start("check", folder="check")
        check.expect_exit(mistake.check, 60)
        for words in mistake.says:
            assert words.format(index=scene.index) in check.output, check.output
        preview = scene.start("preview", scene.index, folder="preview")
        preview.expect_exit(mistake.preview, 60)
        for words in mistake.previewed:
            assert words in preview.output + preview.log, preview.log
    finally:
        scene.options["documents"] = kept
    assert documents_of(scene) == before
    assert scene.request("GET", f"/{scene.index}.scratch-*?expand_wildcards=all") == {}


def documents_of(scene: Scene) -> Any:
    """The index behind the alias, and each document with its version."""
    body = {"size": 1000, "version": True, "sort": ["id"]}
    found = scene.request("POST", f"/{scene.index}/_search", body)
    return scene.behind(), found["hits"]["hits"]
