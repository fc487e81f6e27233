"""Documents as an index holds them now: read by id, in real time, and as they were sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from listener.search import exact_json
from listener.search.client import AS_SENT, Client
from listener.search.errors import Unreadable, unreadable

_SOURCE: Final = b'"_source":'
_ENDS: Final = (b"},", b"}]")
_AT_ONCE: Final = 5000
"""Hits of one answer: no index of listener's may allow less."""


@dataclass(frozen=True, slots=True)
class Copy:
    """What an index holds of a document: the source as `exact_json.document` makes it, and the
    version, which each write changes. None: the answer could not be read so far.
    """

    source: Any
    version: int | None


class Stored:
    """What an index holds of some documents, as the bytes of one answer."""

    def __init__(self, client: Client, index: str, ids: Sequence[str]) -> None:
        """Reads them. `ids`: sendable ones. Errors of the client pass through, here and below."""
        self._client = client
        self._index = index
        self._ids = ids
        self._answer = _ask(client, index, ids) if ids else b""

    def are(self, bodies: Sequence[bytes]) -> bool:
        """Whether these are the bytes of all of them, in the order of the ids.

        True is certain. False is not: the same content may be written in other words.
        """
        answer, place = self._answer, 0
        for body in bodies:
            # in an id a quotation mark stands behind a backslash, so this is no part of one
            place = answer.find(_SOURCE, place)
            if place < 0 or not answer.startswith(body, place + len(_SOURCE)):
                return False
            place += len(_SOURCE) + len(body)
            if answer[place : place + 2] not in _ENDS:  # a part of it, which is no JSON itself
                return False
        return answer.find(_SOURCE, place) < 0

    def sources(self) -> dict[str, Any]:
        """By id, the source of each document, as `exact_json.document` makes it. Documents that the
        index does not have are left out.
        """
        return {doc_id: copy.source for doc_id, copy in self.copies().items()}

    def copies(self) -> dict[str, Copy]:
        """The same with the versions."""
        if not self._ids:
            return {}
        try:
            answer = exact_json.read(self._answer)
        except exact_json.UnreadableJson:
            return self._one_by_one()
        found: dict[str, Copy] = {}
        for one in answer["docs"]:
            if "error" in one:
                raise unreadable(self._index, one["error"])
            if one.get("found"):
                found[one["_id"]] = Copy(one.get("_source", {}), one.get("_version"))
        return found

    def _one_by_one(self) -> dict[str, Copy]:
        """The same of an answer in which Python cannot read some document: the halves are asked
        for, and of a single document the bytes are taken."""
        if len(self._ids) > 1:
            half = len(self._ids) // 2
            parts = (self._ids[:half], self._ids[half:])
            first, second = (Stored(self._client, self._index, one).copies() for one in parts)
            return first | second
        source = exact_json.only_source(self._answer)
        if source is None:
            raise Unreadable(f"{self._index}: _mget: an answer without a source")
        return {self._ids[0]: Copy(exact_json.document(source), None)}


def _ask(client: Client, index: str, ids: Sequence[str]) -> bytes:
    answer: bytes = client.perform_request(
        "POST",
        f"/{index}/_mget",
        # no filter_path: the server would print each source anew, with other numbers
        headers={"accept": AS_SENT, "content-type": "application/json"},
        body={"ids": ids},
    ).body
    return answer


def some_ids(client: Client, index: str, size: int) -> list[str]:
    """Ids of documents that a search finds, drawn by chance: so many, 5,000 at most."""
    query: dict[str, Any] = {"function_score": {"query": {"match_all": {}}, "random_score": {}}}
    # a scroll, as all searches of listener: by its id an answer is known to be Elasticsearch's
    answer = client.search(
        index=index, scroll="10s", size=min(size, _AT_ONCE), source=False, query=query
    ).body
    client.options(ignore_status=404).clear_scroll(scroll_id=answer["_scroll_id"])
    return [one["_id"] for one in answer["hits"]["hits"]]
