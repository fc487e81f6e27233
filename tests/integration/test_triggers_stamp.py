"""The stamp: forced transaction id, last in order, and `columns`, which leave it alone."""

from __future__ import annotations

import re

import pytest
from psycopg import sql

from listener.capture import watermark
from listener.changes import Watch
from tests.kit.triggers import Bench

_PROBE = """
CREATE FUNCTION probe() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF pg_current_xact_id_if_assigned() IS NULL THEN RAISE 'stamped without a transaction id'; END IF;
  RETURN NEW;
END $$;
"""


@pytest.fixture
def stamped(bench: Bench) -> Bench:
    """One stamped table."""
    bench.run("CREATE TABLE t (id integer PRIMARY KEY, a text, b text, updated_at timestamptz)")
    bench.install(Watch("public", "t", ("id",), "updated_at"))
    return bench


def test_the_transaction_id_is_forced(stamped: Bench) -> None:
    """A stamp without an id may be older than the watermark when it is committed at last.

    The probe fires after the stamp, before PostgreSQL writes the row and needs an id by itself.
    """
    stamped.run(
        _PROBE + 'CREATE TRIGGER "~~probe" BEFORE INSERT OR UPDATE ON t FOR EACH ROW '
        "EXECUTE FUNCTION probe()"
    )
    stamped.run("INSERT INTO t VALUES (1)")
    stamped.run("BEGIN; SAVEPOINT a; SAVEPOINT b; UPDATE t SET a = 'x'; RELEASE a; COMMIT")


def test_a_stamp_is_never_older_than_the_proof_says(stamped: Bench) -> None:
    """A writer that forced its id in a savepoint after t: its stamp is after t as well."""
    writer = stamped.connect()
    writer.execute("BEGIN")
    writer.execute("SELECT now()")
    drawn = watermark.draw(stamped.admin)
    assert watermark.passed(stamped.admin, drawn), "no id yet: nothing can be stamped before t"
    stamped.run("SAVEPOINT s; INSERT INTO t VALUES (1, 'x', 'y', '2000-01-01'); COMMIT", writer)
    row = stamped.admin.execute("SELECT updated_at FROM t").fetchone()
    assert row is not None
    assert row[0] >= drawn.at


def test_the_id_comes_before_the_clock(bench: Bench) -> None:
    """In every function: microseconds that no test by running could see."""
    bench.run("CREATE TABLE s (id integer, u timestamptz); CREATE TABLE j (id integer)")
    bench.install(
        Watch("public", "s", ("id",), "u"),
        Watch("public", "j", ("id",)),
    )
    found = bench.admin.execute(
        "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'listener'::regnamespace"
    ).fetchall()
    assert len(found) == 9
    for name, body in found:
        stamps = body
        for other in (
            # the moment that is counted where the journal is out of order
            "to_char(pg_catalog.timezone('UTC', pg_catalog.clock_timestamp())",
            "' (transaction ', pg_catalog.pg_current_xact_id()",
        ):
            stamps = stamps.replace(other, "")
        calls = re.findall(r"pg_current_xact_id|clock_timestamp|\bnow\(", stamps)
        assert calls, name
        assert calls == ["pg_current_xact_id", "clock_timestamp"] * (len(calls) // 2), name


def test_the_types_in_a_body(bench: Bench) -> None:
    """In one line of a comment, and no library's way to show a value: bodies stay as they are."""
    odd = ('it\'s "5"\\', "x\n; y\r{z}\u2028\x01")
    names = [sql.Identifier(one) for one in odd]
    bench.admin.execute(
        sql.SQL("CREATE TABLE t ({} integer, {} text, u timestamptz)").format(*names)
    )
    bench.install(Watch("public", "t", odd, "u", notify="off"))
    body = bench.value("SELECT prosrc FROM pg_proc WHERE proname LIKE 'listener%stamp'")
    assert body.splitlines()[-1] == '-- types: it\'s "5"\\ 23, x ; y {z} \x01 25'
    bench.run("INSERT INTO t VALUES (1, 'a')")
    assert bench.told("UPDATE t SET u = NULL").journaled() == set()
    assert bench.value("SELECT u IS NOT NULL FROM t")


def test_every_row_has_a_stamp_of_its_own(stamped: Bench) -> None:
    """The clock's, not the transaction's; what the application wrote is overwritten."""
    stamped.run(
        "BEGIN; INSERT INTO t SELECT n, 'x', 'y', 'infinity' FROM generate_series(1, 1000) AS n"
    )
    assert stamped.value("SELECT count(DISTINCT updated_at) > 100 FROM t")
    assert stamped.value("SELECT min(updated_at) > now() FROM t")
    assert stamped.value("SELECT max(updated_at) <= clock_timestamp() FROM t")
    stamped.run("UPDATE t SET updated_at = NULL; COMMIT")
    assert stamped.value("SELECT count(updated_at) FROM t") == 1000


def test_our_stamp_is_the_last(stamped: Bench) -> None:
    """Whatever the usual triggers for updated_at write, in ASCII no name sorts after ours."""
    stamped.run(
        "CREATE FUNCTION old() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN NEW.updated_at := '2000-01-01'; RETURN NEW; END $$;"
        "CREATE TRIGGER zzz BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION old();"
        'CREATE TRIGGER "}" BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION old();'
        "INSERT INTO t VALUES (1)"
    )
    assert stamped.value("SELECT updated_at > '2001-01-01' FROM t")
    assert stamped.status() == ()
    stamped.run(
        'CREATE TRIGGER "ÿ" BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION old();'
        "UPDATE t SET a = 'x'"
    )
    assert stamped.value("SELECT updated_at < '2001-01-01' FROM t"), "only such a name does"
    assert len(stamped.status()) == 1
    assert "public.t: trigger ÿ fires after our stamp" in stamped.status()[0]


def test_timestamp_without_time_zone_is_kept_in_utc(bench: Bench) -> None:
    """Whatever the writer's session says."""
    bench.run("CREATE TABLE t (id integer, changed timestamp)")
    bench.install(Watch("public", "t", ("id",), "changed"))
    writer = bench.connect()
    writer.execute("SET TimeZone = 'Asia/Tokyo'")
    bench.run("INSERT INTO t VALUES (1)", writer)
    assert bench.value(
        "SELECT abs(extract(epoch FROM clock_timestamp() AT TIME ZONE 'UTC' - changed)) < 60 FROM t"
    )


def test_a_missing_column_is_added_with_an_index(bench: Bench) -> None:
    """Without a rewrite: rows that are there have the moment of the installation."""
    bench.run("CREATE TABLE t (id integer); INSERT INTO t VALUES (1)")
    node = bench.value("SELECT pg_relation_filenode('t')")
    bench.install(Watch("public", "t", ("id",), "changed"))
    assert bench.value("SELECT pg_relation_filenode('t')") == node
    assert bench.value("SELECT changed IS NOT NULL FROM t")
    assert (
        bench.value("SELECT count(*) FROM pg_index WHERE indrelid = 't'::regclass AND indisvalid")
        == 1
    )


# -- columns -------------------------------------------------------------------------------------


@pytest.fixture
def selective(bench: Bench) -> Bench:
    """Tables of which only some columns count, stamped and polled by the journal."""
    bench.run(
        "CREATE TABLE s (id integer PRIMARY KEY, film integer, a text, b text,"
        "  updated_at timestamptz);"
        "CREATE TABLE j (id integer PRIMARY KEY, film integer, a text, b text);"
    )
    bench.install(
        Watch("public", "s", ("film",), "updated_at", ("a",)),
        Watch("public", "j", ("film",), None, ("a",)),
    )
    bench.told(
        "INSERT INTO s VALUES (1, 1, 'x', 'y'), (2, 2, 'x', 'y');"
        "INSERT INTO j VALUES (1, 1, 'x', 'y'), (2, 2, 'x', 'y')"
    )
    return bench


@pytest.mark.parametrize("table", ["s", "j"])
def test_other_columns_tell_nothing(selective: Bench, table: str) -> None:
    """Neither a value that stays nor a column that is not listed."""
    told = selective.told(f"UPDATE {table} SET b = 'new', a = a")
    assert (told.payloads, told.journal) == ((), ())
    assert selective.told(f"UPDATE {table} SET a = 'new' WHERE id = 1").sent() == {("1",)}
    assert selective.told(f"UPDATE {table} SET a = NULL WHERE id = 2").sent() == {("2",)}
    assert selective.told(f"UPDATE {table} SET a = NULL WHERE id = 2").payloads == ()
    assert selective.told(f"INSERT INTO {table} VALUES (3, 3)").sent() == {("3",)}
    assert selective.told(f"DELETE FROM {table} WHERE id = 1").journaled() == {("1",)}


def test_an_unchanged_row_keeps_its_stamp(selective: Bench) -> None:
    """A new one would index it; an older one, from the application, would hide a change."""
    stamp = selective.value("SELECT updated_at FROM s WHERE id = 1")
    selective.run("UPDATE s SET b = 'new', updated_at = '2000-01-01' WHERE id = 1")
    assert selective.value("SELECT updated_at FROM s WHERE id = 1") == stamp
    selective.run("UPDATE s SET b = 'newer', updated_at = 'infinity' WHERE id = 1")
    assert selective.value("SELECT updated_at FROM s WHERE id = 1") == stamp
    selective.run("UPDATE s SET a = 'new', updated_at = '2000-01-01' WHERE id = 1")
    assert selective.value("SELECT updated_at FROM s WHERE id = 1") > stamp


@pytest.mark.parametrize("table", ["s", "j"])
def test_a_moved_key_always_counts(selective: Bench, table: str) -> None:
    """The old key is journaled, even where another row carries it that was not stamped."""
    selective.told(f"INSERT INTO {table} VALUES (3, 1, 'x', 'y')")
    told = selective.told(f"UPDATE {table} SET b = 'n', film = CASE id WHEN 1 THEN 9 ELSE film END")
    assert told.sent() == {("1",), ("9",)}
    assert ("1",) in told.journaled()


@pytest.mark.parametrize("table", ["s", "j"])
def test_rows_that_swap_their_keys_are_no_equal_sets(selective: Bench, table: str) -> None:
    """Same contents, same keys, but each row belongs to another document now."""
    told = selective.told(f"UPDATE {table} SET film = 3 - film")
    assert told.sent() == {("1",), ("2",)}


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        ("numeric", "1.0", "1.00"),
        ("json", "{}", "{ }"),
        ("float8", "0.1", "0.10000000000000002"),
        ("float8", "0.0", "-0.0"),
        ("float4", "16777216", "16777218"),
        ("timestamptz", "2014-10-26 00:30:00+04", "2014-10-26 00:30:00+03"),
        ("interval", "1 mon", "30 days"),
        ("char(5)", "a", "b"),
        ("bytea", "\\x00", "\\x01"),
        ("text[]", "{a,b}", '{"a,b"}'),
        ("point", "(1,2)", "(1,2.0000000000000004)"),
    ],
)
def test_every_change_of_content_is_seen(bench: Bench, kind: str, before: str, after: str) -> None:
    """Values that compare equal, types without equality, and settings that print less."""
    bench.run(
        f"CREATE TABLE s (id integer, v {kind}, updated_at timestamptz);"
        f"CREATE TABLE j (id integer, v {kind})"
    )
    bench.install(
        Watch("public", "s", ("id",), "updated_at", ("v",)),
        Watch("public", "j", ("id",), None, ("v",)),
    )
    writer = bench.connect()
    writer.execute(
        "SET extra_float_digits = -15; SET DateStyle = 'SQL, DMY'; SET TimeZone = 'Europe/Moscow';"
        "SET IntervalStyle = 'sql_standard'; SET search_path = public"
    )
    for table in ("s", "j"):
        bench.told(f"INSERT INTO {table} VALUES (1, $${before}$$)", writer)
        if table == "s":
            bench.run("UPDATE s SET v = v", writer)
            stamp = bench.value("SELECT updated_at FROM s")
        told = bench.told(f"UPDATE {table} SET v = $${after}$$", writer)
        assert told.sent() == {("1",)}
        if table == "s":
            assert bench.value("SELECT updated_at FROM s") > stamp
        assert bench.told(f"UPDATE {table} SET v = v", writer).payloads == ()


def test_large_values_are_compared_too(bench: Bench) -> None:
    """Values out of line (TOAST)."""
    bench.run("CREATE TABLE t (id integer, v text, w text, updated_at timestamptz)")
    bench.run("ALTER TABLE t ALTER v SET STORAGE EXTERNAL")
    bench.install(Watch("public", "t", ("id",), "updated_at", ("v",)))
    bench.told("INSERT INTO t VALUES (1, repeat('x', 100000))")
    stamp = bench.value("SELECT updated_at FROM t")
    assert bench.told("UPDATE t SET w = 'y'").payloads == ()
    assert bench.value("SELECT updated_at FROM t") == stamp
    assert bench.told("UPDATE t SET v = repeat('x', 99999) || 'y'").sent() == {("1",)}


def test_two_watches_of_one_table_share_the_stamp(bench: Bench) -> None:
    """It is renewed if any of them may have changed; without `columns` in one: always."""
    bench.run(
        "CREATE TABLE t (id integer PRIMARY KEY, film integer, a text, b text, u timestamptz)"
    )
    one = Watch("public", "t", ("id",), "u", ("a",))
    bench.install(one, Watch("public", "t", ("film",), "u", ("b",)))
    bench.told("INSERT INTO t VALUES (1, 2, 'a', 'b')")
    stamp = bench.value("SELECT u FROM t")
    told = bench.told("UPDATE t SET b = 'c'")
    assert [(change.watch, change.keys) for change in told.changes] == [
        ("public.t(film)", (("2",),))
    ]
    assert bench.value("SELECT u FROM t") > stamp
    bench.install(one, Watch("public", "t", ("film",), "u"))
    stamp = bench.value("SELECT u FROM t")
    bench.run("UPDATE t SET a = a")
    assert bench.value("SELECT u FROM t") > stamp
