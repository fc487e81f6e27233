"""What is needed to understand a divergence, in the folder of the run."""

from __future__ import annotations

import contextlib
import http.client
import json
from pathlib import Path
from typing import Any

import psycopg

from tests.plugins.convergence import Differences, Id
from tests.soak.stage import Stage, keep_log

_MOST = 200
"""Documents that are looked at one by one."""
_ROWS = """
    SELECT '{table}' AS source, q.xmin::text, row_to_json(q)::text FROM {table} AS q
    WHERE {condition} LIMIT 50"""
_CATALOG = {
    "activity": "SELECT row_to_json(a)::text FROM pg_stat_activity AS a",
    "triggers": "SELECT tgrelid::regclass::text, tgname, tgenabled::text, xmin::text "
    "FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1, 2",
    "tables": "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables "
    "WHERE schemaname = 'listener'",
}


def keep(stage: Stage, found: Differences | None, why: str) -> None:
    """Fill the folder; what cannot be had is left out, and said."""
    folder, scene = stage.folder, stage.world.scene
    _write(folder / "why.txt", why)
    writers = [
        f"{moment} writer {number} {what}"
        for number, history in enumerate(stage.writers.history)
        for moment, what in history.copy()  # they write on while we read
    ]
    _write(folder / "writers.txt", "\n".join(sorted(writers)))
    for server in (scene.postgres, scene.search, stage.world.standby):
        if server is not None:
            keep_log(server, folder)
    with _told(folder, "index"):
        _write(folder / "index.json", _index(stage))
    with _told(folder, "database"):
        _write(folder / "database.json", _database(stage))
    if found is not None:
        _write(folder / "differences.txt", found.report())
        with _told(folder, "documents"):
            _write(folder / "documents.json", [_document(stage, *one) for one in _places(found)])
    for seat in stage.world.seats:  # last: until now they may still mend what differs
        with _told(folder, seat.name):
            seat.kill()


def _places(found: Differences) -> list[tuple[str, Id, Any, Any]]:
    """Alias, id, what the query has and what the index had."""
    places = [(*place, wanted, None) for place, wanted in found.missing.items()]
    places += [(*place, None, there) for place, there in found.orphaned.items()]
    places += [(*place, *both) for place, both in found.stale.items()]
    return places[:_MOST]


def _document(stage: Stage, alias: str, key: Id, wanted: Any, there: Any) -> dict[str, Any]:
    """One that differs, with its version, and the rows of tables that are keyed as it is."""
    scene = stage.world.scene
    doc_id = key if isinstance(key, str) else _composite(key)
    status, now = scene.search.request(
        "POST", f"/{alias}/_search?version=true&seq_no_primary_term=true",
        {"query": {"ids": {"values": [doc_id]}}},
    )  # fmt: skip
    parts = [key] if isinstance(key, str) else list(key)
    rows: list[tuple[Any, ...]] = []
    kind = next(one for one in scene.options["documents"] if one["index"] == alias)
    with psycopg.connect(scene.postgres.dsn(scene.database), autocommit=True) as session:
        for watch in kind["watch"]:
            columns = [watch["key"]] if isinstance(watch["key"], str) else watch["key"]
            if "mapping_file" in watch or len(columns) != len(parts):
                continue
            condition = " AND ".join(f'q."{name}"::text = %s' for name in columns)
            query = _ROWS.format(table=watch["table"], condition=condition)
            rows += session.execute(query.encode(), parts).fetchall()
    return {
        "alias": alias, "id": doc_id, "query": wanted, "index": there, "now": [status, now],
        "rows": rows,
    }  # fmt: skip


def _composite(parts: tuple[str, ...]) -> str:
    shown = (one if one.lstrip("-").isdigit() else json.dumps(one) for one in parts)
    return f"[{', '.join(shown)}]"


def _index(stage: Stage) -> dict[str, Any]:
    search, prefix = stage.world.scene.search, stage.world.scene.prefix
    paths = (
        "/_alias",
        f"/{prefix}-*?expand_wildcards=all",
        f"/{prefix}-control/_search",
        f"/{prefix}-*/_stats/docs,indexing",
    )
    return {path: search.request("GET", path)[1] for path in paths}


def _database(stage: Stage) -> dict[str, Any]:
    scene = stage.world.scene
    with psycopg.connect(scene.postgres.dsn(scene.database), autocommit=True) as session:
        content: dict[str, Any] = {
            name: session.execute(query.encode()).fetchall() for name, query in _CATALOG.items()
        }
        for (table,) in content["tables"]:
            rows = session.execute(f"SELECT row_to_json(t)::text FROM {table} AS t".encode())
            content[table] = [row[0] for row in rows]
    return content


def _write(path: Path, content: object) -> None:
    text = content if isinstance(content, str) else json.dumps(content, indent=1, default=str)
    path.write_text(text, "utf-8")


@contextlib.contextmanager
def _told(folder: Path, what: str) -> Any:
    try:
        yield
    except (OSError, http.client.HTTPException, psycopg.Error, LookupError, TypeError) as error:
        with (folder / "why.txt").open("a", encoding="utf-8") as file:
            file.write(f"\n(no {what}: {error!r})")
