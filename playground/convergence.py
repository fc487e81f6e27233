"""Index = query: the promise, checked without any of listener's own code.

The query files run for every key that the source table holds; every document of the alias is
read; ids are compared both ways and contents as parsed JSON. Only the YAML, SQL and JSON files
are shared with the daemon.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import yaml

Id = str | tuple[str, ...]
"""An id as text; that of a composite key as the texts of its parts."""

_SHOWN = 5


@dataclass(slots=True)
class Differences:
    """What an index and its query do not agree on, by alias and id."""

    missing: dict[tuple[str, Id], Any] = field(default_factory=dict)
    orphaned: dict[tuple[str, Id], Any] = field(default_factory=dict)
    stale: dict[tuple[str, Id], tuple[Any, Any]] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.missing or self.orphaned or self.stale or self.broken)

    def report(self) -> str:
        """The first few of each kind."""
        lines = [f"broken: {one}" for one in self.broken]
        for kind, found in (("missing", self.missing), ("orphaned", self.orphaned)):
            if found:
                lines.append(f"{kind}: {len(found)} documents")
                lines += [f"  {place}: {found[place]}" for place in list(found)[:_SHOWN]]
        if self.stale:
            lines.append(f"stale: {len(self.stale)} documents")
            for place, (wanted, there) in list(self.stale.items())[:_SHOWN]:
                lines.append(f"  {place}:")
                for name in sorted({*wanted, *there}):
                    if wanted.get(name) != there.get(name):
                        lines.append(
                            f"    {name}: {wanted.get(name)!r}, but the index has "
                            f"{there.get(name)!r}"
                        )
        return "\n".join(lines) or "no differences"


def differences(config: Path, dsn: str, url: str, *, search_path: str = "''") -> Differences:
    """Compare all documents of a configuration: `dsn` reads the database, `url` the index.

    `search_path` is that of the daemon's role, where a query has names without a schema.
    """
    found = Differences()
    options = yaml.safe_load(config.read_text("utf-8"))
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET TIME ZONE 'UTC'")
        connection.execute(f"SET search_path = {search_path}".encode())
        for kind in options["documents"]:
            alias = kind["index"]
            wanted = dict(_queried(connection, kind, config.parent))
            try:
                there = dict(_indexed(url, alias, composite=not isinstance(kind["key"], str)))
            except (OSError, http.client.HTTPException, _Refused) as error:
                found.broken.append(f"{alias}: {error!r}")
                continue
            for key, document in wanted.items():
                if key not in there:
                    found.missing[alias, key] = document
                elif document != there[key]:
                    found.stale[alias, key] = (document, there[key])
            for key in there.keys() - wanted.keys():
                found.orphaned[alias, key] = there[key]
    return found


# -- the database ----------------------------------------------------------------------------------


def _queried(
    connection: psycopg.Connection[Any], kind: Mapping[str, Any], folder: Path
) -> Iterator[tuple[Id, Any]]:
    """The query's documents for all keys that there are."""
    columns = [kind["key"]] if isinstance(kind["key"], str) else list(kind["key"])
    quoted = [_quoted(column) for column in columns]
    table = ".".join(_quoted(part) for part in kind["table"].split("."))
    present = " AND ".join(f"{column} IS NOT NULL" for column in quoted)
    query = (folder / kind["query_file"]).read_text("utf-8")
    for number, column in enumerate(quoted, 1):
        name = "ids" if len(columns) == 1 else f"ids_{number}"
        # an ARRAY constructor has the column's own type, whatever that is
        keys = f"(ARRAY(SELECT {column} FROM {table} WHERE {present} ORDER BY {', '.join(quoted)}))"
        query = query.replace(f"%({name})s", keys)
    rows = connection.execute(
        f"SELECT q.id::text, q.document::text FROM (\n{query}\n) AS q".encode()
    ).fetchall()
    for text, document in rows:
        yield _id(text, composite=len(columns) > 1), json.loads(document)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _id(text: str, *, composite: bool) -> Id:
    return tuple(str(part) for part in json.loads(text)) if composite else text


# -- the index -------------------------------------------------------------------------------------


class _Refused(Exception):
    """An answer that is none."""


def _indexed(url: str, alias: str, *, composite: bool) -> Iterator[tuple[Id, Any]]:
    """All documents behind the alias, after a refresh."""
    _ask(url, "POST", f"/{alias}/_refresh")
    page = _ask(
        url,
        "POST",
        f"/{alias}/_search?scroll=1m",
        {"size": 2000, "sort": ["_doc"], "query": {"match_all": {}}},
    )
    try:
        while page["hits"]["hits"]:
            for hit in page["hits"]["hits"]:
                yield _id(hit["_id"], composite=composite), hit["_source"]
            page = _ask(
                url, "POST", "/_search/scroll", {"scroll": "1m", "scroll_id": page["_scroll_id"]}
            )
    finally:
        _ask(url, "DELETE", "/_search/scroll", {"scroll_id": page["_scroll_id"]})


def _ask(url: str, method: str, path: str, body: object = None) -> Any:
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=20)
    try:
        data = None if body is None else json.dumps(body).encode()
        connection.request(method, path, data, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        raw = answer.read()
    finally:
        connection.close()
    if answer.status >= 300:
        raise _Refused(f"{method} {path}: {answer.status} {raw[:200]!r}")
    return json.loads(raw)
