"""Other databases, by YAML and SQL files alone: a depot and a ledger.

The depot shares nothing with the movies: composite and smallint keys, mixed-case names, children
two hops away, no stamps, two kinds of documents. The ledger has stamps without a zone, partitions,
bigint keys, a soft delete, and no notifications at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from playground.daemon import ListenerProcess
from playground.postgres import PostgresServer
from playground.proxy import TcpProxy
from playground.search import SearchServer
from tests.kit.scene import Scene, Template, open_scene

Served = tuple[Scene, ListenerProcess]


@pytest.fixture(scope="module")
def depot(
    postgres_server: PostgresServer,
    search_server: SearchServer,
    depot_template: Template,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    """The depot with a daemon that serves."""
    folder = tmp_path_factory.mktemp("depot")
    with open_scene(postgres_server, search_server, depot_template, folder) as scene:
        yield scene, scene.serve()


@pytest.fixture(scope="module")
def ledger(
    postgres_server: PostgresServer,
    search_server: SearchServer,
    ledger_template: Template,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    """The ledger with a daemon that serves."""
    folder = tmp_path_factory.mktemp("ledger")
    with open_scene(postgres_server, search_server, ledger_template, folder) as scene:
        yield scene, scene.serve()


DEPOT = {
    "item renamed": """
        UPDATE "Depot"."Stock Item" SET "Name" = 'Übergröße "XL"' WHERE "Region" = 1""",
    "json with raw line breaks": """
        UPDATE "Depot"."Stock Item" SET "Attributes" = E'{\\n"a":\\r\\n[1,\\n2]}'
        WHERE "Sku" = 'comma,brace{}'""",
    "items with odd keys added": """
        INSERT INTO "Depot"."Stock Item" ("Region", "Sku", "Name")
        VALUES (2, '"', 'a'), (2, '\\', 'b'), (2, '[]', 'c'), (2, 'ÄÖ', 'd'), (-3, '-3', 'e')""",
    "key changed, which cascades to batches": """
        UPDATE "Depot"."Stock Item" SET "Sku" = 'now "another"' WHERE "Sku" = 'it''s "quoted"'""",
    "region's code changed, which cascades over two tables": """
        UPDATE "Depot"."Region" SET "Code" = 32767 WHERE "Code" = 3""",
    "region renamed": """
        UPDATE "Depot"."Region" SET "Label" = 'Süd' WHERE "Code" = -2""",
    "item deleted, which leaves batches without a place": """
        DELETE FROM "Depot"."Stock Item" WHERE "Region" = 4 AND "Sku" IN ('plain', '', '日本')""",
    "batch without a place gets one": """
        UPDATE "Depot"."Batch" SET "Region" = 5, "Sku" = 'with space'
        WHERE "No" IN (SELECT "No" FROM "Depot"."Batch" WHERE "Sku" IS NULL)""",
    "batch loses half of its place": """
        UPDATE "Depot"."Batch" SET "Sku" = NULL
        WHERE "No" = (SELECT max("No") FROM "Depot"."Batch" WHERE "Region" = 6 AND "Sku" = 'plain')
        """,
    "batch moved from one item to another": """
        UPDATE "Depot"."Batch" SET "Region" = 7, "Sku" = ' edge '
        WHERE "Region" = 6 AND "Sku" = 'comma,brace{}'""",
    "batch deleted, which cascades to inspections": """
        DELETE FROM "Depot"."Batch" WHERE "Region" = 7 AND "Sku" = 'plain'""",
    "inspection changed, two hops away": """
        UPDATE "Depot"."Inspection" SET "Verdict" = 'so so' WHERE "Batch" % 5 = 0""",
    "inspection moved to another batch": """
        UPDATE "Depot"."Inspection" SET "Batch" = "Batch" + 1
        WHERE "Batch" % 3 = 1 AND "Inspector" = '"q"' AND NOT EXISTS (
            SELECT FROM "Depot"."Inspection" AS o WHERE o."Inspector" = '"q"'
            AND o."Batch" = "Inspection"."Batch" + 1
        ) AND EXISTS (SELECT FROM "Depot"."Batch" AS b WHERE b."No" = "Inspection"."Batch" + 1)""",
    "inspector renamed": """
        UPDATE "Depot"."Inspector" SET "Full Name" = 'O Neill' WHERE "Nick" = 'O''Neill'""",
    "inspector's key changed, which cascades": """
        UPDATE "Depot"."Inspector" SET "Nick" = 'tab gone' WHERE "Nick" = E'tab\\there'""",
    "inspector with an empty key renamed": """
        UPDATE "Depot"."Inspector" SET "Full Name" = 'Nobody' WHERE "Nick" = ''""",
    "inspector deleted, which cascades": """
        DELETE FROM "Depot"."Inspector" WHERE "Nick" = 'Анна Б.'""",
    "price in a table with a dot in its name": """
        UPDATE "Depot"."Price.List" SET "Price" = 0.10 WHERE "Sku" = 'Ключ ключа'""",
    "region deleted, which cascades to all of it": """
        DELETE FROM "Depot"."Region" WHERE "Code" = 8""",
}


@pytest.mark.parametrize("name", DEPOT)
def test_depot_by_notify(depot: Served, name: str) -> None:
    """Each edit arrives in both indexes by its keys."""
    scene, daemon = depot
    mark = daemon.mark()
    scene.sql(DEPOT[name])
    scene.wait_converged()
    assert not daemon.found("swept", after=mark), daemon.log


def test_depot_key_too_large_for_a_payload(depot: Served) -> None:
    """A key of 9,000 bytes: the notification only says "sweep", the journal has the key."""
    scene, daemon = depot
    scene.sql(
        """
        INSERT INTO "Depot"."Inspector" VALUES (repeat('n', 9000), 'Long');
        INSERT INTO "Depot"."Inspection"
        SELECT max("No"), repeat('n', 9000), 'fine' FROM "Depot"."Batch" WHERE "Region" = 2"""
    )
    scene.wait_converged()
    mark = daemon.mark()
    scene.sql(
        """UPDATE "Depot"."Inspector" SET "Full Name" = 'Longer' WHERE "Full Name" = 'Long'"""
    )
    daemon.wait_for("swept", after=mark, table="journal")
    scene.wait_converged()


def test_depot_hot_column(depot: Served) -> None:
    """A column that is not listed indexes nothing in the kind that lists columns."""
    scene, daemon = depot
    scene.wait_converged()
    mark = daemon.mark()
    scene.sql('UPDATE "Depot"."Stock Item" SET "Last Seen" = now()')
    first = daemon.wait_for("watermark_moved", after=mark)
    daemon.wait_for("watermark_moved", after=first)
    items, regions = (document["index"] for document in scene.options["documents"])
    assert not daemon.found("indexed", after=mark, index=items), daemon.log
    assert daemon.found("indexed", after=mark, index=regions)  # its watch lists none
    scene.assert_converged()


def test_depot_ids_are_json_arrays(depot: Served) -> None:
    """`_id` of a composite key: the JSON array of its parts, one way to write each."""
    scene, _ = depot
    rows = scene.sql('SELECT "Region", "Sku" FROM "Depot"."Stock Item"')
    answer = scene.request(
        "POST", f"/{scene.index}/_search", {"size": 10_000, "_source": False, "sort": ["_doc"]}
    )
    ids = {hit["_id"] for hit in answer["hits"]["hits"]}
    assert {tuple(json.loads(one)) for one in ids} == set(rows)
    assert '[1, "plain"]' in ids
    assert '[2, "\\""]' in ids
    assert '[1, ""]' in ids
    assert len(ids) == len(rows)


def test_depot_truncate(depot: Served) -> None:
    """TRUNCATE of a table of one kind compares that kind, and no other."""
    scene, daemon = depot
    items, regions = (document["index"] for document in scene.options["documents"])
    mark = daemon.mark()
    scene.sql('TRUNCATE "Depot"."Price.List"')
    daemon.wait_for("reconciled", after=mark, index=items)
    scene.wait_converged()
    assert not daemon.found("reconcile_started", after=mark, index=regions)
    assert not daemon.found("load_started", after=mark)


def test_depot_restart_and_once(depot: Served) -> None:
    """Edits while nobody listens come from the journal alone; nothing is loaded again."""
    scene, daemon = depot
    daemon.stop()
    for statement in (
        """UPDATE "Depot"."Inspector" SET "Full Name" = 'Away ' || "Full Name" """,
        """DELETE FROM "Depot"."Stock Item" WHERE "Sku" = 'NULL'""",
        """DELETE FROM "Depot"."Region" WHERE "Code" = 0""",
        """UPDATE "Depot"."Batch" SET "Quantity" = 1, "Sku" = ' edge ' WHERE "Region" = 1""",
        """INSERT INTO "Depot"."Region" VALUES (100, 'New')""",
    ):
        scene.sql(statement)
    once = scene.once()
    assert {one["table"] for one in once.found("swept")} == {"journal"}
    assert not once.found("load_started")
    scene.assert_converged()
    daemon = scene.start()
    daemon.wait_for("caught_up")
    scene.sql("""UPDATE "Depot"."Region" SET "Label" = 'Newer' WHERE "Code" = 100""")
    scene.wait_converged()
    assert not daemon.found("load_started")
    daemon.stop()
    scene.assert_converged()


@pytest.mark.long
def test_depot_load_killed_at_odd_keys(
    postgres_server: PostgresServer,
    search_server: SearchServer,
    depot_template: Template,
    tmp_path: Path,
) -> None:
    """Small pages end at keys with quotes, line breaks and nothing: each start goes on there."""
    with (
        open_scene(postgres_server, search_server, depot_template, tmp_path) as scene,
        TcpProxy("127.0.0.1", search_server.port, delay=0.01) as proxy,
    ):
        url = f"http://127.0.0.1:{proxy.port}"
        scene.set(page_size=1, elasticsearch={"urls": [url]})
        for reached in (5, 9, 14, 40):
            daemon = scene.start()
            daemon.wait_for("load_progress", documents=lambda count, least=reached: count >= least)
            daemon.kill()
            [started] = daemon.found("load_started", index=scene.index)
        assert started["documents"] >= 14
        scene.set(page_size=50)
        proxy.delay = 0
        once = scene.once()
        assert len(once.found("loaded")) == 2
        scene.assert_converged()
        assert all(len(scene.behind(one["index"])) == 1 for one in scene.options["documents"])


LEDGER = {
    "account renamed": "UPDATE ledger.account SET owner = 'Renamed' WHERE id > 0",
    "the application's own stamp is overwritten": """
        UPDATE ledger.account SET owner = 'Stamped', changed = '1999-01-01' WHERE id % 2 = 0""",
    "a session of another time zone": """
        BEGIN; SET LOCAL TIME ZONE 'Asia/Kathmandu';
        UPDATE ledger.account SET owner = 'Far' WHERE id % 3 = 0; COMMIT""",
    "the greatest and the least key": """
        UPDATE ledger.account SET owner = 'Edge'
        WHERE id IN (9223372036854775807, -9223372036854775808)""",
    "entry through the root": """
        INSERT INTO ledger.entry (account_id, amount)
        SELECT id, 0.0001 FROM ledger.account WHERE id % 5 = 0""",
    "entry straight into a partition": """
        INSERT INTO ledger.entry_high (account_id, amount)
        SELECT id, 7 FROM ledger.account WHERE id > 1000""",
    "entries updated in a partition": """
        UPDATE ledger.entry_low SET amount = amount + 1 WHERE account_id % 4 = 0""",
    "entry moved from one partition to another": """
        UPDATE ledger.entry SET account_id = (SELECT max(id) FROM ledger.account)
        WHERE account_id = (SELECT min(id) FROM ledger.account WHERE id > 0) AND amount > 2""",
    "entries deleted": "DELETE FROM ledger.entry WHERE account_id % 6 = 0",
    "soft delete": "UPDATE ledger.account SET closed = true WHERE id % 10 = 0",
    "soft delete undone": "UPDATE ledger.account SET closed = false WHERE id % 20 = 0",
    "account deleted, which cascades": "DELETE FROM ledger.account WHERE id % 7 = 0",
    "account added": """
        INSERT INTO ledger.account (id, owner) SELECT n, 'New' FROM generate_series(1, 12) AS n
        ON CONFLICT DO NOTHING""",
}


@pytest.mark.parametrize("name", LEDGER)
def test_ledger_by_polling(ledger: Served, name: str) -> None:
    """`notify: off`: the next poll brings it."""
    scene, daemon = ledger
    mark = daemon.mark()
    scene.sql(LEDGER[name])
    daemon.wait_for("swept", after=mark)
    scene.wait_converged()
    assert daemon.wait_for("watermark_moved", after=mark)["way"] == "scan"


def test_ledger_pages_of_a_sweep(ledger: Served) -> None:
    """More rows than a page of a sweep has, many with one stamp, with keys of many lengths."""
    scene, daemon = ledger
    mark = daemon.mark()
    scene.sql(
        "INSERT INTO ledger.account (id, owner) "
        "SELECT n * 97 - 400000, 'Many' FROM generate_series(1, 12000) AS n ON CONFLICT DO NOTHING"
    )
    daemon.wait_for("swept", after=mark)
    scene.wait_converged()
    scene.sql("UPDATE ledger.account SET owner = 'Once more' WHERE owner = 'Many'")
    scene.wait_converged()
    scene.sql("DELETE FROM ledger.account WHERE owner = 'Once more'")
    scene.wait_converged()


def test_ledger_restart(ledger: Served) -> None:
    """A restart and --once go on from the watermark."""
    scene, daemon = ledger
    daemon.stop()
    scene.sql("DELETE FROM ledger.entry_low WHERE amount < 3")
    scene.sql("UPDATE ledger.account SET owner = 'Away', closed = id % 2 = 0")
    once = scene.once()
    assert not once.found("load_started")
    scene.assert_converged()
    daemon = scene.start()
    daemon.wait_for("caught_up")
    scene.sql("UPDATE ledger.account SET closed = NOT closed")
    scene.wait_converged()
    assert not daemon.found("load_started")
    daemon.stop()
    scene.assert_converged()


def test_ledger_late_commit(ledger: Served) -> None:
    """Rows that become visible long after they were stamped are found: the watermark waited."""
    scene, _ = ledger
    daemon = scene.start()
    daemon.wait_for("caught_up")
    writer = scene.connect()
    with writer.transaction():
        writer.execute("UPDATE ledger.account SET owner = 'Late' WHERE id % 2 = 1")
        writer.execute("DELETE FROM ledger.entry WHERE account_id % 9 = 0")
        row = writer.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None
        held = daemon.wait_for("watermark_held")
        # the overlap that each scan reaches back does not cover it by now
        scene.sql("UPDATE ledger.account SET owner = 'Early' WHERE id % 2 = 0")
        scene.wait_converged()
        assert not daemon.found("watermark_moved", after=held)
    moved = daemon.wait_for("watermark_moved", after=held)  # drawn before the commit
    daemon.wait_for("watermark_moved", after=moved)
    scene.wait_converged()
    daemon.stop()
    assert scene.state["last_processed"] > row[0]
    scene.assert_converged()
