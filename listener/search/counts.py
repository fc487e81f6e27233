"""Counts: how many documents an index has, and which: by this a swap of an alias is judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from listener.search.client import Client
from listener.search.errors import Unreadable, unreadable

_IDS: Final = 5000
_KEEP_ALIVE: Final = "5m"


def count(client: Client, index: str) -> int:
    """How many documents a search finds in this index; refresh it first.

    Errors of the client pass through, here and below. Raises Unreadable where a shard did not
    answer.
    """
    answer: Mapping[str, Any] = client.count(index=index, query={"match_all": {}}).body
    _refuse_partial(index, answer)
    found: int = answer["count"]
    return found


def hits(client: Client, index: str) -> Iterator[Sequence[Mapping[str, Any]]]:
    """All documents of the index, without their sources, page by page; it is refreshed first.

    By scroll, since sorting by `_id` is refused, and points in time differ between Elasticsearch
    and OpenSearch. Raises Unreadable where a shard did not answer: what it holds would be missing.
    """
    client.indices.refresh(index=index)
    answer: Mapping[str, Any] = client.search(
        index=index,
        scroll=_KEEP_ALIVE,
        size=_IDS,
        sort=["_doc"],
        source=False,
        query={"match_all": {}},
    ).body
    try:
        while True:
            _refuse_partial(index, answer)
            page = answer["hits"]["hits"]
            if not page:
                return
            yield page
            answer = client.scroll(scroll_id=answer["_scroll_id"], scroll=_KEEP_ALIVE).body
    finally:
        # it ends by itself; on OpenSearch the right to end it is one of its own
        client.options(ignore_status=(403, 404)).clear_scroll(scroll_id=answer["_scroll_id"])


def missing(client: Client, index: str, ids: Sequence[str]) -> list[str]:
    """Those of these ids that the index does not have, in real time. At most 10,000 at once.

    Most often it has all of them. A search says so in one number, and costs a tenth of `_mget`.
    """
    if not ids:
        return []
    answer = client.count(index=index, query={"ids": {"values": list(ids)}}).body
    if answer["count"] == len(ids) and not answer["_shards"]["failed"]:
        return []
    got = client.mget(index=index, ids=list(ids), source=False).body["docs"]
    for one in got:
        if "error" in one:
            raise unreadable(index, one["error"])
    return [one["_id"] for one in got if not one.get("found")]


def _refuse_partial(index: str, answer: Mapping[str, Any]) -> None:
    """Raises Unreadable where a shard did not answer."""
    shards = answer["_shards"]
    if shards["failed"] or answer.get("timed_out"):
        failures = [one.get("reason", {}).get("reason") for one in shards.get("failures", ())]
        why = next((one for one in failures if one), "they did not answer in time")
        raise Unreadable(f"shards of {index} cannot be read: {why}")
