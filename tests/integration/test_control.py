"""The control document on a real Elasticsearch: whatever stands there, and however it is kept."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from listener import search
from listener.config import ElasticsearchConfig
from listener.search import Unusable
from listener.state.control import ControlDocument
from listener.state.model import Identity, Load, Mark, State
from playground.search import SearchServer

MOMENT = datetime(2026, 11, 24, 8, 0, 0, 123456, tzinfo=UTC)
STATE = State(
    last_processed=MOMENT,
    identity=Identity(
        pipeline="test",
        system_identifier="7382910471234567890",
        timeline=1,
        database_oid=16384,
        wal_lsn="0/16B3748",
        nonce="0123",
        config_hash="1e5",
        tables={"content.film_work": 16390},
        indexes={"movies": "Yx3-abc"},
        ahead=0.5,
        marks={"movies-1": Mark(shards={"0": "history process 5"}, settled=MOMENT)},
    ),
    loads=(Load(index="movies", physical="movies-1", started_at=MOMENT, after=("a", "b")),),
    loaded={"movies": MOMENT},
    reconcile={"movies": True},
)
WHOLE = {**STATE.model_dump(mode="json"), "generation": 7}


@pytest.fixture
def client(search_server: SearchServer) -> Iterator[search.Client]:
    """A client as the daemon has it."""
    client = search.connect(ElasticsearchConfig.model_validate({"urls": [search_server.url]}))
    yield client
    client.close()


@pytest.fixture
def control(client: search.Client, index_prefix: str) -> ControlDocument:
    """The control document of a pipeline that has none yet."""
    control = ControlDocument(client, f"{index_prefix}-control", "test")
    control.prepare()
    return control


def put(client: search.Client, prefix: str, content: Any) -> None:
    """Somebody writes there."""
    client.perform_request(
        "PUT",
        f"/{prefix}-control/_doc/test",
        headers={"content-type": "application/json", "accept": "application/json"},
        body=json.dumps(content),
    )


def changed(*path: str | int, to: Any) -> Any:
    """The whole document with another value at one place."""
    content = json.loads(json.dumps(WHOLE))
    place = content
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to
    return content


def without(name: str, inside: str | None = None) -> Any:
    """The whole document without one field."""
    content = json.loads(json.dumps(WHOLE))
    del (content if inside is None else content[inside])[name]
    return content


NEWER = [
    changed("added", to={"a": [1]}),
    changed("identity", "added", to="x"),
    changed("loads", 0, "added", to=None),
]
GENERATIONS = ["7", -7, 0, True, 7.0, None, [7], {"a": 7}, 2**62, 4_000_000]
DAMAGED = [
    changed("last_processed", to="yesterday"),
    changed("last_processed", to="17"),
    changed("last_processed", to="2026-11-24T08:00:00"),
    changed("last_processed", to=1764000000),
    changed("last_processed", to="0001-01-01T00:00:00Z"),
    changed("last_processed", to=[MOMENT.isoformat()]),
    without("last_processed"),
    changed("identity", to=[]),
    changed("identity", to="movies"),
    without("identity"),
    without("nonce", "identity"),
    changed("identity", "database_oid", to=True),
    changed("identity", "timeline", to="1"),
    changed("identity", "wal_lsn", to="nonsense"),
    changed("identity", "wal_lsn", to="0/16B3748\n"),
    changed("identity", "ahead", to="x"),
    changed("identity", "tables", to=["content.film_work"]),
    changed("identity", "indexes", to={"movies": 5}),
    changed("loads", to={"movies": 1}),
    changed("loads", to=["movies"]),
    changed("loads", 0, "started_at", to=None),
    changed("loads", 0, "after", to="ab"),
    changed("loaded", to={"movies": "x"}),
    changed("loaded", to=3),
    changed("reconcile", to={"movies": "yes"}),
    changed("reconcile", to=["movies"]),
    *(
        changed("identity", "marks", "movies-1", "shards", "0", to=note)
        for note in ("history process --5", "history process " + "9" * 5000, "history", "")
    ),
    changed("identity", "marks", "movies-1", "shards", to={"zero": "history process 5"}),
    changed("identity", "marks", "movies-1", "settled", to="0001-01-01T00:00:00+14:00"),
    changed("identity", "marks", "movies-1", "settled", to=5),
    changed("identity", "marks", to={"movies*": {}}),
    changed("identity", "control", to=10**30),
    changed("identity", "ahead", to=1e308),
    changed("identity", "timeline", to=-1),
    changed("loads", 0, "documents", to=-1),
    *(
        changed("loads", 0, "physical", to=name)
        for name in (
            "",
            "*",
            "movies-1,*",
            "movies-1/_doc/../..",
            "movies-1?y=%00",
            "<movies-{now/d}>",
            "movies-" + "x" * 9000,
        )
    ),
    changed("loads", 0, "index", to="../_cluster"),
    changed("reconcile", to={"*": True}),
    changed("version", to=2),
    changed("version", to=True),
    changed("version", to="1"),
    without("version"),
    {"generation": 7, "user": "somebody", "tags": [1, 2]},
]


def test_what_is_written_is_read(
    control: ControlDocument, client: search.Client, index_prefix: str
) -> None:
    """To the microsecond; and a document that holds a generation alone is none yet."""
    assert control.read().generation == 0
    assert control.raise_generation().generation == 1
    assert (control.read().state, control.read().damage) == (None, None)
    assert control.save(1, STATE.model_dump(mode="json"))
    assert control.read().state == STATE
    put(client, index_prefix, WHOLE)
    assert (control.read().generation, control.read().state) == (7, STATE)


def test_fields_of_a_newer_release_are_left_out(
    control: ControlDocument, client: search.Client, index_prefix: str
) -> None:
    """They are read over, and gone with the first write: the newer one knows who was at work."""
    for content in NEWER:
        put(client, index_prefix, content)
        found = control.read()
        assert (found.generation, found.state, found.damage) == (7, STATE, None)
        assert control.save(7, STATE.model_dump(mode="json"))
        assert control.read().content == WHOLE
        put(client, index_prefix, content)
        assert control.succeed(7) is not None
        assert control.read().content == {**WHOLE, "generation": 8}


def test_no_valid_generation(
    control: ControlDocument, client: search.Client, index_prefix: str
) -> None:
    """It is raised above what else is known, and never taken from what is none."""
    for number in GENERATIONS:
        put(client, index_prefix, changed("generation", to=number))
        found = control.read()
        assert found.generation == 0
        assert found.damage == "it has no valid generation"
        assert not control.save(7, {})
        assert control.succeed(7) is None
        assert control.raise_generation(41).generation == 42
        assert control.read().content == {"generation": 42}


def test_damage_is_as_good_as_loss(
    control: ControlDocument, client: search.Client, index_prefix: str
) -> None:
    """The generation counts; what cannot be read is named in a few words and written anew."""
    for content in DAMAGED:
        put(client, index_prefix, content)
        found = control.read()
        assert (found.generation, found.state) == (7, None), content
        assert found.damage, content
        assert "\n" not in found.damage
        assert control.raise_generation().generation == 8
        assert control.read().content == {"generation": 8}
    put(client, index_prefix, {})
    assert control.read().damage == "it has no valid generation"


@pytest.mark.parametrize("levels", [150, 995])
def test_nested_deeper_than_can_be_read_everywhere(
    control: ControlDocument, search_server: SearchServer, index_prefix: str, levels: int
) -> None:
    """The server takes more levels than Python's reader of JSON does, which goes by how deep it
    stands itself: as good as lost, too, wherever it is read."""
    text = f'{json.dumps(WHOLE)[:-1]}, "x": {"[" * levels}{"]" * levels}}}'
    url = f"{search_server.url}/{index_prefix}-control/_doc/test"
    request = urllib.request.Request(
        url, text.encode(), {"content-type": "application/json"}, method="PUT"
    )
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 201
    found = control.read()
    assert (found.generation, found.state) == (0, None)
    assert "to be read" in str(found.damage)
    assert not control.save(7, {})
    assert control.raise_generation(6).generation == 7
    assert control.read().content == {"generation": 7}


def test_an_index_that_is_closed_or_blocked(
    control: ControlDocument, client: search.Client, index_prefix: str
) -> None:
    """Refused with the request that lifts it."""
    control.raise_generation()
    index = f"{index_prefix}-control"
    client.indices.close(index=index)
    control.prepare()
    for call in (control.read, control.raise_generation):
        with pytest.raises(Unusable) as closed:
            call()
        assert f"POST /{index}/_open" in closed.value.mend
    client.indices.open(index=index)
    client.indices.put_settings(index=index, settings={"index.blocks.write": True})
    assert control.read().generation == 1
    with pytest.raises(Unusable) as blocked:
        control.raise_generation()
    assert f"PUT /{index}/_settings" in blocked.value.mend
    client.indices.put_settings(index=index, settings={"index.blocks.write": None})
    assert control.raise_generation().generation == 2


def test_a_name_that_is_an_alias(client: search.Client, index_prefix: str) -> None:
    """Who moves it would move the fence."""
    client.indices.create(index=f"{index_prefix}-else", aliases={f"{index_prefix}-control": {}})
    control = ControlDocument(client, f"{index_prefix}-control", "test")
    with pytest.raises(Unusable) as caught:
        control.prepare()
    assert "remove the alias" in caught.value.mend


@pytest.mark.parametrize(
    "body",
    [
        {"mappings": {"dynamic": "strict"}},
        {"mappings": {"properties": {"generation": {"type": "date", "format": "yyyy"}}}},
        {"mappings": {"_source": {"enabled": False}}},
        {"mappings": {"_source": {"excludes": ["generation"]}}},
        {"mappings": {"_routing": {"required": True}}},
        {"settings": {"default_pipeline": "there-is-none"}},
    ],
    ids=["strict", "date", "no source", "excluded", "routing", "pipeline"],
)
def test_an_index_that_is_not_as_we_make_it(
    client: search.Client, index_prefix: str, body: dict[str, Any]
) -> None:
    """A template of somebody, say: what is written must be what is read; refused with the mend,
    which heals it."""
    index = f"{index_prefix}-control"
    client.indices.create(
        index=index, mappings=body.get("mappings", {}), settings=body.get("settings", {})
    )
    control = ControlDocument(client, index, "test")
    control.prepare()
    with pytest.raises(Unusable) as caught:
        control.raise_generation()
    assert caught.value.mend or "DELETE /" in str(caught.value)
    assert index in str(caught.value.message)
    client.indices.delete(index=index)
    control.prepare()
    control.accept(control.read())  # as a session does that finds another document
    assert control.raise_generation().generation == 1
