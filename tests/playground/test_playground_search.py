"""Elasticsearch of the playground: analysis, restarts, crashes, silence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch

from playground import blueprint
from playground.java import find_jdk
from playground.layout import is_laid_out
from playground.search import SearchServer
from playground.system import PlaygroundError
from tests.kit.lengths import one_short


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[SearchServer]:
    with SearchServer(directory=tmp_path / "es", heap="256m") as running:
        yield running


def tokens(server: SearchServer, analyzer: str, text: str) -> list[str]:
    status, answer = server.request("POST", "/_analyze", {"analyzer": analyzer, "text": text})
    assert status == 200, answer
    return [token["token"] for token in answer["tokens"]]


@pytest.mark.parametrize(
    ("analyzer", "text", "expected"),
    [
        ("english", "The dog's running", ["dog", "run"]),
        ("russian", "и для человека", ["человек"]),
    ],
)
def test_analysis(
    search_server: SearchServer, analyzer: str, text: str, expected: list[str]
) -> None:
    """Both languages are stemmed, and their stop words dropped."""
    assert tokens(search_server, analyzer, text) == expected


def test_analysis_of_an_index(search_server: SearchServer, index_prefix: str) -> None:
    """An index may build its own analyzers from the same filters; an unknown stemmer is refused."""
    filters = {
        "english_stem": {"type": "stemmer", "language": "english"},
        "russian_stem": {"type": "stemmer", "language": "russian"},
        "russian_stop": {"type": "stop", "stopwords": "_russian_"},
    }
    both = {
        "type": "custom",
        "tokenizer": "standard",
        "filter": ["lowercase", "russian_stop", "english_stem", "russian_stem"],
    }
    settings = {"analysis": {"filter": filters, "analyzer": {"both": both}}}
    status, answer = search_server.request("PUT", f"/{index_prefix}", {"settings": settings})
    assert status == 200, answer
    body = {"analyzer": "both", "text": "Running и человека"}
    _, answer = search_server.request("POST", f"/{index_prefix}/_analyze", body)
    assert [token["token"] for token in answer["tokens"]] == ["run", "человек"]
    filters["english_stem"]["language"] = "klingon"
    status, answer = search_server.request("PUT", f"/{index_prefix}-2", {"settings": settings})
    assert status == 400
    assert "no stemmer [klingon]" in str(answer)


def test_the_python_client_is_content(search_server: SearchServer, index_prefix: str) -> None:
    """The client that the project uses accepts the server for what it is."""
    with Elasticsearch(search_server.url) as client:
        assert client.info()["version"]["number"] == search_server.version
        client.index(index=index_prefix, id="1", document={"n": 1}, refresh=True)
        assert client.count(index=index_prefix)["count"] == 1


@pytest.mark.long
def test_data_and_port_survive_restart_and_crash(own_server: SearchServer) -> None:
    """What is acknowledged is there after a restart and after a SIGKILL, at the same address."""
    url = own_server.url
    for n, again in enumerate((own_server.restart, own_server.kill)):
        status, answer = own_server.request("PUT", f"/kept/_doc/{n}", {"n": n})
        assert status == 201, answer
        again()
        own_server.start()
        assert own_server.url == url
        own_server.request("POST", "/kept/_refresh")
        assert own_server.request("GET", "/kept/_count")[1]["count"] == n + 1
    own_server.pause()
    with pytest.raises(TimeoutError):
        own_server.request("GET", "/", timeout=0.2)
    own_server.resume()
    assert own_server.request("GET", "/")[0] == 200


@pytest.mark.parametrize(
    "name", one_short([name for name in blueprint.names() if name != "es8"], "os3")
)
def test_other_servers(name: str) -> None:
    """Each of the others starts, says its version, analyses, and finds what it was given."""
    if not is_laid_out(blueprint.load(name)):
        pytest.skip(f"not laid out: python -m playground prepare --search {name}")
    with SearchServer(name, heap="256m", jvm_options=["-XX:TieredStopAtLevel=1"]) as server:
        assert server.request("GET", "/")[1]["version"]["number"] == server.version
        assert tokens(server, "english", "running") == ["run"]
        assert tokens(server, "russian", "человека") == ["человек"]
        status, answer = server.request("PUT", "/some/_doc/1?refresh=true", {"n": 1})
        assert status == 201, answer
        assert server.request("GET", "/some/_count")[1]["count"] == 1
        server.delete_by_prefix("some")
        assert server.request("GET", "/some")[0] == 404


def test_a_cluster_of_two(tmp_path: Path) -> None:
    """Nodes that name each other in their settings become one cluster."""
    names = ("one", "two")
    nodes = [SearchServer(directory=tmp_path / name, heap="200m") for name in names]
    try:
        for name, node in zip(names, nodes, strict=True):
            node.settings = {
                "node.name": name,
                "discovery.seed_hosts": [f"127.0.0.1:{other.transport_port}" for other in nodes],
                "cluster.initial_master_nodes": list(names),
            }
            node.start_process()
        for node in nodes:
            node.wait_ready()
        path = "/_cluster/health?wait_for_nodes=2&timeout=30s"
        assert nodes[0].request("GET", path, timeout=40)[1]["number_of_nodes"] == 2
    finally:
        for node in nodes:
            node.close()


def test_a_setting_that_there_is_not() -> None:
    """A server that does not come up says why, in the error itself."""
    server = SearchServer(heap="256m", settings={"no.such.setting": True})
    try:
        with pytest.raises(PlaygroundError, match=re.escape("no.such.setting")):
            server.start()
    finally:
        server.close()
    assert not server.directory.exists()


def test_removal_by_prefix(search_server: SearchServer, index_prefix: str) -> None:
    """Indexes, aliases and templates with the prefix go; an alias on a foreign index goes too."""
    foreign = f"foreign-{index_prefix}"
    with Elasticsearch(search_server.url) as client:
        client.indices.create(index=foreign, aliases={f"{index_prefix}-a": {}, "foreign": {}})
        client.indices.create(index=f"{index_prefix}-i")
        client.indices.put_index_template(
            name=f"{index_prefix}-t", index_patterns=[f"{index_prefix}-t*"]
        )
        search_server.delete_by_prefix(index_prefix)
        assert not client.indices.exists(index=f"{index_prefix}*", allow_no_indices=False)
        assert not client.indices.exists_index_template(name=f"{index_prefix}-t")
        assert list(client.indices.get_alias(index=foreign)[foreign]["aliases"]) == ["foreign"]
        client.indices.delete(index=foreign)


def test_every_blueprint_reads() -> None:
    """Each description is complete; an unknown name is answered with the known ones."""
    for name in blueprint.names():
        assert blueprint.load(name).modules
    with pytest.raises(PlaygroundError, match=r"only .*es8"):
        blueprint.load("solr")


def test_a_jdk_that_there_is_not() -> None:
    """The error says which JDK is missing and how to install it."""
    with pytest.raises(PlaygroundError, match="apt-get install openjdk-99-jdk-headless"):
        find_jdk(99)
