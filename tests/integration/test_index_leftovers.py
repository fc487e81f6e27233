"""What is cleared away with a new generation: empty indexes that nobody knows, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from listener import search
from listener.config import ElasticsearchConfig
from listener.search.index_config import read_config
from listener.search.indexes import Indexes
from playground.search import SearchServer


@pytest.fixture
def client(search_server: SearchServer) -> Iterator[search.Client]:
    """A client as the daemon has it."""
    with search.connect(
        ElasticsearchConfig.model_validate({"urls": [search_server.url]})
    ) as client:
        yield client


class Leftovers:
    """Indexes that somebody made, and what is left of them."""

    def __init__(self, client: search.Client, alias: str, folder: Path) -> None:
        self.client = client
        self.alias = alias
        path = folder / "index_config.json"
        path.write_text(json.dumps({"mappings": {"properties": {"n": {"type": "integer"}}}}))
        self.config = read_config(path)

    def made(self, name: str, pipeline: str = "ours", document: Any = None) -> str:
        """An index as a load makes it."""
        whole = f"{self.alias}-{name}"
        Indexes(self.client, pipeline).create(whole, self.config, "abcd")
        if document is not None:
            self.client.index(index=whole, document=document)
        return whole

    def clear(self) -> set[str]:
        """Clear away; what is left."""
        indexes = Indexes(self.client, "ours")
        indexes.drop_strays(self.alias)
        indexes.drop_unborn(self.alias)
        found = self.client.indices.get(index=f"{self.alias}*", expand_wildcards="all").body
        return set(found)


@pytest.fixture
def leftovers(client: search.Client, index_prefix: str, tmp_path: Path) -> Leftovers:
    """None yet."""
    return Leftovers(client, f"{index_prefix}-films", tmp_path)


def test_an_index_whose_making_was_not_heard_of(leftovers: Leftovers) -> None:
    """It is empty and no alias leads to it; a former index that is kept has documents."""
    leftovers.made("empty")
    kept = leftovers.made("former", document={"n": 1})
    used = leftovers.made("used")
    leftovers.client.indices.put_alias(index=used, name=f"{leftovers.alias}.l7")
    assert leftovers.clear() == {kept, used}


def test_indexes_of_others_are_let_be(leftovers: Leftovers) -> None:
    """Of another pipeline, of nobody, or with another name."""
    other = leftovers.made("other", pipeline="theirs")
    nobodys = f"{leftovers.alias}-nobodys"
    leftovers.client.indices.create(index=nobodys)
    longer = f"{leftovers.alias}more"
    leftovers.client.indices.create(index=longer)
    assert leftovers.clear() == {other, nobodys, longer}


def test_an_index_by_the_name_of_a_write_alias(leftovers: Leftovers) -> None:
    """OpenSearch makes it for a lone delete. One with documents stays, and so does what only looks
    like one."""
    alias = leftovers.alias
    full = f"{alias}.w8"
    for name in (f"{alias}.w7", f"{alias}.l7", full, f"{alias}.w7a", f"{alias}.x7"):
        leftovers.client.indices.create(index=name)
    leftovers.client.index(index=full, document={"n": 1})
    assert leftovers.clear() == {full, f"{alias}.w7a", f"{alias}.x7"}


def test_an_index_that_somebody_else_has_an_alias_for(leftovers: Leftovers) -> None:
    """His may begin as a write alias does; only ours do not count."""
    indexes = Indexes(leftovers.client, "ours")
    alias = leftovers.alias
    his, ours = leftovers.made("his"), leftovers.made("ours")
    for index, name in ((his, "live"), (his, "w7a"), (his, "l7"), (ours, "l7"), (ours, "w6")):
        leftovers.client.indices.put_alias(index=index, name=f"{alias}.{name}")
    assert indexes.drop_if_unused(his, alias)
    assert indexes.drop_if_unused(ours, alias)
    assert indexes.get(his) is not None
    assert indexes.get(ours) is None
    assert indexes.drop_if_unused(ours, alias)


def test_a_deletion_that_is_refused(leftovers: Leftovers) -> None:
    """As while a snapshot is made: it is said, and the index stays."""
    name = leftovers.made("kept")
    cluster = leftovers.client.cluster
    cluster.put_settings(persistent={"cluster.blocks.read_only": True})
    try:
        assert not Indexes(leftovers.client, "ours").drop_if_unused(name, leftovers.alias)
    finally:
        cluster.put_settings(persistent={"cluster.blocks.read_only": None})
    assert Indexes(leftovers.client, "ours").drop_if_unused(name, leftovers.alias)
