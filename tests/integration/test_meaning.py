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
        'like', f.title OPERATOR(public.%%) 'film', 'secret', app.revealed(),
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

    def read(self) -> meaning.Meaning:
        """Now."""
        watches = [Watch("app", "film", ("id",))]
        return meaning.read(self.connection, watches, {"x": [QUERY]})["x"]

    def change(self, statements: str) -> str | None:
        """Run these and say what differs then."""
        before = self.read()
        text = statements.format(role=self.role, database=self.connection.info.dbname)
        self.connection.execute(text.encode())
        return meaning.altered(before, self.read())


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


NOT_SEEN = {
    "ANALYZE": "ANALYZE",
    "VACUUM": "CLUSTER app.country USING country_pkey; REINDEX TABLE app.country",
    "rights": "GRANT SELECT ON ALL TABLES IN SCHEMA app TO PUBLIC; "
    "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA app TO PUBLIC; "
    "REVOKE EXECUTE ON FUNCTION app.deepest(integer) FROM PUBLIC; "
    "GRANT USAGE ON TYPE app.mood TO PUBLIC; GRANT USAGE ON SCHEMA app TO PUBLIC",
    "comments": "COMMENT ON VIEW app.film_view IS 'x'; "
    "COMMENT ON FUNCTION app.deepest(integer) IS 'x'; COMMENT ON TYPE app.mood IS 'x'",
    "owner of a function": "ALTER FUNCTION app.deepest(integer) OWNER TO {role}",
    "index": "CREATE INDEX ON app.country (name); CREATE INDEX ON app.film (title)",
    "another view": "CREATE OR REPLACE VIEW app.unread AS SELECT 2 AS id",
    "another function": "CREATE OR REPLACE FUNCTION app.unread() RETURNS integer LANGUAGE sql "
    "AS 'SELECT 2'",
    "same name in a schema that is not searched": "CREATE VIEW elsewhere.film_view AS SELECT 1 AS id; "
    "CREATE FUNCTION elsewhere.shown(integer) RETURNS text LANGUAGE sql AS 'SELECT ''z'''",
    "a function with the name of a column": "CREATE FUNCTION app.mood() RETURNS integer LANGUAGE sql "
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
