"""Back: the former index is kept and fed by its own definition, and `rollback` swaps back in one
call."""

from __future__ import annotations

import pytest

from playground.daemon import ListenerProcess
from playground.proxy import TcpProxy
from tests.kit.edited import Edited
from tests.kit.lengths import one_short
from tests.kit.scene import Scene
from tests.kit.writer import Writer


class Renamed:
    """A scene in which a field was renamed in query and mapping, and the new index swapped in."""

    def __init__(self, scene: Scene, **options: object) -> None:
        self.scene = scene
        scene.set(**options)
        self.edited = Edited(scene)
        scene.serve().stop()
        [self.old] = scene.behind()
        self.edited.rename_title()
        self.edited.edit("'rating', film.rating", "'rating', NULL")
        self.daemon = scene.start()
        self.daemon.wait_for("loaded")
        [self.new] = scene.behind()

    def rollback(self, expect: int = 0) -> ListenerProcess:
        """Go back, or forth."""
        process = self.scene.start("rollback", self.scene.index)
        status = process.exit_status(30)
        assert status == expect, self.scene.processes.logs
        return process

    def wait_new(self) -> None:
        """The index in use equals the query of the files."""
        self.scene.wait_converged()
        assert self.scene.behind() == [self.new]

    def wait_old(self) -> None:
        """The index in use equals the query before."""
        self.edited.wait_as_before()
        assert self.scene.behind() == [self.old]


def test_back_and_forth_beside_a_daemon(scene: Scene) -> None:
    """Under edits, and killed in between: after each rollback the index equals its own query. The
    files are not loaded again, and that is told at each start."""
    renamed = Renamed(scene)
    renamed.daemon.wait_for("former_kept", physical=renamed.old)
    with Writer(scene) as writer:
        writer.wait()
        back = renamed.rollback()
        assert f"people search {renamed.old} again" in back.output
        assert "are not in force" in back.output
        writer.wait()
    renamed.wait_old()
    with Writer(scene, 2) as writer:
        writer.wait(10)
        renamed.daemon.kill()
        daemon = scene.start()
        writer.wait()
    daemon.wait_for("caught_up")
    renamed.wait_old()
    assert daemon.wait_for("files_not_in_force", index=scene.index)
    assert not daemon.found("load_started"), daemon.log
    with Writer(scene, 3) as writer:
        writer.wait()
        renamed.rollback()
        writer.wait()
    renamed.wait_new()
    daemon.stop()
    daemon = scene.serve()
    assert not daemon.found("files_not_in_force")
    assert not daemon.found("load_started")
    daemon.stop()
    scene.assert_converged()


def test_without_a_daemon(scene: Scene) -> None:
    """The command catches up and goes back. No start loads the files again, `--once` neither, until
    they change."""
    renamed = Renamed(scene)
    renamed.daemon.stop()
    scene.sql("UPDATE content.film_work SET title = 'Missed' WHERE id = md5('film 1')::uuid")
    scene.sql("DELETE FROM content.film_work WHERE id = md5('film 2')::uuid")
    renamed.rollback()
    renamed.wait_old()
    once = scene.once()
    assert once.found("files_not_in_force")
    assert not once.found("load_started")
    renamed.wait_old()
    renamed.rollback()
    renamed.wait_new()
    renamed.rollback()
    renamed.edited.edit("'name', film.title", "'name', upper(film.title)")
    daemon = scene.start()
    daemon.wait_for("loaded")
    assert not daemon.found("files_not_in_force")
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()


@pytest.mark.long
def test_while_a_load_is_under_way(scene: Scene) -> None:
    """It is by the files, and would take the rollback back: it is given up, at each start, too."""
    with TcpProxy("127.0.0.1", scene.search.port) as proxy:
        urls = [f"http://127.0.0.1:{proxy.port}"]
        renamed = Renamed(scene, elasticsearch={"urls": urls}, page_size=8)
        renamed.daemon.stop()
        renamed.edited.edit("'name', film.title", "'name', upper(film.title)")
        proxy.delay = 0.03
        daemon = scene.start()
        daemon.wait_for("load_progress")
        scene.sql("UPDATE content.film_work SET title = 'Meanwhile' WHERE rating > 5")
        back = renamed.rollback()
        assert "are not in force" in back.output
        given_up = daemon.wait_for("load_given_up", index=scene.index)
        assert not daemon.found("loaded"), "too fast for this test"
        proxy.delay = 0
        renamed.wait_old()
        daemon.wait_for("watermark_moved", after=daemon.mark())
        assert sorted(scene.physical()) == sorted([renamed.old, renamed.new])
        assert given_up["physical"] not in scene.physical()
        daemon.kill()
        daemon = scene.serve(converge=False)
        assert not daemon.found("load_started")
        renamed.wait_old()
        daemon.stop()


@pytest.mark.long
def test_nothing_is_kept(scene: Scene) -> None:
    """With `keep_former: 0` each document is read and written once, and nobody goes back."""
    renamed = Renamed(scene, keep_former=0)
    daemon, mark = renamed.daemon, renamed.daemon.mark()
    scene.sql("UPDATE content.film_work SET title = 'Once' WHERE id = md5('film 1')::uuid")
    scene.wait_converged()
    daemon.wait_for("watermark_moved", after=mark)
    assert sum(one["written"] for one in daemon.found("indexed", after=mark)) == 1
    assert not daemon.found("former_kept")
    refused = renamed.rollback(expect=2)
    assert "the former index was given up: keep_former is 0" in refused.log
    daemon.stop()
    scene.start("load", "--drop-old").expect_exit(0)
    assert scene.physical() == [renamed.new]
    scene.assert_converged()


@pytest.mark.parametrize(
    "fault", one_short(("deleted", "closed", "read-only", "truncate", "column"), "closed")
)
def test_a_former_one_never_holds(scene: Scene, fault: str) -> None:
    """Where anything is wrong with it, it is given up, and the one in use goes on."""
    renamed = Renamed(scene)
    daemon, old = renamed.daemon, renamed.old
    daemon.wait_for("former_kept")
    match fault:
        case "deleted":
            scene.request("DELETE", f"/{old}")
        case "closed":
            scene.request("POST", f"/{old}/_close")
        case "read-only":
            scene.request("PUT", f"/{old}/_settings", {"index.blocks.write": True})
        case "column":
            with scene.superuser() as owner:
                owner.execute("ALTER TABLE content.film_work DROP COLUMN rating")
        case _:
            scene.sql("TRUNCATE content.genre_film_work")
    mark = daemon.mark()
    scene.sql("UPDATE content.film_work SET title = 'On' WHERE id = md5('film 1')::uuid")
    renamed.wait_new()
    daemon.wait_for("former_given_up", physical=old)
    daemon.wait_for("watermark_moved", after=mark)
    refused = renamed.rollback(expect=2)
    assert "given up" in refused.log
    renamed.wait_new()
    scene.wait_health(0)
    daemon.stop()
    scene.assert_converged()


@pytest.mark.long
def test_its_time_is_over(scene: Scene) -> None:
    """Up to then nothing deletes it; then it is fed no more, and left over."""
    renamed = Renamed(scene, keep_former=15)
    daemon = renamed.daemon
    kept = scene.start("load", "--drop-old")
    kept.expect_exit(0)
    assert f"kept {renamed.old}" in kept.output
    assert "rollback" in kept.output
    assert renamed.old in scene.physical()
    daemon.wait_for("former_expired", physical=renamed.old)
    refused = renamed.rollback(expect=2)
    assert "its time is over" in refused.log
    scene.start("load", "--drop-old").expect_exit(0)
    assert scene.physical() == [renamed.new]
    daemon.wait_for("watermark_moved", after=daemon.mark())
    daemon.stop()
    scene.assert_converged()


def killed_while_it_went_back(renamed: Renamed) -> None:
    """The aliases have changed, and nothing is written down."""
    scene, daemon, old, new = renamed.scene, renamed.daemon, renamed.old, renamed.new
    daemon.wait_for("watermark_moved", after=daemon.wait_for("former_kept"))
    daemon.kill()
    generation = daemon.found("generation_raised")[-1]["generation"]
    actions = []
    for alias, before, after in (
        (scene.index, new, old),
        (f"{scene.index}.w{generation}", new, old),
        (f"{scene.index}.f{generation}", old, new),
    ):
        actions += [
            {"remove": {"index": before, "alias": alias}},
            {"add": {"index": after, "alias": alias}},
        ]
    scene.request("POST", "/_aliases", {"actions": actions})


def test_killed_before_it_was_written_down(scene: Scene) -> None:
    """The aliases say what the state does not: the next start goes on with both indexes."""
    renamed = Renamed(scene)
    killed_while_it_went_back(renamed)
    with Writer(scene) as writer:
        daemon = scene.start()
        writer.wait()
    daemon.wait_for("files_not_in_force")
    renamed.wait_old()
    assert not daemon.found("load_started")
    assert not daemon.found("former_given_up")
    renamed.rollback()
    renamed.wait_new()
    daemon.stop()
    scene.assert_converged()


@pytest.mark.long
def test_alone_before_it_was_written_down(scene: Scene) -> None:
    """The command, too, takes the aliases' word for which index is the former one."""
    renamed = Renamed(scene)
    killed_while_it_went_back(renamed)
    scene.sql("UPDATE content.film_work SET title = 'Missed' WHERE id = md5('film 1')::uuid")
    forth = renamed.rollback()
    assert f"people search {renamed.new} again" in forth.output
    renamed.wait_new()
    scene.assert_converged()
