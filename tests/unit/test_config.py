"""The models of the configuration: what agrees and what does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from listener.config import (
    BackoffConfig,
    Config,
    DocumentConfig,
    ElasticsearchConfig,
    KibanaConfig,
    PostgresConfig,
    WatchConfig,
    split_name,
)

WATCH: dict[str, Any] = {"table": "content.film_work", "key": "id"}
DOCUMENT: dict[str, Any] = {
    "index": "movies",
    "index_config_file": "index.json",
    "query_file": "film.sql",
    **WATCH,
    "watch": [WATCH],
}
CONFIG: dict[str, Any] = {
    "pipeline": "movies",
    "postgres": {"dbname": "movies", "user": "listener"},
    "documents": [DOCUMENT],
}


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("film", ("public", "film")),
        ("content.film", ("content", "film")),
        ('"odd.schema".Table', ("odd.schema", "Table")),
        ('"odd.table"', ("public", "odd.table")),
        ('content."a b"', ("content", "a b")),
        ("Mixed.Case", ("Mixed", "Case")),
    ],
)
def test_split_name(name: str, parts: tuple[str, str]) -> None:
    """Case is kept, quotes are for dots."""
    assert split_name(name) == parts


@pytest.mark.parametrize(
    "name", ["", ".", "a.", ".a", "a.b.c", '"a', 'a"b', '"a"b', 'a."b"c', '""']
)
def test_split_name_refuses(name: str) -> None:
    """Empty parts, too many parts, stray quotes."""
    with pytest.raises(ValueError, match=r"write schema\.table|never closed"):
        split_name(name)


def refuse(change: dict[str, Any], message: str) -> None:
    """The whole configuration with one change is refused."""
    with pytest.raises(ValidationError, match=message):
        Config.model_validate({**CONFIG, **change})


def test_the_smallest_configuration() -> None:
    """A model that is made in code looks at no file and leaves paths alone."""
    config = Config.model_validate(CONFIG)
    assert config.state_file_name == Path("state/state.yaml")
    assert config.documents[0].query_file == Path("film.sql")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"documents": []}, "at least 1 item"),
        ({"documents": [DOCUMENT, DOCUMENT]}, "two of them have the index 'movies'"),
        ({"elasticsearch": {"control_index": "movies"}}, "name of elasticsearch.control_index"),
        ({"overlap": 100, "triggers": {"retention": 60}}, "longer than triggers.retention"),
        ({"fetch_delay": "nan"}, "fetch_delay"),
        ({"pipeline": "Movies"}, "pipeline"),
        ({"batch_bytes": 10}, "batch_bytes"),
    ],
)
def test_configurations_that_are_refused(change: dict[str, Any], message: str) -> None:
    """Each with its reason."""
    refuse(change, message)


def test_a_table_is_stamped_and_announced_in_one_way() -> None:
    """Triggers belong to tables: two documents cannot want them differently."""
    other = {**DOCUMENT, "index": "other", "watch": [{**WATCH, "updated_at": "changed"}]}
    refuse({"documents": [DOCUMENT, other]}, "watched twice, with different updated_at or notify")
    other["watch"] = [{**WATCH, "notify": "off"}]
    refuse({"documents": [DOCUMENT, other]}, "watched twice, with different updated_at or notify")
    other["watch"] = [{**WATCH, "columns": "title"}]
    assert len(Config.model_validate({**CONFIG, "documents": [DOCUMENT, other]}).documents) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"watch": []}, "at least 1 item"),
        ({"static": ["a.b.c"]}, "it has 3 parts"),
        ({"static": ["content.film_work"]}, "is watched, so it is not static"),
        ({"key": ["a", "a"]}, "a column stands twice"),
        ({"key": []}, "at least 1 item"),
        ({"key": [""]}, "at least 1 character"),
        ({"key": ["a", "b"]}, "its key has 1 columns, the document's has 2"),
        ({"index": "movies.w1"}, "pattern"),
    ],
)
def test_documents_that_are_refused(change: dict[str, Any], message: str) -> None:
    """Each with its reason."""
    with pytest.raises(ValidationError, match=message):
        DocumentConfig.model_validate({**DOCUMENT, **change})


def test_a_mapping_file_makes_any_key_right() -> None:
    """Only keys that are document ids themselves must have their shape."""
    watch = {**WATCH, "key": ["a", "b"], "mapping_file": "map.sql"}
    assert DocumentConfig.model_validate({**DOCUMENT, "watch": [watch]}).watch[0].key == ("a", "b")


def test_one_name_is_a_list_of_one() -> None:
    """`key: id` is `key: [id]`; a comma is part of a column's name, not a list."""
    watch = WatchConfig.model_validate({**WATCH, "key": "a,b", "columns": "title"})
    assert watch.key == ("a,b",)
    assert watch.columns == ("title",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"host": "a,b", "port": "1,2,3"}, "2 hosts but 3 ports"),
        ({"port": 0}, "greater than or equal to 1"),
        ({"port": 65536}, "less than or equal to 65535"),
        ({"password": "x", "password_file": "y"}, "not both"),
        ({"schema": "Listener"}, "pattern"),
        ({"connect_timeout": 1}, "greater than or equal to 2"),
    ],
)
def test_postgres_refuses(options: dict[str, Any], message: str) -> None:
    """Each with its reason."""
    with pytest.raises(ValidationError, match=message):
        PostgresConfig.model_validate({"dbname": "d", "user": "u", **options})


def test_postgres_lists() -> None:
    """Hosts and ports as lists, as one text with commas, as one value."""
    base = {"dbname": "d", "user": "u"}
    for host, port in ((["a", "b"], [1, 2]), ("a, b", "1,2")):
        config = PostgresConfig.model_validate({**base, "host": host, "port": port})
        assert (config.host, config.port) == (("a", "b"), (1, 2))
    assert PostgresConfig.model_validate({**base, "port": 5433}).port == (5433,)
    assert PostgresConfig.model_validate({**base, "sslrootcert": "system"}).sslrootcert == "system"


FINGERPRINT = "ab" * 32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"urls": "localhost:9200"}, "starts with http:// or https://"),
        ({"urls": "http://"}, "names a host"),
        ({"urls": "http://[::1"}, "not valid"),
        ({"urls": "http://a:x"}, "not valid"),
        ({"urls": "http://a"}, "write the port into the URL: http://a:PORT"),
        ({"urls": "http://a:1,http://u:p@b:1"}, "not into the URL"),
        ({"urls": "http://u:12#p@b:1"}, "has no @"),
        ({"urls": "http://u:12?p@b:1"}, "has no @"),
        ({"urls": "http://u:12/p@b:1"}, "has no @"),
        ({"urls": "http://u:12\\p@b:1"}, "not into the URL"),
        ({"urls": "http://u/p@b:1"}, "has no @"),
        ({"urls": "http://a:1?x=y"}, "has no @"),
        ({"urls": ""}, "at least 1 item"),
        ({"user": "u"}, "give both user and password"),
        ({"password": "p"}, "give both user and password"),
        ({"user": "u", "password": "p", "password_file": "f"}, "not both"),
        ({"user": "a:b", "password": "p"}, "a user's name has no colon"),
        ({"api_key": "k", "api_key_file": "f"}, "not both"),
        ({"api_key": "k", "user": "u"}, "not both"),
        ({"api_key": "k", "password": "p"}, "not both"),
        ({"ca_certs": "f"}, "for urls that start with https://"),
        ({"fingerprint": "ab", "urls": "https://a:1"}, "pattern"),
        ({"fingerprint": FINGERPRINT, "ca_certs": "f", "urls": "https://a:1"}, "not both"),
        ({"request_timeout": "inf"}, "finite"),
    ],
)
def test_elasticsearch_refuses(options: dict[str, Any], message: str) -> None:
    """Each with its reason."""
    with pytest.raises(ValidationError, match=message):
        ElasticsearchConfig.model_validate(options)


def test_elasticsearch_accepts() -> None:
    """An empty user and password count as none; a fingerprint may have colons."""
    config = ElasticsearchConfig.model_validate(
        {
            "urls": "https://a:1",
            "user": "",
            "password": "",
            "fingerprint": ":".join(["AB"] * 32),
        }
    )
    assert (config.user, config.password, config.fingerprint) == (None, None, FINGERPRINT)


def test_kibana() -> None:
    """Behind a proxy its URL has a path and no port."""
    assert KibanaConfig(url="https://example.org/kibana/").url == "https://example.org/kibana"
    with pytest.raises(ValidationError, match="not into the URL"):
        KibanaConfig(url="http://u:p@example.org")


def test_backoff() -> None:
    """The first wait is not longer than the longest."""
    with pytest.raises(ValidationError, match="start is above limit"):
        BackoffConfig(start=4)


def test_no_secret_is_shown() -> None:
    """Neither by repr nor by an error."""
    config = PostgresConfig.model_validate({"dbname": "d", "user": "u", "password": "hunter2"})
    assert "hunter2" not in repr(config)
    with pytest.raises(ValidationError) as caught:
        PostgresConfig.model_validate({"dbname": [], "user": "u", "password": "hunter2"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("host", "postgresql://u:hunter2@db/movies"),
        ("host", "u:hunter2@db"),
        ("host", ["db", "host=db password=hunter2"]),
        ("host", "/tmp password=hunter2"),
        ("dbname", "postgres://u:hunter2@db/movies"),
        ("dbname", "host=db password=hunter2"),
        ("dbname", "hunter2@db/movies"),
        ("dbname", "u:hunter2@db"),
        ("user", "u password=hunter2"),
        ("user", "u:hunter2@db"),
        ("user", "postgresql://u:hunter2@db"),
    ],
)
def test_a_connection_string_in_the_place_of_a_name(option: str, value: object) -> None:
    """PostgreSQL would repeat it in its messages. It is refused and not shown."""
    with pytest.raises(ValidationError, match="write host, port, dbname, user and pass") as caught:
        PostgresConfig.model_validate({"dbname": "d", "user": "u", option: value})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("host", ("db.example.org", "::1", "/var/run/postgresql", "@socket")),
        ("dbname", "film database: 2"),
        ("dbname", "me@work"),
        ("user", "me@example.org"),
        ("user", "svc:listener"),
    ],
)
def test_names_that_may_look_odd(option: str, value: object) -> None:
    """They are names, and no log-in."""
    config = PostgresConfig.model_validate({"dbname": "d", "user": "u", option: value})
    assert getattr(config, option) == value
