"""What the role or the database has as its defaults does not reach listener's own sessions."""

from __future__ import annotations

from playground.system import wait_until
from tests.kit.scene import OWNER, Scene

SETTINGS = {
    "statement_timeout": "400ms",
    "transaction_timeout": "400ms",
    "idle_in_transaction_session_timeout": "300ms",
    "idle_session_timeout": "300ms",
    "lock_timeout": "100ms",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "synchronous_commit": "off",
    "TimeZone": "Pacific/Chatham",
    "DateStyle": "German",
    "IntervalStyle": "sql_standard",
    "bytea_output": "escape",
    "extra_float_digits": "-10",
    "client_encoding": "LATIN1",
    "client_min_messages": "debug5",
    "standard_conforming_strings": "off",
    "escape_string_warning": "on",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "quote_all_identifiers": "on",
    "gin_fuzzy_search_limit": "1",
    "plan_cache_mode": "force_generic_plan",
    "exit_on_error": "on",
    "jit_above_cost": "0",
    "debug_parallel_query": "on",
    "check_function_bodies": "off",
    "work_mem": "64",
    "event_triggers": "off",
    "search_path": "nowhere",
}
"""PostgreSQL 18 lets a role have all of these."""

WAITS = f"""
    SELECT count(*) FROM pg_stat_activity
    WHERE usename = '{OWNER}' AND datname = current_database() AND wait_event_type = 'Lock'
      AND application_name <> 'listener: documents'
      AND pg_catalog.clock_timestamp() - query_start > '900ms'"""


def test_a_role_of_odd_defaults(scene: Scene) -> None:
    """Install, load, polls that wait for a lock for longer than any limit, edits, `verify`."""
    for document in scene.options["documents"]:
        for watch in document["watch"]:
            watch["notify"] = "off"
    for name, value in SETTINGS.items():
        scene.admin(f"ALTER ROLE {OWNER} IN DATABASE {scene.database} SET {name} = '{value}'")
    scene.admin(
        "DROP INDEX content.film_work_updated_at_idx"
    )  # ours is made beside a second session
    daemon = scene.serve()
    assert daemon.found("making_index")
    mark = daemon.mark()
    scene.sql("UPDATE content.film_work SET rating = 'NaN' WHERE id = md5('film 7')::uuid")
    daemon.wait_for("parked")  # the row's fault is found in the session that met it
    with scene.superuser() as connection, connection.transaction():
        connection.execute("LOCK TABLE content.film_work IN ACCESS EXCLUSIVE MODE")
        wait_until(
            lambda: scene.admin(WAITS) != [(0,)], seconds=30, what="a poll that waits for the lock"
        )
        connection.execute("UPDATE content.film_work SET title = 'x' WHERE rating = 'NaN'")
        connection.execute("UPDATE content.film_work SET rating = 3 WHERE rating = 'NaN'")
    scene.sql("UPDATE content.person SET full_name = 'ÿ ł \\' WHERE id = md5('person 20')::uuid")
    scene.wait_converged()
    daemon.wait_for("watermark_moved", after=daemon.mark())
    lost = [
        one for one in daemon.found("connection_lost", after=mark) if one["role"] != "documents"
    ]
    assert not lost, daemon.log
    verify = scene.start("verify")
    verify.expect_exit(0)
    daemon.stop()
    scene.assert_converged()
