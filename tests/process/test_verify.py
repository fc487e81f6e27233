"""verify and reconcile: what was not recorded is found, mended, and never mended too boldly."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.kit.lengths import one_short
from tests.kit.scene import Scene
from tests.kit.wrong_index import lie

BYPASS = """
    ALTER TABLE content.film_work DISABLE TRIGGER ALL;
    {}
    ALTER TABLE content.film_work ENABLE TRIGGER ALL;
    """
"""Writes that no trigger sees. ENABLE leaves them ENABLE ORIGIN instead of ALWAYS: altered."""


def test_verify_finds_and_mends_without_a_daemon(scene: Scene) -> None:
    """Missing, stale and orphaned, with counts and ids; 1, then mended, then 0."""
    scene.serve().stop()
    verify = scene.start("verify")
    verify.expect_exit(0)
    assert " 0 wrong" in verify.output
    lie(scene)
    verify = scene.start("verify")
    verify.expect_exit(1)
    assert "300 documents compared, 4 wrong" in verify.output
    for kind, count in (("missing", 1), ("stale", 1), ("orphaned", 2)):
        assert re.search(rf"{kind}: {count} \(", verify.output)
    assert "no-uuid-at-all" in verify.output
    mend = scene.start("verify", "--repair")
    mend.expect_exit(0)
    scene.assert_converged()
    scene.once()
    scene.assert_converged()


@pytest.mark.parametrize(
    "more",
    one_short(({"filter": {"term": {"title": "none"}}}, {"routing": "1"}), {"routing": "1"}),
)
def test_the_users_alias_hides_documents(scene: Scene, more: dict[str, Any]) -> None:
    """`verify` compares the index, whatever people see of it; `check` warns of what they see."""
    scene.serve().stop()
    lie(scene)
    [ours] = scene.behind()
    action = {"add": {"index": ours, "alias": scene.index, **more}}
    scene.request("POST", "/_aliases", {"actions": [action]})
    verify = scene.start("verify")
    verify.expect_exit(1)
    assert "300 documents compared, 4 wrong" in verify.output
    check = scene.start("check")
    check.expect_exit(0)
    assert f"the alias {scene.index} has" in check.output


def test_verify_mends_beside_a_daemon(scene: Scene) -> None:
    """The daemon is asked, and does it; live changes go on meanwhile."""
    daemon = scene.serve()
    lie(scene)
    mend = scene.start("verify", "--repair", folder="second")
    mend.expect_exit(0)
    daemon.wait_for("reconciled")
    scene.sql("UPDATE content.film_work SET title = 'After' WHERE id = md5('film 1')::uuid")
    scene.wait_converged()
    assert len(daemon.found("reconcile_started")) == 1
    daemon.stop()
    scene.assert_converged()


def test_a_comparison_does_not_empty_the_index(scene: Scene) -> None:
    """More than it may delete: nothing is deleted, the watermark stands, a person decides."""
    scene.admin(
        "INSERT INTO content.film_work (id, title, type) SELECT gen_random_uuid(), 'many', 'movie' "
        "FROM generate_series(1, 1200)"
    )
    daemon = scene.serve()
    daemon.stop()
    scene.admin(BYPASS.format("DELETE FROM content.film_work WHERE title = 'many';"))
    daemon = scene.start()
    guarded = daemon.wait_for("deletes_guarded")
    assert guarded["orphaned"] == 1200
    assert scene.request("GET", f"/{scene.index}/_count")["count"] == 1500
    saved = scene.state["last_processed"]
    scene.sql("UPDATE content.film_work SET title = 'Live' WHERE id = md5('film 1')::uuid")
    daemon.wait_for("indexed", after=guarded, written=1)
    scene.wait_health(1, "needs a person's word")
    assert scene.state["last_processed"] == saved
    refused = scene.start("verify", "--repair", folder="second")
    refused.expect_exit(1)
    assert "--allow-deletes" in refused.log + refused.output
    mend = scene.start("verify", "--repair", "--allow-deletes", folder="second")
    daemon.wait_for("reconciled", orphaned=1200, after=daemon.mark())
    mend.expect_exit(0, deadline=60)
    scene.wait_converged()
    daemon.wait_for("watermark_moved")
    daemon.stop()
    scene.assert_converged()
    scene.once()
    scene.assert_converged()


def test_a_rewritten_column_is_compared(scene: Scene) -> None:
    """ALTER TYPE ... USING writes all rows and fires no trigger; no list of ours names it."""
    scene.set(audit_every=0.3)
    daemon = scene.serve()
    mark = daemon.mark()
    scene.admin(
        "ALTER TABLE content.film_work ALTER title TYPE varchar(300) USING 'Rewritten ' || title"
    )
    daemon.wait_for("reconciled", after=mark, stale=300)
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()


@pytest.mark.parametrize(
    "version", one_short((9_000_000_000_000_000_000, (30 << 40) + 7), 9_000_000_000_000_000_000)
)
def test_a_version_of_somebody_else(scene: Scene, version: int) -> None:
    """One that no daemon can have drawn is the document's own fault; a generation that one can have
    is risen above. The others go on, and no session begins again and again."""
    daemon = scene.serve()
    [(film,)] = scene.sql("SELECT md5('film 1')::uuid::text")
    scene.request(
        "PUT",
        f"/{scene.index}/_doc/{film}?version={version}&version_type=external_gte",
        {"id": film, "title": "By hand"},
    )
    mark = daemon.mark()
    scene.sql("UPDATE content.film_work SET title = 'Ours' WHERE id = md5('film 1')::uuid")
    if version >> 40 > 1_000_000:
        parked = daemon.wait_for("parked", after=mark)
        assert str(version) in parked["reason"]
        scene.request(
            "DELETE", f"/{scene.index}/_doc/{film}?version={2**63 - 1}&version_type=external"
        )
        scene.request("POST", f"/{scene.index}/_close")
        scene.request("POST", f"/{scene.index}/_open")  # the tombstone is forgotten
        scene.sql("UPDATE content.film_work SET title = 'Again' WHERE id = md5('film 1')::uuid")
    scene.wait_converged()
    assert len(daemon.found("generation_raised", after=mark)) <= 2, daemon.log
    daemon.stop()
    scene.assert_converged()


@pytest.mark.long
def test_standby_takes_over_from_a_killed_daemon(scene: Scene) -> None:
    """It says that it stands by, and serves within a moment of the other's SIGKILL."""
    first = scene.serve()
    second = scene.start(folder="second")
    second.wait_for("standing_by")
    for number in range(3):
        scene.sql(f"UPDATE content.film_work SET title = 'Take {number}' WHERE rating IS NOT NULL")
        first.kill()
        scene.sql(
            "DELETE FROM content.film_work "
            "WHERE id = (SELECT min(id::text)::uuid FROM content.film_work)"
        )
        second.wait_for("caught_up")
        scene.wait_converged()
        assert not second.found("load_started")
        assert not second.found("reconcile_started"), second.log
        first, second = second, scene.start(folder=f"standby-{number}")
        second.wait_for("standing_by")
    second.stop()
    first.stop()
    scene.assert_converged()


def test_triggers_are_not_removed_under_a_daemon(scene: Scene) -> None:
    """It would miss every change from then on: 4, and nothing is touched."""
    daemon = scene.serve()
    remove = scene.start("triggers", "remove", folder="second")
    remove.expect_exit(4)
    assert "stop it first" in remove.log
    scene.sql("UPDATE content.film_work SET title = 'Still' WHERE id = md5('film 1')::uuid")
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()
