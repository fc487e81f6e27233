"""The full load: resumable, into an index of its own, swapped in one step."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from playground.proxy import TcpProxy
from playground.system import wait_until
from tests.kit.scene import Scene
from tests.kit.writer import Writer

FILMS = 3000
PAGE = 75

MORE_FILMS = f"""
    INSERT INTO content.film_work (id, title, type, updated_at)
    SELECT md5('film ' || n)::uuid, 'Film ' || n, 'movie', '2020-01-01 00:00:00+00'
    FROM generate_series(301, {FILMS}) AS n;
    INSERT INTO content.genre_film_work (film_work_id, genre_id)
    SELECT md5('film ' || n)::uuid, md5('genre ' || n % 12 + 1)::uuid
    FROM generate_series(301, {FILMS}) AS n"""


@pytest.fixture
def slow(scene: Scene) -> Iterator[Scene]:
    """Some thousand films, small pages, and an Elasticsearch far away: a load of some seconds."""
    scene.sql(MORE_FILMS)
    with TcpProxy("127.0.0.1", scene.search.port) as proxy:
        scene.set(elasticsearch={"urls": [f"http://127.0.0.1:{proxy.port}"]}, page_size=PAGE)
        scene.proxy = proxy
        yield scene


def operations(scene: Scene, index: str) -> int:
    """How many documents Elasticsearch has written into this index, repetitions included."""
    answer = scene.request("GET", f"/{index}/_stats/indexing")
    count: int = answer["_all"]["primaries"]["indexing"]["index_total"]
    return count


def test_killed_load_goes_on(slow: Scene) -> None:
    """SIGKILL at 30, 60 and 90 %: each start goes on in the same index, at most a page is repeated.

    Rows that were edited or deleted in between, before and behind the place of the load, are
    right in the end.
    """
    slow.proxy.delay = 0.02
    expected = reached = 0
    for number, percent in enumerate((30, 60, 90)):
        daemon = slow.start()
        progress = daemon.wait_for(
            "load_progress", documents=lambda count, least=FILMS * percent // 100: count >= least
        )
        daemon.kill()
        [started] = daemon.found("load_started")
        assert not daemon.found("loaded"), "too fast for this test"
        if number:
            # what was acknowledged was written down: nothing of it is read again
            assert started["documents"] >= reached
        reached = max(one["documents"] for one in daemon.found("load_progress"))
        assert reached >= progress["documents"]
        slow.sql(
            "UPDATE content.film_work SET title = 'Between' "
            f"WHERE id IN (SELECT md5('film ' || n * 30 + {number})::uuid "
            "FROM generate_series(1, 20) AS n)"
        )
        slow.sql(
            "DELETE FROM content.film_work "
            f"WHERE id IN (SELECT md5('film ' || n * 30 + {number + 10})::uuid "
            "FROM generate_series(1, 20) AS n)"
        )
        slow.sql(
            "INSERT INTO content.film_work (id, title, type) "
            f"SELECT md5('between {number} ' || n)::uuid, 'Between', 'movie' "
            "FROM generate_series(1, 20) AS n"
        )
        expected += 40
    slow.proxy.delay = 0
    daemon = slow.start()
    daemon.wait_for("loaded")
    slow.wait_converged()
    [index] = slow.physical()
    assert slow.behind() == [index]
    assert {one["physical"] for p in slow.processes.started for one in p.found("load_started")} == {
        index
    }
    # Each page once, at most one more a kill. What the sweep of a start brings again (all edits
    # since the load began) is not the load's.
    swept = sum(one["rows"] for p in slow.processes.started for one in p.found("swept"))
    total = operations(slow, index)
    assert total <= FILMS + expected + 3 * PAGE + swept, (total, swept)
    daemon.stop()
    slow.assert_converged()


@contextmanager
def searched_all_the_time(scene: Scene, least: int) -> Iterator[None]:
    """Fails where the alias, for a moment, led nowhere or to an index that is not full."""
    ended = threading.Event()
    failures: list[str] = []

    def search() -> None:
        while not ended.is_set():
            status, answer = scene.search.request("GET", f"/{scene.index}/_count")
            if status != 200 or answer["count"] < least:
                failures.append(f"{status} {answer}")

    thread = threading.Thread(target=search, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    assert not failures, failures[:3]


def own_files(scene: Scene) -> tuple[Path, Path]:
    """Copies of query and mapping that a test may change: their paths."""
    [document] = scene.options["documents"]
    paths = []
    for name in ("query_file", "index_config_file"):
        copy = scene.folder / Path(document[name]).name
        shutil.copy(document[name], copy)
        document[name] = copy.name
        paths.append(copy)
    return paths[0], paths[1]


@pytest.mark.long
@pytest.mark.parametrize("change", ["query", "mapping and query"])
def test_changed_files_load_anew(slow: Scene, change: str) -> None:
    """A new index is loaded while the old one is searched and fed; then one swap. It is kept."""
    query, mapping = own_files(slow)
    daemon = slow.serve()
    [old] = slow.behind()
    daemon.stop()
    if change == "query":
        text = query.read_text("utf-8")
        query.write_text(text.replace("'title', film.title", "'title', upper(film.title)"), "utf-8")
    else:  # documents of the new query are refused by the old index
        body = json.loads(mapping.read_text("utf-8"))
        body["mappings"]["properties"]["added"] = {"type": "keyword"}
        mapping.write_text(json.dumps(body), "utf-8")
        text = query.read_text("utf-8")
        query.write_text(
            text.replace("'title', film.title", "'title', film.title, 'added', film.type"), "utf-8"
        )
    slow.proxy.delay = 0.02
    with searched_all_the_time(slow, FILMS - 1):
        daemon = slow.start()
        progress = daemon.wait_for("load_progress", documents=lambda count: count > 500)
        slow.sql("UPDATE content.film_work SET title = 'Fed' WHERE id = md5('film 1')::uuid")
        slow.sql("DELETE FROM content.film_work WHERE id = md5('film 2')::uuid")
        daemon.wait_for("indexed", after=progress, deleted=1)
        assert slow.behind() == [old]
        fed = slow.search_for("Fed")
        slow.proxy.delay = 0
        daemon.wait_for("loaded")
    if change == "query":
        assert [hit["_index"] for hit in fed] == [old]
    slow.wait_converged()
    assert not daemon.found("parked")
    [new] = slow.behind()
    assert new != old
    assert slow.physical() == sorted([old, new])
    assert daemon.wait_for("former_kept")["physical"] == old
    daemon.stop()
    slow.assert_converged()
    slow.set(keep_former=0)
    slow.once()
    drop = slow.start("load", "--drop-old")
    drop.expect_exit(0)
    assert old in drop.output
    assert slow.physical() == [new]
    slow.assert_converged()
    again = slow.once()
    assert not again.found("load_started")


def test_an_index_that_drop_old_does_not_find(scene: Scene) -> None:
    """A snapshot restored under another name stood behind the alias: it is not said to be removed
    by a command that will not."""
    scene.set(audit_every=0.5)
    daemon = scene.serve()
    [ours] = scene.behind()
    body = scene.request("GET", f"/{ours}")[ours]
    name = f"{scene.prefix}x-restored"
    scene.request("PUT", f"/{name}", {"mappings": {"_meta": body["mappings"]["_meta"]}})
    actions = [
        {"remove": {"index": ours, "alias": scene.index}},
        {"add": {"index": name, "alias": scene.index}},
    ]
    scene.request("POST", "/_aliases", {"actions": actions})
    kept = daemon.wait_for("old_index_kept", physical=name)
    scene.wait_converged()
    daemon.stop()
    drop = scene.start("load", "--drop-old")
    drop.expect_exit(0)
    assert ours in drop.output
    assert name not in drop.output
    assert "drop-old" not in kept.message
    assert f"DELETE /{name}" in kept.message
    scene.request("DELETE", f"/{name}")


def test_load_command(scene: Scene) -> None:
    """`listener load` builds a second index and swaps; run goes on from there without a load."""
    scene.serve().stop()
    [old] = scene.behind()
    scene.sql("DELETE FROM content.film_work WHERE id = md5('film 2')::uuid")
    with searched_all_the_time(scene, 299):
        load = scene.start("load")
        load.expect_exit(0)
    assert len(load.found("loaded")) == 1
    scene.assert_converged()
    [new] = scene.behind()
    assert new != old
    daemon = scene.start()
    daemon.wait_for("caught_up")
    scene.sql("UPDATE content.film_work SET title = 'Fed' WHERE id = md5('film 1')::uuid")
    scene.wait_converged()
    assert not daemon.found("load_started")
    daemon.stop()
    drop = scene.start("load", "--drop-old")
    drop.expect_exit(0)
    assert scene.physical() == [new]
    scene.assert_converged()


@pytest.mark.long
def test_asked_for_twice(slow: Scene) -> None:
    """A command that comes while a load is under way follows that one: it is not begun anew."""
    daemon = slow.serve()
    mark = daemon.mark()
    slow.proxy.delay = 0.02
    first = slow.start("load", slow.index)
    loads = daemon.wait_for("load_started", after=mark)["physical"]
    second = slow.start("load", slow.index)
    wait_until(
        lambda: f"a load into {loads} is under way already" in second.output,
        seconds=30,
        what="a second command that follows",
    )
    slow.proxy.delay = 0
    for one in (first, second):
        one.expect_exit(0, 60)
        assert f"are searched now, in {loads}" in one.output
    assert len(daemon.found("load_started", after=mark)) == 1
    daemon.stop()
    slow.assert_converged()


@pytest.mark.long
def test_killed_load_command_goes_on(slow: Scene) -> None:
    """`listener load` killed, then `run`: the load that was asked for is brought to its end."""
    slow.serve().stop()
    [old] = slow.behind()
    slow.proxy.delay = 0.02
    load = slow.start("load")
    load.wait_for("load_progress", documents=lambda count: count > FILMS / 2)
    load.kill()
    [began] = load.found("load_started")
    assert slow.behind() == [old]
    slow.sql("DELETE FROM content.film_work WHERE id = md5('film 2')::uuid")
    slow.proxy.delay = 0
    daemon = slow.start()
    daemon.wait_for("loaded", physical=began["physical"])
    slow.wait_converged()
    daemon.stop()
    slow.assert_converged()


@pytest.mark.long
def test_comparison_killed(slow: Scene) -> None:
    """TRUNCATE beside an open transaction asks for a comparison, which is killed on its way.

    The saved watermark must not have passed what asked for it, though ticks went on.
    """
    slow.set(overlap=0)
    daemon = slow.serve()
    slow.proxy.delay = 0.05
    mark = daemon.mark()
    with slow.superuser("postgres") as other, other.transaction():
        other.execute("SELECT pg_current_xact_id()")
        slow.sql("TRUNCATE content.genre_film_work")
        daemon.wait_for("reconcile_started", after=mark)
    proven = daemon.wait_for("watermark_waits", after=mark)
    for _ in range(6):  # the state file is written once a second
        proven = daemon.wait_for("watermark_waits", after=proven)
    daemon.kill()
    assert not daemon.found("reconciled", after=mark), "too fast for this test"
    # as it would stand in the control document ten seconds later
    saved = {"last_processed": slow.state["last_processed"].isoformat()}
    slow.request("POST", f"/{slow.prefix}-control/_update/{slow.prefix}", {"doc": saved})
    slow.proxy.delay = 0
    daemon = slow.start()
    daemon.wait_for("reconciled")
    slow.wait_converged()
    daemon.stop()
    slow.assert_converged()


@pytest.mark.long
def test_stopped_load_goes_on(slow: Scene) -> None:
    """SIGTERM in the middle: 0 at once, and the next start, by --once, brings it to its end."""
    slow.proxy.delay = 0.02
    daemon = slow.start()
    progress = daemon.wait_for("load_progress", documents=lambda count: count > 1000)
    daemon.stop(deadline=10)
    slow.sql("DELETE FROM content.film_work WHERE id = md5('film 2')::uuid")
    slow.proxy.delay = 0
    once = slow.once()
    [started] = once.found("load_started")
    assert started["documents"] >= progress["documents"]
    slow.assert_converged()
    assert slow.behind() == slow.physical()


def test_writes_during_a_load(slow: Scene) -> None:
    """Edits behind, at and before the place of the load, while it runs."""
    slow.proxy.delay = 0.01
    daemon = slow.start()
    for number in range(1, 10):
        daemon.wait_for("load_progress", documents=lambda count, n=number: count >= n * 300)
        slow.sql(
            f"UPDATE content.film_work SET title = 'During {number}' "
            f"WHERE id IN (SELECT md5('film ' || n * 10)::uuid FROM generate_series(1, 300) AS n)"
        )
        slow.sql(f"UPDATE content.genre SET name = name || '!' WHERE name LIKE 'Genre {number}%'")
        slow.sql(f"DELETE FROM content.film_work WHERE id = md5('film {number * 7}')::uuid")
    assert not daemon.found("loaded"), "too fast for this test"
    slow.proxy.delay = 0
    daemon.wait_for("loaded")
    slow.wait_converged()
    daemon.stop()
    slow.assert_converged()


def test_load_ends_under_writes(scene: Scene) -> None:
    """An application that never pauses, renames included, before a slow Elasticsearch."""
    with TcpProxy("127.0.0.1", scene.search.port, delay=0.05) as proxy:
        scene.set(elasticsearch={"urls": [f"http://127.0.0.1:{proxy.port}"]}, page_size=40)
        with Writer(scene):
            daemon = scene.start()
            daemon.wait_for("loaded")
            daemon.wait_for("caught_up")
        proxy.delay = 0
        scene.wait_converged()
        daemon.stop()
    scene.assert_converged()


@pytest.mark.long
def test_load_over_a_killed_postgres(slow: Scene) -> None:
    """The load goes on in the same index after PostgreSQL was killed and has recovered."""
    slow.proxy.delay = 0.02
    daemon = slow.start()
    progress = daemon.wait_for("load_progress", documents=lambda count: count > 1000)
    slow.postgres.kill()
    daemon.wait_for("connection_lost", after=progress)
    slow.postgres.start()
    slow.sql("DELETE FROM content.film_work WHERE id = md5('film 2')::uuid")
    slow.proxy.delay = 0
    daemon.wait_for("loaded")
    slow.wait_converged()
    assert not daemon.found("history_changed"), daemon.log
    assert len({one["physical"] for one in daemon.found("load_started")}) == 1
    for started in daemon.found("load_started", after=progress):
        assert started["documents"] > 1000, daemon.log
    daemon.stop()
    slow.assert_converged()


def test_name_of_the_alias_is_taken(scene: Scene) -> None:
    """Somebody's own index bears the name: untouched; exit 2 with the command, which works."""
    scene.request("PUT", f"/{scene.index}/_doc/1?refresh=true", {"somebody": "else"})
    daemon = scene.start()
    daemon.expect_exit(2)
    reason = daemon.wait_for("ended")["reason"]
    there = scene.request("GET", f"/{scene.index}/_search")
    assert [hit["_source"] for hit in there["hits"]["hits"]] == [{"somebody": "else"}]
    scene.start("--once").expect_exit(2)
    command = re.search(r"(?s)-X POST \S+/_aliases .*-d '(.*)'", reason)
    assert command, reason
    scene.request("POST", "/_aliases", json.loads(command.group(1)))
    daemon = scene.start()
    daemon.wait_for("caught_up")
    scene.sql("DELETE FROM content.film_work WHERE id = md5('film 2')::uuid")
    scene.wait_converged()
    assert not daemon.found("load_started"), daemon.log
    daemon.stop()
    scene.assert_converged()


@pytest.mark.parametrize("deleted", ["index", "alias"])
def test_index_vanishes_while_the_daemon_serves(scene: Scene, deleted: str) -> None:
    """It does not come back by itself with a guessed mapping; a full load follows, said loudly."""
    daemon = scene.serve()
    [old] = scene.behind()
    mark = daemon.mark()
    if deleted == "index":
        scene.request("DELETE", f"/{old}")
    else:
        scene.request("DELETE", f"/{old}/_alias/*")
    scene.sql("UPDATE content.film_work SET title = 'After' WHERE id = md5('film 1')::uuid")
    scene.sql("DELETE FROM content.film_work WHERE id = md5('film 2')::uuid")
    daemon.wait_for("index_vanished", after=mark)
    daemon.wait_for("loaded", after=mark)
    scene.wait_converged()
    assert scene.behind() != [scene.index]
    daemon.stop()
    scene.assert_converged()


def test_index_vanishes_while_the_daemon_is_down(scene: Scene) -> None:
    """state.yaml speaks of an index that is gone: a full load, not a sweep into nothing."""
    scene.serve().stop()
    [old] = scene.behind()
    scene.request("DELETE", f"/{old}")
    daemon = scene.start()
    daemon.wait_for("index_vanished")
    daemon.wait_for("loaded")
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()
