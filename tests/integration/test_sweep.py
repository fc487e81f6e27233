"""Sweeps of stamped tables and of the journal: every visible row since the watermark, once."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from listener import postgres
from listener.capture import handed_on, journal, stamped
from listener.capture.handed_on import HandedOn
from listener.capture.sweep import Sweep
from listener.changes import Key, KeyType, Watch
from listener.postgres import Connection
from playground.postgres import PostgresServer

WATCH = Watch("public", "item", ("id",), updated_at="at")
LINK = Watch("public", "link", ("left", "right"))
TYPES: dict[str, tuple[KeyType, ...]] = {WATCH.id: ("bigint",), LINK.id: ("integer", "text")}
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(params=["timestamptz", "timestamp"])
def zoneless(request: pytest.FixtureRequest) -> bool:
    """Both types that a stamp may have."""
    return bool(request.param == "timestamp")


@pytest.fixture
def connection(
    postgres_server: PostgresServer, database: str, zoneless: bool
) -> Iterator[Connection]:
    """A stamped table and a journal."""
    kind = "timestamp" if zoneless else "timestamptz"
    with psycopg.connect(postgres_server.dsn(database), autocommit=True) as connection:
        connection.adapters.register_loader("timestamptz", postgres.Moments)
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"CREATE TABLE item (id bigint, at {kind})".encode())
        connection.execute(
            "CREATE SCHEMA listener; CREATE TABLE listener.journal (id bigint GENERATED ALWAYS AS "
            "IDENTITY, updated_at timestamptz, watch text, kind text, keys text, reason text)"
        )
        yield connection


@pytest.fixture
def sweep(zoneless: bool) -> Sweep:
    """A sweep of both."""
    return new_sweep(zoneless)


def new_sweep(zoneless: bool) -> Sweep:
    """As a session begins it: nothing was handed on yet."""
    return Sweep([WATCH, LINK], TYPES, {WATCH.id: zoneless, LINK.id: False}, "listener")


def swept(
    sweep: Sweep,
    connection: Connection,
    since: datetime = START,
    **more: Any,
) -> list[Key]:
    """All keys that one sweep hands on."""
    return [
        key
        for page in sweep.pages(connection, since, **more)
        for change in page.changes
        for key in change.keys
    ]


def ahead_again(sweep: Sweep, connection: Connection) -> list[Key]:
    """All keys of a later look at what is ahead."""
    pages = sweep.ahead_again(connection, None)
    return [key for page in pages for change in page.changes for key in change.keys]


@pytest.mark.parametrize("page", [1, 7, 5000])
def test_pages_skip_no_row(
    connection: Connection, sweep: Sweep, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many rows of one stamp, keys whose text sorts in another order, pages of any size."""
    monkeypatch.setattr(stamped, "PAGE", page)
    connection.execute(
        "INSERT INTO item SELECT n, timestamp '2026-01-01' + n / 40 * interval '1 second' "
        "FROM generate_series(0, 200) AS n"
    )
    connection.execute("INSERT INTO item VALUES (-1, '2025-12-31'), (NULL, '2026-02-01')")
    assert sorted(int(key[0]) for key in swept(sweep, connection)) == list(range(201))


def test_what_was_handed_on_is_not_repeated(
    connection: Connection, sweep: Sweep, zoneless: bool
) -> None:
    """Only a new stamp, or another transaction of the same microsecond, is read again."""
    connection.execute("INSERT INTO item VALUES (1, '2026-01-02'), (2, '2026-01-02')")
    assert len(swept(sweep, connection)) == 2
    assert swept(sweep, connection) == []
    connection.execute("UPDATE item SET at = '2026-01-03' WHERE id = 2")
    assert swept(sweep, connection) == [("2",)]
    connection.execute("UPDATE item SET at = at WHERE id = 1")
    assert swept(sweep, connection) == [("1",)]
    assert len(swept(new_sweep(zoneless), connection)) == 2


def test_an_older_stamp_that_commits_later_is_seen(connection: Connection, sweep: Sweep) -> None:
    """Rows become visible in the order of commits, not of stamps."""
    connection.execute("INSERT INTO item VALUES (1, '2026-01-05')")
    assert swept(sweep, connection) == [("1",)]
    connection.execute("INSERT INTO item VALUES (1, '2026-01-04'), (2, '2026-01-04')")
    assert sorted(swept(sweep, connection)) == [("1",), ("2",)]


def test_stamps_that_python_cannot_hold(connection: Connection, sweep: Sweep) -> None:
    """Rows from before listener came may have any stamp; they do not stop the sweep."""
    connection.execute(
        "INSERT INTO item VALUES (1, 'infinity'), (2, '-infinity'), (3, '0044-03-15 BC'), (4, NULL)"
    )
    assert swept(sweep, connection) == []
    assert swept(sweep, connection, ahead=True) == [("1",)]
    assert swept(sweep, connection) == []


def test_what_is_stamped_in_the_future(
    connection: Connection,
    sweep: Sweep,
    postgres_server: PostgresServer,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is read when asked for, not by every sweep, and once more when its time has come. Of
    whoever commits later only what is new is read again."""
    later = f"{NOW} + interval '1 day'"
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"INSERT INTO item VALUES (1, {later}), (2, {NOW})".encode())
    connection.execute(
        "INSERT INTO listener.journal (updated_at, watch, kind, keys) "
        f"""VALUES (now() + interval '1 day', '{WATCH.id}', 'keys', '["7"]')""".encode()
    )
    connection.execute(
        "INSERT INTO listener.journal (updated_at, watch, kind, keys) "
        f"""VALUES ('infinity', '{LINK.id}', 'keys', '[["7", "x"]]')""".encode()
    )
    with psycopg.connect(postgres_server.dsn(database)) as late:
        late.execute("SET TimeZone = 'UTC'")
        late.execute(f"INSERT INTO item VALUES (3, {later})".encode())
        assert sorted(swept(sweep, connection, ahead=True)) == [
            ("1",),
            ("2",),
            ("7",),
            ("7", "x"),
        ]
        assert swept(sweep, connection) == []
    assert swept(sweep, connection) == []
    again = functools.partial(ahead_again, sweep, connection)
    assert again() == [("3",)]
    assert again() == []
    connection.execute(f"INSERT INTO item VALUES (4, {later})".encode())
    assert again() == [("4",)]
    assert again() == []
    connection.execute("DELETE FROM item WHERE id = 4")
    # the clock comes to them
    two_days = timedelta(days=2)
    assert sorted(swept(sweep, connection, margin=two_days)) == [("1",), ("3",), ("7",)]
    assert swept(sweep, connection, margin=two_days) == []
    # changed, it is of now
    connection.execute(f"UPDATE item SET at = {NOW} WHERE id = 1".encode())
    assert swept(sweep, connection) == [("1",)]


def test_what_is_ahead_while_a_transaction_is_open(
    connection: Connection,
    sweep: Sweep,
    postgres_server: PostgresServer,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It may yet commit: so may all that are younger. What they wrote is read once all the same,
    and a look at some tables leaves the others to theirs."""
    later = "timestamp '2999-01-01'"
    again = functools.partial(ahead_again, sweep, connection)
    with psycopg.connect(postgres_server.dsn(database)) as late:
        late.execute(f"INSERT INTO item VALUES (1, {later})".encode())
        connection.execute(f"INSERT INTO item VALUES (2, {later})".encode())
        assert swept(sweep, connection, ahead=True) == [("2",)]
        connection.execute(f"INSERT INTO item VALUES (3, {later})".encode())
        connection.execute(
            "INSERT INTO listener.journal (updated_at, watch, kind, reason) "
            f"VALUES ('2999-01-01', '{LINK.id}', 'reconcile', 'TRUNCATE')".encode()
        )
        assert list(sweep.ahead_again(connection, None, silent=True)) == []
        pages = list(sweep.ahead_again(connection, None))
        assert [change.keys for page in pages for change in page.changes] == [(("3",),)]
        assert [lost[0] for page in pages for lost in page.reconcile] == [LINK.id]
        assert list(sweep.ahead_again(connection, None)) == []
        # another transaction under the same stamp
        connection.execute("UPDATE item SET at = at WHERE id = 3")
        broken = sweep.ahead_again(connection, None)
        next(broken)
        broken.close()
        assert ("3",) in again()
        assert again() == []
        list(sweep.ahead_again(connection, None, silent=True))
    list(sweep.ahead_again(connection, None, silent=True))
    assert again() == [("1",), ("2",)]  # what was known was forgotten with the broken look
    assert again() == []


AHEAD_ROWS = {
    "rows": "INSERT INTO item SELECT n, timestamp '2999-01-01' FROM generate_series({}, {}) AS n",
    "journal": "INSERT INTO listener.journal (updated_at, watch, kind, keys) SELECT '2999-01-01', "
    f"'{WATCH.id}', 'keys', jsonb_build_array(n::text) FROM generate_series({{}}, {{}}) AS n",
}


@pytest.mark.parametrize("fits", [True, False])
@pytest.mark.parametrize("insert", AHEAD_ROWS.values(), ids=AHEAD_ROWS)
def test_many_rows_ahead_while_transactions_are_open(
    connection: Connection,
    sweep: Sweep,
    *,
    postgres_server: PostgresServer,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    insert: str,
    fits: bool,
) -> None:
    """However many there are, no look repeats them, and each one that commits late is found, also
    what a savepoint wrote. Those beyond the memory come once more when an older one has ended."""
    monkeypatch.setattr(handed_on, "AHEAD", 1000 if fits else 3)
    monkeypatch.setattr(stamped, "PAGE", 7)

    def write(writer: Connection, first: int, last: int | None = None) -> None:
        writer.execute(insert.format(first, last or first).encode())

    def again() -> list[int]:
        return sorted(int(key) for (key,) in ahead_again(sweep, connection))

    dsn = postgres_server.dsn(database)
    with (
        psycopg.connect(dsn, autocommit=True) as old,
        psycopg.connect(dsn, autocommit=True) as late,
    ):
        old.execute("BEGIN; SELECT pg_current_xact_id()")
        write(connection, 1, 10)
        assert swept(sweep, connection, ahead=True) == [(str(n),) for n in range(1, 11)]
        write(connection, 11, 30)
        assert again() == list(range(11, 31))
        late.execute("BEGIN")
        write(late, 31)
        write(connection, 32, 40)
        late.execute("SAVEPOINT one")
        write(late, 41)
        late.execute("RELEASE one; SAVEPOINT two")
        write(late, 42)
        write(connection, 43)
        assert again() == [*range(32, 41), 43]
        assert again() == []
        late.execute("COMMIT")
        # of the younger ones those come again that are not remembered
        found = again()
        assert set(found) >= {31, 41, 42}
        assert found == [31, 41, 42] if fits else set(found) <= set(range(31, 44))
        assert again() == []
        old.execute("COMMIT")
        assert again() == [] or not fits
    assert again() == []


def test_memory_keeps_what_is_new(
    connection: Connection, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it is full the oldest goes: while the watermark stands it is not read any more."""
    monkeypatch.setattr(handed_on, "MEMORY", 3)
    monkeypatch.setattr(stamped, "PAGE", 2)
    insert = "INSERT INTO item SELECT n, timestamp '2026-01-02' + n * interval '1 second' FROM "
    connection.execute(f"{insert} generate_series(1, 5) AS n".encode())
    assert len(swept(sweep, connection)) == 5
    recent = datetime(2026, 1, 2, 0, 0, 3, tzinfo=UTC)
    assert swept(sweep, connection, recent) == []
    # read from the beginning: what was forgotten comes once more, and what is known stays so
    assert swept(sweep, connection) == [("1",), ("2",)]
    assert swept(sweep, connection, recent) == []


@pytest.mark.parametrize("page", [1, 100])
def test_the_journal(
    connection: Connection, sweep: Sweep, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys come as they were written; what is not understood may hide a change: reconcile."""
    monkeypatch.setattr(journal, "PAGE", page)
    rows = [
        (LINK.id, "keys", '[["1","a\\"b"],["2","c"]]'),
        (LINK.id, "reconcile", None),
        (LINK.id, "of a later version", '[["3","c"]]'),
        (LINK.id, "keys", "not JSON"),
        (LINK.id, "keys", '[["x","y"]]'),
        ("gone.table(id)", "keys", '["1"]'),
        (WATCH.id, "keys", '["7"]'),
    ]
    for row in rows:
        connection.execute(
            "INSERT INTO listener.journal (updated_at, watch, kind, keys) VALUES (%s, %s, %s, %s)",
            (START + timedelta(days=1), *row),
        )
    pages = list(sweep.pages(connection, START))
    keys = [key for one in pages for change in one.changes for key in change.keys]
    assert keys == [("1", 'a"b'), ("2", "c"), ("7",)]
    assert [lost[0] for one in pages for lost in one.reconcile] == [LINK.id] * 4
    assert list(sweep.pages(connection, START)) == []


@pytest.mark.parametrize("stamp", ["infinity", "12026-01-01", "0044-03-15 BC"])
def test_many_rows_with_a_stamp_that_python_cannot_tell(
    connection: Connection, sweep: Sweep, monkeypatch: pytest.MonkeyPatch, stamp: str
) -> None:
    """There is a next page all the same. What is from before Christ is below any watermark."""
    monkeypatch.setattr(journal, "PAGE", 2)
    for number in range(5):
        connection.execute(
            "INSERT INTO listener.journal (updated_at, watch, kind, keys) VALUES (%s, %s, %s, %s)",
            (stamp, LINK.id, "keys", f'[["{number}", "a"]]'),
        )
    found = swept(sweep, connection, ahead=True)
    assert len(found) == (0 if "BC" in stamp else 5)


def test_a_journal_that_was_not_analyzed_yet(
    connection: Connection, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an outage it is long: each page is read from the index, and the rest is not sorted."""
    connection.execute(
        "ALTER TABLE listener.journal ADD PRIMARY KEY (updated_at, id);"
        "ALTER TABLE listener.journal SET (autovacuum_enabled = off);"
        "INSERT INTO listener.journal (updated_at, watch, kind, keys) "
        "SELECT timestamptz '2026-01-02 UTC' + n * interval '1 ms', 'public.link(left,right)', "
        "'keys', json_build_array(json_build_array(n::text, 'a'))::text "
        "FROM generate_series(1, 20000) AS n"
    )
    execute, plans = connection.execute, list[str]()

    def explained(query: Any, parameters: Any = None, **more: Any) -> Any:
        if parameters is not None and "limit" in parameters:
            plan = execute(sql.SQL("EXPLAIN ") + query, parameters).fetchall()
            plans.append("\n".join(line for (line,) in plan))
        return execute(query, parameters, **more)

    monkeypatch.setattr(connection, "execute", explained)
    assert len(swept(sweep, connection)) == 20_000
    assert len(plans) == 20_000 // journal.PAGE + 1
    assert [one for one in plans if "Sort" in one] == []


NOW = "clock_timestamp() AT TIME ZONE 'UTC'"


def test_only_what_can_be_new_is_read(
    connection: Connection,
    sweep: Sweep,
    postgres_server: PostgresServer,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the watermark stands, even without any memory of what was handed on."""
    monkeypatch.setattr(handed_on, "MEMORY", 0)
    recent = timedelta()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"INSERT INTO item SELECT n, {NOW} FROM generate_series(1, 5) AS n".encode())
    assert len(swept(sweep, connection, recent=recent)) == 5
    assert len(swept(sweep, connection)) == 5  # from the watermark on: all of it
    assert swept(sweep, connection, recent=recent) == []
    with psycopg.connect(postgres_server.dsn(database)) as late:
        late.execute("SET TimeZone = 'UTC'")
        late.execute(f"INSERT INTO item VALUES (6, {NOW})".encode())
        assert swept(sweep, connection, recent=recent) == []
        connection.execute(f"INSERT INTO item VALUES (7, {NOW})".encode())
        assert swept(sweep, connection, recent=recent) == [("7",)]
        assert swept(sweep, connection, recent=recent) == []
    assert ("6",) in swept(sweep, connection, recent=recent)  # what came since it began
    assert swept(sweep, connection, recent=recent) == []


def test_a_sweep_that_broke_off_is_made_good(connection: Connection, sweep: Sweep) -> None:
    """Its look does not count: the next one reads all of it again."""
    recent = timedelta()
    assert swept(sweep, connection, recent=recent) == []
    connection.execute(f"INSERT INTO item VALUES (1, {NOW})".encode())
    pages = sweep.pages(connection, START, recent=recent)
    next(pages)
    pages.close()
    sweep._memory = HandedOn()
    assert swept(sweep, connection, recent=recent) == [("1",)]


def test_silent_sweeps_leave_out_who_sends_keys(connection: Connection, zoneless: bool) -> None:
    """They are polled where something was lost, and then everything of theirs is handed on."""
    silent = replace(LINK, notify="off")
    sweep = Sweep([WATCH, silent], TYPES, {WATCH.id: zoneless, silent.id: False}, "listener")
    connection.execute("INSERT INTO item VALUES (1, '2026-01-02')")
    connection.execute(
        "INSERT INTO listener.journal (updated_at, watch, kind, keys) VALUES "
        "('2026-01-02', %s, 'keys', '[\"2\"]'), ('2026-01-02', %s, 'keys', '[[\"3\", \"x\"]]')",
        [WATCH.id, silent.id],
    )
    pages = list(sweep.pages(connection, START, silent=True))
    assert [change.keys for page in pages for change in page.changes] == [(("3", "x"),)]
    assert sorted(swept(sweep, connection)) == [("1",), ("2",)]
