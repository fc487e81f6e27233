"""Parked only for a fault of its own: what an alias, an index or a setting causes holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from listener.indexing.batch import Brake
from listener.indexing.parking import UNPROVEN
from playground.daemon import Record
from playground.system import wait_until
from tests.kit.lengths import one_short
from tests.kit.scene import OWNER, Scene

Action = dict[str, Any]


def second_index(scene: Scene, *, user_alias: bool, **more: Any) -> tuple[str, list[Action]]:
    """A second index that says it is ours, and what adds our aliases to it, as a snapshot that is
    restored under another name does."""
    [ours] = scene.behind()
    body = scene.request("GET", f"/{ours}")[ours]
    name = f"{scene.prefix}-restored"
    scene.request("PUT", f"/{name}", {"mappings": {"_meta": body["mappings"]["_meta"]}})
    aliases = [one for one in body["aliases"] if user_alias or one != scene.index]
    return name, [{"add": {"index": name, "alias": one, **more}} for one in aliases]


def change(scene: Scene) -> None:
    """One film changes, another one is deleted."""
    scene.sql(
        "UPDATE content.film_work SET title = 'meanwhile' WHERE id = "
        "(SELECT id FROM content.film_work ORDER BY id LIMIT 1)"
    )
    scene.sql(
        "DELETE FROM content.film_work WHERE id = "
        "(SELECT id FROM content.film_work ORDER BY id DESC LIMIT 1)"
    )


@pytest.mark.parametrize("user_alias", one_short((True, False), short=True))
def test_an_alias_that_leads_to_two_indexes(scene: Scene, user_alias: bool) -> None:
    """The next generation takes an alias of its own, without a command."""
    daemon = scene.serve()
    mark = daemon.mark()
    name, actions = second_index(scene, user_alias=user_alias)
    scene.request("POST", "/_aliases", {"actions": actions})
    change(scene)
    daemon.wait_for("generation_raised", after=mark)
    scene.wait_converged()
    daemon.wait_for("watermark_moved", after=daemon.mark())
    assert not daemon.found("parked")
    assert not daemon.found("held")
    assert scene.request("GET", f"/{name}/_alias")[name]["aliases"] == {}
    assert scene.request("GET", f"/{name}/_count")["count"] == 0
    verify = scene.start("verify")
    verify.expect_exit(0)
    daemon.stop()
    scene.assert_converged()


@pytest.mark.parametrize("put_back", one_short((True, False), False))
def test_writes_that_go_elsewhere(scene: Scene, put_back: bool) -> None:
    """They are accepted there: the answers say so, long before an audit would, and also where the
    alias is put back at once."""
    scene.set(audit_every=3600)
    daemon = scene.serve()
    daemon.wait_for("watermark_moved", after=daemon.mark())
    mark = daemon.mark()
    name, actions = second_index(scene, user_alias=False, is_write_index=True)
    scene.request("POST", "/_aliases", {"actions": actions})
    change(scene)
    daemon.wait_for("indexed", after=mark)
    if put_back:
        for action in actions:
            remove = {one: action["add"][one] for one in ("index", "alias")}
            scene.search.request("POST", "/_aliases", {"actions": [{"remove": remove}]})
    daemon.wait_for("generation_raised", after=mark)
    if not put_back:
        assert name in daemon.wait_for("reconcile_started", after=mark)["reason"]
        daemon.wait_for("reconciled", after=mark)
    scene.wait_converged()
    assert not daemon.found("parked")
    assert not daemon.found("audit_failed")
    daemon.stop()
    scene.assert_converged()


@pytest.mark.long
def test_an_alias_with_a_routing(scene: Scene) -> None:
    """It would put a second copy of a document onto another shard."""
    scene.set(audit_every=0.5)
    daemon = scene.serve()
    mark = daemon.mark()
    [ours] = scene.behind()
    [alias] = [
        one for one in scene.request("GET", f"/{ours}/_alias")[ours]["aliases"] if ".w" in one
    ]
    action = {"add": {"index": ours, "alias": alias, "routing": "1"}}
    scene.request("POST", "/_aliases", {"actions": [action]})
    failed = daemon.wait_for("audit_failed", after=mark)
    assert "routing" in failed["what"]
    daemon.wait_for("generation_raised", after=failed)
    daemon.wait_for("loaded", after=failed)
    scene.wait_converged()
    assert alias not in scene.request("GET", f"/{ours}/_alias")[ours]["aliases"]
    daemon.stop()


def test_a_setting_that_refuses_every_document(scene: Scene) -> None:
    """Held, with the server's words, and nothing is parked: a few beside a witness that is refused,
    too; then all of them, by their number."""
    # those without a nested object would be taken
    scene.sql(
        "DELETE FROM content.film_work AS f WHERE NOT EXISTS (SELECT FROM "
        "content.person_film_work AS p WHERE p.film_work_id = f.id)"
    )
    daemon = scene.serve()
    mark = daemon.mark()
    [ours] = scene.behind()
    limit = "index.mapping.nested_objects.limit"
    scene.request("PUT", f"/{ours}/_settings", {limit: 0})
    scene.sql(
        "UPDATE content.film_work SET title = title || '?' "
        "WHERE id IN (SELECT id FROM content.film_work ORDER BY id LIMIT 5)"
    )
    held = daemon.wait_for("held", after=mark)
    assert Brake.ALL_REFUSED in held["reason"]
    scene.sql("UPDATE content.film_work SET title = title || '!'")
    daemon.wait_until(
        lambda records: next(
            (one for one in records if one.event == "held" and "too many" in one["reason"]), None
        ),
        what="too many are refused",
        after=held,
    )
    scene.wait_health(1)
    assert not daemon.found("parked")
    scene.request("PUT", f"/{ours}/_settings", {limit: None})
    daemon.wait_for("recovered", after=mark)
    scene.wait_converged()
    daemon.wait_for("watermark_moved", after=daemon.mark())
    assert not daemon.found("parked")
    daemon.stop()
    scene.assert_converged()


def test_a_deleted_row_of_a_parked_document_is_wrong(scene: Scene) -> None:
    """It stays searchable: `verify` names it, though its id is parked."""
    daemon = scene.serve()
    [(film,)] = scene.sql("SELECT id::text FROM content.film_work ORDER BY id LIMIT 1")
    version = (1 << 62) + 1
    source = scene.request("GET", f"/{scene.index}/_source/{film}")
    path = f"/{scene.index}/_doc/{film}?version={version}&version_type=external_gte"
    scene.request("PUT", path, source)
    scene.sql(f"DELETE FROM content.film_work WHERE id = '{film}'")
    daemon.wait_for("parked", id=film)
    verify = scene.start("verify")
    verify.expect_exit(1)
    assert f"orphaned: 1 ({film})" in verify.output
    daemon.stop()


def test_many_among_others(scene: Scene) -> None:
    """Each of a hundred is proven alone; the others do not wait for them."""
    daemon = scene.serve()
    mark = daemon.mark()
    scene.sql(
        "WITH numbered AS (SELECT id, row_number() OVER (ORDER BY id) AS n FROM content.film_work) "
        "UPDATE content.film_work AS f "
        "SET rating = CASE WHEN n % 3 = 0 THEN 'NaN'::real ELSE 7 END "
        "FROM numbered WHERE numbered.id = f.id"
    )

    def all_told(records: list[Record]) -> Record | None:
        """Alike ones are told together; one that comes alone is told alone."""
        told = [one for one in records if one.event in ("parked", "parked_alike")]
        return told[-1] if sum(one.fields.get("count", 1) for one in told) == 100 else None

    daemon.wait_until(all_told, what="hundred that are told as parked", after=mark)
    daemon.wait_for("watermark_moved", after=daemon.mark())
    assert scene.admin("SELECT count(*), max(count) FROM listener.parked") == [(100, 1)]
    assert not daemon.found("held")
    verify = scene.start("verify")
    verify.expect_exit(0)
    assert "parked: 100 (" in verify.output
    # tried again, those that are aside already go many at a time
    mark = daemon.mark()
    scene.start("parked", "--retry").expect_exit(1)
    assert len(daemon.found("indexed", after=mark)) < 50
    scene.sql("UPDATE content.film_work SET rating = 1")
    scene.wait_converged()
    daemon.wait_for("watermark_moved", after=daemon.mark())
    assert scene.admin("SELECT count(*) FROM listener.parked") == [(0,)]
    daemon.stop()
    scene.assert_converged()


def test_a_function_that_raises_its_own_sqlstate(scene: Scene) -> None:
    """The row that it refuses is parked; where it refuses all of them, nobody is."""
    scene.admin(
        "CREATE TABLE content.switch (all_fail boolean); INSERT INTO content.switch VALUES (false);"
        "CREATE FUNCTION content.checked(title text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN "
        "IF title LIKE 'bad%' OR (SELECT all_fail FROM content.switch) THEN "
        "RAISE EXCEPTION 'not this one' USING ERRCODE = 'MY001'; END IF; RETURN title; END $$;"
        f"ALTER FUNCTION content.checked(text) OWNER TO {OWNER};"
        f"ALTER TABLE content.switch OWNER TO {OWNER}"
    )
    document = scene.options["documents"][0]
    text = Path(document["query_file"]).read_text("utf-8")
    path = scene.folder / "film.sql"
    path.write_text(text.replace("film.title", "content.checked(film.title)"), "utf-8")
    document["query_file"] = str(path)
    daemon = scene.serve()
    scene.sql("UPDATE content.film_work SET title = 'bad' WHERE id = md5('film 1')::uuid")
    parked = daemon.wait_for("parked")
    assert "MY001" in parked["reason"]
    scene.sql("UPDATE content.film_work SET title = 'other' WHERE id = md5('film 2')::uuid")
    daemon.wait_for("watermark_moved", after=daemon.mark())
    mark = daemon.mark()
    scene.admin("UPDATE content.switch SET all_fail = true")
    scene.sql("UPDATE content.film_work SET rating = 3")
    held = daemon.wait_for("held", after=mark)
    assert "MY001" in held["reason"]
    daemon.wait_for("held", after=held)
    assert not daemon.found("parked", after=mark)
    scene.admin("UPDATE content.switch SET all_fail = false")
    scene.sql("UPDATE content.film_work SET title = 'good' WHERE id = md5('film 1')::uuid")
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()


@pytest.mark.parametrize("way", one_short(("audit", "once"), "audit"))
def test_the_only_row_and_a_setting(scene: Scene, way: str) -> None:
    """Nothing proves that it is at fault, so it is put aside for want of anything better, and tried
    again by itself: once the setting is mended nobody needs to know of it."""
    scene.sql(
        "DELETE FROM content.film_work WHERE id <> (SELECT film_work_id FROM "
        "content.person_film_work ORDER BY film_work_id LIMIT 1)"
    )
    scene.set(overlap=0.1, audit_every=3600)  # an audit would see the setting, and load
    daemon = scene.serve()
    moved = daemon.wait_for("watermark_moved", after=daemon.mark())
    daemon.wait_for("watermark_moved", after=moved)
    [ours] = scene.behind()
    limit = "index.mapping.nested_objects.limit"
    mark = daemon.mark()
    scene.request("PUT", f"/{ours}/_settings", {limit: 0})
    scene.sql("UPDATE content.film_work SET title = 'sole'")
    parked = daemon.wait_for("parked", after=mark)
    assert UNPROVEN in parked["reason"]
    scene.request("PUT", f"/{ours}/_settings", {limit: None})
    for _ in range(3):  # no sweep reads it again
        parked = daemon.wait_for("watermark_moved", after=parked)
    assert scene.differences()
    daemon.stop()
    if way == "once":
        scene.once()
        assert scene.admin("SELECT count(*) FROM listener.parked") == [(0,)]
    else:
        daemon = scene.start()
        wait_until(
            lambda: scene.admin("SELECT count(*) FROM listener.parked") == [(0,)],
            seconds=30,
            what="nothing is parked",
        )
        daemon.stop()
    scene.assert_converged()
    assert scene.behind() == [ours]
