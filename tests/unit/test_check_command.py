"""`listener check` where no server answers: what it can say, it says."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from listener import cli

TEXT = """
pipeline: a
postgres: {host: 127.0.0.1, port: 1, dbname: d, user: u}
elasticsearch: {urls: ["http://127.0.0.1:1"]}
documents:
  - index: films
    table: film
    key: id
    index_config_file: index.json
    query_file: film.sql
    watch: [{table: film, key: id}]
"""


def test_no_server_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each is named with what may mend it. The files are looked at, and the last line counts: it
    says that this was not all."""
    config = tmp_path / "config.yaml"
    config.write_text(TEXT)
    (tmp_path / "index.json").write_text('{"mappings": {"dynamic": "strict", "properties": {}}}')
    (tmp_path / "film.sql").write_text("SELECT 1")
    assert cli.main(["--config", str(config), "check"]) == 3
    lines = capsys.readouterr().out.splitlines()
    told = dict(pairwise(lines))
    for server, mend in (("PostgreSQL", "postgres.host"), ("Elasticsearch", "elasticsearch.urls")):
        [error] = [one for one in lines if one.startswith(f"error: {server}: ")]
        assert told[error].startswith("    start it, or ")
        assert mend in told[error]
    assert any("film.sql: it does not use %(ids)s" in one for one in lines)
    assert lines[-1] == (
        "3 errors, 0 warnings; not all was looked at: run it again when PostgreSQL and "
        "Elasticsearch can answer"
    )
