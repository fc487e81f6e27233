"""The checks of Elasticsearch and OpenSearch, on real servers; log-ins against a stub."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import elastic_transport
import pytest

from listener.checks import Finding, check_search
from listener.config import Config
from listener.documents.causes import Causes
from listener.search import connect, scratch, sink
from listener.search.bulk import Document
from listener.search.index_config import read_config
from listener.search.indexes import Indexes
from listener.search.owners import Owner
from listener.search.verdicts import Outcome
from listener.search.write_aliases import patterns
from playground import blueprint
from playground.search import SearchServer
from tests.kit.lengths import one_short
from tests.kit.servers import own_search

GOOD = {
    "settings": {"number_of_replicas": 0, "analysis": {"analyzer": {"a": {"type": "english"}}}},
    "mappings": {
        "dynamic": "strict",
        "properties": {"title": {"type": "text", "analyzer": "a"}, "updated_at": {"type": "date"}},
    },
}


def config(folder: Path, url: str, alias: str, body: object = GOOD, **options: Any) -> Config:
    """One document with this index_config.json."""
    path = folder / "index.json"
    path.write_text(body if isinstance(body, str) else json.dumps(body))
    watch = {"table": "t", "key": "id"}
    document = {"index": alias, "index_config_file": path, "query_file": "x", "watch": [watch]}
    return Config.model_validate(
        {
            "pipeline": "p",
            "postgres": {"dbname": "d", "user": "u"},
            "elasticsearch": {"urls": url, **options},
            "documents": [{**document, **watch}],
        }
    )


def check(settings: Config) -> list[Finding]:
    """All findings of this configuration."""
    with connect(settings.elasticsearch) as client:
        return check_search(client, settings)


def only(found: list[Finding], severity: str, what: str, mend: str = "") -> None:
    """There is one finding, and it says this."""
    assert len(found) == 1, found
    assert found[0].severity == severity
    assert what in found[0].what
    assert mend in found[0].mend


def put(server: SearchServer, path: str, body: object) -> None:
    """Put something that must be taken."""
    status, answer = server.request("PUT", path, body)
    assert status == 200, answer


def scenario(server: SearchServer, folder: Path, prefix: str) -> None:
    """What every server must answer in the same way."""

    def found(alias: str = f"{prefix}-films", body: object = GOOD) -> list[Finding]:
        return check(config(folder, server.url, alias, body))

    assert found() == []
    assert server.request("GET", f"/{prefix}*")[1] in ({}, []), "checking has made something"

    broken: dict[str, Any] = {"mappings": {"properties": {"a": {"type": "keywrd"}}}}
    only(found(body=broken), "error", "the server does not take it: ", "")
    assert "keywrd" in found(body=broken)[0].what
    broken = {"mappings": {"properties": {"a": {"type": "text", "analyzer": "nobody"}}}}
    assert "nobody" in found(body=broken)[0].what
    broken = {"mappings": {}, "settings": {"number_of_shrads": 1}}
    assert "number_of_shrads" in found(body=broken)[0].what

    put(server, f"/{prefix}-taken", {})
    only(
        found(f"{prefix}-taken"), "error", f"{prefix}-taken is the name of an index", "remove_index"
    )
    put(server, f"/{prefix}-taken/_alias/{prefix}-alias", {})
    assert found(f"{prefix}-alias") == []
    for more in ({"filter": {"term": {"a": "b"}}}, {"routing": "1"}):
        put(server, f"/{prefix}-taken/_alias/{prefix}-alias", more)
        hidden = f"the alias {prefix}-alias has {{"
        only(found(f"{prefix}-alias"), "warning", hidden, "POST /_aliases")
    put(server, f"/{prefix}-taken/_alias/{prefix}-alias", {"index_routing": "1"})
    assert found(f"{prefix}-alias") == []

    put(
        server,
        f"/_index_template/{prefix}-composable",
        {"index_patterns": [f"{prefix}-fil*"], "priority": 7, "template": {}},
    )
    only(
        found(), "warning", f"the template {prefix}-composable ({prefix}-fil*) would add", "narrow"
    )
    assert found(f"{prefix}-other") == []
    server.request("DELETE", f"/_index_template/{prefix}-composable")
    put(server, f"/_template/{prefix}-legacy", {"index_patterns": [f"{prefix}-films-*"]})
    only(found(), "warning", f"the template {prefix}-legacy ({prefix}-films-*)")
    server.request("DELETE", f"/_template/{prefix}-legacy")


def trial(server: SearchServer, folder: Path, prefix: str) -> None:
    """As `preview` and the sample of `check` do: documents are tried in a scratch index, and what
    it refuses is told with the line that mends it, in whatever words the server has."""
    settings = config(folder, server.url, f"{prefix}-films")
    read = read_config(settings.documents[0].index_config_file)
    tried = {
        "good": {"title": "a", "updated_at": "2026-01-31"},
        "type": {"updated_at": "n/a"},
        "lacking": {"title": "a", "length": 90},
    }
    mends = {
        "type": 'of the type date; or in the mapping: "updated_at": {"type": "keyword"}',
        "lacking": 'mappings.properties: "length": {"type": "long"}; or leave it out',
    }
    owner = Owner("p", None)
    with connect(settings.elasticsearch) as client:
        made = scratch.make(client, owner, scratch.new_name(f"{prefix}-films"), read)
        bodies = [Document((one,), one, json.dumps(body).encode()) for one, body in tried.items()]
        sent = sink.send(client, bodies, made.target, 1)
        causes = Causes()
        for one, verdict in zip(bodies, sent.verdicts, strict=True):
            if verdict.outcome is not Outcome.DONE:
                assert verdict.outcome is Outcome.PARK, verdict
                causes.add(one.id, verdict.reason, document=tried[one.id])
        assert {one.ids[0]: one.mend for one in causes.all()}.keys() == mends.keys()
        for cause in causes.all():
            assert mends[cause.ids[0]] in cause.mend, cause
        assert scratch.differing(client, made, made.like, read) == []
        assert [name for name, _ in scratch.left(client, owner, f"{prefix}-films")] == [made.name]
        scratch.drop(client, made.name)
        assert not list(scratch.left(client, owner, f"{prefix}-films"))


def test_elasticsearch_8(search_server: SearchServer, index_prefix: str, tmp_path: Path) -> None:
    """The server that all tests share."""
    scenario(search_server, tmp_path, index_prefix)
    trial(search_server, tmp_path, index_prefix)


@pytest.mark.parametrize(
    "name", one_short([name for name in blueprint.names() if name != "es8"], "os3")
)
def test_other_servers(name: str, tmp_path: Path) -> None:
    """Elasticsearch 7.17 and 9, OpenSearch 2 and 3."""
    with own_search(name) as server:
        scenario(server, tmp_path, "test")
        trial(server, tmp_path, "test")
        if server.blueprint.product == "opensearch":  # Elasticsearch has them in a module
            data_stream(server, tmp_path)


def test_data_streams(search_server: SearchServer, index_prefix: str, tmp_path: Path) -> None:
    """A template of data streams lets no index be made."""
    put(
        search_server,
        f"/_index_template/{index_prefix}-streams",
        {"index_patterns": [f"{index_prefix}-logs*"], "priority": 7, "data_stream": {}},
    )
    settings = config(tmp_path, search_server.url, f"{index_prefix}-logs")
    only(check(settings), "error", "makes everything called", "another documents[].index")


def data_stream(server: SearchServer, folder: Path) -> None:
    """The name of a data stream is taken too."""
    pattern = {"index_patterns": ["logs-*"], "priority": 7, "data_stream": {}}
    put(server, "/_index_template/logs", pattern)
    put(server, "/_data_stream/logs-a", None)
    taken, unusable = check(config(folder, server.url, "logs-a"))
    assert "logs-a is the name of a data stream" in taken.what
    assert taken.mend.endswith("DELETE /_data_stream/logs-a")
    assert "a data stream: no index of logs-a could be made" in unusable.what


def test_names_that_are_taken(
    search_server: SearchServer, index_prefix: str, tmp_path: Path
) -> None:
    """What other programs call as write aliases are called is named; all else is theirs."""
    alias = f"{index_prefix}-app"
    for name in (f"{alias}.web", f"{alias}.logs-1", f"{alias}.w1x", f"{index_prefix}-data"):
        put(search_server, f"/{name}", {})
    for name in (f"{alias}.live", f"{alias}.l7", f"{alias}.w2b"):
        put(search_server, f"/{index_prefix}-data/_alias/{name}", {})
    put(search_server, f"/{alias}-1", {"aliases": {f"{alias}.w4": {}}})
    body = {"index_patterns": [f"{alias}.l2-*", f"{alias}.l-*"], "priority": 7, "template": {}}
    put(search_server, f"/_index_template/{index_prefix}-theirs", body)
    found = check(config(tmp_path, search_server.url, alias))
    assert {one.severity for one in found} == {"warning"}
    assert [one.what.split(" is called")[0] for one in found] == [
        f"what the template {index_prefix}-theirs is for ({alias}.l2-*)",
        f"the alias {alias}.l7",
        f"the index {alias}.w1x",
        f"the alias {alias}.w2b",
    ]
    assert f"does not begin with {alias}.w or {alias}.l and a digit" in found[0].mend


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"index.blocks.read": True}, "blocks.read: no search"),
        (
            {"index.number_of_replicas": 1, "index.write.wait_for_active_shards": "all"},
            "write.wait_for_active_shards: it asks for 2 copies, and 1 are active",
        ),
        ({"index.translog.durability": "async"}, "translog.durability: a crash"),
    ],
)
def test_an_index_in_use_that_is_hindered(
    search_server: SearchServer,
    index_prefix: str,
    tmp_path: Path,
    settings: dict[str, Any],
    says: str,
) -> None:
    """By a setting that no load is made for. It is named, with the request that takes it back;
    durability of the index in use is a load's."""
    control, index = f"{index_prefix}-control", f"{index_prefix}-films-1"
    shards = {"number_of_shards": 1, "number_of_replicas": 0}
    put(search_server, f"/{control}", {"settings": shards})
    put(search_server, f"/{index}", {"settings": shards, "aliases": {f"{index_prefix}-films": {}}})
    alias = f"{index_prefix}-films"
    one = config(tmp_path, search_server.url, alias, control_index=control)
    assert check(one) == []
    for name in (index, control):
        put(search_server, f"/{name}/_settings", settings)
        if name == control or "index.translog.durability" not in settings:
            only(check(one), "warning", f"{name} has the setting {says}", f"PUT /{name}/_settings ")
        put(search_server, f"/{name}/_settings", dict.fromkeys(settings))


def test_a_red_cluster(search_server: SearchServer, index_prefix: str, tmp_path: Path) -> None:
    """A warning: it is somebody's, and we may well work."""
    nowhere = {"settings": {"index.routing.allocation.require._name": "nobody"}}
    put(search_server, f"/{index_prefix}-red?wait_for_active_shards=0", nowhere)
    found = check(config(tmp_path, search_server.url, f"{index_prefix}-films"))
    only(found, "warning", "is red: 2 shards are missing", "allocation/explain")


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("{", "line 1: it is no JSON"),
        ('{"mappings": {"properties": {"a": {}, "a": {}}}}', "it is no JSON: `a` stands twice"),
        ({"settings": {}}, "it has no `mappings`: write"),
        (
            {"mapping": {}},
            "besides `settings` and `mappings` it has `mapping`; did you mean `mappings`?",
        ),
        (
            {"properties": {}},
            "besides `settings` and `mappings` it has `properties`: write `properties` inside",
        ),
        ("[]", "it is no object with `settings` and `mappings`"),
        ({"mappings": []}, "it is no object with `settings` and `mappings`"),
        ({"mappings": {}, "aliases": {}}, "besides `settings` and `mappings` it has `aliases`"),
        ({"mappings": {"dynamic": True}}, "mappings.dynamic is true"),
        ({"mappings": {"dynamic": False}}, "mappings.dynamic is false"),
        (
            {"mappings": {"properties": {"a": {"type": "nested", "dynamic": "runtime"}}}},
            'mappings.properties.a.dynamic is "runtime"',
        ),
    ],
)
def test_index_configurations_that_are_refused(
    search_server: SearchServer, index_prefix: str, tmp_path: Path, body: object, what: str
) -> None:
    """Before a server is asked."""
    found = check(config(tmp_path, search_server.url, f"{index_prefix}-films", body))
    only(found, "error", f"{tmp_path}/index.json: {what}")


def test_the_example_s_mapping(search_server: SearchServer, tmp_path: Path) -> None:
    """index_config.json of the movies has no fault."""
    text = (Path(__file__).parents[2] / "sql/movies/index_config.json").read_text()
    assert check(config(tmp_path, search_server.url, "movies", text)) == []


def test_nobody_answers(tmp_path: Path) -> None:
    """That is no finding: it is waited for."""
    with pytest.raises(elastic_transport.ConnectionError):
        check(config(tmp_path, "http://127.0.0.1:9", "films"))


Answers = dict[tuple[str, str], tuple[int, object]]


@contextmanager
def stub(answers: Answers) -> Iterator[str]:
    """A server that gives these answers by method and first path segments, else {}."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            """Be silent."""

        def answer(self) -> None:
            """Look the answer up."""
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            path = self.path.split("?")[0]
            chosen = [
                value
                for (method, start), value in answers.items()
                if method == self.command and (path == start or path.startswith(start + "/"))
            ]
            status, body = chosen[0] if chosen else (200, {})
            raw = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("X-Elastic-Product", "Elasticsearch")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = do_HEAD = answer

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def version(number: str, **more: str) -> Answers:
    """The answer to who it is, and a healthy cluster."""
    return {
        ("GET", "/_cluster/health"): (200, {"status": "green", "cluster_name": "c"}),
        ("GET", "/_resolve"): (200, {"indices": [], "aliases": [], "data_streams": []}),
        ("GET", "/_index_template"): (200, {"index_templates": []}),
        ("GET", "/_template"): (200, {}),
        ("POST", "/_index_template"): (200, {"template": {}}),
        ("POST", "/_security"): (400, {"error": "no handler found"}),
        ("GET", "/"): (200, {"version": {"number": number, **more}}),
    }


@pytest.mark.parametrize(
    ("number", "more", "severity", "what"),
    [
        ("7.16.3", {}, "error", "elasticsearch 7.16.3 is not supported"),
        ("6.8.0", {}, "error", "elasticsearch 6.8.0 is not supported"),
        ("7.17.0", {}, "", ""),
        ("8.0.0-SNAPSHOT", {}, "", ""),
        ("9.2.0", {}, "", ""),
        ("10.0.0", {}, "warning", "elasticsearch 10.0.0 is newer than what was tested"),
        ("1.3.0", {"distribution": "opensearch"}, "error", "opensearch 1.3.0 is not supported"),
        ("2.19.2", {"distribution": "opensearch"}, "", ""),
        ("3.2.0", {"distribution": "opensearch"}, "", ""),
        ("8.0.0", {"distribution": "other"}, "error", "other 8.0.0 is not supported"),
        ("odd", {}, "error", "elasticsearch odd is not supported"),
    ],
)
def test_versions(
    tmp_path: Path, number: str, more: dict[str, str], severity: str, what: str
) -> None:
    """Those that were tested are taken, older ones refused, newer ones named."""
    with stub(version(number, **more)) as url:
        found = check(config(tmp_path, url, "films"))
    if severity:
        only(found, severity, what, "Elasticsearch 7.17, 8 or 9, or OpenSearch 2 or 3")
    else:
        assert found == []


def refusal(reason: str) -> dict[str, Any]:
    """Elasticsearch's form of an error."""
    return {"error": {"type": "security_exception", "reason": reason}}


def test_a_refused_log_in(tmp_path: Path) -> None:
    """Said once."""
    refused = (401, refusal("missing authentication credentials"))
    with stub({("GET", "/"): refused, ("POST", "/"): refused}) as url:
        found = check(config(tmp_path, url, "films", user="u", password="hunter2"))
    only(found, "error", "may not read the version: 401 security_exception: missing", "api_key")
    assert "hunter2" not in str(found)


def test_missing_privileges(tmp_path: Path) -> None:
    """Asked for by name where there is security, with the role that has them."""
    lacking = {
        "username": "u",
        "has_all_requested": False,
        "cluster": {"monitor": True, "manage_index_templates": False},
        "index": {"films": {"read": True, "write": False}, "films-*": {"manage": False}},
    }
    denied = (403, refusal("action [indices:admin/index_template/get] is unauthorized"))
    answers = {
        ("POST", "/_security/user/_has_privileges"): (200, lacking),
        ("GET", "/_index_template"): denied,
        **version("8.19.0"),
    }
    answers[("GET", "/_index_template")] = denied
    with stub(answers) as url:
        found = check(config(tmp_path, url, "films"))
    assert [one.severity for one in found] == ["error", "error"]
    assert found[0].what == (
        "the user u lacks the privileges manage_index_templates, manage on films-*, write on films"
    )
    assert found[0].mend.startswith("PUT /_security/role/listener {")
    assert "may not read the index templates: 403 security_exception: action" in found[1].what
    assert "manage_index_templates" in found[1].mend


def test_all_privileges(tmp_path: Path) -> None:
    """Nothing to say."""
    answers = {
        ("POST", "/_security/user/_has_privileges"): (200, {"has_all_requested": True}),
        **version("8.19.0"),
    }
    with stub(answers) as url:
        assert check(config(tmp_path, url, "films")) == []


def test_an_index_whose_metadata_is_blocked(
    search_server: SearchServer, index_prefix: str, tmp_path: Path
) -> None:
    """Of somebody else it is no concern of ours; of ours it is named with what lifts it, and is no
    lack of rights."""
    alias, theirs = f"{index_prefix}-t", f"{index_prefix}-theirs"
    settings = config(tmp_path, search_server.url, alias)
    client = connect(settings.elasticsearch)
    indexes = Indexes(client, "p")

    def block(index: str, value: bool | None) -> None:
        client.indices.put_settings(index=index, settings={"index.blocks.metadata": value})

    client.indices.create(index=theirs, aliases={f"{index_prefix}-other": {}})
    block(theirs, True)
    try:
        assert check(settings) == []
        assert (indexes.aliases(alias), indexes.aliases(*patterns(alias))) == ({}, {})
        client.indices.create(
            index=f"{alias}-1", aliases={f"{alias}.w1": {"filter": {"match_all": {}}}}
        )
        assert check(settings) == []
        assert indexes.aliases(*patterns(alias)) == {f"{alias}.w1": [f"{alias}-1"]}
        assert indexes.astray(alias, {f"{alias}.w1": f"{alias}-1"}) is not None
        block(f"{alias}-1", True)
        found = check(settings)
        assert found
        for one in found:
            assert f"index [{alias}-1] blocked by" in one.what
            assert one.mend == f'PUT /{alias}-1/_settings {{"index.blocks.metadata": null}}'
    finally:
        for name in (theirs, f"{alias}-1"):
            client.options(ignore_status=404).indices.put_settings(
                index=name, settings={"index.blocks.metadata": None}
            )
        client.close()
