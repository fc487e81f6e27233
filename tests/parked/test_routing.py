"""Documents written with a routing: no write by id reaches them, so only a full load helps."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from listener.capture.notifications import ring
from listener.changes import Watch
from playground.daemon import ListenerProcess
from playground.proxy import TcpProxy
from tests.kit.lengths import one_short
from tests.kit.scene import Scene


@pytest.fixture
def shards(scene: Scene) -> Scene:
    """A scene whose index has three shards."""
    document = scene.options["documents"][0]
    body: dict[str, Any] = json.loads(Path(document["index_config_file"]).read_text("utf-8"))
    body["settings"]["number_of_shards"] = 3
    path = scene.folder / "index_config.json"
    path.write_text(json.dumps(body), "utf-8")
    document["index_config_file"] = str(path)
    return scene


def assert_each_once(scene: Scene) -> None:
    """A search finds each row once, and nothing else."""
    scene.request("POST", f"/{scene.index}/_refresh")
    body = {"size": 5000, "_source": False}
    hits = scene.request("POST", f"/{scene.index}/_search", body)["hits"]["hits"]
    found = Counter(hit["_id"] for hit in hits)
    rows = scene.sql("SELECT id::text FROM content.film_work")
    assert found == Counter(row[0] for row in rows)


def write_alias(scene: Scene, kind: str = "w") -> tuple[str, str]:
    """An index of ours, and the alias through which it is written."""
    found = scene.request("GET", f"/{scene.index}.{kind}*/_alias")
    [(name, body)] = found.items()
    [alias] = [one for one in body["aliases"] if one.startswith(f"{scene.index}.{kind}")]
    return name, alias


def give_routing(scene: Scene, routing: str | None = "1", kind: str = "w") -> None:
    """Somebody gives our write alias a routing, or takes it away."""
    name, alias = write_alias(scene, kind)
    more = {} if routing is None else {"routing": routing}
    action = {"add": {"index": name, "alias": alias, **more}}
    scene.request("POST", "/_aliases", {"actions": [action]})


def rewrite(scene: Scene, daemon: ListenerProcess) -> None:
    """All documents are written, as the alias is now; some are gone."""
    mark = daemon.mark()
    scene.sql("UPDATE content.film_work SET title = 'R ' || title")
    scene.sql(
        "DELETE FROM content.film_work WHERE id IN "
        "(SELECT id FROM content.film_work ORDER BY id LIMIT 20)"
    )
    daemon.wait_until(
        lambda records: (
            sum(one["deleted"] for one in records if one.event == "indexed") >= 20 or None
        ),
        what="the deletes are sent",
        after=mark,
    )


def settle(scene: Scene, daemon: ListenerProcess) -> None:
    """Wait for a load to end, and for the watermark after it."""
    loaded = daemon.wait_for("loaded")
    daemon.wait_for("watermark_moved", after=loaded)
    scene.wait_converged()
    assert_each_once(scene)
    scene.start("verify").expect_exit(0)


def test_the_audit_sees_it(shards: Scene) -> None:
    """Compared it would keep each second copy: it is loaded anew."""
    shards.set(audit_every=3600)
    daemon = shards.serve()
    daemon.stop()
    shards.set(audit_every=2)
    daemon = shards.serve()
    give_routing(shards)
    rewrite(shards, daemon)
    failed = daemon.wait_for("audit_failed")
    assert "routing" in failed["what"]
    settle(shards, daemon)


@pytest.mark.long
def test_it_is_taken_back_and_the_daemon_killed(shards: Scene) -> None:
    """What the audit found is written down before anything else is done."""
    shards.set(audit_every=3600)
    shards.serve().stop()
    shards.set(audit_every=2)
    daemon = shards.serve()
    give_routing(shards)
    rewrite(shards, daemon)
    daemon.wait_for("audit_failed")
    daemon.kill()
    for one in shards.request("GET", f"/{shards.index}.*/_alias").values():
        for alias, more in one["aliases"].items():
            if "index_routing" in more:
                give_routing(shards, None, alias[len(shards.index) + 1])
    settle(shards, shards.start())


@pytest.mark.parametrize("killed", one_short((True, False), True))
def test_it_stands_at_a_start(shards: Scene, killed: bool) -> None:
    """The next generation takes other aliases: what the last ones were is looked at before."""
    shards.set(audit_every=3600)
    daemon = shards.serve()
    give_routing(shards)
    rewrite(shards, daemon)
    if killed:
        daemon.kill()
    else:
        daemon.stop()
    daemon = shards.start()
    assert "routing" in daemon.wait_for("audit_failed")["what"]
    settle(shards, daemon)


@pytest.mark.long
def test_a_load_that_was_killed(shards: Scene) -> None:
    """Of the first one, or one for a changed query, nothing is known but how far it came: it is
    not gone on with."""
    shards.set(audit_every=3600, page_size=8)
    there = shards.options["elasticsearch"]["urls"]
    [document] = shards.options["documents"]
    query = Path(document["query_file"]).read_text("utf-8")
    for turn in ("first", "changed"):
        changed = shards.folder / f"{turn}.sql"
        changed.write_text(f"{query}\n-- {turn}\n", "utf-8")
        document["query_file"] = str(changed)
        with TcpProxy("127.0.0.1", shards.search.port) as proxy:
            shards.set(elasticsearch={"urls": [f"http://127.0.0.1:{proxy.port}"]})
            proxy.delay = 0.02
            daemon = shards.start()
            tick = daemon.wait_for("watermark_waits")
            tick = daemon.wait_for("watermark_waits", after=tick)  # the only audit is over
            progress = daemon.wait_for("load_progress", after=tick)
            give_routing(shards, kind="l")
            count = progress["documents"]
            daemon.wait_for("load_progress", documents=lambda now, n=count: now >= n + 20)
            assert not daemon.found("loaded"), "too fast for this test"
            daemon.kill()
            assert not daemon.found("audit_failed")
        shards.set(elasticsearch={"urls": there})
        daemon = shards.start()
        assert "routing" in daemon.wait_for("audit_failed")["what"]
        settle(shards, daemon)
        daemon.stop()


def test_a_load_that_is_under_way(shards: Scene) -> None:
    """Its thread writes down how far it is until a new session ends it, which does not go on with
    it: what came through the alias may stand anywhere."""
    shards.set(audit_every=1, page_size=8)
    with TcpProxy("127.0.0.1", shards.search.port) as proxy:
        shards.set(elasticsearch={"urls": [f"http://127.0.0.1:{proxy.port}"]})
        proxy.delay = 0.02
        daemon = shards.start()
        daemon.wait_for("load_progress")
        give_routing(shards, kind="l")
        failed = daemon.wait_for("audit_failed")
        assert not daemon.found("loaded"), "too fast for this test"
        proxy.delay = 0
        begun = daemon.wait_for("load_started", after=failed)
        assert begun["documents"] == 0
        settle(shards, daemon)


@pytest.mark.parametrize("by", one_short(("document", "alias", "query"), "document"))
def test_it_does_not_empty_the_index(shards: Scene, by: str) -> None:
    """A load in the place of a comparison removes no more than that may, for whatever it is needed:
    the database may be half restored. It waits for a person's word, also after the next start."""
    insert = "INSERT INTO content.film_work (id, title, type)"
    shards.admin(f"{insert} SELECT gen_random_uuid(), 'x', 'movie' FROM generate_series(1, 1200)")
    daemon = shards.serve()
    [ours] = shards.behind()
    daemon.stop()
    if by == "alias":
        give_routing(shards)
    elif by == "query":
        [document] = shards.options["documents"]
        changed = shards.folder / "changed.sql"
        changed.write_text(Path(document["query_file"]).read_text("utf-8") + "-- changed", "utf-8")
        document["query_file"] = str(changed)
    else:
        [(one,)] = shards.sql("SELECT min(id::text) FROM content.film_work WHERE title <> 'x'")
        source = shards.request("GET", f"/{ours}/_doc/{one}")["_source"]
        shards.request("PUT", f"/{ours}/_doc/{one}?routing=1&refresh=true", source)
    shards.admin(
        "ALTER TABLE content.film_work DISABLE TRIGGER ALL;"
        "DELETE FROM content.film_work WHERE title = 'x';"
        "ALTER TABLE content.film_work ENABLE TRIGGER ALL"
    )
    daemon = shards.start()
    guarded = daemon.wait_for("deletes_guarded")
    assert guarded["orphaned"] == 1200
    shards.sql("UPDATE content.film_work SET title = 'Live' WHERE id = md5('film 1')::uuid")
    daemon.wait_for("indexed", after=guarded)
    assert shards.behind() == [ours]
    assert len(shards.physical()) == (2 if by == "query" else 1)  # what waits for a word stays
    if by == "query":  # a trigger that fails for each statement: what is held does not begin anew
        mark, watch = daemon.mark(), Watch("content", "film_work", ("id",)).id
        with shards.superuser() as connection:
            connection.execute(
                "INSERT INTO listener.journal (updated_at, watch, kind, reason) "
                "VALUES (clock_timestamp(), %s, 'reconcile', '42P01 x')",
                (watch,),
            )
            ring(connection, "listener", watch)
        daemon.wait_for("swept", after=mark, table="journal")
        daemon.wait_for("watermark_waits", after=daemon.mark())
        assert not daemon.found("load_started", after=mark), daemon.log
    if by == "alias":  # a restart is seconds
        daemon.stop()
        daemon = shards.start()
        daemon.wait_for("deletes_guarded")
    mend = shards.start("verify", "--repair", "--allow-deletes", folder="second")
    if by == "query":  # that word was on the index in use
        mend.expect_exit(0)
        mark = daemon.mark()
        accepted = shards.start("load", shards.index, "--accept")
        assert accepted.exit_status() == 0, daemon.log
        daemon.wait_for("reconciled", after=mark)  # for what was missed while it waited
    settle(shards, daemon)
    mend.expect_exit(0)


@pytest.mark.long
def test_a_person_may_filter(shards: Scene) -> None:
    """An edited query that leaves many out, by a function that the former one did not call: the
    load is what was asked for, and stands for no comparison. But such a swap needs a word."""
    shards.admin(
        "CREATE FUNCTION content.shown(uuid) RETURNS boolean LANGUAGE sql STABLE AS "
        "$$SELECT title <> 'x' FROM content.film_work WHERE id = $1$$;"
        "INSERT INTO content.film_work (id, title, type) "
        "SELECT gen_random_uuid(), 'x', 'movie' FROM generate_series(1, 1200)"
    )
    shards.serve().stop()
    [document] = shards.options["documents"]
    former = Path(document["query_file"]).read_text("utf-8").rstrip().rstrip(";")
    edited = shards.folder / "edited.sql"
    edited.write_text(f"SELECT q.* FROM ({former}) AS q WHERE content.shown(q.id)", "utf-8")
    document["query_file"] = str(edited)
    daemon = shards.start()
    assert daemon.wait_for("swap_held")["lost"] == 1200
    assert not daemon.found("deletes_guarded"), daemon.log
    shards.start("load", shards.index, "--accept").expect_exit(0)
    shards.wait_converged()
    daemon.stop()


@pytest.mark.parametrize("runs", one_short((True, False), True))
def test_verify_counts_and_mends_it(shards: Scene, runs: bool) -> None:
    """Whoever wrote it: another program, or a daemon of a release that did not look."""
    daemon = shards.serve()
    [ours] = shards.behind()
    ids = [row[0] for row in shards.sql("SELECT id::text FROM content.film_work ORDER BY id")]
    sources = {one: shards.request("GET", f"/{ours}/_doc/{one}")["_source"] for one in ids[:20]}
    for one, source in sources.items():
        shards.request("PUT", f"/{ours}/_doc/{one}?routing=1", source)
    if not runs:
        daemon.stop()
    verify = shards.start("verify", folder="second")
    verify.expect_exit(1)
    assert "20 wrong" in verify.output
    assert "misplaced: 20 (" in verify.output
    mend = shards.start("verify", "--repair", folder="second" if runs else "")
    mend.expect_exit(0)
    assert_each_once(shards)
    shards.start("verify").expect_exit(0)
