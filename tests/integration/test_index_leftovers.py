"""What is cleared away with a new generation: empty indexes that nobody knows, and nothing else."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from listener import search
from listener.config import ElasticsearchConfig
from listener.search import scratch
from listener.search.index_config import read_config
from listener.search.indexes import Indexes
from listener.search.owners import Owner
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
        whole = f"{self.alias}-{zlib.crc32(name.encode()):08x}-20260131t100000000000z"
        Indexes(self.client, pipeline).create(whole, self.config, "abcd")
        if document is not None:
            self.client.index(index=whole, document=document)
        return whole

    def clear(self) -> set[str]:
        """Clear away; what is left."""
        indexes = Indexes(self.client, "ours")
        indexes.drop_strays(self.alias, below=9)
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


def test_indexes_of_an_alias_that_begins_like_this_one(leftovers: Leftovers) -> None:
    """They are of the same pipeline, and not of this document kind."""
    alias = leftovers.alias
    leftovers.alias = f"{alias}-0a1b2c3d"
    longer = leftovers.made("empty")
    leftovers.alias = alias
    own = leftovers.made("old", document={"n": 1})
    assert leftovers.clear() == {longer, own}
    assert Indexes(leftovers.client, "ours").old(alias) == [own]


def test_what_an_operator_has_blocked_of_others(leftovers: Leftovers) -> None:
    """The server would refuse to tell of it: it is not asked for."""
    alias = leftovers.alias
    names = [f"{alias}.web", f"{alias}.logs-1", f"{alias}-web"]
    indices = leftovers.client.indices
    for name in names:
        indices.create(index=name)
        indices.put_settings(index=name, settings={"index.blocks.metadata": True})
    try:
        indexes = Indexes(leftovers.client, "ours")
        indexes.protect(alias)
        assert indexes.drop_loads(alias) == []
        assert indexes.old(alias) == []
        indexes.drop_strays(alias, below=9)
        assert indexes.left_astray(alias, 3, None) is None
    finally:
        for name in names:
            indices.put_settings(index=name, settings={"index.blocks.metadata": None})


def test_an_index_by_the_name_of_a_write_alias(leftovers: Leftovers) -> None:
    """OpenSearch makes it for a lone delete. One with documents stays, and so does what only looks
    like one: with a mapping or an alias, or of a generation that is not there yet."""
    alias, client = leftovers.alias, leftovers.client
    full, later, mapped, aliased = (f"{alias}.{one}" for one in ("w8", "w9", "w6", "w5"))
    kept = {full, later, mapped, aliased, f"{alias}.w7a", f"{alias}.x7", f"{alias}.web"}
    for name in kept | {f"{alias}.w7", f"{alias}.l7"}:
        client.indices.create(index=name)
    client.index(index=full, document={"n": 1})
    client.indices.put_mapping(index=mapped, properties={"n": {"type": "long"}})
    client.indices.put_alias(index=aliased, name=f"{alias}-theirs")
    assert leftovers.clear() == kept


def test_a_server_that_makes_none_by_itself(leftovers: Leftovers) -> None:
    """Another program has made what bears such a name."""
    Indexes(leftovers.client, "ours").protect(leftovers.alias)
    leftovers.client.indices.create(index=f"{leftovers.alias}.w7")
    assert leftovers.clear() == {f"{leftovers.alias}.w7"}


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


def test_scratch_indexes(leftovers: Leftovers) -> None:
    """Those of a day ago are left over, whoever made them. A younger one may be in use, and those
    of another pipeline are its own."""
    old = f"{leftovers.alias}.scratch-20200131100000-0a0b0c"
    names = [scratch.new_name(leftovers.alias), old, f"{old[:-1]}d"]
    for owner, name in zip(("ours", "ours", "theirs"), names, strict=True):
        scratch.make(leftovers.client, Owner(owner), name, leftovers.config)
    assert leftovers.clear() == set(names) - {old}


def test_no_search_finds_a_scratch_index(leftovers: Leftovers) -> None:
    """Neither by the alias nor by a pattern; no load takes it for its own."""
    client, alias = leftovers.client, leftovers.alias
    used = leftovers.made("used")
    client.indices.put_alias(index=used, name=alias)
    trial = scratch.make(client, Owner("ours"), scratch.new_name(alias), leftovers.config)
    client.index(index=trial.target.alias, document={"n": 1}, refresh=True, require_alias=True)
    for pattern in (alias, f"{alias}*", f"*{alias}*", f"{alias}.*"):
        found = client.search(index=pattern, scroll="1m")["hits"]["total"]["value"]
        assert found == 0, pattern
    assert Indexes(client, "ours").old(alias) == []
    assert client.search(index=trial.name, scroll="1m")["hits"]["total"]["value"] == 1
    scratch.drop(client, trial.name)
