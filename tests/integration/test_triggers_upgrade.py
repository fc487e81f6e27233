"""From the schema that a former release made to ours: nothing is lost, and nobody waits."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path
from typing import Final

import psycopg
import pytest

from listener import triggers
from listener.changes import Watch
from tests.kit.triggers import Bench

FORMER: Final = Path(__file__).parent / "former" / "version_1.sql"
WATCHES: Final = (
    Watch("public", "film", ("id",), "updated_at"),
    Watch("public", "link", ("film",)),
)


def psql(bench: Bench, script: str) -> None:
    """As an administrator runs a script."""
    command = [str(bench.server.psql), bench.server.socket_dsn(bench.name), "-Xqv"]
    ran = subprocess.run(
        [*command, "ON_ERROR_STOP=1"], input=script, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.fixture
def former(bench: Bench) -> Bench:
    """What the former release left, with rows in the journal."""
    bench.run(
        "CREATE TABLE film (id integer PRIMARY KEY, updated_at timestamptz);"
        "CREATE TABLE link (film integer)"
    )
    psql(bench, FORMER.read_text("utf-8"))
    bench.watches = WATCHES
    bench.run("INSERT INTO link SELECT generate_series(1, 3)")
    bench.run("INSERT INTO film VALUES (1), (2); DELETE FROM film WHERE id = 1")
    return bench


JOURNAL: Final = "SELECT array_agg((updated_at, id, watch, keys)::text ORDER BY id) FROM {}.journal"
PRUNED: Final = "SELECT pruned_below::text FROM listener.meta"


@pytest.mark.parametrize("printed", [False, True], ids=["install", "print"])
def test_a_schema_of_version_1_is_migrated(former: Bench, printed: bool) -> None:
    """The journal stays, no sequence is left that a writer could be seen to use, and nothing says
    that changes were lost. A second time there is nothing to do."""
    rows = former.value(JOURNAL.format("listener"))
    pruned = former.value(PRUNED)
    assert any("is of version 1, this program's is 2" in line for line in former.status())
    if printed:
        psql(former, triggers.script(former.plan()))
    else:
        former.install()
    assert (former.plan(), former.status()) == ((), ())
    assert former.value(JOURNAL.format("listener")) == rows
    assert former.value(PRUNED) == pruned, "no reason to compare"
    assert former.value("SELECT (schema_version, pipeline)::text FROM listener.meta") == "(2,)"
    assert former.value("SELECT count(*) FROM pg_class WHERE relname = 'journal_id_seq'") == 0
    assert former.told("SELECT 1").journal
    assert former.told("INSERT INTO link VALUES (4)").journaled() == {("4",)}


def test_earlier_builds_of_version_2_counted_no_renewals(former: Bench) -> None:
    """Three columns are added, and nothing else is done."""
    former.install()
    former.run("ALTER TABLE listener.meta DROP COLUMN line, DROP COLUMN renewals, DROP COLUMN file")
    pruned = former.value(PRUNED)
    assert any("listener.meta counts no renewals" in line for line in former.status())
    former.install()
    assert (former.plan(), former.status()) == ((), ())
    assert former.value("SELECT line IS NULL FROM listener.meta") is True
    assert former.value(PRUNED) == pruned, "no reason to compare"


def test_what_an_interrupted_upgrade_left(former: Bench) -> None:
    """The journal lost, or meta changed already: the next install brings it to an end."""
    former.run("ALTER TABLE listener.meta ADD COLUMN pipeline text")
    former.run("DROP TABLE listener.journal")
    former.install()
    assert former.status() == ()
    assert former.value("SELECT schema_version FROM listener.meta") == 2


def test_writers_go_on_while_it_is_migrated(former: Bench) -> None:
    """Each of their changes is in the journal, and none of their statements failed."""
    stop = threading.Event()
    written: list[list[int]] = [[], []]
    failed: list[psycopg.Error] = []

    def write(number: int) -> None:
        with psycopg.connect(
            former.server.socket_dsn(former.name),
            autocommit=True,
            options="-c lock_timeout=500ms -c client_min_messages=warning",
        ) as conn:
            conn.add_notice_handler(lambda notice: failed.append(psycopg.Error(str(notice))))
            value = 1000 * (number + 1)
            while not stop.is_set():
                value += 1
                try:
                    with conn.transaction():
                        conn.execute("INSERT INTO link VALUES (%s)", (value,))
                        conn.execute("UPDATE link SET film = film WHERE film = %s", (value,))
                except psycopg.Error as error:
                    failed.append(error)
                    continue
                written[number].append(value)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    try:
        former.install()
        assert former.status() == ()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failed == []
    found = former.value(
        "SELECT array_agg(DISTINCT k) FROM listener.journal, "
        "LATERAL jsonb_array_elements_text(keys::jsonb) AS k WHERE watch = 'public.link(film)'"
    )
    assert {str(value) for values in written for value in values} <= set(found)
    assert former.value("SELECT is_called FROM listener.lost") is False
