"""Polling: what stands at the watermark is not read or indexed again and again; the doorbell."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from playground.daemon import ListenerProcess
from playground.system import wait_until
from tests.kit.lengths import one_short
from tests.kit.scene import Connection, Scene

COMMITS = 1000
FILMS = 300


def notify(scene: Scene, mode: str, *tables: str) -> None:
    """Set how these tables (none given: all) tell of their changes."""
    for watch in scene.options["documents"][0]["watch"]:
        if not tables or watch["table"] in tables:
            watch["notify"] = mode


def written(daemon: ListenerProcess, mark: int) -> int:
    """How many documents were sent since."""
    return sum(
        one["written"] + one["deleted"] + one["retried"]
        for one in daemon.found("indexed", after=mark)
    )


@pytest.mark.parametrize("mode", one_short(("rows", "doorbell", "off", "mixed"), "mixed"))
def test_a_standing_watermark_repeats_nothing(scene: Scene, mode: str) -> None:
    """Another database's transaction holds the watermark; small commits go on beside it."""
    notify(scene, "rows" if mode == "mixed" else mode)
    if mode == "mixed":
        notify(scene, "off", "content.genre", "content.person")
    daemon = scene.serve()
    application = scene.connect()
    with scene.superuser("postgres") as foreign, foreign.transaction():
        foreign.execute("SELECT pg_current_xact_id()")
        held = daemon.wait_for("watermark_held")
        mark = daemon.mark()
        for number in range(COMMITS):
            application.execute(
                f"UPDATE content.film_work SET rating = {number % 90} "
                f"WHERE id = md5('film {number * 7 % FILMS + 1}')::uuid".encode()
            )
        scene.wait_converged()  # freshness does not wait for the watermark
        # some ticks more, in which nothing is new
        scene.sql("UPDATE content.genre SET name = 'Heard' WHERE id = md5('genre 3')::uuid")
        scene.wait_converged()
        assert not daemon.found("watermark_moved", after=held)
        beside = written(daemon, mark)
    daemon.wait_for("watermark_moved", after=held)
    daemon.wait_for("watermark_moved", after=daemon.mark())
    scene.wait_converged()
    total = written(daemon, mark)
    print(f"notify {mode}: {COMMITS} commits, {beside} documents sent beside it, {total} in all")
    assert total <= 1.5 * COMMITS, daemon.log
    daemon.stop()
    scene.assert_converged()


def test_a_large_transaction_ends_late(scene: Scene) -> None:
    """Of a transaction that is older than many looks, rows of all its time are found."""
    notify(scene, "off")
    daemon = scene.serve()
    writer = scene.connect()
    with writer.transaction():
        writer.execute("UPDATE content.film_work SET title = 'Old' WHERE id = md5('film 1')::uuid")
        writer.execute("DELETE FROM content.film_work WHERE id = md5('film 9')::uuid")
        daemon.wait_for("watermark_held")
        scene.sql("UPDATE content.film_work SET title = 'New' WHERE id = md5('film 2')::uuid")
        scene.wait_converged()
        writer.execute("UPDATE content.film_work SET title = 'Late' WHERE id = md5('film 3')::uuid")
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()


@pytest.fixture
def rare(scene: Scene) -> Scene:
    """All tables ring, and ticks are so rare that nothing can have come by one."""
    notify(scene, "doorbell")
    scene.set(fetch_delay=600)
    return scene


def test_the_doorbell_is_answered_at_once(rare: Scene) -> None:
    """Edits of each table, and deletes: nobody waits for the next tick."""
    daemon = rare.start()
    daemon.wait_for("loaded")
    rare.wait_converged()
    mark = daemon.mark()
    for statement in (
        "UPDATE content.film_work SET title = 'Rang' WHERE id = md5('film 1')::uuid",
        "UPDATE content.genre SET name = 'Rang' WHERE id = md5('genre 1')::uuid",
        "DELETE FROM content.film_work WHERE id = md5('film 2')::uuid",
        "DELETE FROM content.person_film_work WHERE film_work_id = md5('film 3')::uuid",
    ):
        rare.sql(statement)
        rare.wait_converged()
    assert daemon.found("swept", after=mark, table="journal")
    assert not daemon.found("watermark_moved", after=mark)
    daemon.stop()
    rare.assert_converged()


def test_who_did_not_ring_is_found(rare: Scene) -> None:
    """It found the bell ringing, so it did not ring, and commits after the first polls."""
    daemon = rare.start()
    daemon.wait_for("loaded")
    rare.wait_converged()
    [(body,)] = rare.admin(
        "SELECT prosrc FROM pg_proc WHERE prosrc LIKE '%pg_try_advisory_xact_lock(%' LIMIT 1"
    )
    [bell] = re.findall(r"pg_try_advisory_xact_lock\(\s*(\d+)", body)
    silent = rare.connect()
    with rare.superuser() as ringing:
        ringing.execute(
            "SELECT count(pg_advisory_lock(%s, ((extract(epoch FROM now()) * 20)::bigint "
            "%% 2147483647)::integer + n)) FROM generate_series(0, 400) AS n",
            [int(bell)],
        )
        silent.execute("BEGIN")
        silent.execute("UPDATE content.film_work SET rating = 1 WHERE id = md5('film 5')::uuid")
    mark = daemon.mark()
    rare.sql("UPDATE content.film_work SET rating = 2 WHERE id = md5('film 6')::uuid")
    daemon.wait_for("indexed", after=mark)
    silent.execute("COMMIT")
    rare.wait_converged()
    assert not daemon.found("watermark_moved", after=mark)
    daemon.stop()
    rare.assert_converged()


STORM = """
    CREATE PROCEDURE public.storm() LANGUAGE plpgsql AS $$
    BEGIN
        FOR i IN 1..1000000 LOOP
            UPDATE content.film_work SET rating = i % 90
            WHERE id = md5('film ' || i * 7 % 299 + 2)::uuid;
            COMMIT;
            EXIT WHEN to_regclass('public.enough') IS NOT NULL;
        END LOOP;
    END $$"""
IDS = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text"
KEPT = """
    SELECT count(*) FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
    WHERE l.locktype = 'advisory' AND a.application_name = 'listener: watermark'
    AND a.datname = current_database()"""


def read(heard: Connection) -> int:
    """How many notifications have come, or 20,000: one call reads one packet of them."""
    count = 0
    while count < 20_000 and (packet := list(heard.notifies(timeout=0.1))):
        count += len(packet)
    return count


def test_a_hot_bell_is_kept(rare: Scene) -> None:
    """Thousands of commits ring a few times. Who wrote meanwhile, and commits when all is quiet
    and the bell is let go, is found without a ring or a tick."""
    daemon = rare.start()
    daemon.wait_for("loaded")
    rare.wait_converged()
    mark = daemon.mark()
    rare.admin(STORM)

    def number(query: str) -> int:
        return int(rare.admin(query)[0][0])

    with (
        rare.superuser() as storm,
        rare.superuser() as heard,
        rare.superuser() as late,
        ThreadPoolExecutor(1) as threads,
    ):
        heard.execute("LISTEN listener")
        storming = threads.submit(storm.execute, "CALL public.storm()")
        try:
            wait_until(lambda: number(KEPT) > 20, seconds=30, what="the daemon keeps the bell")
            # the locks of these moments were a writer's, who rang
            mine = rare.admin("SELECT (clock_timestamp() + interval '0.2 s')::text")[0][0]
            passed = f"SELECT (clock_timestamp() > '{mine}')::integer"
            wait_until(lambda: number(passed) == 1, seconds=30, what="those slots have passed")
            read(heard)
            late.execute("BEGIN")
            late.execute("UPDATE content.film_work SET rating = -1 WHERE id = md5('film 1')::uuid")
            before = number(IDS)
            wait_until(lambda: number(IDS) > before + 10_000, seconds=60, what="10,000 commits")
            rings, commits = read(heard), number(IDS) - before
        finally:
            rare.admin("CREATE TABLE public.enough ()")
            storming.result(30)
        print(f"{rings} rings in {commits} commits")
        assert rings < commits / 20
        wait_until(lambda: number(KEPT) == 0, seconds=30, what="the bell is let go")
        late.execute("COMMIT")
    rare.wait_converged()
    assert not daemon.found("watermark_moved", after=mark)
    daemon.stop()
    rare.assert_converged()


def test_a_daemon_that_keeps_the_bell_is_killed(rare: Scene) -> None:
    """Its session ends, and with it the lease: writers ring again. What was committed while nobody
    listened is found by the next daemon's first poll, and what comes then without a tick."""
    daemon = rare.start()
    daemon.wait_for("loaded")
    rare.wait_converged()
    rare.admin(STORM)
    kept = "SELECT count(*) > 20 FROM (" + KEPT.replace("count(*)", "1") + ") AS kept"
    with (
        rare.superuser() as storm,
        rare.superuser() as heard,
        rare.superuser() as late,
        ThreadPoolExecutor(1) as threads,
    ):
        storming = threads.submit(storm.execute, "CALL public.storm()")
        try:
            wait_until(
                lambda: bool(rare.admin(kept)[0][0]), seconds=30, what="the daemon keeps the bell"
            )
            late.execute("BEGIN")
            late.execute("UPDATE content.film_work SET rating = -1 WHERE id = md5('film 1')::uuid")
            daemon.kill()
            heard.execute("LISTEN listener")
            # all of one packet: more than one may have rung since
            rings = list(heard.notifies(timeout=30, stop_after=1))
            assert rings
            assert all("sweep" in rung.payload for rung in rings)
            after = rare.start()
            after.wait_for("caught_up")
            late.execute("COMMIT")
        finally:
            rare.admin("CREATE TABLE public.enough ()")
            storming.result(30)
    rare.wait_converged()
    mark = after.mark()
    rare.sql("UPDATE content.film_work SET title = 'Rang' WHERE id = md5('film 2')::uuid")
    rare.wait_converged()
    assert not after.found("watermark_moved", after=mark)
    after.stop()
    rare.assert_converged()


def ahead(scene: Scene, table: str, change: str, at: str = "now() + interval '1 day'") -> None:
    """Change rows as under a clock that is ahead: this trigger fires after the one that stamps."""
    scene.admin(
        "BEGIN; CREATE FUNCTION pg_temp.ahead() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN NEW.updated_at := {at}; RETURN NEW; END $$; "
        f'CREATE TRIGGER "~~" BEFORE UPDATE ON {table} '
        "FOR EACH ROW EXECUTE FUNCTION pg_temp.ahead(); "
        f'UPDATE {table} SET {change}; DROP TRIGGER "~~" ON {table}; COMMIT'
    )


def test_rows_stamped_in_the_future(scene: Scene) -> None:
    """Each is read when a session begins, and not at every tick; a change of it is a change."""
    notify(scene, "off")
    scene.serve().stop()
    ahead(scene, "content.film_work", "rating = rating")
    ahead(scene, "content.genre", "name = name", "'infinity'")
    daemon = scene.start()
    assert daemon.wait_for("caught_up")["rows"] > FILMS
    first = daemon.wait_for("watermark_moved", after=daemon.mark())
    mark = daemon.mark()
    for _ in range(5):
        first = daemon.wait_for("watermark_moved", after=first)
    assert written(daemon, mark) == 0, daemon.log
    assert not daemon.found("swept", after=mark)
    scene.sql("UPDATE content.film_work SET title = 'Now' WHERE id = md5('film 1')::uuid")
    scene.sql("DELETE FROM content.film_work WHERE id = md5('film 2')::uuid")
    scene.sql("UPDATE content.genre SET name = 'Today' WHERE id = md5('genre 3')::uuid")
    scene.wait_converged()
    daemon.stop()
    scene.assert_converged()


@pytest.mark.long
def test_rows_stamped_in_the_future_while_a_transaction_is_open(scene: Scene) -> None:
    """One of another database, from before the session on: they do not wait for its end, and each
    is read once, and compared once where it says so."""
    notify(scene, "off")
    scene.set(audit_every=0.1)
    scene.serve().stop()
    with scene.superuser("postgres") as foreign:
        with foreign.transaction():
            foreign.execute("SELECT pg_current_xact_id()")
            daemon = scene.start()
            daemon.wait_for("caught_up")
            daemon.wait_for("watermark_held")
            mark = daemon.mark()
            ahead(scene, "content.film_work", "title = 'Later' WHERE id = md5('film 3')::uuid")
            scene.wait_converged()
            scene.admin(
                "BEGIN; TRUNCATE content.person_film_work; UPDATE listener.journal "
                "SET updated_at = updated_at + interval '1 day' WHERE reason = 'TRUNCATE'; COMMIT"
            )
            daemon.wait_for("reconcile_started", after=mark)
            for number in range(5):  # some looks more
                seen = daemon.mark()
                scene.sql(
                    f"UPDATE content.genre SET name = '{number}' WHERE id = md5('genre 3')::uuid"
                )
                daemon.wait_for("swept", after=seen, table="content.genre(id)")
        moved = daemon.wait_for("reconciled", after=mark)
    for _ in range(3):
        moved = daemon.wait_for("watermark_moved", after=moved)
    for table in ("content.film_work(id)", "journal"):
        [swept] = daemon.found("swept", after=mark, table=table)
        assert swept["rows"] == 1, daemon.log
    assert len(daemon.found("reconcile_started", after=mark)) == 1, daemon.log
    daemon.stop()
    scene.assert_converged()


@pytest.mark.long
def test_many_rows_stamped_in_the_future_while_a_transaction_is_open(scene: Scene) -> None:
    """No number of them is read again at each look."""
    notify(scene, "off")
    scene.set(audit_every=0.1)
    daemon = scene.serve()
    with scene.superuser("postgres") as foreign, foreign.transaction():
        foreign.execute("SELECT pg_current_xact_id()")
        daemon.wait_for("watermark_held")
        mark = daemon.mark()
        scene.admin(
            "INSERT INTO content.genre (name) SELECT 'many ' || n FROM generate_series(1, 12000) n"
        )
        inserted = daemon.wait_for("swept", after=mark, table="content.genre(id)")
        ahead(scene, "content.genre", "name = name WHERE name LIKE 'many %'")
        daemon.wait_for("swept", after=inserted, table="content.genre(id)", rows=12000)
        mark = daemon.mark()
        for number in range(5):  # some looks more
            seen = daemon.mark()
            scene.sql(f"UPDATE content.genre SET name = '{number}' WHERE id = md5('genre 3')::uuid")
            daemon.wait_for("swept", after=seen, table="content.genre(id)")
    moved = daemon.wait_for("watermark_moved", after=mark)
    for _ in range(3):
        moved = daemon.wait_for("watermark_moved", after=moved)
    swept = daemon.found("swept", after=mark, table="content.genre(id)")
    assert sum(one["rows"] for one in swept) == 5, daemon.log
    daemon.stop()
    scene.assert_converged()
