"""What the query means is altered, not its text: views, functions, types, a search_path."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import pytest
import yaml

from playground.daemon import ListenerProcess
from playground.postgres import PostgresServer
from playground.proxy import TcpProxy
from playground.search import SearchServer
from tests.kit.scene import OWNER, Scene, Template, open_scene

VIEW = (
    "CREATE OR REPLACE VIEW content.film_view AS SELECT id, {} AS title, kind FROM content.films;"
)
SHOWN = (
    "CREATE OR REPLACE FUNCTION content.shown(text) RETURNS text LANGUAGE plpgsql STABLE AS "
    "$$ BEGIN RETURN {} || content.note(); END $$;"
)
LINKS = (
    "CREATE OR REPLACE VIEW content.links AS SELECT film_work_id, genre_id "
    "FROM content.genre_film_work WHERE {};"
)
SUFFIX = "CREATE TABLE {0}.suffix (text text); INSERT INTO {0}.suffix VALUES ('{1}');"
NOTE = "CREATE OR REPLACE VIEW content.v_note AS SELECT {}::text AS note;"
OBJECTS = (
    NOTE.format("''") + "CREATE FUNCTION content.note(t text DEFAULT 'content.v_note') "
    "RETURNS text LANGUAGE plpgsql STABLE AS "
    "$$ DECLARE r text; BEGIN EXECUTE 'SELECT note FROM ' || t INTO r; RETURN r; END $$;"
    "CREATE TYPE content.kind AS ENUM ('film', 'series');"
    "CREATE VIEW content.films AS SELECT id, title, 'film'::content.kind AS kind "
    "FROM content.film_work;" + VIEW.format("title") + SHOWN.format("$1") + LINKS.format("true")
)
DOCUMENT = """
    SELECT v.id, json_build_object('title', content.shown(v.title) || {suffix}, 'type', v.kind,
        'genres', (SELECT coalesce(json_agg(g.name ORDER BY g.id), '[]') FROM content.genre AS g
                   JOIN content.genre_film_work AS l ON l.genre_id = g.id
                   WHERE l.film_work_id = v.id)) AS document
    FROM content.film_view AS v WHERE v.id = ANY(%(ids)s)"""
MAPPING = "SELECT film_work_id AS id FROM content.links WHERE genre_id = ANY(%(keys)s)"


def owner(scene: Scene, statement: str) -> None:
    """Run it as the owner of the tables: what it creates is the owner's."""
    with contextlib.closing(scene.connect(OWNER)) as connection:
        connection.execute(statement.encode())


def prepare(scene: Scene, *, suffix: str = "''", audit_every: float = 0.3) -> None:
    """The documents are those of a view, with a function, and a mapping by a view."""
    owner(scene, OBJECTS)
    [document] = scene.options["documents"]
    (scene.folder / "viewed.sql").write_text(DOCUMENT.format(suffix=suffix))
    (scene.folder / "links.sql").write_text(MAPPING)
    document["query_file"] = str(scene.folder / "viewed.sql")
    [genre] = [one for one in document["watch"] if one["table"] == "content.genre"]
    genre["mapping_file"] = str(scene.folder / "links.sql")
    scene.set(audit_every=audit_every)


@dataclass
class Viewed:
    """A scene with its daemon."""

    scene: Scene
    daemon: ListenerProcess

    def compared(self, mark: int, what: str) -> None:
        """This was told by name, compared, and index = query."""
        name = re.compile(re.escape(what))
        started = self.daemon.wait_for("reconcile_started", after=mark, reason=name)
        self.daemon.wait_for("reconciled", after=started, stale=lambda count: count > 0)
        self.scene.wait_converged()


@pytest.fixture(scope="module")
def viewed(
    postgres_server: PostgresServer,
    search_server: SearchServer,
    movies_template: Template,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Viewed]:
    """A daemon that looks three times a second, for tests that leave it so."""
    folder = tmp_path_factory.mktemp("viewed")
    with open_scene(postgres_server, search_server, movies_template, folder) as scene:
        prepare(scene)
        yield Viewed(scene, scene.serve())


ALTERED = {
    "view": (VIEW.format("title || ' (seen)'"), "view content.film_view"),
    "view in a view": (
        "CREATE OR REPLACE VIEW content.films AS SELECT id, upper(title) AS title, "
        "'film'::content.kind AS kind FROM content.film_work",
        "view content.films",
    ),
    "function": (SHOWN.format("$1 || '!'"), "function content.shown(text)"),
    "view that a default names": (NOTE.format("'noted'"), "view content.v_note"),
    "enum": ("ALTER TYPE content.kind RENAME VALUE 'film' TO 'movie'", "type content.kind"),
}


@pytest.mark.parametrize("kind", ALTERED)
def test_altered_under_the_daemon(viewed: Viewed, kind: str) -> None:
    """Seen by the next audit, and compared."""
    statement, name = ALTERED[kind]
    mark = viewed.daemon.mark()
    owner(viewed.scene, statement)
    viewed.compared(mark, name)


def test_altered_while_the_daemon_was_away(viewed: Viewed) -> None:
    """Seen at the next start."""
    viewed.daemon.stop()
    owner(viewed.scene, VIEW.format("title || ' away'"))
    assert viewed.scene.differences()
    viewed.daemon = viewed.scene.start()
    viewed.compared(0, "view content.film_view")


@pytest.mark.long
def test_killed_before_the_comparison_is_complete(viewed: Viewed) -> None:
    """What is known of the new meaning is not written down without what is owed for it."""
    viewed.daemon.stop()
    owner(viewed.scene, VIEW.format("title || ' killed'"))
    there = viewed.scene.options["elasticsearch"]["urls"]
    with TcpProxy("127.0.0.1", viewed.scene.search.port) as proxy:
        proxy.delay = 0.3  # several requests are made before the comparison begins
        viewed.scene.set(elasticsearch={"urls": [f"http://127.0.0.1:{proxy.port}"]})
        viewed.daemon = viewed.scene.start()
        viewed.daemon.wait_for("generation_raised")
        viewed.daemon.kill()
    assert not viewed.daemon.found("reconcile_started"), "too fast for this test"
    viewed.scene.set(elasticsearch={"urls": there})
    viewed.daemon = viewed.scene.start()
    viewed.daemon.wait_for("reconciled")
    viewed.scene.wait_converged()


def test_a_view_that_is_gone_for_a_while(viewed: Viewed) -> None:
    """Held until there is one again; then all is compared."""
    mark = viewed.daemon.mark()
    owner(viewed.scene, "DROP VIEW content.film_view")
    held = viewed.daemon.wait_for("held", after=mark, reason=re.compile("film_view"))
    owner(viewed.scene, VIEW.format("title || ' again'"))
    name = re.compile(re.escape("view content.film_view"))
    started = viewed.daemon.wait_for("reconcile_started", after=held, reason=name)
    viewed.daemon.wait_for("reconciled", after=started)
    viewed.scene.wait_converged()
    # nothing is begun anew for what is known
    viewed.daemon.wait_for("watermark_moved", after=viewed.daemon.mark())


def test_what_routes_changes_is_altered(viewed: Viewed) -> None:
    """While the mapping leads nowhere, what is renamed is stale; put right, it is compared."""
    mark = viewed.daemon.mark()
    owner(viewed.scene, LINKS.format("false"))
    viewed.daemon.wait_for("reconciled", after=mark)
    viewed.scene.sql("UPDATE content.genre SET name = 'Renamed' WHERE id = md5('genre 1')::uuid")
    # until no sweep of a new session reaches back to it
    [(edge,)] = viewed.scene.sql("SELECT clock_timestamp() + interval '2.1 s'")
    viewed.daemon.wait_for(
        "watermark_moved",
        after=viewed.daemon.mark(),
        last_processed=lambda text: datetime.fromisoformat(text) > edge,
    )
    assert viewed.scene.differences()
    mark = viewed.daemon.mark()
    owner(viewed.scene, LINKS.format("true"))
    viewed.compared(mark, "view content.links")


def test_what_changes_no_result(viewed: Viewed) -> None:
    """Rights, comments, statistics and other objects: the watermark moves, nothing is compared."""
    viewed.scene.wait_converged()
    mark = viewed.daemon.mark()
    owner(
        viewed.scene,
        "GRANT SELECT ON content.film_view TO PUBLIC;"
        "GRANT EXECUTE ON FUNCTION content.shown(text) TO PUBLIC;"
        "COMMENT ON VIEW content.film_view IS 'seen'; ANALYZE content.film_work;"
        "CREATE VIEW content.other AS SELECT 1 AS title;"
        "CREATE FUNCTION content.other() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    )
    viewed.scene.sql("UPDATE content.film_work SET title = 'On' WHERE id = md5('film 9')::uuid")
    moved = viewed.daemon.wait_for("watermark_moved", after=mark)
    for _ in range(4):  # an audit is due at every other tick
        moved = viewed.daemon.wait_for("watermark_moved", after=moved)
    viewed.scene.wait_converged()
    for event in ("audit_failed", "reconcile_started", "load_started"):
        assert not viewed.daemon.found(event, after=mark), viewed.daemon.log


def test_altered_and_altered_back_between_two_audits(scene: Scene) -> None:
    """What was written in between is compared, though all is as it was."""
    prepare(scene, audit_every=4)
    daemon = scene.serve()
    # so that the next one is seconds away
    for title, back in (("title || ' for a moment'", False), ("title", True)):
        mark = daemon.mark()
        owner(scene, VIEW.format(title))
        if not back:
            scene.sql("UPDATE content.film_work SET title = 'X' WHERE id = md5('film 3')::uuid")
            daemon.wait_for("indexed", after=mark, written=1)
    daemon.wait_for("reconciled")
    scene.wait_converged()


@pytest.mark.long
def test_altered_under_a_load(scene: Scene) -> None:
    """Pages from before are of the former meaning: the load is made anew, or compared."""
    prepare(scene)
    with TcpProxy("127.0.0.1", scene.search.port) as proxy:
        scene.set(elasticsearch={"urls": [f"http://127.0.0.1:{proxy.port}"]}, page_size=8)
        proxy.delay = 0.02
        daemon = scene.start()
        daemon.wait_for("load_progress", documents=lambda count: count >= 16)
        owner(scene, VIEW.format("title || ' loading'"))
        assert not daemon.found("loaded"), "too fast for this test"
        daemon.kill()
        again = scene.start()  # what was loaded by then must not be gone on with
        again.wait_for("load_progress")
        owner(scene, SHOWN.format("$1 || ' still'"))
        proxy.delay = 0
        again.wait_for("loaded")
        scene.wait_converged()
        again.stop()
    scene.assert_converged()


def test_a_state_of_a_former_release(scene: Scene) -> None:
    """Nobody looked by then: compared once, and not again at the next start."""
    prepare(scene)
    scene.serve().stop()
    state = scene.state
    assert state["identity"].pop("meanings")
    scene.state_file.write_text(yaml.safe_dump(state), "utf-8")
    control = scene.control
    del control["identity"]["meanings"]
    scene.request("PUT", f"/{scene.prefix}-control/_doc/{scene.prefix}", control)
    owner(scene, VIEW.format("title || ' upgraded'"))
    daemon = scene.start()
    daemon.wait_for("reconciled", stale=lambda count: count > 0)
    scene.wait_converged()
    daemon.stop()
    daemon = scene.start()
    daemon.wait_for("watermark_moved")
    assert not daemon.found("reconcile_started"), daemon.log
    daemon.stop()


def titles(scene: Scene) -> set[str]:
    """What the titles of all documents end with."""
    scene.request("POST", f"/{scene.index}/_refresh")
    hits = scene.request("GET", f"/{scene.index}/_search?size=1000")["hits"]["hits"]
    return {one["_source"]["title"].rpartition(" ")[2] for one in hits}


def test_search_path_of_the_role(scene: Scene) -> None:
    """A name without a schema comes to mean another table; the daemon's connections follow all at
    once, and none of them before the others."""
    prepare(scene, suffix="(SELECT ' ' || text FROM suffix)", audit_every=2)
    path = f'ALTER ROLE {OWNER} IN DATABASE "{scene.database}" SET search_path = '
    owner(scene, "CREATE SCHEMA early;" + SUFFIX.format("content", "late"))
    scene.admin(path + "content")
    scene.options["documents"][0]["static"] = ["content.suffix", "early.suffix"]
    daemon = scene.serve(converge=False)
    daemon.wait_for("loaded")
    assert titles(scene) == {"late"}

    mark = daemon.mark()
    scene.admin(path + "early, content")  # where there is no such table yet
    # a worker that connects now has the path of all others
    scene.admin(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        f"WHERE datname = '{scene.database}' AND application_name = 'listener: documents'"
    )
    owner(scene, SUFFIX.format("early", "early"))
    daemon.wait_for("reconciled", after=mark)
    scene.sql("UPDATE content.film_work SET title = 'Y' WHERE id = md5('film 3')::uuid")
    daemon.wait_for("indexed", after=mark, written=1)
    daemon.wait_for("reconciled", after=mark, stale=lambda count: count > 0)
    assert titles(scene) == {"early"}
    daemon.stop()


@pytest.mark.long
def test_a_connection_that_is_made_later(scene: Scene) -> None:
    """It has the search_path of all others, until an audit or a start gives all the new one."""
    prepare(scene, suffix="(SELECT ' ' || text FROM suffix)", audit_every=3600)
    path = f'ALTER ROLE {OWNER} IN DATABASE "{scene.database}" SET search_path = '
    owner(scene, "CREATE SCHEMA early;" + SUFFIX.format("content", "late"))
    owner(scene, SUFFIX.format("early", "early"))
    scene.admin(path + "content")
    scene.options["documents"][0]["static"] = ["content.suffix", "early.suffix"]
    daemon = scene.serve(converge=False)
    daemon.wait_for("loaded")
    mark = daemon.mark()
    scene.admin(path + "early, content")
    scene.admin(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        f"WHERE datname = '{scene.database}' AND application_name = 'listener: documents'"
    )
    scene.sql("UPDATE content.film_work SET title = 'Z' WHERE id = md5('film 4')::uuid")
    daemon.wait_for("indexed", after=mark, written=1)
    assert titles(scene) == {"late"}
    daemon.stop()
    daemon = scene.start()
    daemon.wait_for("reconciled")
    assert titles(scene) == {"early"}
    daemon.stop()


UNWATCHED = (
    "CREATE TABLE content.remark (film_id uuid PRIMARY KEY, text text);"
    "INSERT INTO content.remark SELECT id, 'remark' FROM content.film_work;"
)
REMARKED = (
    "CREATE OR REPLACE VIEW content.film_view AS SELECT f.id, f.title || r.text AS title, f.kind "
    "FROM content.films AS f JOIN content.remark AS r ON r.film_id = f.id"
)


@pytest.mark.long
def test_another_meaning_that_reads_an_unwatched_table(scene: Scene) -> None:
    """Its changes would not arrive: held, as the start refuses it, until somebody has a word."""
    prepare(scene)
    owner(scene, UNWATCHED)
    daemon = scene.serve()
    mark = daemon.mark()
    owner(scene, REMARKED)
    unwatched = re.compile("reads content.remark, which is neither watched nor static")
    daemon.wait_for("check_failed", after=mark, what=unwatched)
    held = daemon.wait_for("held", after=mark, reason=unwatched)
    for _ in range(3):
        held = daemon.wait_for("held", after=held, reason=unwatched)
    assert len(daemon.found("check_failed", after=mark)) == 1, "told once, however often it tries"
    assert not daemon.found("reconcile_started", after=mark), daemon.log
    scene.wait_health(1, "held: ")
    owner(scene, VIEW.format("title || ' again'"))
    # an audit may come in its midst, and ask for one more
    daemon.wait_for("reconciled", after=held)
    scene.wait_converged()

    # the word of somebody
    mark = daemon.mark()
    owner(scene, REMARKED)
    daemon.wait_for("held", after=mark, reason=unwatched)
    daemon.stop()
    scene.options["documents"][0]["static"] = ["content.remark"]
    daemon = scene.start()
    daemon.wait_for("reconciled", stale=lambda count: count > 0)
    scene.wait_converged()
    daemon.stop()


@pytest.mark.long
def test_another_meaning_that_a_session_finds_and_that_is_taken_back(scene: Scene) -> None:
    """A new session found it before any audit, and held: what was written by it is compared,
    though nothing shows it any more, and whoever begins then."""
    prepare(scene, suffix="(SELECT ' ' || text FROM suffix)", audit_every=3600)
    scene.set(overlap=0.1)
    path = f'ALTER ROLE {OWNER} IN DATABASE "{scene.database}" SET search_path = '
    owner(scene, "CREATE SCHEMA early;" + SUFFIX.format("content", "late"))
    scene.admin(path + "early, content")
    scene.options["documents"][0]["static"] = ["content.suffix"]
    daemon = scene.serve(converge=False)
    daemon.wait_for("loaded")
    mark = daemon.mark()
    owner(scene, SUFFIX.format("early", "early"))
    scene.sql("UPDATE content.film_work SET title = 'Y' WHERE id = md5('film 3')::uuid")
    daemon.wait_for("indexed", after=mark, written=1)
    [(edge,)] = scene.sql("SELECT clock_timestamp() + interval '0.2 s'")
    daemon.wait_for(
        "watermark_moved",
        after=daemon.mark(),
        last_processed=lambda text: datetime.fromisoformat(text) > edge,
    )
    scene.admin(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        f"WHERE datname = '{scene.database}' AND application_name LIKE 'listener: %'"
    )
    unwatched = re.compile("reads early.suffix, which is neither watched nor static")
    daemon.wait_for("held", reason=unwatched)
    daemon.kill()
    owner(scene, "DROP TABLE early.suffix")
    assert titles(scene) == {"early", "late"}
    daemon = scene.start()
    daemon.wait_for("reconciled", stale=1)
    assert titles(scene) == {"late"}
    daemon.stop()


@pytest.mark.long
def test_another_meaning_that_nobody_can_look_into(scene: Scene) -> None:
    """What a function reads inside is told as at the start, and each time that it is altered."""
    prepare(scene)
    owner(scene, UNWATCHED)
    daemon = scene.serve()
    mark = daemon.mark()
    owner(scene, SHOWN.format("$1 || (SELECT max(text) FROM content.remark)"))
    unseen = re.compile(r"what content\.shown\(\) reads inside cannot be seen")
    daemon.wait_for("check_warning", after=mark, what=unseen)
    daemon.wait_for("reconciled", after=mark, stale=lambda count: count > 0)
    scene.wait_converged()
    daemon.stop()
    assert not daemon.found("held"), daemon.log
    owner(scene, SHOWN.format("$1"))
    daemon = scene.start()
    daemon.wait_for("reconciled", stale=lambda count: count > 0)
    # the start has told it, and its first session does not tell it once more
    assert len(daemon.found("check_warning", what=unseen)) == 1, daemon.log
    daemon.stop()


@pytest.mark.long
def test_another_view_of_that_name_for_a_while(scene: Scene) -> None:
    """What was written meanwhile is of the other view, though this one is as it was."""
    prepare(scene, audit_every=3600)
    owner(
        scene, "CREATE VIEW content.other AS SELECT id, 'other' AS title, kind FROM content.films"
    )
    daemon = scene.serve()
    mark = daemon.mark()
    swap = (
        "ALTER VIEW content.film_view RENAME TO kept; ALTER VIEW content.other RENAME TO film_view;"
        "ALTER VIEW content.kept RENAME TO other"
    )
    owner(scene, swap)
    scene.sql("UPDATE content.film_work SET rating = 1 WHERE id = md5('film 3')::uuid")
    daemon.wait_for("indexed", after=mark, written=1)
    # until the sweep of the next start does not reach back to it
    [(edge,)] = scene.sql("SELECT clock_timestamp() + interval '2.1 s'")
    daemon.wait_for(
        "watermark_moved",
        after=daemon.mark(),
        last_processed=lambda text: datetime.fromisoformat(text) > edge,
    )
    owner(scene, swap)
    daemon.stop()
    assert scene.differences(), "nothing was missed"
    daemon = scene.start()
    told = re.compile(re.escape("view content.film_view"))
    daemon.wait_for("reconcile_started", reason=told)
    daemon.wait_for("reconciled", stale=1)
    scene.wait_converged()
    daemon.stop()


SERVERS = {
    "one's own": ("app.rate", "'B'"),
    "one's own, in a view": ("app.in_a_view", "'B'"),
    "an extension's": ("pg_trgm.similarity_threshold", "0.99"),
}


@pytest.mark.long
def test_settings_of_the_server(scene: Scene) -> None:
    """ALTER SYSTEM reaches all connections by itself; what was written before is compared."""
    scene.admin("CREATE EXTENSION pg_trgm SCHEMA content")
    owner(
        scene,
        "CREATE VIEW content.rated AS "
        "SELECT coalesce(current_setting('app.in_a_view', true), '') AS rate",
    )
    prepare(
        scene,
        suffix="coalesce(current_setting('app.rate', true), '') "
        "|| (SELECT rate FROM content.rated) "
        "|| CASE WHEN v.title OPERATOR(content.%) 'Film 1' THEN 'S' ELSE 'D' END",
    )
    daemon = scene.serve()
    try:
        for name, value in SERVERS.values():
            mark = daemon.mark()
            with scene.superuser() as connection:
                connection.execute("LOAD 'pg_trgm'")
                connection.execute(f"ALTER SYSTEM SET {name} = {value}".encode())
                connection.execute("SELECT pg_reload_conf()")
            told = re.compile(re.escape(f"setting {name}"))
            started = daemon.wait_for("reconcile_started", after=mark, reason=told)
            daemon.wait_for("reconciled", after=started, stale=lambda count: count > 0)
            scene.wait_converged()
        # a daemon whose sessions have loaded nothing yet finds the same
        daemon.stop()
        daemon = scene.start()
        moved = daemon.wait_for("watermark_moved")
        daemon.wait_for("watermark_moved", after=moved)
        for event in ("audit_failed", "reconcile_started"):
            assert not daemon.found(event), daemon.log
    finally:
        for name, _ in SERVERS.values():
            scene.admin(f"ALTER SYSTEM RESET {name}")
        scene.admin("SELECT pg_reload_conf()")
    daemon.stop()
