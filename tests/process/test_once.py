"""`listener run --once`, and what the exit statuses say."""

from __future__ import annotations

import re
import signal

import pytest

from tests.kit.lengths import one_short
from tests.kit.scene import OWNER, PASSWORD, Scene
from tests.kit.statements import WITHOUT_NOTIFY


def test_first_run_loads_all(scene: Scene) -> None:
    """Nothing is there yet: a full load, 0, and the watermark is saved."""
    once = scene.once()
    assert len(once.found("loaded")) == 1
    assert once.found("stopped_all", status=0)
    scene.assert_converged()
    assert scene.state["last_processed"] is not None
    again = scene.once()
    assert not again.found("load_started")
    scene.assert_converged()


def test_edits_and_deletes_while_nobody_listened(scene: Scene) -> None:
    """Edits and deletes in every table, made while the daemon was down."""
    scene.serve().stop()
    scene.admin(WITHOUT_NOTIFY)
    once = scene.once()
    for table in ("content.film_work(id)", "content.genre(id)", "content.person(id)", "journal"):
        assert once.found("swept", table=table), once.log
    assert not once.found("load_started")
    scene.assert_converged()


def test_many_small_commits_make_few_bulks(scene: Scene) -> None:
    """Each commit has its row in the journal; what they tell is read and sent together."""
    scene.serve().stop()
    application = scene.connect()
    for number in range(1, 291):
        application.execute(
            "DELETE FROM content.genre_film_work "
            f"WHERE id = md5('genre link {number} 0')::uuid".encode()
        )
    once = scene.once()
    assert once.found("swept", table="journal")
    assert len(once.found("indexed")) <= 10, once.log
    scene.assert_converged()


def test_open_transactions_are_not_waited_for(scene: Scene) -> None:
    """What is visible is indexed; the watermark stays behind the open writer, who is named."""
    scene.serve().stop()
    writer = scene.connect()
    with writer.transaction():
        writer.execute("UPDATE content.film_work SET title = 'Late' WHERE id = md5('film 1')::uuid")
        writer.execute("DELETE FROM content.film_work WHERE id = md5('film 2')::uuid")
        row = writer.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None
        scene.sql("UPDATE content.film_work SET title = 'Seen' WHERE id = md5('film 3')::uuid")
        once = scene.once()
        held = once.wait_for("watermark_held")
        pid = writer.info.backend_pid
        assert str(pid) in held["holder"], held.message
        scene.assert_converged()
        assert scene.state["last_processed"] < row[0]
    once = scene.once()
    assert not once.found("watermark_held")
    scene.assert_converged()
    assert scene.state["last_processed"] > row[0]


@pytest.mark.long
def test_open_transaction_of_another_database(scene: Scene) -> None:
    """Even that keeps the watermark, but nobody waits for it."""
    scene.serve().stop()
    before = scene.state["last_processed"]
    scene.sql("UPDATE content.film_work SET title = 'Seen' WHERE id = md5('film 3')::uuid")
    with scene.superuser("postgres") as other, other.transaction():
        other.execute("SELECT pg_current_xact_id()")
        once = scene.once()
        assert str(other.info.backend_pid) in once.wait_for("watermark_held")["holder"]
    scene.assert_converged()
    assert scene.state["last_processed"] == before
    scene.once()
    scene.assert_converged()
    assert scene.state["last_processed"] > before


def test_first_load_beside_an_open_transaction(scene: Scene) -> None:
    """A load that began beside an open writer: what that one commits later is not lost."""
    scene.start("triggers", "install").expect_exit(0)
    writer = scene.connect()
    with writer.transaction():
        writer.execute("UPDATE content.film_work SET title = 'Late' WHERE id = md5('film 1')::uuid")
        writer.execute("DELETE FROM content.film_work WHERE id = md5('film 2')::uuid")
        scene.once()
        scene.assert_converged()
    scene.once()
    scene.assert_converged()


@pytest.mark.long
def test_a_document_that_the_mapping_refuses(scene: Scene) -> None:
    """It is parked and told, the others are indexed: 1. Once it is mended: 0."""
    scene.serve().stop()
    scene.sql("UPDATE content.film_work SET rating = 'NaN' WHERE id = md5('film 1')::uuid")
    scene.sql("UPDATE content.film_work SET title = 'Other' WHERE id = md5('film 2')::uuid")
    once = scene.once(expect=1)
    [parked] = once.found("parked")
    [(film,)] = scene.sql("SELECT md5('film 1')::uuid::text")
    assert parked["id"] == film
    found = scene.differences()
    assert list(found.stale) == [(scene.index, film)]
    assert not found.missing
    assert not found.orphaned
    scene.set(overlap=0)
    for _ in range(2):  # it is still parked, also where nothing is read
        once = scene.once(expect=1)
    assert not once.found("swept"), once.log
    scene.sql("UPDATE content.film_work SET rating = 1 WHERE id = md5('film 1')::uuid")
    scene.once()
    scene.assert_converged()


def test_a_parked_document_is_mended_while_the_daemon_serves(scene: Scene) -> None:
    """Parked documents stop nobody; a change tries them again, a delete clears them."""
    daemon = scene.serve()
    scene.sql(
        "UPDATE content.film_work SET rating = 'Infinity' "
        "WHERE id IN (md5('film 1')::uuid, md5('film 2')::uuid)"
    )
    first = daemon.wait_for("parked")
    parked = daemon.wait_for("parked", after=first)
    daemon.wait_for("watermark_moved", after=parked)
    scene.sql("UPDATE content.film_work SET rating = 2 WHERE id = md5('film 1')::uuid")
    scene.sql("DELETE FROM content.film_work WHERE id = md5('film 2')::uuid")
    scene.wait_converged()
    daemon.stop()
    once = scene.once()
    assert not once.found("parked")
    scene.assert_converged()


def test_gives_up_on_postgres(scene: Scene) -> None:
    """PostgreSQL is away for longer than `give_up_after`: 3, with the reason."""
    scene.serve().stop()
    scene.set(backoff={"give_up_after": 0.5})
    scene.postgres.stop()
    once = scene.once(expect=3)
    assert once.found("waiting", server="PostgreSQL")
    once.wait_for("ended")
    scene.postgres.start()
    scene.once()
    scene.assert_converged()


@pytest.mark.parametrize("state", one_short(("loaded", "new"), "loaded"))
def test_gives_up_on_elasticsearch(scene: Scene, state: str) -> None:
    """Elasticsearch is away for longer than `give_up_after`: 3, with the reason."""
    if state == "loaded":
        scene.serve().stop()
        scene.sql("DELETE FROM content.film_work WHERE id = md5('film 2')::uuid")
    scene.set(backoff={"give_up_after": 0.5})
    scene.search.stop()
    once = scene.once(expect=3)
    assert once.found("waiting", server="Elasticsearch")
    once.wait_for("ended")
    scene.search.start()
    scene.once()
    scene.assert_converged()


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"password": "wrong " + PASSWORD.replace("$", "$$")}, "password authentication failed"),
        pytest.param(
            {"dbname": "no such database"},
            'database "no such database" does not exist',
            marks=pytest.mark.long,
        ),
        pytest.param(
            {"user": "nobody_at_all"}, "password authentication failed", marks=pytest.mark.long
        ),
    ],
)
def test_wrong_credentials(scene: Scene, section: dict[str, str], said: str) -> None:
    """The daemon says it at each try and goes on trying; --once gives up with 3."""
    scene.set(postgres=section, backoff={"give_up_after": 0.5})
    daemon = scene.start()
    first = daemon.wait_for("waiting", reason=re.compile(re.escape(said)))
    daemon.wait_for("waiting", reason=re.compile(re.escape(said)), after=first)
    daemon.stop()
    once = scene.once(expect=3)
    assert said in once.wait_for("ended")["reason"]
    scene.set(
        postgres={
            "user": OWNER,
            "dbname": scene.database,
            "password": PASSWORD.replace("$", "$$"),
        }
    )
    scene.once()
    scene.assert_converged()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fetch_dealy": 1}, "fetch_dealy"),
        pytest.param({"fetch_delay": "soon"}, "fetch_delay", marks=pytest.mark.long),
        pytest.param(
            {"postgres": {"password": "${NO_SUCH_VARIABLE}"}},
            "NO_SUCH_VARIABLE",
            marks=pytest.mark.long,
        ),
        pytest.param({"documents": []}, "documents", marks=pytest.mark.long),
    ],
)
def test_wrong_configuration(scene: Scene, change: dict[str, object], said: str) -> None:
    """2, and the place in the file."""
    documents = scene.options["documents"]
    scene.set(**change)
    for arguments in ((), ("--once",), ("load",), ("check",)):
        process = scene.start(*arguments)
        process.expect_exit(2)
        assert said in process.log
    scene.options["documents"] = documents
    assert scene.search.request("GET", f"/{scene.index}")[0] == 404


def test_second_daemon(scene: Scene) -> None:
    """It stands by and touches nothing; `load` asks the active one."""
    daemon = scene.serve()
    generation = scene.control["generation"]
    second = scene.start(folder="second")
    second.wait_for("standing_by")
    load = scene.start("load", folder="third")
    load.expect_exit(0)
    assert "asked the active daemon" in load.output
    daemon.wait_for("load_started", reason=re.compile("asked for"))
    assert scene.control["generation"] == generation + 1  # which the swap has taken
    assert daemon.found("generation_raised")[-1]["generation"] == generation + 1
    assert not second.found("generation_raised")
    scene.sql("UPDATE content.film_work SET title = 'On' WHERE id = md5('film 1')::uuid")
    scene.wait_converged()
    assert not second.found("indexed")
    second.stop()
    daemon.stop()
    scene.assert_converged()


@pytest.mark.long
def test_once_beside_an_active_daemon(scene: Scene) -> None:
    """It writes nothing: it waits until the daemon's watermark has passed the call, then 0."""
    daemon = scene.serve()
    generation = scene.control["generation"]
    scene.sql("DELETE FROM content.film_work WHERE id = md5('film 2')::uuid")
    once = scene.start("--once", folder="second")
    once.expect_exit(0)
    assert not once.found("indexed")
    assert not (scene.folder / "second" / "state" / "state.yaml").exists()
    assert scene.control["generation"] == generation
    scene.assert_converged()
    daemon.stop()
    scene.assert_converged()


@pytest.mark.long
def test_signal_ends_the_wait_beside_an_active_daemon(scene: Scene) -> None:
    """The wait for another's watermark, which may take long, is cut short by SIGTERM."""
    daemon = scene.serve()
    writer = scene.connect()
    with writer.transaction():
        writer.execute("SELECT pg_current_xact_id()")
        once = scene.start("--once", folder="second")
        once.wait_for("beside_active")
        once.signal(signal.SIGTERM)
        assert once.exit_status(deadline=10) != 0
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()


def test_help_and_version(scene: Scene) -> None:
    """They need no configuration."""
    for arguments in (("--help",), ("--version",)):
        process = scene.processes.start(scene.folder / "nothing.yaml", *arguments)
        process.expect_exit(0)
        assert "listener" in process.output
