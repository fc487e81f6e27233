"""The stamp column renamed, dropped, retyped: no statement fails, and nothing stays unseen."""

from __future__ import annotations

import re

import psycopg
import pytest

from tests.process.blind import Blind, names
from tests.process.scene import Scene
from tests.process.test_audit_tables import FILMS, owner, still_edited

EDIT = "UPDATE content.film_work SET title = title || '!' WHERE id = md5('film 9')::uuid"


@pytest.fixture
def blind(scene: Scene) -> Blind:
    """The movies with a daemon that looks three times a second."""
    scene.set(audit_every=0.3)
    return Blind(scene, scene.serve())


def test_renamed(blind: Blind) -> None:
    """The statements go through unstamped; another column of that name is added and stamped."""
    mark = blind.daemon.mark()
    owner(blind.scene, f"ALTER TABLE {FILMS} RENAME updated_at TO changed_at")
    blind.scene.sql(EDIT)
    blind.scene.sql(blind.delete())
    blind.daemon.wait_for("reconciled", after=mark)
    blind.scene.wait_converged()
    [(count,)] = blind.scene.admin(f"SELECT count(*) FROM {FILMS} WHERE updated_at IS NULL")
    assert count == 0
    still_edited(blind)


def test_dropped(blind: Blind) -> None:
    """PostgreSQL refuses it; with CASCADE our trigger goes along, and both are made again."""
    with pytest.raises(psycopg.errors.DependentObjectsStillExist):
        owner(blind.scene, f"ALTER TABLE {FILMS} DROP COLUMN updated_at")
    mark = blind.daemon.mark()
    owner(blind.scene, f"ALTER TABLE {FILMS} DROP COLUMN updated_at CASCADE")
    blind.scene.sql(EDIT)
    blind.scene.sql(blind.delete())
    blind.daemon.wait_for("reconciled", after=mark)
    blind.scene.wait_converged()
    still_edited(blind)


@pytest.mark.parametrize("kind", ["date", "timestamptz(0)", "timestamp(3)", "text"])
def test_retyped_to_what_cannot_be_stamped(blind: Blind, kind: str) -> None:
    """PostgreSQL refuses it while our trigger is there; else we hold, and say what to do."""
    alter = f"ALTER TABLE {FILMS} ALTER updated_at DROP DEFAULT, ALTER updated_at TYPE {kind}"
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="trigger"):
        owner(blind.scene, alter)
    mark = blind.daemon.mark()
    stamp = names(blind.scene, FILMS)["stamp"]
    owner(blind.scene, f'DROP TRIGGER "{stamp}" ON {FILMS}; {alter}')
    held = blind.daemon.wait_for("held", after=mark, reason=re.compile("a stamp needs"))
    assert "leave `updated_at` out" in held["reason"]
    blind.scene.sql(EDIT)
    blind.scene.sql(blind.delete())
    owner(
        blind.scene,
        f"ALTER TABLE {FILMS} ALTER updated_at TYPE timestamptz USING updated_at::timestamptz",
    )
    blind.daemon.wait_for("reconciled", after=held)
    blind.scene.wait_converged()
    still_edited(blind)


def test_retyped_and_left_out_of_the_configuration(blind: Blind) -> None:
    """The other way that the message names: the journal takes the table over, by a full load."""
    mark = blind.daemon.mark()
    stamp = names(blind.scene, FILMS)["stamp"]
    owner(
        blind.scene,
        f'DROP TRIGGER "{stamp}" ON {FILMS}; ALTER TABLE {FILMS} '
        "ALTER updated_at DROP DEFAULT, ALTER updated_at DROP NOT NULL, "
        "ALTER updated_at TYPE date",
    )
    blind.daemon.wait_for("held", after=mark, reason=re.compile("a stamp needs"))
    blind.scene.sql(blind.delete())
    blind.daemon.stop()
    refused = blind.scene.start()
    refused.expect_exit(2)
    assert "leave `updated_at` out" in refused.wait_for("ended")["reason"]
    del blind.scene.options["documents"][0]["watch"][0]["updated_at"]
    blind.daemon = blind.scene.start()
    blind.daemon.wait_for("loaded")
    blind.scene.wait_converged()
    blind.daemon.wait_for("watermark_moved")
    still_edited(blind)


def test_retyped_to_the_other_stamp(blind: Blind) -> None:
    """`timestamp` is stamped and polled in UTC: the stages are built anew for it."""
    mark = blind.daemon.mark()
    stamp = names(blind.scene, FILMS)["stamp"]
    owner(
        blind.scene,
        f"DROP TRIGGER \"{stamp}\" ON {FILMS}; SET TIME ZONE 'Asia/Kathmandu';"
        f"ALTER TABLE {FILMS} ALTER updated_at TYPE timestamp",
    )
    blind.scene.sql(EDIT)
    blind.daemon.wait_for("reconciled", after=mark)
    blind.scene.wait_converged()
    still_edited(blind)
    blind.daemon.stop()
    blind.scene.sql(EDIT)
    once = blind.scene.once()
    assert once.found("swept", table="content.film_work(id)")
    assert not once.found("reconcile_started")
    blind.scene.assert_converged()
