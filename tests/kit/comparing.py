"""Both sides of a comparison without servers: rows, indexes, and the daemon beside `verify`."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from listener.changes import Key, KeyType, document_id
from listener.documents.kinds import Kind
from listener.documents.reading import Faulty
from listener.observations.events import Observation
from listener.runtime.lifecycle import Stop
from listener.search.bulk import Document
from listener.state.model import State
from tests.kit.definitions import film_definition
from tests.kit.session import NOW, saved_state


class Sides:
    """Films by their number: what the query returns, and what stands in the indexes.

    `rows` and the contents of `indexes` are JSON texts by id. A document of `routed` bears a
    routing. Of `faulty` rows the query fails, and `filtered` ones it does not return. `written`
    counts how often a document was written anew.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, number: int = 3) -> None:
        self.rows = {str(one): f'{{"title": "film {one}"}}' for one in range(1, number + 1)}
        self.indexes = {"films-1": dict(self.rows)}
        self.behind = ["films-1"]
        """Indexes that the alias leads to."""
        self.routed: set[str] = set()
        self.written: Counter[str] = Counter()
        self.faulty: set[str] = set()
        self.filtered: set[str] = set()
        self.parked: set[str] = set()
        self.steps: list[str] = []
        self.asked: list[str] = []
        """Ids that Elasticsearch was asked for."""
        self.meanwhile: dict[str, Callable[[], object]] = {}
        """What happens beside a step that begins so, once."""
        self.told: list[Observation] = []
        self.clock = 100.0
        self.stop = TimedStop(self)
        monkeypatch.setattr(time, "monotonic", lambda: self.clock)
        self.source: Any = FakeSource(self)
        self.kind = Kind(0, cast(Any, self.source), cast(Any, None), film_definition(), 0)
        self.connection: Any = SimpleNamespace(execute=self._execute)
        self.client: Any = FakeClient(self)
        self.daemon = FakeDaemon(self)

    def step(self, name: str) -> None:
        """Note it, and let happen what happens beside it."""
        self.steps.append(name)
        for begin in [one for one in self.meanwhile if name.startswith(one)]:
            self.meanwhile.pop(begin)()

    def index(self) -> dict[str, str]:
        """What stands in the index in use."""
        return self.indexes[self.behind[0]]

    def _execute(self, _statement: object) -> Any:
        self.step("moment taken")
        moment = NOW + timedelta(seconds=self.clock - 100)
        return SimpleNamespace(fetchone=lambda: (moment, "0/20"))


class TimedStop(Stop):
    """Its waits take no time, but on the clock of both sides."""

    def __init__(self, sides: Sides) -> None:
        super().__init__()
        self._sides = sides

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for a stop."""
        assert seconds is not None
        self._sides.clock += seconds
        self._sides.step("waited")
        return self.requested


class FakeSource:
    """The document query."""

    name = "films"
    types: tuple[KeyType, ...] = ("bigint",)

    def __init__(self, sides: Sides) -> None:
        self._sides = sides

    def id_of(self, key: Key) -> str:
        """The document's id."""
        return document_id(key, self.types)

    def estimate(self, _connection: object) -> int:
        """About so many."""
        return len(self._sides.rows)

    def id_page(self, _connection: object, after: Key | None, limit: int) -> list[Key]:
        """The next keys."""
        ids = sorted({*self._sides.rows, *self._sides.faulty, *self._sides.filtered}, key=int)
        left = [one for one in ids if after is None or int(one) > int(after[0])]
        return [(one,) for one in left[:limit]]

    def read(self, _connection: object, keys: Sequence[Key]) -> list[Document | Faulty]:
        """Read these documents."""
        self._sides.step(f"read {','.join(map(self.id_of, keys))}")
        return [self._one(key) for key in keys]

    def _one(self, key: Key) -> Document | Faulty:
        doc_id = self.id_of(key)
        if doc_id in self._sides.faulty:
            return Faulty(key, "division by zero")
        body = self._sides.rows.get(doc_id)
        return Document(key, doc_id, None if body is None else body.encode())

    def existing(self, _connection: object, keys: Sequence[Key]) -> set[Key]:
        """Those that the query returns, or fails on."""
        return {key for key in keys if key[0] in {*self._sides.rows, *self._sides.faulty}}


class FakeClient:
    """Reads of Elasticsearch, and nothing else: what writes fails."""

    def __init__(self, sides: Sides) -> None:
        self._sides = sides
        self._pages: list[list[dict[str, Any]]] = []
        self.indices = SimpleNamespace(refresh=self._refresh, get_alias=self._get_alias)

    def options(self, *, ignore_status: int | tuple[int, ...]) -> FakeClient:
        """The same."""
        assert ignore_status in (404, (403, 404))
        return self

    def _get_alias(self, **_: object) -> Any:
        body: dict[str, Any] = {name: {"aliases": {"films": {}}} for name in self._sides.behind}
        return SimpleNamespace(body=body)

    def _refresh(self, *, index: str) -> None:
        self._sides.step(f"{index} refreshed")

    def perform_request(
        self, method: str, path: str, *, headers: Mapping[str, str], body: Mapping[str, Any]
    ) -> Any:
        """`_mget`, in real time."""
        _, index, action = path.split("/")
        assert (method, action, bool(headers)) == ("POST", "_mget", True)
        there = self._sides.indexes[index]
        self._sides.step(f"{index} asked")
        self._sides.asked += body["ids"]
        found = [
            f'{{"_id":{json.dumps(one)},"_version":{self._sides.written[one]},"found":true,'
            f'"_source":{there[one]}}}'
            if one in there
            else f'{{"_id":{json.dumps(one)},"found":false}}'
            for one in body["ids"]
        ]
        return SimpleNamespace(body=f'{{"docs":[{",".join(found)}]}}'.encode())

    def search(self, *, index: str, size: int, **_: object) -> Any:
        """All ids, as of this moment."""
        hits: list[dict[str, Any]] = [
            {"_id": one, "_routing": "9"} if one in self._sides.routed else {"_id": one}
            for one in self._sides.indexes[index]
        ]
        self._sides.step(f"{index} searched")
        self._pages = [hits[start : start + size] for start in range(0, len(hits), size)]
        return self.scroll()

    def scroll(self, **_: object) -> Any:
        """The next page."""
        hits = self._pages.pop(0) if self._pages else []
        answer = {"_scroll_id": "s", "_shards": {"failed": 0}, "hits": {"hits": hits}}
        return SimpleNamespace(body=answer)

    def clear_scroll(self, *, scroll_id: str) -> None:
        """No more pages."""
        assert scroll_id == "s"
        self._sides.step("search ended")


class FakeDaemon:
    """The daemon beside: by default none is at work. It is its control document, too."""

    def __init__(self, sides: Sides) -> None:
        self._sides = sides
        self.active = False
        self.at_rings: list[Callable[[], object]] = []
        """What it does when it is rung for, one ring after the other."""
        self.state: State | None = saved_state()

    def at_work(self) -> bool:
        """Whether one is."""
        return self.active

    def ring(self) -> None:
        """Ask it to look."""
        self._sides.step("rung")
        if self.at_rings:
            self.at_rings.pop(0)()

    def read(self) -> Any:
        """What its control document says."""
        self._sides.step("control read")
        return SimpleNamespace(state=self.state)

    def passes(self) -> None:
        """Its watermark passes what is to come within a minute, too."""
        moment = NOW + timedelta(seconds=self._sides.clock - 40)
        self.state = saved_state(last_processed=moment)
