"""Which statements tell what: every way to write a table, stamped or polled by the journal."""

from __future__ import annotations

import re

import pytest

from listener.changes import Watch
from listener.config import Notify
from tests.kit.triggers import Bench

_TABLES = """
CREATE TABLE film (id integer PRIMARY KEY, title text, updated_at timestamptz);
CREATE TABLE link (
    id integer PRIMARY KEY, film integer REFERENCES film ON DELETE SET NULL ON UPDATE CASCADE,
    role text
);
"""
FILM = Watch("public", "film", ("id",), "updated_at")
LINK = Watch("public", "link", ("film",))


def keys(*numbers: int | str) -> set[tuple[str, ...]]:
    """Single-column keys."""
    return {(str(number),) for number in numbers}


@pytest.fixture
def films(bench: Bench) -> Bench:
    """Three films, stamped, and two links, polled by the journal."""
    bench.run(_TABLES)
    bench.install(FILM, LINK)
    bench.told(
        "INSERT INTO film VALUES (1, 'a'), (2, 'b'), (3, 'c');"
        "INSERT INTO link VALUES (10, 1, 'x'), (11, 2, 'y')"
    )
    return bench


def test_insert(films: Bench) -> None:
    """A stamped table tells by NOTIFY and is polled; the other one is in the journal as well."""
    told = films.told("INSERT INTO film VALUES (4, 'd'), (5, 'e')")
    assert (told.sent(), told.journaled()) == (keys(4, 5), set())
    told = films.told("INSERT INTO link VALUES (12, 4, 'z')")
    assert (told.sent(), told.journaled()) == (keys(4), keys(4))


def test_update_that_keeps_the_keys(films: Bench) -> None:
    """Nothing that polling would not see: the journal of a stamped table stays empty."""
    told = films.told("UPDATE film SET title = 'new' WHERE id < 3")
    assert (told.sent(), told.journaled()) == (keys(1, 2), set())


def test_delete_is_journaled(films: Bench) -> None:
    """Polling never sees a deleted row."""
    told = films.told("DELETE FROM film WHERE id = 3")
    assert (told.sent(), told.journaled()) == (keys(3), keys(3))


def test_a_link_that_moves_concerns_both_parents(films: Bench) -> None:
    """OLD and NEW keys: both parents' documents change."""
    told = films.told("UPDATE link SET film = 3 WHERE id = 10")
    assert (told.sent(), told.journaled()) == (keys(1, 3), keys(1, 3))


def test_a_stamped_row_that_moves_leaves_its_old_key_in_the_journal(films: Bench) -> None:
    """Polling sees the new key only."""
    told = films.told("UPDATE film SET id = 9 WHERE id = 3")
    assert (told.sent(), told.journaled()) == (keys(3, 9), keys(3))


def test_keys_swapped_in_one_statement_are_both_stamped(films: Bench) -> None:
    """Each OLD key is carried by a stamped NEW row, so polling sees both."""
    films.run(
        "ALTER TABLE film DROP CONSTRAINT film_pkey CASCADE;"
        "ALTER TABLE film ADD PRIMARY KEY (id) DEFERRABLE"
    )
    films.install()
    told = films.told("UPDATE film SET id = 3 - id WHERE id < 3")
    assert (told.sent(), told.journaled()) == (keys(1, 2), set())


def test_keys_shifted_in_one_statement(films: Bench) -> None:
    """Only the key that no NEW row carries is journaled."""
    films.run("ALTER TABLE film DROP CONSTRAINT film_pkey CASCADE")
    films.install()
    told = films.told("UPDATE film SET id = id + 1")
    assert (told.sent(), told.journaled()) == (keys(1, 2, 3, 4), keys(1))


@pytest.mark.parametrize("kind", ["integer", "text"])
@pytest.mark.parametrize("updated_at", ["updated_at", None])
def test_one_key_moves_in_a_large_statement(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, kind: str, updated_at: str | None
) -> None:
    """Beyond the rows of which keys are compared one by one: the search finds it all the same."""
    monkeypatch.setattr("listener.triggers.keys._ARRAY", 5)
    bench.run(f"CREATE TABLE t (id {kind} PRIMARY KEY, updated_at timestamptz)")
    bench.install(Watch("public", "t", ("id",), updated_at))
    for rows in (4, 5, 6, 7, 20):
        bench.run("TRUNCATE t")
        bench.told(f"INSERT INTO t SELECT n FROM generate_series(1, {rows}) AS n")
        told = bench.told(f"UPDATE t SET id = CASE id WHEN '{rows}' THEN '99' ELSE id END")
        assert told.sent() == keys(*range(1, rows + 1), 99)
        assert told.journaled() == (keys(rows) if updated_at else told.sent())


def test_statements_without_rows_tell_nothing(films: Bench) -> None:
    """Statement triggers fire all the same."""
    told = films.told(
        "UPDATE film SET title = 'x' WHERE false; DELETE FROM link WHERE false;"
        "INSERT INTO film SELECT * FROM film WHERE false"
    )
    assert (told.payloads, told.journal) == ((), ())


def test_null_keys_are_dropped(films: Bench) -> None:
    """A link to nothing belongs to no document."""
    told = films.told(
        "INSERT INTO link VALUES (20, NULL, 'x'); UPDATE link SET role = 'y' WHERE id = 20"
    )
    assert (told.payloads, told.journal) == ((), ())
    told = films.told("UPDATE link SET film = NULL WHERE id = 10")
    assert (told.sent(), told.journaled()) == (keys(1), keys(1))


def test_a_composite_key_with_a_null_part_is_dropped(bench: Bench) -> None:
    """Such a row belongs to no document either."""
    bench.run("CREATE TABLE t (a integer, b text)")
    bench.install(Watch("public", "t", ("a", "b")))
    told = bench.told("INSERT INTO t VALUES (1, NULL), (NULL, 'x'), (NULL, NULL), (1, 'x')")
    assert told.sent() == {("1", "x")}


def test_on_conflict_fires_update_and_insert(films: Bench) -> None:
    """Each with its own rows."""
    told = films.told(
        "INSERT INTO film VALUES (3, 'new'), (4, 'd') "
        "ON CONFLICT (id) DO UPDATE SET title = excluded.title"
    )
    assert told.sent() == keys(3, 4)
    told = films.told("INSERT INTO film VALUES (3, 'newer') ON CONFLICT DO NOTHING")
    assert told.payloads == ()


def test_merge_fires_all_three(films: Bench) -> None:
    """Each with its own rows."""
    if films.version < 15:
        pytest.skip("MERGE came with PostgreSQL 15")
    told = films.told(
        "MERGE INTO film USING (VALUES (1), (3), (7)) AS s (id) ON film.id = s.id "
        "WHEN MATCHED AND s.id = 3 THEN DELETE "
        "WHEN MATCHED THEN UPDATE SET title = 'merged' "
        "WHEN NOT MATCHED THEN INSERT VALUES (s.id, 'seven')"
    )
    assert (told.sent(), told.journaled()) == (keys(1, 3, 7), keys(3))


def test_writable_cte(films: Bench) -> None:
    """Every table and event of it."""
    told = films.told(
        "WITH gone AS (DELETE FROM link WHERE id = 10 RETURNING film), "
        "made AS (INSERT INTO film VALUES (8, 'eight') RETURNING id) "
        "UPDATE film SET title = 'left' FROM gone WHERE film.id = gone.film"
    )
    by_watch = {
        change.watch: set(change.keys) for change in told.changes if change.watch == LINK.id
    }
    assert by_watch == {LINK.id: keys(1)}
    assert {key for one in told.changes if one.watch == FILM.id for key in one.keys} == keys(1, 8)


def test_foreign_key_cascades(films: Bench) -> None:
    """The referencing rows change in a statement of PostgreSQL's own, which fires triggers too."""
    told = films.told("DELETE FROM film WHERE id = 1")
    assert {(one.watch, one.keys) for one in told.changes} == {
        (FILM.id, (("1",),)),
        (LINK.id, (("1",),)),
    }
    told = films.told("UPDATE film SET id = 200 WHERE id = 2")
    assert {key for one in told.changes if one.watch == LINK.id for key in one.keys} == keys(2, 200)


def test_copy(films: Bench) -> None:
    """COPY is one INSERT statement."""

    def copy() -> None:
        with films.admin.cursor().copy("COPY film (id, title) FROM STDIN") as stream:
            stream.write("41\ta\n42\tb\n")

    assert films.told(copy).sent() == keys(41, 42)


def test_truncate_has_no_keys(films: Bench) -> None:
    """Everything is to be compared: one row and one notification for each watch."""
    told = films.told("TRUNCATE film CASCADE")
    assert {(one.watch, one.kind) for one in told.changes} == {
        (FILM.id, "reconcile"),
        (LINK.id, "reconcile"),
    }
    assert {(one.watch, one.kind, one.reason) for one in told.journal} == {
        (FILM.id, "reconcile", "TRUNCATE"),
        (LINK.id, "reconcile", "TRUNCATE"),
    }


def test_rollback_tells_nothing(films: Bench) -> None:
    """Neither the whole transaction nor a part of it."""
    told = films.told("BEGIN; DELETE FROM film WHERE id = 3; ROLLBACK")
    assert (told.payloads, told.journal) == ((), ())
    told = films.told(
        "BEGIN; SAVEPOINT s; DELETE FROM film WHERE id = 3; ROLLBACK TO s;"
        "UPDATE film SET title = 'kept' WHERE id = 2; COMMIT"
    )
    assert (told.sent(), told.journaled()) == (keys(2), set())


def test_replication_role_replica_is_no_way_around(films: Bench) -> None:
    """Bulk loaders and replication tools set it: all of ours are ENABLE ALWAYS."""
    conn = films.connect()
    conn.execute("SET session_replication_role = replica")
    told = films.told(
        "INSERT INTO film VALUES (4, 'd', '2000-01-01'); UPDATE link SET film = 3 WHERE id = 10;"
        "DELETE FROM film WHERE id = 2",
        conn,
    )
    assert {key for one in told.changes for key in one.keys} == keys(1, 2, 3, 4)
    assert films.value("SELECT updated_at > now() - interval '1 hour' FROM film WHERE id = 4")
    told = films.told("TRUNCATE film, link", conn)
    assert set(told.kinds()) == {"reconcile"}


@pytest.mark.parametrize("updated_at", ["updated_at", None])
def test_partitions(bench: Bench, updated_at: str | None) -> None:
    """Through the root, straight into a partition at any depth, and from one to another."""
    bench.run(
        "CREATE TABLE p (id integer NOT NULL, part integer NOT NULL, updated_at timestamptz, "
        "  PRIMARY KEY (id, part)) PARTITION BY LIST (part);"
        "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);"
        "CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2, 3) PARTITION BY LIST (part);"
        "CREATE TABLE p2a (updated_at timestamptz, part integer NOT NULL, id integer NOT NULL);"
        "ALTER TABLE p2 ATTACH PARTITION p2a FOR VALUES IN (2)"
    )
    watch = Watch("public", "p", ("id",), updated_at)
    bench.install(watch)
    old = bench.value("SELECT clock_timestamp()")
    assert bench.told("INSERT INTO p VALUES (1, 1), (2, 2)").sent() == keys(1, 2)
    assert bench.told("INSERT INTO p1 VALUES (3, 1)").sent() == keys(3)
    assert bench.told("INSERT INTO p2a (id, part) VALUES (4, 2)").sent() == keys(4)
    assert bench.told("INSERT INTO p2 VALUES (5, 2)").sent() == keys(5)
    if updated_at is not None:
        rows = bench.admin.execute("SELECT count(*) FROM p WHERE updated_at > %s", [old])
        assert rows.fetchone() == (5,), "each partition stamps"
    told = bench.told("UPDATE p SET part = 2 WHERE id = 1")
    assert {key for one in told.changes for key in one.keys} == keys(1)
    told = bench.told("DELETE FROM p2a WHERE id = 4")
    assert (told.sent(), told.journaled()) == (keys(4), keys(4))
    told = bench.told("UPDATE p2a SET id = 6 WHERE id = 5")
    assert told.sent() == keys(5, 6)
    assert {one.watch for one in told.changes} == {watch.id}
    assert set(bench.told("TRUNCATE p2a").kinds()) == {"reconcile"}


def test_a_partition_made_later_is_stamped_at_once(bench: Bench) -> None:
    """PostgreSQL clones row triggers, enabled as they are; the statement triggers are installed."""
    bench.run(
        "CREATE TABLE p (id integer, updated_at timestamptz) PARTITION BY LIST (id);"
        "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)"
    )
    bench.install(Watch("public", "p", ("id",), "updated_at"))
    bench.run("CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2)")
    conn = bench.connect()
    conn.execute("SET session_replication_role = replica")
    bench.run("INSERT INTO p2 VALUES (2)", conn)
    assert bench.value("SELECT updated_at IS NOT NULL FROM p2")
    assert any("p2: trigger" in line and "missing" in line for line in bench.status())
    bench.told(bench.install)
    assert bench.told("DELETE FROM p2").sent() == keys(2)


def test_inheritance_children(bench: Bench) -> None:
    """Rows of children belong to the parent, whatever way they are written."""
    bench.run(
        "CREATE TABLE parent (id integer, updated_at timestamptz);"
        "CREATE TABLE child (extra text) INHERITS (parent);"
        "CREATE TABLE grandchild () INHERITS (child)"
    )
    watch = Watch("public", "parent", ("id",), "updated_at")
    bench.install(watch)
    assert bench.told("INSERT INTO grandchild (id) VALUES (1)").sent() == keys(1)
    assert bench.told("UPDATE parent SET id = 2").sent() == keys(1, 2)
    assert bench.value("SELECT updated_at IS NOT NULL FROM grandchild")
    told = bench.told("DELETE FROM child")
    assert (told.sent(), told.journaled()) == (keys(2), keys(2))


def test_two_keys_of_one_table(films: Bench) -> None:
    """Each watch tells its own keys."""
    other = Watch("public", "link", ("id",))
    films.install(FILM, LINK, other)
    told = films.told("UPDATE link SET role = 'q' WHERE id = 10")
    assert {(one.watch, one.keys) for one in told.changes} == {
        (LINK.id, (("1",),)),
        (other.id, (("10",),)),
    }


def test_names_need_no_care(bench: Bench) -> None:
    """Quotes, case, spaces, percent signs and braces, in schema, table and columns."""
    bench.run(
        'CREATE SCHEMA "S ""%s";'
        'CREATE TABLE "S ""%s"."T\'{}\n$listener$" '
        '("The ""Id" text, "v_at" integer, "select" integer, "Wann" timestamp)'
    )
    watch = Watch('S "%s', "T'{}\n$listener$", ('The "Id', "v_at"), "Wann", ("select",))
    bench.install(watch)
    assert bench.status() == ()
    told = bench.told('INSERT INTO "S ""%s"."T\'{}\n$listener$" VALUES (\'k "\\\n\', 1, 1)')
    assert told.sent() == {('k "\\\n', "1")}
    assert told.changes[0].watch == watch.id
    told = bench.told('UPDATE "S ""%s"."T\'{}\n$listener$" SET "v_at" = 2')
    assert (told.sent(), told.journaled()) == (
        {('k "\\\n', "1"), ('k "\\\n', "2")},
        {('k "\\\n', "1")},
    )
    assert bench.told(bench.remove).payloads == ()


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("smallint", "-32768"),
        ("integer", "-2147483648"),
        ("bigint", "-9223372036854775808"),
        ("uuid", "00000000-0000-4000-8000-00000000000a"),
        ("text", "ä'\"\\ \t\u2028😀"),
        ("varchar(20)", " x "),
    ],
)
def test_key_texts_are_what_postgresql_prints(bench: Bench, kind: str, value: str) -> None:
    """The text of a key is `column::text`, whatever type it has."""
    bench.run(f"CREATE TABLE t (id {kind})")
    bench.install(Watch("public", "t", ("id",)))
    told = bench.told(lambda: bench.admin.execute(f"INSERT INTO t VALUES (%s::{kind})", [value]))
    assert (told.sent(), told.journaled()) == ({(value,)}, {(value,)})


def test_notify_off_and_doorbell(bench: Bench) -> None:
    """`off` leaves all to polling and journal; `doorbell` tells only that something changed."""
    bench.run("CREATE TABLE a (id integer, updated_at timestamptz); CREATE TABLE b (id integer)")
    bench.install(
        Watch("public", "a", ("id",), "updated_at", None, "off"),
        Watch("public", "b", ("id",), None, None, "off"),
    )
    told = bench.told("INSERT INTO a VALUES (1); INSERT INTO b VALUES (1); UPDATE a SET id = 2")
    assert told.payloads == ()
    assert {(one.watch, one.keys) for one in told.journal} == {
        ("public.a(id)", (("1",),)),
        ("public.b(id)", (("1",),)),
    }
    assert bench.told("TRUNCATE a").payloads == ()
    bench.install(
        Watch("public", "a", ("id",), "updated_at", None, "doorbell"),
        Watch("public", "b", ("id",), None, None, "doorbell"),
    )
    bench.told("INSERT INTO a VALUES (2), (3)")
    told = bench.told("UPDATE a SET id = id + 10; INSERT INTO b VALUES (7)")  # one transaction
    assert [(one.watch, one.kind) for one in told.changes] == [
        ("public.a(id)", "sweep"),
        ("public.b(id)", "sweep"),
    ]
    assert {key for one in told.journal for key in one.keys} == keys(2, 3, 7)
    assert bench.told("UPDATE a SET id = id WHERE false").payloads == ()


@pytest.mark.parametrize("notify", ["off", "doorbell"])
def test_keys_that_move_where_the_stamp_says_it_all(bench: Bench, notify: Notify) -> None:
    """Into another partition; as a generated column, which a BEFORE trigger does not know yet; and
    after a savepoint that took back the first move."""
    bench.run(
        "CREATE TABLE p (id integer, updated_at timestamptz) PARTITION BY RANGE (id);"
        "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100);"
        "CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (100) TO (200);"
        "CREATE TABLE g (n integer, id integer GENERATED ALWAYS AS (n + 1) STORED NOT NULL,"
        " updated_at timestamptz)"
    )
    bench.install(
        Watch("public", "p", ("id",), "updated_at", None, notify),
        Watch("public", "g", ("id",), "updated_at", None, notify),
    )
    assert bench.told("INSERT INTO p VALUES (1), (2); INSERT INTO g (n) VALUES (1)").journal == ()
    assert bench.told("UPDATE p SET id = 150 WHERE id = 1").journaled() == {("1",)}
    assert bench.told("UPDATE g SET n = 7").journaled() == {("2",)}
    assert bench.told("UPDATE g SET n = n").journal == ()
    told = bench.told(
        "BEGIN; SAVEPOINT s; UPDATE p SET id = 3 WHERE id = 2; ROLLBACK TO s;"
        "UPDATE p SET id = 4 WHERE id = 2; COMMIT"
    )
    assert told.journaled() == {("2",)}


@pytest.mark.parametrize("stamp", ["updated_at", None])
def test_a_doorbell_rings_for_those_who_do_not_wait(bench: Bench, stamp: str | None) -> None:
    """While one transaction rings, others neither wait for it nor ring, unless they write again
    later; a long one keeps the bell for a moment only; one that was rolled back has not rung."""
    bench.run("CREATE TABLE a (id integer, updated_at timestamptz)")
    bench.install(Watch("public", "a", ("id",), stamp, None, "doorbell"))
    # the bell's fifty milliseconds, kept by somebody else for as long as the test lasts
    ringing = bench.connect()
    assert bench.told("INSERT INTO a VALUES (0)").kinds() == ["sweep"]
    body = bench.value(
        "SELECT prosrc FROM pg_proc WHERE prosrc LIKE '%pg_try_advisory_xact_lock(%' LIMIT 1"
    )
    bell = int(re.findall(r"pg_try_advisory_xact_lock\(\s*(\d+)", body)[0])
    ringing.execute(
        "SELECT count(pg_advisory_lock(%s, ((extract(epoch FROM now()) * 20)::bigint "
        "%% 2147483647)::integer + n)) FROM generate_series(0, 200) AS n",
        [bell],
    )
    assert bench.told("INSERT INTO a VALUES (1)").payloads == ()
    bench.run("BEGIN; INSERT INTO a VALUES (1)")
    ringing.execute("SELECT pg_advisory_unlock_all()")
    assert bench.told("INSERT INTO a VALUES (1); COMMIT").kinds() == ["sweep"]
    assert bench.told("INSERT INTO a VALUES (2)").kinds() == ["sweep"]
    assert bench.told("BEGIN; INSERT INTO a VALUES (3); ROLLBACK").payloads == ()
    held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
    bench.run("BEGIN; INSERT INTO a VALUES (4); SELECT pg_sleep(0.06); INSERT INTO a VALUES (5)")
    assert bench.value(held) == 1  # however long it lasts
    other = bench.connect()
    other.execute("INSERT INTO a VALUES (6)")  # the bell of the moment before is not its own
    told = bench.told("COMMIT")
    assert told.kinds() == ["sweep", "sweep"]
