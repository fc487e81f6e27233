"""What `verify` says, and what it does not take for wrong: late documents, parked ones."""

from __future__ import annotations

import re

from tests.kit.scene import Scene
from tests.kit.writer import Writer
from tests.kit.wrong_index import lie


def test_counts_and_the_first_few_ids(scene: Scene) -> None:
    """Of each kind the count and five ids; both kinds of documents, both sides counted; 1."""
    scene.serve().stop()
    alias = scene.behind()[0]
    ids = [
        row[0] for row in scene.sql("SELECT id::text FROM content.film_work ORDER BY id LIMIT 24")
    ]
    missing, stale = ids[:12], ids[12:]
    for one in missing:
        scene.request("DELETE", f"/{alias}/_doc/{one}")
    for one in stale:
        scene.request("POST", f"/{alias}/_update/{one}", {"doc": {"title": "wrong"}})
    orphans = [f"00000000-0000-4000-8000-0000000000{number}" for number in range(10, 19)]
    for one in orphans:
        scene.request("PUT", f"/{alias}/_doc/{one}", {"title": "gone"})
    verify = scene.start("verify")
    verify.expect_exit(1)
    assert f"{scene.index}: 300 documents compared, 33 wrong" in verify.output
    for kind, count, known in (
        ("missing", 12, missing),
        ("stale", 12, stale),
        ("orphaned", 9, orphans),
    ):
        said = re.search(rf"{kind}: {count} \((.*), …\)", verify.output)
        assert said, verify.output
        shown = said[1].split(", ")
        assert len(shown) == len(set(shown)) == 5
        assert set(shown) <= set(known)
    assert "parked" not in verify.output
    assert "`listener verify --repair` mends it" in verify.output
    assert scene.request("GET", f"/{scene.index}/_count")["count"] == 297, "it wrote something"
    scene.start("verify", "--repair").expect_exit(0)
    scene.assert_converged()


def test_late_is_not_wrong(scene: Scene) -> None:
    """Beside a daemon under writes nothing is called wrong: what differs is looked at again once
    the daemon has had its chance. Three times over, since a race may be won by luck."""
    daemon = scene.serve()
    with Writer(scene) as writer:
        for _ in range(3):
            writer.wait(10)
            verify = scene.start("verify", folder="second")
            verify.expect_exit(0)
            assert " 0 wrong" in verify.output
    scene.wait_converged()  # what was committed a moment before a stop is for the next start
    daemon.stop()
    scene.assert_converged()


def test_wrong_is_found_among_the_late(scene: Scene) -> None:
    """Under writes too it finds the documents that nobody will mend, and only these."""
    daemon = scene.serve()
    lie(scene)
    with Writer(scene) as writer:
        writer.wait(10)
        verify = scene.start("verify", folder="second")
        verify.expect_exit(1)
        wrong = re.search(r"compared, (\d+) wrong", verify.output)
        assert wrong, verify.output
        assert 1 <= int(wrong[1]) <= 4, verify.output  # the writer may have mended some of them
        assert "orphaned: 2 (" in verify.output, verify.output
        writer.wait(5)
    scene.start("verify", "--repair", folder="second").expect_exit(0)
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()


def test_parked_is_named_and_tried_again_on_demand(scene: Scene) -> None:
    """Not wrong, so 0; `--repair` has it tried again, whether its row was changed or not."""
    scene.set(audit_every=3600)
    daemon = scene.serve()
    scene.sql("UPDATE content.film_work SET rating = 'NaN' WHERE id = md5('film 1')::uuid")
    parked = daemon.wait_for("parked")
    verify = scene.start("verify", folder="second")
    verify.expect_exit(0)
    assert f"parked: 1 ({parked['id']})" in verify.output
    assert " 0 wrong" in verify.output
    again = scene.start("verify", "--repair", folder="second")
    again.expect_exit(0)
    daemon.wait_for("parked", after=parked)  # still a fault of its own
    scene.admin(
        "ALTER TABLE content.film_work DISABLE TRIGGER USER;"
        "UPDATE content.film_work SET rating = 1 WHERE id = md5('film 1')::uuid;"
    )
    assert scene.differences().stale
    mend = scene.start("verify", "--repair", folder="second")
    mend.expect_exit(0)
    assert "parked" not in mend.output.rsplit("compared", 1)[1]
    scene.assert_converged()
    daemon.stop()


def test_parked_without_a_daemon(scene: Scene) -> None:
    """The same where `verify` does the work itself: named by the first look, mended by the rest."""
    daemon = scene.serve()
    scene.sql("UPDATE content.film_work SET rating = 'NaN' WHERE id = md5('film 1')::uuid")
    daemon.wait_for("parked")
    daemon.stop()
    scene.sql("UPDATE content.film_work SET rating = 1 WHERE id = md5('film 1')::uuid")
    mend = scene.start("verify", "--repair")
    mend.expect_exit(0)
    scene.assert_converged()
