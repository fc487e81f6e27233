"""What a query depends on besides rows: each kind of change is seen, and nothing else is."""

# ruff: noqa: E501 - statements stand in one line, as somebody types them

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import psycopg
import pytest
from psycopg import errors

from listener import postgres
from listener.changes import Watch
from listener.documents import meaning
from listener.postgres import Connection
from listener.sql import files
from playground.postgres import PostgresServer

SCHEMA = """
    CREATE SCHEMA app;
    CREATE SCHEMA early;
    CREATE SCHEMA elsewhere;
    CREATE EXTENSION pg_trgm SCHEMA public;
    CREATE TABLE app.film (id integer PRIMARY KEY, title text, rating numeric);
    CREATE TABLE app.country (code text PRIMARY KEY, name text);
    CREATE FUNCTION app.permitted() RETURNS boolean LANGUAGE sql STABLE AS 'SELECT true';
    CREATE FUNCTION app.allowed(text) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT app.permitted()';
    CREATE TABLE app.secret (code text PRIMARY KEY, name text);
    ALTER TABLE app.secret ENABLE ROW LEVEL SECURITY;
    CREATE POLICY few ON app.secret USING (app.allowed(code));
    CREATE FUNCTION app.revealed() RETURNS text LANGUAGE sql STABLE SECURITY DEFINER
        SET row_security = on AS 'SELECT max(name) FROM app.secret';
    CREATE EXTENSION postgres_fdw SCHEMA public;
    CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw;
    CREATE FOREIGN TABLE app.distant (name text) SERVER far;
    CREATE USER MAPPING FOR PUBLIC SERVER far OPTIONS (user 'x', password 'x');
    CREATE TYPE app.mood AS ENUM ('sad', 'glad');
    CREATE DOMAIN app.short AS text CHECK (length(VALUE) < 100);
    CREATE TYPE app.pair AS (a integer, b integer);
    CREATE VIEW app.inner_view AS SELECT id, upper(title) AS title, 'sad'::app.mood AS mood FROM app.film;
    CREATE VIEW app.film_view AS SELECT id, title, mood FROM app.inner_view;
    CREATE VIEW app.unread AS SELECT 1 AS id;
    CREATE FUNCTION app.deepest(integer) RETURNS integer LANGUAGE sql AS 'SELECT $1 + 1';
    CREATE FUNCTION app.deeper(integer) RETURNS integer LANGUAGE plpgsql AS
        $$ BEGIN RETURN app.deepest($1); END $$;
    CREATE FUNCTION app.shown(integer) RETURNS text LANGUAGE plpgsql AS
        $$ DECLARE r text; BEGIN
            EXECUTE 'SELECT name FROM app.' || quote_ident('country') || ' LIMIT 1' INTO r;
            RETURN r || app.deeper($1); END $$;
    CREATE FUNCTION app.shown(text) RETURNS text LANGUAGE sql AS 'SELECT $1';
    CREATE FUNCTION app.stars(app.film) RETURNS text LANGUAGE sql AS 'SELECT repeat(''*'', 3)';
    CREATE FUNCTION app.unread() RETURNS integer LANGUAGE sql AS 'SELECT 1';
    CREATE FUNCTION app.step(text, text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1 || $2';
    CREATE AGGREGATE app.joined(text) (SFUNC = app.step, STYPE = text, INITCOND = '');
    CREATE FUNCTION app.near(app.pair, app.pair) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
    CREATE OPERATOR app.<~> (LEFTARG = app.pair, RIGHTARG = app.pair, FUNCTION = app.near);
    CREATE FUNCTION app.as_text(app.pair) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT ''x''';
    CREATE CAST (app.pair AS text) WITH FUNCTION app.as_text(app.pair);
    CREATE TEXT SEARCH CONFIGURATION app.words (COPY = pg_catalog.simple);
    CREATE TEXT SEARCH DICTIONARY app.stems (TEMPLATE = snowball, language = 'english');
    CREATE COLLATION app.sorted FROM "C";
    CREATE VIEW app.rated AS SELECT current_setting('app.in_a_view', true) AS rate;
"""
QUERY = """
    -- elsewhere.film and app.unread stand in a comment /* and /* nested */ app.unread() */ only
    SELECT v.id, json_build_object(
        'title', v.title, 'shown', app.shown(v.id), 'stars', f.stars, 'mood', v.mood::text,
        'all', (SELECT app.joined(c.name ORDER BY c.name COLLATE app.sorted) FROM app.country AS c),
        'near', (1, 2)::app.pair OPERATOR(app.<~>) (3, 4)::app.pair,
        'cast', (1, 2)::app.pair::text,
        'words', to_tsvector('app.words', f.title), 'code', 'x'::app.short,
        'like', f.title OPERATOR(public.%) 'film', 'secret', app.revealed(),
        'rate', current_setting('app.rate', true), 'viewed', (SELECT rate FROM app.rated),
        'far', (SELECT max(name) FROM app.distant)) AS document
    FROM app.film_view AS v JOIN film AS f USING (id)
    WHERE v.id = ANY(%(ids)s::text[]::integer[])
"""


@dataclass
class Bench:
    """A session in a transaction that is rolled back, and what the query means to it."""

    connection: Connection
    role: str

    def read(self, query: str = QUERY) -> meaning.Meaning:
        """Now."""
        watches = [Watch("app", "film", ("id",))]
        return meaning.read(self.connection, watches, {"x": [query]})["x"]

    def change(self, statements: str, query: str = QUERY) -> str | None:
        """Run these and say what differs then."""
        before = self.read(query)
        text = statements.format(role=self.role, database=self.connection.info.dbname)
        self.prepare(text)
        return meaning.altered(before, self.read(query))

    def prepare(self, statements: str) -> None:
        """Run these under a transaction id of their own, as rows of the catalog show it."""
        with self.connection.transaction():
            self.connection.execute(statements.encode())


@pytest.fixture(scope="module", params=["newest", "older"])
def server(request: pytest.FixtureRequest, postgres_server: PostgresServer) -> PostgresServer:
    """That of all tests, and another version where this machine has one."""
    if request.param == "newest":
        return postgres_server
    other: PostgresServer = request.getfixturevalue("icu_server")
    return other


@pytest.fixture(scope="module")
def session(server: PostgresServer) -> Iterator[tuple[Connection, str]]:
    """A session of a role that has a search_path."""
    name = f"test_{secrets.token_hex(5)}"
    server.create_database(name)
    server.execute(
        f"CREATE ROLE {name} LOGIN SUPERUSER; ALTER ROLE {name} SET search_path = early, app"
    )
    server.execute(SCHEMA, name)
    with psycopg.connect(server.socket_dsn(name, user=name), autocommit=True) as connection:
        postgres.settle(connection)
        yield connection, name
    server.drop_database(name)
    server.execute(f"DROP ROLE {name}")


@pytest.fixture
def bench(session: tuple[Connection, str]) -> Iterator[Bench]:
    """The schema as it was."""
    connection, role = session
    with connection.transaction(force_rollback=True):
        yield Bench(connection, role)


SEEN: Mapping[str, tuple[str, str]] = {
    "view": (
        "CREATE OR REPLACE VIEW app.film_view AS SELECT id, title || '!' AS title, mood FROM app.inner_view",
        "view app.film_view",
    ),
    "view in a view": (
        "CREATE OR REPLACE VIEW app.inner_view AS SELECT id, title, 'sad'::app.mood AS mood FROM app.film",
        "view app.inner_view",
    ),
    "view replaced by the same": (
        "CREATE OR REPLACE VIEW app.film_view AS SELECT id, title, mood FROM app.inner_view",
        "view app.film_view",
    ),
    "view made anew": (
        "DROP VIEW app.film_view; CREATE VIEW app.film_view AS SELECT id, title, mood FROM app.inner_view",
        "view app.film_view",
    ),
    "view gone": ("DROP VIEW app.film_view", "view app.film_view"),
    "column of a view renamed": (
        "ALTER VIEW app.film_view RENAME COLUMN title TO caption",
        "view app.film_view",
    ),
    "function": (
        "CREATE OR REPLACE FUNCTION app.shown(integer) RETURNS text LANGUAGE sql AS 'SELECT ''x'''",
        "function app.shown(integer)",
    ),
    "function replaced by the same": (
        "CREATE OR REPLACE FUNCTION app.deepest(integer) RETURNS integer LANGUAGE sql AS 'SELECT $1 + 1'",
        "function app.deepest(integer)",
    ),
    "function that a function calls": (
        "CREATE OR REPLACE FUNCTION app.deepest(integer) RETURNS integer LANGUAGE sql AS 'SELECT $1 + 2'",
        "function app.deepest(integer)",
    ),
    "function written as a column": (
        "CREATE OR REPLACE FUNCTION app.stars(app.film) RETURNS text LANGUAGE sql AS 'SELECT ''+'''",
        "function app.stars(film)",
    ),
    "function's settings": (
        "ALTER FUNCTION app.deepest(integer) SET search_path = app",
        "function app.deepest(integer)",
    ),
    "overload": (
        "CREATE FUNCTION app.shown(bigint) RETURNS text LANGUAGE sql AS 'SELECT ''y'''",
        "function app.shown(bigint)",
    ),
    "step of an aggregate": (
        "CREATE OR REPLACE FUNCTION app.step(text, text) RETURNS text LANGUAGE sql IMMUTABLE AS "
        "'SELECT $2 || $1'",
        "function app.step(text, text)",
    ),
    "aggregate": (
        "CREATE OR REPLACE AGGREGATE app.joined(text) (SFUNC = app.step, STYPE = text, INITCOND = 'a')",
        "aggregate app.joined(text)",
    ),
    "function of an operator": (
        "CREATE OR REPLACE FUNCTION app.near(app.pair, app.pair) RETURNS boolean LANGUAGE sql IMMUTABLE "
        "AS 'SELECT false'",
        "function app.near(pair, pair)",
    ),
    "operator for another type": (
        "CREATE FUNCTION app.later(app.pair, text) RETURNS boolean LANGUAGE sql AS 'SELECT true'; "
        "CREATE OPERATOR app.<~> (LEFTARG = app.pair, RIGHTARG = text, FUNCTION = app.later)",
        "operator app.<~>",
    ),
    "cast": ("DROP CAST (app.pair AS text)", "cast of pair to text"),
    "function of a cast": (
        "CREATE OR REPLACE FUNCTION app.as_text(app.pair) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT ''y'''",
        "function app.as_text(pair)",
    ),
    "label of an enum": ("ALTER TYPE app.mood RENAME VALUE 'sad' TO 'blue'", "type app.mood"),
    "label added to an enum": (
        "ALTER TYPE app.mood ADD VALUE 'between' AFTER 'sad'",
        "type app.mood",
    ),
    "constraint of a domain": (
        "ALTER DOMAIN app.short ADD CONSTRAINT shorter CHECK (length(VALUE) < 50)",
        "type app.short",
    ),
    "composite type": ("ALTER TYPE app.pair ADD ATTRIBUTE c integer", "composite type app.pair"),
    "text search configuration": (
        "ALTER TEXT SEARCH CONFIGURATION app.words ALTER MAPPING FOR asciiword WITH app.stems",
        "text search configuration app.words",
    ),
    "collation": (
        'DROP COLLATION app.sorted; CREATE COLLATION app.sorted FROM "POSIX"',
        "collation app.sorted",
    ),
    "column of a static table": (
        "ALTER TABLE app.country ALTER name TYPE varchar(3) USING left(name, 3)",
        "table app.country",
    ),
    "column of a static table that came and went": (
        "ALTER TABLE app.country ADD note text DEFAULT 'x'; ALTER TABLE app.country DROP note",
        "table app.country",
    ),
    "column of a foreign table that came and went": (
        "ALTER FOREIGN TABLE app.distant ADD note text; ALTER FOREIGN TABLE app.distant DROP note",
        "foreign table app.distant",
    ),
    "attribute that came and went": (
        "ALTER TYPE app.pair ADD ATTRIBUTE c integer; ALTER TYPE app.pair DROP ATTRIBUTE c",
        "composite type app.pair",
    ),
    "another table in a schema that is searched earlier": (
        "CREATE TABLE early.film (id integer, title text)",
        "table early.film",
    ),
    "another function in a schema that is searched earlier": (
        "CREATE TYPE early.tag AS (a integer); CREATE VIEW early.film AS SELECT 1 AS id",
        "view early.film",
    ),
    "search_path of the role": (
        "ALTER ROLE {role} SET search_path = app, early",
        "search_path of role or database",
    ),
    "search_path of the database": (
        "ALTER DATABASE {database} SET search_path = app",
        "search_path of role or database",
    ),
    "role of the role": ("ALTER ROLE {role} SET role = 'pg_monitor'", "role of role or database"),
    "search_path of the session": ("SET LOCAL search_path = app, early", "search_path"),
    "language of a text search": (
        "ALTER ROLE {role} IN DATABASE {database} SET default_text_search_config = 'german'",
        "default_text_search_config",
    ),
    "numbers of a language": (
        "ALTER ROLE {role} IN DATABASE {database} SET lc_numeric = 'C'",
        "lc_numeric of role or database",
    ),
    "setting of one's own, of the role": (
        "ALTER ROLE {role} SET app.rate = '2'",
        "app.rate of role or database",
    ),
    "setting of an extension, of the database": (
        "ALTER DATABASE {database} SET pg_trgm.similarity_threshold = 0.9",
        "pg_trgm.similarity_threshold of role or database",
    ),
    # a statement in a transaction cannot be ALTER SYSTEM: what it leads to in a session
    "setting of one's own, of the server": ("SET LOCAL app.rate = '2'", "setting app.rate"),
    "setting of an extension, of the server": (
        "SET LOCAL pg_trgm.similarity_threshold = 0.9",
        "setting pg_trgm.similarity_threshold",
    ),
    "setting that a view reads": (
        "SET LOCAL app.in_a_view = '2'",
        "setting app.in_a_view",
    ),
    "row security for the owner, too": (
        "ALTER TABLE app.secret FORCE ROW LEVEL SECURITY",
        "table app.secret",
    ),
    "no row security": ("ALTER TABLE app.secret DISABLE ROW LEVEL SECURITY", "table app.secret"),
    "function of a policy": (
        "CREATE OR REPLACE FUNCTION app.allowed(text) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT false'",
        "function app.allowed(text)",
    ),
    "function that a policy's function calls": (
        "CREATE OR REPLACE FUNCTION app.permitted() RETURNS boolean LANGUAGE sql STABLE AS 'SELECT false'",
        "function app.permitted()",
    ),
    "column at a foreign server": (
        "ALTER FOREIGN TABLE app.distant ALTER name OPTIONS (ADD column_name 'title')",
        "foreign table app.distant",
    ),
    "user at a foreign server": (
        "CREATE USER MAPPING FOR CURRENT_USER SERVER far OPTIONS (user 'x')",
        "user mappings of the foreign server far",
    ),
}


@pytest.mark.parametrize("kind", SEEN)
def test_what_a_query_depends_on(bench: Bench, kind: str) -> None:
    """Each is seen, and told by its name."""
    statement, name = SEEN[kind]
    told = bench.change(statement)
    assert told is not None
    assert name in told


SWAPPED = """
    ALTER {kind} app.{name} RENAME TO kept;
    ALTER {kind} app.{other} RENAME TO {name};
    ALTER {kind} app.{name} RENAME TO {other};
    ALTER {kind} app.kept RENAME TO {name}"""


@pytest.mark.parametrize(
    ("kind", "name", "like"),
    [
        ("VIEW", "film_view", "VIEW app.{other} AS SELECT 1 AS id"),
        ("TABLE", "country", "TABLE app.{other} (LIKE app.country)"),
        ("TYPE", "mood", "TYPE app.{other} AS ENUM ('glad', 'sad')"),
        ("DOMAIN", "short", "DOMAIN app.{other} AS varchar(2)"),
        ("TYPE", "pair", "TYPE app.{other} AS (b integer, a integer)"),
        ("COLLATION", "sorted", 'COLLATION app.{other} FROM "POSIX"'),
    ],
)
def test_swapped_and_swapped_back(bench: Bench, kind: str, name: str, like: str) -> None:
    """Another one bore the name for a while, and nothing else shows it."""
    bench.connection.execute(f"CREATE {like.format(other='another')}".encode())
    statements = SWAPPED.format(kind=kind, name=name, other="another")
    assert bench.change(statements) is not None


@pytest.mark.parametrize(
    "moved",
    ["VIEW {}.film_view", "TABLE {}.country", "TYPE {}.mood", "DOMAIN {}.short"],
)
def test_moved_and_moved_back(bench: Bench, moved: str) -> None:
    """The name led nowhere, or elsewhere, for a while."""
    away = f"ALTER {moved.format('app')} SET SCHEMA elsewhere"
    assert bench.change(f"{away}; ALTER {moved.format('elsewhere')} SET SCHEMA app") is not None


@pytest.mark.parametrize(
    "there_and_back",
    [
        (
            "CREATE OR REPLACE VIEW app.inner_view AS SELECT id, 'x' AS title, 'sad'::app.mood AS mood FROM app.film",
            "CREATE OR REPLACE VIEW app.inner_view AS "
            "SELECT id, upper(title) AS title, 'sad'::app.mood AS mood FROM app.film",
        ),
        (
            "CREATE OR REPLACE FUNCTION app.deepest(integer) RETURNS integer LANGUAGE sql AS 'SELECT 0'",
            "CREATE OR REPLACE FUNCTION app.deepest(integer) RETURNS integer LANGUAGE sql AS 'SELECT $1 + 1'",
        ),
        (
            "ALTER TYPE app.mood RENAME VALUE 'sad' TO 'blue'",
            "ALTER TYPE app.mood RENAME VALUE 'blue' TO 'sad'",
        ),
        (
            "ALTER VIEW app.film_view RENAME COLUMN title TO caption",
            "ALTER VIEW app.film_view RENAME COLUMN caption TO title",
        ),
        (
            "ALTER TEXT SEARCH CONFIGURATION app.words ALTER MAPPING FOR asciiword WITH app.stems",
            "ALTER TEXT SEARCH CONFIGURATION app.words ALTER MAPPING FOR asciiword WITH pg_catalog.simple",
        ),
    ],
    ids=["view", "function", "enum", "column", "words"],
)
def test_altered_and_altered_back(bench: Bench, there_and_back: tuple[str, str]) -> None:
    """What was written in between was written by another meaning."""
    assert bench.change("; ".join(there_and_back)) is not None


RUN = """CREATE FUNCTION app.run(t text) RETURNS text LANGUAGE plpgsql AS
    $$ DECLARE r text; BEGIN EXECUTE 'SELECT max(name)::text FROM ' || t INTO r; RETURN r; END $$;
    CREATE VIEW app.v_name AS SELECT name FROM app.country; CREATE VIEW app.named AS SELECT 'x' AS name;"""
"""What a function is given becomes a name."""
V_NAME = "CREATE OR REPLACE VIEW app.v_name AS SELECT 'x'::text AS name"
NAMED = "CREATE OR REPLACE VIEW app.named AS SELECT 'y' AS name"
BY_NAME: Mapping[str, tuple[str, str, str, str]] = {
    "default of an argument": (
        "CREATE FUNCTION app.by_default(t text DEFAULT 'app.v_name') RETURNS text LANGUAGE sql AS 'SELECT app.run(t)'",
        "app.by_default()",
        V_NAME,
        "view app.v_name",
    ),
    "constant of a view": (
        "CREATE VIEW app.v AS SELECT app.run('named') AS x",
        "(SELECT x FROM app.v)",
        NAMED,
        "view app.named",
    ),
    "name with other letters in a view": (
        """CREATE VIEW app."kürzel" AS SELECT 'x' AS name; CREATE VIEW app.v AS SELECT app.run('app."kürzel"') AS x""",
        "(SELECT x FROM app.v)",
        """CREATE OR REPLACE VIEW app."kürzel" AS SELECT 'y' AS name""",
        "view app.kürzel",
    ),
    "array in a view": (
        "CREATE VIEW app.v AS SELECT app.run(t) AS x FROM unnest('{named,other}'::text[]) AS t WHERE t <> 'other'",
        "(SELECT x FROM app.v)",
        NAMED,
        "view app.named",
    ),
    "jsonb in a view": (
        """CREATE VIEW app.v AS SELECT app.run('{"a": [1, {"of": "v_name"}], "z": "y"}'::jsonb #>> '{a,1,of}') AS x""",
        "(SELECT x FROM app.v)",
        V_NAME,
        "view app.v_name",
    ),
    "view that makes a name of a text": (
        "CREATE VIEW app.v AS SELECT table_to_xml(to_regclass('named'), true, false, '')::text AS x",
        "(SELECT x FROM app.v)",
        NAMED,
        "view app.named",
    ),
    "condition of a domain": (
        "CREATE DOMAIN app.source AS text CHECK (VALUE IN ('app.v_name', 'app.named'))",
        "app.run((f.title::app.source)::text)",
        NAMED,
        "view app.named",
    ),
    "label of an enum": (
        "CREATE TYPE app.source AS ENUM ('named')",
        "app.run(f.title::app.source::text)",
        NAMED,
        "view app.named",
    ),
    "start of an aggregate": (
        "CREATE FUNCTION app.kept(text, text) RETURNS text LANGUAGE sql AS 'SELECT $1';"
        "CREATE AGGREGATE app.source(text) (SFUNC = app.kept, STYPE = text, INITCOND = 'named', FINALFUNC = app.run)",
        "(SELECT app.source(name) FROM app.country)",
        NAMED,
        "view app.named",
    ),
    "setting of a function": (
        "CREATE FUNCTION app.by_setting() RETURNS text LANGUAGE sql SET app.source = 'v_name' "
        "AS 'SELECT app.run(current_setting(''app.source''))'",
        "app.by_setting()",
        V_NAME,
        "view app.v_name",
    ),
    "setting of the role": (
        "ALTER ROLE {role} SET app.source = 'v_name'",
        "app.run(current_setting('app.source'))",
        V_NAME,
        "view app.v_name",
    ),
    "setting of the server": (
        "SET LOCAL app.source = 'v_name'",
        "app.run(current_setting('app.source'))",
        V_NAME,
        "view app.v_name",
    ),
    "function that is named in a literal": (
        "CREATE FUNCTION app.inner() RETURNS SETOF app.country LANGUAGE sql AS 'SELECT * FROM app.country'",
        "app.run('LATERAL ' || 'inner' || '()')",
        "CREATE OR REPLACE FUNCTION app.inner() RETURNS SETOF app.country LANGUAGE sql AS 'SELECT ''x'', ''y'' '",
        "function app.inner()",
    ),
    "search_path that a function sets": (
        "CREATE VIEW elsewhere.hidden AS SELECT 'x' AS name; CREATE FUNCTION app.by_path() RETURNS text LANGUAGE plpgsql AS "
        "$$ DECLARE r text; BEGIN PERFORM set_config('search_path', 'elsewhere', true); SELECT max(name) INTO r FROM hidden; RETURN r; END $$",
        "app.by_path()",
        "CREATE OR REPLACE VIEW elsewhere.hidden AS SELECT 'y' AS name",
        "view elsewhere.hidden",
    ),
}


@pytest.mark.parametrize("kind", BY_NAME)
def test_a_text_that_becomes_a_name(bench: Bench, kind: str) -> None:
    """Wherever such a text stands, what it names is a part of the meaning."""
    setup, expression, change, name = BY_NAME[kind]
    bench.prepare(RUN + setup.replace("{role}", bench.role))
    told = bench.change(change, f"SELECT f.id, {expression} AS document FROM app.film AS f")
    assert told is not None
    assert name in told


def test_a_name_in_a_body_that_is_no_text(bench: Bench) -> None:
    """BEGIN ATOMIC: the server has it as a tree."""
    if bench.connection.info.server_version < 140000:
        pytest.skip("no such bodies before 14")
    bench.prepare(
        RUN + "CREATE FUNCTION app.atomic() RETURNS text LANGUAGE sql BEGIN ATOMIC "
        "SELECT app.run('app.v_name'); END"
    )
    told = bench.change(V_NAME, "SELECT f.id, app.atomic() AS document FROM app.film AS f")
    assert told is not None
    assert "view app.v_name" in told


AS_COLUMN = {
    "default": "app.film, text DEFAULT '*'",
    "polymorphic": "anyelement",
    "record": "record",
    "variadic": "VARIADIC app.film[]",
}


@pytest.mark.parametrize("column", ["f.label", "(f).label", "app.of_row(f)"])
@pytest.mark.parametrize("kind", AS_COLUMN)
def test_a_function_written_as_a_column(bench: Bench, kind: str, column: str) -> None:
    """Any that can be called with a row alone."""
    make = f"CREATE OR REPLACE FUNCTION app.label({AS_COLUMN[kind]}) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN {{}}; END';"
    bench.prepare(make.format(1))
    bench.prepare(
        "CREATE FUNCTION app.of_row(app.film) RETURNS text LANGUAGE sql AS 'SELECT $1.label'"
    )
    told = bench.change(make.format(2), f"SELECT f.id, {column} AS document FROM app.film AS f")
    assert told is not None
    assert "function app.label(" in told


OPERATOR = (
    "CREATE FUNCTION app.odd({0}, {1}) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true'; "
    "CREATE OPERATOR app.{2} (LEFTARG = {0}, RIGHTARG = {1}, FUNCTION = app.odd)"
)
BY_KEYWORD = {
    "LIKE": ("f.title LIKE 'F%'", OPERATOR.format("varchar", "varchar", "~~")),
    "NOT ILIKE": ("f.title NOT ILIKE 'F%'", OPERATOR.format("varchar", "varchar", "!~~*")),
    "SIMILAR TO": ("f.title SIMILAR TO 'F'", OPERATOR.format("varchar", "text", "~")),
    "IN": ("f.title IN ('F')", OPERATOR.format("varchar", "varchar", "=")),
    "NOT IN": ("f.title NOT IN ('F')", OPERATOR.format("varchar", "varchar", "<>")),
    "BETWEEN": ("f.title BETWEEN 'F' AND 'G'", OPERATOR.format("varchar", "varchar", ">=")),
    "CASE": ("CASE f.title WHEN 'F' THEN 1 END", OPERATOR.format("varchar", "varchar", "=")),
    "literal of a type of one's own": (
        "f.title LIKE 'F'",
        "CREATE TYPE app.odd AS (a text); " + OPERATOR.format("varchar", "app.odd", "~~"),
    ),
    "order": (
        "(SELECT string_agg(c.name, '' ORDER BY c.name) FROM app.country AS c)",
        "CREATE OPERATOR CLASS app.ordered DEFAULT FOR TYPE varchar USING btree AS "
        "OPERATOR 1 <(text, text), FUNCTION 1 bttextcmp(text, text)",
    ),
    "order of rows": ("f IS DISTINCT FROM f", OPERATOR.format("app.film", "app.film", "=")),
    "arrays": (
        "(SELECT v.moods IN (v.moods) FROM app.moods AS v)",
        OPERATOR.format("app.mood[]", "app.mood[]", "="),
    ),
    "cast of a row": (
        "to_json(f)",
        "CREATE FUNCTION app.odd(app.film) RETURNS json LANGUAGE sql AS 'SELECT ''1''::json'; "
        "CREATE CAST (app.film AS json) WITH FUNCTION app.odd(app.film)",
    ),
}


@pytest.mark.parametrize("kind", BY_KEYWORD)
def test_what_no_text_shows(bench: Bench, kind: str) -> None:
    """Operators that keywords stand for, and what sorts, compares and casts without a word."""
    expression, change = BY_KEYWORD[kind]
    bench.prepare("CREATE VIEW app.moods AS SELECT array_agg(mood) AS moods FROM app.film_view")
    told = bench.change(change, f"SELECT f.id, {expression} AS document FROM app.film AS f")
    assert told is not None


BUILT_IN = {
    "function": (
        "initcap(f.title)",
        "CREATE OR REPLACE FUNCTION pg_catalog.initcap(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS 'SELECT lower($1)'",
    ),
    "function of an operator": (
        "f.title LIKE 'F'",
        "CREATE OR REPLACE FUNCTION pg_catalog.textlike(text, text) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT AS 'textnlike'",
    ),
    "setting of a function": (
        "initcap(f.title)",
        "ALTER FUNCTION pg_catalog.initcap(text) SET search_path = app",
    ),
    "aggregate": (
        "(SELECT bool_and(true) FROM app.country)",
        "CREATE OR REPLACE AGGREGATE pg_catalog.bool_and(boolean) (SFUNC = pg_catalog.boolor_statefunc, STYPE = boolean)",
    ),
    "view": (
        "(SELECT catalog_name::text FROM information_schema.information_schema_catalog_name)",
        "CREATE OR REPLACE VIEW information_schema.information_schema_catalog_name AS "
        "SELECT 'x'::information_schema.sql_identifier AS catalog_name",
    ),
}


@pytest.mark.parametrize("kind", BUILT_IN)
def test_what_the_server_came_with(bench: Bench, kind: str) -> None:
    """Its owner may replace it."""
    expression, change = BUILT_IN[kind]
    told = bench.change(change, f"SELECT f.id, {expression} AS document FROM app.film AS f")
    assert told is not None
    assert "built-in" in told


def test_what_a_replaced_function_of_the_server_calls(bench: Bench) -> None:
    """Its body is a text by then, as that of any other one."""
    bench.prepare(
        "CREATE OR REPLACE FUNCTION pg_catalog.initcap(text) RETURNS text LANGUAGE sql IMMUTABLE "
        "AS 'SELECT app.deepest(1)::text'"
    )
    told = bench.change(
        "CREATE OR REPLACE FUNCTION app.deepest(integer) RETURNS integer LANGUAGE sql AS 'SELECT 0'",
        "SELECT f.id, initcap(f.title) AS document FROM app.film AS f",
    )
    assert told is not None
    assert "function app.deepest(integer)" in told


NOT_SEEN = {
    "ANALYZE": "ANALYZE",
    "VACUUM": "CLUSTER app.country USING country_pkey; REINDEX TABLE app.country",
    "rights": "GRANT SELECT ON ALL TABLES IN SCHEMA app TO PUBLIC; "
    "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA app TO PUBLIC; "
    "REVOKE EXECUTE ON FUNCTION app.deepest(integer) FROM PUBLIC; "
    "GRANT USAGE ON TYPE app.mood TO PUBLIC; GRANT USAGE ON SCHEMA app TO PUBLIC",
    "rights on what the server came with": "REVOKE EXECUTE ON FUNCTION pg_catalog.lpad(text, integer) FROM PUBLIC; "
    "REVOKE EXECUTE ON FUNCTION pg_catalog.repeat(text, integer), pg_catalog.max(text) FROM PUBLIC; "
    "GRANT SELECT ON information_schema.tables TO {role}",
    "operator class of an index": "CREATE OPERATOR CLASS app.ordered FOR TYPE varchar USING btree AS "
    "OPERATOR 1 <(text, text), FUNCTION 1 bttextcmp(text, text)",
    "comments": "COMMENT ON VIEW app.film_view IS 'x'; "
    "COMMENT ON FUNCTION app.deepest(integer) IS 'x'; COMMENT ON TYPE app.mood IS 'x'",
    "owner of a function": "ALTER FUNCTION app.deepest(integer) OWNER TO {role}",
    "index": "CREATE INDEX ON app.country (name); CREATE INDEX ON app.film (title)",
    "another view": "CREATE OR REPLACE VIEW app.unread AS SELECT 2 AS id",
    "another function": "CREATE OR REPLACE FUNCTION app.unread() RETURNS integer LANGUAGE sql "
    "AS 'SELECT 2'",
    "same name in a schema that is not searched": "CREATE VIEW elsewhere.film_view AS SELECT 1 AS id; "
    "CREATE FUNCTION elsewhere.shown(integer) RETURNS text LANGUAGE sql AS 'SELECT ''z'''",
    "a function with the name of a column": "CREATE FUNCTION app.id() RETURNS integer LANGUAGE sql "
    "AS 'SELECT 2'; CREATE FUNCTION app.document(integer) RETURNS integer LANGUAGE sql AS 'SELECT 2'",
    "rows": "INSERT INTO app.country VALUES ('x', 'y')",
    "planner's figures": "ALTER FUNCTION app.deepest(integer) COST 5; "
    "ALTER TABLE app.country SET (fillfactor = 50); ALTER TABLE app.country ALTER name SET STATISTICS 5",
    "another extension": "CREATE EXTENSION hstore SCHEMA public",
    "settings that change no result": "ALTER ROLE {role} SET statement_timeout = '5s'; "
    "ALTER ROLE {role} SET work_mem = '5MB'",
    "settings that are as they are built in": "SET LOCAL pg_trgm.similarity_threshold = 0.3",
    "a setting of an extension that is not used": "SET LOCAL auto_explain.log_min_duration = '5s'",
    "a setting that nothing reads": "SET LOCAL other.rate = '2'",
    "password at a foreign server": "ALTER USER MAPPING FOR PUBLIC SERVER far OPTIONS (SET password 'y')",
    "settings of others": "ALTER ROLE postgres IN DATABASE {database} SET search_path = elsewhere",
}


@pytest.mark.parametrize("kind", NOT_SEEN)
def test_what_changes_no_result(bench: Bench, kind: str) -> None:
    """Nothing is compared for it."""
    assert bench.change(NOT_SEEN[kind]) is None


def test_it_takes_no_lock(session: tuple[Connection, str], server: PostgresServer) -> None:
    """A migration that holds everything does not hold the audit."""
    connection, name = session
    with psycopg.connect(server.dsn(name)) as migration:
        migration.execute("LOCK TABLE app.film, app.country IN ACCESS EXCLUSIVE MODE")
        migration.execute("ALTER VIEW app.film_view RENAME COLUMN title TO caption")
        migration.execute("ALTER FUNCTION app.deepest(integer) COST 7")
        with connection.transaction(force_rollback=True):
            connection.execute("SET LOCAL statement_timeout = '5s'")
            assert Bench(connection, name).read()
        migration.rollback()


def test_whom_the_policies_of_a_function_concern(bench: Bench) -> None:
    """A function with the rights of its owner, and row security on."""
    owner, editors = f"{bench.role}_owner", f"{bench.role}_editors"
    bench.connection.execute(
        f"CREATE ROLE {owner}; CREATE ROLE {editors}; ALTER FUNCTION app.revealed() OWNER TO {owner}".encode()
    )
    assert bench.change(f"CREATE ROLE {bench.role}_other") is None
    for statement in (f"GRANT {editors} TO {owner}", f"ALTER ROLE {owner} BYPASSRLS"):
        altered = bench.change(statement)
        assert altered is not None
        assert "function app.revealed()" in altered


def test_what_is_hidden_from_the_role(bench: Bench) -> None:
    """A database may hide the users of foreign servers from all: the rest is told."""
    bench.connection.execute(
        f"CREATE ROLE {bench.role}_reader; GRANT USAGE ON SCHEMA app, early TO {bench.role}_reader; "
        "REVOKE SELECT ON pg_catalog.pg_user_mappings FROM PUBLIC; "
        f"SET LOCAL ROLE {bench.role}_reader".encode()
    )
    found = bench.read()
    assert "foreign server far" in found
    assert "user mappings of the foreign server far" not in found


def test_a_setting_that_superusers_are_shown(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It hides no other one. (Those of the server itself have no dot.)"""
    monkeypatch.setattr(meaning, "_DOTTED", re.compile(r"data_directory|\w+\.\w+"))
    bench.connection.execute(
        f"CREATE ROLE {bench.role}_reader; GRANT USAGE ON SCHEMA app, early TO {bench.role}_reader;"
        f"SET LOCAL app.rate = '2'; SET LOCAL pg_trgm.similarity_threshold = 0.9;"
        f"SET LOCAL ROLE {bench.role}_reader".encode()
    )
    text = QUERY.replace("'x'::app.short", "current_setting('data_directory')")
    found = meaning.read(bench.connection, [Watch("app", "film", ("id",))], {"x": [text]})["x"]
    assert {"setting app.rate", "setting pg_trgm.similarity_threshold"} <= set(found)
    assert "setting data_directory" not in found


OF_PG_TRGM = "UPDATE pg_catalog.pg_proc SET {} WHERE probin = '$libdir/pg_trgm'"
UNLOADABLE = {
    "58P01": OF_PG_TRGM.format("probin = '$libdir/none'"),
    "42883": OF_PG_TRGM.format("prosrc = 'none'"),
    # a library, and none of PostgreSQL's
    "XX000": OF_PG_TRGM.format(
        "probin = (SELECT setting FROM pg_config WHERE name = 'LIBDIR') || '/libpq.so.5'"
    ),
    "42501": "DO $$ DECLARE f regprocedure; BEGIN FOR f IN SELECT oid FROM pg_proc "
    "WHERE probin = '$libdir/pg_trgm' LOOP "
    "EXECUTE 'REVOKE EXECUTE ON FUNCTION ' || f || ' FROM PUBLIC'; END LOOP; END $$; "
    "CREATE ROLE {role}_reader; GRANT USAGE ON SCHEMA app, early TO {role}_reader; "
    "SET LOCAL ROLE {role}_reader",
}


@pytest.mark.parametrize("sqlstate", UNLOADABLE)
def test_a_library_that_cannot_be_loaded(bench: Bench, sqlstate: str) -> None:
    """Nor can a query load it: what it means is told without it."""
    bench.connection.execute(UNLOADABLE[sqlstate].format(role=bench.role).encode())
    [(extension,)] = bench.connection.execute(
        "SELECT oid::bigint FROM pg_extension WHERE extname = 'pg_trgm'"
    )
    with pytest.raises(psycopg.Error) as refused, bench.connection.transaction():
        bench.connection.execute(files.load("meaning/load"), {"extension": extension})
    assert refused.value.sqlstate == sqlstate
    assert "extension pg_trgm" in bench.read()


def test_a_library_that_ends_the_session(
    session: tuple[Connection, str], server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told once, by its name; the next session leaves it alone."""
    _, name = session
    load = files.load
    connections: list[Connection] = []

    def loaded(file: str) -> str:
        if file == "meaning/load":
            connections[-1].close()
        return load(file)

    def read() -> meaning.Meaning:
        with psycopg.connect(server.socket_dsn(name, user=name), autocommit=True) as connection:
            connections.append(connection)
            return Bench(connection, name).read()

    monkeypatch.setattr(files, "load", loaded)
    monkeypatch.setattr(meaning, "_deadly", set())
    with pytest.raises(psycopg.OperationalError) as ended:
        read()
    assert "extension pg_trgm" in ended.value.__notes__[0]
    assert "extension pg_trgm" in read()


@pytest.mark.parametrize("how", ["terminate", "cancel"])
def test_a_person_ends_it_meanwhile(
    session: tuple[Connection, str],
    server: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    """No library is at fault, and nothing is told of what a query means."""
    _, name = session
    load = files.load
    ended = f"SELECT pg_{how}_backend(pg_backend_pid()), pg_sleep(9) WHERE %(extension)s > 0"
    monkeypatch.setattr(files, "load", lambda file: ended if file == "meaning/load" else load(file))
    monkeypatch.setattr(meaning, "_deadly", set())
    with (
        psycopg.connect(server.socket_dsn(name, user=name), autocommit=True) as connection,
        pytest.raises((errors.AdminShutdown, errors.QueryCanceled)),
    ):
        Bench(connection, name).read()
    assert not meaning._deadly


def test_it_is_not_compiled(bench: Bench) -> None:
    """The planner takes a look at the catalog for a long one; to compile it takes a hundred times
    as long as to run it, at each audit."""
    assert bench.connection.execute("SHOW jit").fetchone() == ("off",)
