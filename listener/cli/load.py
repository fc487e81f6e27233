"""`listener load`: a full load into new indexes, and the swap of the aliases."""

from __future__ import annotations

import argparse

from listener import postgres, search
from listener.app.daemon import Daemon
from listener.app.exit_status import status_of
from listener.app.status import Status
from listener.config import Config
from listener.observations.events import Observe
from listener.runtime.lifecycle import Stop
from listener.search.indexes import Indexes
from listener.state import identity


def arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument(
        "--drop-old",
        action="store_true",
        help="load nothing; delete indexes of this pipeline that no alias leads to any more",
    )


def run(config: Config, observe: Observe, stop: Stop, given: argparse.Namespace) -> int:
    """Load, or delete what former loads left; returns the exit status."""
    if not given.drop_old:
        return int(Daemon(config, observe=observe, stop=stop, once=True, force=True).run())

    def work() -> int:
        with postgres.connect(config.postgres, "listener: load") as connection:
            ours = identity.database(connection, config.postgres.db_schema)
        indexes = Indexes(search.connect(config.elasticsearch), config.pipeline, ours)
        for document in config.documents:
            for name in indexes.old(document.index):
                indexes.delete(name)
                print(f"deleted {name}")
            for found in indexes.old_of_others(document.index):
                print(f"kept {found.name}: it belongs to {found.database}")
        return int(Status.OK)

    return status_of(work)
