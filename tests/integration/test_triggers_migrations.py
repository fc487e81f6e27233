"""The user's statement never fails because of us: migrations, privileges, hostile sessions."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from listener.changes import Watch
from listener.config import Notify
from listener.triggers import TriggerError
from tests.kit.triggers import Bench, Told, change_of

_WRITES = {
    "insert": "INSERT INTO t (other) VALUES ('new')",
    "update": "UPDATE t SET other = 'changed'",
    "delete": "DELETE FROM t",
}


@pytest.fixture(params=["updated_at", None], ids=["stamped", "journal"])
def table(bench: Bench, request: pytest.FixtureRequest) -> Bench:
    """A table with a row, stamped or polled by the journal."""
    bench.run("CREATE TABLE t (id integer DEFAULT 7, other text, updated_at timestamptz)")
    bench.install(Watch("public", "t", ("id",), request.param))
    bench.told("INSERT INTO t (other) VALUES ('old')")
    return bench


def is_reconcile(told: Told) -> bool:
    """One notification, and what the journal has, ask for everything to be compared: one row,
    and another one where the stamp failed too."""
    journal = [one.kind for one in told.journal]
    return told.kinds() == ["reconcile"] and journal in (["reconcile"], ["reconcile"] * 2)


@pytest.mark.parametrize(
    "migration",
    [
        "ALTER TABLE t RENAME id TO ident",
        "ALTER TABLE t DROP COLUMN id",
        "ALTER TABLE t ALTER id DROP DEFAULT, ALTER id TYPE point USING point(id, id)",
    ],
    ids=["rename", "drop", "retype"],
)
def test_a_lost_key_column_asks_for_reconcile(table: Bench, migration: str) -> None:
    """In the session that ran the functions before, and in a new one."""
    for statement in _WRITES.values():
        table.told(statement)
    table.run(migration)
    assert table.status()
    for statement in _WRITES.values():
        assert is_reconcile(table.told(statement)), statement
        assert is_reconcile(table.told(statement, table.connect())), statement


@pytest.mark.parametrize("kind", ["bigint", "text", "varchar(10)", "numeric(10, 2)"])
def test_a_retyped_key_column_goes_on_by_its_text(table: Bench, kind: str) -> None:
    """PostgreSQL plans our statement anew; the audit names the type."""
    table.run(f"ALTER TABLE t ALTER id TYPE {kind}")
    told = table.told("UPDATE t SET other = 'x'")
    assert told.sent() == {("7.00" if kind.startswith("numeric") else "7",)}
    if kind.startswith("numeric"):
        assert any("numeric" in line for line in table.status())


def subscribed(bench: Bench, table: str) -> None:
    """As a subscription's target: it gets row triggers."""
    bench.run(
        "SET allow_system_table_mods = on; INSERT INTO pg_subscription_rel "
        f"VALUES (0, '{table}'::regclass, 'r', NULL); RESET allow_system_table_mods"
    )


_OLD_SESSIONS = [
    Watch("public", "t", ("id",), "updated_at", None, "off"),
    Watch("public", "t", ("id",), "updated_at", None, "doorbell"),
    Watch("public", "t", ("id",), "updated_at", None, "rows"),
    Watch("public", "t", ("id",), "updated_at", ("a",), "off"),
    Watch("public", "t", ("id",), "updated_at", ("a",), "rows"),
    Watch("public", "t", ("id", "ref"), "updated_at", None, "off"),
    Watch("public", "t", ("id",), None, None, "off"),
    Watch("public", "t", ("id",), None, ("a",), "off"),
    Watch("public", "t", ("id",), None, ("a",), "rows"),
]


@pytest.mark.parametrize(
    ("watch", "row_level"),
    [(one, False) for one in _OLD_SESSIONS]
    + [(one, True) for one in _OLD_SESSIONS if one.notify == "off"],
)
@pytest.mark.parametrize(
    ("before", "after"), [("integer", "bigint"), ("text", "varchar"), ("varchar", "uuid")]
)
def test_a_session_that_was_open_when_a_column_was_retyped(
    bench: Bench, watch: Watch, row_level: bool, before: str, after: str
) -> None:
    """It keeps plans for the old type of OLD and NEW: until the install that follows, not for as
    long as it lives. Else each of its statements would ask to compare everything."""
    one = "1" if before == "integer" else "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
    bench.run(
        f"CREATE TABLE t (id {before}, a {before}, b integer, ref integer, updated_at timestamptz);"
        f"INSERT INTO t VALUES ('{one}', '{one}', 0, 5)"
    )
    if row_level:
        subscribed(bench, "t")
    bench.install(watch)
    session = bench.connect()
    for _ in range(8):
        session.execute("UPDATE t SET b = b + 1")
        session.execute("UPDATE t SET a = a")
    for column in ("id", "a"):
        bench.run(f"ALTER TABLE t ALTER {column} TYPE {after} USING {column}::{after}")
        session.execute("UPDATE t SET b = b + 1")  # of its own plans
        if column == "a" and not row_level:
            assert bench.status() == (), "nothing is missed"
            assert bool(bench.slow()) == bool(watch.columns and watch.updated_at)
        bench.install()
        assert bench.slow() == ()
        assert bench.status() == ()
        bench.told("SELECT 1")
        stamp = bench.value("SELECT updated_at FROM t")
        for statement in ("UPDATE t SET b = b + 1", "UPDATE t SET id = id", "DELETE FROM t"):
            told = bench.told(f"BEGIN; {statement}; COMMIT", session)
            assert {row.kind for row in told.journal} <= {"keys"}, (column, statement, told)
            assert "reconcile" not in told.kinds(), (column, statement, told)
            if watch.columns and watch.updated_at and statement.startswith("UPDATE"):
                assert bench.value("SELECT updated_at FROM t") == stamp, (column, statement)
        bench.run(f"INSERT INTO t VALUES ('{one}', '{one}', 0, 5)")


def test_a_key_longer_than_its_former_type_allowed(bench: Bench) -> None:
    """The chunks were made for integers: a sweep or a smaller chunk, never an error."""
    bench.run("CREATE TABLE t (id integer)")
    bench.install(Watch("public", "t", ("id",)))
    bench.run("ALTER TABLE t ALTER id TYPE text")
    told = bench.told(
        "INSERT INTO t SELECT repeat('x', 500) || n FROM generate_series(1, 800) AS n"
    )
    assert told.kinds() == ["sweep"]
    assert len(told.journaled()) == 800


def test_the_stamp_column_renamed(bench: Bench) -> None:
    """Rows go through without a stamp, and the statement asks for reconcile."""
    bench.run("CREATE TABLE t (id integer PRIMARY KEY, updated_at timestamptz)")
    watch = Watch("public", "t", ("id",), "updated_at")
    bench.install(watch)
    bench.run("ALTER TABLE t RENAME updated_at TO changed")
    assert is_reconcile(bench.told("INSERT INTO t VALUES (1, '2000-01-01')"))
    assert is_reconcile(bench.told("UPDATE t SET id = 2"))
    assert bench.value("SELECT changed = '2000-01-01' FROM t")
    assert bench.told("DELETE FROM t").journaled() == {("2",)}
    bench.install(Watch("public", "t", ("id",), "changed"))
    assert bench.told("INSERT INTO t VALUES (1, '2000-01-01')").sent() == {("1",)}
    assert bench.value("SELECT changed > '2001-01-01' FROM t")


@pytest.mark.parametrize("notify", ["off", "doorbell"])
@pytest.mark.parametrize("column", ["id", "updated_at"])
def test_a_column_is_gone_where_the_stamp_says_it_all(
    bench: Bench, notify: Notify, column: str
) -> None:
    """No trigger looks at a statement there unless the stamp of a row says so: it does."""
    bench.run("CREATE TABLE t (id integer PRIMARY KEY, updated_at timestamptz)")
    bench.install(Watch("public", "t", ("id",), "updated_at", None, notify))
    bench.told("INSERT INTO t VALUES (1, '2000-01-01')")
    assert bench.told("UPDATE t SET id = id").journal == ()
    bench.run(f"ALTER TABLE t RENAME {column} TO other")
    changes = ["UPDATE t SET other = other", "BEGIN; UPDATE t SET other = other; COMMIT"]
    if notify == "doorbell":
        changes.append("INSERT INTO t VALUES (2, '2000-01-01')")
    for statement in changes:
        assert [one.kind for one in bench.told(statement).journal] == ["reconcile"], statement


@pytest.mark.parametrize("columns", [None, ("a",)])
def test_postgresql_itself_keeps_the_stamp_column(
    bench: Bench, columns: tuple[str, ...] | None
) -> None:
    """DROP COLUMN and another type are refused by it, since a WHEN clause names the column."""
    bench.run("CREATE TABLE t (id integer PRIMARY KEY, a text, updated_at timestamptz)")
    bench.install(Watch("public", "t", ("id",), "updated_at", columns))
    with pytest.raises(psycopg.errors.DependentObjectsStillExist):
        bench.run("ALTER TABLE t DROP COLUMN updated_at")
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        bench.run("ALTER TABLE t ALTER updated_at TYPE timestamptz(3)")
    bench.run("ALTER TABLE t DROP COLUMN updated_at CASCADE")
    assert is_reconcile(bench.told("INSERT INTO t VALUES (1)"))


@pytest.mark.parametrize(
    "change", ["DROP COLUMN a", "RENAME a TO aa", "ALTER a TYPE point USING NULL"]
)
@pytest.mark.parametrize("updated_at", ["updated_at", None])
def test_a_lost_listed_column(bench: Bench, change: str, updated_at: str | None) -> None:
    """Every row counts as changed: it is stamped, and the statement asks for reconcile."""
    bench.run("CREATE TABLE t (id integer PRIMARY KEY, a text, b text, updated_at timestamptz)")
    bench.install(Watch("public", "t", ("id",), updated_at, ("a",)))
    bench.told("INSERT INTO t VALUES (1)")
    stamp = bench.value("SELECT updated_at FROM t")
    bench.run(f"ALTER TABLE t {change}")
    told = bench.told("UPDATE t SET b = 'x'")
    if "TYPE" in change:
        assert told.payloads == (), "another type, but no other content"
        return
    assert is_reconcile(told)
    if updated_at is not None:
        assert bench.value("SELECT updated_at FROM t") > stamp


@pytest.mark.parametrize(
    "accident",
    [
        "DROP TABLE listener.journal",
        "ALTER TABLE listener.journal RENAME watch TO w",
        "ALTER SCHEMA listener RENAME TO elsewhere",
        "ALTER TABLE listener.journal ADD CHECK (false) NOT VALID",
    ],
    ids=["dropped", "columns", "schema", "check"],
)
def test_the_journal_out_of_order(table: Bench, accident: str) -> None:
    """What cannot be recorded is told: a line of the server's log, reconcile for the daemon, and
    nothing for the writer, unless he asked for the log."""
    table.run(accident)
    logged: list[str] = []
    heard: list[str] = []
    writer = table.connect(options="-c client_min_messages=log")
    writer.add_notice_handler(lambda notice: logged.append(notice.message_primary or ""))
    usual = table.connect()
    usual.add_notice_handler(lambda notice: heard.append(notice.message_primary or ""))
    for event, statement in _WRITES.items():
        table.run(f"BEGIN; {statement}; ROLLBACK", usual)
        table.run(statement, writer)
        kinds = [change_of(payload).kind for payload in table.heard()]
        # of two rows the keys are found and journaled by one query, which names the journal
        named = event == "update" and not accident.endswith("VALID")
        if table.watches[0].updated_at is None or event == "delete" or named:
            assert kinds == ["reconcile"]
            assert "listener: a change of public.t(id) is not recorded" in logged[0]
        else:
            assert (kinds, logged) == (["keys"], [])
        logged.clear()
    assert heard == []
    assert table.status() or accident.endswith("VALID")


def test_the_owner_of_the_functions_lost_its_rights(bench: Bench) -> None:
    """Privileges revoked from the role that installed: told, not failed."""
    owner = bench.new_role()
    bench.run(
        f"CREATE TABLE t (id integer); ALTER TABLE t OWNER TO {owner};"
        f"GRANT CREATE ON DATABASE {bench.name} TO {owner}"
    )
    bench.install(Watch("public", "t", ("id",)), conn=bench.connect(owner))
    bench.run(
        "ALTER TABLE listener.journal OWNER TO postgres;"
        f"REVOKE ALL ON listener.journal FROM {owner}"
    )
    told = bench.told("INSERT INTO t VALUES (1)")
    assert (told.kinds(), told.journal) == (["reconcile"], ())


def test_pg_notify_not_allowed(bench: Bench) -> None:
    """A hardened database may take it away: the journal still says everything, and an installer who
    cannot grant it names what is to be granted; who notifies nobody does not need it."""
    owner = bench.new_role()
    bench.run(
        f"CREATE TABLE t (id integer); ALTER TABLE t OWNER TO {owner};"
        f"GRANT CREATE ON DATABASE {bench.name} TO {owner}"
    )
    bench.install(Watch("public", "t", ("id",)), conn=bench.connect(owner))
    bench.run("REVOKE EXECUTE ON FUNCTION pg_notify(text, text) FROM PUBLIC")
    told = bench.told("INSERT INTO t VALUES (1)")
    assert told.payloads == ()
    assert [(one.kind, (one.reason or "")[:5]) for one in told.journal] == [("reconcile", "42501")]
    grant = f"GRANT EXECUTE ON FUNCTION pg_notify(text,text) TO {owner}: let a superuser"
    with pytest.raises(TriggerError, match=re.escape(grant)):
        bench.install(Watch("public", "t", ("id",)), conn=bench.connect(owner))
    bench.install(Watch("public", "t", ("id",), notify="off"), conn=bench.connect(owner))
    told = bench.told("INSERT INTO t VALUES (2)")
    assert (told.kinds(), [one.kind for one in told.journal]) == ([], ["keys"])


def test_the_schema_dropped(table: Bench) -> None:
    """RESTRICT is refused by PostgreSQL; CASCADE is the emergency exit: nothing of ours is left."""
    with pytest.raises(psycopg.errors.DependentObjectsStillExist):
        table.run("DROP SCHEMA listener")
    table.run("DROP SCHEMA listener CASCADE")
    for statement in _WRITES.values():
        assert table.told(statement).payloads == ()
    assert table.value("SELECT count(*) FROM pg_trigger WHERE tgname LIKE '%listener%'") == 0
    table.install()
    assert table.told(_WRITES["insert"]).sent() == {("7",)}


def test_an_application_without_any_right_on_our_schema(table: Bench) -> None:
    """The functions run with their owner's rights; nobody else may call or use them."""
    app = table.new_role()
    table.run(f"GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON t TO {app}")
    writer = table.connect(app)
    for statement, expected in zip(_WRITES.values(), (1, 1, 1), strict=True):
        told = table.told(statement, writer)
        assert len(told.sent()) == expected
    assert table.told("TRUNCATE t", writer).kinds() == ["reconcile"]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        table.run("SELECT * FROM listener.journal", writer)
    table.run(f"CREATE SCHEMA mine AUTHORIZATION {app}")
    table.run(f"GRANT USAGE ON SCHEMA listener TO {app}")
    table.run("CREATE TABLE mine.bait (id integer)", writer)
    name = table.value("SELECT min(proname) FROM pg_proc WHERE proname LIKE 'listener_%_insert'")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        table.run(
            f"CREATE TRIGGER bait AFTER INSERT ON mine.bait EXECUTE FUNCTION listener.{name}()",
            writer,
        )


def test_a_hostile_session_changes_nothing(table: Bench) -> None:
    """A search path of its own, functions, operators and temp tables with our names."""
    app = table.new_role()
    table.run(f"GRANT ALL ON t TO {app}; CREATE SCHEMA evil AUTHORIZATION {app}")
    writer = table.connect(app)
    table.run(
        "CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz LANGUAGE sql "
        "  AS $$ SELECT timestamptz '2000-01-01' $$;"
        "CREATE FUNCTION evil.pg_notify(text, text) RETURNS void LANGUAGE sql AS $$ SELECT NULL $$;"
        "CREATE FUNCTION evil.ne(text, text) RETURNS boolean LANGUAGE sql AS $$ SELECT false $$;"
        "CREATE OPERATOR evil.<> (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.ne);"
        "CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.ne);"
        "SET search_path = evil, pg_temp, pg_catalog, public;"
        "CREATE TEMP TABLE journal (id bigint, updated_at timestamptz, watch text, kind text,"
        "  keys text, reason text);"
        "CREATE TEMP TABLE new_rows (id integer); CREATE TEMP TABLE old_rows (id integer);"
        "SET plpgsql.variable_conflict = 'error'; SET plpgsql.extra_errors = 'all';"
        "SET check_function_bodies = off; SET default_transaction_isolation = 'serializable'",
        writer,
    )
    for statement in ("INSERT INTO public.t (other) VALUES ('x')", "DELETE FROM public.t"):
        assert table.told(statement, writer).sent() == {("7",)}
    row = writer.execute("SELECT count(*) FROM pg_temp.journal").fetchone()
    assert row == (0,)
    table.told("INSERT INTO public.t VALUES (1)", writer)
    if table.watches[0].updated_at is not None:
        assert table.value("SELECT updated_at > '2001-01-01' FROM t")


def test_columns_named_like_our_variables(bench: Bench) -> None:
    """Names in the functions can never be mistaken for columns."""
    names = [
        "v_at",
        "v_chunk",
        "v_count",
        "k1",
        "piece",
        "journaled",
        "chunk",
        "stamp",
        "side",
        "content",
    ]
    bench.run(f"CREATE TABLE t ({', '.join(f'{name} integer' for name in names)})")
    bench.install(Watch("public", "t", tuple(names), None, ("side",)))
    values = ", ".join(str(n) for n in range(len(names)))
    key = tuple(str(n) for n in range(len(names)))
    assert bench.told(f"INSERT INTO t VALUES ({values})").sent() == {key}
    assert len(bench.told("UPDATE t SET side = -1").sent()) == 2


@pytest.mark.parametrize(
    ("state", "error"),
    [
        ("40001", psycopg.errors.SerializationFailure),
        ("53100", psycopg.errors.DiskFull),
        ("58030", psycopg.errors.IoError),
    ],
)
def test_faults_of_the_server_pass_through(
    bench: Bench, state: str, error: type[psycopg.Error]
) -> None:
    """They belong to the user's transaction, which must be told, for example to try again."""
    bench.run("CREATE TABLE t (id integer PRIMARY KEY, n integer); INSERT INTO t VALUES (1, 0)")
    bench.install(Watch("public", "t", ("id",)))
    bench.run(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION USING ERRCODE = '{state}'; END $$;"
        "CREATE TRIGGER fail BEFORE INSERT ON listener.journal EXECUTE FUNCTION fail()"
    )
    with pytest.raises(error):
        bench.run("UPDATE t SET n = 1")


def test_a_journal_that_is_locked_for_writers_without_a_limit(bench: Bench) -> None:
    """Without `lock_timeout` a writer waits for as long as the lock is held, and all is recorded;
    `statement_timeout` ends its statement, as it would behind any lock."""
    bench.run("CREATE TABLE t (id integer); INSERT INTO t VALUES (1), (2)")
    bench.install(Watch("public", "t", ("id",), None, None, "off"))
    before = bench.fingerprint()
    holder = bench.connect()
    holder.execute("BEGIN; LOCK TABLE listener.journal IN ACCESS EXCLUSIVE MODE")
    hurried = bench.connect(options="-c statement_timeout=100ms")
    with pytest.raises(psycopg.errors.QueryCanceled):
        hurried.execute("DELETE FROM t WHERE id = 1")
    patient = bench.connect(options="-c statement_timeout=20s")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(patient.execute, "DELETE FROM t WHERE id = 2")
        with pytest.raises(TimeoutError):
            waiting.result(1)
        holder.execute("COMMIT")
        waiting.result(20)
    assert bench.value("SELECT count(*) FROM listener.journal") == 1
    assert bench.fingerprint() == before


@pytest.mark.parametrize("updated_at", [None, "updated_at"], ids=["journal", "stamped"])
def test_a_journal_that_is_locked(bench: Bench, updated_at: str | None) -> None:
    """A VACUUM FULL of it, and a session that waits for no lock: the statement goes on, with a
    warning, and what could not be recorded is counted where no lock is."""
    bench.run("CREATE TABLE t (id integer, updated_at timestamptz); INSERT INTO t VALUES (1), (2)")
    bench.install(Watch("public", "t", ("id",), updated_at, None, "off"))
    before = bench.fingerprint()
    vacuum = bench.connect()
    vacuum.autocommit = False
    vacuum.execute("LOCK TABLE listener.journal IN ACCESS EXCLUSIVE MODE")
    writer = bench.connect(options="-c lock_timeout=50ms")
    writer.execute("DELETE FROM t WHERE id = 1")
    vacuum.rollback()
    assert bench.value("SELECT count(*) FROM listener.journal") == 0
    assert bench.value("SELECT count(*) FROM t") == 1
    assert bench.status() == ()
    after = bench.fingerprint()
    assert {name for name in after if after[name] != before.get(name)} == {
        "changes that were not recorded"
    }
    writer.execute("DELETE FROM t")
    assert bench.fingerprint() == after, "it was recorded"
