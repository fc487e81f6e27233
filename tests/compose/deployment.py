"""The compose file, brought up as a project of its own on free ports."""

from __future__ import annotations

import contextlib
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from dotenv import dotenv_values

from playground.system import PlaygroundError, free_port, wait_until
from tests.compose.engine import ROOT, CommandError, Engine, run

PROJECT = "listener-compose-test"
SERVICES = ("postgres", "elasticsearch", "listener")


def settings() -> dict[str, str]:
    """What stands in .env."""
    return {name: value or "" for name, value in dotenv_values(ROOT / ".env").items()}


@dataclass(frozen=True)
class Deployment:
    """The services of docker-compose.yaml, without Kibana and what waits for it."""

    engine: Engine
    settings: dict[str, str] = field(default_factory=settings)
    ports: dict[str, int] = field(
        default_factory=lambda: {name: free_port() for name in ("POSTGRES", "ELASTICSEARCH")}
    )

    @property
    def image(self) -> str:
        """The name of the listener's image."""
        return f"{PROJECT}/listener"

    def compose(self, *arguments: str, timeout: float = 900) -> str:
        """Runs compose on the project and returns its standard output. Raises CommandError."""
        environment = {
            **self.engine.environment,
            **self.settings,
            **{f"{name}_PORT": str(port) for name, port in self.ports.items()},
            "COMPOSE_PROJECT_NAME": PROJECT,
            "LISTENER_IMAGE": self.image,
            "LISTENER_LOGGING_FORMAT": "json",
            "ELASTICSEARCH_HEAP": "512m",
        }
        command = [*self._program(), "--file", str(ROOT / "docker-compose.yaml"), *arguments]
        return run(command, environment, timeout=timeout)

    def _program(self) -> list[str]:
        try:
            run(["docker", "compose", "version"], self.engine.environment)
        except CommandError:
            return ["docker-compose"]
        return ["docker", "compose"]

    def up(self) -> None:
        """Starts the services; returns when all are healthy."""
        self.compose("up", "--detach", "--no-build", SERVICES[-1])
        for service in SERVICES:
            self.wait_healthy(service)

    def down(self, *, volumes: bool) -> None:
        """Removes containers and network; with `volumes` all data too."""
        self.compose("down", "--remove-orphans", *(["--volumes"] if volumes else []))

    @contextlib.contextmanager
    def beside(self, host: str, script: str) -> Iterator[None]:
        """Runs a Python script as one more host of the project's network."""
        name = f"{PROJECT}-{host}"
        network = [f"--network={PROJECT}_default", f"--network-alias={host}"]
        program = [self.settings["PYTHON_IMAGE"], "python", "-c", script]
        self.engine.docker("run", "--detach", "--rm", "--name", name, *network, *program)
        try:
            yield
        finally:
            self.engine.docker("rm", "--force", name)

    def container(self, service: str) -> str:
        """The id of a service's container, running or not."""
        labels = {"project": PROJECT, "service": service}
        filters = [f"--filter=label=com.docker.compose.{key}={one}" for key, one in labels.items()]
        found = self.engine.docker("ps", "--all", "--quiet", "--no-trunc", *filters).split()
        if len(found) != 1:
            raise CommandError(f"{service} has {len(found)} containers")
        return found[0]

    def inspect(self, service: str) -> dict[str, Any]:
        """What `docker inspect` says about a service's container."""
        answer: list[dict[str, Any]] = json.loads(
            self.engine.docker("inspect", self.container(service))
        )
        return answer[0]

    def wait_healthy(self, service: str, *, seconds: float = 240) -> None:
        """Waits until a service is healthy. Raises CommandError with its log otherwise."""

        def healthy() -> bool:
            state = self.inspect(service)["State"]
            if state["Status"] in ("exited", "dead"):
                raise CommandError(
                    f"{service} ended with {state['ExitCode']}:\n{self.log(service)}"
                )
            return bool(state.get("Health", {}).get("Status") == "healthy")

        self.wait(healthy, f"{service} is healthy", seconds=seconds, every=0.5, service=service)

    def wait(
        self,
        ready: Callable[[], bool],
        what: str,
        *,
        seconds: float = 30,
        every: float = 0.01,
        service: str = "listener",
    ) -> None:
        """Waits until `ready` says yes. Raises CommandError with a service's log otherwise."""
        try:
            wait_until(ready, seconds=seconds, what=what, every=every)
        except PlaygroundError as error:
            raise CommandError(f"{error}\n{self.log(service)}") from error

    def log(self, service: str, *, since: str = "", lines: str = "60") -> str:
        """The end of a service's log, standard error included, or all of it since a time."""
        arguments = ["--since", since] if since else ["--tail", lines]
        shell = ["sh", "-c", 'exec docker logs "$@" 2>&1', "logs"]
        return run([*shell, *arguments, self.container(service)], self.engine.environment)

    def events(self, *, since: str = "") -> list[dict[str, Any]]:
        """What the listener has told, in its own words."""
        lines = self.log("listener", since=since, lines="all").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def psql(self, statement: str) -> str:
        """Runs SQL by psql in the container, as the superuser; the last column of each row."""
        return self.engine.docker(
            "exec",
            self.container("postgres"),
            "psql",
            "--no-psqlrc",
            "--quiet",
            "--tuples-only",
            "--no-align",
            "--set=ON_ERROR_STOP=1",
            f"--username={self.settings['POSTGRES_USER']}",
            f"--dbname={self.settings['LISTENER_DB']}",
            f"--command={statement}",
        ).strip()

    def search(self, path: str) -> dict[str, Any]:
        """Asks Elasticsearch, at the port that is published; {} where it answers 404."""
        url = f"http://127.0.0.1:{self.ports['ELASTICSEARCH']}{path}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                found: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return {}
            raise CommandError(f"{url}: {error}") from error
        return found


def now() -> str:
    """This moment, as `docker logs --since` takes it."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
