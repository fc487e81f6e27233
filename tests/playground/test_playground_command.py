"""`python -m playground` as people call it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import urllib.request

import psycopg
import pytest

from playground import blueprint

PLAYGROUND = [sys.executable, "-m", "playground"]


def test_up_says_where_and_stops_on_ctrl_c() -> None:
    """The printed addresses answer; after Ctrl-C they do not, and the exit status is 0."""
    with subprocess.Popen([*PLAYGROUND, "up"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            said = ""
            for line in process.stdout:
                said += line
                if line.startswith("Ctrl-C"):
                    break
            [dsn] = re.findall(r"^PostgreSQL +(\S+)$", said, re.MULTILINE)
            [url] = re.findall(r"^Elasticsearch +(\S+)$", said, re.MULTILINE)
            with psycopg.connect(dsn) as connection:
                assert connection.execute("SELECT 1").fetchall() == [(1,)]
            with urllib.request.urlopen(url) as answer:
                assert answer.status == 200
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(dsn)


@pytest.mark.parametrize("command", [[], ["up"], ["prepare"]])
def test_help(command: list[str]) -> None:
    """Every command has a help text; those that start search servers name them."""
    done = subprocess.run(
        [*PLAYGROUND, *command, "--help"], check=True, capture_output=True, text=True
    )
    assert "usage: python -m playground" in done.stdout
    if command:
        assert ", ".join(blueprint.names()) in " ".join(done.stdout.split())


def test_unknown_server() -> None:
    """A wrong name is refused at once, with the right ones."""
    done = subprocess.run(
        [*PLAYGROUND, "up", "--search", "solr"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "es8" in done.stderr
