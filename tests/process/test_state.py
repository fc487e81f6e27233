"""state.yaml lost, damaged, foreign or not to be written; signals; secrets."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from playground.postgres import PostgresServer
from playground.search import SearchServer
from tests.kit.lengths import one_short
from tests.kit.scene import OWNER, PASSWORD, Scene, Template, open_scene
from tests.kit.writer import Writer


@pytest.fixture
def other(
    postgres_server: PostgresServer,
    search_server: SearchServer,
    movies_template: Template,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Scene]:
    """A second database of the same server, with a pipeline of its own."""
    folder = tmp_path_factory.mktemp("other")
    with open_scene(postgres_server, search_server, movies_template, folder) as scene:
        yield scene


@pytest.mark.long
def test_missing_state_comes_from_the_control_document(scene: Scene) -> None:
    """A container that moved: the watermark is taken from Elasticsearch, said, and no load."""
    scene.serve().stop()
    before = scene.state["last_processed"]
    shutil.rmtree(scene.state_file.parent)
    scene.sql("UPDATE content.film_work SET title = 'Edited' WHERE id = md5('film 7')::uuid")
    scene.sql("DELETE FROM content.film_work WHERE id = md5('film 8')::uuid")
    daemon = scene.start()
    taken = daemon.wait_for("state_from_control")
    assert taken["last_processed"].replace(" ", "T") == before.isoformat()
    daemon.wait_for("caught_up")
    scene.wait_converged()
    assert not daemon.found("load_started")
    daemon.stop()
    assert scene.state["last_processed"] >= before
    scene.assert_converged()


def test_missing_state_and_control_document(scene: Scene) -> None:
    """Nothing is known any more: a full load."""
    scene.serve().stop()
    shutil.rmtree(scene.state_file.parent)
    scene.request("DELETE", f"/{scene.prefix}-control")
    scene.sql("DELETE FROM content.film_work WHERE id = md5('film 8')::uuid")
    daemon = scene.start()
    daemon.wait_for("loaded")
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()


@pytest.mark.long
def test_lost_control_document(scene: Scene) -> None:
    """The generation begins anew, below that of all documents: it rises above it by itself."""
    scene.once()
    for _ in range(6):
        scene.once()
    scene.request("DELETE", f"/{scene.prefix}-control")
    scene.sql("UPDATE content.film_work SET title = 'Edited' WHERE id = md5('film 291')::uuid")
    scene.sql("DELETE FROM content.film_work WHERE id = md5('film 292')::uuid")
    daemon = scene.start()
    daemon.wait_for("caught_up")
    scene.wait_converged()
    assert not daemon.found("load_started")
    daemon.stop()
    scene.assert_converged()


@pytest.mark.long
def test_control_document_lost_at_a_high_generation(scene: Scene) -> None:
    """Whether a daemon serves or starts: what owns the aliases tells which generation it must be
    above; that takes one step, not one for each generation."""
    scene.once()
    place = f"/{scene.prefix}-control/_doc/{scene.prefix}"
    high = {**scene.control, "generation": 5000}
    scene.request("PUT", f"{place}?refresh=true", high)
    scene.once()
    scene.set(audit_every=0.3)
    daemon = scene.start()
    daemon.wait_for("caught_up")
    mark = daemon.mark()
    scene.request("DELETE", f"/{scene.prefix}-control")
    daemon.wait_for("generation_raised", after=mark)
    daemon.wait_for("caught_up", after=mark)
    assert scene.control["generation"] > 5000
    daemon.kill()
    scene.request("DELETE", f"/{scene.prefix}-control")
    scene.sql("UPDATE content.film_work SET title = 'Edited' WHERE id = md5('film 291')::uuid")
    daemon = scene.start()
    daemon.wait_for("caught_up")
    scene.wait_converged()
    assert scene.control["generation"] > 5000
    assert not daemon.found("waiting"), daemon.log
    daemon.stop()
    scene.assert_converged()


@pytest.mark.long
def test_damaged_state_is_refused(scene: Scene) -> None:
    """Never a silent start from zero: 2, with the file and the way out; nothing is overwritten."""
    scene.serve().stop()
    whole = scene.state_file.read_bytes()
    for content in (
        b"",
        b"\0" * 300,
        bytes(range(256)),
        whole.replace(b"version: 1", b"version: 0"),
        b"last_processed: [",
        b"last_processed: 17\n",
        b"just text",
        b"{last_processed: null}",
        whole[: len(whole) * 3 // 4],
        whole[: len(whole) // 2],
    ):
        scene.state_file.write_bytes(content)
        process = scene.start("--once")
        process.expect_exit(2)
        reason = process.wait_for("ended")["reason"]
        assert str(scene.state_file) in reason
        assert "move it away" in reason
        assert scene.state_file.read_bytes() == content
    scene.start().expect_exit(2)
    scene.state_file.unlink()  # the way out that the message names
    once = scene.once()
    assert once.found("state_from_control")
    assert not once.found("load_started")
    scene.assert_converged()


def test_state_of_a_newer_listener(scene: Scene) -> None:
    """A version that this one does not know: 2, with the way out, and the file stays as it is."""
    scene.serve().stop()
    newer = scene.state_file.read_bytes().replace(b"version: 1", b"version: 2")
    scene.state_file.write_bytes(newer)
    process = scene.start()
    process.expect_exit(2)
    assert "run the listener that wrote it" in process.wait_for("ended")["reason"]
    assert scene.state_file.read_bytes() == newer
    scene.assert_converged()


@pytest.mark.long
def test_state_behind_a_link(scene: Scene) -> None:
    """The link stays a link and what it points to is written; one that leads nowhere is refused:
    a volume that is not mounted must not look like a first start."""
    volume = scene.folder / "volume"
    volume.mkdir()
    scene.state_file.parent.mkdir()
    scene.once()
    scene.state_file.rename(volume / "state.yaml")
    scene.state_file.symlink_to(volume / "state.yaml")
    before = scene.state["last_processed"]
    scene.sql("DELETE FROM content.film_work WHERE id = md5('film 8')::uuid")
    scene.once()
    assert scene.state_file.is_symlink()
    assert scene.state["last_processed"] > before
    volume.rename(scene.folder / "unmounted")
    scene.sql("DELETE FROM content.film_work WHERE id = md5('film 9')::uuid")
    process = scene.start()
    process.expect_exit(2)
    assert "is its volume mounted?" in process.wait_for("ended")["reason"]
    (scene.folder / "unmounted").rename(volume)
    scene.once()
    scene.assert_converged()


@pytest.mark.parametrize("control", one_short(("kept", "lost"), "kept"))
def test_watermark_of_the_future(scene: Scene, control: str) -> None:
    """Somebody edited it, or the clock was ahead: changes below it are found all the same."""
    scene.serve().stop()
    text = scene.state_file.read_text("utf-8")
    scene.state_file.write_text(
        re.sub(r"last_processed: \d+", "last_processed: 2999", text), "utf-8"
    )
    assert scene.state["last_processed"].year == 2999
    if control == "lost":
        scene.request("DELETE", f"/{scene.prefix}-control")
    scene.sql("UPDATE content.film_work SET title = 'Edited' WHERE id = md5('film 7')::uuid")
    scene.sql("DELETE FROM content.film_work WHERE id = md5('film 8')::uuid")
    daemon = scene.start()
    daemon.wait_for("caught_up" if control == "kept" else "reconciled")
    scene.wait_converged()
    assert bool(daemon.found("history_changed")) == (control == "lost"), daemon.log
    daemon.wait_for("watermark_moved", after=daemon.mark())
    daemon.stop()
    assert scene.state["last_processed"].year < 2999
    scene.assert_converged()


def test_state_of_another_database(scene: Scene, other: Scene) -> None:
    """The wrong volume, or the wrong database in the configuration: 2, and nothing is touched."""
    other.serve().stop()
    scene.state_file.parent.mkdir()
    shutil.copy(other.state_file, scene.state_file)
    daemon = scene.start()
    daemon.expect_exit(2)
    assert "belongs to" in daemon.wait_for("ended")["reason"]
    assert scene.behind() == []
    scene.set(pipeline=other.prefix, elasticsearch={"control_index": f"{other.prefix}-control"})
    scene.options["documents"] = other.options["documents"]
    scene.admin("UPDATE listener.meta SET pipeline = NULL")  # nobody's yet
    daemon = scene.start()
    daemon.expect_exit(2)
    reason = daemon.wait_for("ended")["reason"]
    assert "another database" in reason
    assert "listener load" in reason
    other.assert_converged()


@pytest.mark.long
def test_index_of_another_database_behind_the_control_document(scene: Scene, other: Scene) -> None:
    """The same with no state.yaml: the control document says whose it is. `load` is the way out."""
    other.serve().stop()
    other.sql("DELETE FROM content.film_work WHERE id = md5('film 8')::uuid")
    scene.sql("UPDATE content.film_work SET title = 'Mine' WHERE id = md5('film 1')::uuid")
    scene.set(pipeline=other.prefix, elasticsearch={"control_index": f"{other.prefix}-control"})
    scene.options["documents"] = other.options["documents"]
    daemon = scene.start()
    daemon.expect_exit(2)
    assert "another database" in daemon.wait_for("ended")["reason"]
    load = scene.start("load")
    load.expect_exit(0)
    scene.assert_converged()
    daemon = scene.start()
    daemon.wait_for("caught_up")
    scene.sql("DELETE FROM content.film_work WHERE id = md5('film 9')::uuid")
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()


def test_older_state_is_safe(scene: Scene) -> None:
    """A state.yaml of before (a restored backup) only means that more is read again."""
    daemon = scene.serve()
    daemon.stop()
    old = scene.state_file.read_bytes()
    daemon = scene.start()
    daemon.wait_for("caught_up")
    with Writer(scene) as writer:
        writer.wait()
    scene.wait_converged()
    daemon.stop()
    scene.state_file.write_bytes(old)
    scene.sql("DELETE FROM content.film_work WHERE id = md5('film 9')::uuid")
    daemon = scene.start()
    daemon.wait_until(
        lambda records: next(
            (one for one in records if one.event in ("caught_up", "loaded", "ended")), None
        ),
        what="caught_up, loaded or ended",
    )
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()


def test_database_restored_to_an_earlier_state(scene: Scene) -> None:
    """The database goes back to what it was: documents of later rows must not stay."""
    scene.serve().stop()
    scene.postgres.create_database(f"{scene.database}_backup", scene.database)
    try:
        daemon = scene.start()
        daemon.wait_for("caught_up")
        scene.sql("UPDATE content.film_work SET title = 'Lost' WHERE id = md5('film 1')::uuid")
        scene.sql("INSERT INTO content.film_work (title, type) VALUES ('Lost', 'movie')")
        scene.wait_converged()
        daemon.stop()
        scene.close()
        scene.postgres.drop_database(scene.database)
        scene.postgres.create_database(scene.database, f"{scene.database}_backup")
        scene.postgres.execute(f'ALTER DATABASE "{scene.database}" OWNER TO {OWNER}')
    finally:
        scene.postgres.drop_database(f"{scene.database}_backup")
    daemon = scene.start()
    daemon.expect_exit(2)
    scene.start("load").expect_exit(0)
    scene.assert_converged()


@pytest.mark.long
def test_rows_put_back_under_the_same_database(scene: Scene) -> None:
    """The nonce of our schema is an old one (a restored dump of the tables): compare."""
    scene.serve().stop()
    [(nonce,)] = scene.admin("SELECT nonce FROM listener.meta")
    daemon = scene.start()
    daemon.wait_for("caught_up")
    daemon.stop()
    # what such a restore leaves: rows that are not what they were, and nothing that says so
    scene.admin(
        f"UPDATE listener.meta SET nonce = '{nonce}'; "
        "DELETE FROM content.film_work WHERE id = md5('film 1')::uuid; "
        "DELETE FROM listener.journal"
    )
    daemon = scene.start()
    daemon.wait_for("history_changed")
    daemon.wait_for("reconciled")
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()


def test_journal_pruned_beyond_the_watermark(scene: Scene) -> None:
    """A daemon that was away for longer than the journal is kept cannot know what it missed."""
    scene.serve().stop()
    scene.sql("DELETE FROM content.film_work WHERE id = md5('film 1')::uuid")
    scene.admin(
        "DELETE FROM listener.journal; UPDATE listener.meta SET pruned_below = clock_timestamp()"
    )
    daemon = scene.start()
    daemon.wait_for("history_changed", reason=re.compile("pruned"))
    daemon.wait_for("reconciled")
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()


def unwritable(folder: Path) -> str:
    """A state file that nobody can write: for root only the kernel's own file systems are so."""
    if os.geteuid() == 0:
        return "/proc/1/state/state.yaml"
    closed = folder / "closed"
    closed.mkdir(mode=0o500)
    return str(closed / "state" / "state.yaml")


def test_state_that_cannot_be_written(scene: Scene) -> None:
    """It is said; the daemon works on, and its next start goes on from the control document."""
    scene.set(state_file_name=unwritable(scene.folder))
    daemon = scene.start()
    daemon.wait_for("state_not_saved")
    daemon.wait_for("loaded")
    scene.sql("DELETE FROM content.film_work WHERE id = md5('film 9')::uuid")
    scene.wait_converged()
    daemon.stop()
    scene.set(state_file_name="state/state.yaml")
    daemon = scene.start()
    daemon.wait_for("state_from_control")
    daemon.wait_for("caught_up")
    scene.wait_converged()
    assert not daemon.found("load_started")
    daemon.stop()
    scene.assert_converged()


@pytest.mark.parametrize("number", one_short((signal.SIGTERM, signal.SIGINT), signal.SIGTERM))
def test_signal_under_writes(scene: Scene, number: signal.Signals) -> None:
    """The batch in flight is finished, the state is saved, 0; nothing is lost at the next start."""
    daemon = scene.serve()
    with Writer(scene) as writer:
        writer.wait()
        daemon.signal(number)
        daemon.expect_exit(0, deadline=10)
        writer.wait(5)
        saved = scene.state["last_processed"]
        assert saved is not None
        daemon = scene.start()
        daemon.wait_for("caught_up")
        writer.wait(5)
    scene.wait_converged()
    assert not daemon.found("load_started")
    daemon.stop()
    assert scene.state["last_processed"] >= saved
    scene.assert_converged()


@pytest.mark.long
def test_second_signal_ends_at_once(scene: Scene) -> None:
    """The first waits for an answer that does not come; the second does not."""
    scene.set(elasticsearch={"request_timeout": 5})
    daemon = scene.serve()
    scene.search.pause()
    scene.sql("DELETE FROM content.film_work WHERE id = md5('film 9')::uuid")
    daemon.wait_for("waiting", server="Elasticsearch")
    daemon.signal(signal.SIGTERM)
    daemon.wait_for("stopping")
    daemon.signal(signal.SIGINT)
    assert daemon.exit_status(deadline=10) == 128 + signal.SIGINT
    scene.search.resume()
    scene.once()
    scene.assert_converged()


@pytest.mark.parametrize("server", one_short(("PostgreSQL", "Elasticsearch"), "PostgreSQL"))
def test_signal_while_a_server_is_away(scene: Scene, server: str) -> None:
    """Waits are cut short: 0, and the watermark of before is kept."""
    daemon = scene.serve()
    away = scene.postgres if server == "PostgreSQL" else scene.search
    away.stop()
    if server == "Elasticsearch":
        scene.sql("DELETE FROM content.film_work WHERE id = md5('film 9')::uuid")
    daemon.wait_for("waiting", server=server)
    daemon.stop(deadline=10)
    saved = scene.state["last_processed"]
    away.start()
    scene.once()
    assert scene.state["last_processed"] > saved
    scene.assert_converged()


@pytest.mark.long
def test_daemon_killed_again_and_again(scene: Scene) -> None:
    """SIGKILL under writes, at whatever it is doing: each start goes on from the state."""
    daemon = scene.serve()
    with Writer(scene) as writer:
        for moment in ("indexed", "watermark_moved", "generation_raised", "listening", "swept"):
            writer.wait(15)
            daemon.wait_for(moment, after=daemon.mark() if moment == "indexed" else None)
            daemon.kill()
            writer.wait(10)
            daemon = scene.start()
        daemon.wait_for("caught_up")
        writer.wait(15)
    scene.wait_converged()
    for process in scene.processes.started[1:]:
        assert not process.found("load_started"), process.log
        assert not process.found("history_changed"), process.log
    daemon.stop()
    scene.assert_converged()


@pytest.mark.parametrize(
    ("form", "place"), [("text", "file"), ("json", "variable"), ("text", "password_file")]
)
def test_secrets_stay_secret(scene: Scene, form: str, place: str) -> None:
    """The password is in no log, no message and no command line (each scene looks for it too)."""
    scene.set(logging={"format": form})
    environment = {}
    if place == "variable":
        scene.set(postgres={"password": "${SECRET_OF_TESTS}"})
        environment["SECRET_OF_TESTS"] = PASSWORD
    elif place == "password_file":
        path = scene.folder / "password"
        path.write_text(PASSWORD + "\n", "utf-8")
        del scene.options["postgres"]["password"]
        scene.set(postgres={"password_file": "password"})
    daemon = scene.start(environment=environment)
    said = re.compile("watermark .* \\(barrier\\)")
    event = "text" if form == "text" else "watermark_moved"
    daemon.wait_until(
        lambda records: next(
            (one for one in records if one.event == event and said.search(one.message)), None
        ),
        what="the first watermark",
    )
    scene.wait_converged()
    line = Path(f"/proc/{daemon.pid}/cmdline").read_bytes().decode()
    assert PASSWORD.split()[-1] not in line
    scene.postgres.stop()
    daemon.wait_until(
        lambda records: next((one for one in records if "next in" in one.message), None),
        what="a wait",
    )
    scene.postgres.start()
    daemon.stop()
    assert "secret-of-tests" not in daemon.log
    scene.assert_converged()
