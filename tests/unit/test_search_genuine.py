"""Which answers are Elasticsearch's own, and which are those of a proxy in its place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from listener.search.genuine import why_foreign

JSON = {"content-type": "application/json; charset=UTF-8"}
HTML = {"content-type": "text/html; charset=utf-8"}
MISSING = {"error": {"type": "index_not_found_exception", "reason": "no such index"}, "status": 404}
INDEX = {"aliases": {}, "mappings": {}, "settings": {"index": {"uuid": "u"}}}


def foreign(
    method: str, target: str, status: int, body: Any, headers: Any = JSON, **other: bool
) -> str | None:
    """What is said of this answer."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    said: dict[str, bool] = {"product": False, **other}
    return why_foreign(method, target, status, headers, raw, **said)


@pytest.mark.parametrize(
    ("method", "target", "status", "body"),
    [
        ("GET", "/films", 404, MISSING),
        ("GET", "/films?flat_settings=true", 200, {"films-1": INDEX}),
        ("GET", "/films-*?ignore_unavailable=true", 200, {}),
        ("GET", "/a,a.*/_alias/a,a.*", 404, {"error": "alias [a] missing", "status": 404}),
        ("GET", "/a/_alias/a,b", 404, {"error": "aliases [a,b] missing", "status": 404, "x": {}}),
        ("GET", "/a/_alias/a", 200, {"a-1": {"aliases": {"a": {}}}}),
        ("GET", "/control/_doc/p", 404, {"_index": "control", "_id": "p", "found": False}),
        ("DELETE", "/_search/scroll", 404, {"succeeded": True, "num_freed": 0}),
        ("GET", "/_cluster/health/a", 408, {"status": "yellow", "timed_out": True}),
        ("GET", "/a/_stats/docs?level=shards", 200, {}),
        ("GET", "/_cluster/state/nodes", 200, {"nodes": {}}),
        ("POST", "/_security/user/_has_privileges", 400, {"error": "no handler found"}),
        ("PUT", "/control", 200, {"acknowledged": True, "index": "control"}),
        ("PUT", "/a", 400, {"error": {"type": "resource_already_exists_exception"}}),
        ("POST", "/_bulk", 503, {"error": {"type": "unavailable_shards_exception"}}),
        ("GET", "/", 401, b"<h1>Authorization Required</h1>"),
        ("POST", "/_bulk", 413, b"<h1>Request Entity Too Large</h1>"),
    ],
)
def test_elasticsearch_answers(method: str, target: str, status: int, body: Any) -> None:
    """In every form that the servers have. What a proxy refuses in its own name is told as that."""
    assert foreign(method, target, status, body) is None


NO_INDEX: list[tuple[Any, Any]] = [
    (HTML, b"<h1>404 Not Found</h1>"),
    ({"content-type": "text/plain"}, b"404 page not found\n"),
    ({}, b""),
    (JSON, b""),
    (JSON, {"error": "no handler"}),
    (JSON, {"error": "Not Found", "status": 404, "path": "/films"}),
    (JSON, {"error": "default backend: alias missing", "status": 404}),
    (JSON, {"error": {"code": 404, "message": "no such route"}}),
    (JSON, {"ok": False, "message": "Unknown resource."}),
    (JSON, {"found": False}),
    (JSON, {"succeeded": True}),
    (JSON, [MISSING]),
    (HTML, MISSING),
    (JSON, b"[" * 100_000),
]


@pytest.mark.parametrize(("headers", "body"), NO_INDEX)
@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/films"),
        ("GET", "/films,films.*/_alias/films,films.*"),
        ("GET", "/control/_doc/movies"),
        ("GET", "/_index_template/listener-films"),
        ("POST", "/_aliases"),
        ("DELETE", "/films-1"),
    ],
)
def test_a_404_of_others_says_nothing_of_an_index(
    method: str, target: str, headers: Any, body: Any
) -> None:
    """Else an ingress without a backend would begin loads, and what was saved be forgotten."""
    assert foreign(method, target, 404, body, headers) is not None


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"",
        b"null",
        b"[]",
        b'"x"',
        b'{"took":',
        b"{}",
        b'{"status":"ok"}',
        b"[" * 100_000,
        b'{"took":' + b"9" * 5000 + b"}",
        b'{"a":"\xff"}',
        b'{"errors":false,"items":[]}',
    ],
)
@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/"),
        ("GET", "/films"),
        ("GET", "/control/_doc/movies"),
        ("PUT", "/control/_doc/movies?if_seq_no=1"),
        ("POST", "/_aliases"),
        ("PUT", "/films-1"),
        ("DELETE", "/films-1"),
        ("POST", "/films-1/_refresh"),
        ("POST", "/films-1/_count"),
        ("POST", "/films-1/_mget"),
        ("POST", "/films-1/_search?scroll=1m"),
        ("GET", "/_cluster/health"),
    ],
)
def test_a_page_with_status_200(method: str, target: str, body: bytes) -> None:
    """What is asked for must be in it."""
    as_sent = "_mget" in target or "_doc" in target
    for sent in {as_sent, False}:
        assert foreign(method, target, 200, body, as_sent=sent) is not None, sent
    assert foreign(method, target, 204, b"", {}) is not None


def test_a_server_that_names_itself() -> None:
    """An answer without its name comes from another one; but for errors, which may come earlier."""
    named = {**JSON, "x-elastic-product": "Elasticsearch"}
    assert foreign("GET", "/a-*", 200, {}, product=True) is not None
    assert foreign("GET", "/a-*", 200, {}, named, product=True) is None
    assert foreign("GET", "/a", 404, MISSING, product=True) is not None
    assert foreign("GET", "/a", 404, MISSING, named, product=True) is None
    assert foreign("GET", "/a", 400, {"error": {"type": "bad"}}, product=True) is None


def test_what_is_told_of_it() -> None:
    """On one line, with its beginning, and where a redirect leads."""
    assert foreign("GET", "/", 404, b"<h1>\n\x1b[31m" + b"x" * 200, HTML) == (
        "404 text/html '<h1>  [31m" + "x" * 70 + "'"
    )
    told = foreign("GET", "/", 301, b"", {"location": "https://login.example.org/"})
    assert told == "301 without a type '', which leads to 'https://login.example.org/'"


@pytest.mark.parametrize("reply", [b'{"errors":false,"items":[]}', b'{"errors":true,"items":[1]}'])
def test_a_reply_to_a_bulk(reply: bytes) -> None:
    """It is not read here: its verdicts are another module's."""
    assert foreign("POST", "/_bulk?timeout=10s", 200, reply, as_sent=True) is None
    assert foreign("POST", "/_bulk?timeout=10s", 200, reply[:-1], as_sent=True) is not None


def test_a_document_that_cannot_be_read() -> None:
    """Nested deeper than Python reads: Elasticsearch's all the same, where it is sent as it is."""
    deep = b'{"_index":"c","_seq_no":1,"_source":{"a":' + b"[" * 5000 + b"]" * 5000 + b"}}"
    assert foreign("GET", "/control/_doc/p", 200, deep, as_sent=True) is None
