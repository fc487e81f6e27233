"""Kibana's data views, against a stub that checks what the documented API asks for."""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from listener.cli.kibana import ensure
from listener.config import Config
from listener.runtime.lifecycle import Stop
from listener.search.kibana import Kibana, KibanaAway, KibanaError, data_views

PATH = "/api/data_views/data_view"


class StubKibana(ThreadingHTTPServer):
    """Keeps data views like Kibana; `starting` answers are 503 first."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.base = ""
        self.views: dict[str, dict[str, Any]] = {}
        self.starting = 0
        self.authorization: str | None = None
        self.requests: list[str] = []
        self.answer: tuple[int, bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}{self.base}"


class Handler(BaseHTTPRequestHandler):
    """Answers as the API's documentation says."""

    server: StubKibana

    def log_message(self, format: str, *args: Any) -> None:
        """Be silent."""

    def reply(self, status: int, body: bytes, content_type: str = "application/json") -> None:
        """Send one answer."""
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if status == 302:
            self.send_header("Location", "/login")
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, status: int, message: str) -> None:
        """Kibana's form of an error."""
        self.reply(status, json.dumps({"statusCode": status, "message": message}).encode())

    def admitted(self) -> bool:
        """Whether the request gets as far as the data views."""
        server = self.server
        server.requests.append(f"{self.command} {self.path}")
        if self.path == "/login":  # where a redirect leads
            self.reply(200, b"{}")
            return False
        if server.starting > 0:
            server.starting -= 1
            self.reply(503, b"Kibana server is not ready yet", "text/plain")
        elif server.answer is not None:
            self.reply(*server.answer)
        elif self.headers["Authorization"] != server.authorization:
            self.refuse(401, "missing authentication credentials")
        elif not self.path.startswith(server.base + PATH):
            self.refuse(404, "Not Found")
        else:
            return True
        return False

    def do_GET(self) -> None:
        """One data view."""
        if not self.admitted():
            return
        view = self.server.views.get(self.path.removeprefix(self.server.base + PATH + "/"))
        if view is None:
            self.refuse(404, "Saved object [index-pattern/x] not found")
        else:
            self.reply(200, json.dumps({"data_view": view}).encode())

    def do_POST(self) -> None:
        """Make a data view."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.admitted():
            return
        if not self.headers["kbn-xsrf"]:
            self.refuse(400, "Request must contain a kbn-xsrf header.")
            return
        assert self.headers["Content-Type"] == "application/json"
        request = json.loads(body)
        assert set(request) == {"data_view", "override"}
        view = request["data_view"]
        known = {"id", "title", "name", "allowNoIndex", "timeFieldName"}
        assert {"id", "title"} <= set(view) <= known
        names = {one["name"] for one in self.server.views.values()}
        if view["name"] in names and not request["override"]:
            self.refuse(400, f"Duplicate data view: {view['name']}")
            return
        self.server.views[view["id"]] = view
        self.reply(200, json.dumps({"data_view": view}).encode())


@pytest.fixture
def stub() -> Iterator[StubKibana]:
    """A running stub."""
    with StubKibana() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def config(
    folder: Path, url: str, elasticsearch: dict[str, Any] | None = None, **kibana: Any
) -> Config:
    """Two documents: films have a date `updated_at`, codes have not."""
    dated = {"mappings": {"properties": {"updated_at": {"type": "date"}, "a": {"type": "object"}}}}
    (folder / "films.json").write_text(json.dumps(dated))
    (folder / "codes.json").write_text('{"mappings": {"dynamic": "strict"}}')
    watch = {"table": "t", "key": "id"}
    documents = [
        {
            "index": name,
            "index_config_file": folder / f"{name}.json",
            "query_file": "x",
            "watch": [watch],
            **watch,
        }
        for name in ("films", "codes")
    ]
    return Config.model_validate(
        {
            "pipeline": "p",
            "postgres": {"dbname": "d", "user": "u"},
            "elasticsearch": elasticsearch or {},
            "kibana": {"url": url, **kibana},
            "backoff": {"start": 0.01, "limit": 0.02},
            "documents": documents,
        }
    )


def test_each_document_gets_a_data_view(stub: StubKibana, tmp_path: Path) -> None:
    """Made once, with the time field where the index has it, and left alone afterwards."""
    settings = config(tmp_path, stub.url)
    assert ensure(settings, Stop()) == 0
    assert stub.views == {
        "listener-films": {
            "id": "listener-films",
            "title": "films",
            "name": "films",
            "allowNoIndex": True,
            "timeFieldName": "updated_at",
        },
        "listener-codes": {
            "id": "listener-codes",
            "title": "codes",
            "name": "codes",
            "allowNoIndex": True,
        },
    }
    stub.views["listener-films"]["fieldFormats"] = {"rating": {"id": "number"}}
    stub.requests.clear()
    assert ensure(settings, Stop()) == 0
    assert "fieldFormats" in stub.views["listener-films"]
    assert stub.requests == [f"GET {PATH}/listener-films", f"GET {PATH}/listener-codes"]


def test_no_time_field(stub: StubKibana, tmp_path: Path) -> None:
    """By option, or because the mapping has it as something else."""
    for field in (None, "a", "a.b", "nowhere"):
        views = data_views(config(tmp_path, stub.url, time_field=field))
        assert [one.time_field for one in views] == [None, None]


def test_it_waits_for_kibana(
    stub: StubKibana, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """503 while it starts; each wait is told."""
    stub.starting = 3
    assert ensure(config(tmp_path, stub.url), Stop()) == 0
    assert len(stub.views) == 2
    told = capsys.readouterr()
    assert told.err.count("503 Kibana is not ready yet") == 3
    assert told.out.splitlines() == [
        "data view films: made, time field updated_at",
        "data view codes: made",
    ]


def test_it_gives_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody listens there: 3, with the address and the last error."""
    server = StubKibana()
    url = server.url
    server.server_close()
    assert ensure(config(tmp_path, url), Stop(), timeout=0.1) == 3
    assert f"Kibana at {url} did not answer within 0.1 s" in capsys.readouterr().err


def test_stop_ends_the_waiting(stub: StubKibana, tmp_path: Path) -> None:
    """At once, whatever the timeout is."""
    stub.starting = 1_000_000
    stop = Stop()
    stop.request()
    assert ensure(config(tmp_path, stub.url), stop, timeout=3600) == 3


def test_a_view_of_that_name_made_by_hand_is_left(stub: StubKibana, tmp_path: Path) -> None:
    """Kibana calls it a duplicate; nothing is overridden."""
    stub.views["abc"] = {"id": "abc", "name": "films", "title": "films*"}
    assert ensure(config(tmp_path, stub.url), Stop()) == 0
    assert stub.views["abc"]["title"] == "films*"
    assert set(stub.views) == {"abc", "listener-codes"}


@pytest.mark.parametrize("from_file", [False, True])
@pytest.mark.parametrize(
    ("kind", "secret"),
    [("password", "pä:ss"), ("api_key", "aWQ6a2V5"), ("api_key", "id:key")],
)
def test_log_in(stub: StubKibana, tmp_path: Path, kind: str, secret: str, from_file: bool) -> None:
    """As the elasticsearch section says, for which an API key may be encoded or not."""
    (tmp_path / "secret").write_text(f"{secret}\n")
    value = {kind: secret}
    if from_file:
        value = {f"{name}_file": str(tmp_path / "secret") for name in value}
    if kind == "password":
        value["user"] = "elastic"
        stub.authorization = "Basic " + base64.b64encode("elastic:pä:ss".encode()).decode()
    else:
        stub.authorization = "ApiKey aWQ6a2V5"
    assert ensure(config(tmp_path, stub.url, value), Stop()) == 0
    assert len(stub.views) == 2


def test_a_refused_log_in_is_said_at_once(
    stub: StubKibana, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is not waited for, and no secret is shown."""
    stub.authorization = "ApiKey other"
    assert ensure(config(tmp_path, stub.url, {"api_key": "hunter2"}), Stop(), timeout=3600) == 2
    shown = capsys.readouterr()
    assert "refuses the log-in of the elasticsearch section: 401 missing" in shown.err
    assert "hunter2" not in shown.out + shown.err


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((200, b"<html>"), "answers 200 without JSON: is this Kibana?"),
        ((200, b"[]"), "answers 200 without JSON"),
        ((302, b""), r"redirects \(302\): give kibana.url its full path"),
        ((404, b'{"message": "Not Found"}'), "no data view API .Kibana 8.1"),
        ((500, b'{"message": "odd"}'), "refuses the data view films: 500 odd"),
    ],
)
def test_what_is_no_kibana(
    stub: StubKibana, tmp_path: Path, answer: tuple[int, bytes], message: str
) -> None:
    """Said with what to do."""
    stub.answer = answer
    settings = config(tmp_path, stub.url)
    view = data_views(settings)[0]
    with pytest.raises(KibanaError, match=message):
        Kibana(settings.kibana.url, settings.elasticsearch).ensure(view)


def test_a_connection_that_breaks_off_is_tried_again(stub: StubKibana, tmp_path: Path) -> None:
    """An answer that ends too early is no refusal."""
    settings = config(tmp_path, stub.url)
    view = data_views(settings)[0]

    def cut(self: Handler) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        self.close_connection = True

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Handler, "do_GET", cut)
        with pytest.raises(KibanaAway):
            Kibana(settings.kibana.url, settings.elasticsearch).ensure(view)


def test_behind_a_base_path_and_past_a_proxy(
    stub: StubKibana, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`server.basePath` is part of the URL; proxies of the environment are for other traffic."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    stub.base = "/kibana"
    assert ensure(config(tmp_path, stub.url + "/"), Stop()) == 0
    assert len(stub.views) == 2


def test_https(stub: StubKibana, tmp_path: Path) -> None:
    """A certificate of our CA is trusted, another one is refused at once."""
    made = subprocess.run(
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 "
        f"-keyout {tmp_path}/key.pem -out {tmp_path}/cert.pem -subj /CN=127.0.0.1 "
        "-addext subjectAltName=IP:127.0.0.1".split(),
        capture_output=True,
        check=False,
    )
    if made.returncode != 0:
        pytest.skip("no openssl")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    stub.socket = context.wrap_socket(stub.socket, server_side=True)
    url = stub.url.replace("http:", "https:")
    trusting = {"urls": "https://a:1", "ca_certs": tmp_path / "cert.pem"}
    assert ensure(config(tmp_path, url, trusting), Stop()) == 0
    view = data_views(config(tmp_path, url))[0]
    with pytest.raises(KibanaError, match="certificate is not trusted"):
        Kibana(url, config(tmp_path, url).elasticsearch).ensure(view)


def test_a_mapping_that_is_no_json(
    stub: StubKibana, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file is named."""
    settings = config(tmp_path, stub.url)
    for content, why in (
        ("{", "line 1: it is no JSON"),
        ("[]", "it is no object with `settings` and `mappings`"),
    ):
        (tmp_path / "films.json").write_text(content)
        assert ensure(settings, Stop()) == 2
        assert f"films.json: {why}" in capsys.readouterr().err
