"""What cannot be watched is refused by name, with the way out; all problems at once."""

from __future__ import annotations

import re
import secrets
from typing import Any

import psycopg
import pytest

from listener import triggers
from listener.changes import Watch
from listener.config import TriggersConfig
from listener.runtime.lifecycle import Stop
from playground.postgres import PostgresServer
from tests.kit.servers import own_postgres
from tests.kit.triggers import SCHEMA, Bench, open_bench


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
    ("CREATE UNLOGGED TABLE t (id integer)", 'ALTER TABLE "public"."t" SET LOGGED'),
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


_THROUGH_THE_ROOT = (
    "INSERT INTO t VALUES (101, 1)",
    "UPDATE t SET id = 102 WHERE id = 1",
    "DELETE FROM t WHERE id = 100",
)


@pytest.mark.parametrize("stamp", [None, "u"])
@pytest.mark.parametrize(("notify", "leave_out"), [("rows", True), ("off", False)])
def test_a_foreign_table_becomes_a_part(
    bench: Bench, stamp: str | None, notify: Any, leave_out: bool
) -> None:
    """Statements fail then that work without us: it is said, with both ways out."""
    bench.run(
        "CREATE TABLE t (id integer, n integer, u timestamptz) PARTITION BY RANGE (id);"
        "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE remote (id integer, n integer, u timestamptz);"
        "INSERT INTO t VALUES (1, 1); INSERT INTO remote VALUES (100, 1)"
    )
    bench.install(watch(updated_at=stamp, notify=notify))
    bench.run(
        "CREATE EXTENSION postgres_fdw; CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw OPTIONS"
        f"  (host '{bench.server.socket_directory}', port '{bench.server.port}',"
        f"   dbname '{bench.name}');"
        "CREATE USER MAPPING FOR PUBLIC SERVER s OPTIONS (user 'postgres')"
    )
    attach = (
        'CREATE FOREIGN TABLE "F" PARTITION OF t FOR VALUES FROM (100) TO (200) SERVER s OPTIONS'
        "  (table_name 'remote')"
    )
    bench.run(attach)
    failed: list[str] = []
    for statement in _THROUGH_THE_ROOT:
        try:
            bench.run(statement)
        except psycopg.errors.FeatureNotSupported:  # transition tuples of foreign tables
            failed.append(statement)
    assert failed
    [found] = bench.status()
    assert "its part public.F is a foreign table: its rows change where no trigger" in found
    [detach] = re.findall(r"\(0A000\): (ALTER TABLE .*); or leave public.t", found)
    bench.run(detach)
    assert bench.status() == ()
    bench.run('INSERT INTO "F" VALUES (103, 1); UPDATE t SET n = 3; DELETE FROM "F" WHERE id = 103')
    bench.run('DROP FOREIGN TABLE "F"')
    bench.run(attach)
    if leave_out:
        triggers.install(bench.admin, bench.wanted([]), observe=bench.seen.append, stop=Stop())
    else:
        bench.remove()
    for statement in failed:
        bench.run(statement)
    bench.run("DROP TABLE t; DROP EXTENSION postgres_fdw CASCADE")


def test_a_foreign_table_becomes_a_child(bench: Bench) -> None:
    """No statement fails, but its rows would be missed."""
    bench.run(
        "CREATE TABLE t (id integer); CREATE FOREIGN DATA WRAPPER w;"
        "CREATE SERVER s FOREIGN DATA WRAPPER w; CREATE FOREIGN TABLE f () INHERITS (t) SERVER s"
    )
    assert 'ALTER TABLE "public"."f" NO INHERIT its parents' in the_problem(bench, watch())
    bench.run("DROP FOREIGN DATA WRAPPER w CASCADE")


def test_a_role_that_does_not_exist(bench: Bench) -> None:
    """What makes it can be run as it stands there."""
    bench.role = f"{bench.name}-Role"
    bench.run("CREATE TABLE t (id integer)")
    with pytest.raises(triggers.TriggerError, match="there is no role") as caught:
        bench.install(watch())
    bench.run(str(caught.value).partition(": ")[2])
    bench.run(f'DROP ROLE "{bench.role}"')


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


_OLD = (
    "CREATE FUNCTION old(t) RETURNS boolean IMMUTABLE LANGUAGE sql AS"
    "  'SELECT $1.U < ''2025-01-01'''"
)
_KEYED = {
    "a constraint": "ALTER TABLE t ADD CONSTRAINT keyed UNIQUE (id, u)",
    "an index": "CREATE UNIQUE INDEX keyed ON t (u, id) INCLUDE (n)",
    "three columns": "CREATE UNIQUE INDEX keyed ON t (n, id, u)",
}
"""What makes the stamp a part of a key that rows of other tables could refer to."""


@pytest.mark.parametrize("kind", _KEYED)
@pytest.mark.parametrize("parts", [False, True], ids=["a table", "parts"])
def test_a_stamp_that_locks_as_a_key_does(bench: Bench, kind: str, parts: bool) -> None:
    """An UPDATE that stamps keeps rows that refer to its row waiting: it takes FOR UPDATE."""
    bench.run(
        "CREATE TABLE t (id integer PRIMARY KEY, n integer, u timestamptz)"
        + (" PARTITION BY RANGE (id); CREATE TABLE p PARTITION OF t DEFAULT" if parts else "")
        + "; INSERT INTO t VALUES (1, 1); CREATE TABLE c (id integer REFERENCES t);"
    )
    bench.run(_KEYED[kind])
    writer, child = bench.connect(), bench.connect(options="-c lock_timeout=100ms")

    def refer(statement: str) -> None:
        writer.execute("BEGIN")
        try:
            bench.run(statement, writer)
            bench.run("INSERT INTO c VALUES (1)", child)
        finally:
            writer.execute("ROLLBACK")

    update = "UPDATE t SET n = n WHERE id = 1"
    refer(update)
    with pytest.raises(psycopg.errors.LockNotAvailable):
        refer("UPDATE t SET u = now() WHERE id = 1")
    problem = the_problem(bench, watch(updated_at="u"))
    assert "keyed is unique and has u in its key" in problem
    assert "leave `updated_at` out" in problem
    bench.install(watch())
    refer(update)


def test_a_part_alone_has_the_stamp_in_a_key(bench: Bench) -> None:
    """Rows of this part alone are locked so."""
    bench.run(
        "CREATE TABLE t (id integer PRIMARY KEY, u timestamptz) PARTITION BY RANGE (id);"
        "CREATE TABLE p PARTITION OF t DEFAULT; CREATE UNIQUE INDEX keyed ON p (id, u)"
    )
    assert "keyed is unique and has u in its key" in the_problem(bench, watch(updated_at="u"))


_BREAKS: list[tuple[str, str, str, str]] = [
    (
        "policy",
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY keep ON t USING (true) WITH CHECK (u <= now())",
        "UPDATE t SET n = 2",
        "the policy keep of its row-level security looks at u",
    ),
    (
        "policy for SELECT",
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY w ON t USING (true);"
        "CREATE POLICY old ON t AS RESTRICTIVE FOR SELECT USING (u <= now())",
        "UPDATE t SET n = n + 1",
        "the policy old of its row-level security looks at u",
    ),
    (
        "check option",
        "CREATE VIEW v AS SELECT * FROM t WHERE u <= now() WITH CHECK OPTION",
        "UPDATE v SET n = 2",
        "the view public.v has a CHECK OPTION and shows rows by u",
    ),
    (
        "check option above",
        "CREATE VIEW o AS SELECT * FROM t WHERE u <= now();"
        "CREATE VIEW v AS SELECT * FROM o WHERE n > 0 WITH CASCADED CHECK OPTION",
        "UPDATE v SET n = 2",
        "the view public.v has a CHECK OPTION and shows rows by u",
    ),
    (
        "check option above another name",
        "CREATE VIEW o AS SELECT n, u + interval '1 day' AS \"a } day\", id FROM t;"
        'CREATE VIEW v AS SELECT * FROM o WHERE "a } day" <= now() WITH LOCAL CHECK OPTION',
        "UPDATE v SET n = 2",
        "the view public.v has a CHECK OPTION and shows rows by u",
    ),
    (
        "check option by a subquery",
        "CREATE VIEW v AS SELECT * FROM t WHERE EXISTS"
        "  (SELECT FROM pg_class WHERE t.u <= now() AND relname = 't') WITH CHECK OPTION",
        "UPDATE v SET n = 2",
        "the view public.v has a CHECK OPTION and shows rows by u",
    ),
    (
        "check option by the table itself",
        "CREATE VIEW v AS SELECT * FROM t WHERE EXISTS"
        "  (SELECT FROM pg_class, t AS x WHERE x.id = 2 AND x.u < '2025-01-01') WITH CHECK OPTION",
        "UPDATE t SET n = 2; INSERT INTO v (id) SELECT max(id) + 1 FROM t",
        "the view public.v has a CHECK OPTION and shows rows by u",
    ),
    (
        "referenced",
        "ALTER TABLE t ADD UNIQUE (id, u); CREATE TABLE c (id integer, at timestamptz,"
        "  CONSTRAINT child FOREIGN KEY (id, at) REFERENCES t (id, u));"
        "INSERT INTO c SELECT id, u FROM t",
        "UPDATE t SET n = 2",
        "t_id_u_key is unique and has u in its key",
    ),
    (
        "referencing",
        "CREATE TABLE r (id integer, at timestamptz, PRIMARY KEY (id, at));"
        "INSERT INTO r SELECT id, u FROM t;"
        "ALTER TABLE t ADD CONSTRAINT parent FOREIGN KEY (id, u) REFERENCES r",
        "UPDATE t SET n = 2",
        "u is part of the foreign key parent",
    ),
    (
        "unique by an expression",
        "CREATE UNIQUE INDEX daily ON t (n, ((u AT TIME ZONE 'UTC')::date))",
        "UPDATE t SET id = id",
        "daily makes u unique",
    ),
    (
        "unique where",
        "CREATE UNIQUE INDEX late ON t (n) WHERE u > '2021-01-01'",
        "UPDATE t SET id = id",
        "late makes u unique",
    ),
    (
        "exclusion by an expression",
        "ALTER TABLE t ADD CONSTRAINT apart EXCLUDE USING gist"
        "  (daterange((u AT TIME ZONE 'UTC')::date, NULL, '[]') WITH =)",
        "UPDATE t SET id = id",
        "apart makes u unique",
    ),
    (
        "checked when generated",
        "ALTER TABLE t ADD d date GENERATED ALWAYS AS ((u AT TIME ZONE 'UTC')::date) STORED,"
        "  ADD CONSTRAINT past CHECK (d < '2025-01-01')",
        "UPDATE t SET n = 2",
        "the constraint past checks u",
    ),
    (
        "unique when generated",
        "ALTER TABLE t ADD d date GENERATED ALWAYS AS ((u AT TIME ZONE 'UTC')::date) STORED,"
        "  ADD CONSTRAINT once UNIQUE (n, d)",
        "UPDATE t SET id = id",
        "once makes u unique",
    ),
    (
        "unique where, and carried along",
        "CREATE UNIQUE INDEX late ON t (n) INCLUDE (u) WHERE u > '2021-01-01'",
        "UPDATE t SET id = id",
        "late makes u unique",
    ),
    (
        "never NULL when generated",
        "ALTER TABLE t ADD d text NOT NULL GENERATED ALWAYS AS"
        "  (CASE WHEN u AT TIME ZONE 'UTC' < '2025-01-01' THEN 'old' END) STORED",
        "UPDATE t SET n = 2",
        "the generated column d is made of u and NOT NULL",
    ),
    (
        "policy by the whole row",
        f"{_OLD}; ALTER TABLE t ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY keep ON t USING (true) WITH CHECK (old(t))",
        "UPDATE t SET n = 2",
        "the policy keep of its row-level security looks at u",
    ),
    (
        "check option by the whole row",
        f"{_OLD}; CREATE VIEW v AS SELECT n FROM t WHERE old(t) WITH CHECK OPTION",
        "UPDATE v SET n = 2",
        "the view public.v has a CHECK OPTION and shows rows by u",
    ),
    (
        "checked by the whole row",
        f"{_OLD}; ALTER TABLE t ADD CONSTRAINT past CHECK (old(t))",
        "UPDATE t SET n = 2",
        "the constraint past checks u",
    ),
    (
        "unique by the whole row",
        "CREATE FUNCTION day(t) RETURNS date IMMUTABLE LANGUAGE sql AS"
        "  'SELECT ($1.u AT TIME ZONE ''UTC'')::date';"
        "CREATE UNIQUE INDEX daily ON t (n, day(t))",
        "UPDATE t SET id = id",
        "daily makes u unique",
    ),
]


@pytest.mark.parametrize(
    ("ddl", "statement", "sign"), [one[1:] for one in _BREAKS], ids=[one[0] for one in _BREAKS]
)
def test_what_a_stamp_would_violate(bench: Bench, ddl: str, statement: str, sign: str) -> None:
    """What works without us: rows are what the application declares, until we stamp them."""
    role = bench.new_role()
    bench.run(
        "CREATE TABLE t (id integer PRIMARY KEY, n integer, u timestamptz);"
        "INSERT INTO t VALUES (1, 1, '2020-01-01'), (2, 1, '2020-01-02')"
    )
    bench.run(ddl)
    bench.run(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
    app = bench.connect(role)
    try:
        bench.run(statement, app)
        assert sign in the_problem(bench, watch(updated_at="u"))
        bench.install(watch())
        bench.run(statement, app)
        bench.run(
            "CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN NEW.u := clock_timestamp(); RETURN NEW; END'; CREATE TRIGGER z"
            "  BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION stamp()"
        )
        with pytest.raises(psycopg.DatabaseError):
            bench.run(statement, app)
    finally:
        app.close()
        bench.run(f"DROP OWNED BY {role}; DROP ROLE {role}")


@pytest.mark.parametrize("server", ["postgres_server", "icu_server"])
def test_views_without_a_table_of_their_own(request: pytest.FixtureRequest, server: str) -> None:
    """Until version 15 such a view stands first in the query that PostgreSQL keeps of it."""
    postgres: PostgresServer = request.getfixturevalue(server)
    name = f"test_{secrets.token_hex(5)}"
    postgres.create_database(name)
    for bench in open_bench(postgres, name):
        bench.run(
            "CREATE TABLE t (id integer PRIMARY KEY, n integer, u timestamptz);"
            "CREATE VIEW several AS SELECT id, u FROM t UNION ALL SELECT id, u FROM t;"
            "CREATE VIEW inside AS SELECT * FROM (SELECT id, u FROM t) AS x;"
            "CREATE VIEW named AS WITH x AS (SELECT id, u FROM t) SELECT * FROM x;"
            "CREATE VIEW v AS SELECT * FROM t WHERE id IN (SELECT id FROM several)"
            "  AND id IN (SELECT id FROM inside) AND id IN (SELECT id FROM named)"
            "  WITH CHECK OPTION"
        )
        assert problems(bench, watch(updated_at="u")) == ()
    postgres.drop_database(name)


def test_a_stamp_that_violates_nothing(bench: Bench) -> None:
    """Views that only show it, unique indexes that are no key, policies for DELETE, or off."""
    bench.run(
        "CREATE TABLE t (id integer PRIMARY KEY, n integer, u timestamptz, x_u integer,"
        "  w timestamptz CHECK (w > '2000-01-01'),"
        "  d date NOT NULL GENERATED ALWAYS AS ((u AT TIME ZONE 'UTC')::date) STORED,"
        "  UNIQUE (n) INCLUDE (d), EXCLUDE USING btree (n WITH =) INCLUDE (u));"
        "CREATE FUNCTION many(t) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT $1.n > 0';"
        "ALTER TABLE t ADD CHECK (many(t));"
        "CREATE VIEW ordered AS SELECT * FROM t WHERE 'u' <> 'd' AND n > 0 ORDER BY u"
        "  WITH CHECK OPTION;"
        "CREATE VIEW v AS SELECT * FROM t WHERE n > 0 AND x_u > 0 WITH CHECK OPTION;"
        "CREATE VIEW o AS SELECT * FROM t WHERE u > now();"
        "CREATE VIEW l AS SELECT * FROM o WHERE n > 0 WITH LOCAL CHECK OPTION;"
        "CREATE VIEW s AS SELECT u, (SELECT t.u) AS sub, n FROM t WHERE n > 0 AND n IN"
        "  (SELECT x.id FROM v AS x WHERE x.w < now()) WITH CHECK OPTION;"
        "CREATE VIEW other AS SELECT 1 AS a, 2 AS b, now() AS u, now() AS d;"
        "CREATE VIEW b AS SELECT * FROM t WHERE EXISTS"
        "  (SELECT FROM other WHERE u < now() AND d < now()) WITH CHECK OPTION;"
        "CREATE VIEW joined AS SELECT t.* FROM t JOIN v USING (id) WHERE t.u < now();"
        "CREATE POLICY p ON t USING (u > now());"
        "CREATE UNIQUE INDEX ON t (n, u) WHERE n > 0; CREATE UNIQUE INDEX ON t ((n + 1), u);"
        "CREATE INDEX ON t (n, ((u AT TIME ZONE 'UTC')::date)) WHERE u > '2020-01-01'"
    )
    assert problems(bench, watch(updated_at="u")) == ()
    bench.run("DROP POLICY p ON t; CREATE POLICY p ON t FOR DELETE USING (u > now())")
    bench.run("ALTER TABLE t ENABLE ROW LEVEL SECURITY")
    if bench.version >= 18:
        bench.run("ALTER TABLE t ADD CHECK (u < '2025-01-01') NOT ENFORCED")
    reader, writer = bench.new_role(), bench.new_role()
    bench.run(
        f"GRANT SELECT ON t TO {reader}; GRANT UPDATE (n) ON t TO {writer};"
        f"CREATE POLICY s ON t TO {reader} USING (u < '2025-01-01')"
    )
    assert problems(bench, watch(updated_at="u")) == ()
    bench.run(f"GRANT {reader} TO {writer}")
    assert "the policy s of its row-level security" in the_problem(bench, watch(updated_at="u"))
    bench.run(f"DROP OWNED BY {reader}, {writer}; DROP ROLE {reader}, {writer}")


_ABOVE: list[tuple[str, str, str, str]] = [
    (
        "RANGE (u)",
        "FROM ('2020-01-01') TO ('2025-01-01')",
        "",
        "u decides about the partition of r",
    ),
    (
        "RANGE (id)",
        "FROM (0) TO (9)",
        "ALTER TABLE r ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY keep ON r USING (true) WITH CHECK (u < '2025-01-01')",
        "the policy keep of its row-level security looks at u",
    ),
    (
        "RANGE (id)",
        "FROM (0) TO (9)",
        "CREATE VIEW v AS SELECT * FROM r WHERE u < '2025-01-01' WITH CHECK OPTION",
        "the view public.v has a CHECK OPTION and shows rows by u",
    ),
]


@pytest.mark.parametrize(("by", "bounds", "ddl", "sign"), _ABOVE)
def test_what_a_stamp_would_violate_above(
    bench: Bench, by: str, bounds: str, ddl: str, sign: str
) -> None:
    """A part is written through what it is a part of, at any depth, at the install or later."""
    bench.run(
        f"CREATE TABLE r (id integer, n integer, u timestamptz) PARTITION BY {by};"
        f"CREATE TABLE m PARTITION OF r FOR VALUES {bounds} PARTITION BY LIST (n);"
        f"CREATE TABLE t (id integer, n integer, u timestamptz); {ddl}"
    )
    part = watch(updated_at="u", notify="off")
    bench.install(part)
    bench.run("ALTER TABLE m ATTACH PARTITION t FOR VALUES IN (1)")
    [found] = bench.status()
    assert sign in found
    role = bench.new_role()
    bench.run(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
    app = bench.connect(role)
    through = "v" if "VIEW" in ddl else "r"
    statement = f"INSERT INTO {through} VALUES (1, 1, '2020-01-01')"
    with pytest.raises(psycopg.DatabaseError):
        bench.run(statement, app)
    bench.install(watch(notify="off"))
    bench.run(statement, app)
    assert sign in the_problem(bench, part)
    app.close()
    bench.run(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_a_part_has_the_column_that_its_root_lacks(bench: Bench) -> None:
    """It would be stamped as well: this is told before anything is added."""
    bench.run(
        "CREATE TABLE t (id integer);"
        "CREATE TABLE k (u timestamptz CHECK (u < '2020-01-01')) INHERITS (t)"
    )
    assert "the constraint k_u_check checks u" in the_problem(bench, watch(updated_at="u"))
    bench.run("ALTER TABLE k DROP CONSTRAINT k_u_check, ALTER u TYPE timestamptz(3)")
    found = the_problem(bench, watch(updated_at="u"))
    assert "its part public.k has a column of this name that is generated, or not" in found
    bench.run("ALTER TABLE k ALTER u TYPE timestamptz")
    bench.install(watch(updated_at="u"))
    assert bench.status() == ()


_NOT_ADDED = [
    (
        "CREATE TABLE r (id integer) PARTITION BY LIST (id);"
        "CREATE TABLE t PARTITION OF r FOR VALUES IN (1)",
        "PostgreSQL adds no column to a part: add it to the root, ",
    ),
    (
        "CREATE TABLE t (id integer); CREATE DOMAIN several AS t[];"
        "CREATE TYPE pair AS (a integer, b several); CREATE TABLE holder (h pair)",
        "while public.holder.h is made of rows of this table: add one without, ",
    ),
    (
        "CREATE TYPE shape AS (id integer); CREATE TABLE t OF shape",
        "PostgreSQL adds no column to a table of a type: ",
    ),
]


@pytest.mark.parametrize(("ddl", "sign"), _NOT_ADDED)
def test_a_column_that_cannot_be_added(bench: Bench, ddl: str, sign: str) -> None:
    """It is told with the statement that adds it."""
    bench.run(ddl)
    stamped = watch(updated_at="u", notify="off")
    _, _, way = the_problem(bench, stamped).partition(sign)
    mend, _, _ = way.partition(", or leave `updated_at` out")
    if "a part" in sign:
        bench.run("CREATE PUBLICATION p FOR TABLE t")
        assert f"then here: {mend};" in problems(bench, stamped)[1]
        bench.run("DROP PUBLICATION p")
    bench.run(mend)
    bench.install(stamped)
    assert bench.status() == ()


def test_a_table_of_a_view_is_locked(bench: Bench) -> None:
    """By a migration: an audit that waited for it would wait in front of all that comes later."""
    bench.run(
        "CREATE TABLE t (id integer, n integer, u timestamptz); CREATE TABLE other (id integer);"
        "CREATE VIEW joined AS SELECT t.u FROM t JOIN other USING (id) WHERE t.u < now();"
        "CREATE VIEW v AS SELECT * FROM t WHERE n IN (SELECT id FROM other) WITH CHECK OPTION;"
        "CREATE VIEW w AS SELECT * FROM v WHERE n > 1 WITH CHECK OPTION"
    )
    bench.install(watch(updated_at="u"))
    migration = bench.connect()
    migration.execute("BEGIN; LOCK TABLE t, other IN ACCESS EXCLUSIVE MODE")
    bench.run("SET lock_timeout = '100ms'")
    assert bench.status() == ()
    migration.execute("ROLLBACK")


def test_keys_of_parts_are_named_once(bench: Bench) -> None:
    """PostgreSQL keeps one for each part."""
    bench.run(
        "CREATE TABLE r (id integer, at timestamptz, PRIMARY KEY (id, at));"
        "CREATE TABLE t (id integer, u timestamptz,"
        "  CONSTRAINT parent FOREIGN KEY (id, u) REFERENCES r) PARTITION BY LIST (id);"
        "CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1);"
        "CREATE TABLE t2 PARTITION OF t FOR VALUES IN (2)"
    )
    assert "u is part of the foreign key parent" in the_problem(bench, watch(updated_at="u"))
    bench.run("ALTER TABLE t DROP CONSTRAINT parent; CREATE UNIQUE INDEX keyed ON t (id, u)")
    assert "keyed is unique and has u in its key" in the_problem(bench, watch(updated_at="u"))


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
        for other in open_bench(bench.server, name):
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
    with own_postgres({"max_prepared_transactions": 5}) as server:
        server.create_database("two_phase")
        for bench in open_bench(server, "two_phase"):
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
