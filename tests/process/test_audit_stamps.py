"""The stamp column renamed, dropped, retyped: no statement fails, and nothing stays unseen."""

from __future__ import annotations

import re

import psycopg
import pytest

from tests.kit.blind import FILMS, Blind, names, owner, still_edited
from tests.kit.lengths import one_short

EDIT = "UPDATE content.film_work SET title = title || '!' WHERE id = md5('film 9')::uuid"


def test_renamed(blind_alone: Blind) -> None:
    """The statements go through unstamped; another column of that name is added and stamped."""
    mark = blind_alone.daemon.mark()
    owner(blind_alone.scene, f"ALTER TABLE {FILMS} RENAME updated_at TO changed_at")
    blind_alone.scene.sql(EDIT)
    blind_alone.scene.sql(blind_alone.delete())
    blind_alone.daemon.wait_for("reconciled", after=mark)
    blind_alone.scene.wait_converged()
    [(count,)] = blind_alone.scene.admin(f"SELECT count(*) FROM {FILMS} WHERE updated_at IS NULL")
    assert count == 0
    still_edited(blind_alone)


def test_dropped(blind_alone: Blind) -> None:
    """PostgreSQL refuses it; with CASCADE our trigger goes along, and both are made again."""
    with pytest.raises(psycopg.errors.DependentObjectsStillExist):
        owner(blind_alone.scene, f"ALTER TABLE {FILMS} DROP COLUMN updated_at")
    mark = blind_alone.daemon.mark()
    owner(blind_alone.scene, f"ALTER TABLE {FILMS} DROP COLUMN updated_at CASCADE")
    blind_alone.scene.sql(EDIT)
    blind_alone.scene.sql(blind_alone.delete())
    blind_alone.daemon.wait_for("reconciled", after=mark)
    blind_alone.scene.wait_converged()
    still_edited(blind_alone)


@pytest.mark.parametrize(
    "kind", one_short(("date", "timestamptz(0)", "timestamp(3)", "text"), "timestamptz(0)")
)
def test_retyped_to_what_cannot_be_stamped(blind_alone: Blind, kind: str) -> None:
    """PostgreSQL refuses it while our trigger is there; else we hold, and say what to do."""
    alter = f"ALTER TABLE {FILMS} ALTER updated_at DROP DEFAULT, ALTER updated_at TYPE {kind}"
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="trigger"):
        owner(blind_alone.scene, alter)
    mark = blind_alone.daemon.mark()
    stamp = names(blind_alone.scene, FILMS)["stamp"]
    owner(blind_alone.scene, f'DROP TRIGGER "{stamp}" ON {FILMS}; {alter}')
    held = blind_alone.daemon.wait_for("held", after=mark, reason=re.compile("a stamp needs"))
    assert "leave `updated_at` out" in held["reason"]
    blind_alone.scene.sql(EDIT)
    blind_alone.scene.sql(blind_alone.delete())
    owner(
        blind_alone.scene,
        f"ALTER TABLE {FILMS} ALTER updated_at TYPE timestamptz USING updated_at::timestamptz",
    )
    blind_alone.daemon.wait_for("reconciled", after=held)
    blind_alone.scene.wait_converged()
    still_edited(blind_alone)


@pytest.mark.long
def test_retyped_and_left_out_of_the_configuration(blind_alone: Blind) -> None:
    """The other way that the message names: the journal takes the table over, by a full load."""
    mark = blind_alone.daemon.mark()
    stamp = names(blind_alone.scene, FILMS)["stamp"]
    owner(
        blind_alone.scene,
        f'DROP TRIGGER "{stamp}" ON {FILMS}; ALTER TABLE {FILMS} '
        "ALTER updated_at DROP DEFAULT, ALTER updated_at DROP NOT NULL, "
        "ALTER updated_at TYPE date",
    )
    blind_alone.daemon.wait_for("held", after=mark, reason=re.compile("a stamp needs"))
    blind_alone.scene.sql(blind_alone.delete())
    blind_alone.daemon.stop()
    refused = blind_alone.scene.start()
    refused.expect_exit(2)
    assert "leave `updated_at` out" in refused.wait_for("ended")["reason"]
    del blind_alone.scene.options["documents"][0]["watch"][0]["updated_at"]
    blind_alone.daemon = blind_alone.scene.start()
    blind_alone.daemon.wait_for("loaded")
    blind_alone.scene.wait_converged()
    blind_alone.daemon.wait_for("watermark_moved")
    still_edited(blind_alone)


def test_retyped_to_the_other_stamp(blind_alone: Blind) -> None:
    """`timestamp` is stamped and polled in UTC: the stages are built anew for it."""
    mark = blind_alone.daemon.mark()
    stamp = names(blind_alone.scene, FILMS)["stamp"]
    owner(
        blind_alone.scene,
        f"DROP TRIGGER \"{stamp}\" ON {FILMS}; SET TIME ZONE 'Asia/Kathmandu';"
        f"ALTER TABLE {FILMS} ALTER updated_at TYPE timestamp",
    )
    blind_alone.scene.sql(EDIT)
    blind_alone.daemon.wait_for("reconciled", after=mark)
    blind_alone.scene.wait_converged()
    still_edited(blind_alone)
    blind_alone.daemon.stop()
    blind_alone.scene.sql(EDIT)
    once = blind_alone.scene.once()
    assert once.found("swept", table="content.film_work(id)")
    assert not once.found("reconcile_started")
    blind_alone.scene.assert_converged()
