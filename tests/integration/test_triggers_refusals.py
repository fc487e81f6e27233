"""What cannot be watched is refused by name, with the way out; all problems at once."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from listener import triggers
from listener.changes import Watch
from listener.config import TriggersConfig
from playground.postgres import PostgresServer
from tests.integration import triggers_kit
from tests.integration.triggers_kit import SCHEMA, Bench

bench = triggers_kit.bench


def problems(bench: Bench, *watches: Watch, schema: str = SCHEMA) -> tuple[str, ...]:
    """What `resolve` finds wrong."""
    try:
        triggers.resolve(bench.admin, watches, schema, bench.config)
    except triggers.TriggerError as error:
        return error.problems
    return ()


def the_problem(bench: Bench, watch: Watch) -> str:
    """The only thing that is wrong."""
    found = problems(bench, watch)
    assert len(found) == 1, found
    return found[0]


def watch(table: str = "t", *key: str, **more: Any) -> Watch:
    """A watch in the schema public."""
    return Watch("public", table, key or ("id",), **more)


def test_resolve_knows_types_and_stamps(bench: Bench) -> None:
    """By watch id, in the order of the key."""
    bench.run(
        "CREATE TABLE t (a smallint, b integer, c bigint, d uuid, e text, f varchar(7),"
        "  u timestamp(6), PRIMARY KEY (a, b))"
    )
    found = triggers.resolve(
        bench.admin,
        [watch("t", *"fedcba", updated_at="u"), watch("t", "a", updated_at="u")],
        SCHEMA,
        bench.config,
    )
    assert found.types() == {
        "public.t(f,e,d,c,b,a)": ("varchar", "text", "uuid", "bigint", "integer", "smallint"),
        "public.t(a)": ("smallint",),
    }
    assert set(found.zoneless().values()) == {True}
    assert found.watched[0].identity == ("a", "b")


_UNFIT_TABLES = [
    ("SELECT 1", "public.t: there is no such table"),
    ('CREATE TABLE "T" (id integer)', "names are case-sensitive, there is public.T"),
    ("CREATE VIEW t AS SELECT 1 AS id", "it is a view: watch the tables that it reads"),
    ("CREATE MATERIALIZED VIEW t AS SELECT 1 AS id", "it is a materialized view"),
    ("CREATE SEQUENCE t", "it is a sequence"),
    ("CREATE UNLOGGED TABLE t (id integer)", "ALTER TABLE public.t SET LOGGED"),
    (
        "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;"
        "CREATE FOREIGN TABLE t (id integer) SERVER s",
        "it is a foreign table",
    ),
    (
        "CREATE TABLE t (id integer) PARTITION BY LIST (id);"
        "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;"
        "CREATE FOREIGN TABLE t1 PARTITION OF t FOR VALUES IN (1) SERVER s",
        "its part public.t1 is a foreign table",
    ),
    (
        "CREATE TABLE t (id integer); CREATE UNLOGGED TABLE t1 () INHERITS (t)",
        "its part public.t1 is unlogged",
    ),
    ("CREATE TABLE t (other integer)", "key column id does not exist"),
    ('CREATE TABLE t ("ID" integer)', "key column id does not exist; names are case"),
]


def test_tables_that_cannot_be_watched(bench: Bench) -> None:
    """Each says why, and what would do instead."""
    for make, sign in _UNFIT_TABLES:
        bench.run(f"DROP SCHEMA public CASCADE; CREATE SCHEMA public; {make}")
        assert sign in the_problem(bench, watch()), make
        bench.run("DROP FOREIGN DATA WRAPPER IF EXISTS w CASCADE")


def test_temporary_and_system_tables(bench: Bench) -> None:
    """Neither is a part of the database that others see."""
    bench.run("CREATE TEMP TABLE t (id integer)")
    temp = bench.value("SELECT nspname FROM pg_namespace WHERE oid = pg_my_temp_schema()")
    assert "it is temporary" in the_problem(bench, Watch(temp, "t", ("id",)))
    for schema in ("pg_catalog", "information_schema", SCHEMA):
        assert "a system table" in the_problem(bench, Watch(schema, "pg_class", ("oid",)))


def test_key_types_that_have_no_stable_text(bench: Bench) -> None:
    """Their text depends on the session, or they compare differently on the two sides."""
    bench.run(
        "CREATE DOMAIN own_domain AS integer; CREATE TYPE own_enum AS ENUM ('a');"
        "CREATE SCHEMA own; CREATE DOMAIN own.uuid AS pg_catalog.uuid"
    )
    kinds = "date timestamptz real numeric bytea char(3) name boolean integer[] jsonb oid"
    for kind in (*kinds.split(), '"char"', "own_domain", "own_enum", "own.uuid"):
        bench.run(f"DROP TABLE IF EXISTS t; CREATE TABLE t (id {kind})")
        found = the_problem(bench, watch())
        assert "public.t: key column id is of type" in found
        assert "smallint, integer, bigint, uuid, text, varchar: take another column" in found


def test_nondeterministic_collations(bench: Bench) -> None:
    """Different texts would be one key."""
    try:
        bench.run("CREATE COLLATION c (provider = icu, locale = 'und', deterministic = false)")
    except psycopg.errors.FeatureNotSupported:
        pytest.skip("this PostgreSQL is built without ICU")
    bench.run("CREATE TABLE t (id text COLLATE c)")
    assert "nondeterministic collation" in the_problem(bench, watch())


def test_generated_columns(bench: Bench) -> None:
    """Where a trigger sees them too late, or never."""
    bench.run(
        "CREATE TABLE t (a integer, id integer GENERATED ALWAYS AS (a + 1) STORED, u timestamptz)"
    )
    bench.install(watch())
    assert bench.told("INSERT INTO t VALUES (1)").sent() == {("2",)}
    assert "key column id is generated" in the_problem(bench, watch(updated_at="u", columns=("a",)))
    assert "column id (of `columns`) is generated" in the_problem(
        bench, watch("t", "a", columns=("id",))
    )
    if bench.version >= 18:
        bench.run("CREATE TABLE v (a integer, id integer GENERATED ALWAYS AS (a + 1) VIRTUAL)")
        assert "virtual generated column" in the_problem(bench, watch("v"))


_UNFIT_STAMPS = [
    ("u date", "u is of type date; a stamp needs timestamptz"),
    ("u timestamptz(3)", "u is of type timestamp with time zone(3)"),
    ("u timestamp(0)", "u is of type timestamp without time zone(0)"),
    ("u text", "u is of type text"),
    ("w timestamptz, u timestamptz GENERATED ALWAYS AS (w) STORED", "u is a generated column"),
    ("u timestamptz PRIMARY KEY", "u is in the primary key"),
    ("u timestamptz UNIQUE", "t_u_key makes u unique"),
    ("u timestamptz, EXCLUDE USING btree (u WITH =)", "t_u_excl makes u unique"),
    ("w timestamptz, u timestamptz CHECK (u >= w)", "the constraint t_check checks u"),
]


def test_columns_that_cannot_be_stamped(bench: Bench) -> None:
    """The stamp would be refused, cut off, or a reason for a statement to fail."""
    for column, sign in _UNFIT_STAMPS:
        bench.run(f"DROP TABLE IF EXISTS t; CREATE TABLE t (id integer, {column})")
        found = problems(bench, watch(updated_at="u"))
        assert any(sign in one and "leave `updated_at` out" in one for one in found), found


def test_a_stamp_in_the_key_or_in_the_partition_key(bench: Bench) -> None:
    """A stamp changes; such a column may not."""
    bench.run("CREATE TABLE t (id timestamptz, u integer)")
    found = problems(bench, watch(updated_at="id"))
    assert any("id is a key column and cannot be stamped" in one for one in found)
    for expression in ("u", "((u AT TIME ZONE 'UTC'))"):
        bench.run(f"CREATE TABLE p (id integer, u timestamptz) PARTITION BY RANGE ({expression})")
        assert "u decides about the partition of p" in the_problem(
            bench, watch("p", updated_at="u")
        )
        bench.run("DROP TABLE p")


def test_listed_columns_must_exist(bench: Bench) -> None:
    """Each that does not is named."""
    bench.run("CREATE TABLE t (id integer, a text)")
    found = problems(bench, watch(columns=("a", "b", "A")))
    assert len(found) == 2
    assert "column (of `columns`) b does not exist" in found[0]
    assert (
        "column (of `columns`) A does not exist; names are case-sensitive, there is a" in found[1]
    )


def test_a_table_and_a_part_of_it(bench: Bench) -> None:
    """Its changes would be told twice, under two names."""
    bench.run(
        "CREATE TABLE t (id integer) PARTITION BY LIST (id);"
        "CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1)"
    )
    # the other one's statements write it, and fire row triggers only
    assert "part of public.t, and statements of public.t" in the_problem(bench, watch("t1"))
    assert problems(bench, watch("t1", notify="off")) == ()
    for pair in (("t", "t1"), ("t1", "t")):
        found = problems(bench, *(watch(name, notify="off") for name in pair))
        assert len(found) == 1
        assert "public.t1 is watched as a part of" in found[0]
    assert problems(bench, watch("t"), watch("t")) == ("public.t(id) is watched twice",)


def test_all_problems_at_once(bench: Bench) -> None:
    """Nobody mends them one by one."""
    bench.run("CREATE TABLE t (id date, u date); CREATE VIEW v AS SELECT 1 AS id")
    found = problems(bench, watch(updated_at="u"), watch("v"), watch("w"))
    assert len(found) == 4


def test_schemas_that_are_not_for_us(bench: Bench) -> None:
    """Removing would empty them."""
    bench.run("CREATE TABLE t (id integer)")
    for schema in ("public", "pg_catalog", "pg_mine", "information_schema"):
        found = problems(bench, watch(), schema=schema)
        assert f"{schema} is not a schema for listener alone" in found[0]


def test_sql_ascii(bench: Bench) -> None:
    """Bytes without meaning."""
    name = f"{bench.name}_ascii"
    provider = "LOCALE_PROVIDER libc" if bench.version >= 15 else ""
    bench.run(
        f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII' {provider} "
        "LC_COLLATE 'C' LC_CTYPE 'C'"
    )
    try:
        for other in triggers_kit.open_bench(bench.server, name):
            other.run("CREATE TABLE t (id integer)")
            assert "encoding is SQL_ASCII" in the_problem(other, watch())
    finally:
        bench.server.drop_database(name)


def test_two_pipelines_that_disagree_about_the_stamp(bench: Bench) -> None:
    """One with `columns` would put the stamp back that the other one renewed."""
    bench.run("CREATE TABLE t (id integer, a text, u timestamptz)")
    plain, selective = watch(updated_at="u"), watch(updated_at="u", columns=("a",))
    bench.install(plain)
    assert problems(bench, plain, schema="second") == ()
    assert "pipeline with schema listener" in problems(bench, selective, schema="second")[0]
    bench.install(selective)
    assert "pipeline with schema listener" in problems(bench, plain, schema="second")[0]
    assert problems(bench, selective) == ()


def test_prepared_transactions() -> None:
    """A NOTIFY makes PREPARE TRANSACTION fail: `off`, or a promise that nobody prepares."""
    server = PostgresServer(settings={"max_prepared_transactions": 5})
    try:
        server.start()
        server.create_database("two_phase")
        for bench in triggers_kit.open_bench(server, "two_phase"):
            bench.run("CREATE TABLE t (id integer)")
            for mode in ("rows", "doorbell"):
                found = the_problem(bench, watch(notify=mode))
                assert f"public.t: notify is {mode}, but max_prepared_transactions is 5" in found
                assert "`notify: off` for this table, or `no_2pc: true` under `triggers`" in found
            bench.install(watch(notify="off"))
            bench.run("BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'x'")
            told = bench.told("COMMIT PREPARED 'x'")
            assert (told.payloads, told.journaled()) == ((), {("1",)})
            bench.config = TriggersConfig(no_2pc=True)
            bench.install(watch())
            assert bench.told("INSERT INTO t VALUES (2)").sent() == {("2",)}
    finally:
        server.close()
