"""What we stored and read again, when it is not what we stored: rows of our schema, marks of our
indexes, names of our aliases. Never the end of a daemon, and index = query."""

from __future__ import annotations

import re

import pytest

from tests.kit.lengths import one_short
from tests.kit.scene import OWNER, Scene

EDITS = """
    UPDATE content.film_work SET title = 'Edited' WHERE id = md5('film 1')::uuid;
    DELETE FROM content.film_work WHERE id = md5('film 2')::uuid"""
JOURNAL = """
    INSERT INTO listener.journal (updated_at, watch, kind, keys, reason)
    SELECT clock_timestamp(), w.watch, k.kind, k.keys, k.reason
    FROM (VALUES ('content.film_work(id)'), ('content.none(id)'), ('')) AS w(watch),
    (VALUES ('keys', NULL, NULL), ('keys', '', NULL), ('keys', '{', NULL), ('keys', '5', NULL),
        ('keys', '{"a": 1}', NULL), ('keys', '[1, null]', NULL), ('keys', '[["a", "b"]]', NULL),
        ('keys', '["no-uuid"]', NULL), ('keys', repeat('[', 100000), NULL),
        ('', NULL, ''), ('other', '[]', 'x'), ('reconcile', 'x', NULL),
        ('keys', NULL, 'parked --retry'), ('keys', '[]', 'parked --retry'),
        ('keys', '{"index": 1, "ids": ["a"]}', 'parked --retry'),
        ('keys', '{"index": "none", "ids": ["a"]}', 'parked --retry'),
        ('keys', repeat('{"index":', 100000), 'parked --retry')) AS k(kind, keys, reason)"""
PARKED = """
    INSERT INTO listener.parked (document, id, reason, first_at, last_at, count)
    SELECT d, i, '', '-infinity', 'infinity', -1
    FROM unnest(ARRAY['', 'none', '{index}']) AS d,
    unnest(ARRAY['', 'no-uuid', '[1', repeat('x', 900), md5('film 1')::uuid::text]) AS i"""
META = "DELETE FROM listener.meta"


@pytest.mark.parametrize("what", one_short(("journal", "parked", "meta"), "journal"))
def test_rows_of_our_schema(scene: Scene, what: str) -> None:
    """While a daemon serves, and at the next start."""
    scene.set(audit_every=0.3)
    statement = {
        "journal": JOURNAL,
        "parked": PARKED.replace("{index}", scene.index),
        "meta": META,
    }[what]
    daemon = scene.serve()
    mark = daemon.mark()
    scene.admin(statement)
    scene.admin(EDITS)
    scene.wait_converged()
    daemon.wait_for("watermark_moved", after=mark)
    daemon.stop()
    if what != "parked":
        scene.admin(statement)
    scene.admin(EDITS.replace("film 1'", "film 3'").replace("film 2'", "film 4'"))
    scene.start("parked").exit_status()
    daemon = scene.start()
    daemon.wait_for("caught_up")
    scene.wait_converged()
    daemon.wait_for("watermark_moved", after=daemon.mark())
    daemon.stop()
    scene.assert_converged()


VIEW = f"""ALTER TABLE listener.journal RENAME TO kept;
    CREATE VIEW listener.journal AS SELECT * FROM listener.kept;
    ALTER VIEW listener.journal OWNER TO {OWNER}"""
INSTEAD = {
    "journal": (VIEW, "DROP VIEW listener.journal", "a view"),
    "lost": (
        "DROP SEQUENCE listener.lost; CREATE TABLE listener.lost (last_value bigint)",
        "DROP TABLE listener.lost",
        "a table",
    ),
}


@pytest.mark.parametrize("name", one_short(INSTEAD, "journal"))
def test_something_else_bears_the_name_of_ours(scene: Scene, name: str) -> None:
    """What is held says what to do; `check` and `install` name it."""
    alter, mend, kind = INSTEAD[name]
    scene.set(audit_every=0.3)
    daemon = scene.serve()
    mark = daemon.mark()
    scene.admin(alter)
    scene.admin(EDITS)
    daemon.wait_for("held", after=mark)
    for command in (("check",), ("triggers", "install")):
        process = scene.start(*command)
        process.expect_exit(2)
        told = process.log + process.output
        assert f"listener.{name} is {kind}, and listener's is a" in told
    held = daemon.found("held", after=mark)
    assert all("`listener triggers install`" in one.message for one in held), held
    scene.admin(mend)
    if name == "journal":
        scene.admin("ALTER TABLE listener.kept RENAME TO journal")
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()


def test_ours_is_gone(scene: Scene) -> None:
    """Where an operator installs: held with the command, which `check` says too."""
    scene.once()
    scene.set(triggers={"install": "manual"})
    daemon = scene.serve()
    mark = daemon.mark()
    scene.admin("DROP TABLE listener.journal")
    daemon.wait_for("held", after=mark, reason=re.compile("listener triggers install"))
    check = scene.start("check")
    check.expect_exit(2)
    assert "the schema listener lacks journal" in check.output
    held = daemon.found("held", after=mark)
    assert all("`listener triggers install`" in one.message for one in held), held
    scene.start("triggers", "install").expect_exit(0)
    scene.admin(EDITS)
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()


@pytest.mark.parametrize(
    "meta",
    one_short(
        (
            {},
            {"listener": "x"},
            {"listener": None},
            {"listener": ["x"]},
            {"listener": {"pipeline": ["a"], "hash": {"b": 1}}},
            {"listener": {"pipeline": None, "hash": 17}},
        ),
        {"listener": {"pipeline": ["a"], "hash": {"b": 1}}},
    ),
)
def test_marks_of_an_index(scene: Scene, meta: object) -> None:
    """An index that does not say that it is ours is somebody's: a load goes beside it."""
    scene.set(audit_every=0.3)
    daemon = scene.serve()
    behind = scene.behind()[0]
    mark = daemon.mark()
    scene.request("PUT", f"/{behind}/_mapping", {"_meta": meta})
    daemon.wait_for("loaded", after=mark)
    scene.admin(EDITS)
    scene.wait_converged()
    assert behind not in scene.behind()
    daemon.stop()
    scene.assert_converged()
