"""`check` reads a sample of each document: what it finds beside the typical mistakes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from playground.postgres import PostgresServer
from playground.search import SearchServer
from tests.kit.lengths import one_short
from tests.kit.scene import Scene, Template, open_scene


def test_a_missing_index_and_a_stamp_in_use(scene: Scene) -> None:
    """Before the first load: each once, with the line that mends it; a scratch index does not
    stay, and nothing is installed."""
    scene.admin(
        # the plan must not depend on whether autovacuum came by
        "ALTER TABLE content.person_film_work SET (autovacuum_enabled = false);"
        "ALTER TABLE content.person_film_work "
        "DROP CONSTRAINT person_film_work_film_work_id_person_id_role_key;"
        "INSERT INTO content.person_film_work (id, film_work_id, person_id, role) "
        "SELECT gen_random_uuid(), f.id, p.id, 'actor' "
        "FROM content.film_work AS f, content.person AS p;"
    )
    scene.admin("UPDATE content.genre SET updated_at = '1999-01-01' WHERE name = 'Genre 1'")
    check = scene.start("check")
    check.expect_exit(0, 60)
    reads = "it reads all of content.person_film_work ("
    assert check.output.count(reads) == 1, check.output
    mend = 'CREATE INDEX CONCURRENTLY ON "content"."person_film_work" ("film_work_id");'
    assert mend in check.output
    assert (
        "content.genre: of 12 values of updated_at 1 are older than the last change of their row"
    ) in check.output
    assert scene.request("GET", f"/{scene.prefix}*?expand_wildcards=all") == {}
    assert scene.admin("SELECT 1 FROM pg_namespace WHERE nspname = 'listener'") == []
    scene.admin(mend)
    check = scene.start("check")
    check.expect_exit(0, 60)
    assert reads not in check.output


@pytest.fixture(params=one_short(["depot", "ledger"], "depot"))
def other(
    request: pytest.FixtureRequest,
    postgres_server: PostgresServer,
    search_server: SearchServer,
    tmp_path: Path,
) -> Iterator[Scene]:
    """Composite keys and odd names; or partitions, an ids file and stamps without a zone."""
    template: Template = request.getfixturevalue(f"{request.param}_template")
    with open_scene(postgres_server, search_server, template, tmp_path) as scene:
        yield scene


def test_nothing_is_found_where_all_is_well(other: Scene) -> None:
    """No error in other schemas, whatever their keys; and `preview` knows each id again."""
    check = other.start("check")
    check.expect_exit(0, 60)
    assert "samples: looked at" in check.output
    for words in ("would be", "is the id of a document", "reads all of", "returns no"):
        assert words not in check.output, check.output
    other.once()
    for document in other.options["documents"]:
        other.start("preview", document["index"]).expect_exit(0, 60)
    rows = other.request("POST", f"/{other.index}/_search", {"size": 20})["hits"]["hits"]
    preview = other.start("preview", "--json", other.index, *[one["_id"] for one in rows])
    preview.expect_exit(0, 60)
    found = [json.loads(line) for line in preview.output.splitlines()]
    assert [one["document"] for one in found] == [one["_source"] for one in rows]
    if other.index.endswith("items"):
        an_id_that_is_no_json_array(other)


def an_id_that_is_no_json_array(scene: Scene) -> None:
    """Of a composite key: told with the file, and with what to return."""
    document = scene.options["documents"][0]
    text = Path(document["query_file"]).read_text("utf-8")
    path = scene.folder / "item.sql"
    path.write_text(f"SELECT 'x' AS id, q.document FROM ({text}) AS q", "utf-8")
    document["query_file"] = str(path)
    for command in (["check"], ["preview", scene.index]):
        process = scene.start(*command)
        process.expect_exit(2, 60)
        told = process.output + process.log
        assert "is no JSON array" in told
        assert "json_build_array(...)" in told
