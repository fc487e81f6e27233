"""The command line: one module a command; this one reads the arguments."""

from __future__ import annotations

import argparse
import difflib
import importlib
import io
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn, Protocol, cast

from listener import __version__
from listener.config import Config, DocumentConfig
from listener.config.settings import ConfigError, check_files, config_path
from listener.config.settings import load as load_config
from listener.observations.events import Observe
from listener.observations.log import Log
from listener.observations.mends import with_mend
from listener.runtime.lifecycle import Stop, stop_on_signals
from listener.runtime.memory import one_heap, rare_collections

_SIGPIPE: Final = 128 + 13
DESCRIPTION = "Keeps Elasticsearch documents in step with a PostgreSQL database."
STATUSES = """\
exit status of run --once and load:
  0 all indexed   1 some documents parked, or no document at all
  2 usage or configuration, or an index that is not swapped in
  3 gave up on a server   4 another daemon is active   70 a defect of listener"""


COMMANDS: Final[dict[str, str]] = {
    "run": "follow the database (the default); with --once catch up and exit",
    "preview": "show what the files as they are now would index; nothing in use is written",
    "load": "load all or some indexes anew and swap the aliases; asks the active daemon to, or "
    "does it where there is none",
    "indexes": "list the indexes of this pipeline, with role, definition, documents, size and age; "
    "--drop those that are left over",
    "rollback": "go back to the former index of an alias, which is kept after a swap",
    "triggers": "install, remove or print the triggers",
    "verify": "compare database and index, both ways; with --repair mend what differs",
    "parked": "list the documents that were put aside, and why; with --retry try them again",
    "check": "check configuration, servers, rights, triggers and mappings; say what mends them",
    "health": "0 where nothing waits for a person, else 1, why, and what mends it; with --live "
    "signs of life alone",
    "kibana": "make Kibana's data views, one for each document (safe to repeat)",
}
"""Each command, with what `--help` says of it; listener.cli.NAME is its module."""
_WITHOUT_VALUES: Final = tuple(
    (re.compile(pattern, re.DOTALL), told)
    for pattern, told in (
        (r"(unrecognized arguments):.*", r"\1"),
        (r"(ambiguous option): .* could match", r"\1, it could match"),
        (r"(ignored explicit argument) .*", r"\1"),
        (r"(invalid choice): .*( \(choose from )", r"\1\2"),
        (r"(invalid \w+ value): .*", r"\1"),
    )
)
"""What argparse says, and what is said instead."""

_OPTION: Final = re.compile(r"--?[a-z][a-z-]*(?=\Z|=)")
_READ_FILES: Final = (None, "run", "check", "load", "preview")
"""Commands that read the files of documents."""
_CLOSE: Final = 0.75
"""How alike two names are, from 0 to 1, of which one is told for the other."""
_CHOICE: Final = re.compile(r"invalid choice: '?(.*?)'? \(choose from (.*)\)", re.DOTALL)


class Command(Protocol):
    """The module of a command. It is imported when the command is used, and no other one is."""

    def arguments(self, parser: argparse.ArgumentParser, /) -> None:
        """Add the arguments of this command."""

    def run(
        self, config: Config, observe: Observe, stop: Stop, given: argparse.Namespace, /
    ) -> int:
        """Do it; returns the exit status. Raises ConfigError where a secret cannot be read."""


class _Parser(argparse.ArgumentParser):
    """Tells what is wrong without the words that it was given: one may be a connection string.

    Where a word is nearly spelled like a command or an option, that one is named.
    """

    words: Sequence[str] = ()
    """What is parsed."""

    def error(self, message: str) -> NoReturn:
        near = _nearest(message, self.words, self)
        names = [one for one in map(_option_name, self.words) if one and one not in _options(self)]
        for pattern, told in _WITHOUT_VALUES:
            message = pattern.sub(told, message)
        if message == "unrecognized arguments" and names:
            message = f"{message}: {' '.join(names)}"
        super().error(f"{message}; did you mean {near}?" if near else message)


def _nearest(message: str, words: Sequence[str], parser: argparse.ArgumentParser) -> str | None:
    """What was meant by one of these words, by a message of argparse: a name that there is."""
    chosen = _CHOICE.search(message)
    near = _one(chosen[1], re.findall(r"[\w-]+", chosen[2])) if chosen is not None else None
    if near is not None or not (chosen or "unrecognized" in message):
        return near
    known = _options(parser)
    for word in words:
        name = word.partition("=")[0]
        if name.startswith("-") and name not in known:
            near = near or _one(name, known)
    return near


def _one(word: str, known: Sequence[str]) -> str | None:
    return next(iter(difflib.get_close_matches(word, known, 1, _CLOSE)), None)


def _option_name(word: str) -> str | None:
    """The name of an option, where this is one by its form: nothing else is told."""
    name = _OPTION.match(word)
    return name[0] if name else None


def _options(parser: argparse.ArgumentParser) -> list[str]:
    """The options of this command, or of all."""
    return [one for action in parser._actions for one in action.option_strings]


def _parsed(top: _Parser, words: Sequence[str]) -> argparse.Namespace:
    """The arguments. What a command does not know is told by that command; names that follow its
    options count as if they stood before these."""
    given, extra = top.parse_known_args(words)
    if not extra:
        return given
    one = top
    for action in top._actions:
        if isinstance(action, argparse._SubParsersAction) and given.command:
            one = action.choices[given.command]
    one.words = extra
    misplaced = [word for word in map(_option_name, extra) if word and word in _options(top)]
    if one is not top and misplaced:
        one.error(f"{misplaced[0]} goes before the command")
    many = [x.dest for x in one._actions if x.nargs == "*" and not (x.option_strings or x.choices)]
    if not many or getattr(given, many[0]) or any(word.startswith("-") for word in extra):
        one.error("unrecognized arguments")
    setattr(given, many[0], extra)
    return given


def command(name: str) -> Command:
    """The module of this command."""
    return cast(Command, importlib.import_module(f"listener.cli.{name}"))


def parser(*used: str) -> _Parser:
    """The command line. `used`: the commands whose own arguments it takes."""
    top = _Parser(
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
    for name, told in COMMANDS.items():
        one = commands.add_parser(name, help=told, description=told)
        if name in used:
            command(name).arguments(one)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    top = parser(*(word for word in words if word in COMMANDS))
    top.words = words
    given = _parsed(top, words)
    if given.once and given.command not in (None, "run"):
        top.error("--once goes with run")
    if given.command == "parked" and given.json and given.retry:
        top.error("--json goes without --retry")
    if given.command == "load" and given.drop_old and (given.index or given.accept):
        top.error("--drop-old goes without INDEX and --accept")
    if given.command == "indexes" and given.drop_all and given.drop:
        top.error("--drop-all goes without --drop")
    if given.command == "verify" and given.allow_deletes and not given.repair:
        top.error("--allow-deletes goes with --repair")
    if isinstance(
        sys.stdout, io.TextIOWrapper
    ):  # an id may have what the terminal's encoding lacks
        sys.stdout.reconfigure(errors="backslashreplace")
    documents: Sequence[DocumentConfig] = ()
    try:
        config = load_config(config_path(given.config))
        documents = config.documents
        status = _command(given, config)
        sys.stdout.flush()
    except ConfigError as error:
        print(f"listener: {error}", file=sys.stderr)
        if given.command in _READ_FILES:
            _tell_files(error.documents or documents)
        # a restart would end the daemon that is at work with the former configuration
        return 0 if getattr(given, "live", False) else 2
    except BrokenPipeError:  # the reader has enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _SIGPIPE
    except KeyboardInterrupt:
        return 130
    return status


def _tell_files(documents: Sequence[DocumentConfig]) -> None:
    """What is wrong with the files of these documents, beside the mistakes of the configuration."""
    checks = importlib.import_module("listener.checks")  # most commands never need it
    for one in checks.check_files(documents):
        if one.severity == "error":
            told = with_mend(one.what, " ".join(one.mend.split()))
            print(f"listener: {told}", file=sys.stderr)


def _command(given: argparse.Namespace, config: Config) -> int:
    name = given.command or "run"
    if name != "health":  # it reads one local file, and runs each few seconds
        if name != "kibana" and not getattr(given, "dsn", None):
            check_files(config.postgres)
        if name != "triggers":
            check_files(config.elasticsearch)
    module = command(name)
    one_heap()
    rare_collections()  # after the imports: they are never looked at again
    observe, stop = Log(config.logging.level, config.logging.format), Stop()
    with stop_on_signals(stop):
        return module.run(config, observe, stop, given)
