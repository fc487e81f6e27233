"""Values that bite: the full load, edits, polls and `verify` agree on what was typed.

What the index takes it has exactly; what it refuses is parked, that document alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from playground.postgres import PostgresServer
from playground.search import SearchServer
from tests.kit.scene import Scene, Template, open_scene
from tests.kit.servers import own_search
from tests.kit.values import CONTENTS, IDS, REFUSED, TOO_LONG, Rows

EXTREMES = (-(2**63), 2**63 - 1, 0, -1)


@pytest.fixture
def scene(
    postgres_server: PostgresServer,
    search_server: SearchServer,
    odd_template: Template,
    tmp_path: Path,
) -> Iterator[Scene]:
    """The odd schema, of which nothing is indexed yet."""
    with open_scene(postgres_server, search_server, odd_template, tmp_path) as scene:
        yield scene


@pytest.fixture(scope="module")
def elder() -> Iterator[SearchServer]:
    """Elasticsearch 7.17, with room for requests of three megabytes."""
    with own_search("es7", settings={"indexing_pressure.memory.limit": "3mb"}) as server:
        yield server


def verified(scene: Scene, parked: int) -> None:
    """`listener verify` finds nothing wrong, and so many documents parked."""
    verify = scene.start("verify")
    verify.expect_exit(0)
    assert "0 wrong" in verify.output
    assert (f"parked: {parked} " in verify.output) or not parked, verify.output


def polled(scene: Scene) -> None:
    """No notifications: polls alone bring what changes."""
    for document in scene.options["documents"]:
        for watch in document["watch"]:
            watch["notify"] = "off"


def pairs(scene: Scene, texts: list[str]) -> None:
    """A pair and a label for each text, and the extremes of the number."""
    connection = scene.connect()
    for place, text in enumerate(texts):
        high = EXTREMES[place % len(EXTREMES)]
        connection.execute(
            "INSERT INTO odd.pair (high, name, low) VALUES (%s, %s, %s)", [high, text, text[::-1]]
        )
        connection.execute(
            "INSERT INTO odd.label (name, thing, shown) VALUES (%s, 'thing 1', %s)", [text, text]
        )
    connection.close()


def live(scene: Scene, *, contents: bool) -> None:
    """All odd ids and contents by a full load, by edits, and gone again."""
    rows = Rows(scene)
    ids = [*IDS.values()]
    short = [text for text in ids if len(text.encode()) < 200]
    for text in ids[::2]:
        rows.put(text, tag=text[:40])
    rows.put(TOO_LONG["nothing"], refused=True)
    pairs(scene, short[::2])
    if contents:
        for name, columns in list(CONTENTS.items())[::2]:
            rows.put(f"content {name}", **columns)
        for name, columns in list(REFUSED.items())[::2]:
            rows.put(f"refused {name}", refused=True, **columns)
    daemon = scene.start()
    daemon.wait_for("caught_up")
    rows.settle()
    # edits
    for text in [*ids[1::2], *ids[:4]]:
        rows.put(text, tag=f"edited {text[:40]}")
    for text in TOO_LONG.values():
        rows.put(text, refused=True, tag="edited")
    pairs(scene, short[1::2])
    if contents:
        for name, columns in list(CONTENTS.items())[1::2]:
            rows.put(f"content {name}", **columns)
        for name, columns in list(REFUSED.items())[1::2]:
            rows.put(f"refused {name}", refused=True, **columns)
            rows.put(f"content {name}")
    rows.settle()
    if contents:  # a document that was good is refused, and one that was refused is good
        for name, columns in list(REFUSED.items()):
            rows.put(f"content {name}", refused=True, **columns)
            rows.put(f"refused {name}", tag="mended")
    scene.sql("UPDATE odd.label SET shown = 'renamed ' || shown")
    scene.sql("UPDATE odd.pair SET raw = json_build_object('name', name)")
    scene.sql("UPDATE odd.pair SET high = ~high WHERE low LIKE '%x%'")
    rows.settle()
    verified(scene, len(rows.refused))
    # all of it gone, the parked ones included
    scene.sql("DELETE FROM odd.label WHERE thing = 'thing 1'")
    scene.sql("DELETE FROM odd.pair WHERE high IN (-1, 0) OR name NOT LIKE 'name %'")
    scene.sql("DELETE FROM odd.thing WHERE id NOT LIKE 'thing %'")
    rows.refused.clear()
    rows.settle()
    assert not daemon.found("held"), daemon.log
    assert not daemon.found("bad_payload"), daemon.log
    daemon.stop()
    scene.assert_converged()


def test_by_notifications(scene: Scene) -> None:
    """Keys come by NOTIFY."""
    live(scene, contents=True)


def test_document_larger_than_a_bulk(scene: Scene) -> None:
    """Twenty megabytes: four times the size of a bulk, which it fills alone, among others."""
    rows = Rows(scene)
    raw = json.dumps([["y" * 99] * 100] * 1000)
    rows.put("large", raw=raw)
    daemon = scene.start()
    daemon.wait_for("caught_up")
    rows.settle()
    mark = daemon.mark()
    with scene.connect() as writer:
        writer.execute(
            "UPDATE odd.thing SET tag = 'beside', raw = CASE WHEN id = 'thing 1' THEN "
            "(SELECT json_agg(raw) FROM odd.thing CROSS JOIN generate_series(1, 2) "
            "WHERE id = 'large') END WHERE id <> 'large'"
        )
    daemon.wait_for("indexed", after=mark, bytes=lambda size: size > 20_000_000)
    rows.settle()
    rows.drop("large")
    rows.drop("thing 1")
    rows.settle()
    daemon.stop()


@pytest.mark.long
def test_by_polls(scene: Scene) -> None:
    """Rows come by their stamps and by the journal."""
    polled(scene)
    live(scene, contents=True)


@pytest.mark.long
def test_ids_on_an_older_server(
    postgres_server: PostgresServer, elder: SearchServer, odd_template: Template, tmp_path: Path
) -> None:
    """The ids alone: contents are the mapping's matter."""
    with open_scene(postgres_server, elder, odd_template, tmp_path) as scene:
        live(scene, contents=False)


def test_document_larger_than_all_the_room(
    postgres_server: PostgresServer, elder: SearchServer, odd_template: Template, tmp_path: Path
) -> None:
    """The server says "later" (429) for ever: parked, that document alone."""
    with open_scene(postgres_server, elder, odd_template, tmp_path) as scene:
        rows = Rows(scene)
        large = json.dumps({"a": "x" * 4_000_000})
        rows.put("large", refused=True, raw=large)
        daemon = scene.start()
        daemon.wait_for("caught_up")
        rows.settle()
        with scene.connect() as writer:  # among others, in one bulk
            writer.execute("UPDATE odd.thing SET tag = 'beside ' || id, raw = coalesce(raw, '{}')")
        rows.settle()
        daemon.wait_for("watermark_moved", after=daemon.mark())
        [(reason,)] = scene.admin("SELECT reason FROM listener.parked")
        assert "coordinating_operation_bytes" in reason
        rows.put("large", raw=json.dumps({"a": "x" * 2_000_000}))
        rows.settle()
        rows.put("thing 1", refused=True, raw=large)
        rows.settle()
        rows.drop("thing 1")
        rows.settle()
        daemon.stop()


NO_OBJECT = ("null", "1", '"text"', "[]", '[{"tag": "x"}]', "true", " \n [1]")


def test_documents_that_are_no_objects(scene: Scene) -> None:
    """A query that returns a `json` column as it is: users may have written anything there."""
    query = scene.folder / "raw.sql"
    query.write_text(
        "SELECT id, coalesce(raw, '{}') AS document FROM odd.thing WHERE id = ANY(%(ids)s)"
    )
    scene.options["documents"][0]["query_file"] = str(query)
    rows = Rows(scene)
    for place, text in enumerate(NO_OBJECT):
        rows.put(f"odd {place}", refused=True, raw=text)
    rows.put("spaced", raw=' \r\n\t {"tag":\n "x"}\n ')
    daemon = scene.start()
    daemon.wait_for("caught_up")
    rows.settle()
    rows.put("spaced", refused=True, raw="[]")
    rows.put("odd 1", raw='{"tag": "y"}')
    for place in range(2, len(NO_OBJECT)):
        rows.drop(f"odd {place}")
    rows.settle()
    verified(scene, 2)
    assert not daemon.found("held"), daemon.log
    daemon.stop()


def test_comparison_of_what_python_cannot_read(scene: Scene) -> None:
    """JSON as deep as the server takes it, and numbers beyond all types: nothing is stale."""
    rows = Rows(scene)
    rows.put("deep", raw="[" * 997 + "]" * 997)
    rows.put("numbers", raw='{"a": 1e400, "b": 1e401, "c": 0.1000000000000000000000000000000001}')
    daemon = scene.start()
    daemon.wait_for("caught_up")
    daemon.wait_for("watermark_moved")
    assert scene.request("GET", f"/{scene.index}/_doc/deep?_source=false")["found"]
    verified(scene, 0)
    mark = daemon.mark()
    scene.sql("TRUNCATE odd.label")
    reconciled = daemon.wait_for("reconciled", after=mark, index=scene.index)
    assert (reconciled["missing"], reconciled["stale"], reconciled["orphaned"]) == (0, 50, 0)
    daemon.wait_for("watermark_moved", after=reconciled)
    verified(scene, 0)
    # what was written behind our back is seen, however deep it lies
    for name, raw in (("deep", "[" * 996 + "1" + "]" * 996), ("numbers", '{"a": 1e401}')):
        body = f'{{"index":{{"_index":"{scene.index}","_id":"{name}"}}}}\n{{"raw":{raw}}}\n'
        scene.request("POST", "/_bulk", body.encode())
    verify = scene.start("verify")
    verify.expect_exit(1)
    assert "2 wrong" in verify.output, verify.output
    scene.start("verify", "--repair").expect_exit(0)
    rows.drop("deep")
    rows.settle()
    assert not daemon.found("held"), daemon.log
    daemon.stop()
