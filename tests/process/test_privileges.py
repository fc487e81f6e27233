"""Triggers that people install themselves, and a daemon that may do no more than it must."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from playground.postgres import PostgresServer
from tests.kit.lengths import one_short
from tests.kit.scene import OWNER, PASSWORD, Scene

READER = "process_reader"
"""The daemon of these tests: may read the tables that the query reads, and owns nothing."""


@pytest.fixture(scope="session")
def reader(postgres_server: PostgresServer, roles: None) -> None:
    """A role without any right."""
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                sql.Identifier(READER), sql.Literal(PASSWORD)
            )
        )


@pytest.fixture
def manual(scene: Scene, reader: None) -> Iterator[Scene]:
    """The daemon's role may SELECT; triggers are somebody else's business."""
    scene.set(triggers={"install": "manual"}, postgres={"user": READER})
    scene.admin(
        f"GRANT USAGE ON SCHEMA content TO {READER}; "
        f"GRANT SELECT ON ALL TABLES IN SCHEMA content TO {READER}"
    )
    yield scene
    scene.admin(f"DROP OWNED BY {READER}")


def psql(scene: Scene, script: str, role: str = OWNER) -> subprocess.CompletedProcess[str]:
    """Run a script with psql as this role, as its user would: stop at the first error."""
    return subprocess.run(
        [
            scene.postgres.psql,
            "--no-psqlrc",
            "--quiet",
            "--set=ON_ERROR_STOP=1",
            "--host=127.0.0.1",
            f"--port={scene.postgres.port}",
            f"--username={role}",
            f"--dbname={scene.database}",
        ],
        input=script,
        env={"PGPASSWORD": PASSWORD, "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_missing_triggers_are_refused(manual: Scene) -> None:
    """`manual`: 2 and the command, for run and for --once; nothing is indexed."""
    for arguments in ((), ("--once",)):
        process = manual.start(*arguments)
        process.expect_exit(2)
        assert "listener triggers" in process.log
    assert manual.behind() == []


def test_printed_sql_makes_it_start(manual: Scene) -> None:
    """`triggers print`, run by psql as the tables' owner: the daemon then needs SELECT alone."""
    printed = manual.start("triggers", "print")
    printed.expect_exit(0)
    assert "CREATE TRIGGER" in printed.output
    done = psql(manual, printed.output)
    assert done.returncode == 0, done.stderr
    daemon = manual.serve()
    assert not daemon.found("triggers_installed")
    mark = daemon.mark()
    manual.sql("UPDATE content.person SET full_name = 'X' WHERE id = md5('person 20')::uuid")
    manual.sql("DELETE FROM content.film_work WHERE id = md5('film 2')::uuid")
    manual.wait_converged()
    assert not daemon.found("swept", after=mark)
    manual.sql("UPDATE content.film_work SET rating = 'NaN' WHERE id = md5('film 1')::uuid")
    daemon.wait_for("parked")
    manual.sql("UPDATE content.film_work SET rating = 1 WHERE id = md5('film 1')::uuid")
    manual.sql("TRUNCATE content.genre_film_work")
    daemon.wait_for("reconciled", after=mark)
    manual.wait_converged()
    daemon.stop()
    again = manual.start("triggers", "print")
    again.expect_exit(0)
    assert "CREATE" not in again.output
    manual.assert_converged()


def test_what_no_installing_mends(manual: Scene) -> None:
    """A constraint that a stamp violates: the daemon holds, and does not say `triggers install`."""
    printed = manual.start("triggers", "print")
    printed.expect_exit(0)
    assert psql(manual, printed.output).returncode == 0
    manual.set(audit_every=0.5)
    daemon = manual.serve()
    manual.admin(
        "ALTER TABLE content.film_work ADD CONSTRAINT old "
        "CHECK (updated_at < '2020-01-01') NOT VALID"
    )
    held = daemon.wait_for("held")
    assert "updated_at" in held.message
    assert "triggers install" not in held.message, held.message
    manual.admin("ALTER TABLE content.film_work DROP CONSTRAINT old")
    daemon.wait_for("caught_up", after=held)
    manual.wait_converged()


def test_a_dsn_that_is_none_is_not_shown(manual: Scene) -> None:
    """libpq repeats what it cannot read, and a password may be what it cannot read."""
    for dsn in ("postgresql://u:hidden%zzword@127.0.0.1/x", "hiddenword"):
        command = manual.start("triggers", "install", "--dsn", dsn)
        assert command.exit_status() == 2
        shown = command.log.split("\n", 1)[1]  # the first line is the command itself
        assert "--dsn: it is no connection string" in shown
        assert "hidden" not in shown


def test_installed_with_another_dsn(manual: Scene) -> None:
    """`triggers install --dsn` as the owner, for a daemon that may not."""
    refused = manual.start("triggers", "install")
    refused.expect_exit(2)
    dsn = (
        f"host=127.0.0.1 port={manual.postgres.port} dbname={manual.database} user={OWNER} "
        "application_name=installer"
    )
    installed = manual.start(
        "triggers", "install", "--dsn", dsn, environment={"PGPASSWORD": PASSWORD}
    )
    installed.expect_exit(0)
    daemon = manual.serve()
    manual.sql("DELETE FROM content.film_work WHERE id = md5('film 2')::uuid")
    manual.wait_converged()
    daemon.stop()
    manual.assert_converged()


@pytest.mark.long
def test_removed_and_installed_again(scene: Scene) -> None:
    """What happened without triggers is unknown: the next start compares everything."""
    scene.serve().stop()
    removed = scene.start("triggers", "remove")
    removed.expect_exit(0)
    assert "removed" in removed.output
    assert scene.admin("SELECT 1 FROM pg_trigger WHERE NOT tgisinternal") == []
    assert scene.admin("SELECT 1 FROM pg_namespace WHERE nspname = 'listener'") == []
    scene.sql("DELETE FROM content.film_work WHERE id = md5('film 2')::uuid")
    scene.sql("UPDATE content.film_work SET title = 'Silent' WHERE id = md5('film 1')::uuid")
    daemon = scene.start()
    daemon.wait_for("triggers_installed")
    daemon.wait_for("reconciled")
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()


@pytest.mark.parametrize("schema", one_short(("books", "public"), "books"))
def test_remove_by_the_name_of_another_schema(scene: Scene, schema: str) -> None:
    """A mistake in `postgres.schema`; tables of the application may bear names of listener's."""
    scene.serve().stop()
    if schema == "books":
        scene.admin(
            "CREATE SCHEMA books; CREATE TABLE books.journal AS SELECT 1 AS id; "
            "CREATE TABLE books.meta (k text)"
        )
    triggers = scene.admin("SELECT count(*) FROM pg_trigger")
    scene.set(postgres={"schema": schema})
    refused = scene.start("triggers", "remove")
    refused.expect_exit(2)
    assert "name another one" in refused.log
    assert scene.admin(f"SELECT 1 FROM pg_namespace WHERE nspname = '{schema}'") == [(1,)]
    assert scene.admin("SELECT count(*) FROM pg_trigger") == triggers
    if schema == "books":
        assert scene.admin("SELECT id FROM books.journal") == [(1,)]
        assert scene.admin("SELECT count(*) FROM books.meta") == [(0,)]


def test_emergency_exit(scene: Scene) -> None:
    """DROP SCHEMA listener CASCADE removes all of ours at once; the application goes on writing."""
    daemon = scene.serve()
    daemon.stop()
    scene.admin("DROP SCHEMA listener CASCADE")
    scene.sql("UPDATE content.film_work SET title = 'Silent' WHERE id = md5('film 1')::uuid")
    scene.sql("DELETE FROM content.film_work WHERE id = md5('film 2')::uuid")
    assert scene.admin("SELECT 1 FROM pg_trigger WHERE NOT tgisinternal") == []
    daemon = scene.start()
    daemon.wait_for("reconciled")
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()


def test_row_security_is_never_a_delete(manual: Scene) -> None:
    """A role that a policy shows no rows must not empty the index: it is an error instead."""
    printed = manual.start("triggers", "print")
    printed.expect_exit(0)
    assert psql(manual, printed.output).returncode == 0
    daemon = manual.serve()
    manual.admin("ALTER TABLE content.film_work ENABLE ROW LEVEL SECURITY")
    mark = daemon.mark()
    manual.admin("UPDATE content.film_work SET title = 'Hidden' WHERE id = md5('film 1')::uuid")
    daemon.wait_until(
        lambda records: next((one for one in records if one.event in ("held", "waiting")), None),
        what="held",
        after=mark,
    )
    assert not daemon.found("indexed", after=mark, deleted=lambda count: count > 0)
    manual.admin("ALTER TABLE content.film_work DISABLE ROW LEVEL SECURITY")
    manual.wait_converged()
    daemon.stop()
    manual.assert_converged()


def test_check_tells_what_is_missing(manual: Scene) -> None:
    """`listener check`: what is wrong and the SQL that mends it; 0 once it is mended."""
    check = manual.start("check")
    check.expect_exit(2)
    assert "listener triggers" in check.output
    printed = manual.start("triggers", "print")
    printed.expect_exit(0)
    assert psql(manual, printed.output).returncode == 0
    check = manual.start("check")
    check.expect_exit(0)
    assert check.output.rstrip().splitlines()[-1].startswith("0 errors")
    manual.admin(f"REVOKE SELECT ON content.genre FROM {READER}")
    check = manual.start("check")
    check.expect_exit(2)
    assert "GRANT SELECT ON" in check.output
    manual.start().expect_exit(2)
    manual.admin(f"GRANT SELECT ON content.genre TO {READER}")
    manual.once()
    manual.assert_converged()


@pytest.mark.parametrize(
    "catalog",
    one_short(
        ("pg_roles", "pg_locks", "pg_database", "pg_db_role_setting", "pg_settings"), "pg_locks"
    ),
)
def test_a_catalog_that_may_not_be_read(scene: Scene, catalog: str) -> None:
    """All commands end alike, with one line: the role, and the GRANT that mends it."""
    scene.once()
    scene.admin(f"REVOKE SELECT ON pg_catalog.{catalog} FROM PUBLIC")
    way = f'the role {OWNER} lacks a right: GRANT SELECT ON pg_catalog.{catalog} TO "{OWNER}";'
    ended = {}
    for command in ("check", "verify", "--once"):
        process = scene.start(command)
        ended[command] = process.exit_status(30)
        told = process.log + process.output
        assert (way in told) is (ended[command] == 2), told
    assert 2 in ended.values()
    assert set(ended.values()) <= {0, 2}, ended
    scene.admin(f"GRANT SELECT ON pg_catalog.{catalog} TO PUBLIC")
    scene.once()
    scene.assert_converged()


OUR_SESSIONS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'listener:%'"""


def test_health(scene: Scene) -> None:
    """`listener health`: 1 before a daemon ran, 0 while it serves, also while a server is away; 1
    while a person must mend something."""
    scene.wait_health(1)
    daemon = scene.serve()
    scene.wait_health(0)
    scene.postgres.stop()
    daemon.wait_for("waiting", server="PostgreSQL")
    scene.wait_health(0, "waiting for PostgreSQL")
    scene.postgres.start()
    scene.wait_converged()
    scene.request("PUT", f"/{scene.index}/_settings", {"index.blocks.write": True})
    scene.sql("UPDATE content.film_work SET title = 'After' WHERE id = md5('film 1')::uuid")
    scene.wait_health(1, "index.blocks.write")
    scene.request("PUT", f"/{scene.index}/_settings", {"index.blocks.write": None})
    scene.wait_converged()
    scene.wait_health(0)
    execute = "EXECUTE ON FUNCTION set_config"
    scene.admin(f"REVOKE {execute} FROM PUBLIC; {OUR_SESSIONS}")
    scene.wait_health(1, "permission denied for function set_config")
    scene.admin(f"GRANT {execute} TO PUBLIC")
    scene.wait_converged()
    scene.wait_health(0)
    daemon.stop()
    scene.assert_converged()
    assert Path(scene.state_file).exists()
