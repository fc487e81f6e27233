"""The command line repeats none of the words that it was given: one may hold a password."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

from listener import cli
from listener.cli import triggers

URI = "postgresql://u:hunter2@db/movies"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["triggers", "install", URI], "unrecognized arguments"),
        (["triggers", URI], "argument action: invalid choice (choose from"),
        ([URI], "argument COMMAND: invalid choice (choose from"),
        (["triggers", "install", f"--take-over={URI}"], "ignored explicit argument"),
        (["kibana", "--timeout", "hunter2"], "argument --timeout: invalid float value"),
        (["parked", f"--re={URI}"], "ignored explicit argument"),
        ([f"--{URI}"], "unrecognized arguments"),
    ],
)
def test_what_is_misplaced(capsys: pytest.CaptureFixture[str], words: list[str], told: str) -> None:
    """It is told what is wrong, and which words would do."""
    with pytest.raises(SystemExit, match="2"):
        cli.main(words)
    shown = capsys.readouterr().err
    assert told in shown
    assert "hunter2" not in shown


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["chek"], "check"),
        (["triggers", "instal"], "install"),
        (["verify", "--repiar"], "--repair"),
        (["load", "--drop_old=hunter2"], "--drop-old"),
        (["run", "--onec"], "--once"),
        (["--confg", "x.yaml", "run"], "--config"),
    ],
)
def test_what_is_misspelled(
    capsys: pytest.CaptureFixture[str], words: list[str], meant: str
) -> None:
    """The name that was meant is told, and nothing of what was written."""
    with pytest.raises(SystemExit, match="2"):
        cli.main(words)
    shown = capsys.readouterr().err
    assert f"did you mean {meant}?" in shown
    assert "hunter2" not in shown


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["check", "--json"], "listener check: error: unrecognized arguments: --json\n"),
        (["load", "--jsonn=hunter2"], "listener load: error: unrecognized arguments: --jsonn\n"),
        (["verify", "--config", "x"], "listener verify: error: --config goes before the command"),
        (["preview"], "error: the following arguments are required: INDEX\n"),
        (["preview", "films", "--sample", "0"], "--sample: a number of documents, 1 or more\n"),
        (["preview", "films", "--sample=-3"], "--sample: a number of documents, 1 or more\n"),
        (["preview", "films", "--sample", "x"], "--sample: a number of documents, 1 or more\n"),
    ],
)
def test_what_a_command_does_not_take(
    capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    """The command says so itself, names the option, and proposes nothing that is not close."""
    with pytest.raises(SystemExit, match="2"):
        cli.main(words)
    shown = capsys.readouterr().err
    assert told in shown
    assert f"usage: listener {words[0]}" in shown
    assert "hunter2" not in shown


def test_names_behind_options() -> None:
    """They count as if they stood before."""
    words = ["preview", "films", "--json", "1", "2"]
    given = cli._parsed(cli.parser("preview"), words)
    assert (given.index, given.ids, given.json) == ("films", ["1", "2"], True)


@pytest.mark.parametrize(
    "dsn",
    [
        "hunter2",
        "postgresql://u:hunter%zz2@db/movies",
        "postgresql://u:hunter2@x@db/movies",
        "postgresql://u:12/hunter2@db/movies",
        "postgresql://u:hunter2/x@db/movies",
        "postgresql://u:x:hunter2@db/movies?sslmode",
        "host=db password='hunter2",
        "host=db passwort=hunter2",
        "dbname=postgresql://u:hunter2@db/movies",
    ],
)
def test_a_connection_string_that_is_none(dsn: str) -> None:
    """Neither libpq's message is shown nor its traceback; what it would be read as is no name."""
    with pytest.raises(ValueError, match="--dsn: it is no connection string") as caught:
        triggers.check_dsn(dsn)
    assert "hunter" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "dsn",
    [
        "",
        "service=movies",
        "host=/tmp dbname=movies user=owner",
        "postgresql://u:hunter%402@[::1]:5432,db:5433/movies?sslmode=require",
    ],
)
def test_a_connection_string(dsn: str) -> None:
    """It is one."""
    triggers.check_dsn(dsn)


MISTAKES = {
    "a misspelled option": ("fetch_delay: 1", "fetch_dela: 1", "did you mean fetch_delay?"),
    "a misspelled file": ("query_file:", "query_fil:", "did you mean query_file?"),
    "a misspelled mapping": ("mapping_file:", "maping_file:", "did you mean mapping_file?"),
    "a wrong value": ("notify: rows", "notify: row", "notify"),
    "a missing section": ("postgres: {dbname: d, user: u}", "", "postgres: it is missing"),
    "a variable that is not set": ("dbname: d", "dbname: '${NOT_SET}'", "NOT_SET is not set"),
    "a secret that is away": ("user: u", "user: u, password_file: away", "cannot read the secret"),
}


@pytest.mark.parametrize(("right", "wrong", "told"), MISTAKES.values(), ids=list(MISTAKES))
def test_a_mistake_of_the_configuration_hides_none_of_the_files(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    right: str,
    wrong: str,
    told: str,
) -> None:
    """All is told at once: whoever mends one thing a start needs as many starts."""
    text = """
pipeline: a
fetch_delay: 1
postgres: {dbname: d, user: u}
documents:
  - index: films
    table: film
    key: id
    index_config_file: index.json
    query_file: film.sql
    watch:
      - {table: film, key: id, notify: rows}
      - {table: star, key: id, mapping_file: star.sql}
"""
    assert text.count(right) == 1
    config = tmp_path / "config.yaml"
    config.write_text(text.replace(right, wrong))
    (tmp_path / "index.json").write_text("{")
    (tmp_path / "film.sql").write_text("SELECT id, document FROM film WHERE id = ANY(%(idz)s)")
    (tmp_path / "star.sql").write_text("DELETE FROM star")
    for command in ("check", "run", "load", "preview films", "verify"):
        assert cli.main(["--config", str(config), *command.split()]) == 2
        said = capsys.readouterr().err
        assert told in said
        for part in ("index.json: ", "film.sql: line 1: unknown", "star.sql: line 1: it begins"):
            assert (part in said) is (command != "verify"), said


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--once", "check"], "--once goes with run"),
        (["parked", "--json", "--retry"], "--json goes without --retry"),
        (["load", "films", "--drop-old"], "--drop-old goes without INDEX and --accept"),
        (["load", "--accept", "--drop-old"], "--drop-old goes without INDEX and --accept"),
        (["indexes", "--drop", "films-1", "--drop-all"], "--drop-all goes without --drop"),
        (["verify", "--allow-deletes"], "--allow-deletes goes with --repair"),
    ],
)
def test_options_that_do_not_go_together(
    capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    """Neither is done: the one may delete what the other would keep."""
    with pytest.raises(SystemExit, match="2"):
        cli.main(["--config", "there is none.yaml", *words])
    assert told in capsys.readouterr().err


CONFIG = """
pipeline: a
postgres: {dbname: d, user: u, password_file: {secret}}
elasticsearch: {user: u, password_file: {secret}}
documents:
  - index: films
    table: film
    key: id
    index_config_file: index.json
    query_file: film.sql
    watch: [{table: film, key: id}]
"""


@pytest.mark.parametrize(
    ("words", "reads"),
    [
        (["check"], True),
        (["triggers", "print"], True),
        (["triggers", "print", "--dsn", "service=movies"], False),
        (["kibana"], True),
        (["health", "--live"], False),
        ([], True),
    ],
)
def test_secrets_that_a_command_needs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    reads: bool,
) -> None:
    """One that cannot be read is told before the command begins, and by no other command."""
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.replace("{secret}", str(tmp_path / "away")))
    begun: list[str] = []

    def run(*_: object) -> int:
        begun.append("run")
        return 0

    name = words[0] if words else "run"
    monkeypatch.setattr(cli.command(name), "run", run)
    monkeypatch.setattr(cli, "stop_on_signals", lambda _: nullcontext())
    assert cli.main(["--config", str(config), *words]) == (2 if reads else 0)
    assert begun == ([] if reads else ["run"])
    assert ("away" in capsys.readouterr().err) is reads


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt(), 130), (AssertionError("a defect"), None)]
)
def test_what_ends_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int | None
) -> None:
    """Ctrl-C has the status that shells give it. A defect is not hidden."""
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.replace("{secret}", str(tmp_path / "away")))

    def run(*_: object) -> int:
        raise error

    monkeypatch.setattr(cli.command("health"), "run", run)
    monkeypatch.setattr(cli, "stop_on_signals", lambda _: nullcontext())
    words = ["--config", str(config), "health"]
    if status is None:
        with pytest.raises(AssertionError):
            cli.main(words)
    else:
        assert cli.main(words) == status
