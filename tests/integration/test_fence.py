"""The fence on a real Elasticsearch: calls that arrive late, and aliases that changed meanwhile."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from listener import search
from listener.config import ElasticsearchConfig
from listener.documents.kinds import Kind
from listener.indexing.batch import Limits
from listener.indexing.batch_size import BatchSize
from listener.indexing.feeds import Current
from listener.indexing.fence import Fence
from listener.indexing.gate import FencedOut, Gate
from listener.indexing.ledger import Ledger
from listener.observations.events import Observation
from listener.search.index_config import read_config
from listener.search.indexes import Indexes
from listener.search.versions import Versions
from listener.search.write_aliases import patterns
from listener.state.control import ControlDocument
from playground.search import SearchServer
from tests.kit.definitions import film_definition
from tests.kit.indexing import quick_outages


@pytest.fixture
def client(search_server: SearchServer) -> Iterator[search.Client]:
    """A client as the daemon has it."""
    client = search.connect(ElasticsearchConfig.model_validate({"urls": [search_server.url]}))
    yield client
    client.close()


@pytest.fixture
def indexes(client: search.Client, index_prefix: str, tmp_path: Path) -> Indexes:
    """Two indexes of one pipeline."""
    indexes = Indexes(client, "test")
    path = tmp_path / "index_config.json"
    path.write_text(json.dumps({"mappings": {"dynamic": "strict", "properties": {}}}))
    for name in ("old", "new"):
        made = indexes.create(f"{index_prefix}-{name}", read_config(path), "abcd")
        # somebody's: an empty index without one is cleared away
        indexes.update_aliases([{"add": {"index": made.name, "alias": f"users-{made.name}"}}])
    return indexes


def fence(client: search.Client, indexes: Indexes, prefix: str) -> Fence:
    """A fence of a process of its own."""
    control = ControlDocument(client, f"{prefix}-control", "test")
    control.prepare()
    observed: list[Observation] = []
    gate = Gate(2, Versions())
    limits = Limits(documents=10, bytes=1_000_000, pending=100, parked=10)
    sources = cast(Any, [SimpleNamespace(types=(), name=prefix)] * 2)
    kinds = [
        Kind(number, source, cast(Any, None), film_definition("abcd", prefix), 0)
        for number, source in enumerate(sources)
    ]
    return Fence(
        control=control,
        indexes=indexes,
        gate=gate,
        ledger=Ledger(sources, gate, BatchSize(2, limits), limits),  # which has nothing to do
        outages=quick_outages(observed.append, 2),
        kinds=kinds,
        observe=observed.append,
    )


def begin(one: Fence, prefix: str, resumed: Collection[str] = ()) -> None:
    """A session begins, and finds the old index in use."""
    one.begin([Current(f"{prefix}-old", "abcd")], resumed)


class Late:
    """Keeps the calls of one process back, as a network may."""

    def __init__(self, indexes: Indexes, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[list[dict[str, Any]]] = []
        self.deliver = indexes.update_aliases
        monkeypatch.setattr(indexes, "update_aliases", self.calls.append)


def test_a_late_call_does_not_bring_an_alias_back(
    client: search.Client,
    indexes: Indexes,
    index_prefix: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A swap that arrives when a later generation has its own aliases is refused whole."""
    first = fence(client, indexes, index_prefix)
    begin(first, index_prefix)
    first.point((index_prefix, f"{index_prefix}-old"))
    with monkeypatch.context() as patch:
        late = Late(indexes, patch)
        first.swap(0, f"{index_prefix}-new")
    second = fence(client, indexes, index_prefix)
    begin(second, index_prefix)
    before = client.indices.get_alias(index=f"{index_prefix}-*").body
    for actions in late.calls:
        with pytest.raises(search.NotFound):
            late.deliver(actions)
    assert client.indices.get_alias(index=f"{index_prefix}-*").body == before
    assert list(indexes.aliases(*patterns(index_prefix))) == [f"{index_prefix}.w3"]


def test_aliases_that_change_between_the_look_and_the_call(
    client: search.Client,
    indexes: Indexes,
    index_prefix: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are read anew: what a late call of ours has done does not end the session."""
    one = fence(client, indexes, index_prefix)
    begin(one, index_prefix)
    deliver = indexes.update_aliases

    def beaten(actions: list[dict[str, Any]]) -> None:
        monkeypatch.setattr(indexes, "update_aliases", deliver)
        deliver([{"remove": {"index": f"{index_prefix}-old", "alias": f"{index_prefix}.w1"}}])
        deliver(actions)

    monkeypatch.setattr(indexes, "update_aliases", beaten)
    one.renew()
    assert indexes.aliases(*patterns(index_prefix)) == {
        f"{index_prefix}.w2": [f"{index_prefix}-old"]
    }


def test_a_load_that_was_given_up_and_one_of_a_higher_generation(
    client: search.Client,
    indexes: Indexes,
    index_prefix: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The index of the one goes with its write alias, that of the other and a resumed one stay."""
    config = read_config(tmp_path / "index_config.json")
    given_up, resumed, others = (f"{index_prefix}-{name}" for name in ("up", "resumed", "others"))
    former = f"{index_prefix}-new"  # a person keeps it
    indexes.update_aliases([{"add": {"index": former, "alias": f"{index_prefix}.last"}}])
    indexes.update_aliases([{"remove": {"index": former, "alias": f"users-{former}"}}])
    client.index(index=former, document={}, refresh=True)
    one = fence(client, indexes, index_prefix)
    begin(one, index_prefix)
    raise_generation = ControlDocument.raise_generation

    def overtaken(control: ControlDocument, above: int) -> Any:
        raised = raise_generation(control, above)
        for name, generation in ((given_up, 1), (resumed, 1), (others, raised.generation + 1)):
            indexes.create(name, config, "abcd")
            alias = f"{index_prefix}.l{generation}"
            indexes.update_aliases([{"add": {"index": name, "alias": alias}}])
            client.index(index=name, document={}, refresh=True)
        return raised

    monkeypatch.setattr(ControlDocument, "raise_generation", overtaken)
    with pytest.raises(FencedOut):
        begin(one, index_prefix, {resumed})
    assert indexes.get(given_up) is None
    assert indexes.get(resumed) is not None
    assert indexes.get(others) is not None
    assert indexes.get(former) is not None
