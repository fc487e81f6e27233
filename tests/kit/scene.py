"""What a process test plays in: a database cloned from a template, a configuration, daemons."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
import yaml
from psycopg import sql

from playground.convergence import Differences, differences
from playground.daemon import PROJECT, ListenerProcess, Processes, processes_of_a_test
from playground.postgres import PostgresServer
from playground.proxy import TcpProxy
from playground.search import SearchServer
from tests.kit.convergence import wait_converged
from tests.kit.servers import revive

SCHEMAS = PROJECT / "tests" / "schemas"
"""The databases of tests: a folder a schema."""

OWNER = "process_owner"
"""Owns databases and tables: what the daemon connects as. No superuser."""
APPLICATION = "process_application"
"""May write rows of the watched tables and nothing else: what the tests' edits run as."""
PASSWORD = "p@ss:w/rd %40'\"\\ ${x} secret-of-tests"
"""With everything that a URL, a connection string, YAML or a shell might trip over."""

Connection = psycopg.Connection[tuple[Any, ...]]
Options = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Template:
    """A database to clone, and the documents that its configuration declares."""

    database: str
    documents: Path
    """The YAML file with the `documents` section."""


def create_roles(server: PostgresServer) -> None:
    """The two roles of all process tests."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        for role in (OWNER, APPLICATION):
            connection.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                    sql.Identifier(role), sql.Literal(PASSWORD)
                )
            )


def create_template(
    server: PostgresServer, schema: str, documents: Path, *scripts: Path
) -> Template:
    """A database with the content of these SQL files, owned by the daemon's role."""
    name = f"template_{schema.lower()}"
    server.create_database(name)
    server.execute(f'ALTER DATABASE "{name}" OWNER TO {OWNER}')
    with psycopg.connect(server.dsn(name)) as connection:
        connection.execute(f"SET ROLE {OWNER}".encode())
        for script in scripts:
            connection.execute(script.read_bytes())
        connection.execute(
            f'GRANT USAGE ON SCHEMA "{schema}" TO {APPLICATION};'
            f'GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA "{schema}" '
            f"TO {APPLICATION}".encode()
        )
    return Template(name, documents)


def create_movies(server: PostgresServer) -> Template:
    """Three hundred films, with the documents of the example."""
    return create_template(
        server,
        "content",
        PROJECT / "config.yaml",
        PROJECT / "sql" / "movies" / "schema.sql",
        SCHEMAS / "movies" / "content.sql",
    )


def documents(path: Path, prefix: str) -> list[Options]:
    """The `documents` section of a YAML file, with indexes of this prefix and whole paths."""
    found: list[Options] = yaml.safe_load(path.read_text("utf-8"))["documents"]
    for document in found:
        document["index"] = f"{prefix}-{document['index']}"
        for part in (document, *document["watch"]):
            for name in list(part):
                if name.endswith("_file"):
                    part[name] = str(path.parent / part[name])
    return found


def movies(prefix: str) -> list[Options]:
    """The documents of the movies example."""
    return documents(PROJECT / "config.yaml", prefix)


class Scene:
    """One test's database, configuration and daemons."""

    def __init__(
        self,
        postgres: PostgresServer,
        search: SearchServer,
        template: Template,
        *,
        prefix: str,
        folder: Path,
        processes: Processes,
    ) -> None:
        self.postgres = postgres
        self.search = search
        self.prefix = prefix
        self.folder = folder
        self.processes = processes
        self.database = prefix.replace("-", "_")
        self.state_file = folder / "state" / "state.yaml"
        self.options: Options = {
            "pipeline": prefix,
            "state_file_name": "state/state.yaml",
            "fetch_delay": 0.2,
            "postgres": {
                "host": "127.0.0.1",
                "port": postgres.port,
                "dbname": self.database,
                "user": OWNER,
                "password": PASSWORD.replace("$", "$$"),
                "connect_timeout": 2,
            },
            "elasticsearch": {"urls": [search.url], "control_index": f"{prefix}-control"},
            "logging": {"level": "DEBUG", "format": "json"},
            "triggers": {"install": "auto"},
            "backoff": {"start": 0.05, "limit": 0.5, "give_up_after": 20},
            "documents": documents(template.documents, prefix),
        }
        self._open: list[Connection] = []
        self.proxy: TcpProxy
        """The way to a server, where a fixture has put one."""

    # -- the configuration and the daemon --------------------------------------------------------

    @property
    def index(self) -> str:
        """The alias of the first document."""
        return str(self.options["documents"][0]["index"])

    @property
    def config(self) -> Path:
        """The configuration file, written as the options are now."""
        return self._write(self.folder)

    def _write(self, folder: Path) -> Path:
        folder.mkdir(exist_ok=True)
        path = folder / "config.yaml"
        path.write_text(yaml.safe_dump(self.options, allow_unicode=True), "utf-8")
        return path

    def set(self, **sections: Any) -> None:
        """Change options: sections are merged, plain values replaced."""
        for name, value in sections.items():
            old = self.options.get(name)
            if isinstance(old, dict) and isinstance(value, Mapping):
                old.update(value)
            else:
                self.options[name] = value

    def start(
        self,
        *arguments: str,
        folder: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> ListenerProcess:
        """Start a daemon with the options as they are now.

        `folder`: below this scene's, with a copy of the configuration and a state of its own, as
        on a second machine.
        """
        config = self._write(self.folder / folder)
        return self.processes.start(config, *arguments, environment=environment)

    def serve(self, *, converge: bool = True) -> ListenerProcess:
        """Start the daemon and wait until its first load is done and it serves."""
        daemon = self.start()
        daemon.wait_for("caught_up", deadline=90)  # three nodes on two cores take their time
        if converge:
            self.wait_converged()
            daemon.wait_for("watermark_moved")
        return daemon

    def once(self, *arguments: str, expect: int = 0, deadline: float = 60) -> ListenerProcess:
        """`listener run --once`, to its end."""
        process = self.start("--once", *arguments)
        process.expect_exit(expect, deadline)
        return process

    def wait_health(
        self,
        expect: int,
        said: str = "",
        *,
        live: bool = False,
        folder: str = "",
        seconds: float = 30,
    ) -> str:
        """Wait until `listener health` ends so, and says this: the daemon beats once a tick. Its
        line. `live`: with --live."""
        deadline = time.monotonic() + seconds
        while True:
            health = self.start("health", *(["--live"] if live else []), folder=folder)
            if health.exit_status() == expect and said in health.output:
                return health.output
            assert time.monotonic() < deadline, (expect, said, health.output)

    @property
    def state(self) -> Options:
        """state.yaml as it stands there."""
        content: Options = yaml.safe_load(self.state_file.read_text("utf-8"))
        return content

    # -- the database ----------------------------------------------------------------------------

    def connect(self, role: str = APPLICATION) -> Connection:
        """A connection of the application's (autocommit), closed with the test."""
        connection = psycopg.connect(
            host="127.0.0.1",
            port=self.postgres.port,
            dbname=self.database,
            user=role,
            password=PASSWORD,
            autocommit=True,
            application_name="test",
        )
        self._open.append(connection)
        return connection

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement as the application, on a connection of its own; its rows."""
        with contextlib.closing(self.connect()) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    @contextlib.contextmanager
    def superuser(self, database: str | None = None) -> Iterator[Connection]:
        """A connection of the superuser, in autocommit."""
        dsn = self.postgres.dsn(database or self.database)
        with psycopg.connect(dsn, autocommit=True) as connection:
            yield connection

    def admin(self, statement: str) -> list[tuple[Any, ...]]:
        """Run statements as the superuser."""
        return self.postgres.execute(statement, self.database)

    # -- the index -------------------------------------------------------------------------------

    def wait_converged(self, deadline: float = 30) -> None:
        """Wait until every index equals its query; fails with the differences and all logs."""
        try:
            wait_converged(
                self.config, self.postgres.dsn(self.database), self.search.url, deadline=deadline
            )
        except pytest.fail.Exception as error:
            pytest.fail(f"{error}\n\n{self.processes.logs}")

    def differences(self) -> Differences:
        """Where index and query do not agree now."""
        return differences(self.config, self.postgres.dsn(self.database), self.search.url)

    def assert_converged(self) -> None:
        """Index = query now: for when nothing is left that could mend it."""
        self.wait_converged(0)

    def request(self, method: str, path: str, body: object = None) -> Any:
        """One request that must succeed."""
        status, answer = self.search.request(method, path, body)
        assert status < 300, f"{method} {path}: {status} {answer}"
        return answer

    def behind(self, alias: str | None = None) -> list[str]:
        """The physical indexes behind an alias."""
        status, answer = self.search.request("GET", f"/_alias/{alias or self.index}")
        return sorted(answer) if status == 200 else []

    def search_for(self, title: str) -> list[Options]:
        """What a user finds by a word of the title, after a refresh."""
        self.request("POST", f"/{self.index}/_refresh")
        body = {"query": {"match": {"title": title}}}
        hits: list[Options] = self.request("POST", f"/{self.index}/_search", body)["hits"]["hits"]
        return hits

    @property
    def control(self) -> Options:
        """The control document."""
        content: Options = self.request("GET", f"/{self.prefix}-control/_doc/{self.prefix}")
        source: Options = content["_source"]
        return source

    def physical(self) -> list[str]:
        """All physical indexes of the first document."""
        return sorted(self.request("GET", f"/{self.index}-*?expand_wildcards=all"))

    def close(self) -> None:
        """Close the connections."""
        for connection in self._open:
            connection.close()


Served = tuple[Scene, ListenerProcess]
"""A scene and its daemon, which serves."""


@contextlib.contextmanager
def open_scene(
    postgres: PostgresServer, search: SearchServer, template: Template, folder: Path
) -> Iterator[Scene]:
    """A scene that leaves nothing behind."""
    revive(postgres)
    revive(search)
    prefix = f"test-{secrets.token_hex(5)}"
    with processes_of_a_test() as processes:
        scene = Scene(postgres, search, template, prefix=prefix, folder=folder, processes=processes)
        postgres.create_database(scene.database, template.database)
        postgres.execute(f'ALTER DATABASE "{scene.database}" OWNER TO {OWNER}')
        try:
            yield scene
        finally:
            for process in processes.started:
                process.kill()
            told = processes.logs
            scene.close()
            revive(postgres)
            revive(search)
            postgres.drop_database(scene.database)
            search.delete_by_prefix(prefix)
            for name in deepcopy(scene.options["documents"]):
                search.request("DELETE", f"/_index_template/listener-{name['index']}")
        for secret in (PASSWORD, quote(PASSWORD, safe=""), PASSWORD.rsplit(maxsplit=1)[-1]):
            assert secret not in told, f"a secret in the log:\n{told}"
