"""`listener parked` lists and explains, `--retry` tries again, and nothing stays that is mended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from playground.daemon import PROJECT, ListenerProcess
from tests.kit.lengths import one_short
from tests.kit.scene import OWNER, Scene

_TAKES_ALL = (
    "CREATE OR REPLACE FUNCTION content.score(title text) RETURNS integer IMMUTABLE LANGUAGE sql "
    "AS 'SELECT length(title)'"
)
_REFUSES = (
    "CREATE OR REPLACE FUNCTION content.score(title text) RETURNS integer IMMUTABLE LANGUAGE sql "
    "AS 'SELECT length(title) / (CASE WHEN title LIKE ''bad%'' THEN 0 ELSE 1 END)'"
)


@pytest.fixture
def scored(scene: Scene) -> Scene:
    """The movies, with a query that fails for films whose title begins with `bad`."""
    scene.admin(f"{_REFUSES}; ALTER FUNCTION content.score(text) OWNER TO {OWNER}")
    document = scene.options["documents"][0]
    text = Path(document["query_file"]).read_text("utf-8")
    path = scene.folder / "film.sql"
    path.write_text(
        text.replace("film.title", "film.title || left(content.score(film.title)::text, 0)"),
        "utf-8",
    )
    assert path.read_text("utf-8") != text
    document["query_file"] = str(path)
    return scene


def make_bad(scene: Scene, count: int) -> list[str]:
    """Change all 300 films, and give so many of them, which are not in a row, a title that the
    query fails for; their ids."""
    rows = scene.sql(
        "WITH numbered AS (SELECT id, row_number() OVER (ORDER BY id) AS n FROM content.film_work) "
        f"UPDATE content.film_work AS f SET title = CASE WHEN n %% (300 / {count}) = 0 THEN 'bad ' "
        "ELSE 'good ' END || title FROM numbered WHERE numbered.id = f.id "
        "RETURNING f.id::text, f.title".replace("%%", "%")
    )
    return sorted(film for film, title in rows if title.startswith("bad"))


def mend_query(scene: Scene) -> None:
    """The fault goes away, and no row changes."""
    scene.admin(_TAKES_ALL)


def wait_parked(daemon: ListenerProcess, ids: list[str]) -> None:
    """Until all of these are parked, and our table says so."""
    daemon.wait_for("parked", id=lambda one: one in ids)
    for _ in range(2):  # the first one may be of a tick that began before
        daemon.wait_for("watermark_moved", after=daemon.mark())


def parked(scene: Scene, *arguments: str, expect: int) -> str:
    """What `listener parked` prints."""
    process = scene.start("parked", *arguments)
    process.expect_exit(expect)
    return process.output


def test_list_explain_and_try_again_with_a_daemon(scored: Scene) -> None:
    """Refused again while the fault is there; indexed by --retry once it is gone."""
    daemon = scored.serve()
    assert "nothing is parked" in parked(scored, expect=0)
    assert "nothing is parked" in parked(scored, "--retry", expect=0)
    assert "none of these is parked" in parked(scored, "--retry", "mistyped", expect=0)
    assert parked(scored, "--json", expect=0) == ""
    bad = make_bad(scored, 3)
    wait_parked(daemon, bad)

    told = parked(scored, expect=1)
    assert f"{scored.index}: 3 parked" in told
    assert all(one in told for one in bad)
    assert "division by zero" in told
    assert "query_file" in told
    lines = [json.loads(line) for line in parked(scored, "--json", bad[1], expect=1).splitlines()]
    assert [(line["id"], line["index"]) for line in lines] == [(bad[1], scored.index)]

    told = parked(scored, "--retry", bad[0], expect=1)
    assert "1 tried again: 0 parked no longer, 1 still refused" in told
    assert {row[0] for row in scored.admin("SELECT id FROM listener.parked")} == set(bad)

    mend_query(scored)
    told = parked(scored, "--retry", "--index", scored.index, expect=0)
    assert "3 tried again: 3 parked no longer, 0 still refused" in told
    assert scored.admin("SELECT id FROM listener.parked") == []
    scored.wait_converged()
    daemon.stop()
    scored.assert_converged()


@pytest.mark.long
def test_try_again_without_a_daemon(scored: Scene) -> None:
    """The command does it itself, and says the same."""
    daemon = scored.serve()
    bad = make_bad(scored, 2)
    wait_parked(daemon, bad)
    daemon.stop()
    assert "2 tried again: 0 parked no longer" in parked(scored, "--retry", expect=1)
    mend_query(scored)
    assert "2 tried again: 2 parked no longer" in parked(scored, "--retry", expect=0)
    scored.once(expect=0)
    scored.assert_converged()


@pytest.mark.long
def test_many_are_tried_again_at_once(scored: Scene) -> None:
    """What is aside already does not pull the brake: others go on, and the watermark moves."""
    scored.set(max_parked=150)
    daemon = scored.serve()
    bad = make_bad(scored, 150)
    wait_parked(daemon, bad)
    told = parked(scored, "--retry", expect=1)
    assert "150 tried again: 0 parked no longer, 150 still refused" in told
    assert not daemon.found("held")
    # one more is one too many
    [(film,)] = scored.sql(
        "UPDATE content.film_work SET title = 'bad one' WHERE id = (SELECT id FROM "
        "content.film_work WHERE title NOT LIKE 'bad%' LIMIT 1) RETURNING id::text"
    )
    held = daemon.wait_for("held")
    assert "too many documents are refused" in held["reason"]
    scored.wait_health(1, "too many documents are refused")
    scored.sql(f"UPDATE content.film_work SET title = 'good' WHERE id = '{film}'")
    daemon.wait_for("watermark_moved", after=daemon.mark())
    mend_query(scored)
    parked(scored, "--retry", expect=0)
    scored.wait_converged()
    daemon.stop()


@pytest.mark.long
def test_rows_that_are_gone_are_parked_no_longer(scored: Scene) -> None:
    """Deleted one by one, and by a TRUNCATE that leaves neither side anything to compare."""
    daemon = scored.serve()
    [(one, other)] = scored.sql(
        "INSERT INTO content.film_work (id, title, type) VALUES (gen_random_uuid(), 'bad', 'movie')"
        " RETURNING id::text, gen_random_uuid()::text"
    )
    scored.sql(
        f"INSERT INTO content.film_work (id, title, type) VALUES ('{other}', 'bad', 'movie')"
    )
    wait_parked(daemon, [one, other])
    scored.sql(f"DELETE FROM content.film_work WHERE id = '{one}'")
    daemon.wait_for("watermark_moved", after=daemon.wait_for("indexed", after=daemon.mark()))
    assert scored.admin("SELECT id FROM listener.parked") == [(other,)]
    mark = daemon.mark()
    scored.sql("TRUNCATE content.film_work CASCADE")
    daemon.wait_for("reconciled", after=mark)
    daemon.wait_for("watermark_moved", after=daemon.mark())
    assert scored.admin("SELECT id FROM listener.parked") == []
    scored.wait_converged()
    daemon.stop()
    scored.once(expect=0)


@pytest.mark.long
def test_a_load_tries_them_again(scored: Scene) -> None:
    """A new mapping or query is a new index: at its swap they are parked no longer."""
    daemon = scored.serve()
    bad = make_bad(scored, 2)
    wait_parked(daemon, bad)
    daemon.stop()
    mend_query(scored)
    document = scored.options["documents"][0]
    path = Path(document["query_file"])
    path.write_text(path.read_text("utf-8") + "\n-- changed\n", "utf-8")
    scored.once(expect=0)
    assert scored.admin("SELECT id FROM listener.parked") == []
    scored.assert_converged()


@pytest.mark.long
def test_an_index_of_an_earlier_configuration(scored: Scene) -> None:
    """It is nobody's: told as such, not counted, and forgotten by --retry."""
    daemon = scored.serve()
    scored.admin(
        "INSERT INTO listener.parked VALUES ('former', E'a\\nb', 'illegal_argument_exception: no', "
        "now(), now(), 7)"
    )
    daemon.stop()
    scored.once(expect=0)
    told = parked(scored, expect=1)
    assert "former (an index of an earlier configuration): 1 parked" in told
    assert '"a\\nb"' in told
    assert "refused 7 times" in told
    assert "1 forgotten" in parked(scored, "--retry", expect=0)
    assert "nothing is parked" in parked(scored, expect=0)
    scored.assert_converged()


@pytest.mark.long
def test_what_is_asked_for_wrongly(scored: Scene) -> None:
    """An index that nobody has, a database without our table, options that do not go together."""
    scored.start("parked").expect_exit(2)
    process = scored.start("parked", "--json", "--retry")
    process.expect_exit(2)
    daemon = scored.serve()
    process = scored.start("parked", "--index", "nobodys")
    process.expect_exit(2)
    assert "nobodys" in process.log + process.output
    assert scored.index in process.log + process.output
    daemon.stop()
    scored.assert_converged()


def test_who_reads_little_and_who_reads_ascii(scored: Scene) -> None:
    """A pipe that is closed early, and an encoding without the id: neither a traceback nor 2."""
    daemon = scored.serve()
    scored.admin(
        f"INSERT INTO listener.parked SELECT '{scored.index}', 'ünï☃ ' || n, repeat('no ', 100), "
        "now(), now(), 1 FROM generate_series(1, 1000) AS n"
    )
    command = [sys.executable, "-m", "listener", "--config", str(scored.config), "parked"]
    with subprocess.Popen(
        command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 141
    ascii_only = subprocess.run(
        command,
        check=False,
        cwd=PROJECT,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
    )
    assert (ascii_only.returncode, ascii_only.stderr) == (1, b"")
    assert b"\\xfcn" in ascii_only.stdout
    scored.admin("DELETE FROM listener.parked")
    daemon.stop()
    scored.assert_converged()


@pytest.mark.parametrize("command", one_short((["--once"], ["load"]), ["--once"]))
def test_a_brake_ends_what_should_end(scored: Scene, command: list[str]) -> None:
    """Nobody may wait for ever for --once, nor for a load: they give up, and say why."""
    scored.set(max_parked=20, backoff={"give_up_after": 3})
    make_bad(scored, 50)
    process = scored.start(*command)
    process.expect_exit(3, 60)
    assert "too many documents are refused" in process.log
    mend_query(scored)
    scored.once(expect=0)
    assert scored.admin("SELECT id FROM listener.parked") == []
    scored.assert_converged()
