"""Whether an answer is Elasticsearch's, or that of a proxy or a portal in its place. Pure.

Each answer is judged before anything reads it. A 404 of a proxy says nothing of an index, and a
page with status 200 nothing of a document.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit

PRODUCT: Final = "x-elastic-product"
"""A header of each of Elasticsearch's answers. OpenSearch does not send it."""
_JSON: Final = ("application/json", "application/vnd.elasticsearch+json")
_SHOWN: Final = 80
_MISSING: Final = re.compile(r"alias(?:es)? \[.*\] missing", re.DOTALL)

_Shape = Callable[[Mapping[str, Any]], bool]


def _has(**fields: type) -> _Shape:
    return lambda body: all(isinstance(body.get(name), kind) for name, kind in fields.items())


def _each(*fields: str) -> _Shape:
    """The shape of an object whose values all have these objects as fields. It may be empty."""
    return lambda body: all(
        isinstance(one, Mapping) and all(isinstance(one.get(name), Mapping) for name in fields)
        for one in body.values()
    )


def _named(body: Mapping[str, Any]) -> bool:
    return bool(body) and _INDEXES(body)


def _by_name(body: Mapping[str, Any]) -> bool:
    return all(isinstance(one, Mapping) for one in body.values())


def _optional(name: str) -> _Shape:
    """The shape of an object that has this object, or is empty, as a `filter_path` may leave it."""
    return lambda body: not body or isinstance(body.get(name), Mapping)


_INDEXES: Final = _each("settings", "mappings")
_FOUND: Final = _has(_index=str, _seq_no=int, _primary_term=int)
_SHAPES: Final[tuple[tuple[re.Pattern[str], _Shape], ...]] = tuple(
    (re.compile(pattern), shape)
    for pattern, shape in (
        (r"GET /", _has(version=Mapping)),
        (r"POST /_bulk", _has(errors=bool, items=list)),
        (r"GET /[^/]+/_doc/[^/]+", _FOUND),
        (r"(?:PUT|POST) /[^/]+/_(?:doc|create)/[^/]+", _has(result=str)),
        (r"POST /[^/]+/_mget", _has(docs=list)),
        (r"POST /[^/]+/_search", _has(_shards=Mapping, hits=Mapping, _scroll_id=str)),
        (r"POST /_search/scroll", _has(_shards=Mapping, hits=Mapping, _scroll_id=str)),
        (r"DELETE /_search/scroll", _has(succeeded=bool)),
        (r"(?:GET|POST) /[^/]+/_count", _has(count=int)),
        (r"POST /[^/]+/_refresh", _has(_shards=Mapping)),
        (r"GET /[^/]+/_stats/[^/]+", _optional("indices")),
        (r"GET /_cluster/state/[^/]+", _optional("nodes")),
        (r"GET /_cluster/health.*", _has(status=str, cluster_name=str)),
        (r"GET /_resolve/index/[^/]+", _has(indices=list, data_streams=list)),
        (r"POST /_security/.*", _has(has_all_requested=bool)),
        (r"POST /_index_template/_simulate.*", _has(template=Mapping)),
        (r"GET /_index_template.*", _has(index_templates=list)),
        (r"GET /_template", _by_name),
        (r"GET /[^/]+/_alias(?:/[^/]+)?", _each("aliases")),
        (r"GET /[^/_][^/*]*", _named),
        (r"GET /[^/_][^/]*", _INDEXES),
        (r"(?:PUT|DELETE) /.*|POST /_aliases", _has(acknowledged=bool)),
    )
)
"""What listener asks, and what each such answer has. The first pattern that matches counts."""
_WORDS: Final = {"_bulk": (b'"errors":', b'"items":'), "_mget": (b'"docs":',)}
"""What answers have that are not read here, for they may be large, or more than Python can read."""


def why_foreign(
    method: str,
    target: str,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    product: bool,
    as_sent: bool = False,
) -> str | None:
    """What such an answer is, in words; None: it is Elasticsearch's own.

    `product`: whether this server has named itself in an answer before. `as_sent`: the answer may
    be large, or more than Python can read; a look at its ends, and for some words, must do.

    A log-in that is refused and a body that is too large are told as such, whoever says it.
    """
    if status == 401 or (status == 413 and method != "GET"):
        return None
    content_type = (headers.get("content-type") or "").partition(";")[0].strip().lower()
    nameless = product and (status == 404 or status < 300) and headers.get(PRODUCT) is None
    if (content_type and content_type not in _JSON) or nameless:
        genuine = False
    elif method == "HEAD":  # such an answer has no body to judge by
        genuine = True
    elif as_sent and status == 200:
        words = _WORDS.get(urlsplit(target).path.rpartition("/")[2], (b'"_seq_no":',))
        ends = body[:1] == b"{" and body.rstrip()[-1:] == b"}"
        genuine = ends and all(one in body for one in words)
    else:
        genuine = _is_genuine(method, target, status, _parsed(body))
    if genuine:
        return None
    text = body.decode("utf-8", "replace")
    shown = "".join(one if one.isprintable() else " " for one in text[:_SHOWN])
    where = headers.get("location")
    leads = f", which leads to {where[:200]!r}" if where and 300 <= status < 400 else ""
    return f"{status} {content_type[:50] or 'without a type'} {shown!r}{leads}"


def is_object(headers: Mapping[str, str], body: bytes) -> bool:
    """Whether it is a JSON object, and says so."""
    kind = (headers.get("content-type") or "").partition(";")[0].strip().lower()
    return kind in _JSON and isinstance(_parsed(body), Mapping)


def _is_genuine(method: str, target: str, status: int, body: Any) -> bool:
    if not isinstance(body, Mapping):
        return False
    path = unquote(urlsplit(target).path)
    if 200 <= status < 300:
        asked = f"{method} {urlsplit(target).path}"
        for pattern, shape in _SHAPES:
            if pattern.fullmatch(asked):
                return shape(body)
        return True
    error = body.get("error")
    if status == 404:
        return _says_missing(path, body)
    if status == 408 and path.startswith("/_cluster/health"):
        return isinstance(body.get("status"), str) and body.get("timed_out") is True
    return status >= 400 and (_is_typed(error) or (isinstance(error, str) and bool(error)))


def _says_missing(path: str, body: Mapping[str, Any]) -> bool:
    """Whether a 404 is Elasticsearch's word for what is not there: many programs say 404, and in
    `error` what they like."""
    error = body.get("error")
    if _is_typed(error):
        return True
    if isinstance(error, str):
        return body.get("status") == 404 and _MISSING.fullmatch(error) is not None
    if "/_doc/" in path:
        return body.get("found") is False and isinstance(body.get("_index"), str)
    return path.startswith("/_search/scroll") and isinstance(body.get("succeeded"), bool)


def _is_typed(error: Any) -> bool:
    return isinstance(error, Mapping) and isinstance(error.get("type"), str)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
