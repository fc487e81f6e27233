"""Watched tables altered under the daemon: anew, gone, unlogged, their stamp column another one."""

from __future__ import annotations

import re

import pytest

from tests.kit.blind import FILMS, LINKS, Blind, owner, still_edited
from tests.kit.scene import APPLICATION

ANEW = f"""
    ALTER TABLE {LINKS} RENAME TO gone;
    CREATE TABLE {LINKS} (LIKE content.gone INCLUDING ALL);
    INSERT INTO {LINKS} SELECT * FROM content.gone
    WHERE film_work_id <> md5('film 200')::uuid;
    DROP TABLE content.gone;
    GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON {LINKS} TO {APPLICATION}"""
"""Another table of the same name, which lacks some of the rows: no trigger saw them go."""


@pytest.mark.parametrize("running", [True, False], ids=["running", "away"])
def test_a_table_made_anew(blind: Blind, running: bool) -> None:
    """Its triggers are made, and what differs between the two tables is in the index."""
    if not running:
        blind.daemon.stop()
    mark = blind.daemon.mark()
    film = 200 if running else 201
    owner(blind.scene, ANEW.replace("film 200", f"film {film}"))
    if not running:
        blind.unseen()
        blind.daemon, mark = blind.scene.start(), 0
    blind.daemon.wait_for("history_changed", after=mark, reason=re.compile("another table|altered"))
    blind.compared(mark)
    still_edited(blind)


def test_a_table_dropped_and_made_again_later(blind: Blind) -> None:
    """Held, with the table's name, until there is one again; then all is compared."""
    mark = blind.daemon.mark()
    owner(blind.scene, f"ALTER TABLE {LINKS} RENAME TO kept")
    held = blind.daemon.wait_for("held", after=mark, reason=re.compile("no such table|does not"))
    blind.daemon.wait_for("held", after=held, reason=re.compile(f"{LINKS}: there is no such table"))
    assert not blind.daemon.found("indexed", after=mark, deleted=lambda count: count > 0)
    owner(
        blind.scene,
        f"CREATE TABLE {LINKS} (LIKE content.kept INCLUDING ALL);"
        f"INSERT INTO {LINKS} SELECT * FROM content.kept WHERE random() < 0.9;"
        "DROP TABLE content.kept;"
        f"GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON {LINKS} TO {APPLICATION}",
    )
    blind.compared(held)
    still_edited(blind)


@pytest.mark.parametrize("crash", [False, True], ids=["in peace", "with a crash"])
def test_a_table_set_unlogged(blind: Blind, crash: bool) -> None:
    """Refused, with the statement that mends it. Logged again it looks as before: yet a crash may
    have emptied it, so all is compared."""
    mark = blind.daemon.mark()
    owner(blind.scene, f"ALTER TABLE {LINKS} SET UNLOGGED")
    held = blind.daemon.wait_for("held", after=mark, reason=re.compile("unlogged"))
    assert 'ALTER TABLE "content"."person_film_work" SET LOGGED' in held["reason"]
    blind.scene.sql(blind.move())
    if crash:
        blind.scene.postgres.kill()
        blind.scene.postgres.start()
        [(count,)] = blind.scene.admin(f"SELECT count(*) FROM {LINKS}")
        assert count == 0, "the crash did not empty it"
        again = blind.daemon.mark()
        held = blind.daemon.wait_for("held", after=again, reason=re.compile("unlogged"))
    owner(blind.scene, f"ALTER TABLE {LINKS} SET LOGGED")
    blind.daemon.wait_for("reconciled", after=held)
    blind.scene.wait_converged()


def test_writers_with_replication_role_replica(blind: Blind) -> None:
    """Bulk loaders and replication tools turn ordinary triggers off; ours are ALWAYS."""
    blind.scene.wait_converged()
    mark = blind.daemon.mark()
    blind.scene.admin(
        f"SET session_replication_role = replica; {blind.update()} {blind.move()} {blind.delete()}"
        "INSERT INTO content.film_work (id, title, type) VALUES (md5('r')::uuid, 'Rep', 'movie')"
    )
    blind.scene.wait_converged()
    assert not blind.daemon.found("reconcile_started", after=mark), blind.daemon.log
    blind.daemon.stop()
    blind.scene.admin(
        f"SET session_replication_role = replica; {blind.update()} {blind.move()} {blind.delete()}"
    )
    blind.unseen()
    blind.daemon = blind.scene.start()
    blind.daemon.wait_for("caught_up")
    blind.scene.wait_converged()
    assert not blind.daemon.found("reconcile_started"), blind.daemon.log


def test_an_index_dropped(blind: Blind) -> None:
    """It is for speed alone: nothing is compared, `check` warns, the next start makes it anew."""
    blind.scene.wait_converged()
    mark = blind.daemon.mark()
    owner(blind.scene, "DROP INDEX content.film_work_updated_at_idx")
    moved = blind.daemon.wait_for("watermark_moved", after=mark)
    for _ in range(4):  # an audit is due at every other tick
        moved = blind.daemon.wait_for("watermark_moved", after=moved)
    assert not blind.daemon.found("audit_failed", after=mark), blind.daemon.log
    check = blind.scene.start("check", folder="second")
    check.expect_exit(0)
    assert f"{FILMS} has no index that leads with updated_at" in check.output
    blind.daemon.stop()
    blind.daemon = blind.scene.start()
    blind.daemon.wait_for("making_index")
    blind.daemon.wait_for("caught_up")
    blind.scene.wait_converged()
    assert not blind.daemon.found("reconcile_started"), blind.daemon.log
