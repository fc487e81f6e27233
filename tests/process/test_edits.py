"""Edits of every kind, while the daemon serves: each arrives by the path that it should take.

`swept` says that polling found rows that no notification had brought; so it is absent where NOTIFY
brings the keys, and present where a statement only says "sweep".
"""

from __future__ import annotations

from copy import deepcopy

import pytest

from playground.daemon import ListenerProcess
from tests.kit.scene import Scene

Served = tuple[Scene, ListenerProcess]

BY_NOTIFY = {
    "insert": """
        INSERT INTO content.film_work (id, title, type) VALUES (md5('new')::uuid, 'New', 'movie');
        INSERT INTO content.genre_film_work (film_work_id, genre_id)
        VALUES (md5('new')::uuid, md5('genre 1')::uuid)""",
    "update": "UPDATE content.film_work SET rating = 9.9 WHERE id = md5('film 1')::uuid",
    "update of one column to NULL": """
        UPDATE content.film_work SET description = NULL WHERE id = md5('film 1')::uuid""",
    "delete, which cascades to both link tables": """
        DELETE FROM content.film_work WHERE id = md5('film 2')::uuid""",
    "key of a document changed": """
        WITH gone AS (
            DELETE FROM content.genre_film_work WHERE film_work_id = md5('film 3')::uuid
        )
        DELETE FROM content.person_film_work WHERE film_work_id = md5('film 3')::uuid;
        UPDATE content.film_work SET id = md5('other id')::uuid WHERE id = md5('film 3')::uuid""",
    "link moved from one film to another": """
        UPDATE content.person_film_work SET film_work_id = md5('film 5')::uuid
        WHERE id = md5('person link 4 1')::uuid""",
    "link led to another genre": """
        UPDATE content.genre_film_work SET genre_id = md5('genre 11')::uuid
        WHERE id = md5('genre link 4 0')::uuid""",
    "link removed": """
        DELETE FROM content.person_film_work WHERE id = md5('person link 6 3')::uuid""",
    "genre renamed": "UPDATE content.genre SET name = 'Noir' WHERE id = md5('genre 3')::uuid",
    "person renamed who writes and directs": """
        UPDATE content.person SET full_name = 'Somebody Else' WHERE id = md5('person 20')::uuid""",
    "genre deleted, which cascades to the links": """
        DELETE FROM content.genre WHERE id = md5('genre 7')::uuid""",
    "person deleted, which cascades to the links": """
        DELETE FROM content.person WHERE id = md5('person 30')::uuid""",
    "on conflict do update": """
        INSERT INTO content.film_work (id, title, type)
        VALUES (md5('film 10')::uuid, 'Conflict', 'movie'), (md5('none')::uuid, 'None', 'movie')
        ON CONFLICT (id) DO UPDATE SET title = excluded.title""",
    "merge": """
        MERGE INTO content.film_work AS film
        USING (VALUES ('film 11', 'update'), ('film 12', 'delete'), ('merged', 'insert'))
            AS wanted (name, what)
        ON film.id = md5(wanted.name)::uuid
        WHEN MATCHED AND what = 'delete' THEN DELETE
        WHEN MATCHED THEN UPDATE SET title = 'Merged'
        WHEN NOT MATCHED THEN INSERT (id, title, type) VALUES (md5(name)::uuid, name, 'movie')""",
    "writable CTE over several tables": """
        WITH film AS (
            INSERT INTO content.film_work (title, type) VALUES ('CTE', 'movie') RETURNING id
        ), person AS (
            INSERT INTO content.person (full_name) VALUES ('CTE') RETURNING id
        )
        INSERT INTO content.person_film_work (film_work_id, person_id, role)
        SELECT film.id, person.id, role
        FROM film, person, (VALUES ('writer'), ('director')) AS r (role)""",
    "several statements in one transaction": """
        BEGIN;
        UPDATE content.film_work SET title = 'First' WHERE id = md5('film 14')::uuid;
        SAVEPOINT s;
        DELETE FROM content.film_work WHERE id = md5('film 15')::uuid;
        ROLLBACK TO s;
        UPDATE content.film_work SET title = 'Second' WHERE id = md5('film 14')::uuid;
        COMMIT""",
    "a statement that needs many payloads": """
        UPDATE content.film_work SET rating = 5""",
    "a row of a tied role": """
        INSERT INTO content.person_film_work (film_work_id, person_id, role)
        VALUES (md5('film 16')::uuid, md5('person 16')::uuid, 'producer')""",
}

BY_SWEEP = {
    "15,000 films and their links inserted by one statement": """
        WITH film AS (
            INSERT INTO content.film_work (id, title, type)
            SELECT md5('many ' || n)::uuid, 'Many', 'movie' FROM generate_series(1, 15000) AS n
            RETURNING id
        )
        INSERT INTO content.genre_film_work (film_work_id, genre_id)
        SELECT id, md5('genre 2')::uuid FROM film""",
    "15,000 films deleted by one statement": """
        DELETE FROM content.film_work WHERE title = 'Many'""",
}


@pytest.mark.parametrize("name", BY_NOTIFY)
def test_notify_brings_it(served: Served, name: str) -> None:
    """The keys arrive by NOTIFY: no sweep is needed."""
    scene, daemon = served
    mark = daemon.mark()
    scene.sql(BY_NOTIFY[name])
    scene.wait_converged()
    assert not daemon.found("swept", after=mark), daemon.log


@pytest.mark.long
@pytest.mark.parametrize("name", BY_SWEEP)
def test_too_many_keys_for_payloads(served: Served, name: str) -> None:
    """More than 10,000 keys in one statement: the notification only says "sweep"."""
    scene, daemon = served
    mark = daemon.mark()
    scene.sql(BY_SWEEP[name])
    daemon.wait_for("swept", after=mark, rows=lambda rows: rows >= 15_000)
    scene.wait_converged(60)
    if "inserted" in name:  # one mapped key is one key, however many documents it leads to
        mark = daemon.mark()
        scene.sql("UPDATE content.genre SET name = 'Crowd' WHERE id = md5('genre 2')::uuid")
        scene.wait_converged(60)
        assert not daemon.found("swept", after=mark), daemon.log


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE content.genre SET description = 'hot' WHERE id = md5('genre 1')::uuid",
        "UPDATE content.genre SET name = name",
        "UPDATE content.film_work SET title = 'Nobody' WHERE false",
        "BEGIN; UPDATE content.film_work SET title = 'Undone'; ROLLBACK",
    ],
)
def test_nothing_to_index(served: Served, statement: str) -> None:
    """A column that no document shows, no row at all, a rollback: nothing is read or sent."""
    scene, daemon = served
    scene.wait_converged()
    mark = daemon.mark()
    scene.sql(statement)
    # a watermark that was drawn after the statement: its barrier came back behind all it sent
    first = daemon.wait_for("watermark_moved", after=mark)
    daemon.wait_for("watermark_moved", after=first)
    assert not daemon.found("indexed", after=mark), daemon.log
    scene.assert_converged()


def test_payloads_of_strangers(served: Served) -> None:
    """Anyone may NOTIFY: nonsense is ignored and told, forged keys are only read again."""
    scene, daemon = served
    mark = daemon.mark()
    for payload in (
        "",
        "nonsense",
        '{"v":1,"w":"content.film_work(id)","k":["no uuid"]}',
        '{"v":1,"w":"content.nothing(id)","k":["1"]}',
        '{"v":2,"w":"content.film_work(id)","sweep":true}',
        '{"v":1,"w":"content.film_work(id)","k":["00000000-0000-0000-0000-000000000000"]}',
    ):
        scene.sql(f"SELECT pg_notify('listener', '{payload}')")
    daemon.wait_for("bad_payload", after=mark)
    daemon.wait_for("indexed", after=mark, deleted=1)
    scene.sql("UPDATE content.film_work SET title = 'After them' WHERE id = md5('film 20')::uuid")
    scene.wait_converged()


@pytest.mark.parametrize(
    "statement",
    ["TRUNCATE content.genre_film_work", "TRUNCATE content.film_work CASCADE"],
)
def test_truncate_compares(served: Served, statement: str) -> None:
    """TRUNCATE names no keys: database and index are compared, and the same index is mended."""
    scene, daemon = served
    before = scene.behind()
    mark = daemon.mark()
    scene.sql(statement)
    daemon.wait_for("swept", after=mark, table="journal")
    daemon.wait_for("reconciled", after=mark)
    scene.wait_converged()
    assert scene.behind() == before
    assert not daemon.found("load_started", after=mark)


def test_it_stops_as_it_should(served: Served) -> None:
    """After all of that: exit status 0, and nothing changes any more."""
    scene, daemon = served
    daemon.stop()
    scene.assert_converged()
    once = scene.once()
    assert not once.found("load_started")
    scene.assert_converged()


def test_truncate_while_nobody_listens(scene: Scene) -> None:
    """The journal has kept it: `--once` compares, once, and the index is mended."""
    scene.serve().stop()
    scene.sql("TRUNCATE content.person_film_work")
    scene.sql("DELETE FROM content.film_work WHERE id = md5('film 2')::uuid")
    once = scene.once()
    assert len(once.found("reconciled")) == 1
    scene.assert_converged()
    again = scene.once()
    assert not again.found("load_started")
    assert not again.found("reconcile_started")
    scene.assert_converged()


def test_migration_under_a_running_daemon(scene: Scene) -> None:
    """A key column is renamed: the application's statements go on, the daemon holds and says why.

    What the triggers could not tell is compared as a whole once the column is back.
    """
    daemon = scene.serve()
    mark = daemon.mark()
    scene.admin("ALTER TABLE content.genre_film_work RENAME COLUMN film_work_id TO film")
    scene.sql(
        "INSERT INTO content.genre_film_work (film, genre_id) "
        "SELECT md5('film 3')::uuid, id FROM content.genre ON CONFLICT DO NOTHING"
    )
    scene.sql("DELETE FROM content.genre_film_work WHERE film = md5('film 4')::uuid")
    scene.sql("UPDATE content.film_work SET title = 'Held' WHERE id = md5('film 5')::uuid")
    held = daemon.wait_for("held", after=mark)
    assert "film_work_id" in held["reason"]
    scene.admin("ALTER TABLE content.genre_film_work RENAME COLUMN film TO film_work_id")
    daemon.wait_for("reconciled", after=held)
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()


@pytest.mark.long
def test_two_pipelines_on_one_database(scene: Scene) -> None:
    """Each has its schema, its lock and its indexes; both hear of every edit."""
    first = scene.serve()
    options = scene.options
    second_options = deepcopy(options)
    second_options["pipeline"] = f"{scene.prefix}-two"
    second_options["postgres"]["schema"] = "listener_two"
    for document in second_options["documents"]:
        document["index"] += "-two"
        for watch in document["watch"]:  # a column is stamped by one pipeline
            watch.pop("updated_at", None)
    scene.options = second_options
    second = scene.start(folder="two")
    second.wait_for("loaded")
    marks = first.mark(), second.mark()
    scene.sql("UPDATE content.genre SET name = 'Both' WHERE id = md5('genre 3')::uuid")
    scene.sql("DELETE FROM content.film_work WHERE id = md5('film 2')::uuid")
    scene.wait_converged()
    scene.options = options
    scene.wait_converged()
    assert not first.found("swept", after=marks[0])
    assert not second.found("swept", after=marks[1])
    second.stop()
    first.stop()
    scene.start("triggers", "remove", folder="").expect_exit(0)  # of the first: not the second's
    scene.options = second_options
    scene.sql("UPDATE content.genre SET name = 'One' WHERE id = md5('genre 4')::uuid")
    once = scene.start("--once", folder="two")
    once.expect_exit(0)
    assert not once.found("load_started"), once.log
    scene.assert_converged()
    scene.search.request("DELETE", f"/_index_template/listener-{scene.index}")
    scene.options = options
