"""What is said where PostgreSQL refuses a step: the right that is lacking; who is in the way."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic

import pytest

from listener import triggers
from listener.changes import Watch
from listener.checks import check_installing
from listener.postgres import Connection
from listener.runtime.lifecycle import Stop
from listener.triggers.catalog import rows
from playground.account import service_account
from playground.places import give
from tests.kit.servers import own_postgres
from tests.kit.triggers import SCHEMA, Bench, open_bench

PLAIN = Watch("public", "t", ("id",))
STAMPED = Watch("public", "t", ("id",), "u")
RIGHTS = """
GRANT CREATE ON DATABASE {database} TO {role};
GRANT USAGE, CREATE ON SCHEMA public TO {role};
"""


@pytest.fixture
def owner(bench: Bench) -> Iterator[str]:
    """A role that may do all that installing takes."""
    role = bench.new_role()
    bench.run("CREATE TABLE t (id integer PRIMARY KEY, u timestamptz)")
    bench.run(f"ALTER TABLE t OWNER TO {role}")
    bench.run(RIGHTS.format(database=bench.name, role=role))
    bench.run("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    yield role
    bench.run("DROP EVENT TRIGGER IF EXISTS rls; GRANT USAGE ON LANGUAGE plpgsql TO PUBLIC")
    bench.run("GRANT USAGE ON TYPE bool, timestamptz TO PUBLIC")
    bench.run(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")


@pytest.mark.parametrize(
    ("revoke", "mend"),
    [
        (
            "REVOKE CREATE ON DATABASE {database} FROM {role}",
            "GRANT CREATE ON DATABASE {database} TO {role}",
        ),
        (
            "REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC",
            "GRANT USAGE ON LANGUAGE plpgsql TO {role}",
        ),
        (
            "REVOKE USAGE ON TYPE bool, timestamptz FROM PUBLIC",
            "GRANT USAGE ON TYPE pg_catalog.bool TO {role}; "
            "GRANT USAGE ON TYPE pg_catalog.timestamptz TO {role}",
        ),
        (
            "REVOKE CREATE ON SCHEMA public FROM {role}",
            "GRANT USAGE, CREATE ON SCHEMA public TO {role}",
        ),
        (
            "CREATE SCHEMA listener",
            "GRANT USAGE, CREATE ON SCHEMA listener TO {role}",
        ),
        (
            "REVOKE TRIGGER ON t FROM {role}",
            "GRANT TRIGGER ON TABLE public.t TO {role}",
        ),
    ],
)
def test_a_right_that_is_lacking(bench: Bench, owner: str, revoke: str, mend: str) -> None:
    """The owner of the tables is not told to become their owner; and the GRANT is enough."""
    names = {"database": bench.name, "role": owner}
    bench.run(revoke.format(**names))
    told = {one.mend for one in check_installing(bench.connect(owner), SCHEMA)}
    own = not any(one in mend for one in ("TRIGGER", "SCHEMA public"))
    assert told == {f"{one};" for one in mend.format(**names).split("; ") if own}
    with pytest.raises(triggers.TriggerError) as caught:
        bench.install(STAMPED, conn=bench.connect(owner))
    [problem] = caught.value.problems
    assert f"let a superuser, or who may grant it, run {mend.format(**names)}" in problem
    assert "as the owner of the table" not in problem
    bench.run(mend.format(**names))
    bench.install(conn=bench.connect(owner))
    assert bench.status() == ()
    assert bench.slow() == ()


def test_a_tablespace_that_is_not_theirs(bench: Bench, owner: str) -> None:
    """Tables and indexes of ours would be made in the role's default one."""
    place = bench.server.directory / owner
    place.mkdir()
    give(place, service_account())
    bench.run(f"CREATE TABLESPACE {owner} LOCATION '{place}'")
    bench.run(f"ALTER ROLE {owner} SET default_tablespace = {owner}")
    mend = f"GRANT CREATE ON TABLESPACE {owner} TO {owner}"
    with pytest.raises(triggers.TriggerError, match=f"run {mend}$"):
        bench.install(STAMPED, conn=bench.connect(owner))
    bench.run(mend)
    bench.install(STAMPED, conn=bench.connect(owner))
    assert bench.status() == ()
    bench.run(f"DROP OWNED BY {owner} CASCADE")
    bench.run(f"DROP TABLESPACE {owner}")


def test_who_is_not_the_owner(bench: Bench, owner: str) -> None:
    """The owner's way out is for those that are not the owner."""
    role = bench.new_role()
    bench.run(RIGHTS.format(database=bench.name, role=role))
    with pytest.raises(triggers.TriggerError, match="install as the owner of the table"):
        bench.install(PLAIN, conn=bench.connect(role))
    bench.run(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")


RLS = """
CREATE FUNCTION public.rls() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE one record;
BEGIN
  FOR one IN SELECT * FROM pg_event_trigger_ddl_commands() WHERE command_tag = 'CREATE TABLE' LOOP
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, {force} ROW LEVEL SECURITY',
                   one.object_identity);
  END LOOP;
END $$;
CREATE EVENT TRIGGER rls ON ddl_command_end WHEN TAG IN ('CREATE TABLE')
    EXECUTE FUNCTION public.rls()
"""


def test_row_level_security_on_all_new_tables(bench: Bench, owner: str) -> None:
    """Forced, it refuses even the owner of our tables: the event trigger is named."""
    bench.run(RLS.format(force="FORCE"))
    with pytest.raises(triggers.TriggerError, match="event trigger turns row-level security on"):
        bench.install(PLAIN, conn=bench.connect(owner))


def test_rows_of_ours_that_are_hidden(bench: Bench, owner: str) -> None:
    """From a daemon that is not the owner: it is told before it reads, with what mends it."""
    bench.run(RLS.format(force="NO FORCE"))
    bench.role = bench.new_role()
    bench.install(PLAIN, conn=bench.connect(owner))
    daemon = bench.connect(bench.role)
    bench.run("INSERT INTO t VALUES (1)")
    assert bench.value("SELECT count(*) FROM listener.journal") == 1
    assert daemon.execute("SELECT FROM listener.journal").fetchall() == []
    [found] = bench.status_of(daemon)
    assert "row-level security is on for journal, meta, parked of the schema listener" in found
    before = bench.fingerprint()
    for name in ("journal", "meta", "parked"):
        mend = f'ALTER TABLE "listener"."{name}" DISABLE ROW LEVEL SECURITY, NO FORCE'
        assert mend in found
        bench.run(f"{mend} ROW LEVEL SECURITY")
    assert bench.status_of(daemon) == ()
    assert bench.fingerprint() != before, "what was hidden meanwhile is compared"
    bench.run(f"DROP OWNED BY {bench.role}; DROP ROLE {bench.role}")


def test_remove_where_rows_are_hidden(bench: Bench, owner: str) -> None:
    """The way out stays open."""
    bench.install(PLAIN, conn=bench.connect(owner))
    bench.run("ALTER TABLE listener.meta ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    triggers.remove(bench.connect(owner), SCHEMA, observe=bench.seen.append, stop=Stop())
    assert bench.value("SELECT to_regnamespace('listener') IS NULL")


def test_autovacuum_is_named() -> None:
    """It is no role; who may not see what it is, is told what it may be."""
    with own_postgres({"autovacuum": "on", "autovacuum_naptime": "1s"}) as server:
        server.create_database("vacuumed")
        for bench in open_bench(server, "vacuumed"):
            bench.run(
                "CREATE TABLE t (id integer, n text) WITH (autovacuum_vacuum_cost_delay = 100,"
                "  autovacuum_vacuum_cost_limit = 1);"
                "INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(1, 20000) AS i;"
                "DELETE FROM t"
            )
            role = bench.new_role()
            [found] = in_the_way(bench, bench.admin)
            assert found[1] == "autovacuum worker"
            [found] = in_the_way(bench, bench.connect(role))
            assert found[1] == "one of PostgreSQL itself (autovacuum?)"


def in_the_way(bench: Bench, conn: Connection) -> list[tuple[object, ...]]:
    """Who holds locks on `t`, as this connection sees it, once somebody does."""
    oid = bench.value("SELECT 't'::regclass::oid")
    deadline = monotonic() + 60
    while not (found := rows(conn, "holders", oids=[oid])):
        assert monotonic() < deadline, "no autovacuum came"
    return found
