"""`listener run`: the daemon, or with --once a single catching up."""

from __future__ import annotations

import argparse

from listener.app.daemon import Daemon
from listener.config import Config
from listener.observations.events import Observe
from listener.runtime.lifecycle import Stop


def arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--once", action="store_true", dest="run_once", help="catch up and exit")


def run(config: Config, observe: Observe, stop: Stop, given: argparse.Namespace) -> int:
    """Run the daemon; returns its exit status."""
    once = given.once or getattr(given, "run_once", False)
    return int(Daemon(config, observe=observe, stop=stop, once=once).run())
