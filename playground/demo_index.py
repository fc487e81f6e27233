"""The other side of the demo: what a user of the index sees, and when."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Document = dict[str, Any]
Expected = Mapping[str, Document | None]
"""What must be in the index by id; None: no document."""

_BETWEEN = 0.001


class NotArrived(Exception):
    """An edit did not reach the index in time; the message shows what is there instead."""


class Index:
    """Reads one index over one connection, which stays open: what is timed is the server's work."""

    def __init__(self, host: str, port: int, name: str) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=30)
        self._name = name

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def get(self, ids: Sequence[str]) -> dict[str, Document]:
        """Documents by id. Elasticsearch answers these from its log of writes, before a refresh."""
        if len(ids) == 1:
            answer = self._ask("GET", f"/{self._name}/_doc/{ids[0]}")
            return _sources([answer])
        return _sources(self._ask("POST", f"/{self._name}/_mget", {"ids": list(ids)})["docs"])

    def search(self, ids: Sequence[str]) -> dict[str, Document]:
        """The same documents as a search finds them: after a refresh."""
        body = {"query": {"ids": {"values": list(ids)}}, "size": len(ids)}
        answer = self._ask("POST", f"/{self._name}/_search", body)
        return {hit["_id"]: hit["_source"] for hit in answer["hits"]["hits"]}

    def count(self) -> int:
        """How many documents a search finds."""
        return int(self._ask("GET", f"/{self._name}/_count")["count"])

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body)
        self._connection.request(method, path, data, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        content = json.loads(answer.read())
        if answer.status not in (200, 404) or "error" in content:
            raise NotArrived(f"{method} {path} was answered with {answer.status}: {content}")
        return content


def arrival(
    read: Callable[[Sequence[str]], Mapping[str, Document]],
    expected: Expected,
    *,
    since: float,
    seconds: float,
) -> float:
    """Seconds from `since` (of time.perf_counter) until all that is expected is there.

    Asks again after a millisecond, and only for what is still missing: to ask without a pause would
    take a core from the servers that are measured. Raises NotArrived after `seconds`.
    """
    missing = dict(expected)
    while True:
        found = read(list(missing))
        passed = time.perf_counter() - since
        missing = {one: document for one, document in missing.items() if found.get(one) != document}
        if not missing:
            return passed
        if passed > seconds:
            raise NotArrived(_told(missing, found, seconds))
        time.sleep(_BETWEEN)


def differences(expected: Expected, found: Mapping[str, Document]) -> list[str]:
    """The ids of documents that are not as they should be."""
    return [one for one, document in expected.items() if found.get(one) != document]


def _sources(answers: Sequence[Mapping[str, Any]]) -> dict[str, Document]:
    return {answer["_id"]: answer["_source"] for answer in answers if answer.get("found")}


def _told(missing: Expected, found: Mapping[str, Document], seconds: float) -> str:
    one, wanted = next(iter(missing.items()))
    there = found.get(one)
    fields = sorted(
        name
        for name in (wanted or there or {})
        if (wanted or {}).get(name) != (there or {}).get(name)
    )
    if wanted is None:
        what = "is still there"
    elif there is None:
        what = "is not there"
    else:
        what = f"differs in {', '.join(fields)}"
    return f"{len(missing)} documents are not right after {seconds:g} s: {one} {what}"
