"""The command line: one module a command; this one reads the arguments."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from listener import __version__
from listener.cli import check, health, kibana, load, parked, run, verify
from listener.cli import triggers as triggers_command
from listener.config import Config
from listener.config.settings import ConfigError, check_files, config_path
from listener.config.settings import load as load_config
from listener.observations.log import Log
from listener.runtime.lifecycle import Stop, one_heap, rare_collections, stop_on_signals

_SIGPIPE: Final = 128 + 13
DESCRIPTION = "Keeps Elasticsearch documents in step with a PostgreSQL database."
STATUSES = """\
exit status of run --once and load:
  0 all indexed   1 some documents parked   2 usage or configuration
  3 gave up on a server   4 another daemon is active   70 a defect of listener"""


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="listener",
        description=DESCRIPTION,
        epilog=STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"listener {__version__}")
    top.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="the configuration (default: config.yaml, or LISTENER_CONFIG)",
    )
    top.add_argument("--once", action="store_true", help="short for run --once")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    one = commands.add_parser("run", help=run.HELP, description=run.HELP)
    one.add_argument("--once", action="store_true", dest="run_once", help="catch up and exit")
    one = commands.add_parser("load", help=load.HELP, description=load.HELP)
    one.add_argument("--drop-old", action="store_true", help=load.DROP_OLD)
    triggers_command.arguments(
        commands.add_parser(
            "triggers", help=triggers_command.HELP, description=triggers_command.HELP
        )
    )
    verify.arguments(commands.add_parser("verify", help=verify.HELP, description=verify.HELP))
    parked.arguments(commands.add_parser("parked", help=parked.HELP, description=parked.HELP))
    commands.add_parser("check", help=check.HELP, description=check.HELP)
    commands.add_parser("health", help=health.HELP, description=health.HELP)
    one = commands.add_parser("kibana", help=kibana.HELP, description=kibana.HELP)
    one.add_argument(
        "--timeout",
        type=float,
        default=kibana.TIMEOUT,
        metavar="SECONDS",
        help="how long to wait for Kibana (default: %(default)g)",
    )
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    one_heap()
    rare_collections()
    top = parser()
    given = top.parse_args(arguments)
    if given.once and given.command not in (None, "run"):
        top.error("--once goes with run")
    if given.command == "parked" and given.json and given.retry:
        top.error("--json goes without --retry")
    if given.command == "verify" and given.allow_deletes and not given.repair:
        top.error("--allow-deletes goes with --repair")
    if isinstance(
        sys.stdout, io.TextIOWrapper
    ):  # an id may have what the terminal's encoding lacks
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        path = config_path(given.config)
        config = load_config(path)
        status = _command(given, config, path)
        sys.stdout.flush()
    except ConfigError as error:
        print(f"listener: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader has enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _SIGPIPE
    except KeyboardInterrupt:
        return 130
    return status


def _command(given: argparse.Namespace, config: Config, path: Path) -> int:
    observe = Log(config.logging.level, config.logging.format)
    stop = Stop()
    once = given.once or getattr(given, "run_once", False)
    commands: dict[str, Callable[[], int]] = {
        "run": lambda: run.run(config, observe, stop, once=once),
        "load": lambda: load.run(config, observe, stop, drop_old=given.drop_old),
        "triggers": lambda: triggers_command.run(config, observe, stop, given),
        "verify": lambda: verify.run(
            config, observe, stop, repair=given.repair, allow_deletes=given.allow_deletes
        ),
        "parked": lambda: parked.run(config, observe, stop, given),
        "check": lambda: check.run(config, path),
        "health": lambda: health.run(config),
        "kibana": lambda: kibana.run(config, stop, given.timeout),
    }
    if given.command != "health":  # it reads one local file, and runs each few seconds
        if given.command != "kibana" and not getattr(given, "dsn", None):
            check_files(config.postgres)
        if given.command != "triggers":
            check_files(config.elasticsearch)
    with stop_on_signals(stop):
        return commands[given.command or "run"]()
