"""`listener run`: the daemon, or with --once a single catching up."""

from __future__ import annotations

from typing import Final

from listener.app.daemon import Daemon
from listener.config import Config
from listener.observations.events import Observe
from listener.runtime.lifecycle import Stop

HELP: Final = "follow the database (the default); with --once catch up and exit"


def run(config: Config, observe: Observe, stop: Stop, *, once: bool) -> int:
    """Run the daemon; returns its exit status."""
    return int(Daemon(config, observe=observe, stop=stop, once=once).run())
