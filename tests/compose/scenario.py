"""What a user does with the deployment, step by step, and what must come of it.

Each step returns lines for the closing table or raises StepFailed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from tests.compose.deployment import Deployment, now
from tests.compose.images import STANDINS

FILMS = 36_273

Line = tuple[str, str]


class StepFailed(Exception):
    """Something is not as it should be; the message says what was expected and what is there."""


def expect(found: object, wanted: object, what: str) -> None:
    """Raises StepFailed unless both are equal."""
    if found != wanted:
        raise StepFailed(f"{what}: expected {wanted!r}, found {found!r}")


def steps() -> Iterator[Callable[[Deployment], list[Line]]]:
    """The steps, in the order in which they run."""
    yield build
    yield start
    yield shut_in
    yield edit
    yield data_view
    yield restart
    yield stop
    yield recreate


def build(deployment: Deployment) -> list[Line]:
    """The image builds, is small, and holds nothing that it should not."""
    began = time.monotonic()
    deployment.compose("build", "listener")
    seconds = time.monotonic() - began
    image: dict[str, Any] = json.loads(
        deployment.engine.docker("image", "inspect", deployment.image)
    )[0]
    base: dict[str, Any] = json.loads(
        deployment.engine.docker("image", "inspect", deployment.settings["PYTHON_IMAGE"])
    )[0]
    config = image["Config"]
    expect(config["User"], "10001:10001", "user of the image")
    expect(config["Entrypoint"], ["listener"], "entry point of the image")
    expect(config["StopSignal"], "SIGTERM", "stop signal of the image")
    expect(config["Healthcheck"]["Test"], ["CMD", "listener", "health", "--live"], "health check")
    inside = deployment.engine.docker(
        "run", "--rm", "--entrypoint", "find", deployment.image,
        "/opt/listener", "/etc/listener", "/var/lib/listener",
    ).splitlines()  # fmt: skip
    for unwanted in ("/.env", "/.git", ".ndjson.gz", "/pip/__init__.py"):
        expect([path for path in inside if path.endswith(unwanted)], [], f"{unwanted} in the image")
    version = deployment.engine.docker("run", "--rm", deployment.image, "--version").strip()
    return [
        ("image built in", f"{seconds:.0f} s"),
        ("size of the image", megabytes(image["Size"])),
        ("of it above the base image", megabytes(image["Size"] - base["Size"])),
        ("listener --version", version),
    ]


def start(deployment: Deployment) -> list[Line]:
    """All services become healthy, the init script has run, and every film is in the index."""
    began = time.monotonic()
    deployment.up()
    healthy = time.monotonic() - began
    expect(deployment.psql("SELECT count(*) FROM content.film_work"), str(FILMS), "films in tables")
    deployment.wait(lambda: count(deployment) == FILMS, f"{FILMS} films are indexed", seconds=180)
    loaded = [one for one in deployment.events() if one["event"] == "loaded"]
    expect(len(loaded), 1, "full loads")
    return [
        ("all services healthy after", f"{healthy:.0f} s"),
        (f"full load of {FILMS} films", f"{loaded[0]['seconds']:.1f} s"),
    ]


def shut_in(deployment: Deployment) -> list[Line]:
    """The container has no rights that it does not need, and no port leaves this machine."""
    found = deployment.inspect("listener")
    host = found["HostConfig"]
    expect(found["State"]["Health"]["Status"], "healthy", "health of the listener")
    expect(found["Config"]["User"], "10001:10001", "user of the container")
    expect(host["ReadonlyRootfs"], True, "read-only root file system")
    expect(host["CapDrop"], ["ALL"], "capabilities dropped")
    expect(host["SecurityOpt"], ["no-new-privileges:true"], "security options")
    expect(host["RestartPolicy"]["Name"], "unless-stopped", "restart policy")
    expect(found["NetworkSettings"]["Ports"], {}, "ports of the listener")
    container = deployment.container("listener")
    status = deployment.engine.docker("exec", container, "cat", "/proc/1/status", "/proc/1/cmdline")
    lines = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    expect(lines["Uid"].split(), ["10001"] * 4, "uid of process 1")
    expect(int(lines["CapEff"], 16), 0, "capabilities of process 1")
    expect(lines["NoNewPrivs"], "1", "no new privileges for process 1")
    writable = deployment.engine.docker(
        "exec", container, "sh", "-c",
        "for f in / /etc/listener /opt/listener /tmp /var/lib/listener; do"
        " if touch $f/probe 2>/dev/null; then rm $f/probe; echo $f; fi; done",
    ).split()  # fmt: skip
    expect(writable, ["/tmp", "/var/lib/listener"], "folders that can be written to")
    for service in ("postgres", "elasticsearch"):
        ports = deployment.inspect(service)["NetworkSettings"]["Ports"]
        hosts = {one["HostIp"] for bindings in ports.values() for one in bindings or []}
        expect(hosts, {"127.0.0.1"}, f"addresses that {service} is bound to")
    memory = int(lines["VmRSS"].split()[0]) / 1024
    return [
        ("listener runs as", "uid 10001, no capabilities, read-only, healthy"),
        ("memory of the listener", f"{memory:.0f} MB"),
    ]


def edit(deployment: Deployment) -> list[Line]:
    """A title that psql changes in the container is found in Elasticsearch."""
    seconds = retitle(deployment, "Edited by psql")
    found = deployment.search("/movies/_search?q=title:psql")["hits"]["total"]["value"]
    expect(found, 1, "films found by the new title")
    return [("edit by psql until found", f"{seconds * 1000:.0f} ms (psql's own start included)")]


def data_view(deployment: Deployment) -> list[Line]:
    """The one-shot service makes the data view, and once more changes nothing."""
    said = []
    with deployment.beside("kibana", (STANDINS / "kibana.py").read_text()):
        for _ in range(2):
            said.append(deployment.compose("run", "--rm", "-T", "--no-deps", "data-view").strip())
    expect(["made" in said[0], "already there" in said[1]], [True, True], f"answers {said}")
    return [("data view, Kibana being played", "made; at the second run there already")]


def restart(deployment: Deployment) -> list[Line]:
    """A restarted listener goes on where it was: no second load, and edits arrive again."""
    before = index_behind(deployment)
    since = now()
    began = time.monotonic()
    deployment.compose("restart", "listener")
    deployment.wait_healthy("listener")
    seconds = time.monotonic() - began
    retitle(deployment, "Edited after the restart")
    expect_no_load(deployment, since, before)
    return [("restarted and healthy after", f"{seconds:.1f} s, no second load")]


def stop(deployment: Deployment) -> list[Line]:
    """SIGTERM ends the listener in order; what is written meanwhile arrives after the start."""
    before = index_behind(deployment)
    began = time.monotonic()
    deployment.engine.docker("stop", deployment.container("listener"))
    seconds = time.monotonic() - began
    state = deployment.inspect("listener")["State"]
    expect(state["ExitCode"], 0, "exit status after SIGTERM")
    if seconds > 10:
        raise StepFailed(f"the listener took {seconds:.1f} s to stop")
    film = deployment.psql("SELECT min(id::text) FROM content.film_work")
    deployment.psql(f"DELETE FROM content.film_work WHERE id = '{film}'")
    since = now()
    deployment.compose("start", "listener")
    deployment.wait(lambda: not title(deployment, film), f"{film} is deleted", seconds=60)
    expect_no_load(deployment, since, before)
    return [("SIGTERM until the end", f"{seconds:.1f} s, exit status 0")]


def recreate(deployment: Deployment) -> list[Line]:
    """New containers on the old volumes: no second load either."""
    before = index_behind(deployment)
    since = now()
    deployment.down(volumes=False)
    deployment.up()
    retitle(deployment, "Edited in a new container")
    expect_no_load(deployment, since, before)
    deployment.wait(lambda: count(deployment) == FILMS - 1, "one film less")
    return [("containers made anew", "no second load, nothing lost")]


def retitle(deployment: Deployment, text: str) -> float:
    """Changes a film's title by psql and waits for it; the seconds that took."""
    film = deployment.psql("SELECT max(id::text) FROM content.film_work")
    began = time.monotonic()
    deployment.psql(f"UPDATE content.film_work SET title = '{text}' WHERE id = '{film}'")
    deployment.wait(lambda: title(deployment, film) == text, f"{text!r} is indexed")
    seconds = time.monotonic() - began
    query = f"/movies/_search?q=_id:%22{film}%22&_source=title"
    deployment.wait(
        lambda: (
            [hit["_source"]["title"] for hit in deployment.search(query)["hits"]["hits"]] == [text]
        ),
        f"{text!r} is searchable",
    )
    return seconds


def title(deployment: Deployment, film: str) -> str | None:
    """The title of a film's document; None without one."""
    document = deployment.search(f"/movies/_doc/{film}").get("_source")
    return document["title"] if document else None


def count(deployment: Deployment) -> int | None:
    """How many documents a search sees; None as long as there is no index."""
    number: int | None = deployment.search("/movies/_count").get("count")
    return number


def index_behind(deployment: Deployment) -> list[str]:
    """The real indexes behind the alias."""
    return sorted(deployment.search("/_alias/movies"))


def expect_no_load(deployment: Deployment, since: str, before: list[str]) -> None:
    """Raises StepFailed where the log tells of a load, or another index stands behind the alias."""
    events = [one["event"] for one in deployment.events(since=since)]
    expect("started" in events, True, "the log tells of the start")
    expect([one for one in events if one.startswith("load")], [], "loads in the log")
    expect(index_behind(deployment), before, "index behind the alias")


def megabytes(size: int) -> str:
    """A size as people read it."""
    return f"{size / 1e6:.0f} MB"
