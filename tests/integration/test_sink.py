"""The sink on a real Elasticsearch: versions, fences, verdicts, indexes and their aliases."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from listener import search
from listener.config import ElasticsearchConfig
from listener.search import claims
from listener.search.bulk import Document
from listener.search.index_config import IndexError_, content_hash, read_config
from listener.search.indexes import Indexes
from listener.search.owners import ForeignIndex, Owner
from listener.search.sink import Sent, send
from listener.search.verdicts import Outcome
from listener.search.versions import Versions
from listener.search.write_aliases import Target, write_alias
from listener.state.control import ControlDocument
from playground.search import SearchServer
from playground.system import free_port

MAPPING = {"mappings": {"dynamic": "strict", "properties": {"n": {"type": "integer"}}}}


@pytest.fixture
def client(search_server: SearchServer, index_prefix: str) -> Iterator[search.Client]:
    """A client as the daemon has it."""
    client = search.connect(ElasticsearchConfig.model_validate({"urls": [search_server.url]}))
    yield client
    client.options(ignore_status=404).indices.delete_index_template(
        name=f"listener-{index_prefix}*"
    )
    client.close()


@pytest.fixture
def indexes(client: search.Client) -> Indexes:
    """Operations of one pipeline."""
    return Indexes(client, "test")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An index_config.json."""
    path = tmp_path / "index_config.json"
    path.write_text(json.dumps(MAPPING))
    return path


@pytest.fixture
def alias(indexes: Indexes, index_prefix: str, file: Path) -> str:
    """A write alias of generation 1 on a new index."""
    indexes.protect(index_prefix)
    indexes.create(f"{index_prefix}-1", read_config(file), "abcd")
    name = write_alias(index_prefix, 1)
    indexes.update_aliases([{"add": {"index": f"{index_prefix}-1", "alias": name}}])
    return name


def document(name: str, body: Any = None) -> Document:
    """A document, or a delete."""
    return Document((name,), name, None if body is None else json.dumps(body).encode())


def outcomes(sent: Sent) -> list[Outcome]:
    """The outcome of each document."""
    return [verdict.outcome for verdict in sent.verdicts]


def test_accepted_by_another_index(
    client: search.Client, indexes: Indexes, alias: str, index_prefix: str, file: Path
) -> None:
    """The alias leads elsewhere, and back: nothing that went elsewhere counts as done."""
    ours, theirs = f"{index_prefix}-1", f"{index_prefix}-2"
    indexes.create(theirs, read_config(file), "abcd")
    target = Target(alias, index=ours)
    batch = [document("a", {"n": 1}), document("b")]
    for version, place in enumerate((ours, theirs, ours), 1):
        if place == theirs:
            action = {"add": {"index": theirs, "alias": alias, "is_write_index": True}}
            indexes.update_aliases([action])
        elif theirs in indexes.aliases(alias)[alias]:
            indexes.update_aliases([{"remove": {"index": theirs, "alias": alias}}])
        sent = send(client, batch, target, (1 << 40) + version)
        expected = Outcome.DONE if place == ours else Outcome.FENCED
        assert outcomes(sent) == [expected] * 2
        assert sent.taken == (place == ours)
        assert all(theirs in one.reason for one in sent.verdicts if place == theirs)


def test_an_older_write_of_ours_changes_nothing(client: search.Client, alias: str) -> None:
    """A 409 by our own generation means that something newer of ours is there: done."""
    versions = Versions()
    versions.begin(1)
    old, new = versions.draw(), versions.draw()
    target = Target(alias)
    assert outcomes(send(client, [document("a", {"n": 2})], target, new)) == [Outcome.DONE]
    assert outcomes(send(client, [document("a", {"n": 1})], target, old)) == [Outcome.DONE]
    assert outcomes(send(client, [document("a")], target, old)) == [Outcome.DONE]
    assert client.get(index=alias, id="a")["_source"] == {"n": 2}


def test_a_write_of_an_older_generation_is_fenced(client: search.Client, alias: str) -> None:
    """A 409 by a higher generation is never counted as done."""
    versions = Versions()
    versions.begin(1)
    zombie = versions.draw()
    versions.begin(2)
    target = Target(alias)
    send(client, [document("a", {"n": 2})], target, versions.draw())
    assert outcomes(send(client, [document("a", {"n": 1})], target, zombie)) == [Outcome.FENCED]


def test_without_its_alias_nothing_is_written(
    client: search.Client, indexes: Indexes, alias: str, index_prefix: str
) -> None:
    """A new generation swapped the alias: index and delete of the old one get 404."""
    versions = Versions()
    versions.begin(1)
    target = Target(alias)
    send(client, [document("a", {"n": 1})], target, versions.draw())
    indexes.update_aliases([{"remove": {"index": f"{index_prefix}-1", "alias": alias}}])
    sent = send(client, [document("b", {"n": 1}), document("a")], target, versions.draw())
    assert outcomes(sent) == [Outcome.FENCED, Outcome.FENCED]
    assert client.get(index=f"{index_prefix}-1", id="a")["found"]
    assert not client.indices.exists(index=alias)


def test_a_vanished_alias_makes_no_index(client: search.Client, index_prefix: str) -> None:
    """Even where no template of ours forbids it (OpenSearch): a guessed mapping is worse."""
    sent = send(client, [document("b", {"n": 1})], Target(f"{index_prefix}x"), 1 << 40)
    assert outcomes(sent) == [Outcome.FENCED]
    assert not client.indices.exists(index=f"{index_prefix}x")


def test_documents_that_do_not_fit_are_parked_alone(client: search.Client, alias: str) -> None:
    """Each item has a verdict of its own."""
    versions = Versions()
    versions.begin(1)
    documents = [
        document("good", {"n": 1}),
        document("unknown field", {"m": 1}),
        document("no number", {"n": "x"}),
        document("gone"),
    ]
    sent = send(client, documents, Target(alias), versions.draw())
    assert outcomes(sent) == [Outcome.DONE, Outcome.PARK, Outcome.PARK, Outcome.DONE]


@pytest.mark.parametrize(
    "settings", [{"index.blocks.write": True}, {"index.blocks.read_only_allow_delete": True}]
)
def test_a_blocked_index_holds(
    client: search.Client, alias: str, settings: dict[str, Any], index_prefix: str
) -> None:
    """403 item by item: were it parked, the whole backlog would be lost."""
    versions = Versions()
    versions.begin(1)
    client.indices.put_settings(index=f"{index_prefix}-1", settings=settings)
    sent = send(client, [document("a", {"n": 1})], Target(alias), versions.draw())
    assert outcomes(sent)[0] in (Outcome.HOLD, Outcome.RETRY)


def test_a_closed_index_holds(client: search.Client, alias: str, index_prefix: str) -> None:
    """400 item by item: not the documents' fault either."""
    versions = Versions()
    versions.begin(1)
    client.indices.close(index=f"{index_prefix}-1")
    sent = send(client, [document("a", {"n": 1})], Target(alias), versions.draw())
    assert outcomes(sent) == [Outcome.HOLD]


def test_no_answer_is_a_verdict_too(index_prefix: str) -> None:
    """Nobody listens on this port: read again, send again."""
    nobody = ElasticsearchConfig.model_validate({"urls": ["http://127.0.0.1:9"]})
    client = search.connect(nobody)
    sent = send(client, [document("a")], Target(index_prefix), 1 << 40)
    assert outcomes(sent) == [Outcome.RETRY]


def test_a_request_that_is_too_large_is_halved(
    client: search.Client, alias: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An id that fails the whole request costs only itself (`sendable` keeps such ids out)."""
    versions = Versions()
    versions.begin(1)
    documents = [document(name, {"n": 1}) for name in ("a", "x" * 513, "b")]
    sent = send(client, documents, Target(alias), versions.draw())
    assert outcomes(sent) == [Outcome.DONE, Outcome.PARK, Outcome.DONE]


def test_generations_rise_by_compare_and_set(client: search.Client, index_prefix: str) -> None:
    """Of two that read the same document one is refused."""
    control = ControlDocument(client, f"{index_prefix}-control", "p")
    control.prepare()
    control.prepare()
    assert control.read().generation == 0
    assert control.raise_generation().generation == 1
    assert control.raise_generation(above=7).generation == 8
    assert control.save(8, {})
    assert not control.save(1, {"a": 1})
    seen = control.read()
    control.raise_generation()
    with pytest.raises(search.Conflict):
        control._write(seen, {"generation": 9}, 9)


def test_a_template_of_somebody_else_is_refused_by_name(
    client: search.Client, indexes: Indexes, index_prefix: str, file: Path
) -> None:
    """A pipeline or a field that we did not ask for would change documents in silence."""
    templates: list[dict[str, Any]] = [
        {"settings": {"index.default_pipeline": "p"}},
        {"mappings": {"properties": {"foreign": {"type": "keyword"}}}},
        {"aliases": {f"{index_prefix}-alias": {}}},
    ]
    for number, template in enumerate(templates):
        client.indices.put_index_template(
            name=f"{index_prefix}-foreign",
            index_patterns=[f"{index_prefix}-*"],
            template=template,
            priority=10,
        )
        with pytest.raises(IndexError_, match="template"):
            indexes.create(f"{index_prefix}-{number}", read_config(file), "abcd")
        assert not client.indices.exists(index=f"{index_prefix}-{number}")
        client.indices.delete_index_template(name=f"{index_prefix}-foreign")


def test_what_stands_behind_an_alias(
    client: search.Client, indexes: Indexes, index_prefix: str, file: Path
) -> None:
    """Nothing, one of ours, somebody's index, several indexes."""
    assert indexes.behind(index_prefix) is None
    made = indexes.create(f"{index_prefix}-1", read_config(file), "abcd")
    assert (made.hash, made.pipeline) == ("abcd", "test")
    indexes.update_aliases([{"add": {"index": made.name, "alias": index_prefix}}])
    assert indexes.behind(index_prefix) == made
    client.indices.create(index=f"{index_prefix}-2")
    indexes.update_aliases([{"add": {"index": f"{index_prefix}-2", "alias": index_prefix}}])
    with pytest.raises(IndexError_, match="2 indexes"):
        indexes.behind(index_prefix)
    client.indices.create(index=f"{index_prefix}x")
    with pytest.raises(IndexError_, match="concrete index"):
        indexes.behind(f"{index_prefix}x")


def test_a_changed_mapping_has_another_hash(file: Path) -> None:
    """Mapping, settings and query text, each of them."""
    first = content_hash(read_config(file), "query")
    assert content_hash(read_config(file), "query") == first
    assert content_hash(read_config(file), "other") != first
    file.write_text(json.dumps({**MAPPING, "settings": {"refresh_interval": "5s"}}))
    assert content_hash(read_config(file), "query") != first


@pytest.mark.parametrize(
    "text", ["", "[]", '{"mapping": {}}', '{"settings": 1}', '{"mappings": {"dynamic": true}}']
)
def test_a_file_that_is_no_index_config(file: Path, text: str) -> None:
    """What and where."""
    file.write_text(text)
    with pytest.raises(IndexError_, match=r"index_config\.json"):
        read_config(file)


class Traced(list[Document]):
    """A list that tells when it is gone."""


def test_a_failed_try_is_not_kept_in_memory() -> None:
    """An outage of hours has thousands of them, and no cycle is looked for that often."""
    client = search.connect(
        ElasticsearchConfig.model_validate({"urls": [f"http://127.0.0.1:{free_port()}"]})
    )
    gc.collect()
    gc.disable()
    try:
        documents = Traced([document("1", {"n": 1})])
        gone = weakref.ref(documents)
        sent = send(client, documents, Target("nowhere.w1"), 1)
        del documents
        assert sent.verdicts[0].outcome is Outcome.RETRY
        assert gone() is None
    finally:
        gc.enable()
        client.close()


def test_two_protect_one_name_at_once(client: search.Client, index_prefix: str) -> None:
    """The other one's template comes between our look for its owner and our own: it stays."""
    first, second = Indexes(client, "first"), Indexes(client, "second")
    look = claims.refuse_foreign

    def looked(client: search.Client, owner: Owner, alias: str, *, take: bool = False) -> None:
        look(client, owner, alias, take=take)
        if owner is second.owner:
            first.protect(alias)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(claims, "refuse_foreign", looked)
        with pytest.raises(ForeignIndex, match="belongs to the pipeline 'first'"):
            second.protect(index_prefix)
    [found] = client.indices.get_index_template(name=f"listener-{index_prefix}")["index_templates"]
    assert found["index_template"]["_meta"]["listener"]["pipeline"] == "first"
