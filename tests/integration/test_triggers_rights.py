"""Rights that are missing: what protects data fails closed, and says what is lacking."""

from __future__ import annotations

import re
import secrets

import pytest

from listener.changes import Watch
from listener.config import Notify
from listener.postgres import Connection
from listener.triggers.called import CALLED
from playground.postgres import PostgresServer
from tests.kit.triggers import Bench, open_bench

_TABLES = """
CREATE TABLE s (id integer PRIMARY KEY, n integer, updated_at timestamptz);
CREATE TABLE b (id integer PRIMARY KEY, n integer, updated_at timestamp);
CREATE TABLE c (id integer PRIMARY KEY, n integer, updated_at timestamptz);
CREATE TABLE j (id text, n integer);
CREATE TABLE k (id integer, n integer);
"""
_WATCHES = (
    Watch("public", "s", ("id",), "updated_at", None, "off"),
    Watch("public", "s", ("n", "id"), "updated_at", None, "off"),
    Watch("public", "b", ("id",), "updated_at", None, "doorbell"),
    Watch("public", "c", ("id",), "updated_at", ("n",), "rows"),
    Watch("public", "j", ("id",), None, None, "rows"),
    Watch("public", "k", ("id",), None, ("n",), "off"),
)
_MOVES = {
    name: f"INSERT INTO {name} VALUES ('1', 0), ('2', 0); UPDATE {name} SET id = '101' WHERE n = 0"
    " AND id = '1'; UPDATE {name} SET n = 5 WHERE id = '2'; DELETE FROM {name} WHERE id = '2';"
    " DELETE FROM {name}".replace("{name}", name)
    for name in "sbcjk"
}
_ITS_OWN = ("int4eq(integer,integer)", "texteq(text,text)")
"""What those statements call themselves."""


@pytest.fixture
def owned(bench: Bench) -> tuple[Bench, str, str]:
    """Tables and triggers of a role without more rights than it needs, and another that writes."""
    owner, app = bench.new_role(), bench.new_role()
    bench.run(_TABLES)
    for name in _MOVES:
        bench.run(f"ALTER TABLE {name} OWNER TO {owner}")
    bench.run(
        f"GRANT CREATE ON DATABASE {bench.name} TO {owner};"
        f"GRANT CREATE ON SCHEMA public TO {owner};"
        f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {app}"
    )
    bench.install(*_WATCHES, conn=bench.connect(owner))
    assert bench.status() == ()
    return bench, owner, app


@pytest.mark.parametrize("notify", ["off", "doorbell"])
def test_a_role_that_may_set_nothing(bench: Bench, notify: Notify) -> None:
    """Hardened databases take set_config from everybody: a key that moves is journaled all the
    same."""
    app = bench.new_role()
    bench.run(
        "CREATE TABLE st (id integer PRIMARY KEY, n integer, updated_at timestamptz);"
        f"GRANT ALL ON st TO {app};"
        "REVOKE EXECUTE ON FUNCTION set_config(text, text, boolean) FROM PUBLIC"
    )
    bench.install(Watch("public", "st", ("id",), "updated_at", None, notify))
    writer = bench.connect(app)
    bench.told("INSERT INTO st VALUES (1), (2)", writer)
    told = bench.told("UPDATE st SET id = 101 WHERE id = 1", writer)
    assert told.journaled() == {("1",)}
    assert told.kinds() == ([] if notify == "off" else ["sweep"])


def test_what_the_writer_may_not_call(owned: tuple[Bench, str, str]) -> None:
    """Our functions have their owner's rights: only what he may do counts."""
    bench, owner, app = owned
    writer = bench.connect(app)
    usual = {name: shown(bench, writer, name) for name in _MOVES}
    bench.run(f"GRANT EXECUTE ON FUNCTION {', '.join(_ITS_OWN)} TO {app}")
    for function in (*present(bench), "pg_catalog.set_config(text,text,boolean)"):
        bench.run(f"GRANT EXECUTE ON FUNCTION {function} TO {owner}")
        bench.run(f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC")
    assert bench.status() == ()
    for name, before in usual.items():
        assert shown(bench, writer, name) == before, name


def shown(bench: Bench, writer: Connection, name: str) -> tuple[object, ...]:
    """What the statements left behind for one table."""
    told = bench.told(_MOVES[name], writer)
    journal = sorted((one.watch, one.kind, one.keys, one.reason or "") for one in told.journal)
    assert journal
    return sorted(told.payloads), journal


def present(bench: Bench) -> list[str]:
    """Those of the functions that this version has."""
    found = bench.admin.execute(
        "SELECT w.name FROM unnest(%s::text[]) AS w (name) "
        "WHERE to_regprocedure(w.name) IS NOT NULL",
        [list(CALLED)],
    ).fetchall()
    return [row[0] for row in found]


def test_what_the_owner_may_not_call(owned: tuple[Bench, str, str]) -> None:
    """No statement fails; each function is named; and that it was so for a minute is seen."""
    bench, owner, app = owned
    writer = bench.connect(app)
    bench.run(f"GRANT EXECUTE ON FUNCTION {', '.join(_ITS_OWN)} TO {app}")
    for function in present(bench):
        before = bench.fingerprint()
        bench.run(f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC")
        [line] = bench.status()
        name = function.partition("(")[0].removeprefix("pg_catalog.")
        assert f"role {owner}, which owns functions of listener, lacks EXECUTE on " in line
        assert re.search(rf"GRANT EXECUTE ON FUNCTION \"?{name}\"?\(.*\) TO {owner}$", line), line
        for statements in _MOVES.values():
            bench.run(statements, writer)
        bench.run(f"GRANT EXECUTE ON FUNCTION {function} TO PUBLIC")
        after = bench.fingerprint()
        assert after["functions that ours call"] != before["functions that ours call"]
        assert bench.status() == ()


def test_all_that_ours_call_is_on_the_list(owned: tuple[Bench, str, str]) -> None:
    """A function that is not on it could be revoked, and nobody would be told."""
    bench, _, _ = owned
    bodies = bench.admin.execute(
        "SELECT prosrc FROM pg_proc WHERE pronamespace = 'listener'::regnamespace UNION ALL "
        "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef "
        "WHERE adrelid = 'listener.journal'::regclass"
    ).fetchall()
    known = {one.partition("(")[0].removeprefix("pg_catalog.") for one in CALLED}
    for (body,) in bodies:
        text = re.sub(r"--[^\n]*|'(?:[^']|'')*'", "", body)
        assert "set_config" not in text, "it leaves a setting in the session"
        assert "nextval" not in text, "lastval() of the session tells it"
        assert not re.search(r"RAISE (DEBUG|INFO|NOTICE|WARNING)", text), "the client hears it"
        assert " LOOP" not in text or "FOREACH v_told" in text, "a cursor counts in portals' names"
        called = set(re.findall(r"([a-z_]+)\(", text))
        found = bench.admin.execute(
            "SELECT DISTINCT proname FROM pg_proc WHERE proname = ANY (%s) "
            "AND pronamespace = 'pg_catalog'::regnamespace",
            [list(called)],
        ).fetchall()
        assert {row[0] for row in found} <= known


def test_what_the_stamp_could_not_do(owned: tuple[Bench, str, str]) -> None:
    """Not stamped does not mean not changed: the journal asks to compare, once a statement."""
    bench, _, app = owned
    writer = bench.connect(app)
    bench.told("INSERT INTO s SELECT n, n FROM generate_series(1, 50) AS n", writer)
    bench.run(
        f'GRANT EXECUTE ON FUNCTION json_build_array("any") TO {app};'
        'REVOKE EXECUTE ON FUNCTION json_build_array("any") FROM PUBLIC'
    )
    told = bench.told("UPDATE s SET id = id + 1000", writer)
    assert {(one.watch, one.kind) for one in told.journal} == {
        ("public.s(id)", "reconcile"),
        ("public.s(n,id)", "reconcile"),
    }
    assert len(told.journal) == 2


def through_a_group(bench: Bench, owner: str) -> str:
    """What the owner may do in our schema comes through this group alone."""
    group = bench.new_role()
    bench.run(
        f"ALTER TABLE listener.journal OWNER TO {group};"
        f"ALTER SEQUENCE listener.lost OWNER TO {group};"
        f"REVOKE ALL ON listener.journal FROM {owner}; REVOKE ALL ON listener.lost FROM {owner};"
        f"GRANT {group} TO {owner}"
    )
    return group


def test_rights_of_a_group_that_go_for_a_minute(owned: tuple[Bench, str, str]) -> None:
    """What was not recorded meanwhile is not even counted; that a membership went is seen."""
    bench, owner, app = owned
    group = through_a_group(bench, owner)
    writer = bench.connect(app)
    bench.told("INSERT INTO k VALUES (1)", writer)
    usual = bench.status()
    assert bool(usual) == (bench.version < 16)
    before = bench.fingerprint()
    bench.run(f"REVOKE {group} FROM {owner}")
    assert any(f"role {owner}, which owns functions" in line for line in bench.status())
    bench.run("DELETE FROM k", writer)
    bench.run(f"GRANT {group} TO {owner}")
    assert bench.value("SELECT count(*) FROM listener.journal") == 0, "it was not recorded"
    after = bench.fingerprint()
    assert {name for name in after if after[name] != before.get(name)} == {f"rights of {owner}"}
    assert bench.status() == usual


@pytest.mark.parametrize("server", ["postgres_server", "icu_server"])
def test_an_owner_who_does_not_inherit_for_a_minute(
    request: pytest.FixtureRequest, server: str
) -> None:
    """Before version 16 he has no right of his groups then, and nothing shows it afterwards: there
    he must have the rights himself. Since 16 it is a matter of each membership."""
    there: PostgresServer = request.getfixturevalue(server)
    name = f"rights_{secrets.token_hex(5)}"
    there.create_database(name)
    for bench in open_bench(there, name):
        owner, app = bench.new_role(), bench.new_role()
        bench.run(
            f"CREATE TABLE k (id integer, n integer); ALTER TABLE k OWNER TO {owner};"
            f"GRANT ALL ON k TO {app}; GRANT CREATE ON DATABASE {name} TO {owner}"
        )
        bench.install(Watch("public", "k", ("id",), None, None, "off"), conn=bench.connect(owner))
        through_a_group(bench, owner)
        if bench.version < 16:
            lacking = [re.sub(r"^.*: GRANT", "GRANT", line) for line in bench.status()]
            assert [line.split(" TO ")[0] for line in lacking] == [
                "GRANT INSERT ON TABLE listener.journal",
                "GRANT SELECT ON TABLE listener.journal",
                "GRANT SELECT ON SEQUENCE listener.lost",
                "GRANT UPDATE ON SEQUENCE listener.lost",
            ]
            bench.install(conn=bench.connect(owner))
        assert bench.status() == ()
        writer = bench.connect(app)
        bench.told("INSERT INTO k VALUES (1)", writer)
        bench.run(f"ALTER ROLE {owner} NOINHERIT")
        assert bench.told("DELETE FROM k", writer).journaled() == {("1",)}
    there.drop_database(name)


def test_a_superuser_who_may_only_because_he_is_one(owned: tuple[Bench, str, str]) -> None:
    """That he was none for a minute leaves no trace: he is given the rights themselves."""
    bench, _, app = owned
    super_ = bench.new_role()
    bench.run(f"ALTER ROLE {super_} SUPERUSER")
    function = bench.value(
        "SELECT min(oid::regprocedure::text) FROM pg_proc WHERE proname ~ '^listener_'"
    )
    bench.run(f"ALTER FUNCTION {function} OWNER TO {super_}")
    assert any(
        f"lacks INSERT on listener.journal: GRANT INSERT ON TABLE listener.journal TO {super_}"
        in line
        for line in bench.status()
    )
    bench.install()
    assert bench.status() == ()
    bench.run(f"ALTER ROLE {super_} NOSUPERUSER")
    assert bench.status() == ()
    writer = bench.connect(app)
    for name, statements in _MOVES.items():
        assert bench.told(statements, writer).journal, name
