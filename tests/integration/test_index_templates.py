"""Index templates of somebody else: what they would mix into our indexes is refused by name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from listener import search
from listener.config import ElasticsearchConfig
from listener.search.index_config import IndexConfig, IndexError_, read_config
from listener.search.indexes import Indexes
from playground.search import SearchServer
from tests.kit.index_configs import REFUSED

BODY = {
    "settings": {"number_of_shards": 1},
    "mappings": {"dynamic": "strict", "properties": {"n": {"type": "integer"}}},
}


@pytest.fixture
def indexes(search_server: SearchServer, index_prefix: str) -> Iterator[Indexes]:
    """Operations of one pipeline."""
    client = search.connect(ElasticsearchConfig.model_validate({"urls": [search_server.url]}))
    yield Indexes(client, "test")
    client.close()


@pytest.fixture
def config(tmp_path: Path) -> IndexConfig:
    """An index_config.json."""
    path = tmp_path / "index_config.json"
    path.write_text(json.dumps(BODY))
    return read_config(path)


def put(server: SearchServer, prefix: str, template: dict[str, Any]) -> None:
    """A template of somebody else for all names of this prefix."""
    body = {"index_patterns": [f"{prefix}-*"], "priority": 7, "template": template}
    status, answer = server.request("PUT", f"/_index_template/{prefix}-theirs", body)
    assert status == 200, answer


@pytest.mark.parametrize(
    ("template", "adds"),
    [
        ({"mappings": {"properties": {"m": {"type": "keyword"}}}}, "the field m (keyword)"),
        ({"mappings": {"_source": {"enabled": False}}}, '_source = {"enabled": false} to the'),
        ({"mappings": {"_routing": {"required": True}}}, '_routing = {"required": true} to the'),
        ({"mappings": {"runtime": {"m": {"type": "long"}}}}, 'runtime = {"m": {"type": "long"}}'),
        ({"settings": {"index.default_pipeline": "p"}}, "index.default_pipeline = 'p'"),
        ({"settings": {"index.final_pipeline": "p"}}, "index.final_pipeline = 'p'"),
        (
            {
                "settings": {"index.sort.field": "n"},
                "mappings": {"properties": {"n": {"type": "integer"}}},
            },
            "index.sort.field = ",
        ),
        ({"settings": {"index.translog.durability": "async"}}, "index.translog.durability"),
        ({"settings": {"index.gc_deletes": "1ms"}}, "index.gc_deletes = "),
        ({"settings": {"index.blocks.write": True}}, "index.blocks.write = 'true'"),
        ({"settings": {"index.blocks.read_only": True}}, "index.blocks.read_only = 'true'"),
        ({"settings": {"index.blocks.metadata": True}}, "a block: 403 cluster_block_exception"),
        ({"settings": {"index.mapping.ignore_malformed": True}}, "index.mapping.ignore_malformed"),
        ({"aliases": {"theirs": {}}}, "the aliases theirs"),
    ],
    ids=lambda value: value.split(" = ")[0] if isinstance(value, str) else "",
)
def test_what_a_template_adds_is_refused(  # noqa: PLR0917 - fixtures
    search_server: SearchServer,
    index_prefix: str,
    indexes: Indexes,
    config: IndexConfig,
    template: dict[str, Any],
    adds: str,
) -> None:
    """The template, its pattern and what it adds are named; no index is left behind."""
    put(search_server, index_prefix, template)
    with pytest.raises(IndexError_) as refused:
        indexes.create(f"{index_prefix}-1", config, "abcd")
    who = f"the index template {index_prefix}-theirs ({index_prefix}-*) adds "
    assert f"{who}{adds}" in str(refused.value)
    assert indexes.get(f"{index_prefix}-1") is None


@pytest.mark.parametrize(("settings", "mappings", "says"), REFUSED)
def test_what_would_be_loaded_anew_is_not_made(  # noqa: PLR0917 - fixtures
    search_server: SearchServer,
    index_prefix: str,
    indexes: Indexes,
    config: IndexConfig,
    settings: dict[str, Any],
    mappings: dict[str, Any],
    says: str,
) -> None:
    """An audit loads an index anew for each of these: made with them it would be loaded for ever.

    Some this server knows nothing of, or takes from nobody: it refuses them itself.
    """
    index = settings.get(
        "index", {key.removeprefix("index."): one for key, one in settings.items()}
    )
    body = {
        "index_patterns": [f"{index_prefix}-*"],
        "priority": 7,
        "template": {"settings": {"index": index}, "mappings": mappings},
    }
    status, _ = search_server.request("PUT", f"/_index_template/{index_prefix}-theirs", body)
    if status != 200:
        return
    with pytest.raises((IndexError_, search.BadRequest)) as refused:
        indexes.create(f"{index_prefix}-1", config, "abcd")
    if isinstance(refused.value, IndexError_):
        assert f"the index template {index_prefix}-theirs" in str(refused.value)
        assert indexes.get(f"{index_prefix}-1") is None


def test_a_template_that_does_no_harm_is_let_be(
    search_server: SearchServer, index_prefix: str, indexes: Indexes, config: IndexConfig
) -> None:
    """Tuning that somebody gives to all indexes of a cluster."""
    settings = {"index.codec": "best_compression", "index.number_of_replicas": 1}
    put(search_server, index_prefix, {"settings": settings})
    assert indexes.create(f"{index_prefix}-1", config, "abcd").name == f"{index_prefix}-1"


def test_a_template_of_the_old_kind_is_named_too(
    search_server: SearchServer, index_prefix: str, indexes: Indexes, config: IndexConfig
) -> None:
    """Legacy templates apply where no composable one matches."""
    body = {"index_patterns": [f"{index_prefix}-*"], "settings": {"index.gc_deletes": "1ms"}}
    status, answer = search_server.request("PUT", f"/_template/{index_prefix}-old", body)
    assert status == 200, answer
    with pytest.raises(IndexError_, match=f"{index_prefix}-old .* adds index.gc_deletes"):
        indexes.create(f"{index_prefix}-1", config, "abcd")


@pytest.mark.parametrize("upgraded", [False, True], ids=["", "former release"])
def test_names_of_other_programs(
    search_server: SearchServer, index_prefix: str, indexes: Indexes, upgraded: bool
) -> None:
    """The template takes what write aliases are called, and no more; one of a former release is
    narrowed."""
    request = search_server.request
    alias = f"{index_prefix}-app"
    if upgraded:
        wide = {"index_patterns": [alias, f"{alias}.w*", f"{alias}.l*"], "priority": 900_000}
        request("PUT", f"/_index_template/listener-{alias}", {**wide, "allow_auto_create": False})
    theirs = {
        "index_patterns": [f"{alias}.l*", f"{alias}.w*", f"{alias}-*"],
        "priority": 7,
        "template": {"mappings": {"properties": {"n": {"type": "keyword"}}}},
    }
    status, _ = request("PUT", f"/_index_template/{index_prefix}-theirs", theirs)
    assert status == 200
    indexes.protect(alias)
    for name in ("logs-2026.11.30", "web", "latest", "w", "l0", "wide-1"):
        assert request("POST", f"/{alias}.{name}/_doc", {"n": 1})[0] == 201, name
        _, found = request("GET", f"/{alias}.{name}/_mapping")
        assert found[f"{alias}.{name}"]["mappings"] == theirs["template"]["mappings"]  # type: ignore[index]
    for name in (alias, f"{alias}.w1", f"{alias}.l12", f"{alias}.w3999999"):
        assert request("POST", f"/{name}/_doc", {"n": 1})[0] == 404, name


def test_the_longest_name(
    search_server: SearchServer, index_prefix: str, indexes: Indexes, config: IndexConfig
) -> None:
    """Of an alias that the configuration takes: no request is longer than servers read."""
    alias = f"{index_prefix}-".ljust(100, "n")
    name = f"{alias}-0a1b2c3d-20261130t000000000000z"
    indexes.protect(alias)
    indexes.create(name, config, "0a1b2c3d")
    wanted: dict[str, str | None] = {f"{alias}.{role}3999999": name for role in "wlf"}
    indexes.update_aliases([{"add": {"index": name, "alias": one}} for one in (alias, *wanted)])
    assert list(indexes.claims(alias)) == []
    assert indexes.astray(alias, wanted) is None
    assert indexes.drop_loads(alias) == indexes.old(alias) == []
    indexes.drop_strays(alias, below=3_999_999)
    indexes.drop_unborn(alias)
    assert indexes.aliases(f"{alias}*") == {one: [name] for one in (alias, *wanted)}
