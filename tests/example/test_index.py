"""The mapping of the example against its documents, and what a search finds."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from elasticsearch import Elasticsearch

from playground.search import SearchServer
from tests.example.queries import documents, index_config
from tests.kit.servers import revive

TITLES = {
    "1": "Run Lola Run",
    "2": "Человек с киноаппаратом",  # noqa: RUF001 - it is Russian
    "3": "It",
    "4": "The Third Man's",
}


def fields(value: Any, prefix: str = "") -> set[str]:
    """The paths of all fields of a document."""
    if isinstance(value, list):
        return {path for one in value for path in fields(one, prefix)}
    if isinstance(value, dict):
        return {
            path
            for name, one in value.items()
            for path in {prefix + name} | fields(one, f"{prefix}{name}.")
        }
    return set()


def mapped_fields(properties: dict[str, Any], prefix: str = "") -> set[str]:
    """The paths of all fields of a mapping."""
    return {
        path
        for name, one in properties.items()
        for path in {prefix + name} | mapped_fields(one.get("properties", {}), f"{prefix}{name}.")
    }


@pytest.fixture(scope="module")
def index(search_server: SearchServer) -> Iterator[str]:
    """The name of an index of the example's making that holds a few titles."""
    revive(search_server)
    name = f"example-{secrets.token_hex(5)}"
    config = index_config()
    with Elasticsearch(search_server.url) as client:
        client.indices.create(index=name, settings=config["settings"], mappings=config["mappings"])
        for number, title in TITLES.items():
            client.index(index=name, id=number, document={"title": title})
        client.indices.refresh(index=name)
        yield name
        client.indices.delete(index=name)


@pytest.fixture
def client(search_server: SearchServer) -> Iterator[Elasticsearch]:
    """A client of Elasticsearch."""
    revive(search_server)
    with Elasticsearch(search_server.url) as client:
        yield client


@pytest.fixture
def full_document(connection: psycopg.Connection[tuple[Any, ...]]) -> dict[str, Any]:
    """A document with something in each of its fields."""
    row = connection.execute(
        "SELECT film_work_id FROM content.person_film_work"
        " JOIN content.genre_film_work USING (film_work_id) LIMIT 1"
    ).fetchone()
    assert row is not None
    connection.execute(
        "INSERT INTO content.person_film_work (film_work_id, person_id, role)"
        " SELECT %s, id, role FROM (SELECT id FROM content.person LIMIT 1) AS anybody,"
        " unnest(ARRAY['writer', 'director']) AS role",
        row,
    )
    connection.execute("UPDATE content.film_work SET rating = 7.5 WHERE id = %s", row)
    return documents(connection, row)[row[0]]


def search(client: Elasticsearch, index: str, query: dict[str, Any]) -> set[str]:
    """The ids that a query finds."""
    return {hit["_id"] for hit in client.search(index=index, query=query)["hits"]["hits"]}


def test_document_and_mapping_have_the_same_fields(full_document: dict[str, Any]) -> None:
    """No field is missing on either side, nested ones included."""
    mappings = index_config()["mappings"]
    assert mappings["dynamic"] == "strict"
    assert fields(full_document) == mapped_fields(mappings["properties"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [("running", "1"), ("run", "1"), ("человека", "2"), ("ЛЮДИ человеком", "2"), ("it", "3")],
)
def test_words_are_found_in_another_form(
    client: Elasticsearch, index: str, text: str, expected: str
) -> None:
    """English and Russian words are stemmed, and a title of a stop word is found too."""
    assert search(client, index, {"match": {"title": text}}) == {expected}


def test_whole_titles_are_found_as_they_are(client: Elasticsearch, index: str) -> None:
    """The keyword beside the text knows the title letter by letter."""
    assert search(client, index, {"term": {"title.keyword": "Run Lola Run"}}) == {"1"}
    assert search(client, index, {"term": {"title.keyword": "run lola run"}}) == set()


def test_a_real_document_is_taken(
    client: Elasticsearch, index: str, full_document: dict[str, Any]
) -> None:
    """The server accepts the query's document; its nested and flat fields answer."""
    film_id = full_document["id"]
    client.index(index=index, id=film_id, document=full_document, refresh=True)
    try:
        actor = full_document["actors"][0]
        for query in (
            {"term": {"genres": full_document["genres"][0]}},
            {"term": {"actors_names": actor["name"]}},
            {"nested": {"path": "actors", "query": {"term": {"actors.id": actor["id"]}}}},
            {"range": {"rating": {"gte": 7.5, "lte": 7.5}}},
            {"term": {"creation_date": full_document["creation_date"]}},
            {"range": {"updated_at": {"gte": full_document["updated_at"]}}},
        ):
            assert search(client, index, query) == {film_id}, query
    finally:
        client.delete(index=index, id=film_id, refresh=True)
