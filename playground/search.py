"""A real Elasticsearch or OpenSearch, from Maven Central, for demo, tests and benchmarks."""

from __future__ import annotations

import http.client
import json
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from playground import blueprint
from playground.account import service_account
from playground.blueprint import SERVERS, Blueprint
from playground.java import find_jdk, release_of
from playground.layout import server_home
from playground.places import give
from playground.server import Server
from playground.system import LOOPBACK, FileLock, free_port, wait_until

Setting = str | int | float | bool | list[str]

DEFAULT = "es8"

_READY_STATES = ("green", "yellow")


class SearchServer(Server):
    """One node on 127.0.0.1, by default a cluster of its own.

    `name` is one of `blueprint.names()`; es8, the default, is Elasticsearch 8.19.0. `settings` go
    into the server's settings file; a change of this dictionary takes effect at the next start.
    `heap` is the size of Java's heap. A node of a larger cluster names its companions in the
    settings (`discovery.seed_hosts`, `cluster.initial_master_nodes`) and is started with
    `start_process`, since it cannot answer before they are there.
    """

    gentle: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(
        self,
        name: str = DEFAULT,
        directory: str | Path | None = None,
        *,
        port: int | None = None,
        heap: str = "512m",
        settings: Mapping[str, Setting] | None = None,
        jvm_options: Sequence[str] = (),
    ) -> None:
        self.blueprint = blueprint.load(name)
        super().__init__(name, directory, port)
        self.heap = heap
        self.settings: dict[str, Setting] = dict(settings or {})
        self.jvm_options = tuple(jvm_options)
        self._transport_port: int | None = None

    @property
    def version(self) -> str:
        """The version of the server, "8.19.0" for es8."""
        return self.blueprint.version

    @property
    def url(self) -> str:
        """The address for clients."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def transport_port(self) -> int:
        """The port where other nodes find this one, the same over the life of this object."""
        if self._transport_port is None:
            self._transport_port = free_port()
        return self._transport_port

    def request(
        self, method: str, path: str, body: object = None, *, timeout: float = 30.0
    ) -> tuple[int, Any]:
        """One request, for what needs no client: the status and the decoded answer.

        A `body` of bytes is sent as it is, as lines of JSON; any other is encoded. Raises OSError
        or http.client.HTTPException when the server does not answer.
        """
        headers = {}
        data: bytes | None = None
        if isinstance(body, bytes):
            data, headers["Content-Type"] = body, "application/x-ndjson"
        elif body is not None:
            data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=timeout)
        try:
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            raw = answer.read()
        finally:
            connection.close()
        try:
            return answer.status, json.loads(raw)
        except ValueError:
            return answer.status, raw.decode(errors="replace")

    def wait_ready(self, *, seconds: float = 90.0) -> None:
        """Waits until the node answers and every index can be searched and written.

        Raises PlaygroundError when the process ends or the time is up.
        """
        wait_until(
            self._is_ready,
            seconds=seconds,
            what=f"{self.kind} at {self.url} is ready (see {self.log})",
            every=0.05,
        )

    def delete_by_prefix(self, prefix: str) -> None:
        """Deletes all indexes, aliases and templates whose names begin with `prefix`.

        Names are looked up first, since a server may forbid to delete by wildcard.
        """
        doomed = [
            f"/{index}/_alias/{alias}"
            for index, content in self._found(f"/_alias/{prefix}*").items()
            for alias in content["aliases"]
            if alias.startswith(prefix)
        ]
        indexes = self._found(f"/{prefix}*?expand_wildcards=all")  # those behind aliases too
        doomed += [f"/{index}" for index in indexes if index.startswith(prefix)]
        doomed += [f"/_template/{name}" for name in self._found(f"/_template/{prefix}*")]
        for kind in ("index_template", "component_template"):  # the second serves the first
            entries = self._found(f"/_{kind}/{prefix}*").get(f"{kind}s", [])
            doomed += [f"/_{kind}/{entry['name']}" for entry in entries]
        for path in doomed:
            self.request("DELETE", path)

    def _found(self, path: str) -> dict[str, Any]:
        status, answer = self.request("GET", path)
        return answer if status == 200 else {}

    def _is_ready(self) -> bool:
        self._check_alive()
        try:
            status, health = self.request("GET", "/_cluster/health", timeout=10)
        except (OSError, http.client.HTTPException):
            return False
        return status == 200 and health["status"] in _READY_STATES

    def _prepare(self) -> None:
        for name in ("config", "data", "logs", "tmp"):
            (self.directory / name).mkdir(exist_ok=True)
            give(self.directory / name, service_account())
        chosen: dict[str, Setting] = {
            "cluster.name": "playground",
            "node.name": "playground",
            "network.host": LOOPBACK,
            "http.port": self.port,
            "transport.port": self.transport_port,
            "path.data": str(self.directory / "data"),
            "path.logs": str(self.directory / "logs"),
            "cluster.routing.allocation.disk.threshold_enabled": False,  # a full disk is no test
            **self.settings,
        }
        if "discovery.seed_hosts" not in chosen:
            chosen.setdefault("discovery.type", "single-node")
        # every line of JSON is a line of YAML
        lines = [f"{name}: {json.dumps(value)}\n" for name, value in chosen.items()]
        config = self.directory / "config"
        (config / f"{self.blueprint.product}.yml").write_text("".join(lines))
        shutil.copy(SERVERS / "log4j2.properties", config)

    def _class_option(self) -> str:
        return f"-XX:SharedArchiveFile={_class_archive(self.blueprint)}"

    def _command(self) -> list[str]:
        plan = self.blueprint
        home = server_home(plan)
        jdk = find_jdk(plan.java)
        prefix = plan.property_prefix
        return [
            str(jdk / "bin" / "java"),
            f"-Xms{self.heap}",
            f"-Xmx{self.heap}",
            "-XX:+UseSerialGC",  # two cores and a small heap: the cheapest collector
            self._class_option(),
            "-XX:-UsePerfData",  # writes to the system's temporary directory
            "-Dfile.encoding=UTF-8",
            "-Djava.awt.headless=true",
            f"-Djava.io.tmpdir={self.directory / 'tmp'}",
            f"-Djna.tmpdir={self.directory / 'tmp'}",
            "-Dlog4j2.disable.jmx=true",
            "-Dlog4j.shutdownHookEnabled=false",  # the node itself ends the log, as its last step
            "-Dio.netty.noUnsafe=true",
            "-Dio.netty.noKeySetOptimization=true",
            "-Dio.netty.recycler.maxCapacityPerThread=0",
            *plan.jvm_options,
            *self.jvm_options,
            f"-D{prefix}.distribution.type=tar",
            "-cp",
            f"{home}/lib/*",
            plan.main,
            str(home),
            str(self.directory / "config"),
        ]

    def _environment(self) -> dict[str, str]:
        return {**super()._environment(), "LIBFFI_TMPDIR": str(self.directory / "tmp")}

    def _wait_ready(self) -> None:
        self.wait_ready()


class _Rehearsal(SearchServer):
    """A server whose machine writes down, at its end, the classes that it has loaded."""

    @property
    def archive(self) -> Path:
        return self.directory / "classes.jsa"

    def _class_option(self) -> str:
        return f"-XX:ArchiveClassesAtExit={self.archive}"


def _class_archive(plan: Blueprint) -> Path:
    """The classes of a server, parsed and verified already, which halves the time of a start.

    Made once for each home and Java. Where a Java cannot make it, an empty file says so: a machine
    that finds its archive unfit goes on without.
    """
    home = server_home(plan)
    kept = home / f"classes-{release_of(find_jdk(plan.java))}.jsa"
    with FileLock(home / "classes.lock"):
        if not kept.exists():
            rehearsal = _Rehearsal(plan.name)
            half = kept.with_suffix(".half")
            try:
                rehearsal.start()
                rehearsal.request("PUT", "/rehearsal/_doc/1?refresh=true", {"word": "words"})
                rehearsal.request("POST", "/rehearsal/_search", {"query": {"match_all": {}}})
                rehearsal.stop(timeout=120)
                shutil.copy(rehearsal.archive, half)
            except FileNotFoundError:
                half.touch()
            finally:
                rehearsal.close()
            half.chmod(0o644)
            half.rename(kept)
    return kept
