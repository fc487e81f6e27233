"""`listener check`: what is wrong, and what mends it."""

from __future__ import annotations

from typing import Final

from listener.config import Config

HELP: Final = "check configuration, servers, privileges, triggers and mappings; say what mends them"


def run(config: Config) -> int:
    """Placeholder."""
    raise NotImplementedError(config.pipeline)
