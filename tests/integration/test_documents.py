"""Reading documents: the contract of the SQL files, faults of single rows, composite keys."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest

from listener.changes import Key, KeyType
from listener.config import DocumentConfig
from listener.documents.files import QueryFileError
from listener.documents.queries import arrays
from listener.documents.reading import Faulty
from listener.documents.source import DocumentSource
from listener.documents.statements import Statements
from listener.indexing.id_sources import MappedTask
from listener.indexing.queue import Job
from listener.postgres import Connection, describe
from listener.search.bulk import Document
from listener.sql import files
from tests.kit.definitions import defined, sql_file

Make = Callable[..., DocumentSource]


@pytest.fixture
def connection(postgres_server: object, database: str) -> Iterator[Connection]:
    """A session on the test's database, which holds two small tables."""
    dsn = postgres_server.dsn(database)  # type: ignore[attr-defined]
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            """
            CREATE TABLE item (id integer PRIMARY KEY, divisor integer, note json);
            INSERT INTO item SELECT n, n % 10, '{"n": 1}' FROM generate_series(1, 100) AS n;
            CREATE TABLE "Part Of" ("A" smallint, "b c" text, PRIMARY KEY ("A", "b c"));
            INSERT INTO "Part Of" SELECT n % 3, 'x"' || n FROM generate_series(1, 30) AS n;
            """
        )
        yield connection


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes a source from the text of its files."""

    def make(
        query: str,
        *,
        types: Sequence[KeyType] = ("integer",),
        table: str = "item",
        key: Sequence[str] = ("id",),
        mapping: str | None = None,
        ids: str | None = None,
    ) -> DocumentSource:
        (tmp_path / "index.json").write_text("{}")
        (tmp_path / "query.sql").write_text(query)
        mappings = {}
        if mapping is not None:
            (tmp_path / "mapping.sql").write_text(mapping)
            mappings["w"] = sql_file(tmp_path / "mapping.sql")
        if ids is not None:
            (tmp_path / "ids.sql").write_text(ids)
        config = DocumentConfig.model_validate(
            {
                "index": "test",
                "index_config_file": tmp_path / "index.json",
                "query_file": tmp_path / "query.sql",
                "ids_file": tmp_path / "ids.sql" if ids is not None else None,
                "table": table,
                "key": list(key),
                "watch": [{"table": table, "key": list(key)}],
            }
        )
        return DocumentSource(Statements(defined(config), types, {"w": ("integer",)}, mappings))

    return make


def keys(*numbers: int) -> list[Key]:
    """Keys of one integer column."""
    return [(str(number),) for number in numbers]


PLAIN = "SELECT id, json_build_object('id', id) AS document FROM item WHERE id = ANY(%(ids)s);"


def test_an_id_that_is_not_returned_is_a_delete(connection: Connection, make: Make) -> None:
    """Rows that are gone, filtered or never were: one path."""
    source = make(PLAIN + " -- a comment at the end")
    found = source.read(connection, keys(1, 999, 2))
    assert found == [
        Document(("1",), "1", b'{"id" : 1}'),
        Document(("999",), "999", None),
        Document(("2",), "2", b'{"id" : 2}'),
    ]


def test_a_row_that_makes_the_query_fail_is_found(connection: Connection, make: Make) -> None:
    """One division by zero among a hundred rows does not stop the others."""
    source = make(
        "SELECT id, json_build_object('x', 1 / divisor) AS document FROM item "
        "WHERE id = ANY(%(ids)s)"
    )
    found = source.read(connection, keys(*range(1, 101)))
    faulty = [one for one in found if isinstance(one, Faulty)]
    assert [one.key for one in faulty] == keys(*range(10, 101, 10))
    assert all("division by zero" in one.reason for one in faulty)
    assert len(found) == 100


def test_rows_that_fail_among_many(connection: Connection, make: Make) -> None:
    """They are found in pieces, the next reads are made in pieces, and the order stays."""
    source = make(
        "SELECT n AS id, json_build_object('x', 1 / (n % 977)) AS document "
        "FROM unnest(%(ids)s) AS n"
    )
    asked = keys(*range(1, 2001))
    for _ in range(2):
        found = source.read(connection, asked)
        assert [one.key for one in found] == asked
        assert [one.key for one in found if isinstance(one, Faulty)] == keys(977, 1954)
    for _ in range(30):
        found = source.read(connection, keys(1, 2, 3))
        assert all(isinstance(one, Document) for one in found)
    assert source.read(connection, []) == []


def test_a_missing_column_is_nobodys_own_fault(connection: Connection, make: Make) -> None:
    """A migration must stop the pipeline, not park every document."""
    source = make("SELECT id, nothing AS document FROM item WHERE id = ANY(%(ids)s)")
    with pytest.raises(psycopg.errors.UndefinedColumn):
        source.read(connection, keys(1))


def test_null_and_double_documents_are_faults(connection: Connection, make: Make) -> None:
    """A document that cannot be told is put aside, with the reason."""
    source = make(
        "SELECT id, CASE WHEN id > 1 THEN '{}'::json END AS document FROM item "
        "JOIN (VALUES (1, 'a'), (2, 'a'), (2, 'b')) AS v(n, t) ON n = id WHERE id = ANY(%(ids)s)"
    )
    first, second = source.read(connection, keys(1, 2))
    assert isinstance(first, Faulty)
    assert "NULL" in first.reason
    assert isinstance(second, Faulty)
    assert "two rows" in second.reason


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        ("(2, NULL)", "NULL as the document"),
        ("(2, '{}'), (2, '{\"a\":1}')", "two rows"),
        ("(2, '[1]')", "no object"),
        ("(2, '\"{}\"')", "no object"),
    ],
)
def test_one_odd_row_among_good_ones(
    connection: Connection, make: Make, odd: str, reason: str
) -> None:
    """It alone is put aside; a row that is not there is deleted."""
    source = make(
        f"SELECT n AS id, t::json AS document FROM (VALUES (1, '{{}}'), {odd}, (3, '{{}}'), "
        "(4, '{}')) AS v(n, t) WHERE n = ANY(%(ids)s)"
    )
    found = source.read(connection, keys(1, 2, 3, 4, 5))
    assert [one.key for one in found] == keys(1, 2, 3, 4, 5)
    bodies = [one.body for one in found if isinstance(one, Document)]
    assert bodies == [b"{}", b"{}", b"{}", None]
    [faulty] = [one for one in found if isinstance(one, Faulty)]
    assert reason in faulty.reason
    assert faulty.key == keys(2)[0]


def test_space_before_a_document_is_no_fault(connection: Connection, make: Make) -> None:
    """`json` keeps what the query wrote."""
    source = make("SELECT n AS id, ' {}'::json AS document FROM unnest(%(ids)s) AS n")
    assert source.read(connection, keys(7)) == [Document(("7",), "7", b" {}")]


def test_a_query_that_forgets_its_ids_is_refused(connection: Connection, make: Make) -> None:
    """It would return, and delete, what nobody asked for."""
    with pytest.raises(QueryFileError, match=r"does not use %\(ids\)s"):
        make("SELECT id, '{}' AS document FROM item")
    with pytest.raises(QueryFileError, match=r"unknown placeholder %\(keys\)s"):
        make("SELECT id, '{}' AS document FROM item WHERE id = ANY(%(keys)s)")
    source = make("SELECT id, '{}' AS document FROM item WHERE %(ids)s IS NOT NULL")
    with pytest.raises(QueryFileError, match="not asked for"):
        source.read(connection, keys(1))


COMPOSITE = """
SELECT json_build_array("A", "b c") AS id, json_build_object('a', "A") AS document
FROM unnest(%(ids_1)s, %(ids_2)s) AS k(a, b) JOIN "Part Of" ON "A" = a AND "b c" = b
"""


def composite(make: Make, **more: str) -> DocumentSource:
    """The source of a composite key with quoted names."""
    return make(COMPOSITE, types=("smallint", "text"), table="Part Of", key=("A", "b c"), **more)


def test_composite_keys_read_and_page(connection: Connection, make: Make) -> None:
    """The id is the JSON array as PostgreSQL spells it; pages come in the order of the key."""
    source = composite(make)
    pages: list[Key] = []
    after: Key | None = None
    while page := source.id_page(connection, after, 7):
        pages += page
        after = page[-1]
    assert len(pages) == len(set(pages)) == 30
    found = source.read(connection, [*pages, ("5", "nobody")])
    assert all(isinstance(one, Document) and one.body for one in found[:-1])
    assert found[-1] == Document(("5", "nobody"), '[5, "nobody"]', None)
    spelled = connection.execute(
        'SELECT json_build_array("A", "b c")::text FROM "Part Of"'
    ).fetchall()
    assert {one.id for one in found[:-1] if isinstance(one, Document)} == {
        row[0] for row in spelled
    }


@pytest.mark.parametrize("size", [1, 7, 30, 100])
def test_pages_go_by_the_key_not_by_its_text(connection: Connection, make: Make, size: int) -> None:
    """-3, -2, ..., 9, 10: as text they come in another order, and pages would skip rows."""
    connection.execute("INSERT INTO item SELECT n FROM generate_series(-30, 0) AS n")
    source = make(PLAIN)
    seen: list[Key] = []
    after: Key | None = None
    while page := source.id_page(connection, after, size):
        seen += page
        after = page[-1]
    assert seen == keys(*range(-30, 101))


def test_mapped_ids_come_in_pages(connection: Connection, make: Make) -> None:
    """A key of many documents is paged by keyset: each once, in order."""
    source = make(PLAIN, mapping="SELECT id FROM item, unnest(%(keys)s) AS k WHERE id >= k")
    seen: list[Key] = []
    after: str | None = None
    while True:
        page, after = source.mapped_page(connection, "w", keys(41, 61), after, 25)
        seen += page
        if after is None:
            break
    assert seen == keys(*range(41, 101))


def test_mapped_composite_ids_come_in_pages(connection: Connection, make: Make) -> None:
    """Also where the id is a JSON array, however the mapping spells it."""
    for spelling in (
        'json_build_array("A", "b c")',
        """'[' || "A" || ',' || to_json("b c") || ']'""",
    ):
        source = composite(
            make, mapping=f'SELECT {spelling} AS id FROM "Part Of" WHERE "A" = ANY(%(keys)s)'
        )
        seen: list[Key] = []
        after: str | None = None
        while True:
            page, after = source.mapped_page(connection, "w", keys(0, 1), after, 4)
            seen += page
            if after is None:
                break
        assert len(seen) == len(set(seen)) == 20


def test_ids_may_come_from_a_file(connection: Connection, make: Make) -> None:
    """Where ids are not the keys of one table."""
    source = make(
        PLAIN,
        ids="SELECT id FROM item WHERE (%(after)s IS NULL OR id > %(after)s) AND id <= 10 "
        "ORDER BY id LIMIT %(limit)s",
    )
    assert source.id_page(connection, None, 6) == keys(1, 2, 3, 4, 5, 6)
    assert source.id_page(connection, ("6",), 6) == keys(7, 8, 9, 10)
    assert source.id_page(connection, ("10",), 6) == []


LATE = """
    CREATE FUNCTION late(integer) RETURNS integer LANGUAGE plpgsql VOLATILE AS $$
    BEGIN
        PERFORM pg_advisory_lock_shared(7);
        PERFORM pg_advisory_unlock_shared(7);
        RETURN (SELECT divisor FROM item WHERE id = $1);
    END $$"""
WAITING = """
    SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7 AND NOT granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""


def test_functions_see_no_later_commit(
    postgres_server: object, database: str, connection: Connection, make: Make
) -> None:
    """What a volatile function returns was logged before the place that the read tells, too."""
    connection.execute(LATE.encode())
    source = make(
        "SELECT id, json_build_object('late', late(id)) AS document FROM item "
        "WHERE id = ANY(%(ids)s)"
    )
    connection.execute(files.load("documents/one_snapshot"))
    dsn = postgres_server.dsn(database)  # type: ignore[attr-defined]
    with psycopg.connect(dsn, autocommit=True) as other, ThreadPoolExecutor(1) as threads:
        other.execute("SET synchronous_commit = off")
        other.execute("SELECT pg_advisory_lock(7)")
        reading = threads.submit(source.read_through, connection, keys(1))
        try:
            until = time.monotonic() + 30
            while other.execute(WAITING).fetchone() == (0,):
                assert time.monotonic() < until, "the query does not call its function"
            other.execute("UPDATE item SET divisor = 99 WHERE id = 1")
        finally:
            other.execute("SELECT pg_advisory_unlock(7)")
        [found], _ = reading.result(30)
    assert isinstance(found, Document)
    assert found.body == b'{"late" : 1}'


def test_where_the_log_must_be(connection: Connection, make: Make) -> None:
    """Behind the commit that was read; nothing where all of that is on disk, though the read itself
    may log something."""
    source = make(PLAIN)
    connection.execute(files.load("documents/one_snapshot"))
    for commit in ("off", "on"):
        connection.execute(f"SET synchronous_commit = {commit}".encode())
        until = time.monotonic() + 30
        while True:  # the server itself may write or flush at any moment
            connection.execute("UPDATE item SET divisor = divisor + 1 WHERE id = 1")
            row = connection.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()
            _, unflushed = source.read_through(connection, keys(1))
            if unflushed is not None:
                assert row is not None
                behind = connection.execute(
                    "SELECT %s::pg_lsn >= %s::pg_lsn", (unflushed.lsn, row[0])
                ).fetchone()
                assert behind == (True,)
            if (unflushed is not None) == (commit == "off"):
                break
            assert time.monotonic() < until, f"{commit}: {unflushed}"


def test_one_key_or_many(connection: Connection, make: Make) -> None:
    """A statement of its own for one key, single or composite, returns the same."""
    single, composite = (
        make(PLAIN),
        make(
            """
            SELECT json_build_array("A", "b c") AS id, json_build_object('b', "b c") AS document
            FROM "Part Of" WHERE ("A", "b c") IN (SELECT * FROM unnest(%(ids_1)s, %(ids_2)s))
            """,
            types=("smallint", "text"),
            table="Part Of",
            key=("A", "b c"),
        ),
    )
    both = single.read(connection, keys(1, 999))
    assert both == [*single.read(connection, keys(1)), *single.read(connection, keys(999))]
    pair: list[Key] = [("1", 'x"1'), ("2", "nobody")]
    found = composite.read(connection, pair)
    assert [one.body is None for one in found if isinstance(one, Document)] == [False, True]
    assert found == [one for key in pair for one in composite.read(connection, [key])]


@pytest.mark.parametrize(
    "texts",
    [
        ["1", "-2", "0"],
        ["120a21cf-9097-479e-904a-13dd7198c1dd"],
        ["a,b", "c"],
        ["a", "", "b"],
        [""],
        [],
        ["null", "NULL"],
        ["{a}", "1"],
        ['"', "\\"],
        ["1", " 2 "],
        ["a\n"],
        ["a\n", "b"],
        ["\u0660", "é"],
    ],
)
def test_keys_reach_the_query_as_they_are(connection: Connection, texts: list[str]) -> None:
    """Whatever is in them: short cuts for plain ones must not read others as their syntax."""
    given = arrays("ids", [(text,) for text in texts], ["text"])
    for prepare in (False, True):
        row = connection.execute("SELECT %(ids)s::text[]", given, prepare=prepare).fetchone()
        assert row == (texts,)


RAISES: LiteralString = """
    CREATE FUNCTION checked(n integer, state text) RETURNS integer LANGUAGE plpgsql AS $$
    BEGIN
        IF n = 7 OR (SELECT all_fail FROM switch) THEN
            IF state = '42' THEN PERFORM no_such_table.x FROM no_such_table; END IF;
            RAISE EXCEPTION 'not this one' USING ERRCODE = state;
        END IF;
        RETURN n;
    END $$;
    CREATE TABLE switch (all_fail boolean);
    INSERT INTO switch VALUES (false);
"""


@pytest.mark.parametrize("state", ["MY001", "F0001", "23514", "38000", "39000", "XX000", "42"])
@pytest.mark.parametrize("alone", [True, False])
def test_any_fault_of_one_row(connection: Connection, make: Make, state: str, alone: bool) -> None:
    """A function of the user's raises what it likes: a row that fails while another one succeeds is
    put aside. Where every row fails, nobody is."""
    connection.execute(RAISES)
    source = make(
        "SELECT id, json_build_object('n', checked(id, %s)) AS document FROM item "
        "WHERE id = ANY (%%(ids)s)".replace("%s", f"'{state}'").replace("%%", "%")
    )
    wanted = keys(7) if alone else keys(*range(1, 101))
    found = source.read(connection, wanted)
    [faulty] = [one for one in found if isinstance(one, Faulty)]
    assert faulty.key == ("7",)
    assert "SQLSTATE" in faulty.reason
    assert len(found) == len(wanted)
    assert source.existing(connection, wanted) == set(wanted)
    connection.execute("UPDATE switch SET all_fail = true")
    with pytest.raises(psycopg.Error):
        source.read(connection, wanted)
    connection.execute("UPDATE switch SET all_fail = false; DELETE FROM item WHERE id <> 7")
    [faulty] = [one for one in source.read(connection, keys(7)) if isinstance(one, Faulty)]


PASSES: LiteralString = """
    CREATE SEQUENCE attempts;
    CREATE FUNCTION checked(n integer) RETURNS integer LANGUAGE plpgsql AS $$
    BEGIN
        IF n = 7 AND nextval('attempts') = 1 THEN
            RAISE EXCEPTION 'not yet' USING ERRCODE = 'MY001';
        END IF;
        RETURN n;
    END $$;
"""


def test_a_fault_that_ends_before_another_row_succeeds(connection: Connection, make: Make) -> None:
    """It is nobody's own: a column that was gone is there again, say. The row is made then."""
    connection.execute(PASSES)
    source = make(
        "SELECT id, json_build_object('n', checked(id)) AS document FROM item "
        "WHERE id = ANY (%(ids)s)",
        mapping="SELECT checked(k) AS id FROM unnest(%(keys)s) AS k",
    )
    [found] = source.read(connection, keys(7))
    assert isinstance(found, Document)
    assert found.body is not None
    connection.execute("SELECT setval('attempts', 1, false)")
    task = MappedTask(0, source, "w", keys(7), job=Job())
    with pytest.raises(psycopg.Error, match="not yet"):  # held, and tried again
        task.next_page(connection, 100)
    assert task.next_page(connection, 100)[0] == keys(7)
    assert task.failed == []


def test_other_rows_are_looked_for_in_the_whole_table(connection: Connection, make: Make) -> None:
    """That the first rows are no documents, or fail too, says nothing of the others."""
    connection.execute(RAISES)
    connection.execute("INSERT INTO item SELECT generate_series(101, 1000)")
    source = make(
        "SELECT id, json_build_object('n', checked(id, 'MY001')) AS document FROM item "
        "WHERE id = ANY (%(ids)s) AND (id > 600 OR id = 7)"
    )
    connection.execute("UPDATE switch SET all_fail = true")
    for some in (keys(7), keys(7, 650, 700)):  # there are others, and they fail as well
        with pytest.raises(psycopg.Error, match="not this one"):
            source.read(connection, some)
    connection.execute("UPDATE switch SET all_fail = false")
    [faulty] = source.read(connection, keys(7))
    assert isinstance(faulty, Faulty)
    # a new process, and the rows with the lowest ids are those that fail
    connection.execute(
        "CREATE OR REPLACE FUNCTION checked(n integer, state text) RETURNS integer "
        "LANGUAGE plpgsql AS $$ BEGIN "
        "IF n <= 100 THEN RAISE EXCEPTION 'low' USING ERRCODE = state; END IF; RETURN n; END $$"
    )
    source = make(
        "SELECT id, json_build_object('n', checked(id, 'MY001')) AS document FROM item "
        "WHERE id = ANY (%(ids)s)"
    )
    found = source.read(connection, keys(*range(90, 110)))
    assert sum(isinstance(one, Faulty) for one in found) == 11


@pytest.mark.parametrize("state", ["08006", "40001", "42501", "53100", "55P03", "57P01", "58030"])
def test_faults_that_are_no_row_s(connection: Connection, make: Make, state: str) -> None:
    """Whoever else succeeds: the server says something of itself."""
    connection.execute(RAISES)
    source = make(
        f"SELECT id, json_build_object('n', checked(id, '{state}')) AS document FROM item "
        "WHERE id = ANY (%(ids)s)"
    )
    with pytest.raises(psycopg.Error) as caught:
        source.read(connection, keys(*range(1, 20)))
    assert describe(caught.value).endswith("query.sql of test, document 7")


@pytest.mark.parametrize("state", ["08006", "25006", "28000", "3D000", "40001", "42501", "55P03"])
def test_which_key_a_mapping_fails_for(connection: Connection, make: Make, state: str) -> None:
    """All waits for it, and nothing else tells where to look."""
    connection.execute(RAISES)
    source = make(PLAIN, mapping=f"SELECT checked(k, '{state}') AS id FROM unnest(%(keys)s) AS k")
    for some in (keys(7), keys(*range(1, 20))):
        with pytest.raises(psycopg.Error) as caught:
            MappedTask(0, source, "w", some, job=Job()).next_page(connection, 100)
        assert describe(caught.value).endswith("mapping.sql of test, key 7 of w")


def test_which_file_a_page_of_ids_fails_in(connection: Connection, make: Make) -> None:
    """A page has no keys: index and file are all that there is to tell."""
    connection.execute(RAISES)
    ids = (
        "SELECT checked(id, '40001') AS id FROM item WHERE id > coalesce(%(after)s, 0) "
        "ORDER BY 1 LIMIT %(limit)s"
    )
    with pytest.raises(psycopg.Error) as caught:
        make(PLAIN, ids=ids).id_page(connection, None, 10)
    assert describe(caught.value).endswith("ids.sql of test")


def test_a_table_that_is_gone_costs_no_search(connection: Connection, make: Make) -> None:
    """A batch of a thousand is not bisected for what fails for everybody."""
    source = make("SELECT id, '{}' AS document FROM item WHERE id = ANY (%(ids)s)")
    source.read(connection, keys(1))
    connection.execute("ALTER TABLE item RENAME TO elsewhere; CREATE TABLE item (id integer)")
    connection.execute("ALTER TABLE item RENAME id TO other")
    with pytest.raises(psycopg.errors.UndefinedColumn):
        source.read(connection, keys(*range(1, 1000)))


def test_a_mapping_that_raises(connection: Connection, make: Make) -> None:
    """As of the query: the key that fails is found, and a mapping that is broken is not a key's."""
    connection.execute(RAISES)
    source = make(
        "SELECT id, '{}' AS document FROM item WHERE id = ANY (%(ids)s)",
        mapping="SELECT checked(k, 'MY001') AS id FROM unnest(%(keys)s) AS k",
    )
    task = MappedTask(0, source, "w", keys(*range(1, 11)), job=Job())
    page, more = task.next_page(connection, 100)
    assert not more
    assert ("7",) not in page
    assert len(page) == 9
    assert [key for key, _ in task.failed] == [("7",)]
    connection.execute("UPDATE switch SET all_fail = true")
    with pytest.raises(psycopg.Error):
        MappedTask(0, source, "w", keys(1, 2), job=Job()).next_page(connection, 100)
