"""Limits that a statement may meet because of our triggers: what `check` says, and the way out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Literal

import psycopg
import pytest

from listener.changes import Watch
from listener.checks import check_limits
from listener.checks.limits import size
from playground.postgres import PostgresServer
from tests.kit.servers import own_postgres
from tests.kit.triggers import Bench, open_bench

ITEM = Watch("public", "item", ("id",))


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("20MB", 20 << 20),
        ("20480", 20 << 20),
        ("1.5GB", 1.5 * (1 << 30)),
        ("-1", None),
        ("x", None),
    ],
)
def test_sizes(setting: str, expected: float | None) -> None:
    """As people write them."""
    assert size(setting) == expected


def test_a_low_temp_file_limit_is_named(bench: Bench) -> None:
    """With the role or database that has it; a high one, and none, are no matter."""
    assert check_limits(bench.admin, [ITEM]) == []
    role = bench.new_role()
    bench.run(f"ALTER ROLE {role} SET temp_file_limit = '20MB'")
    bench.run(f"ALTER DATABASE {bench.name} SET temp_file_limit = '50GB'")
    [found] = check_limits(bench.admin, [ITEM])
    bench.run(f"DROP ROLE {role}")
    assert found.severity == "warning"
    assert f"temp_file_limit is 20MB for role {role}" in found.what
    assert "work_mem" in found.mend


def test_a_large_statement_under_a_low_temp_file_limit(bench: Bench) -> None:
    """It fails where its rows fit neither into memory nor into the files that it may write; the
    same statement passes with either of the two settings that the warning names."""
    bench.run(
        "CREATE TABLE item (id uuid PRIMARY KEY, text text);"
        "INSERT INTO item SELECT gen_random_uuid(), repeat('x', 60) FROM generate_series(1, 60000)"
    )
    bench.install(ITEM)
    change = "UPDATE item SET text = text || '.'"
    bench.run("SET work_mem = '1MB'; SET temp_file_limit = '6MB'")
    with pytest.raises(psycopg.errors.ConfigurationLimitExceeded):
        bench.run(change)
    assert bench.value("SELECT count(*) FROM item WHERE text LIKE '%.'") == 0
    bench.run("SET work_mem = '32MB'")
    bench.run(change)
    bench.run("SET work_mem = '1MB'; SET temp_file_limit = '1GB'")
    bench.run(change)
    assert bench.value("SELECT count(*) FROM item WHERE text LIKE '%..'") == 60000


@pytest.fixture(scope="module")
def small() -> Iterator[PostgresServer]:
    """A server whose queue of NOTIFY has the smallest size that there is: half a megabyte."""
    with own_postgres({"max_notify_queue_pages": 64}) as server:
        server.create_database("bulk")
        yield server


def test_a_transaction_larger_than_the_queue(small: PostgresServer) -> None:
    """With `rows` its COMMIT fails, and `check` warns of it; with `doorbell`, which the warning
    names, it passes."""
    for bench in open_bench(small, "bulk"):
        bench.run(
            "CREATE TABLE item (id uuid PRIMARY KEY, n integer);"
            "INSERT INTO item SELECT gen_random_uuid(), g FROM generate_series(1, 29700) g"
        )
        bulk = "; ".join(
            f"UPDATE item SET n = n WHERE n > {start} AND n <= {start + 9900}"
            for start in (0, 9900, 19800)
        )
        bench.install(ITEM)
        [found] = check_limits(bench.admin, [ITEM])
        assert (found.severity, "max_notify_queue_pages is 64 (0.5 MB)" in found.what) == (
            "warning",
            True,
        )
        with pytest.raises(psycopg.OperationalError, match="NOTIFY queue"):
            bench.run(f"BEGIN; {bulk}; COMMIT")
        quiet = dataclasses.replace(ITEM, notify="doorbell")
        bench.install(quiet)
        assert check_limits(bench.admin, [quiet]) == []
        bench.run(f"BEGIN; {bulk}; COMMIT")


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_our_triggers_make_no_transaction_fail_to_serialize(bench: Bench, level: str) -> None:
    """Transactions that touch different rows do not meet in what the triggers write."""
    bench.run(
        "CREATE TABLE item (id integer PRIMARY KEY, text text, updated_at timestamptz);"
        "CREATE TABLE link (id integer PRIMARY KEY, item integer);"
        "INSERT INTO item SELECT g, 'x' FROM generate_series(1, 100) g;"
        "INSERT INTO link SELECT g, g FROM generate_series(1, 100) g"
    )
    bench.install(
        Watch("public", "item", ("id",), "updated_at"),
        Watch("public", "link", ("item",)),
    )
    sessions = [bench.connect(options="-c enable_seqscan=off") for _ in range(4)]
    for session in sessions:
        session.execute(f"BEGIN ISOLATION LEVEL {level}; SELECT 1".encode())
    for number, session in enumerate(sessions, 1):
        session.execute("UPDATE item SET text = 'y' WHERE id = %s", (number,))
        session.execute("UPDATE link SET item = 50 WHERE id = %s", (number,))
        session.execute("DELETE FROM item WHERE id = %s", (10 + number,))
        session.execute("INSERT INTO link VALUES (%s, 1)", (1000 + number,))
    bench.run("DELETE FROM listener.journal")  # as the daemon prunes it
    for session in sessions:
        session.execute("COMMIT")
    assert bench.value("SELECT count(*) FROM link WHERE id > 1000") == 4


@pytest.mark.parametrize("notify", ["off", "doorbell", "rows"])
def test_only_an_index_on_the_stamp_makes_serializable_transactions_fail(
    bench: Bench, notify: Literal["off", "doorbell", "rows"]
) -> None:
    """Two read one row each and change another one, none of them the same: the journal lets both
    commit, and so does the stamp alone. With its index each UPDATE writes into all indexes, on
    pages that the other one read."""
    bench.run("CREATE TABLE item (id integer PRIMARY KEY, n integer) WITH (fillfactor = 50)")
    bench.run("INSERT INTO item SELECT g, 0 FROM generate_series(1, 50) g")
    bench.run("VACUUM ANALYZE item")

    def commits() -> bool:
        one, two = (bench.connect(options="-c enable_seqscan=off") for _ in range(2))
        try:
            for number, session in enumerate((one, two), 1):
                session.execute("BEGIN ISOLATION LEVEL SERIALIZABLE")
                session.execute("SELECT n FROM item WHERE id = %s", (number,))
            for number, session in enumerate((one, two), 11):
                session.execute("UPDATE item SET n = n + 1 WHERE id = %s", (number,))
            one.execute("COMMIT")
            two.execute("COMMIT")
        except psycopg.errors.SerializationFailure:
            return False
        return True

    assert commits()
    bench.install(Watch("public", "item", ("id",), None, None, notify))
    assert commits()
    bench.install(Watch("public", "item", ("id",), "updated_at", None, notify))
    assert not commits()
    index = bench.value(
        "SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class ON "
        "indexrelid = pg_class.oid WHERE relname LIKE 'listener_at_%'"
    )
    bench.run(f"DROP INDEX {index}")
    assert commits()
