"""The checks of PostgreSQL: server, rights, SQL files; on a real one."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from listener.changes import KeyType
from listener.checks import (
    Finding,
    Statement,
    check_privileges,
    check_server,
    check_statements,
    sample,
)
from listener.checks.preflight import look_at_database
from listener.config import Config, DocumentConfig, PostgresConfig
from listener.documents.queries import render
from listener.postgres import Connection, Pooled, connect, describe
from playground.cluster import PASSWORD
from playground.postgres import PostgresServer
from tests.kit.servers import own_postgres

SCHEMA = """
CREATE SCHEMA content;
CREATE TABLE content.film (id uuid PRIMARY KEY, title text, updated_at timestamptz);
CREATE TABLE content.genre (id int PRIMARY KEY, name text);
CREATE TABLE content.film_genre (
    film_id uuid REFERENCES content.film (id), genre_id int REFERENCES content.genre (id));
CREATE TABLE content.language (code text, name text);
CREATE VIEW content.film_view AS
    SELECT f.id, f.title, g.name AS genre FROM content.film AS f
    LEFT JOIN content.film_genre AS fg ON fg.film_id = f.id
    LEFT JOIN content.genre AS g ON g.id = fg.genre_id;
CREATE TABLE content.rating (film_id uuid, stars int) PARTITION BY RANGE (stars);
CREATE TABLE content.rating_low PARTITION OF content.rating FOR VALUES FROM (0) TO (5);
CREATE TABLE content.rating_high PARTITION OF content.rating FOR VALUES FROM (5) TO (10);
CREATE MATERIALIZED VIEW content.best AS SELECT film_id, max(stars) AS stars
    FROM content.rating GROUP BY film_id;
CREATE FUNCTION content.inlined(text) RETURNS SETOF text LANGUAGE sql STABLE
    AS 'SELECT name FROM content.language WHERE code = $1';
CREATE FUNCTION content.opaque(uuid) RETURNS bigint LANGUAGE plpgsql STABLE
    AS 'BEGIN RETURN (SELECT count(*) FROM content.language); END';
CREATE FUNCTION content.pure(uuid) RETURNS text LANGUAGE plpgsql IMMUTABLE
    AS 'BEGIN RETURN $1::text; END';
CREATE FUNCTION content.changing() RETURNS float LANGUAGE sql VOLATILE AS 'SELECT random()';
"""
HEAD = "SELECT f.id, json_build_object('title', f.title{more}) AS document FROM content.film AS f"
TAIL = " WHERE f.id = ANY(%(ids)s::text[]::uuid[])"
QUERY = HEAD.format(more="") + TAIL

Check = Callable[..., list[Finding]]


def config(server: PostgresServer, dbname: str, **options: Any) -> PostgresConfig:
    """How to reach a database of the playground, as its superuser if nothing else is said."""
    given = {"host": "127.0.0.1", "port": server.port, "dbname": dbname}
    return PostgresConfig.model_validate(
        {**given, "user": "postgres", "password": PASSWORD, **options}
    )


@pytest.fixture(scope="module")
def connection(postgres_server: PostgresServer) -> Iterator[Connection]:
    """A session like the daemon's, in a database with SCHEMA: for tests that change nothing."""
    name = "test_checks"
    postgres_server.create_database(name)
    postgres_server.execute(SCHEMA, name)
    with connect(config(postgres_server, name), "test") as opened:
        yield opened
    postgres_server.drop_database(name)


@pytest.fixture
def fresh(postgres_server: PostgresServer, database: str) -> Iterator[Connection]:
    """The same in a database of the test's own."""
    postgres_server.execute(SCHEMA, database)
    with connect(config(postgres_server, database), "test") as opened:
        yield opened


@pytest.fixture
def role(postgres_server: PostgresServer, database: str) -> Iterator[str]:
    """A role without any right, gone at the end of the test."""
    name = f"Role {database}"
    postgres_server.execute(f"CREATE ROLE \"{name}\" LOGIN PASSWORD 'x'")
    yield name
    postgres_server.execute(f'DROP OWNED BY "{name}"', database)
    postgres_server.execute(f'DROP ROLE "{name}"')


def document(*watched: str, static: tuple[str, ...] = (), **options: Any) -> DocumentConfig:
    """A document of films that watches content.film and more."""
    watch = [{"table": "content.film", "key": "id"}]
    watch += [{"table": name, "key": "id"} for name in watched]
    return DocumentConfig.model_validate(
        {
            "index": "films",
            "index_config_file": "index.json",
            "query_file": "film.sql",
            "table": "content.film",
            "key": "id",
            "watch": watch,
            "static": static,
            **options,
        }
    )


def inspect(
    connection: Connection,
    sql: str,
    *watched: str,
    static: tuple[str, ...] = (),
    role: Any = "query",
    name: str = "ids",
    types: tuple[KeyType, ...] = ("uuid",),
) -> list[Finding]:
    """The findings of one statement."""
    parameters = sample(name, types, array=role != "ids")
    statement = Statement(role, Path("film.sql"), sql, parameters)
    return check_statements(connection, document(*watched, static=static), [statement])


def only(found: list[Finding], severity: str, what: str, mend: str = "") -> None:
    """There is one finding, and it says this."""
    assert len(found) == 1, found
    assert found[0].severity == severity
    assert what in found[0].what
    assert mend in found[0].mend


def test_a_query_without_fault(connection: Connection) -> None:
    """Nothing is found, nothing is left behind."""
    assert inspect(connection, QUERY) == []
    left = connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()
    assert left == (0,)
    assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert inspect(connection, QUERY + " -- the end") == []


def test_an_unwatched_table_is_an_error_with_the_lines_to_add(connection: Connection) -> None:
    """A table with a foreign key to the document needs no mapping; others do."""
    genres = (
        ", 'genres', (SELECT json_agg(g.name) FROM content.film_genre AS fg "
        "JOIN content.genre AS g ON g.id = fg.genre_id WHERE fg.film_id = f.id)"
    )
    sql = HEAD.format(more=genres) + TAIL
    found = inspect(connection, sql)
    assert [one.severity for one in found] == ["error", "error"]
    assert found[0].what == (
        "films: film.sql: it reads content.film_genre, which is neither watched nor static: its "
        "changes would not reach films"
    )
    assert found[0].mend == (
        "watch:\n  - table: content.film_genre\n    key: film_id\n"
        "or, if it never changes,\nstatic: [content.film_genre]"
    )
    assert "content.genre," in found[1].what
    assert "key: id\n    mapping_file: FILE.sql # keys to ids of films\n" in found[1].mend
    assert inspect(connection, sql, "content.film_genre", static=("content.genre",)) == []


@pytest.mark.parametrize(
    "sql",
    [
        "WITH l AS MATERIALIZED (SELECT code FROM content.language) SELECT f.id, "
        "to_json((SELECT count(*) FROM l)) AS document FROM content.film AS f" + TAIL,
        HEAD.format(more=", 'n', (SELECT count(*) FROM content.language)") + TAIL,
        HEAD.format(more=", 'n', EXISTS (SELECT FROM content.language)") + TAIL,
        HEAD.format(more=", 'n', f.title IN (SELECT code FROM content.language)") + TAIL,
        HEAD.format(more="")
        + " CROSS JOIN LATERAL (SELECT FROM content.language AS l WHERE l.code = f.title) AS x"
        + TAIL,
        QUERY + " UNION ALL SELECT NULL::uuid, '{}'::json FROM content.language",
        QUERY.replace(" WHERE", " CROSS JOIN LATERAL content.inlined(f.title) WHERE"),
    ],
    ids=["cte", "initplan", "exists", "subplan", "lateral", "union", "inlined function"],
)
def test_tables_are_seen_wherever_they_stand(connection: Connection, sql: str) -> None:
    """In every corner of a statement."""
    found = [one for one in inspect(connection, sql) if one.severity == "error"]
    only(found, "error", "it reads content.language,", "static: [content.language]")


def test_views_are_seen_through(connection: Connection) -> None:
    """The tables behind a view are what is to be watched; the view itself is nothing."""
    sql = "SELECT v.id, row_to_json(v) AS document FROM content.film_view AS v" + TAIL.replace(
        "f.id", "v.id"
    )
    found = inspect(connection, sql)
    assert ["content.film_genre" in found[0].what, "content.genre" in found[1].what] == [True] * 2
    assert len(found) == 2


def test_what_the_plan_leaves_out_is_a_warning(connection: Connection) -> None:
    """A join that the planner removes, a condition that is never true."""
    for sql in (
        QUERY.replace(" WHERE", " LEFT JOIN content.genre AS g ON g.id = 7 WHERE"),
        QUERY.replace(" WHERE", " LEFT JOIN content.genre AS g ON false WHERE"),
    ):
        found = inspect(connection, sql)
        only(
            found, "warning", "it names content.genre, which is neither", "static: [content.genre]"
        )


def test_partitions_count_as_their_root(connection: Connection) -> None:
    """Read directly, read through the root, and where pruning would leave some out."""
    for table, where in (
        ("content.rating", ""),
        ("content.rating", "AND r.stars = 7"),
        ("content.rating", "AND r.stars = 70"),
        ("content.rating_low", ""),
    ):
        more = f", 'n', (SELECT sum(r.stars) FROM {table} AS r WHERE r.film_id = f.id {where})"
        sql = HEAD.format(more=more) + TAIL
        only(inspect(connection, sql), "error", "it reads content.rating,", "content.rating\n")
        assert inspect(connection, sql, "content.rating") == []


def test_what_fires_no_trigger_cannot_be_watched(connection: Connection) -> None:
    """A materialized view, a system catalog."""
    sql = HEAD.format(more=", 'n', (SELECT max(stars) FROM content.best)") + TAIL
    only(inspect(connection, sql), "error", "content.best, a materialized view", "static: [content")
    assert inspect(connection, sql, static=("content.best",)) == []
    sql = HEAD.format(more=", 'n', (SELECT count(*) FROM pg_enum)") + TAIL
    only(inspect(connection, sql), "warning", "it reads pg_catalog.pg_enum, a system catalog")
    assert inspect(connection, sql, static=("pg_catalog.pg_enum",)) == []


@pytest.mark.parametrize(
    ("expression", "what"),
    [
        ("now()", "the clock (now())"),
        ("current_date", "the clock (CURRENT_DATE)"),
        ("localtimestamp", "the clock (LOCALTIMESTAMP)"),
        ("age(f.updated_at)", "the clock (CURRENT_DATE)"),
        ("'today'::date", "the clock ('today')"),
        ("f.updated_at > now() - interval '1 day'", "the clock (now())"),
        ("random()", "volatile functions (random())"),
        ("clock_timestamp()", "volatile functions (clock_timestamp())"),
        ("content.changing()", "volatile functions (random())"),
    ],
)
def test_documents_that_change_by_themselves(
    connection: Connection, expression: str, what: str
) -> None:
    """A warning: nobody tells listener when the clock has moved."""
    found = inspect(connection, HEAD.format(more=f", 'x', {expression}") + TAIL)
    only(found, "warning", f"its result depends on {what}: such a document changes by itself")
    in_filter = QUERY + f" AND ({expression}) IS NOT NULL"
    assert found == inspect(connection, in_filter)


@pytest.mark.parametrize(
    "expression",
    [
        "age(f.updated_at, f.updated_at)",
        "to_char(f.updated_at, 'YYYY')",
        "'now() and random()'",
        "lower(f.title)",
        "content.pure(f.id)",
        "f.title::varchar(20)",
        "1.5::numeric(10, 2)",
        "coalesce(f.title, '')",
        "extract(year from f.updated_at)",
    ],
)
def test_what_does_not_change_by_itself(connection: Connection, expression: str) -> None:
    """No false alarm."""
    assert inspect(connection, HEAD.format(more=f", 'x', {expression}") + TAIL) == []


def test_a_function_that_hides_what_it_reads(connection: Connection) -> None:
    """Neither plan nor locks look into PL/pgSQL."""
    found = inspect(connection, HEAD.format(more=", 'x', content.opaque(f.id)") + TAIL)
    only(found, "warning", "what content.opaque() reads inside cannot be seen", "IMMUTABLE")


@pytest.mark.parametrize(
    ("sql", "role", "what"),
    [
        ("SELECT f.id FROM content.film AS f" + TAIL, "query", "and returns id"),
        (QUERY.replace("AS document", "AS doc"), "query", "and returns id, doc"),
        (QUERY.replace("f.id,", "f.id, 1 AS n,", 1), "query", "and returns id, n, document"),
        ("SELECT f.id AS film FROM content.film AS f" + TAIL, "mapping", "and returns film"),
        ("SELECT f.id, f.id FROM content.film AS f" + TAIL, "mapping", "and returns id, id"),
    ],
)
def test_columns(connection: Connection, sql: str, role: str, what: str) -> None:
    """A query returns id and document, the others id."""
    only(inspect(connection, sql, role=role), "error", what)


@pytest.mark.parametrize(
    ("types", "expression", "what"),
    [
        (
            ("uuid",),
            "fg.genre_id",
            "its ids are of the type integer, and the key of content.film is of uuid",
        ),
        (("integer",), "fg.film_id", "its ids are of the type uuid"),
        (("uuid", "integer"), "fg.film_id", "has 2 columns"),
        (("uuid",), "fg.film_id", None),
        (("uuid",), "fg.film_id::text", None),
        (("bigint",), "fg.genre_id", None),
        (("text",), "fg.genre_id", None),
        (("uuid", "integer"), "json_build_array(fg.film_id, fg.genre_id)", None),
    ],
)
def test_types_of_ids(
    connection: Connection, types: tuple[KeyType, ...], expression: str, what: str | None
) -> None:
    """A mapping that returns the wrong column would lead to no document, or fail for each key."""
    sql = f"SELECT {expression} AS id FROM content.film_genre AS fg WHERE genre_id = ANY(%(keys)s)"
    given = sample("keys", ("integer",), array=True)
    statement = Statement(
        "mapping",
        Path("x.sql"),
        render(sql, "keys", ("integer",), array=True, path=Path()),
        given,
        types,
    )
    found = check_statements(connection, document("content.film_genre"), [statement])
    if what is None:
        assert found == []
    else:
        only(found, "error", what, "as id")


def test_mapping_and_ids_files(connection: Connection) -> None:
    """Arrays of keys, and a page with `after` and `limit`; composite keys have a column each."""
    sql = "SELECT fg.film_id AS id FROM content.film_genre AS fg WHERE fg.genre_id = ANY({})"
    one = sql.format("%(keys)s::text[]::integer[]")
    watched = ("content.film_genre",)
    assert inspect(connection, one, *watched, role="mapping", name="keys", types=("integer",)) == []
    two = (
        sql.format("%(keys_1)s::text[]::integer[]") + " AND %(keys_2)s::text[]::text[] IS NOT NULL"
    )
    types: tuple[KeyType, ...] = ("integer", "text")
    assert inspect(connection, two, *watched, role="mapping", name="keys", types=types) == []
    page = Statement(
        "ids",
        Path("ids.sql"),
        "SELECT id FROM content.film WHERE id > %(after)s::text::uuid LIMIT %(limit)s",
        {**sample("after", ("uuid",), array=False), "limit": 1},
    )
    assert check_statements(connection, document(), [page]) == []


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("SELECT f.id,\n  f.titel AS document\nFROM content.film AS f" + TAIL, "line 2: column f."),
        ("SELECT id, document\nFROM content.film\nWHERE WHERE", "line 3: syntax error"),
        ("SELECT id FROM content.filmm", 'line 1: relation "content.filmm" does not exist'),
        (HEAD.format(more="") + "\nWHERE f.id = %(ids)s::text[]::uuid[]", "line 2: operator does"),
        (QUERY + "; DROP TABLE content.film", "cannot insert multiple commands"),
        ("DELETE FROM content.film RETURNING id, '{}' AS document", "line 1: syntax error"),
        ("VACUUM", "line 1: syntax error"),
    ],
)
def test_statements_that_fail(fresh: Connection, sql: str, what: str) -> None:
    """PostgreSQL's own words, with the line of the file; nothing of it is run."""
    fresh.execute("INSERT INTO content.film VALUES (gen_random_uuid())")
    found = inspect(fresh, sql)
    assert found[0].severity == "error"
    assert f"film.sql: {what}" in found[0].what
    assert {"filmm": "did you mean content.film?", "= %": "write COLUMN = ANY(%(ids)s)"}.get(
        next((one for one in ("filmm", "= %") if one in sql), ""), ""
    ) in found[0].mend
    assert fresh.execute("SELECT count(*) FROM content.film").fetchone() == (1,)
    assert inspect(fresh, QUERY) == []  # the session is as good as before


def test_a_percent_sign(connection: Connection) -> None:
    """In a file it is SQL; what is inspected has it doubled, for psycopg."""
    text = QUERY.replace("::text[]::uuid[]", "") + " AND f.title LIKE 'a%' AND 5 % 3 = 2"
    assert inspect(connection, render(text, "ids", ("uuid",), array=True, path=Path("x"))) == []


def test_errors_of_the_connection_pass(postgres_server: PostgresServer, fresh: Connection) -> None:
    """They are the server's state, no finding."""
    postgres_server.execute(
        "SELECT pg_terminate_backend(%(pid)s)", params={"pid": fresh.info.backend_pid}
    )
    with pytest.raises(psycopg.OperationalError):
        inspect(fresh, QUERY)


def test_rights(
    postgres_server: PostgresServer, database: str, fresh: Connection, role: str
) -> None:
    """Each missing right with the GRANT that mends it, until there is none."""
    watching = document("content.genre")
    watching = watching.model_copy(
        update={
            "watch": (
                watching.watch[0].model_copy(update={"updated_at": "updated_at"}),
                watching.watch[1],
            )
        }
    )
    with connect(config(postgres_server, database, user=role, password="x"), "test") as session:
        found = check_privileges(session, [watching], "listener")
        assert [one.mend for one in found] == [
            f'GRANT USAGE ON SCHEMA "content" TO "{role}";',
            f'GRANT SELECT ON "content"."film" TO "{role}";',
            f'GRANT SELECT ON "content"."genre" TO "{role}";',
        ]
        denied = inspect(session, QUERY)
        only(denied, "error", "permission denied for schema content", "USAGE ON SCHEMA")
        for one in found:
            fresh.execute(one.mend.encode())
        assert check_privileges(session, [watching], "listener") == []
        assert inspect(session, QUERY) == []


def test_what_can_be_no_table_is_told_beside_missing_rights(
    postgres_server: PostgresServer, database: str, fresh: Connection, role: str
) -> None:
    """Of each document. A right to read a view would mend nothing, so none is asked for."""
    fresh.execute(f'GRANT USAGE ON SCHEMA content TO "{role}"'.encode())
    given = config(postgres_server, database, user=role, password="x")
    with connect(given, "test") as session:
        whole = Config(
            pipeline="p",
            postgres=given,
            documents=(
                document("content.genre", table="content.film_view"),
                document("content.best", table="content.fillm", index="others"),
            ),
        )
        found = look_at_database(whole, session)
    told = {one.what.partition(": ")[0]: one for one in found}
    assert "page their ids by an `ids_file`" in told["content.film_view"].what
    assert "did you mean content.film?" in told["content.fillm"].what
    rights = [one.mend for one in found if one.mend.startswith("GRANT SELECT")]
    assert rights == [
        f'GRANT SELECT ON "content"."{name}" TO "{role}";' for name in ("film", "genre")
    ]


def test_rights_on_columns_are_enough(
    postgres_server: PostgresServer, database: str, fresh: Connection, role: str
) -> None:
    """Those on the key and the stamp; a table that is not granted is named by the statement."""
    fresh.execute(f'GRANT USAGE ON SCHEMA content TO "{role}"'.encode())
    fresh.execute(f'GRANT SELECT (id, title) ON content.film TO "{role}"'.encode())
    with connect(config(postgres_server, database, user=role, password="x"), "test") as session:
        assert check_privileges(session, [document()], "listener") == []
        assert inspect(session, QUERY) == []
        sql = HEAD.format(more=", 'n', (SELECT count(*) FROM content.language)") + TAIL
        found = inspect(session, sql, static=("content.language",))
        assert f'GRANT SELECT ON "content"."language" TO "{role}";' in [one.mend for one in found]


def test_row_level_security(
    postgres_server: PostgresServer, database: str, fresh: Connection, role: str
) -> None:
    """Rows that a policy hides would be deleted from the index."""
    for statement in (
        f'GRANT USAGE ON SCHEMA content TO "{role}"',
        f'GRANT SELECT ON ALL TABLES IN SCHEMA content TO "{role}"',
        "ALTER TABLE content.film ENABLE ROW LEVEL SECURITY",
    ):
        fresh.execute(statement.encode())
    with connect(config(postgres_server, database, user=role, password="x"), "test") as session:
        found = check_privileges(session, [document()], "listener")
        only(found, "error", "row-level security hides rows of content.film", "BYPASSRLS;")
        only(inspect(session, QUERY), "error", "row-level security policy", "BYPASSRLS")
        fresh.execute(found[0].mend.encode())
    with connect(config(postgres_server, database, user=role, password="x"), "test") as session:
        assert check_privileges(session, [document()], "listener") == []


def test_rights_on_our_own_schema(
    postgres_server: PostgresServer, database: str, fresh: Connection, role: str
) -> None:
    """Where the schema is there (else the triggers are not installed, which is told elsewhere)."""
    fresh.execute(
        b"CREATE SCHEMA listener CREATE TABLE meta (a int) CREATE TABLE journal (a int) "
        b"CREATE TABLE parked (a int)"
    )
    fresh.execute(f'GRANT USAGE ON SCHEMA content TO "{role}"'.encode())
    fresh.execute(f'GRANT SELECT ON content.film TO "{role}"'.encode())
    with connect(config(postgres_server, database, user=role, password="x"), "test") as session:
        found = check_privileges(session, [document()], "listener")
        assert sorted(one.mend for one in found) == [
            f'GRANT DELETE, INSERT, SELECT ON "listener"."journal" TO "{role}";',
            f'GRANT DELETE, INSERT, SELECT, UPDATE ON "listener"."parked" TO "{role}";',
            f'GRANT SELECT, UPDATE ON "listener"."meta" TO "{role}";',
            f'GRANT USAGE ON SCHEMA "listener" TO "{role}";',
        ]
        for one in found:
            fresh.execute(one.mend.encode())
        assert check_privileges(session, [document()], "listener") == []


def test_a_good_server(connection: Connection) -> None:
    """Nothing is found."""
    assert check_server(connection) == []


def test_sql_ascii(postgres_server: PostgresServer, database: str) -> None:
    """Bytes without a meaning."""
    name = f"{database}_ascii"
    postgres_server.execute(
        f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'"
    )
    try:
        with connect(config(postgres_server, name), "test") as session:
            only(check_server(session), "error", "SQL_ASCII", "ENCODING 'UTF8'")
    finally:
        postgres_server.drop_database(name)


class Pooler:
    """Forwards one connection, and tells its client another backend than it has, like a pooler."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        client, _ = self.listener.accept()
        with client, socket.create_connection(("127.0.0.1", self.target)) as server:
            up = threading.Thread(target=self._pump, args=(client, server), daemon=True)
            up.start()
            held = b""
            while data := server.recv(65536):
                held += data
                # BackendKeyData: 'K', length 12, process id, secret
                at = held.find(b"K\x00\x00\x00\x0c")
                if at >= 0 and len(held) >= at + 13:
                    held = held[: at + 5] + struct.pack("!i", 4711) + held[at + 9 :]
                    client.sendall(held)
                    break
                if held[:1] == b"R" and at < 0:  # still logging in
                    client.sendall(held)
                    held = b""
            while data := server.recv(65536):
                client.sendall(data)

    @staticmethod
    def _pump(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            return


def test_a_pooler_in_the_way(postgres_server: PostgresServer, database: str) -> None:
    """Its backend is not the one that the connection was told."""
    pooler = Pooler(postgres_server.port)
    settings = config(postgres_server, database, port=pooler.port, sslmode="disable")
    with pytest.raises(Pooled, match="the connection was told 4711") as refused:
        connect(settings, "test")
    assert "postgres.host" in describe(refused.value)
    pooler.thread.join(10)
    pooler.listener.close()


def test_a_standby() -> None:
    """It can be read, and is refused."""
    with own_postgres() as server:
        server.stop()
        (server.data_directory / "standby.signal").touch()
        server.start()
        with connect(config(server, "postgres", target_session_attrs="any"), "test") as session:
            only(check_server(session), "error", "standby", "target_session_attrs: read-write")
